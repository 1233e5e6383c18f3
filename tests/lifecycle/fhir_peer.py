"""A FHIR R4 server for tests, as small as a transaction allows: conditional updates, versions, reads. Real sockets.

It keeps what `PUT Type?identifier=system|value` and `PUT Type/id` say. The same contract runs against Medplum's server
in tests/peers.
"""

from __future__ import annotations

import json
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]


@dataclass
class FhirPeer:
    """What the server has, by type and id; `versions` counts every accepted change."""

    resources: dict[tuple[str, str], Json] = field(default_factory=dict)
    versions: dict[tuple[str, str], int] = field(default_factory=dict)
    posts: int = 0

    def __enter__(self) -> FhirPeer:
        peer = self

        class Handler(BaseHTTPRequestHandler):
            """One request; its body is a transaction or a resource."""

            def do_POST(self) -> None:
                """Take a transaction, or create a resource."""
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                peer.posts += 1
                answer = peer.take(body, self.headers.get("If-None-Exist", ""))
                payload = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/fhir+json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """The base of the server."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def of_type(self, kind: str) -> list[Json]:
        """What it has of a type, in the order in which it came."""
        return [body for (name, _), body in self.resources.items() if name == kind]

    def take(self, body: Json, if_none_exist: str) -> Json:
        """Apply a transaction, all or nothing; a lone resource is created."""
        if body["resourceType"] != "Bundle":
            entry = {"resource": body, "request": {"method": "POST", "url": body["resourceType"]}}
            if if_none_exist:
                entry["request"]["ifNoneExist"] = if_none_exist
            return self._apply([entry])["entry"][0]["response"]
        return self._apply(body["entry"])

    def _apply(self, entries: list[Json]) -> Json:
        ids, responses = {}, []
        placed = []
        for entry in entries:
            key, existed = self._place(entry)
            ids[entry.get("fullUrl", "")] = "/".join(key)
            placed.append((key, existed, entry))
        for key, existed, entry in placed:
            text = json.dumps(entry["resource"])
            for full_url, reference in ids.items():
                if full_url:
                    text = text.replace(f'"{full_url}"', f'"{reference}"')
            if not (existed and entry["request"]["method"] == "POST"):
                self._store(key, json.loads(text))
            responses.append(
                {"response": {"status": "200 OK" if existed else "201 Created", "location": "/".join(key)}}
            )
        return {"resourceType": "Bundle", "type": "transaction-response", "entry": responses}

    def _store(self, key: tuple[str, str], body: Json) -> None:
        body["id"] = key[1]
        if self.resources.get(key) != body:
            self.resources[key] = body
            self.versions[key] = self.versions.get(key, 0) + 1

    def _place(self, entry: Json) -> tuple[tuple[str, str], bool]:
        """The type and id that an entry changes, and whether it is there already."""
        request = entry["request"]
        url = urlsplit(request["url"])
        kind, _, given = url.path.strip("/").partition("/")
        query = url.query or request.get("ifNoneExist", "")
        if given:
            return (kind, given), (kind, given) in self.resources
        for value in parse_qs(query).get("identifier", []):
            system, _, number = value.partition("|")
            for (name, one), body in self.resources.items():
                listed = body.get("identifier", [])
                listed = listed if isinstance(listed, list) else [listed]
                if name == kind and any(i.get("system") == system and i.get("value") == number for i in listed):
                    return (name, one), True
        return (kind, str(uuid.uuid4())), False

"""A CDS Hooks server for tests of clients: it answers what it is told to, keeps what it was sent, and reads tokens."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt

Json = dict[str, Any]

SERVICE = "imaging-findings"
WRONG = {"system": "urn:sightline:override-reason", "code": "ai-finding-wrong", "display": "The AI finding is wrong"}
LATER = {"system": "urn:sightline:override-reason", "code": "later", "display": "Remind me later"}
PROVIDED: Json = {
    "id": SERVICE,
    "hook": "patient-view",
    "title": "Imaging findings",
    "description": "What imaging found.",
    "prefetch": {
        "patient": "Patient/{{context.patientId}}",
        "smoking": "Observation?patient={{context.patientId}}&code=http://loinc.org|72166-2&_sort=-date&_count=1",
        "near": "Patient?near={{context.patientId}}",
    },
}
ORDERS: Json = {"id": "imaging-order-advice", "hook": "order-sign", "title": "Orders", "description": "Of an order."}
CARD: Json = {
    "uuid": "9f2cc2a1-0000-4000-8000-000000000001",
    "summary": "Emphysema on chest CT: spirometry not on record",
    "indicator": "warning",
    "detail": "**Why**: <img src=x onerror=alert(1)> LAA-950 [12 %](javascript:alert(1)).",
    "source": {"label": "GOLD 2026", "url": "https://goldcopd.org"},
    "links": [
        {"label": "The guideline", "url": "https://goldcopd.org/report", "type": "absolute"},
        {"label": "The study", "url": "https://sightline.example/smart/launch", "type": "smart"},
    ],
    "selectionBehavior": "any",
    "overrideReasons": [WRONG, LATER],
    "suggestions": [
        {
            "uuid": "9f2cc2a1-0000-4000-8000-000000000002",
            "label": "Draft an order for spirometry",
            "actions": [
                {
                    "type": "create",
                    "description": "Spirometry",
                    "resource": {"resourceType": "ServiceRequest", "status": "draft", "intent": "proposal"},
                }
            ],
        }
    ],
}


@dataclass
class HookPeer:
    """What the server answers by path, and the requests that it got: (method, path, claims and header, body)."""

    url: str = ""
    answers: dict[str, tuple[int, object]] = field(default_factory=dict)
    got: list[tuple[str, str, Json]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def cards(self, *cards: Json) -> None:
        """Services answer these cards from now on."""
        for one in (PROVIDED, ORDERS):
            self.answers[f"/cds-services/{one['id']}"] = (200, {"cards": list(cards)})

    def bodies(self, path: str) -> list[Json]:
        """What was posted to a path."""
        return [body for _, where, body in self.got if where == path]

    def claims(self, jwks: Json, audience: str) -> tuple[Json, Json]:
        """Header and claims of the last token, of which signature, audience and times are right by the JWK Set."""
        token = self.tokens[-1]
        header = jwt.get_unverified_header(token)
        key = next(one for one in jwt.PyJWKSet.from_dict(jwks).keys if one.key_id == header["kid"])
        required = ["iss", "aud", "exp", "iat", "jti"]
        claims = jwt.decode(token, key, algorithms=["ES384", "RS384"], audience=audience, options={"require": required})
        return header, claims


def outcome(text: str) -> Json:
    """An OperationOutcome as an error carries it."""
    issue = {"severity": "error", "code": "processing", "details": {"text": text}}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


@contextmanager
def hook_peer() -> Iterator[HookPeer]:
    """The server on a free loopback port."""
    peer = HookPeer()
    peer.answers["/cds-services"] = (200, {"services": [PROVIDED, ORDERS]})
    peer.answers[f"/cds-services/{SERVICE}/feedback"] = (200, {})
    peer.cards(CARD)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def log_message(self, format: str, *args: object) -> None:
            """No access log."""

        def _answer(self, body: Json) -> None:
            peer.got.append((self.command, self.path, body))
            peer.tokens.append(self.headers.get("Authorization", "").removeprefix("Bearer "))
            status, said = peer.answers.get(self.path, (404, outcome("no such service")))
            data = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    peer.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield peer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

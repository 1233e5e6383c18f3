"""A FHIR R4 server in memory whose abilities a test chooses: it does what its CapabilityStatement says, and no more.

Every accepted update makes a version, even one that changes nothing, so that a write which was not needed shows. What
it is sent is read by R4's own models. The same contract runs against Medplum's server in tests/peers.
"""

from __future__ import annotations

import contextlib
import copy
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from tests.contract.fhir_server import HOSPITAL_KINDS, FhirServer
from tests.contract.fhir_wire import Asked, FhirWire, Reply, capability_statement, outcome, serving

Json = dict[str, Any]
_PARAMS = ("identifier", "_tag", "_id")


@dataclass(frozen=True)
class Can:
    """What the server does. `searches` are its search parameters, `types` the types that it has at all."""

    transaction: bool = True
    conditional_update: bool = True
    conditional_create: bool = True
    update_create: bool = False
    #: It wants If-Match with every update by id.
    versions: bool = False
    searches: frozenset[str] = frozenset({"identifier", "_tag"})
    types: frozenset[str] = frozenset(HOSPITAL_KINDS)
    read_only: frozenset[str] = frozenset()
    #: Entries that a transaction may have.
    longest: int = 1000
    #: What it answers to a transaction although it says that it takes one; 0: it takes it.
    refuses_transactions: int = 0
    #: An answer to a write has neither the resource nor its address.
    silent: bool = False


@dataclass
class FhirStore:
    """What the server has: the versions of each resource by type and id, oldest first."""

    can: Can = Can()
    versions: dict[tuple[str, str], list[Json]] = field(default_factory=dict)
    #: Methods and URLs of what was written, entry by entry.
    writes: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @contextlib.contextmanager
    def serving(self) -> Iterator[FhirWire]:
        """The server on a port of its own."""
        with serving(self.answer) as wire:
            yield wire

    def of_type(self, kind: str) -> list[Json]:
        """What it has of a type now."""
        return [bodies[-1] for (name, _), bodies in self.versions.items() if name == kind]

    def answer(self, asked: Asked) -> Reply:
        """One request."""
        with self.lock:
            try:
                return self._answer(asked)
            except _Refused as refused:
                return Reply(refused.status, outcome(refused.code))

    def _answer(self, asked: Asked) -> Reply:
        path = asked.path.removeprefix("/fhir").strip("/").split("/")
        if path == ["metadata"]:
            return Reply(200, self.statement())
        if path == [""]:
            return self._bundle(asked.json)
        kind = path[0]
        if kind not in self.can.types:
            raise _Refused(404, "not-supported")
        if asked.method == "GET" or path[1:] == ["_search"]:
            return self._read(kind, path[1:], asked)
        return self._said(*self._write(asked.method, "/".join(path), asked.query, asked.json, dict(asked.headers)))

    def statement(self) -> Json:
        """The CapabilityStatement."""
        system = [{"code": "transaction"}] if self.can.transaction or self.can.refuses_transactions else []
        return capability_statement(*[self._type(kind) for kind in sorted(self.can.types)], interaction=system)

    def _type(self, kind: str) -> Json:
        changes = [] if kind in self.can.read_only else ["create", "update"]
        params = [{"name": name, "type": "token"} for name in sorted(self.can.searches)]
        return {
            "type": kind,
            "interaction": [{"code": code} for code in ("read", *(["search-type"] if params else []), *changes)],
            "versioning": "versioned-update" if self.can.versions else "versioned",
            "conditionalCreate": self.can.conditional_create,
            "conditionalUpdate": self.can.conditional_update,
            "updateCreate": self.can.update_create,
            "searchParam": params,
        }

    # --- reading

    def _read(self, kind: str, rest: list[str], asked: Asked) -> Reply:
        if rest in ([], ["_search"]):
            params = asked.query if asked.method == "GET" else asked.form
            found = self._search(kind, [(name, value) for name, value in params if name != "_count"])
            entries = [{"resource": body, "search": {"mode": "match"}} for body in found]
            return Reply(200, {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries})
        bodies = self.versions.get((kind, rest[0]))
        if bodies is None:
            raise _Refused(404, "not-found")
        if rest[1:] == ["_history"]:
            listed = [{"resource": body} for body in reversed(bodies)]
            return Reply(200, {"resourceType": "Bundle", "type": "history", "entry": listed})
        return Reply(200, bodies[-1])

    def _search(self, kind: str, params: list[tuple[str, str]]) -> list[Json]:
        for name, _ in params:
            if name not in self.can.searches and name != "_id":
                raise _Refused(400, "not-supported")
        found = self.of_type(kind)
        for name, values in params:
            found = [body for body in found if any(_has(body, name, value) for value in values.split(","))]
        return found

    # --- writing

    def _write(
        self, method: str, url: str, query: list[tuple[str, str]], body: Json, headers: Mapping[str, Any]
    ) -> tuple[Json, int]:
        kind, _, number = url.partition("/")
        if kind in self.can.read_only or body.get("resourceType") != kind:
            raise _Refused(405, "not-supported")
        _check(body)
        if method == "POST":
            return self._create(kind, body, str(headers.get("If-None-Exist") or ""))
        if query and not number:
            return self._conditional_update(kind, query, body)
        if method != "PUT" or not number:
            raise _Refused(405, "not-supported")
        return self._update(kind, number, body, str(headers.get("If-Match") or ""))

    def _create(self, kind: str, body: Json, condition: str) -> tuple[Json, int]:
        if "id" in body:
            raise _Refused(400, "invalid")
        if condition:
            if not self.can.conditional_create:
                raise _Refused(412, "not-supported")
            found = self._search(kind, parse_qsl(condition, strict_parsing=True))
            if len(found) > 1:
                raise _Refused(412, "multiple-matches")
            if found:
                return found[0], 200
        return self._keep(kind, str(uuid.uuid4()), body, f"POST {kind}"), 201

    def _conditional_update(self, kind: str, query: list[tuple[str, str]], body: Json) -> tuple[Json, int]:
        if not self.can.conditional_update:
            raise _Refused(405, "not-supported")
        found = self._search(kind, query)
        if len(found) > 1:
            raise _Refused(412, "multiple-matches")
        number = found[0]["id"] if found else str(uuid.uuid4())
        if "id" in body and body["id"] != number:
            raise _Refused(400, "invalid")
        return self._keep(kind, number, body, f"PUT {kind}?"), 200 if found else 201

    def _update(self, kind: str, number: str, body: Json, if_match: str) -> tuple[Json, int]:
        there = self.versions.get((kind, number))
        if body.get("id") != number:
            raise _Refused(400, "invalid")
        if there is None and not self.can.update_create:
            raise _Refused(405, "not-found")
        if there and self.can.versions and not if_match:
            raise _Refused(412, "conflict")
        if there and if_match and if_match != _etag(there[-1]):
            raise _Refused(412, "conflict")
        return self._keep(kind, number, body, f"PUT {kind}/{number}"), 200 if there else 201

    def _keep(self, kind: str, number: str, body: Json, said: str) -> Json:
        bodies = self.versions.setdefault((kind, number), [])
        meta = {**body.get("meta", {}), "versionId": str(len(bodies) + 1), "lastUpdated": "2026-03-05T11:00:00.000Z"}
        bodies.append({**copy.deepcopy(body), "id": number, "meta": meta})
        self.writes.append(said)
        return bodies[-1]

    def _said(self, body: Json, status: int) -> Reply:
        address = f"{body['resourceType']}/{body['id']}/_history/{body['meta']['versionId']}"
        if self.can.silent:
            return Reply(status)
        return Reply(status, body, {"ETag": _etag(body), "Location": f"http://elsewhere.example/fhir/{address}"})

    # --- transactions

    def _bundle(self, bundle: Json) -> Reply:
        if not self.can.transaction:
            raise _Refused(self.can.refuses_transactions or 404, "not-supported")
        if len(bundle["entry"]) > self.can.longest:
            raise _Refused(400, "invalid")
        before, writes = copy.deepcopy(self.versions), list(self.writes)
        try:
            return self._transaction(bundle["entry"])
        except _Refused:
            self.versions, self.writes = before, writes
            raise

    def _transaction(self, entries: list[Json]) -> Reply:
        """All in their order, each under the id that it has or gets; then the references to them."""
        names: dict[str, str] = {}
        placed = []
        for entry in entries:
            request, url = entry["request"], urlsplit(entry["request"]["url"])
            headers = {"If-None-Exist": request.get("ifNoneExist"), "If-Match": request.get("ifMatch")}
            body, status = self._write(request["method"], url.path, parse_qsl(url.query), entry["resource"], headers)
            names[entry["fullUrl"]] = f"{body['resourceType']}/{body['id']}"
            placed.append((body, status))
        for body, _ in placed:
            body.update(_renamed(body, names))
        listed = [{"response": {"status": str(status), "etag": _etag(body)}} for body, status in placed]
        return Reply(200, {"resourceType": "Bundle", "type": "transaction-response", "entry": listed})


#: One that does everything.
EVERYTHING = Can()


@contextlib.contextmanager
def server(can: Can = EVERYTHING, **more: Any) -> Iterator[tuple[FhirStore, FhirServer]]:
    """A server that can do so much, and a word to it."""
    store = FhirStore(replace(can, **more))
    with store.serving() as wire:
        yield store, FhirServer(wire.url)


class _Refused(Exception):
    """What the server will not do."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(status)
        self.status, self.code = status, code


def _check(body: Json) -> None:
    """R4's own models read it; they know no urn:uuid that is not a URI, and no invariant."""
    try:
        get_fhir_model_class(body["resourceType"]).model_validate(body)
    except ValidationError:
        raise _Refused(422, "invariant") from None


def _has(body: Json, name: str, wanted: str) -> bool:
    if name == "_id":
        return bool(body["id"] == wanted)
    system, bar, value = wanted.rpartition("|")
    listed = body.get("meta", {}).get("tag", []) if name == "_tag" else body.get("identifier", [])
    member = "code" if name == "_tag" else "value"
    listed = listed if isinstance(listed, list) else [listed]
    return any(one.get(member) == value and (not bar or one.get("system") == system) for one in listed)


def _etag(body: Json) -> str:
    return f'W/"{body["meta"]["versionId"]}"'


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed(member, names) for member in value]
    if not isinstance(value, dict):
        return value
    return {
        name: names.get(member, member) if name == "reference" else _renamed(member, names)
        for name, member in value.items()
    }

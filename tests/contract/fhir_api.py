"""The FHIR API alone, over a store, served on loopback; a test says what its callers may do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask, g
from werkzeug.serving import WSGIRequestHandler, make_server

from adapters.fhir.bundle import searchset
from adapters.fhir.capability import capability
from adapters.fhir.outcome import operation_outcome
from adapters.fhir.parameters import EDITION, index
from cds.domain.resource import NewResource
from cds.ports import ResourceStore
from cds.settings import Settings
from cds.store.resource_versions import put_all
from cds.store.resources import SqlResourceStore
from cds.web import errors, fhir, headers
from tests.contract.memory_store import Commit, MemoryResourceStore
from tests.databases import fresh
from tests.unit.fhir_samples import DENSITY, HEAD, PATIENT, PATIENT_ID, Answer, answered, emitted, report

BASE = "https://sightline.example"
FIRST = datetime(2026, 3, 5, 10, 11, 12, tzinfo=UTC)
SECOND = datetime(2026, 3, 6, 10, 11, 12, tzinfo=UTC)
OTHER_ID = "0d9f9d0e-2222-4c4c-8a8a-5a5a5a5a5a5a"
KEY = bytes(range(32))


@dataclass
class MovedClock:
    """A clock that a test moves."""

    at: datetime = SECOND

    def now(self) -> datetime:
        return self.at

    def today(self) -> date:
        return self.at.date()

    def pass_by(self, gone: timedelta) -> None:
        """Later."""
        self.at += gone


@dataclass(frozen=True)
class Granted:
    """What a token grants, as `flask.g.access`: (type, interaction), and the patient whom it is of."""

    scopes: frozenset[tuple[str, str]]
    patient: str | None = None

    def allows(self, resource_type: str, interaction: str) -> bool:
        return (resource_type, interaction) in self.scopes


@dataclass(frozen=True)
class Site:
    """What the API needs of the services."""

    resources: ResourceStore
    settings: Settings = field(default_factory=lambda: Settings(base_url=BASE, time_zone="Europe/Berlin"))
    clock: MovedClock = field(default_factory=MovedClock)
    capability: Callable[[str], dict[str, object]] = capability
    searchset: Callable[..., dict[str, object]] = searchset
    key: bytes = KEY

    def seal_key(self) -> bytes:
        return self.key


def commits() -> list[Commit]:
    """The sample report in two versions, the second with another model and a follow-up; another patient's."""
    second = answered(report(DENSITY, HEAD, version=2), Answer.ACCEPTED)
    other = replace(PATIENT, id=OTHER_ID, identifiers=(replace(PATIENT.identifiers[0], value="777"),))
    theirs = replace(report(HEAD, advice=(), patient=other), episode=2)
    return [commit(FIRST, *emitted(report())), commit(SECOND, *emitted(second), *emitted(theirs))]


def store() -> MemoryResourceStore:
    """A store in memory with these."""
    return MemoryResourceStore(commits())


def sqlite_store(data_dir: Path, listed: Sequence[Commit]) -> SqlResourceStore:
    """The real store with some."""
    databases = fresh(data_dir)
    for one in listed:
        with databases.app.writing() as session:
            put_all(session, [(resource, None) for resource in one.resources], one.at)
    return SqlResourceStore(databases.app, edition=EDITION)


def commit(at: datetime, *resources: NewResource) -> Commit:
    """Committed together at a moment, with what they are found by."""
    return Commit(at, tuple(replace(r, index=index(r.body), edition=EDITION) for r in resources))


def application(site: Site, access: Granted | None = None) -> Flask:
    """The API with its errors and headers."""
    app = Flask(__name__, static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=4 * 1024 * 1024, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.url_map.merge_slashes = False
    errors.install(app, operation_outcome)
    headers.install(app)

    def grant() -> None:
        if access is not None:
            g.access = access

    app.before_request(grant)
    app.register_blueprint(fhir.blueprint(site))
    return app


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:
        """No access log."""


def free_port() -> int:
    """A port that nobody listens on now: links name it before the server is there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(site: Site, access: Granted | None = None, *, port: int = 0) -> Iterator[str]:
    """A real HTTP server on loopback, on a free port where none is named; yields the address of the API."""
    server = make_server("127.0.0.1", port, application(site, access), threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/fhir"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def bodies(bundle: Mapping[str, Any], mode: str = "match") -> list[dict[str, Any]]:
    """The resources of a searchset that are there for one reason."""
    return [e["resource"] for e in bundle.get("entry", ()) if e["search"]["mode"] == mode]


def observations(number: int, resource_type: str = "Observation") -> tuple[NewResource, ...]:
    """So many of one patient, with one identifier."""
    said = {"code": {"text": "x"}, "identifier": [{"system": "urn:a", "value": "7"}], "status": "preliminary"}
    ids = (f"00000000-0000-4000-8000-{n:012d}" for n in range(1, number + 1))
    return tuple(
        NewResource(resource_type, one, {"resourceType": resource_type, "id": one, **said}, PATIENT_ID) for one in ids
    )

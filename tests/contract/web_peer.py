"""The web application over a store in memory, served on loopback; as a program it runs the real server."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import IO

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from adapters.fhir.bundle import searchset
from adapters.fhir.capability import capability
from adapters.fhir.outcome import informational, operation_outcome
from adapters.fhir.report import resources
from cds import logs
from cds.domain.critical import CriticalResult
from cds.domain.hold import Hold, HoldKind
from cds.domain.resource import NewResource
from cds.errors import InvalidInput, InvalidResource, NotFound, PreconditionFailed, Unauthorized, Unavailable
from cds.services import HookServices, Json, Probe, Services
from cds.settings import Settings
from cds.web.app import create_app
from cds.web.serve import run
from cds.web.slow_peers import IDLE_S
from tests.contract.memory_store import Commit, MemoryResourceStore
from tests.unit.fhir_samples import REFUSAL, SYSTEMS, report

BASE = "https://sightline.example"
SERVICE = "imaging-findings"
FIRST = datetime(2026, 3, 5, 10, 11, 12, tzinfo=UTC)
SECOND = datetime(2026, 3, 6, 10, 11, 12, tzinfo=UTC)
HELD = Hold("0badcafe", HoldKind.MATCH_IN_DOUBT, "it is in doubt", FIRST, study_instance_uid="1.2")
CARD: Json = {"summary": "Emphysema", "indicator": "info", "source": {"label": "Sightline"}}


class FixedClock:
    """A clock that stands."""

    def now(self) -> datetime:
        return SECOND

    def today(self) -> date:
        return SECOND.date()


def emitted(version: int = 1) -> tuple[NewResource, ...]:
    """The sample report's resources; its second version could not be evaluated."""
    said = report(REFUSAL, advice=(), version=2) if version > 1 else report()
    return tuple(resources(said, identifier_systems=SYSTEMS, site_name="Site"))


def store() -> MemoryResourceStore:
    """The sample report in two versions."""
    return MemoryResourceStore([Commit(FIRST, emitted(1)), Commit(SECOND, emitted(2))])


def call_service(service_id: str, body: Mapping[str, object], client: str) -> Json:
    """What cds.hooks does, in miniature; `hookInstance` chooses the failure."""
    if service_id != SERVICE:
        raise NotFound("no such service")
    failures = {"malformed": InvalidResource, "unknown-patient": PreconditionFailed, "down": Unavailable}
    wanted = str(body.get("hookInstance"))
    if wanted in failures:
        raise failures[wanted]("want something else")
    if wanted == "bug":
        raise ValueError("Quentina Unmistakable is not a number")
    if wanted == "slow":
        time.sleep(1.5)
    return {"cards": [CARD]}


def feedback(service_id: str, body: Mapping[str, object], client: str) -> Json:
    """What became of cards, in miniature."""
    if service_id != SERVICE:
        raise NotFound("no such service")
    if not isinstance(body.get("feedback"), list):
        raise InvalidResource("feedback: want a list")
    return informational("recorded")


def _no_critical(token: str) -> CriticalResult:
    raise NotFound("there is no such critical result")


def _take(body: Mapping[str, object]) -> None:
    """A Communication that answers one of ours."""


def store_instances(body: IO[bytes], content_type: str, study: str) -> tuple[int, Json]:
    """What the adapter does, in miniature; the body's first word chooses the answer."""
    if not content_type.startswith("multipart/related"):
        raise InvalidInput("want multipart/related")
    first = body.read().split()[:1]
    return {b"some": (202, {"00081198": {"vr": "SQ"}}), b"none": (409, {})}.get(first[0] if first else b"", (200, {}))


class Nobody:
    """Nobody is notified here."""

    def allow(self, subscription_id: str, secret: str) -> None:
        raise Unauthorized

    def take(self, subscription_id: str, secret: str, body: bytes, *, resource_type: str, resource_id: str) -> None:
        raise Unauthorized


def services(
    resource_store: MemoryResourceStore | None = None,
    *,
    token: str | None = None,
    probes: tuple[Probe, ...] = (Probe("database", True),),
    waiting: tuple[Hold, ...] = (HELD,),
    banner: tuple[str, ...] = ("LAB|HOSP is silent",),
    hooks: HookServices | None = None,
    **settings: object,
) -> Services:
    """Services as bootstrap builds them, over a store in memory; without any proof of who calls, for development."""
    open_to_all = token is None and (hooks is None or hooks.prove is None)
    often = 1_000_000  # no test is the caller that the limit is for, but those that say so
    given = {"base_url": BASE, "time_zone": "Europe/Berlin", "insecure": open_to_all, "hook_rate_per_minute": often}
    return Services(
        settings=Settings(**{**given, **settings}),
        clock=FixedClock(),
        resources=resource_store or store(),
        hooks=hooks
        or HookServices(
            discovery=lambda: {"services": [{"hook": "patient-view", "id": SERVICE, "description": "Findings"}]},
            call=call_service,
            feedback=feedback,
        ),
        capability=capability,
        searchset=searchset,
        outcome=operation_outcome,
        probes=lambda: probes,
        holds=lambda: waiting,
        banner=lambda: banner,
        critical=_no_critical,
        acknowledge_critical=lambda token, by: _no_critical(token),
        acknowledge_communication=_take,
        take=lambda body: True,
        take_bundle=lambda body: {"resourceType": "Bundle", "type": "transaction-response"},
        notified=Nobody(),
        store_instances=store_instances,
        token=token,
        seal_key=lambda: bytes(range(32)),
    )


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:
        """No access log."""


@contextmanager
def serving(given: Services) -> Iterator[str]:
    """A real HTTP server on a free loopback port; yields its URL."""
    with running(create_app(given)) as url:
        yield url


@contextmanager
def running(app: Flask) -> Iterator[str]:
    """An application on a free loopback port; yields its URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main(port: str) -> None:
    """Serve by the web role's own server until SIGTERM; says "ready" on the pipe named by READY_FD."""
    logs.configure("web", "info")
    settings = Settings(base_url=BASE, http_port=int(port), http_workers=2, drain_s=10)
    idle_s = float(os.environ.get("IDLE_S", IDLE_S))
    run(services, settings, on_ready=lambda: os.close(int(os.environ["READY_FD"])), idle_s=idle_s)


if __name__ == "__main__":
    main(sys.argv[1])

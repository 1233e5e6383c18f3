"""A site that listens to one FHIR server: its tables, its clock, its worker's looks and its door for notifications."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import httpx
from flask import Flask
from sqlmodel import select
from werkzeug.serving import WSGIRequestHandler, make_server

from adapters.fhir.client import FhirClient, open_client
from adapters.fhir.keys import SmartKeys
from adapters.fhir.outcome import operation_outcome
from cds.bootstrap.fhir_events import Notifications, listening, notifications
from cds.domain.event import StudyEvent
from cds.domain.fhir_news import Feed
from cds.domain.hold import Hold
from cds.domain.subscription import Notice, Subscription
from cds.listening.listening import listen
from cds.listening.parts import Listening
from cds.settings import Settings
from cds.store.fhir_feeds import feeds
from cds.store.fhir_notices import NoticeQueue
from cds.store.fhir_subscriptions import subscriptions
from cds.store.fhir_tables import SeenResourceRow
from cds.store.holds import open_holds
from cds.store.safety_tables import FinalReportRow
from cds.store.tables import StudyEventRow, TimelineRow
from cds.store.values import parse
from cds.web import auth, errors
from cds.web import subscriptions as routes
from tests.contract.news_peer import NOON, Ehr
from tests.databases import Databases

Json = dict[str, Any]

TOPICS = {
    "ImagingStudy": "http://ehr.example/topics/imaging-study",
    "DiagnosticReport": "http://ehr.example/topics/report",
}
SYSTEMS = {"https://hospital.example/mrn": "HOSP"}
#: Our clock and the server's differ.
AHEAD = timedelta(minutes=2)


@dataclass
class MovingClock:
    """Time that a test moves."""

    at: datetime = NOON + AHEAD

    def now(self) -> datetime:
        return self.at

    def today(self) -> date:
        return self.at.date()


@dataclass
class Site:
    """One worker and one door over one database; `start_again` is the worker after a crash."""

    databases: Databases
    ehr: Ehr
    clock: MovingClock
    settings: Settings
    line: Listening = field(init=False)
    clients: list[FhirClient] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start_again()

    def __enter__(self) -> Site:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for client in self.clients:
            client.close()

    def start_again(self) -> None:
        """A new process: it knows what is in the tables, and nothing else."""
        self.line = self.another_worker()

    def another_worker(self) -> Listening:
        """A second one, of the same site."""
        source = self.settings.fhir_sources["ehr"]
        client = open_client("ehr", source, SmartKeys(()), sleep=lambda seconds: None)
        self.clients.append(client)
        return listening(self.settings, self.databases.app, self.clock, "ehr", client)

    def look(self, *, after: float = 0.0, times: int = 1) -> None:
        """The worker looks, so many seconds later; time goes on at the server too."""
        for _ in range(times):
            self.clock.at += timedelta(seconds=after)
            self.ehr.now = max(self.ehr.now, self.clock.at - AHEAD)
            listen(self.line)

    def reconfigured(self, **members: object) -> None:
        """The site's settings change, and the worker starts anew."""
        source = self.settings.fhir_sources["ehr"].model_copy(update=members)
        self.settings = self.settings.model_copy(update={"fhir_sources": {"ehr": source}})
        self.start_again()

    # --- what became of it

    @property
    def announced(self) -> list[StudyEvent]:
        """The events that were filed, oldest first."""
        with self.databases.app.reading() as session:
            rows = session.exec(select(StudyEventRow)).all()
        return [parse(StudyEvent, row.body) for row in sorted(rows, key=lambda row: row.received_at)]

    @property
    def uids(self) -> list[str]:
        """The studies that were announced, as often as they were."""
        return sorted(event.study_instance_uid or "" for event in self.announced)

    @property
    def reports(self) -> list[Json]:
        """The radiologists' reports that were filed."""
        with self.databases.app.reading() as session:
            return [parse(Json, row.body) for row in session.exec(select(FinalReportRow)).all()]

    @property
    def timeline(self) -> list[str]:
        """What the timeline says, without its details."""
        with self.databases.app.reading() as session:
            return [f"{row.step}: {row.outcome}" for row in session.exec(select(TimelineRow)).all()]

    @property
    def seen(self) -> list[str]:
        """The versions that were taken."""
        with self.databases.app.reading() as session:
            rows = session.exec(select(SeenResourceRow)).all()
        return sorted(f"{row.type}/{row.id}/{row.version}" for row in rows)

    @property
    def holds(self) -> Sequence[Hold]:
        """What waits for a person."""
        return open_holds(self.databases.app)

    @property
    def waiting(self) -> list[Notice]:
        """What is not worked off."""
        return [notice for notice, _ in NoticeQueue(self.databases.app).waiting()]

    @property
    def subscription(self) -> Subscription:
        """The only one."""
        (one,) = subscriptions(self.databases.app)
        return one

    def feed(self, resource_type: str = "ImagingStudy") -> Feed:
        """How far a type was read."""
        (found,) = [one for one in feeds(self.databases.app) if one.resource_type == resource_type]
        return found


def study(number: int = 1, **members: object) -> Json:
    """A CT whose images are there."""
    return {
        "resourceType": "ImagingStudy",
        "id": f"is{number}",
        "status": "available",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:1.2.840.{number}"}],
        "subject": {"reference": "Patient/p1"},
        "started": "2026-11-20T09:50:00Z",
        "series": [{"uid": f"1.2.840.{number}.1", "modality": {"code": "CT"}, "numberOfInstances": 100}],
        **members,
    }


@dataclass(frozen=True)
class Door:
    """Where the site is notified."""

    url: str

    def post(self, path: str, body: bytes | Json | None, secret: str = "", **headers: str) -> httpx.Response:
        """A notification as anybody could send it."""
        proof = {"Authorization": f"Bearer {secret}"} if secret else {}
        given = {"Content-Type": "application/fhir+json", **proof, **headers}
        content = body if isinstance(body, bytes) else None
        json = None if isinstance(body, bytes) else body
        return httpx.request("POST", f"{self.url}{path}", content=content, json=json, headers=given)


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """No access log."""


@dataclass(frozen=True)
class _Services:
    notified: Notifications


@contextmanager
def door(settings: Settings, databases: Databases, clock: MovingClock, port: int = 0) -> Iterator[Door]:
    """The route for notifications with the checks before it and the errors behind it, as the web role has them."""
    app = Flask(__name__, static_folder=None, template_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=4 * 1024 * 1024, PROVIDE_AUTOMATIC_OPTIONS=False)
    errors.install(app, operation_outcome)
    auth.install(app, "the token of everything else")
    app.register_blueprint(routes.blueprint(_Services(notifications(settings, databases.app, clock))))
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Door(f"http://127.0.0.1:{server.port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

"""An installation with everything that operations look at, its pages, and browsers of several people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds import bootstrap, intake
from cds.bootstrap import Stores
from cds.bootstrap.hl7 import message_log, reader
from cds.bootstrap.ui_operations import operations
from cds.domain.hold import HoldKind
from cds.domain.report import DeliveryKind
from cds.errors import Unauthorized
from cds.settings import Settings
from cds.store import holds
from cds.store.deliveries import enqueue
from cds.store.studies import StudyStore
from cds.ui.people import LetIn, PeopleServices, Person, Role
from cds.ui.services import UiServices
from cds.web.ui import cookies
from cds.web.ui.app import create_ui
from tests.contract.message_log_contract import message
from tests.contract.store_contract import NOW, instance
from tests.databases import fresh

#: No authority in PID-3.4 and none configured: nobody can know whose it is.
ADMISSION = (
    b"MSH|^~\\&|LAB|HOSP|||20261120100000+0000||ADT^A04^ADT_A01|7|P|2.5.1\rPID|1||P7^^^^MR||Geheim^Tom||19600302|M\r"
)
RESULT = (
    b"MSH|^~\\&|SIGHTLINE|SITE|EHR|SITE|20261120100000+0000||ORU^R01^ORU_R01|0A1B2C3D|P|2.5.1\r"
    b"PID|1||4711^^^HOSP^MR||Geheim^Tom||19600302|M\r"
)
SECRET_WEBHOOK = "https://chat.example/hooks/T0SECRET"
PEOPLE = {
    "engineer": Person("ada", "Ada", frozenset({Role.ENGINEER})),
    "auditor": Person("aud", "Aud", frozenset({Role.AUDITOR})),
    "radiologist": Person("rad", "Rad", frozenset({Role.RADIOLOGIST})),
    "clinician": Person("cli", "Cli", frozenset({Role.CLINICIAN})),
    "coordinator": Person("coo", "Coo", frozenset({Role.COORDINATOR})),
    "administrator": Person("adm", "Adm", frozenset({Role.ADMINISTRATOR})),
    "launched": Person("Practitioner/1", "Launched", frozenset({Role.CLINICIAN, Role.ENGINEER}), "p-random"),
}


@dataclass
class MovedClock:
    """A clock that tests move."""

    at: datetime = NOW + timedelta(hours=2)

    def now(self) -> datetime:
        """See the port."""
        return self.at

    def today(self) -> date:
        """See the port."""
        return self.at.date()


class Page(HTMLParser):
    """What a page says: words, headings, rows of tables, links, and forms with their fields."""

    def __init__(self, response: TestResponse) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.headings: list[str] = []
        self._open: list[str] = []
        self.feed(response.get_data(as_text=True))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.elements.append((tag, given))
        self._open.append(tag)
        if tag == "tr":
            self.rows.append("")
        if tag == "form":
            self.forms.append({"@action": given.get("action") or ""})
        if tag == "input" and self.forms:
            self.forms[-1][given.get("name") or ""] = given.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if words := " ".join(data.split()):
            self.words.append(words)
            if "tr" in self._open:
                self.rows[-1] += f"{words} "
            if "h1" in self._open:
                self.headings.append(words)

    @property
    def text(self) -> str:
        """All words."""
        return " ".join(self.words)

    def row(self, beginning: str) -> str:
        """The only row that begins so."""
        (found,) = [row for row in self.rows if row.startswith(beginning)]
        return found

    def addresses(self) -> set[str]:
        """Where links and forms lead."""
        return {str(a.get("href") or a.get("action")) for tag, a in self.elements if tag in ("a", "form")}


@dataclass
class Site:
    """The installation: its tables, its pages, and what is in it."""

    settings: Settings
    held: Stores
    clock: MovedClock
    app: Flask
    services: UiServices
    hold: str = ""
    message_hold: str = ""
    delivery: str = ""

    def browser(self, who: str = "") -> Browser:
        """Somebody's browser; nobody's without a name."""
        client = self.app.test_client()
        if who:
            client.set_cookie(cookies.named(self.settings, cookies.SESSION), who)
        return Browser(client)

    def audited(self, action: str) -> list[tuple[str, tuple[str, ...]]]:
        """Who did this, and the details, oldest first."""
        return [(one.actor, one.detail) for one in self.held.audit.search() if one.action == action]


@dataclass
class Browser:
    """Opens pages and sends their forms, with the token that the page brought."""

    client: FlaskClient
    token: str = ""

    def open(self, path: str, status: int = 200) -> Page:
        """A page."""
        response = self.client.get(path)
        assert response.status_code == status, response.get_data(as_text=True)
        page = Page(response)
        self.token = next((str(a["content"]) for t, a in page.elements if t == "meta" and a.get("name") == "csrf"), "")
        return page

    def send(self, path: str, status: int = 303, **form: object) -> Page:
        """A form of the site; follows where it leads when it was taken."""
        self.token = self.token or self._any_token()
        response = self.client.post(path, data={"csrf_token": self.token, **{k: str(v) for k, v in form.items()}})
        assert response.status_code == status, response.get_data(as_text=True)
        return self.open(response.headers["Location"]) if status == 303 else Page(response)

    def _any_token(self) -> str:
        self.open("/operations/audit", 200)
        return self.token


def site(tmp_path: Path) -> Site:
    """A site with a held study, a quarantined message, a refused delivery and one that waits."""
    with fresh(tmp_path / "data"):
        pass
    made = again(
        tmp_path,
        oru_destinations={"ehr": {"host": "127.0.0.1", "port": 9}},
        alarm_webhook_url=SECRET_WEBHOOK,
        model_modes={"ct_lung_density": "advisory"},
    )
    _fill(made)
    return made


def again(tmp_path: Path, **settings: object) -> Site:
    """The same data folder, under these settings."""
    found = Settings(**{"data_dir": tmp_path / "data", "time_zone": "Europe/Berlin", **settings})
    held, clock = bootstrap.stores(found, durable=True), MovedClock()
    services = UiServices(
        settings=found,
        clock=clock,
        people=people(),
        audit=held.audit,
        form_key=lambda: bytes(32),
        whose=lambda public_id: "",
        is_ready=lambda: True,
        operations=operations(found, held, clock),
    )
    return Site(found, held, clock, create_ui(services), services)


def people() -> PeopleServices:
    """The people above; the secret of a session is who it is."""

    def session(token: str, acts: bool) -> Person:
        if token not in PEOPLE:
            raise Unauthorized("no such session")
        return PEOPLE[token]

    return PeopleServices(
        session=session, by_password=lambda name, password: LetIn(name), sign_out=lambda token: None,
        any_local=lambda: True,
    )  # fmt: skip


def _fill(made: Site) -> None:
    held = made.held
    studies = StudyStore(held.database, assigning_authority="HOSP", accession_issuer="RIS")
    studies.add(instance("1.2.1"), received_at=NOW, consumed=True, source="dicom")
    with held.database.writing() as session:
        holds.put(session, "k", HoldKind.MATCH_IN_DOUBT, "it is in doubt", NOW, study_uid="1.2")
        for key, destination in (("ehr-1", "ehr"), ("ehr-2", "ehr")):
            enqueue(
                session, delivery_id=key, destination=destination, kind=DeliveryKind.REPORT, payload=RESULT, now=NOW,
                study_uid="1.2.840.1", patient_id="random-7",
            )  # fmt: skip
    held.deliveries.begin("ehr-1", NOW)
    held.deliveries.refused("ehr-1", "AE, condition 101 at PID^1^3", NOW)
    log = message_log(made.settings)
    (kept,) = log.append([message("7", ADMISSION, message_type="ADT", trigger_event="A04")])
    intake.apply_next(log, reader(made.settings), held.record, made.clock)
    log.append([message("8", b"MSH|^~\\&|RIS|HOSP\r", received_at=NOW + timedelta(hours=1))])
    made.hold, made.delivery = holds.short_id("k"), holds.short_id("ehr-1")
    made.message_hold = holds.short_id(f"message:{kept.id}")

"""A Sightline on loopback whose study page an EHR launches: real stores, real routes, a clock that tests move."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
from flask import Flask
from werkzeug.serving import make_server

from cds.bootstrap import Stores, stores
from cds.bootstrap.ui import ui_services
from cds.domain.audit import AuditEvent
from cds.domain.coding import Quantity
from cds.domain.identity import Identifier, Patient
from cds.domain.matching import Match, MatchState
from cds.domain.message import LoggedMessage, MessageContent, RecordValue
from cds.domain.report import Audience, Decision, Mode, Release, Report
from cds.domain.resource import Encode
from cds.settings import Settings
from cds.store.record import RecordStore
from cds.web.ui.app import create_ui
from tests.contract import web_peer
from tests.contract.closing import close_quiet
from tests.contract.critical_site import MovedClock
from tests.contract.ehr_wire import SYSTEM, person
from tests.contract.fhir_wire import FhirWire
from tests.contract.smart_peer import CLIENT_ID, SECRET, LaunchingEhr, launching
from tests.contract.store_contract import NOW, PATIENT, instance, raw
from tests.databases import Databases, fresh
from tests.unit.clinical import DAILY, PACK_YEARS, SMOKING, density

STUDY = "1.2"
BORN = "1960-03-02"
#: The patient of the store's tests, and another one, as the EHR has them.
TINA = person("p1", "P1", birthDate=BORN, gender="female")
BERTA = person("p2", "P2", birthDate=BORN, gender="female")
_HABITS = (
    RecordValue("observation", "smoking", SMOKING, DAILY, date(2026, 9, 1), "final"),
    RecordValue("observation", "years", PACK_YEARS, Quantity(38.0, "{pack-years}"), date(2026, 9, 1), "final"),
)


def nothing_to_send() -> Encode:
    """Nothing leaves this site."""
    return Encode(
        resources=lambda report: [],
        deliveries=lambda report, held: [],
        withdraw=lambda body, patient_id: (_ for _ in ()).throw(AssertionError("nothing is emitted here")),
        retract=lambda report, destination, reason: None,
        made=lambda destination, payload: (),
    )


@dataclass
class SmartSite:
    """The server, the EHR that launches it, and a browser of a clinician."""

    url: str
    wire: FhirWire
    ehr: LaunchingEhr
    held: Stores
    clock: MovedClock
    browser: httpx.Client
    _revision: Iterator[int] = field(default_factory=lambda: iter(range(10, 99)))

    @property
    def iss(self) -> str:
        """What the EHR launches with."""
        return self.wire.url

    def patient(self, number: str = "P1") -> Patient:
        """A patient as the record knows her."""
        found = self.held.record.patient(Identifier(number, "HOSP"))
        assert found is not None
        return found

    def report(self, number: str | None = "P1", state: MatchState = MatchState.MATCHED) -> str:
        """Another instance arrives and the study is reported as a patient's; answers its public id."""
        at = NOW + timedelta(hours=next(self._revision))
        self.held.studies.add(instance(f"1.2.{at.hour}"), received_at=at, consumed=True, source="dicom")
        [work] = close_quiet(self.held.database, at)
        who = self.patient(number) if number else None
        made = Report(
            work=work,
            version=0,
            study=self.held.studies.study(STUDY),
            match=Match(state, ("test",), None, who.id if who else None),
            patient=who,
            order=None,
            outcomes=(density(),),
            ehr=None,
            decision=Decision((), Release(frozenset(Audience)), at.date()),
            issued=at,
        )
        self.held.reports.commit(made, nothing_to_send(), at)
        return made.study.public_id

    def launch(self, **params: str) -> httpx.Response:
        """The click on the card's link, to its end."""
        given = {"iss": self.iss, "launch": "launch-1"} | params
        return self.browser.get(f"{self.url}/smart/launch", params=given, follow_redirects=True)

    def callback(self) -> str:
        """A launch up to the EHR's answer: where it sends the browser back to."""
        begun = self.browser.get(f"{self.url}/smart/launch", params={"iss": self.iss, "launch": "launch-1"})
        return httpx.get(begun.headers["Location"]).headers["Location"]

    def get(self, path: str) -> httpx.Response:
        """What the browser sees at a path."""
        return self.browser.get(f"{self.url}{path}")

    def views(self) -> list[AuditEvent]:
        """What the audit log has of people who looked at pages."""
        return [one for one in self.held.audit.search() if "viewed" in one.action]


@dataclass
class _Late:
    """An application that is made once its address is known: the EHR has to know where it sends a browser back to."""

    app: Flask | None = None

    def __call__(self, *call: Any) -> Any:
        assert self.app is not None
        return self.app(*call)


def _settings(url: str, wire: FhirWire, folder: Path, changes: Mapping[str, Any]) -> Settings:
    secret = folder / "secret"
    secret.write_text(SECRET, encoding="utf-8")
    app = {"client_id": CLIENT_ID} | ({"client_secret_file": secret} if changes.get("confidential") else {})
    given: dict[str, Any] = {
        "data_dir": folder / "data",
        "ui_url": url,
        "assigning_authority": "HOSP",
        "accession_issuer": "RIS",
        "identifier_systems": {SYSTEM: "HOSP"},
        "model_modes": {"ct_lung_density": Mode.ADVISORY},
        "pathway_modes": {"emphysema": Mode.ADVISORY},
        "release": {"ehr": "immediate", "referral": "immediate"},
        "site_options": {"emphysema.laa_950_percent": "5"},
        "smart_apps": {wire.url: app},
    }
    return Settings(**{**given, **{name: value for name, value in changes.items() if name != "confidential"}})


@contextmanager
def serving(folder: Path, ehr: LaunchingEhr | None = None, **changes: Any) -> Iterator[SmartSite]:
    """A site with two patients and one reported study of the first of them."""
    ehr = ehr or LaunchingEhr(TINA)
    with ExitStack() as stack:
        wire = stack.enter_context(launching(ehr))
        databases = stack.enter_context(fresh(folder / "data"))
        _people(databases)
        late = _Late()
        server = make_server("127.0.0.1", 0, late, threaded=True, request_handler=web_peer._Quiet)
        stack.callback(server.server_close)
        url = f"http://127.0.0.1:{server.port}"
        settings = _settings(url, wire, folder, {**changes, "confidential": ehr.confidential})
        held, clock = stores(settings), MovedClock(NOW + timedelta(days=2))
        stack.callback(held.database.dispose)
        late.app = create_ui(ui_services(settings, held, clock))
        ehr.redirect_uri = f"{url}/smart/callback"
        _run(stack, server)
        site = SmartSite(url, wire, ehr, held, clock, stack.enter_context(httpx.Client(timeout=20)))
        ehr.app_context = json.dumps({"study": site.report()})
        yield site


def _run(stack: ExitStack, server: Any) -> None:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    stack.callback(thread.join)
    stack.callback(server.shutdown)


def _people(databases: Databases) -> None:
    record = RecordStore(databases.app)
    berta = replace(PATIENT, identifiers=(Identifier("P2", "HOSP"),))
    record.apply([(LoggedMessage(1, raw("1")), MessageContent(PATIENT, values=_HABITS))], NOW)
    record.apply([(LoggedMessage(2, raw("2")), MessageContent(berta))], NOW)

"""An installation with studies, reports and a screening exam, its study pages, and browsers of several people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds.bootstrap import Stores, stores
from cds.bootstrap.ui_second_reader import second_reader
from cds.bootstrap.ui_study import study
from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, ModelOutcome, NotEvaluated, Presence
from cds.domain.identity import Identifier
from cds.domain.imaging import StoredInstance
from cds.domain.matching import Match, MatchState
from cds.domain.message import LoggedMessage, MessageContent
from cds.domain.recommendation import Advice, Indicator, InputUsed, Recommendation, RiskResult, Source
from cds.domain.report import Audience, Decision, Release, Report
from cds.domain.revision import Revision, Work
from cds.domain.verification import Agreement, Comparison, FinalReport
from cds.errors import Unauthorized
from cds.settings import Settings
from cds.store.public_ids import study_uid
from cds.store.tables import ReportRow
from cds.store.values import dump
from cds.ui.people import LetIn, PeopleServices, Person, Role
from cds.ui.services import UiServices
from cds.web.ui import cookies
from cds.web.ui.app import create_ui
from tests.contract.closing import close_quiet
from tests.contract.store_contract import NOW, PATIENT, instance, raw
from tests.databases import Databases

SCREENING, CT, PRIOR = "1.7", "1.2", "1.1"
MAMMO = "mammo"
SOURCE = Source("Guideline of a test", "https://doi.org/10.1000/test")
VOLUME = Finding(
    "volume", Coding("s", "v", "Volume"), Presence.MEASURED, Quantity(4.0, "mL"), gates=("kernel: soft tissue",)
)
BLEED = Finding("bleed", Coding("s", "b", "Bleed"), Presence.PRESENT, threshold=Quantity(0.5, "1"), confidence=0.93)
FRACTURE = Finding("fracture", Coding("s", "f", "Fracture"), Presence.NOT_DETECTED, threshold=Quantity(0.5, "1"))
FOUND = Findings("m", "1", "1.2.1", (VOLUME, BLEED, FRACTURE), limits=("Not made for children.",))
REFUSED = NotEvaluated("other", "2", ("the slices are too thick",), "thickness")
SUSPICIOUS = Findings(
    MAMMO,
    "3.1",
    "1.7.1",
    (
        Finding("mass", Coding("s", "mass", "Suspicious mass"), Presence.PRESENT, laterality="left", confidence=0.81),
        Finding("mass-2", Coding("s", "mass", "Suspicious mass"), Presence.NOT_DETECTED, laterality="right"),
    ),
)
RISK = RiskResult(
    "score",
    "Score of a test",
    SOURCE,
    "stroke",
    "12 %",
    horizon_years=10,
    inputs=(InputUsed("age", "66 years", date(2026, 3, 2), "HL7 ADT"),),
)
ADVICE = Advice(
    "pathway",
    "Pathway of a test",
    "A summary for the reader",
    Indicator.WARNING,
    SOURCE,
    (Recommendation("step", "Order a repeat CT", Coding("s", "r"), "Because it grew.", SOURCE, by=date(2027, 2, 1)),),
    (InputUsed("creatinine", "88 umol/L", date(2026, 10, 1), "HL7 LAB"),),
    ("volume",),
    risks=(RISK,),
)
FINAL = FinalReport(
    Identifier("A1", "RIS"), Identifier("P1", "HOSP"), "final", NOW, "HL7 RIS|HOSP", NOW, (), "No bleed is seen.", "R1",
    id="report-1",
)  # fmt: skip


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


def settings_of(folder: Path, **changes: Any) -> Settings:
    """A site where both models speak, findings are released at once, and one model reads beside a person."""
    values: dict[str, Any] = {
        "data_dir": folder,
        "assigning_authority": "HOSP",
        "accession_issuer": "RIS",
        "insecure": True,
        "model_modes": {"m": "advisory", "other": "advisory", MAMMO: "advisory"},
        "pathway_modes": {"pathway": "advisory"},
        "release": {"ehr": "immediate", "referral": "immediate"},
        "second_readers": {MAMMO: {}},
    }
    return Settings(**{**values, **changes})


@dataclass
class Site:
    """One installation: its stores and its pages. `public` are the public ids of its studies by their UID."""

    settings: Settings
    held: Stores
    clock: MovedClock
    services: UiServices
    app: Flask
    patient_id: str
    public: dict[str, str]

    def browser(self, *roles: Role, user: str = "rad", patient_id: str = "") -> FlaskClient:
        """Somebody with these roles; nobody without one. `patient_id`: an EHR opened the pages for one patient."""
        client = self.app.test_client()
        if roles:
            client.set_cookie(
                cookies.named(self.settings, cookies.SESSION), f"{user}/{'+'.join(sorted(roles))}/{patient_id}"
            )
        return client

    def address(self, uid: str, more: str = "") -> str:
        """The address of a study's page."""
        return f"/studies/{self.public[uid]}{more}"


def site(databases: Databases, clock: MovedClock | None = None, **changes: Any) -> Site:
    """A patient with a CT, an earlier one, and a screening exam; the first two are reported."""
    settings, clock = settings_of(databases.data_dir, **changes), clock or MovedClock()
    held = stores(settings)
    held.record.apply([(LoggedMessage(1, raw("1")), MessageContent(PATIENT))], NOW)
    for uid, modality, day in (
        (PRIOR, "CT", date(2025, 11, 20)),
        (CT, "CT", NOW.date()),
        (SCREENING, "MG", NOW.date()),
    ):
        held.studies.add(_image(uid, modality, day), received_at=NOW, consumed=True, source="dicom")
    works = {work.study_instance_uid: work for work in close_quiet(databases.app, NOW + timedelta(hours=1))}
    earlier = replace(FOUND, findings=(replace(VOLUME, value=Quantity(3.0, "mL")),))
    report(held, works[PRIOR], (earlier,))
    report(held, works[CT], (FOUND, REFUSED), said=(ADVICE,), final=FINAL)
    held.works.save_outcome(works[SCREENING], SUSPICIOUS, NOW)
    report(held, works[SCREENING], (SUSPICIOUS,))
    services = services_of(settings, held, clock)
    app = create_ui(services)
    app.config["WTF_CSRF_ENABLED"] = False
    patient_id = held.record.patient(Identifier("P1", "HOSP")).id or ""
    public = {uid: held.studies.study(uid).public_id for uid in works}
    return Site(settings, held, clock, services, app, patient_id, public)


def report(
    held: Stores,
    work: Work,
    outcomes: Sequence[ModelOutcome],
    *,
    said: tuple[Advice, ...] = (),
    final: FinalReport | None = None,
    version: int = 1,
) -> None:
    """A report of a study as its work left it, with the model's answers kept beside it."""
    uid = work.study_instance_uid
    for outcome in outcomes:
        held.works.save_outcome(work, outcome, NOW)
    study_, patient = held.studies.study(uid), held.record.patient(Identifier("P1", "HOSP"))
    comparisons = (Comparison("m.bleed", Agreement.DISCORDANT, "the report says otherwise"),) if final else ()
    names = {f"{o.model}.{f.key}" for o in outcomes if isinstance(o, Findings) for f in o.findings}
    decision = Decision(
        said,
        Release(frozenset(Audience), findings=dict.fromkeys(names, frozenset(Audience))),
        NOW.date(),
        comparisons,
    )
    made = Report(
        work=Work("dicom", uid, Revision(1, 1, 1)),
        version=version,
        study=study_,
        match=Match(MatchState.MATCHED, ("test",), patient_id=patient.id),
        patient=patient,
        order=None,
        outcomes=tuple(outcomes),
        ehr=None,
        decision=decision,
        issued=NOW,
        final_report=final,
    )
    with held.database.writing() as session:
        session.add(
            ReportRow(
                work_id=f"{work.id}v{version}",
                study_uid=uid,
                version=version,
                patient_id=patient.id,
                body=dump(Report, made),
                issued=NOW,
            )
        )


def services_of(settings: Settings, held: Stores, clock: MovedClock) -> UiServices:
    """What the pages are given; who looks stands in the cookie."""
    return UiServices(
        settings=settings,
        clock=clock,
        people=PeopleServices(_session, _no_password, lambda _: None, lambda: True),
        audit=held.audit,
        form_key=lambda: b"0" * 32,
        whose=lambda public_id: _owner(held, public_id),
        is_ready=lambda: True,
        study=study(settings, held, clock),
        second_reader=second_reader(settings, held, clock),
    )


def _owner(held: Stores, public_id: str) -> str:
    found = held.reports.latest_of_study(study_uid(held.database, public_id))
    return found.patient.id or "" if found and found.patient else ""


def _image(uid: str, modality: str, day: date) -> StoredInstance:
    made = instance(f"{uid}.9", study=uid, accession={CT: "A1", PRIOR: "A0"}.get(uid, "A7"))
    return replace(made, header=replace(made.header, modality=modality, study_date=day))


def _session(token: str, _is_active: bool) -> Person:
    user, roles, patient_id = token.split("/")
    return Person(user, user.capitalize(), frozenset(map(Role, roles.split("+"))), patient_id or None)


def _no_password(_name: str, _password: str) -> LetIn:
    raise Unauthorized("nobody signs in by password here")


class Page(HTMLParser):
    """What a page is made of: its words, headings, badges, tables, links, forms and the elements themselves."""

    def __init__(self, response: TestResponse) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[str] = []
        self.headings: list[str] = []
        self.forms: list[tuple[str, dict[str, str]]] = []
        self._open: list[str] = []
        self.feed(response.get_data(as_text=True))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One element begins."""
        given = dict(attrs)
        self.elements.append((tag, given))
        if tag not in ("input", "meta", "link", "br", "img", "line", "circle", "polyline"):
            self._open.append(tag)
        if tag == "tr":
            self.rows.append("")
        if tag == "form":
            self.forms.append((given.get("action") or "", {}))
        if tag in ("input", "select", "button") and self.forms and given.get("name"):
            self.forms[-1][1].setdefault(str(given["name"]), given.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        """It ends, with those in it that have no end."""
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Words."""
        if not (words := " ".join(data.split())):
            return
        self.words.append(words)
        if self._open and self._open[-1] in ("h1", "h2", "h3", "h4"):
            self.headings.append(words)
        if "tr" in self._open:
            self.rows[-1] = f"{self.rows[-1]} {words}".strip()

    @property
    def text(self) -> str:
        """All words."""
        return " ".join(self.words)

    def form(self, ending: str, **wanted: str) -> dict[str, str]:
        """The fields of the first form that leads to such an address and has these values."""
        return next(
            fields
            for action, fields in self.forms
            if action.endswith(ending) and all(fields.get(name) == value for name, value in wanted.items())
        )

    def links(self) -> set[str]:
        """Where links lead."""
        return {str(given.get("href")) for tag, given in self.elements if tag == "a"}

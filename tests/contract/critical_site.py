"""A site with routes for critical results over a real database: what the pipeline's line gives to the alerting step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from cds.domain.coding import Coding
from cds.domain.critical import CriticalNotice, Tell
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.follow_up import Acceptance
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.imaging import InstanceHeader, StoredInstance
from cds.domain.matching import Match, MatchState
from cds.domain.message import LoggedMessage, MessageContent
from cds.domain.order import OrderChange, OrderStatus, ServiceRequest
from cds.domain.report import Mode
from cds.domain.revision import Work
from cds.domain.switch import SwitchKind
from cds.domain.verification import FinalReport, Verification
from cds.settings import Settings
from cds.store.criticals import CriticalStore
from cds.store.record import RecordStore
from cds.store.studies import StudyStore
from cds.store.works import WorkStore
from tests.contract.closing import close_quiet
from tests.contract.store_contract import raw
from tests.databases import Databases

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
MODEL, FINDING = "ct_head", "ct_head.bleed"
BLEED = Finding("bleed", Coding("http://snomed.info/sct", "1386000", "Intracranial hemorrhage"), Presence.PRESENT)
PATIENT = Patient((Identifier("P1", "HOSP"),), HumanName("Unmistakable", "Tina"), date(1960, 3, 2), Sex.FEMALE)
ORDER = ServiceRequest(
    Identifier("PL1", "EHR"), None, Identifier("A1", "RIS"), PATIENT.identifiers[0], OrderStatus.ACTIVE,
    requested_at=NOW,
)  # fmt: skip
ROUTES = {
    "first": {"recipient": "Duty radiologist", "channel": "mail", "mail_to": "duty@site.example",
              "minutes": (15, 240, 2880), "escalate_to": "second"},
    "second": {"recipient": "Head of radiology", "channel": "webhook", "webhook_url": "http://127.0.0.1:9/hook",
               "minutes": (5, 60, 1440)},
}  # fmt: skip


def settings(**changes: object) -> Settings:
    """A site with two routes whose head model is advisory."""
    given = {
        "critical_findings": {FINDING: 1},
        "critical_routes": ROUTES, "critical_route": "first", "smtp_host": "127.0.0.1", "site_name": "Sample Hospital",
        "model_modes": {MODEL: Mode.ADVISORY}, "base_url": "https://sightline.example",
    }  # fmt: skip
    return Settings(**{**given, **changes})


@dataclass
class MovedClock:
    """A clock that tests move."""

    at: datetime = NOW

    def now(self) -> datetime:
        return self.at

    def today(self) -> date:
        return self.at.date()

    def forward(self, **how: float) -> None:
        self.at += timedelta(**how)


@dataclass
class Off:
    """What is switched off."""

    names: set[tuple[SwitchKind, str]] = field(default_factory=set)

    def off(self, kind: SwitchKind, name: str) -> bool:
        return (kind, name) in self.names


@dataclass
class Said:
    """What radiologists said."""

    given: tuple[Verification, ...] = ()

    def verifications(self, study_uid: str, image_revision: int) -> tuple[Verification, ...]:
        return self.given

    def read_models(self, study_uid: str, image_revision: int) -> frozenset[str]:
        return frozenset()

    def acceptances(self, study_uid: str, patient_id: str) -> tuple[Acceptance, ...]:
        return ()

    def final_report(
        self, accession: Identifier, patient_id: str, *, made: datetime | date | None = None
    ) -> FinalReport | None:
        return None


def plainly(notice: CriticalNotice, delivery_id: str) -> bytes:
    """A message that shows what a route was given."""
    who = notice.patient.name.family if notice.patient else "nobody"
    accession = notice.order.accession.value if notice.order and notice.order.accession else ""
    return "\n".join((delivery_id, f"patient {who}", f"order {accession}", *notice.lines, notice.found_by)).encode()


class CriticalSite:
    """The line of one site, with a study of one bleed in it."""

    def __init__(self, databases: Databases, **changes: object) -> None:
        self.databases = databases
        self.settings = settings(**changes)
        self.clock = MovedClock()
        self.studies = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS")
        self.record = RecordStore(databases.app)
        self.works = WorkStore(databases.app)
        self.criticals = CriticalStore(databases.app)
        self.switches = Off()
        self.opinions = Said()
        self.tell: Mapping[str, Tell] = dict.fromkeys(self.settings.critical_routes, plainly)
        self._instances = 0
        self._messages = 0

    def work(self, *findings: Finding, match: Match | None = None, made: datetime | None = NOW) -> Work:
        """Images arrive and are complete; the model found something in them; they match so."""
        self._instances += 1
        header = InstanceHeader(
            f"1.2.3.{self._instances}", "1.2.840.10008.5.1.4.1.1.2", "1.2.9", "1.2", "1.2.840.10008.1.2.1", "CT",
            patient_id="P1", issuer_of_patient_id="HOSP", accession_number="A1", issuer_of_accession_number="RIS",
            study_date=made.date() if made else None, study_time=made.strftime("%H%M%S") if made else "",
        )  # fmt: skip
        stored = StoredInstance(header, f"files/{self._instances}", f"{self._instances:064}", 10)
        self.studies.add(stored, received_at=self.clock.now(), consumed=True, source="dicom")
        close_quiet(self.databases.app, self.clock.now() + timedelta(minutes=1))
        work = self.works.work(self.works.pending()[-1].id)
        return self.step(work, *findings, match=match)

    def again(self, *, match: Match, findings: tuple[Finding, ...] = (BLEED,)) -> Work:
        """The study is matched again: the same findings, the next match revision."""
        from cds.store.studies import rematch

        with self.databases.app.writing() as session:
            rematch(session, "1.2", "for a test", self.clock.now())
        newest = max((self.works.work(w.id) for w in self.works.pending()), key=lambda w: w.revision)
        return self.step(newest, *findings, match=match)

    def step(self, work: Work, *findings: Finding, match: Match | None) -> Work:
        """What the steps before found."""
        found = Findings(MODEL, "1.0", "1.2.9", findings or (BLEED,))
        self.works.save_outcome(work, found, self.clock.now())
        said = match or Match(MatchState.UNMATCHED, ("no order has this accession number and issuer",))
        self.works.save_step(work, "match", Match, said, self.clock.now(), outcome=said.state.value)
        return work

    def matched(self, patient: Patient = PATIENT, *, test: bool = False) -> Match:
        """An order of a patient is in the record; images match it."""
        self._messages += 1
        name = Identifier(f"A{self._messages}", "RIS")
        number = Identifier(f"PL{self._messages}", "EHR")
        order = replace(ORDER, accession=name, placer_order_number=number, patient=patient.identifiers[0], test=test)
        content = MessageContent(patient, orders=(OrderChange(order, "NW"),))
        self.record.apply([(LoggedMessage(self._messages, raw(str(self._messages))), content)], self.clock.now())
        [(stored, owner)] = self.record.order_candidates(name.value)
        return Match(MatchState.MATCHED, ("accession number and issuer agree",), stored.id, owner.id)

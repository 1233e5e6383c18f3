"""A patient with two follow-ups, the results that come later, and the coordinator who cares for them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from sqlmodel import Session, select

from cds import action_codes as actions
from cds.bootstrap import Stores
from cds.bootstrap.follow_up_care import care_line, coordinator
from cds.domain.coding import Coding
from cds.domain.follow_up import FollowUp
from cds.domain.identity import Identifier, Patient
from cds.domain.message import LoggedMessage, MessageContent, RecordValue
from cds.domain.order import OrderChange, OrderStatus, ServiceRequest
from cds.domain.recommendation import Recommendation, Source
from cds.domain.verification import FinalReport
from cds.following_up import Looking
from cds.settings import Settings
from cds.store.audit import AuditStore
from cds.store.criticals import CriticalStore
from cds.store.deliveries import DeliveryStore
from cds.store.follow_up_list import FollowUpList
from cds.store.opinions import OpinionStore
from cds.store.record import RecordStore
from cds.store.reports import SqlReportStore
from cds.store.resources import SqlResourceStore
from cds.store.studies import StudyStore
from cds.store.switches import SwitchStore
from cds.store.tables import DeliveryRow
from cds.store.works import WorkStore
from tests.contract.acceptances_contract import Site
from tests.contract.store_contract import NOW, instance, raw
from tests.databases import Databases

FLEISCHNER = Source("Fleischner 2017", "https://doi.org/10.1148/radiol.2017161659")
DUE, ASKED_FROM = date(2027, 5, 20), date(2027, 3, 20)
SCAN = Recommendation(
    "scan", "CT of the chest in 6 months", actions.CHEST_CT_FOLLOW_UP, "a nodule of 7 mm", FLEISCHNER,
    not_before=ASKED_FROM, by=DUE, because=("7 mm on 20 Nov 2026",),
)  # fmt: skip
VISIT = replace(SCAN, key="visit", action="See a cardiologist", code=actions.CARDIOLOGY_REFERRAL, by=date(2027, 1, 1))
CT_CHEST = Coding("http://loinc.org", "29252-4", "CT Chest WO contrast")
CT_HEAD = Coding("http://loinc.org", "24725-4", "CT Head")
#: A day after the follow-up was asked for, on which the exam was made.
EXAM_DAY = date(2027, 4, 1)
ROUTES = {
    "desk": {"recipient": "Coordination desk", "channel": "webhook", "webhook_url": "http://127.0.0.1:9/desk"},
    "head": {"recipient": "Head of the clinic", "channel": "mail", "mail_to": "head@site.example"},
}
CARE = {"owners": {"p": "Nodule clinic"}, "routes": ROUTES, "remind": "desk", "escalate_to": "head"}

#: Each look at a switch is later than what is known of it.
_LATER = itertools.count(step=10.0).__next__


class MovedClock:
    """A clock that tests move."""

    def __init__(self, at: datetime = NOW + timedelta(hours=1)) -> None:
        self.at = at

    def now(self) -> datetime:
        """See the port."""
        return self.at

    def today(self) -> date:
        """See the port."""
        return self.at.date()

    def on(self, day: date) -> None:
        """It is the morning of this day."""
        self.at = datetime.combine(day, time(8), UTC)


class CareSite(Site):
    """Study 1.2 of Anna recommends a scan and a visit; nobody has answered."""

    def __init__(self, databases: Databases, **care: object) -> None:
        super().__init__(databases)
        self.settings = Settings(
            data_dir=databases.data_dir,
            database_url=databases.url,
            smtp_host="127.0.0.1",
            follow_ups={**CARE, **care},
        )
        self.clock = MovedClock()
        self.held = _held(databases, self.studies)
        self.record = self.held.record
        self.line = care_line(self.settings, self.held, self.clock)
        self.looking = Looking(self.line)
        self.coordinator = coordinator(databases.app, self.clock)
        self.listing = FollowUpList(databases.app, self.settings)
        self._message = 10
        self.report(self.anna, SCAN, VISIT)

    def one(self, key: str = "scan") -> FollowUp:
        """The follow-up of a recommendation."""
        return next(one for one in self.all() if one.recommendation == key)

    def refuse(self, subject: str) -> str:
        """What waits about a follow-up is refused; answers its delivery."""
        with self.databases.app.reading() as session:
            [one] = session.exec(select(DeliveryRow.id).where(DeliveryRow.subject == subject)).all()
        self.held.deliveries.begin(one, self.clock.now())
        self.held.deliveries.refused(one, "AR", self.clock.now())
        return one

    def look(self) -> int:
        """One look of the timer, a minute later."""
        self.clock.at += timedelta(minutes=1)
        return self.looking.run(self.clock.now())

    def order(self, number: str, code: Coding, day: date = EXAM_DAY, patient: str = "P1") -> None:
        """An exam is ordered and planned."""
        who = Identifier(patient, "HOSP")
        order = ServiceRequest(
            Identifier(f"PL{number}", "EHR"), None, Identifier(number, "RIS"), who, OrderStatus.ACTIVE,
            procedure=code, scheduled_at=datetime.combine(day, time(9), UTC), changed_at=self.clock.now(),
        )  # fmt: skip
        self.say(MessageContent(self._patient(patient), orders=(OrderChange(order, "NW"),)))

    def sign(self, number: str, patient: str = "P1", status: str = "final", day: date = EXAM_DAY) -> None:
        """The radiologist's report of an exam is signed, or is taken back."""
        who = Identifier(patient, "HOSP")
        issued = datetime.combine(day, time(12), UTC)
        signed = FinalReport(Identifier(number, "RIS"), who, status, issued, "HL7 RIS|HOSP", self.clock.now())
        OpinionStore(self.databases.app).file(signed, (who,), self.clock.now())

    def value(self, code: Coding, day: date, *, status: str = "final") -> None:
        """A laboratory value comes by HL7 v2."""
        self.say(MessageContent(self.anna, values=(RecordValue("observation", "k", code, None, day, status),)))

    def images(self, number: str, study: str, day: date = EXAM_DAY, body_part: str = "CHEST") -> None:
        """Images of another exam arrive."""
        stored = instance(f"{study}.9", study=study, accession=number)
        header = replace(stored.header, study_date=day, body_part=body_part)
        arrived = replace(stored, header=header)
        self.studies.add(arrived, received_at=self.clock.now(), consumed=True, source="dicom")

    def say(self, content: MessageContent) -> None:
        """A message is applied."""
        self._message += 1
        message = replace(raw(str(self._message)), received_at=self.clock.now())
        self.record.apply([(LoggedMessage(self._message, message), content)], self.clock.now())

    def waiting(self, subject: str) -> list[tuple[str, str]]:
        """The deliveries about a follow-up, by destination and state."""
        with self.databases.app.reading() as session:
            return _deliveries(session, subject)

    def payload(self, subject: str) -> str:
        """What is to be sent about a follow-up now."""
        with self.databases.app.reading() as session:
            asked = select(DeliveryRow).where(DeliveryRow.subject == subject, DeliveryRow.state == "pending")
            [row] = session.exec(asked).all()
            return row.payload.decode()

    def deliver(self, subject: str) -> None:
        """What waits about a follow-up arrives."""
        with self.databases.app.reading() as session:
            ids = session.exec(select(DeliveryRow.id).where(DeliveryRow.subject == subject)).all()
        for one in ids:
            self.held.deliveries.begin(one, self.clock.now())
            self.held.deliveries.sent(one, "AA", self.clock.now())

    def _patient(self, number: str) -> Patient | None:
        return self.anna if number == "P1" else self.berta


def _held(databases: Databases, studies: StudyStore) -> Stores:
    """What the product opens, over the databases of the test."""
    app = databases.app
    return Stores(
        database=app, studies=studies, record=RecordStore(app), works=WorkStore(app), reports=SqlReportStore(app),
        resources=SqlResourceStore(app), deliveries=DeliveryStore(app), switches=SwitchStore(app, seconds=_LATER),
        opinions=OpinionStore(app), criticals=CriticalStore(app), audit=AuditStore(app),
    )  # fmt: skip


def _deliveries(session: Session, subject: str) -> list[tuple[str, str]]:
    rows = session.exec(select(DeliveryRow).where(DeliveryRow.subject == subject)).all()
    return sorted((row.destination, row.state) for row in rows)

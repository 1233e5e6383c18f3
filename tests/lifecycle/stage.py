"""A whole Sightline in one process, without the durable engine: real stores, real sockets, real files, a moved clock.

`Stage.settle` runs the steps of `cds.workflow` in their order, as a worker does. `Stage.picture` is what the outside
has then: ORUs at an engine, resources at a FHIR server, structured reports at a PACS, cards, holds; as text that is the
same in every run.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from adapters.dicom.arrival import Arrivals
from adapters.dicom.files import InstanceFiles
from adapters.dicom.receiver import Receiver
from adapters.dicom.sender import send
from adapters.hl7.commit import GroupCommit
from adapters.hl7.read import Reader
from adapters.hl7.receive import Receiver as Hl7Receiver
from cds import alerting, hooks, intake, pathways, release
from cds.bootstrap import Stores, stores, upgrade
from cds.bootstrap.dicom import completeness
from cds.bootstrap.hooks import hook_context
from cds.bootstrap.line import line
from cds.demo.engine import Engine
from cds.domain.imaging import Study
from cds.domain.recommendation import Case, PathwayOutcome
from cds.domain.report import DeliveryState, Report
from cds.imaging_peers import DicomNode
from cds.line import Line
from cds.settings import Settings
from cds.store.engine import open_messages
from cds.store.message_log import SqlMessageLog
from cds.store.why import why
from cds.workflow import STEPS, Sources, Worker
from tests.lifecycle import guidelines
from tests.lifecycle.bleed import ID, NAME, HeadBleed, head_ct
from tests.lifecycle.fhir_peer import FhirPeer
from tests.lifecycle.pacs_peer import PacsPeer

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
AUTHORITY, SYSTEM = "HOSPITAL", "urn:test:mrn"


@dataclass
class MovedClock:
    """Time that tests move."""

    at: datetime = NOW

    def now(self) -> datetime:
        """The port."""
        return self.at

    def today(self) -> date:
        """The port."""
        return self.at.date()

    def move(self, **by: float) -> None:
        """Let time pass."""
        self.at += timedelta(**by)


@dataclass(frozen=True)
class Person:
    """Somebody of a test."""

    mrn: str
    family: str
    born: str = "19600302"
    sex: str = "F"
    accession: str = "ACC-1"


ANNA = Person("A", "Zzyzxwitz^Anna")
BERTA = Person("B", "Ypsilanti^Berta", accession="ACC-2")


@dataclass
class Stage:
    """The server and its peers."""

    settings: Settings
    held: Stores
    line: Line
    worker: Worker
    clock: MovedClock
    engine: Engine
    pager: Engine
    pacs: PacsPeer
    fhir: FhirPeer
    receiver: Receiver
    inbox: SqlMessageLog
    folder: Path
    orus: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    _control: int = 0

    # --- what comes in

    def hl7(self, kind: str, who: Person, *segments: str, processing: str = "P", pid: str = "") -> None:
        """Commit and apply one message, as the HL7 role does."""
        self._control += 1
        sent = self.clock.at.strftime("%Y%m%d%H%M%S+0000")
        header = (
            f"MSH|^~\\&|RIS|SITE|SIGHTLINE|SITE|{sent}||{kind}|C{self._control}|{processing}|2.5.1||||||UNICODE UTF-8"
        )
        patient = pid or f"PID|1||{who.mrn}^^^{AUTHORITY}^MR||{who.family}||{who.born}|{who.sex}"
        block = ("\r".join([header, patient, *segments]) + "\r").encode()
        answer = asyncio.run(Hl7Receiver(GroupCommit(self.inbox), self.clock)(block, "stage"))
        assert b"|AA|" in answer, answer
        settings = self.settings
        read = Reader(AUTHORITY, AUTHORITY, settings.accession_fallback, settings.time_zone, settings.senders)
        while intake.apply_next(self.inbox, read, self.held.record, self.clock):
            pass

    def order(
        self,
        who: Person,
        control: str = "NW",
        *,
        number: str = "",
        processing: str = "P",
        procedure: str = "24725-4^CT Head^LN",
    ) -> None:
        """An order for a head CT, or what becomes of it."""
        accession, sent = who.accession, self.clock.at.strftime("%Y%m%d%H%M%S+0000")
        placer = number or f"PL{accession}"
        self.hl7(
            "ORM^O01^ORM_O01",
            who,
            f"ORC|{control}|{placer}^EHR|||||||{sent}",
            f"OBR|1|{placer}^EHR||{procedure}|||{sent}|||||||||||{accession}||||||CT",
            processing=processing,
        )

    def final_report(self, who: Person, text: str, *, status: str = "F") -> None:
        """The radiologist's report of the RIS."""
        self.hl7(
            "ORU^R01^ORU_R01",
            who,
            f"OBR|1|PL{who.accession}^EHR|RAD{who.accession}^RIS|24725-4^CT Head^LN|||20261121115500|||||||||||"
            f"{who.accession}||||20261121121000||RAD|{status}",
            f"OBX|1|TX|18782-3^Radiology Study observation^LN||{text}||||||{status}|||20261121121000",
        )

    def images(self, who: Person, *, blood: bool = True, seed: str = "", **identity: Any) -> list[Path]:
        """A head CT on disk, as the scanner made it."""
        named = {
            "patient_id": who.mrn,
            "patient_name": who.family,
            "accession_number": who.accession,
            "birth_date": datetime.strptime(who.born, "%Y%m%d").date(),
            "sex": who.sex,
        }
        seed = seed or who.accession
        folder = self.folder / f"{seed}-{len(list(self.folder.iterdir()))}"
        return head_ct(folder, blood=blood, seed=seed, **{**named, **identity})

    def store(self, paths: list[Path]) -> None:
        """Send instances over C-STORE."""
        results = send(
            paths,
            DicomNode(host="127.0.0.1", port=self.receiver.port, ae_title="SIGHTLINE", calling_ae_title="CT1"),
            timeout_s=30,
        )
        assert all(result.stored for result in results), results

    def scan(self, who: Person, **options: Any) -> list[Path]:
        """Images are made and arrive."""
        paths = self.images(who, **options)
        self.store(paths)
        return paths

    # --- what happens then

    def settle(self) -> None:
        """Let the study be quiet, run what is to be run, deliver what is to be delivered, until nothing is left."""
        self.clock.move(seconds=self.settings.quiet_s("") + 1)
        while self._work() or self._deliver() or alerting.escalate(self.line, self.clock.at):
            self.clock.move(seconds=1)
        self._collect()

    def _work(self) -> bool:
        now = self.clock.at
        self.worker.sources.close_complete(now)
        pending = self.held.works.pending()
        steps = {name: self.worker._step(name, step) for name, step in STEPS.items()}
        for queued in pending:
            assert self.worker._study(steps, queued.id) == "done", f"{queued.id} failed"
        return bool(pending)

    def _deliver(self) -> bool:
        said = [STEPS["deliver"](self.line, due.id) for due in self.held.deliveries.pending()]
        return any(state == DeliveryState.SENT.value for state in said)

    def _collect(self) -> None:
        for peer, kept in ((self.engine, self.orus), (self.pager, self.pages)):
            while (block := peer.wait(0.02)) is not None:
                kept.append(block.decode())

    def study(self, who: Person) -> Study:
        """The study with this person's accession number, as the index knows it."""
        [told] = why(self.held.database, who.accession).studies
        return self.held.studies.study(told.study_instance_uid)

    # --- what is there to see

    def cards(self, who: Person, user: str = "Practitioner/1") -> list[dict[str, Any]]:
        """What primary care is shown when it opens the patient."""
        patient = {
            "resourceType": "Patient",
            "id": "ehr-1",
            "identifier": [{"system": SYSTEM, "value": who.mrn}],
            "birthDate": f"{who.born[:4]}-{who.born[4:6]}-{who.born[6:]}",
        }
        body = {
            "hook": "patient-view",
            "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
            "context": {"userId": user, "patientId": "ehr-1"},
            "prefetch": {"patient": patient},
        }
        context = replace(hook_context(self.settings, self.held, self.clock), evaluate=self._evaluate)
        answer = hooks.call("imaging-findings", body, context)
        cards: list[dict[str, Any]] = answer["cards"]
        return cards

    def _evaluate(self, case: Case, report: Report) -> tuple[PathwayOutcome, ...]:
        where = release.site(self.settings, report.study)
        enabled = release.pathways(self.settings, self.held.switches, self.line.pathways, where)
        return self.line.evaluate(case, enabled)

    def picture(self, *people: Person) -> str:
        """Everything that the outside has, and what waits for a person."""
        from tests.lifecycle import picture

        return picture.draw(self, people or (ANNA, BERTA))


def settings_of(folder: Path, peers: tuple[Engine, Engine, PacsPeer, FhirPeer], **changes: Any) -> Settings:
    """A site that releases to the EHR at once, with the stand-in model in advisory mode."""
    engine, pager, pacs, fhir = peers
    radiologist = {"recipient": "the radiologist", "channel": "hl7", "hl7": {"host": "127.0.0.1", "port": pager.port}}
    values: dict[str, Any] = {
        "data_dir": folder / "data",
        "assigning_authority": AUTHORITY,
        "accession_issuer": AUTHORITY,
        "identifier_systems": {SYSTEM: AUTHORITY},
        "minimum_free_bytes": 0,
        "quiet_period_s": 5,
        "model_modes": {ID: "advisory"},
        "pathway_modes": {"bleed": "advisory"},
        "release": {"ehr": "immediate", "referral": "immediate"},
        "oru_destinations": {
            "ehr": {"host": "127.0.0.1", "port": engine.port},
            "training": {"host": "127.0.0.1", "port": engine.port, "processing": "T"},
        },
        "fhir_destinations": {"fhir": {"url": fhir.url}},
        "pacs_destinations": {"pacs": {"host": "127.0.0.1", "port": pacs.port, "ae_title": pacs.ae_title}},
        "critical_findings": {NAME: 1},
        "critical_routes": {"radiologist": radiologist},
        "critical_route": "radiologist",
    }
    return Settings(**{**values, **changes})


def opened(folder: Path, stack: ExitStack, *, model: HeadBleed | None = None, **changes: Any) -> Stage:
    """A fresh stage with this model, the stand-in where none is named; `stack` closes it."""
    engine, pager, pacs, fhir = Engine(), Engine(), PacsPeer(), FhirPeer()
    for peer in (engine, pager, pacs, fhir):
        stack.enter_context(peer)
    settings = settings_of(folder, (engine, pager, pacs, fhir), **changes)
    upgrade(settings)
    clock = MovedClock()
    held = stores(settings)
    stack.callback(held.database.dispose)
    inbox_database = open_messages(settings.data_dir, "")
    stack.callback(inbox_database.dispose)
    inbox = SqlMessageLog(inbox_database)
    model = model or HeadBleed()
    built = replace(
        line(settings, held, {model.id: model}, clock),
        pathways=("bleed",),
        evaluate=lambda case, enabled: pathways.evaluate(case, enabled, guidelines),
    )
    complete = completeness(settings, held.database)
    sources = Sources(held.works, held.deliveries.pending, held.deliveries.refused, complete.close_complete)
    receiver = Receiver(
        host="127.0.0.1", port=0, ae_title="SIGHTLINE", limits=settings.dicom_limits, clock=clock,
        arrivals=Arrivals(
            files=InstanceFiles(settings.data_dir, 0), index=held.studies, clock=clock, consumes=model.consumes,
            limits=settings.dicom_limits,
        ),
    )  # fmt: skip
    receiver.start()
    stack.callback(receiver.drain, 1)
    scans = folder / "scans"
    scans.mkdir(parents=True)
    worker = Worker(built, sources, None, 0)
    return Stage(settings, held, built, worker, clock, engine, pager, pacs, fhir, receiver, inbox, scans)

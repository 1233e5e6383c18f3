"""The seams: what the core needs of the outside, as Protocols. `cds/bootstrap.py` fills them.

Every method may be called again with the same arguments (STYLE rule 6); a port raises `cds.errors` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Protocol

from cds.domain.audit import AuditEvent
from cds.domain.event import StudyEvent
from cds.domain.follow_up import Acceptance
from cds.domain.hook import CardHistory, Feedback, FeedbackTaken, HookCall, Reader
from cds.domain.identity import Identifier, Patient
from cds.domain.imaging import (
    ImageRef,
    OwnInstance,
    RejectionNote,
    SeriesSummary,
    StackSummary,
    StoredInstance,
    VolumeRef,
)
from cds.domain.message import LoggedMessage, MessageContent, RawMessage, RecordStatements
from cds.domain.report import Audience, Report
from cds.domain.resource import ResourcePage, StoredResource
from cds.domain.retrieval import Fetched, RemoteInstance, RemoteSeries, RemoteStudy, StudyQuery
from cds.domain.search import ResourceQuery
from cds.domain.story import Withdrawn
from cds.domain.switch import SwitchKind
from cds.domain.verification import FinalReport, Verification


class Clock(Protocol):
    """Time as an argument: tests move it."""

    def now(self) -> datetime:
        """The current moment, timezone-aware, UTC."""
        ...

    def today(self) -> date:
        """The current day in the site's time zone."""
        ...


class MessageLog(Protocol):
    """The append-only inbox of HL7 v2. A committed message survives a power loss."""

    def append(self, messages: Sequence[RawMessage]) -> Sequence[LoggedMessage]:
        """Commit all with one fsync, in their order; raise Unavailable or OutOfResources, and then none is kept.

        Refused ones are kept too. One that came before within the time window is answered as it was then.
        """
        ...

    def after(self, message_id: int, limit: int) -> Sequence[LoggedMessage]:
        """The next messages in the order of their arrival."""
        ...


class MessageReader(Protocol):
    """Reads a raw HL7 v2 message into domain values."""

    def __call__(self, message: RawMessage) -> MessageContent:
        """Raise InvalidMessage where it cannot be read."""
        ...


class InstanceIndex(Protocol):
    """The index of stored DICOM instances."""

    def add(self, instance: StoredInstance, *, received_at: datetime, consumed: bool, source: str) -> str:
        """Commit with fsync what the event table says of it, and answer what it was.

        "new"; "duplicate": the same content, the file is not needed; "own": Sightline made it, likewise; "header": the
        same pixels under another header, which counts now; "conflict": other pixels, held for a person.
        """
        ...

    def add_all(
        self, instances: Sequence[tuple[StoredInstance, bool]], *, received_at: datetime, source: str
    ) -> Sequence[str]:
        """As `add` for each, in their order, with one commit where none is undecided; the bool is `consumed`."""
        ...

    def known(self, study_instance_uid: str) -> frozenset[str]:
        """The SOP Instance UIDs that are here under a study, those that a note rejected among them."""
        ...

    def reject(self, note: RejectionNote, *, received_at: datetime) -> int:
        """Commit with fsync that these instances left their study; answers how many were there."""
        ...


class Archive(Protocol):
    """A PACS that can be asked and fetched from, whichever way is configured (DICOMweb, C-GET, C-MOVE).

    Unavailable means try again, PeerRefused that it will never answer this.
    """

    @property
    def name(self) -> str:
        """Its name in the settings."""
        ...

    def studies(self, query: StudyQuery) -> Sequence[RemoteStudy]:
        """The studies that match, newest first; () where none does."""
        ...

    def series(self, study_instance_uid: str) -> Sequence[RemoteSeries]:
        """The series of a study; () where it has none or does not know it."""
        ...

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> Sequence[RemoteInstance]:
        """The instances of a series; () where it has none or cannot say."""
        ...

    def fetch(self, series: RemoteSeries, missing: Sequence[RemoteInstance]) -> Fetched:
        """Bring these instances of a series into the index, the whole series where `missing` is empty.

        What arrived stays if the peer breaks off (Unavailable): the next attempt asks for the rest.
        """
        ...


class Commitments(Protocol):
    """Storage commitment (PS3.4 annex J): what a PACS promised to keep of what it was sent."""

    def asked(self, transaction_uid: str, delivery_id: str, sop_instance_uids: Sequence[str], now: datetime) -> None:
        """Keep that it was asked, before it is asked: the answer may come at once, to another process."""
        ...

    def answered(
        self, transaction_uid: str, committed: Sequence[str], failed: Sequence[tuple[str, str]], now: datetime
    ) -> bool:
        """Keep the answer: UIDs, and (UID, reason) of those that it does not keep. False where nobody asked."""
        ...


class ImageSource(Protocol):
    """Turns the stored instances of a series into arrays on disk."""

    def stacks(self, series: SeriesSummary) -> Sequence[StackSummary]:
        """The stacks that a series holds, largest first, from headers alone; raise NotEvaluable where it has none."""
        ...

    def volume(self, series: SeriesSummary, scratch: Path, stack: str = "") -> VolumeRef:
        """Decode, order and check a stack of the series, the largest where none is named.

        Raise NotEvaluable with the reason where no volume can be built, or where several are equally large.
        """
        ...

    def images(self, series: SeriesSummary, scratch: Path) -> Sequence[ImageRef]:
        """The projection or ultrasound images of a series, in order of Instance Number; NotEvaluable where none is."""
        ...


class PatientRecord(Protocol):
    """What the record says of a patient, whatever it came by; `cds.record.assemble` makes EhrData of it."""

    def statements(self, patient: Patient) -> RecordStatements:
        """All statements that Sightline holds, and where and how far back it searched."""
        ...


class ReportSink(Protocol):
    """A destination for reports."""

    @property
    def name(self) -> str:
        """The destination's name in the settings."""
        ...

    @property
    def audience(self) -> Audience:
        """Whose eyes it has: what it gets is `cds.release.view` of a report for them."""
        ...

    @property
    def production(self) -> bool:
        """True where it takes production results alone; False where it takes test results alone (HL7 table 0103)."""
        ...

    def prepare(self, report: Report) -> None:
        """Do what takes long of encoding this report; encoding happens while others wait for the database."""
        ...

    def encode(self, report: Report, delivery_id: str, earlier: Report | None = None) -> bytes:
        """The bytes to send, the same on every attempt, with an identifier that lets the peer recognise a repeat.

        `report` is already the view of the sink's audience: all of it may be said. `earlier` is what the destination
        has: what is not in the new version any more is withdrawn there.
        """
        ...

    def retract(self, report: Report, delivery_id: str, reason: str) -> bytes:
        """The bytes that take an earlier report back where it was sent: it was of the wrong patient, or is void."""
        ...

    def made(self, payload: bytes) -> Sequence[OwnInstance]:
        """The DICOM instances in an encoded payload, so that they are recognised when they come back."""
        ...

    def send(self, payload: bytes) -> str:
        """Send and return the acknowledgment in words; Unavailable means try again, PeerRefused means held."""
        ...


class Channel(Protocol):
    """A way to a recipient of critical results or alarms, under the name of its destination."""

    @property
    def name(self) -> str:
        """The destination's name: `critical:<route>` or `alarm:<channel>`."""
        ...

    def send(self, payload: bytes) -> str:
        """See ReportSink.send."""
        ...


class Switches(Protocol):
    """What is switched off now; known within a second of its change on every role (SAFETY section 4)."""

    def off(self, kind: SwitchKind, name: str) -> bool:
        """True where a person switched it off."""
        ...


class Opinions(Protocol):
    """What people said about findings and recommendations."""

    def verifications(self, study_uid: str, image_revision: int) -> tuple[Verification, ...]:
        """The newest verification of each finding of an image revision."""
        ...

    def read_models(self, study_uid: str, image_revision: int) -> frozenset[str]:
        """The models beside which a radiologist's own reading of an image revision is recorded."""
        ...

    def acceptances(self, study_uid: str, patient_id: str) -> tuple[Acceptance, ...]:
        """The newest answer to each recommendation of a study that counts for a patient."""
        ...

    def final_report(
        self, accession: Identifier, patient_id: str, *, made: datetime | date | None = None
    ) -> FinalReport | None:
        """The newest radiology report under this accession number of this patient or whoever is merged with them.

        `made` is when the images were: an earlier report, or one of long afterwards, is about others with their number.
        """
        ...


class CardLog(Protocol):
    """What CDS Hooks calls showed, held back, and what people did with it."""

    def history(self, reader: Reader, whose: str, *, since: datetime, midnight: datetime) -> CardHistory:
        """What a reader was shown since then, and everybody answered; see `CardHistory` for `midnight`."""
        ...

    def keep(self, call: HookCall) -> None:
        """Commit a call, in one group with others; raise Unavailable where that takes too long."""
        ...

    def feedback(self, service: str, client: str, said: Sequence[Feedback], now: datetime) -> FeedbackTaken:
        """Record what became of cards that this service showed to this client; each answer once."""
        ...


class AuditLog(Protocol):
    """Who did or saw what."""

    def write(self, event: AuditEvent) -> None:
        """Append, in a transaction of its own."""
        ...

    def seen_by(self, study_uid: str) -> Sequence[AuditEvent]:
        """Who saw something of a study, oldest first."""
        ...


class ReportStore(Protocol):
    """Reports as committed: immutable versions, the newest of each study."""

    def latest_of_patient(self, patient: Identifier) -> Sequence[Report]:
        """The newest report of each matched study of this patient, newest study first; () where there is none."""
        ...

    def knows_patient(self, patient: Identifier) -> bool:
        """True where any wire has ever named this patient."""
        ...

    def withdrawn_of_patient(self, patient: Identifier, since: datetime) -> Sequence[Withdrawn]:
        """Studies that somebody was shown as this patient's and that turned out not to be, since a moment."""
        ...

    def owners(self, patients: Sequence[Identifier]) -> frozenset[str]:
        """The stored patients who own any of these identifiers, merges followed; more than one is a doubt."""
        ...

    def survivor(self, patient_id: str) -> str:
        """The patient who owns now what was filed under this one."""
        ...


class ResourceStore(Protocol):
    """The FHIR resources that Sightline emitted: immutable versions.

    `compartment` is a Patient id: nothing but this patient's versions of what is hers now, as if there were no others.
    """

    def read(self, resource_type: str, resource_id: str, *, compartment: str | None = None) -> StoredResource:
        """The current version; raise NotFound."""
        ...

    def vread(
        self, resource_type: str, resource_id: str, version: int, *, compartment: str | None = None
    ) -> StoredResource:
        """One version; raise NotFound, also where the current one may not be seen."""
        ...

    def history(
        self,
        resource_type: str,
        resource_id: str,
        *,
        count: int = 50,
        before: int | None = None,
        compartment: str | None = None,
    ) -> ResourcePage:
        """Its versions, newest first, those older than version `before`; the total is known. Raise NotFound."""
        ...

    def search(self, query: ResourceQuery) -> ResourcePage:
        """Current versions that match, one page; raise InvalidResource for a cursor that is none of ours."""
        ...

    def everything(
        self,
        patient_id: str,
        *,
        types: Sequence[str] = (),
        since: datetime | None = None,
        count: int = 50,
        after: str | None = None,
    ) -> ResourcePage:
        """The Patient, what is hers, and what that refers to (Device), oldest change first; raise NotFound."""
        ...


class StudyEvents(Protocol):
    """Where the edges announce that something happened to a study."""

    def announce(self, event: StudyEvent, now: datetime) -> bool:
        """Record the event durably; answers False where it is known already."""
        ...


class ArtifactStore(Protocol):
    """Files that belong to a work: volumes and masks. Names come from hashes, never from UIDs."""

    def scratch(self, work_id: str) -> Path:
        """The work's own folder, made if absent."""
        ...

    def discard(self, work_id: str) -> None:
        """Remove the folder but for what later versions of a report need; nothing happens if it is gone."""
        ...

    def remove(self, work_id: str) -> None:
        """Remove the folder with everything in it; nothing happens if it is gone."""
        ...


#: Maps a FHIR Patient.identifier to an Identifier by site configuration; None where the system is not configured.
IdentifierMapping = Callable[[str, str], Identifier | None]

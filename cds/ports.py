"""The seams: what the core needs of the outside, as Protocols. `cds/bootstrap.py` fills them.

Every method may be called again with the same arguments (STYLE rule 6); a port raises `cds.errors` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import date, datetime
from pathlib import Path
from typing import Protocol

from cds.domain.event import StudyEvent
from cds.domain.finding import ModelOutcome
from cds.domain.identity import Identifier, Patient
from cds.domain.imaging import InstanceHeader, SeriesSummary, StoredInstance, VolumeRef
from cds.domain.message import LoggedMessage, MessageContent, RawMessage, RecordStatements
from cds.domain.report import Report
from cds.domain.resource import ResourcePage, ResourceQuery, StoredResource


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

    def append(self, message: RawMessage) -> Future[LoggedMessage]:
        """Commit with fsync, grouped with its neighbours; the future fails with Unavailable or OutOfResources."""
        ...

    def after(self, message_id: int, limit: int) -> Sequence[LoggedMessage]:
        """The next accepted messages in the order of their arrival."""
        ...


class MessageReader(Protocol):
    """Reads a raw HL7 v2 message into domain values."""

    def __call__(self, message: RawMessage) -> MessageContent:
        """Raise InvalidMessage where it cannot be read."""
        ...


class InstanceIndex(Protocol):
    """The index of stored DICOM instances."""

    def add(self, instance: StoredInstance, *, received_at: datetime, consumed: bool, source: str) -> str:
        """Commit with fsync; "new", "duplicate" (same content) or "conflict" (same UID, other content)."""
        ...


class ImageSource(Protocol):
    """Turns the stored instances of a series into a volume on disk."""

    def volume(self, series: SeriesSummary, scratch: Path) -> VolumeRef:
        """Decode, order and check the series; raise NotEvaluable with the reason where no volume can be built."""
        ...


class FindingModel(Protocol):
    """An installed model, as the pipeline sees it."""

    @property
    def id(self) -> str:
        """The model's id, as in its manifest."""
        ...

    @property
    def version(self) -> str:
        """The model's version, as in its manifest."""
        ...

    def consumes(self, header: InstanceHeader) -> bool:
        """True where an instance like this may be part of what the model reads."""
        ...

    def choose(self, series: Sequence[SeriesSummary]) -> Sequence[SeriesSummary]:
        """The series worth trying, best first."""
        ...

    def run(self, volume: VolumeRef, scratch: Path) -> ModelOutcome:
        """Infer on the device; a refusal is a NotEvaluated, not an exception."""
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

    def encode(self, report: Report, delivery_id: str) -> bytes:
        """The bytes to send, the same on every attempt, with an identifier that lets the peer recognise a repeat."""
        ...

    def send(self, payload: bytes) -> str:
        """Send and return the acknowledgment in words; Unavailable means try again, PeerRefused means held."""
        ...


class ReportStore(Protocol):
    """Reports as committed: immutable versions, the newest of each study."""

    def latest_of_patient(self, patient: Identifier) -> Sequence[Report]:
        """The newest report of each matched study of this patient, newest study first; () where there is none."""
        ...

    def knows_patient(self, patient: Identifier) -> bool:
        """True where any wire has ever named this patient."""
        ...

    def owners(self, patients: Sequence[Identifier]) -> frozenset[str]:
        """The stored patients who own any of these identifiers; more than one is a doubt."""
        ...


class ResourceStore(Protocol):
    """The FHIR resources that Sightline emitted: immutable versions."""

    def read(self, resource_type: str, resource_id: str) -> StoredResource:
        """The current version; raise NotFound."""
        ...

    def vread(self, resource_type: str, resource_id: str, version: int) -> StoredResource:
        """One version; raise NotFound."""
        ...

    def history(self, resource_type: str, resource_id: str) -> Sequence[StoredResource]:
        """All versions, newest first; raise NotFound."""
        ...

    def search(self, query: ResourceQuery) -> ResourcePage:
        """Current versions that match, oldest change first, one page."""
        ...


class StudyEvents(Protocol):
    """Where the edges announce that something happened to a study."""

    def announce(self, event: StudyEvent) -> None:
        """Record the event durably."""
        ...


class ArtifactStore(Protocol):
    """Files that belong to a work: volumes and masks. Names come from hashes, never from UIDs."""

    def scratch(self, work_id: str) -> Path:
        """The work's own folder, made if absent."""
        ...

    def discard(self, work_id: str) -> None:
        """Remove the folder; nothing happens if it is gone."""
        ...


class Canceller(Protocol):
    """Asked between batches: is this work still wanted?"""

    def __call__(self, work_id: str) -> bool:
        """True where the work was cancelled or superseded."""
        ...


#: Maps a FHIR Patient.identifier to an Identifier by site configuration; None where the system is not configured.
IdentifierMapping = Callable[[str, str], Identifier | None]

"""What `cds why` tells of an accession number, a study or a patient (SAFETY section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from cds.domain.audit import AuditEvent
from cds.domain.critical import CriticalResult
from cds.domain.follow_up import Acceptance
from cds.domain.hold import Hold
from cds.domain.identity import AppliedIdentity
from cds.domain.order import ServiceRequest
from cds.domain.report import Report, TimelineEvent
from cds.domain.retrieval import Retrieval, StatedSeries
from cds.domain.verification import FinalReport, Verification


@dataclass(frozen=True, slots=True)
class DeliveryTold:
    """One delivery: what, where, in what state, after how many attempts, with which answer."""

    kind: str
    destination: str
    state: str
    attempts: int
    acknowledgment: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A study that was shown as one patient's and is not theirs any more, or nobody's."""

    study_instance_uid: str
    study_date: date | None
    at: datetime


@dataclass(frozen=True, slots=True)
class FollowUpTold:
    """A recommendation that primary care was shown: open, answered, done or closed, with the reason."""

    pathway: str
    action: str
    due: date | None
    state: str
    reason: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PatientTold:
    """A patient by random id: since when and by which feeds known, and into whom merged. No demographics."""

    id: str
    known_since: datetime | None
    sources: tuple[str, ...]
    statements: int
    merged_into: str | None = None
    deleted: str = ""
    deceased: bool | None = None
    test: bool = False


@dataclass(frozen=True, slots=True)
class StudyTold:
    """One study: its numbers, its newest report, its deliveries, critical results, what people said, and holds.

    `holds` are those that wait and those that were resolved. Reports are told without the patient's name, birth date
    and identifiers, radiology reports without their text, critical results without the secret of their link.
    """

    study_instance_uid: str
    public_id: str
    instances: int
    image_revision: int
    match_revision: int
    analysis_run: int
    report: Report | None
    deliveries: tuple[DeliveryTold, ...]
    holds: tuple[Hold, ...]
    criticals: tuple[CriticalResult, ...] = ()
    verifications: tuple[Verification, ...] = ()
    final_reports: tuple[FinalReport, ...] = ()
    follow_ups: tuple[FollowUpTold, ...] = ()
    #: What people did with its recommendations, oldest first, whoever the patient was then.
    acceptances: tuple[Acceptance, ...] = ()
    #: True while images may still join the image revision.
    revision_open: bool = False
    #: Why the images of the last closed revision are not known to be all; empty where they are.
    incomplete: str = ""
    #: True where the study is here only to be compared with.
    prior: bool = False
    #: How it was fetched, and what PACS and events stated of its series.
    retrieval: Retrieval | None = None
    stated: tuple[StatedSeries, ...] = ()
    #: Earlier studies that it is compared with, and later ones that are compared with it, by Study Instance UID.
    priors: tuple[str, ...] = ()
    prior_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that is known of what was asked for; `events` in the order in which they happened.

    `patients` are Sightline's own random ids of the patients who have the number asked for, survivors of merges first.
    `known` tells of them and of every other patient whose orders or reports are in the story. `seen` is who saw or did
    something, as the audit log tells.
    """

    asked: str
    orders: tuple[ServiceRequest, ...]
    studies: tuple[StudyTold, ...]
    events: tuple[TimelineEvent, ...]
    patients: tuple[str, ...] = ()
    identity: tuple[AppliedIdentity, ...] = ()
    seen: tuple[AuditEvent, ...] = ()
    known: tuple[PatientTold, ...] = ()

    @property
    def found(self) -> bool:
        """False where nothing has that number."""
        return bool(self.orders or self.studies or self.patients or self.events)

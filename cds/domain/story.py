"""What `cds why` tells of an accession number, a study or a patient (SAFETY section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cds.domain.order import ServiceRequest
from cds.domain.report import Report, TimelineEvent


@dataclass(frozen=True, slots=True)
class DeliveryTold:
    """One delivery: where, in what state, after how many attempts, with which answer."""

    destination: str
    state: str
    attempts: int
    acknowledgment: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class HoldTold:
    """Something that waits for a person: what kind, why, since when, about what, and the file to look at."""

    kind: str
    reason: str
    created_at: datetime
    about: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class StudyTold:
    """One study: its numbers, its newest report, its deliveries and holds."""

    study_instance_uid: str
    public_id: str
    instances: int
    image_revision: int
    match_revision: int
    analysis_run: int
    report: Report | None
    deliveries: tuple[DeliveryTold, ...]
    holds: tuple[HoldTold, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that is known of what was asked for; `events` in the order in which they happened."""

    asked: str
    orders: tuple[ServiceRequest, ...]
    studies: tuple[StudyTold, ...]
    events: tuple[TimelineEvent, ...]

    @property
    def found(self) -> bool:
        """False where nothing has that number."""
        return bool(self.orders or self.studies)

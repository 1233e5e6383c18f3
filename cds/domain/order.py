"""An imaging order (FHIR ServiceRequest), as the HL7 v2 edge reads it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cds.domain.coding import Coding
from cds.domain.identity import Identifier


class OrderStatus(StrEnum):
    """FHIR request-status, the members an imaging order can have here."""

    ACTIVE = "active"
    ON_HOLD = "on-hold"
    COMPLETED = "completed"
    REVOKED = "revoked"


class Priority(StrEnum):
    """FHIR request-priority."""

    ROUTINE = "routine"
    URGENT = "urgent"
    ASAP = "asap"
    STAT = "stat"


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """One ordered examination: its numbers, its patient, and what was asked.

    `accession` carries the issuer; `requested_at`, `scheduled_at` and `changed_at` are timezone-aware.
    """

    placer_order_number: Identifier | None
    filler_order_number: Identifier | None
    accession: Identifier | None
    patient: Identifier
    status: OrderStatus
    priority: Priority = Priority.ROUTINE
    procedure: Coding | None = None
    modality: str | None = None
    study_instance_uid: str | None = None
    reasons: tuple[Coding, ...] = ()
    reason_text: str = ""
    requester: str = ""
    requested_at: datetime | None = None
    scheduled_at: datetime | None = None
    changed_at: datetime | None = None
    id: str | None = None

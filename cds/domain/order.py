"""An imaging order (FHIR ServiceRequest), as the HL7 v2 and the FHIR edge read it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
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

    `accession` carries the issuer; `priority` is None where nobody stated one.
    `requested_at`, `scheduled_at` and `changed_at` are timezone-aware.
    """

    placer_order_number: Identifier | None
    filler_order_number: Identifier | None
    accession: Identifier | None
    patient: Identifier
    status: OrderStatus
    priority: Priority | None = None
    procedure: Coding | None = None
    modality: str | None = None
    study_instance_uid: str | None = None
    reasons: tuple[Coding, ...] = ()
    reason_text: str = ""
    #: What the requester told the radiologist (OBR-13), as it was written.
    clinical_information: str = ""
    requester: str = ""
    requested_at: datetime | None = None
    scheduled_at: datetime | None = None
    changed_at: datetime | None = None
    id: str | None = None
    #: Ordered by a message with MSH-11 T or D, or by what FHIR labels as test data.
    test: bool = False
    #: Wire and sender that stated it first ("FHIR ehr"); empty for HL7 v2.
    source: str = ""


#: The durable queue takes 1 as the most urgent; unset would beat them all.
QUEUE_PRIORITY = {Priority.STAT: 1, Priority.ASAP: 2, Priority.URGENT: 3, Priority.ROUTINE: 10}


def queue_priority(orders: Iterable[ServiceRequest]) -> int:
    """The priority of the most urgent order that is not cancelled; routine where there is none."""
    wanted = [QUEUE_PRIORITY[o.priority] for o in orders if o.priority and o.status is not OrderStatus.REVOKED]
    return min(wanted, default=QUEUE_PRIORITY[Priority.ROUTINE])


@dataclass(frozen=True, slots=True)
class OrderChange:
    """An order as a message states it, and what the message does to it (ORC-1; of FHIR the status, in words).

    `states_status` is False where the message says nothing of the order's status.
    """

    order: ServiceRequest
    control: str
    states_status: bool = True


def merge_order(before: ServiceRequest, change: OrderChange) -> tuple[ServiceRequest, str]:
    """What an order is after a message, and why (SAFETY section 3). Empty fields mean no change.

    A closed order is not revived by a late NW, nor an open one changed by a message older than what is known; a cancel
    is never older.
    """
    said = change.order
    if before.status is OrderStatus.REVOKED and said.status is not OrderStatus.REVOKED:
        return before, "the order was cancelled; a later message does not revive it"
    closed = said.status is OrderStatus.REVOKED
    if not closed and before.changed_at and said.changed_at and said.changed_at < before.changed_at:
        return before, "the message is older than what is known of the order"
    after = replace(
        before,
        filler_order_number=said.filler_order_number or before.filler_order_number,
        placer_order_number=said.placer_order_number or before.placer_order_number,
        accession=said.accession or before.accession,
        status=said.status if change.states_status else before.status,
        priority=before.priority if closed else said.priority or before.priority,
        procedure=said.procedure or before.procedure,
        modality=said.modality or before.modality,
        study_instance_uid=said.study_instance_uid or before.study_instance_uid,
        reasons=said.reasons or before.reasons,
        reason_text=said.reason_text or before.reason_text,
        clinical_information=said.clinical_information or before.clinical_information,
        requester=said.requester or before.requester,
        requested_at=before.requested_at or said.requested_at,
        scheduled_at=said.scheduled_at or before.scheduled_at,
    )
    if after == before:
        return before, "the message says nothing new"
    return replace(after, changed_at=said.changed_at or before.changed_at), "cancelled" if closed else "updated"

"""Who did or saw what, and when: append-only. It names people who act; patients are named by random ids only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

#: What the audit log says of a card that somebody was shown.
CARD_SHOWN = "card shown"


@dataclass(frozen=True, slots=True)
class Seen:
    """Who saw something of which patient: a CDS Hooks userId, and the patient's random id."""

    by: str
    patient_id: str | None


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One line of the audit log (FHIR AuditEvent: agent, action, entity, outcome).

    `actor` is a person, a CDS Hooks userId, a destination or a role of the server; `action` a verb phrase such as
    "card shown", "switch off", "hold resolved".
    """

    at: datetime
    actor: str
    action: str
    study_instance_uid: str | None = None
    patient_id: str | None = None
    detail: tuple[str, ...] = ()

"""Who did or saw what, and when: append-only. It names people who act; patients are named by random ids only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

#: What the audit log says of a card that somebody was shown.
CARD_SHOWN = "card shown"
#: What it says of a study page that somebody looked at.
PAGE_VIEWED = "study page viewed"
STORY_VIEWED, TIMELINE_VIEWED = "study timeline viewed", "timeline viewed"
IMAGES_VIEWED, FOLLOW_UP_VIEWED = "images viewed", "follow-up viewed"
WORKLIST_VIEWED, WORKLIST_SEARCHED = "worklist viewed", "worklist searched"
#: Whoever did one of these has seen a result, and must learn that it does not hold any more.
SEEN = (
    *(CARD_SHOWN, PAGE_VIEWED, STORY_VIEWED, TIMELINE_VIEWED, IMAGES_VIEWED, FOLLOW_UP_VIEWED),
    *(WORKLIST_VIEWED, WORKLIST_SEARCHED),
)


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

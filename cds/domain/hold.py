"""What waits for a person: one shape for a match in doubt, a conflict, a quarantined message, a refused delivery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class HoldKind(StrEnum):
    """Why something waits. The values are stable: they stand in tables, metrics and `cds holds`."""

    MATCH_IN_DOUBT = "match-in-doubt"
    MATCH_PROPOSED = "match-proposed"
    STUDY_IDENTITY = "study-identity"
    INSTANCE_CONFLICT = "instance-conflict"
    ORDER_CANCELLED = "order-cancelled"
    VISIT_CANCELLED = "visit-cancelled"
    WRONG_PATIENT = "wrong-patient"
    DISCORDANT = "discordant"
    QUARANTINED = "quarantined"
    WORK_FAILED = "work-failed"
    DELIVERY_REFUSED = "delivery-refused"
    DELIVERY_NOT_ENCODED = "delivery-not-encoded"
    RETRIEVAL_FAILED = "retrieval-failed"
    COMMITMENT_FAILED = "commitment-failed"
    NOTICE_FAILED = "notice-failed"
    CRITICAL_UNACKNOWLEDGED = "critical-unacknowledged"
    CRITICAL_LATE = "critical-late"


class Action(StrEnum):
    """What a person can do about it. `NEEDS` says which of them want an argument, and what it is."""

    ATTACH = "attach"
    LEAVE = "leave"
    RETRACT = "retract"
    USE_NEW = "use-new"
    KEEP_FIRST = "keep-first"
    APPLY = "apply"
    DISCARD = "discard"
    RUN_AGAIN = "run-again"
    SEND_AGAIN = "send-again"
    GIVE_UP = "give-up"
    ACKNOWLEDGE = "acknowledge"


#: What an action wants to be told with `--to`.
NEEDS = {Action.ATTACH: "the accession number or id of the order that the images belong to"}

#: What a person can do about each kind, the safest first.
ACTIONS: dict[HoldKind, tuple[Action, ...]] = {
    HoldKind.MATCH_IN_DOUBT: (Action.LEAVE, Action.ATTACH, Action.RETRACT),
    HoldKind.MATCH_PROPOSED: (Action.LEAVE, Action.ATTACH),
    HoldKind.STUDY_IDENTITY: (Action.LEAVE, Action.ATTACH, Action.RETRACT),
    HoldKind.INSTANCE_CONFLICT: (Action.KEEP_FIRST, Action.USE_NEW),
    HoldKind.ORDER_CANCELLED: (Action.LEAVE, Action.ATTACH, Action.RETRACT),
    HoldKind.VISIT_CANCELLED: (Action.LEAVE, Action.ATTACH, Action.RETRACT),
    HoldKind.WRONG_PATIENT: (Action.ATTACH, Action.LEAVE),
    HoldKind.DISCORDANT: (Action.ACKNOWLEDGE,),
    HoldKind.QUARANTINED: (Action.DISCARD, Action.APPLY),
    HoldKind.WORK_FAILED: (Action.RUN_AGAIN, Action.GIVE_UP),
    HoldKind.DELIVERY_REFUSED: (Action.SEND_AGAIN, Action.GIVE_UP),
    HoldKind.DELIVERY_NOT_ENCODED: (Action.RUN_AGAIN, Action.GIVE_UP),
    HoldKind.RETRIEVAL_FAILED: (Action.RUN_AGAIN, Action.GIVE_UP),
    HoldKind.COMMITMENT_FAILED: (Action.SEND_AGAIN, Action.GIVE_UP),
    HoldKind.NOTICE_FAILED: (Action.RUN_AGAIN, Action.GIVE_UP),
    HoldKind.CRITICAL_UNACKNOWLEDGED: (Action.ACKNOWLEDGE,),
    HoldKind.CRITICAL_LATE: (Action.ACKNOWLEDGE,),
}


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that waits for a person. `id` is short enough to type; `about` names it without naming a patient.

    `owner` is who took it; `path` is a file to look at, below the data folder.
    """

    id: str
    kind: HoldKind
    reason: str
    created_at: datetime
    owner: str = ""
    study_instance_uid: str | None = None
    work_id: str | None = None
    delivery_id: str | None = None
    message_id: int | None = None
    path: str = ""
    resolved_at: datetime | None = None
    resolution: str = ""

    @property
    def actions(self) -> tuple[Action, ...]:
        """What a person can do about it."""
        return ACTIONS[self.kind]

    @property
    def about(self) -> str:
        """What it is about, in words that name no patient."""
        if self.study_instance_uid:
            return f"study {self.study_instance_uid}"
        if self.message_id is not None:
            return f"message {self.message_id} of the inbox"
        return self.delivery_id or self.work_id or ""

    def age(self, now: datetime) -> timedelta:
        """How long it has waited."""
        return now - self.created_at

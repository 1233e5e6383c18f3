"""What became of a recommendation: open until a person accepts, declines or completes it, or it does not hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from cds.domain.recommendation import Recommendation


class Answer(StrEnum):
    """What a person did with a recommendation. Only ACCEPTED makes an order of it, a draft that they sign.

    REOPENED takes the answer before it back: it is then as if nobody had answered.
    """

    ACCEPTED = "accepted"
    DECLINED = "declined"
    COMPLETED = "completed"
    REOPENED = "reopened"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Who answered which recommendation of a study under one patient (`episode`), and when. The newest counts."""

    study_instance_uid: str
    episode: int
    pathway: str
    recommendation: str
    answer: Answer
    by: str
    role: str
    at: datetime
    reason: str = ""
    #: The recommendation as it was when it was answered: that is what was accepted, whatever a newer report advises.
    about: Recommendation | None = None
    #: The acceptance that this answer ends, where one came before: the draft order that was made of it stays, ended.
    accepted: Acceptance | None = None

    @property
    def name(self) -> str:
        """`<pathway>.<recommendation>`."""
        return f"{self.pathway}.{self.recommendation}"


class ReminderStep(StrEnum):
    """How urgent a reminder is; each is given once for each due day. Values are stable: tables and wires have them.

    WITHDRAWN: whoever was reminded learns that it does not hold any more.
    """

    DUE_SOON = "due-soon"
    OVERDUE = "overdue"
    ESCALATED = "escalated"
    WITHDRAWN = "withdrawn"


class FollowUpState(StrEnum):
    """Where a follow-up stands. Values are stable: they stand in tables. CLOSED: it does not hold any more."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    COMPLETED = "completed"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A recommendation that primary care was shown. `id` is a UUID; `action` are its words."""

    id: str
    study_instance_uid: str
    pathway: str
    recommendation: str
    action: str
    due: date | None
    state: FollowUpState
    reason: str
    created_at: datetime
    updated_at: datetime
    by: str = ""

"""What the page of follow-ups and critical results shows, and what a coordinator does there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from cds.domain.critical import CriticalState
from cds.domain.follow_up import FollowUp, FollowUpState, ReminderStep
from cds.domain.follow_up_care import Figures
from cds.domain.follow_up_match import FollowUpMatch
from cds.domain.identity import Patient
from cds.domain.recommendation import Source

#: Follow-ups on one page.
PAGE_ROWS = 25


class Show(StrEnum):
    """Which follow-ups are listed."""

    WAITING = "waiting"
    OVERDUE = "overdue"
    PROPOSED = "proposed"
    UNOWNED = "unowned"
    COMPLETED = "completed"
    DECLINED = "declined"
    CLOSED = "closed"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Asked:
    """A look at the list; nothing in it tells a patient. Empty: all of them. Pages count from 1."""

    site: str = ""
    pathway: str = ""
    owner: str = ""
    show: Show = Show.WAITING
    page: int = 1


@dataclass(frozen=True, slots=True)
class Listed:
    """One follow-up as the list shows it. `owner` is empty where it is nobody's, `is_default` where nobody chose them.

    `patient` is None where the record is gone. `source` is the guideline, `title` the pathway in words.
    """

    follow_up: FollowUp
    due: date | None
    days_late: int
    owner: str
    is_default: bool
    site: str
    patient: Patient | None
    study_public_id: str
    study_date: date | None
    title: str
    source: Source | None
    proposals: tuple[FollowUpMatch, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether somebody still has something to do."""
        return self.follow_up.state in (FollowUpState.OPEN, FollowUpState.ACCEPTED)

    @property
    def is_moved(self) -> bool:
        """Whether somebody moved its day."""
        return self.due != self.follow_up.due


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a follow-up's log."""

    at: datetime
    by: str
    what: str
    detail: str
    reason: str


@dataclass(frozen=True, slots=True)
class Given:
    """A reminder that was given, and what became of its delivery."""

    step: ReminderStep
    due: date
    recipient: str
    at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class Detail:
    """A follow-up with why it is recommended, its log and its reminders."""

    listed: Listed
    reason: str
    because: tuple[str, ...]
    log: tuple[LogLine, ...]
    reminders: tuple[Given, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page of the list, and what it can be narrowed to."""

    rows: tuple[Listed, ...]
    total: int
    page: int
    pages: int
    sites: tuple[str, ...]
    pathways: tuple[str, ...]
    owners: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """Somebody who was told of a critical result, when, and what became of the delivery."""

    recipient: str
    at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class CriticalLine:
    """A critical result that nobody has acknowledged. `next_recipient` is who is told at `due_at`; empty: an alarm."""

    id: str
    title: str
    category: int
    state: CriticalState
    study_public_id: str
    created_at: datetime
    due_at: datetime
    images_at: datetime | None
    told: tuple[Told, ...]
    next_recipient: str
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a person ends a follow-up: what was recommended `is_done`, or it is not to be done, and why."""

    follow_up: str
    is_done: bool
    by: str
    role: str
    reason: str


@dataclass(frozen=True, slots=True)
class FollowUpServices:
    """What the routes of the page use. All that change something raise NotFound, Conflict and InvalidInput."""

    #: Those that wait for somebody, the most urgent first.
    criticals: Callable[[], tuple[CriticalLine, ...]]
    #: (critical result, who has it).
    acknowledge: Callable[[str, str], None]
    figures: Callable[[], Figures]
    sheet: Callable[[Asked], Sheet]
    detail: Callable[[str], Detail]
    end: Callable[[Ending], None]
    #: (follow-up, who, role, reason).
    reopen: Callable[[str, str, str, str], None]
    #: (follow-up, day, who, reason).
    reschedule: Callable[[str, date, str, str], None]
    #: (follow-up, owner, who, reason).
    assign: Callable[[str, str, str, str], None]
    #: (proposal, whether it is what was asked for, who, role) → the id of its follow-up.
    decide: Callable[[int, bool, str, str], str]
    #: How far back the share that was closed on time looks, days; and whether somebody is reminded at all.
    window_days: int
    reminds: bool

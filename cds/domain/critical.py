"""Critical results (SAFETY section 5): who must know, by when, and what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo

from cds.domain.identity import Patient
from cds.domain.imaging import Study
from cds.domain.order import ServiceRequest

#: What the deliveries of critical results are called, before the digits that tell them apart on every wire.
DELIVERY_PREFIX = "critical-"
_DIGITS = 20  # MSH-10 had 20 characters before HL7 v2.7
_NO_REPORT = "Advisory output of research software, not a radiology report; nobody has verified it."


class Category(IntEnum):
    """ACR actionable reporting: 1 within minutes, 2 within hours, 3 within days (doi:10.1016/j.jacr.2013.12.016)."""

    MINUTES = 1
    HOURS = 2
    DAYS = 3


class CriticalState(StrEnum):
    """OPEN waits for the first recipient, ESCALATED for the second, ALARMED for anybody; the others are ends."""

    OPEN = "open"
    ESCALATED = "escalated"
    ALARMED = "alarmed"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


#: States in which somebody still has to acknowledge.
WAITING = (CriticalState.OPEN, CriticalState.ESCALATED, CriticalState.ALARMED)


@dataclass(frozen=True, slots=True)
class CriticalFinding:
    """A finding that somebody must know of, as `cds.critical` picks it out of a report."""

    finding: str
    title: str
    category: Category


@dataclass(frozen=True, slots=True)
class CriticalEvent:
    """One line of a critical result's log: no PHI."""

    at: datetime
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CriticalResult:
    """One critical finding of one study on its way to a person. `token` is the secret of its acknowledgment link.

    `route` is the settings' name of the route; `due_at` is when it escalates; `images_at` is when the images were made.
    `episode` counts those whose images they were taken for.
    """

    id: str
    token: str
    study_instance_uid: str
    work_id: str
    finding: str
    title: str
    category: Category
    route: str
    state: CriticalState
    created_at: datetime
    due_at: datetime
    images_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    episode: int = 1
    log: tuple[CriticalEvent, ...] = ()

    @property
    def waiting(self) -> bool:
        """True while somebody still has to acknowledge."""
        return self.state in WAITING


@dataclass(frozen=True, slots=True)
class CriticalNotice:
    """What a recipient is told. `patient` is None where it is not sure whose images these are.

    `order` is None where none stands. `headline` and `lines` name no patient, number or study: they are all that mail
    and webhooks may say.
    """

    result: CriticalResult
    recipient: str
    site: str
    link: str
    time_zone: str
    sent_at: datetime
    study: Study
    patient: Patient | None = None
    order: ServiceRequest | None = None
    #: Why it is not sure whose images these are.
    doubt: str = ""
    #: Why it does not hold any more.
    withdrawn: str = ""

    @property
    def headline(self) -> str:
        """One line: the category and the finding."""
        said = f"critical AI finding, ACR category {self.result.category.value}: {self.result.title}"
        return f"Withdrawn: {said}" if self.withdrawn else said[:1].upper() + said[1:]

    @property
    def lines(self) -> tuple[str, ...]:
        """What a person has to know and do."""
        said = (f"{self.site}: {self.headline}.", self._when())
        if self.withdrawn:
            return (*said, f"This does not hold any more: {self.withdrawn}.", f"Critical result {self.result.id}.")
        doubt = ("Whose images these are is in doubt: look at the study.",) if self.doubt else ()
        lacking = self.study.incomplete.rstrip(".")
        partial = (f"Made from incomplete images: {lacking}.",) if lacking else ()
        how = f"Acknowledge by name at {self.link}"
        return (*said, *doubt, *partial, _NO_REPORT, how, f"Critical result {self.result.id}, for {self.recipient}.")

    @property
    def found_by(self) -> str:
        """How to find a study that stands in no chart, for wires that may carry numbers; empty where it does."""
        accession = self.study.accession
        if self.order is not None or self.withdrawn or accession is None:
            return ""
        return f"The images state accession number {accession.as_sent().value}."

    def _when(self) -> str:
        at = self.result.images_at
        if at is None:
            return "When the images were made is not known; they are treated as new."
        return f"Images made at {at.astimezone(ZoneInfo(self.time_zone)).isoformat(sep=' ', timespec='minutes')}."


@dataclass(frozen=True, slots=True)
class Opening:
    """A critical finding of a work, and who is told first by when; no `route` where nobody can be told.

    `patient_id` is the random id of whose images these are, None where that is not sure. `late` images are too old to
    be told as new.
    """

    study_instance_uid: str
    work_id: str
    found: CriticalFinding
    route: str
    due_at: datetime
    patient_id: str | None = None
    images_at: datetime | None = None
    late: bool = False


class Opened(StrEnum):
    """What became of an opening."""

    NEW = "opened"
    KNOWN = "known already"
    LATE = "not told as new: the images are old"
    UNREACHABLE = "nobody can be told: no route is configured"


#: (a result on its way along its route, the delivery's id) → what to send, all of it.
MakePayload = Callable[[CriticalResult, str], bytes]
#: (what to tell, the delivery's id) → what to send over one route.
Tell = Callable[[CriticalNotice, str], bytes]


class Criticals(Protocol):
    """The critical results, as the alerting step and its timer use them; everything may be repeated."""

    def open(self, opening: Opening, make: MakePayload, now: datetime) -> tuple[Opened, str]:
        """Open a result with its first delivery, once per finding and patient; answers what became of it, and its id.

        One that was told for another patient is closed.
        """
        ...

    def due(self, now: datetime) -> Sequence[CriticalResult]:
        """Results that nobody acknowledged in time, or whose delivery was refused."""
        ...

    def escalate(
        self, due: CriticalResult, route: str, due_at: datetime, make: MakePayload, now: datetime
    ) -> CriticalState | None:
        """Tell the next recipient, by `due_at`; without a route it is an alarm. None where it had moved on."""
        ...

    def to_withdraw(self) -> Sequence[CriticalResult]:
        """Closed results whose recipients do not know it yet."""
        ...

    def told(self, critical_id: str) -> Sequence[str]:
        """The routes over which a result was told, or may have been."""
        ...

    def withdraw(self, closed: CriticalResult, make: dict[str, MakePayload], now: datetime) -> bool:
        """Tell them, route by route, once; False where somebody did."""
        ...


def delivery_id(critical_id: str, route: str, purpose: str = "") -> str:
    """The id of what is sent of a critical result over a route; `purpose` tells a withdrawal from the result."""
    digest = hashlib.sha256(f"{critical_id}/{route}/{purpose}".encode()).hexdigest()
    return DELIVERY_PREFIX + digest[:_DIGITS]


def message_number(delivery: str) -> str:
    """What numbers a delivery on the wire, so that an acknowledgment can name it: MSH-10, Communication.identifier."""
    return delivery.removeprefix(DELIVERY_PREFIX).upper()


def numbered(message: str) -> str:
    """The delivery that has a number on the wire."""
    return DELIVERY_PREFIX + message.strip().lower()

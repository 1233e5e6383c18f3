"""The radiologist's worklist: what waits for a reader, where it stands, and why it stands there.

A study is never placed lower than its order says, and what a model did not find lowers nothing (SAFETY section 6).
Where it is in doubt whose images these are, the row says so and shows of the findings only those that are critical.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import IntEnum, StrEnum

from cds.domain.audit import WORKLIST_SEARCHED, WORKLIST_VIEWED
from cds.domain.finding import Presence
from cds.domain.identity import Patient, Sex
from cds.domain.verification import Verdict

#: Rows of one page.
PAGE_ROWS = 50
#: Nobody reads on beyond this page: filters and the search are quicker.
LAST_PAGE = 200
#: What the audit log says of whoever saw a study on the list, or found it by its number.
VIEWED, SEARCHED = WORKLIST_VIEWED, WORKLIST_SEARCHED
#: An address names a finding or a site; what is longer is none of them.
_LONGEST = 64


class Urgency(IntEnum):
    """Where a study stands: the smaller, the sooner. Critical findings by their ACR category, orders by priority."""

    CRITICAL = 0
    STAT = 1
    ASAP = 2
    URGENT = 3
    ROUTINE = 4

    @property
    def words(self) -> str:
        """In words."""
        return self.name.capitalize() if self not in (Urgency.STAT, Urgency.ASAP) else self.name


class Status(StrEnum):
    """What becomes of a study's images. DISCORDANT: the final report contradicts what a model found."""

    RECEIVING = "receiving"
    WAITING = "waiting"
    ANALYSING = "analysing"
    ANALYSED = "analysed"
    NOT_ANALYSED = "not-analysed"
    HELD = "held"
    FAILED = "failed"
    DISCORDANT = "discordant"
    REPORTED = "reported"
    TEST = "test"

    @property
    def words(self) -> str:
        """In words."""
        return _TITLES[self]

    @property
    def is_open(self) -> bool:
        """Whether a radiologist still has to look."""
        return self not in (Status.REPORTED, Status.TEST)


_TITLES = {
    Status.RECEIVING: "Images still coming",
    Status.WAITING: "Waits for analysis",
    Status.ANALYSING: "In analysis",
    Status.ANALYSED: "Analysed",
    Status.NOT_ANALYSED: "Not analysed",
    Status.HELD: "Held",
    Status.FAILED: "Analysis failed",
    Status.DISCORDANT: "Report contradicts",
    Status.REPORTED: "Finished",
    Status.TEST: "Test data",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One answer of a model in a few words; `verdict` is what a radiologist said of it, "" where nobody did."""

    presence: Presence
    text: str
    verdict: str = ""
    is_critical: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `since` is when its first image came, of a finished one when its report did."""

    study_instance_uid: str
    public_id: str
    status: Status
    urgency: Urgency
    since: datetime
    why: tuple[str, ...]
    patient_id: str | None = None
    number: str = ""
    initials: str = ""
    sex: Sex = Sex.UNKNOWN
    birth_date: date | None = None
    accession: str = ""
    description: str = ""
    study_date: date | None = None
    modalities: tuple[str, ...] = ()
    site: str = ""
    lines: tuple[Line, ...] = ()
    #: (name in an address, title) of what was found.
    found: tuple[tuple[str, str], ...] = ()
    priors: int | None = None
    is_doubtful: bool = False
    is_hidden: bool = False

    def age_years(self, today: date) -> int | None:
        """Completed years, None where the birth date is not known or later than today."""
        return Patient((), birth_date=self.birth_date).age_years(today)

    def waited(self, now: datetime) -> str:
        """How long it has waited, in words."""
        return duration(now - self.since)

    def reason(self, now: datetime) -> str:
        """Why it is where it is."""
        what = "; ".join(self.why)
        return f"{what}, waiting {self.waited(now)}" if self.status.is_open else what

    @property
    def verification(self) -> str:
        """How many of its findings a radiologist has looked at."""
        asked = [line for line in self.lines if line.presence in (Presence.PRESENT, Presence.MEASURED)]
        if not asked:
            return "nothing to verify"
        said = sum(bool(line.verdict) for line in asked)
        rejected = sum(line.verdict == Verdict.REJECTED.value for line in asked)
        counted = f"{said} of {len(asked)} verified" if said else "not verified"
        return f"{counted}, {rejected} rejected" if rejected else counted


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader wants to see; empty fields stand for everything, of the studies that are not finished."""

    modality: str = ""
    site: str = ""
    finding: str = ""
    status: Status | None = None
    page: int = 1

    @property
    def is_narrow(self) -> bool:
        """Whether anything is filtered."""
        return bool(self.modality or self.site or self.finding or self.status)

    def address(self, page: int = 1) -> dict[str, str]:
        """The same as the parameters of an address: none of them names a patient."""
        named = {"modality": self.modality, "site": self.site, "finding": self.finding}
        numbered = {"status": self.status.value if self.status else "", "page": str(page) if page > 1 else ""}
        return {name: value for name, value in (named | numbered).items() if value}


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a filter."""

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters offer."""

    modalities: tuple[Choice, ...] = ()
    sites: tuple[Choice, ...] = ()
    findings: tuple[Choice, ...] = ()
    statuses: tuple[Choice, ...] = tuple(Choice(status.value, status.words) for status in Status)


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of the list, and what its filters offer. `behind` counts changes that it does not show yet: mostly 0."""

    entries: tuple[Entry, ...]
    has_next: bool = False
    behind: int = 0
    choices: Choices = Choices()


def _no_second_readings(_studies: Collection[str]) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class WorklistServices:
    """What the pages of the worklist use."""

    #: One page of the list, as it is now; raises Unavailable.
    listed: Callable[[Wanted], Listed]
    #: The studies with this accession number or patient identifier, the most urgent first; raises Unavailable.
    search: Callable[[str], tuple[Entry, ...]]
    #: (user, entries, action): the audit log has who saw which patients, before they are answered.
    seen: Callable[[str, Sequence[Entry], str], None]
    #: Study Instance UIDs → how far a second reading of them is, in words; only those that have one.
    second_readings: Callable[[Collection[str]], Mapping[str, str]] = field(default=_no_second_readings)


def wanted(parameters: Mapping[str, str]) -> Wanted:
    """The filters of an address; what it does not know is left out, as an address is easily mistyped."""
    status = parameters.get("status", "")
    number = parameters.get("page", "")
    page = int(number) if number.isascii() and number.isdigit() and len(number) <= len(str(LAST_PAGE)) else 1
    named = {name: parameters.get(name, "")[:_LONGEST] for name in ("modality", "site", "finding")}
    return Wanted(**named, status=Status(status) if status in set(Status) else None, page=min(max(page, 1), LAST_PAGE))


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """What is open by urgency and age, the oldest first; behind it what is finished, the newest first."""
    return sorted(entries, key=_place)


def duration(time: timedelta) -> str:
    """A time in the unit that a reader thinks in: 12 min, 3 h 05 min, 2 d 4 h."""
    minutes = max(int(time.total_seconds() // 60), 0)
    hours, days = minutes // 60, minutes // (60 * 24)
    if days:
        return f"{days} d {hours % 24} h"
    return f"{hours} h {minutes % 60:02} min" if hours else f"{minutes} min"


def named(title: str) -> str:
    """A finding's title as it stands in an address."""
    words = "".join(letter if letter.isalnum() else " " for letter in title.casefold()).split()
    return "-".join(words)[:_LONGEST]


def _place(one: Entry) -> tuple[bool, int, float, str]:
    since = one.since.timestamp()
    is_open = one.status.is_open
    return not is_open, one.urgency if is_open else 0, since if is_open else -since, one.study_instance_uid


def values(entries: Collection[Entry]) -> frozenset[tuple[str, str, str]]:
    """(filter, name, title) of everything that filters can offer for these rows."""
    modalities = {("modality", one, one) for row in entries for one in row.modalities}
    sites = {("site", row.site, row.site) for row in entries if row.site}
    return frozenset(modalities | sites | {("finding", *one) for row in entries for one in row.found})

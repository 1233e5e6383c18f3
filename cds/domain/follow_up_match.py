"""Results that may be what a follow-up asked for: what is wanted, what there is, and how sure the match is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from cds.domain.coding import Coding
from cds.domain.follow_up import FollowUp
from cds.domain.identity import Identifier

#: Who closes a follow-up when a result came that surely is what it asked for.
AUTOMATIC = "Sightline"


class Certainty(StrEnum):
    """A CLEAR match closes a follow-up; a DOUBTFUL one is proposed to a person. Values are stable: tables have them."""

    CLEAR = "clear"
    DOUBTFUL = "doubtful"


class MatchState(StrEnum):
    """What became of a match. PROPOSED waits for a person; UNDONE: its result was taken back, or a person reopened."""

    PROPOSED = "proposed"
    CLOSED = "closed"
    REFUSED = "refused"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a follow-up asks for. `since` is the day of the images that it comes from, `accession` their number."""

    code: Coding
    since: date | None
    not_before: date | None = None
    study_instance_uid: str = ""
    accession: Identifier | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A signed report, images or a value of the same patient. `performed` is the day of the exam, None if unknown.

    `codes` are those of the exam that was ordered, or of the value; `body_parts` what the images' headers say.
    """

    key: str
    what: str
    source: str
    codes: tuple[Coding, ...] = ()
    modalities: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    performed: date | None = None
    study_instance_uid: str = ""
    accession: Identifier | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How sure it is that a result is what was asked for, and why in words that tell no patient."""

    certainty: Certainty
    said: str


@dataclass(frozen=True, slots=True)
class Looked:
    """A follow-up with what it asks for, the results that came since, and those that were matched with it before."""

    follow_up: FollowUp
    wanted: Wanted
    evidence: tuple[Evidence, ...]
    #: Keys of evidence → what became of the match.
    matched: dict[str, MatchState]


@dataclass(frozen=True, slots=True)
class FollowUpMatch:
    """A result that is, or may be, what a follow-up asked for; `said` tells no patient."""

    id: int
    follow_up_id: str
    certainty: Certainty
    said: str
    performed: date | None
    state: MatchState
    at: datetime

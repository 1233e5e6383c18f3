"""CDS Hooks calls as they are remembered: who was shown which card, what was held back and why, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cds.domain.coding import Coding
from cds.domain.recommendation import Indicator, Recommendation


@dataclass(frozen=True, slots=True)
class Reader:
    """Whom a card is for: the EHR by its name in the settings, `context.userId`, and what is known of the role.

    `client` is empty where no EHR is configured, `user` where the hook names none (order-dispatch 1.1); `roles` are
    "<system>|<code>" of a PractitionerRole.
    """

    client: str = ""
    user: str = ""
    roles: tuple[str, ...] = ()


class HeldBack(StrEnum):
    """Why a card was not shown. Values are stable: they stand in tables and metrics."""

    ROLE = "role"
    OVERRIDDEN = "overridden"
    ACCEPTED = "accepted"
    SNOOZED = "snoozed"
    SEEN = "seen"
    CAP = "daily-cap"


class Outcome(StrEnum):
    """CDS Hooks 2.0, feedback: what a person did with a card."""

    ACCEPTED = "accepted"
    OVERRIDDEN = "overridden"


@dataclass(frozen=True, slots=True)
class About:
    """What a card is about. `key` stays the same over calls, `digest` until what it says changes.

    `pathway` is empty for a card that gives no advice; `models` are "<id> <version>"; `study_instance_uid` is None
    where it is about no study, and `episode` is that of the report. `confirmed_at` is when a radiologist last said that
    what it rests on is there: whoever called that wrong before is told again.
    """

    key: str
    digest: str
    pathway: str = ""
    indicator: Indicator = Indicator.INFO
    study_instance_uid: str | None = None
    episode: int = 1
    site: str = ""
    models: tuple[str, ...] = ()
    confirmed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ShownCard:
    """A card as it went out: `suggestions` maps the uuid of each to the recommendation's key.

    `steps` are these recommendations as they were then, in the same order; empty where they are of no study.
    """

    uuid: str
    about: About
    suggestions: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Recommendation | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A card that was held back."""

    about: About
    why: HeldBack


@dataclass(frozen=True, slots=True)
class StudyNote:
    """What one call did with one study, for its timeline: how many cards, and what was silent and why."""

    study_instance_uid: str
    patient_id: str | None
    cards: int
    quiet: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HookCall:
    """One answered call. `whose` is the patient: our random id, or where none is known the client's reference."""

    service: str
    hook: str
    instance: str
    at: datetime
    reader: Reader
    whose: str
    shown: tuple[ShownCard, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    studies: tuple[StudyNote, ...] = ()


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a client says became of one card. `accepted` are uuids of suggestions; a `reason` may be missing."""

    card: str
    outcome: Outcome
    at: datetime
    accepted: tuple[str, ...] = ()
    reason: Coding | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class PastAnswer:
    """An earlier answer to a card of one patient. `accepted` are the recommendations' keys."""

    key: str
    digest: str
    outcome: Outcome
    at: datetime
    reader: Reader
    accepted: tuple[str, ...] = ()
    reason: Coding | None = None


@dataclass(frozen=True, slots=True)
class CardHistory:
    """What a reader was shown and everybody answered, of one patient.

    `seen` is when this reader was last shown a card by (key, digest); `today` are the keys of the cards, critical ones
    left out, that this reader was shown of any patient since the site's midnight.
    """

    answers: tuple[PastAnswer, ...] = ()
    seen: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    today: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FeedbackTaken:
    """What became of a feedback: how many were new, said before, and about cards that this client was never shown."""

    recorded: int = 0
    repeated: int = 0
    unknown: int = 0
    #: What could not be done with it, one sentence each, without PHI: the follow-up is closed by now, say.
    remarks: tuple[str, ...] = ()

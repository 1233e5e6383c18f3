"""Second reading of screening exams: a person reads first, the model's reading is shown then, a third person decides.

Everything is three-valued: recall, no recall, or not known. What was recorded never changes; corrections add.
The states and what is shown in each stand in `docs/second-reader.md`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cds.domain.finding import NO_SERIES, Finding, Findings, ModelOutcome, NotEvaluated, Presence, kind_of

#: A part that is the whole study.
WHOLE = "study"
#: The parts that are sides of the body, as `Finding.laterality` names them.
SIDES = ("left", "right")
_BOTH = "both"


class ReadingMode(StrEnum):
    """How a site uses a model in screening. A model that it does not name is none of these: OFF."""

    OFF = "off"
    SECOND_READER = "second-reader"
    TRIAGE = "triage"


class Scale(StrEnum):
    """What a reader answers for each part: a BI-RADS assessment category, or recall yes or no."""

    BI_RADS = "bi-rads"
    YES_NO = "yes-no"


class ReadingState(StrEnum):
    """How far the reading of one study by a person and a model has come."""

    WAITING = "waiting"
    MODEL_PENDING = "model-pending"
    SINGLE = "single"
    AGREED = "agreed"
    ARBITRATION = "arbitration"
    DECIDED = "decided"


@dataclass(frozen=True, slots=True)
class PartRead:
    """What a reader says of one part: a side, a kind of finding, or the study. `recall` None: it was not read.

    `category` is the BI-RADS assessment where the site reads by it.
    """

    part: str
    recall: bool | None
    category: int | None = None


@dataclass(frozen=True, slots=True)
class About:
    """What a reading is of: one model on one image revision of a study. Other images want another reading."""

    study_instance_uid: str
    image_revision: int
    model: str


@dataclass(frozen=True, slots=True)
class OwnReading:
    """A radiologist's own reading. `is_blind` where nobody had been shown the model's when it was recorded.

    `kinds` are the kinds of findings that count on the model's side, as the site had set them then; empty: all.
    `corrects` is the id of the reading that it corrects, for `reason`.
    """

    about: About
    by: str
    at: datetime
    parts: tuple[PartRead, ...]
    is_blind: bool = True
    kinds: tuple[str, ...] = ()
    reason: str = ""
    corrects: int | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class ModelReading:
    """What the model says of the same parts; `reasons` why it says nothing of some."""

    version: str
    parts: tuple[PartRead, ...]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """The two readings side by side, as they were when both were there; the first one stands."""

    reading: int
    said: ModelReading
    differs: tuple[str, ...]
    state: ReadingState
    at: datetime


@dataclass(frozen=True, slots=True)
class Arbitration:
    """What a third person decided where the two differ, and why."""

    about: About
    by: str
    at: datetime
    parts: tuple[PartRead, ...]
    reason: str
    id: int = 0


@dataclass(frozen=True, slots=True)
class ScreeningResult:
    """What became of a screened person: a malignancy or none, and by what it is known (histology, follow-up)."""

    study_instance_uid: str
    is_malignant: bool
    source: str
    by: str
    at: datetime
    id: int = 0


@dataclass(frozen=True, slots=True)
class Readings:
    """All that was recorded of one model on one image revision, oldest first; nothing in it is ever taken away."""

    about: About
    own: tuple[OwnReading, ...] = ()
    compared: Compared | None = None
    arbitrations: tuple[Arbitration, ...] = ()

    @property
    def blind(self) -> OwnReading | None:
        """The reading that counts: the newest that was recorded blind."""
        return next((one for one in reversed(self.own) if one.is_blind), None)

    @property
    def decision(self) -> Arbitration | None:
        """The arbitration that counts: the newest."""
        return self.arbitrations[-1] if self.arbitrations else None

    @property
    def readers(self) -> frozenset[str]:
        """Who has read: none of them arbitrates."""
        return frozenset(one.by for one in self.own)

    @property
    def state(self) -> ReadingState:
        """How far it has come."""
        if not self.own:
            return ReadingState.WAITING
        if self.compared is None:
            return ReadingState.MODEL_PENDING
        decided = self.compared.state is ReadingState.ARBITRATION and self.decision is not None
        return ReadingState.DECIDED if decided else self.compared.state

    @property
    def outcome(self) -> tuple[PartRead, ...]:
        """What holds of each part: what both say, else what was decided, else what the person says; empty while open.

        While a disagreement is open nothing holds: neither reader is right until a third one says so.
        """
        own = self.blind
        if own is None or self.state in (ReadingState.WAITING, ReadingState.ARBITRATION):
            return ()
        decided = {one.part: one for one in self.decision.parts} if self.decision else {}
        return tuple(decided.get(one.part, one) for one in own.parts)


def model_reading(outcome: ModelOutcome, parts: Iterable[str], kinds: Iterable[str] = ()) -> ModelReading:
    """What a model's answer says of each part. What it did not evaluate is not known, and never a negative."""
    if isinstance(outcome, NotEvaluated):
        return ModelReading(outcome.version, tuple(PartRead(part, None) for part in parts), outcome.reasons)
    wanted = frozenset(kinds)
    counted = [one for one in outcome.findings if not wanted or kind_of(one.key) in wanted]
    reasons = tuple(dict.fromkeys(one.reason for one in counted if one.reason))
    return ModelReading(outcome.version, tuple(PartRead(part, _recall(counted, part)) for part in parts), reasons)


def compare(own: OwnReading, outcome: ModelOutcome, at: datetime) -> Compared:
    """The two readings of the same parts side by side.

    Where the model says nothing of a part that the person read, the person's reading stands alone.
    """
    said = model_reading(outcome, [one.part for one in own.parts], own.kinds)
    theirs = {one.part: one.recall for one in said.parts}
    read = [one for one in own.parts if one.recall is not None]
    differs = tuple(one.part for one in read if theirs[one.part] not in (None, one.recall))
    alone = any(theirs[one.part] is None for one in read)
    state = ReadingState.SINGLE if alone else ReadingState.AGREED
    return Compared(own.id, said, differs, ReadingState.ARBITRATION if differs else state, at)


def recalled(parts: Iterable[PartRead]) -> bool | None:
    """Whether the study is recalled: any part is, none of those that were read is, or none was read."""
    known = [one.recall for one in parts if one.recall is not None]
    return any(known) if known else None


def is_wanted(outcome: ModelOutcome | None) -> bool:
    """False where the model reads no images like these: there is nothing to read beside it."""
    return not (isinstance(outcome, NotEvaluated) and outcome.gate == NO_SERIES)


def triage_rank(outcome: ModelOutcome | None, kinds: Iterable[str] = ()) -> tuple[int, float]:
    """Where a study stands among others of the same priority; less is earlier. Nothing puts one behind its priority.

    Recalled by the model first, by falling confidence; then what is not known; what was not detected last.
    """
    if outcome is None or isinstance(outcome, NotEvaluated):
        return 1, 0.0
    [said] = model_reading(outcome, (WHOLE,), kinds).parts
    if said.recall is None:
        return 1, 0.0
    if not said.recall:
        return 2, 0.0
    return 0, -max(_confidences(outcome, frozenset(kinds)), default=0.0)


def _confidences(outcome: Findings, kinds: frozenset[str]) -> Iterable[float]:
    for one in outcome.findings:
        if one.presence is Presence.PRESENT and (not kinds or kind_of(one.key) in kinds):
            yield one.confidence or 0.0


def _recall(findings: Iterable[Finding], part: str) -> bool | None:
    """A positive without a side counts for every side; a negative beside what was not evaluated is not known."""
    seen = {one.presence for one in findings if _is_of(one, part)}
    if Presence.PRESENT in seen:
        return True
    if Presence.NOT_EVALUATED in seen or Presence.NOT_DETECTED not in seen:
        return None
    return False


def _is_of(finding: Finding, part: str) -> bool:
    if part == WHOLE:
        return True
    if part in SIDES:
        return finding.laterality in (part, _BOTH, "")
    return kind_of(finding.key) == part

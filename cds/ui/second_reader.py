"""Second reading on the pages: what hides a model's reading, what a reader is asked, and what waits for whom."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from cds.domain.finding import Findings, ModelOutcome
from cds.domain.order import Priority
from cds.domain.reading_figures import ReadingFigures
from cds.domain.recommendation import Advice, CouldNotTell, PathwayOutcome
from cds.domain.report import Report
from cds.domain.second_reading import PartRead, Readings, ReadingState, Scale, ScreeningResult
from cds.errors import InvalidInput
from cds.second_readers import SecondReader
from cds.ui.people import Person

#: What a reader may answer on a site that reads by BI-RADS; 6 is for no screened person.
CATEGORIES = (0, 1, 2, 3, 4, 5)
_RECALLS = {"yes": True, "no": False, "not-read": None}
_NOT_READ = "not-read"

#: What each state means to whoever looks.
STATES: Mapping[ReadingState, str] = {
    ReadingState.WAITING: "waits for a radiologist's own reading; the model's is hidden until then",
    ReadingState.MODEL_PENDING: "read by a radiologist; the model has not answered yet",
    ReadingState.SINGLE: "read by a radiologist alone: the model could not evaluate all of it",
    ReadingState.AGREED: "both readings agree",
    ReadingState.ARBITRATION: "the readings differ: a third person decides",
    ReadingState.DECIDED: "the readings differed; a third person has decided",
}


class Queue(StrEnum):
    """The lists of the second reader's page."""

    READ = "read"
    ARBITRATE = "arbitrate"
    TRIAGE = "triage"


@dataclass(frozen=True, slots=True)
class Beside:
    """One model in second-reader mode beside one study, for the person who looks.

    `is_hidden`: nothing of the model's reading may be shown. `may_read`, `may_correct` and `may_decide` say which form
    is theirs.
    """

    model: str
    scale: Scale
    parts: tuple[str, ...]
    recalled: tuple[int, ...]
    readings: Readings
    is_hidden: bool
    may_read: bool
    may_correct: bool
    may_decide: bool

    @property
    def state_in_words(self) -> str:
        """How far the reading has come."""
        return STATES[self.readings.state]


@dataclass(frozen=True, slots=True)
class Given:
    """A form as it was sent: the answer to each part by its name, on the images that were looked at."""

    model: str
    image_revision: int
    answers: Mapping[str, str]
    reason: str = ""
    corrects: int | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A study on one of the lists: nothing in it tells what a hidden model says."""

    public_id: str
    accession: str
    description: str
    study_date: date | None
    received_at: datetime
    model: str
    priority: Priority | None
    is_reported: bool
    differs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lists:
    """What waits: to be read, to be decided, and in the order in which a model in triage mode would have it read."""

    read: tuple[Waiting, ...]
    arbitrate: tuple[Waiting, ...]
    triage: tuple[Waiting, ...]


@dataclass(frozen=True, slots=True)
class FiguresPage:
    """The figures of a period: all, and by model, reader and month."""

    since: date
    until: date
    all: ReadingFigures | None
    by_model: tuple[ReadingFigures, ...]
    by_reader: tuple[ReadingFigures, ...]
    by_month: tuple[ReadingFigures, ...]


@dataclass(frozen=True, slots=True)
class SecondReaderServices:
    """Second reading, for its own pages and for every other that shows what a model says."""

    #: A Study Instance UID → the models whose reading is hidden from everybody now; empty, thus false, for none.
    hidden: Callable[[str], frozenset[str]]
    #: The same of several studies at once, those with none left out.
    hidden_of: Callable[[Collection[str]], Mapping[str, frozenset[str]]]
    #: Studies → how far their second reading has come, in words for a list; those without one left out.
    states: Callable[[Collection[str]], Mapping[str, str]]
    #: (Study Instance UID, who looks) → the models that read beside a person there.
    beside: Callable[[str, Person], tuple[Beside, ...]]
    #: (who, Study Instance UID, form) → records their own reading; raises InvalidInput, NotFound, Conflict.
    read: Callable[[Person, str, Given], None]
    #: The same of a third person's decision.
    arbitrate: Callable[[Person, str, Given], None]
    #: (who, Study Instance UID, malignant, source) → records what became of the person.
    result: Callable[[Person, str, bool, str], None]
    #: What became of the person, by Study Instance UID; None where nothing is recorded.
    result_of: Callable[[str], ScreeningResult | None]
    #: What waits now.
    lists: Callable[[], Lists]
    #: (from, to and including) → the figures of the readings of these days.
    figures: Callable[[date, date], FiguresPage]


def without(report: Report, hidden: Collection[str]) -> Report:
    """The report as somebody sees it who may not know yet what some models say.

    A critical finding is never hidden (SAFETY section 3): whoever must be told of it is told.
    """
    if not hidden:
        return report
    outcomes = tuple(one for said in report.outcomes if (one := _seen(said, hidden, report.critical)) is not None)
    names = {f"{o.model}.{f.key}" for o in outcomes if isinstance(o, Findings) for f in o.findings}
    decision = replace(
        report.decision,
        outcomes=tuple(one for one in report.decision.outcomes if _rests_on(one, names)),
        comparisons=tuple(one for one in report.decision.comparisons if one.finding in names),
    )
    verifications = tuple(one for one in report.verifications if one.finding.name in names)
    return replace(report, outcomes=outcomes, verifications=verifications, decision=decision)


def answers(rules: SecondReader, given: Mapping[str, str]) -> tuple[PartRead, ...]:
    """A reader's answers as values; raise InvalidInput for what is none. An answer that is missing is no negative."""
    return tuple(_answer(rules, part, given.get(part, "")) for part in rules.parts)


def decisions(parts: Collection[str], given: Mapping[str, str]) -> tuple[PartRead, ...]:
    """A third person's decisions: recall yes or no, of each part that is asked for."""
    return tuple(PartRead(part, _recall(part, given.get(part, ""), ("yes", "no"))) for part in parts)


def _seen(said: ModelOutcome, hidden: Collection[str], critical: Collection[str]) -> ModelOutcome | None:
    if said.model not in hidden:
        return said
    if not isinstance(said, Findings):
        return None
    kept = tuple(one for one in said.findings if f"{said.model}.{one.key}" in critical)
    return replace(said, findings=kept, masks=(), heat_maps=()) if kept else None


def _rests_on(said: PathwayOutcome, names: Collection[str]) -> bool:
    """Whether it rests on nothing that is hidden; what could not be told may tell by that what was found."""
    if isinstance(said, CouldNotTell):
        return False
    if not isinstance(said, Advice):
        return True
    keys = {name.partition(".")[2] for name in names}
    return set(said.finding_keys) <= keys and set(said.rests_on) <= {*names, *keys}


def _answer(rules: SecondReader, part: str, text: str) -> PartRead:
    if text == _NOT_READ:
        return PartRead(part, None)
    if rules.scale is Scale.YES_NO:
        return PartRead(part, _recall(part, text, tuple(_RECALLS)))
    if text not in map(str, CATEGORIES):
        raise InvalidInput(f"{part}: want a BI-RADS category from 0 to 5, or that it was not read")
    return PartRead(part, int(text) in rules.recalled, int(text))


def _recall(part: str, text: str, wanted: Collection[str]) -> bool | None:
    if text not in wanted:
        raise InvalidInput(f"{part}: want {' or '.join(wanted)}")
    return _RECALLS[text]

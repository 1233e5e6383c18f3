"""Are the images of a study all here? Pure: in goes what is known of it, out comes what to do, with the reasons.

A series is complete when an event said so, or nothing came of it for its modality's period, and the count that a PACS
stated twice is the one that is here, and no slice is missing. Texts are for people and hold no UID.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from statistics import median

from cds.domain.imaging import InstanceHeader
from cds.domain.retrieval import NOT_KNOWN, RetrievalState

_UNDER_WAY = (RetrievalState.PENDING, RetrievalState.RUNNING)


class Action(StrEnum):
    """What to do about an open image revision: wait for more, ask a PACS, or close it."""

    WAIT = "wait"
    ASK = "ask"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class SeriesProgress:
    """What is known of one series.

    `local` images are here and count, `rejected` are here and do not (IOCM). `stated` is the count that a PACS or an
    event stated, `agreed` where it stated it twice. `gap` is why slices are missing. `fresh` where images of the open
    revision are among them. `last_at` is when the last image came, None where none did.
    """

    series_instance_uid: str
    modality: str
    consumed: bool
    local: int
    last_at: datetime | None = None
    stated: int | None = None
    agreed: bool = False
    gap: str = ""
    number: int | None = None
    rejected: int = 0
    fresh: bool = True

    @property
    def name(self) -> str:
        """The series for a reader."""
        return f"series {self.number}" if self.number is not None else "a series without number"


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """What is known of a study with an open image revision.

    `queryable` where a PACS may hold it; `retrieval` is how the asking stands, which ended at `asked_at` with `reason`.
    `announced` where an event said that the images are there; `stat` where its order is.
    """

    study_instance_uid: str
    opened_at: datetime
    series: tuple[SeriesProgress, ...]
    queryable: bool = False
    retrieval: RetrievalState | None = None
    asked_at: datetime | None = None
    reason: str = ""
    announced: bool = False
    stat: bool = False

    @property
    def unknown(self) -> bool:
        """True where every PACS answered that it does not have the study, and no image of it came since."""
        answered = self.retrieval is RetrievalState.FAILED and self.reason.startswith(NOT_KNOWN)
        return answered and not _came_since(self, *self.holding)

    @property
    def counted(self) -> bool:
        """True where counts of a PACS are wanted: a site that pushes everything has none."""
        return self.queryable and not self.unknown

    @property
    def holding(self) -> tuple[SeriesProgress, ...]:
        """The series that hold up the study: those that a model reads, all where it reads none."""
        return tuple(one for one in self.series if one.consumed) or self.series


@dataclass(frozen=True, slots=True)
class Rules:
    """The site's: how long a series of a modality has to be quiet, when a study runs with what there is, in seconds."""

    quiet_s: Callable[[str], float]
    incomplete_after_s: float
    stat_per_series: bool = True
    #: A PACS whose counts do not fit is asked again so often.
    ask_again_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do. `incomplete` says why the images are not known to be all, empty where they are.

    `later` are the series that a stat study does not wait for: their images belong to the next revision.
    """

    action: Action
    incomplete: str = ""
    reasons: tuple[str, ...] = ()
    later: tuple[str, ...] = field(default=())


def judge(progress: StudyProgress, rules: Rules, now: datetime) -> Verdict:
    """What to do about a study now."""
    missing = _missing(progress, rules, now)
    if not missing and not _asking(progress):
        return Verdict(Action.CLOSE, reasons=_reasons(progress, progress.holding, rules))
    if now - progress.opened_at >= timedelta(seconds=rules.incomplete_after_s):
        waited = f"not complete after {rules.incomplete_after_s:g} s"
        return Verdict(Action.CLOSE, "; ".join(_lacks(progress, missing)), (waited, *missing.values()))
    ready = _ready(progress, rules, missing)
    if ready and missing:
        return _early(progress, ready, missing, rules)
    if _to_be_asked(progress, rules, missing, now):
        return Verdict(Action.ASK, reasons=tuple(missing.values()))
    return Verdict(Action.WAIT, reasons=tuple(missing.values()) or ("the PACS is being asked",))


def missing_slices(headers: Iterable[InstanceHeader]) -> str:
    """Where slices are missing between those that are here, in words with mm; empty where none is, or nobody can tell.

    Positions along the normal, by orientation and acquisition; a gap above 1.5 x the median is one. Multi-frame objects
    bring all their slices with them.
    """
    stacks: list[_Stack] = []
    for header in headers:
        if header.frames > 1 or not (header.image_position and header.image_orientation):
            continue
        home = next((stack for stack in stacks if stack.takes(header)), None)
        if home is None:
            if len(stacks) >= _MOST_STACKS:
                return ""
            home = _Stack(header.image_orientation, header.acquisition_number)
            stacks.append(home)
        home.add(header.image_position)
    return "; ".join(filter(None, (stack.gap() for stack in stacks)))


#: Rotational series have a stack for each image: no two of them lie above each other.
_MOST_STACKS = 64
_SAME_COSINE = 1e-3
_SAME_POSITION_MM = 0.01
_GAP = 1.5
_FEWEST = 3


@dataclass(slots=True)
class _Stack:
    """The positions of one orientation and acquisition along their normal (PS3.3 C.7.6.2.1.1), in mm."""

    orientation: tuple[float, ...]
    acquisition: int | None
    along: list[float] = field(default_factory=list)

    def takes(self, header: InstanceHeader) -> bool:
        """True for an image of this stack."""
        if header.acquisition_number != self.acquisition:
            return False
        pairs = zip(self.orientation, header.image_orientation, strict=True)
        return all(abs(one - other) <= _SAME_COSINE for one, other in pairs)

    def add(self, position: tuple[float, ...]) -> None:
        """One more image."""
        x, y, z, u, v, w = self.orientation
        normal = (y * w - z * v, z * u - x * w, x * v - y * u)
        height = sum(a * b for a, b in zip(normal, position, strict=True))
        if math.isfinite(height):
            self.along.append(height)

    def gap(self) -> str:
        """The widest gap in words; empty where there is none."""
        places = sorted(self.along)
        distinct = [one for i, one in enumerate(places) if i == 0 or one - places[i - 1] > _SAME_POSITION_MM]
        if len(distinct) < _FEWEST:
            return ""
        gaps = [after - before for before, after in pairwise(distinct)]
        usual, widest = median(gaps), max(range(len(gaps)), key=gaps.__getitem__)
        if gaps[widest] <= _GAP * usual:
            return ""
        where = f"between {distinct[widest]:.1f} mm and {distinct[widest + 1]:.1f} mm along the slice normal"
        return f"slices are missing {where}: {gaps[widest]:.2f} mm apart, usually {usual:.2f} mm"


def _missing(progress: StudyProgress, rules: Rules, now: datetime) -> dict[str, str]:
    """Why each series that is not complete is not."""
    if any(one.consumed for one in progress.series):
        found = {one.series_instance_uid: _lack(progress, one, rules, now) for one in progress.holding}
    else:
        found = {one.series_instance_uid: _unrest(progress, one, rules, now) for one in progress.series}
    return {uid: why for uid, why in found.items() if why}


def _lack(progress: StudyProgress, series: SeriesProgress, rules: Rules, now: datetime) -> str:
    """Why a series that a model reads is not complete; empty where it is."""
    return _miscount(progress, series) or _gap(series) or _unrest(progress, series, rules, now)


def _unrest(progress: StudyProgress, series: SeriesProgress, rules: Rules, now: datetime) -> str:
    """Why more images of a series may be on their way; empty where an event said that all are there, or it is quiet.

    Where nobody is asked for counts, an event has to state one: all images may be at the PACS and not yet here.
    """
    if progress.announced and (progress.counted or series.stated is not None):
        return ""
    if series.last_at is None or now - series.last_at >= timedelta(seconds=rules.quiet_s(series.modality)):
        return ""
    return f"images of {series.name} are still coming"


def _miscount(progress: StudyProgress, series: SeriesProgress) -> str:
    """Why the images that are here are not those that were stated. What was rejected here may be counted there."""
    stated = series.stated
    if stated is None and not series.local:
        return f"no image of {series.name} is here"
    if stated is None:
        done = progress.retrieval is RetrievalState.DONE and not _came_since(progress, series)
        return "" if done or not progress.counted else f"no PACS has stated how many images {series.name} has"
    if series.local + series.rejected < stated:
        return f"{series.local} of {stated} images of {series.name}"
    if series.local > stated:
        return (
            f"{series.local} images of {series.name} are here, of which {stated} were stated"
            if progress.counted
            else ""
        )
    if progress.counted and not series.agreed:
        return f"the {stated} images of {series.name} were stated once, not twice"
    return ""


def _gap(series: SeriesProgress) -> str:
    return f"{series.name}: {series.gap}" if series.gap else ""


def _asking(progress: StudyProgress) -> bool:
    """True while a PACS has still to say whether it has series that nobody has seen here."""
    if progress.retrieval is RetrievalState.FAILED:  # what failed may have come after it had said so
        return progress.counted and not all(one.agreed and one.stated is not None for one in progress.holding)
    return progress.counted and progress.retrieval is not RetrievalState.DONE


def _came_since(progress: StudyProgress, *series: SeriesProgress) -> bool:
    """True where images came after the PACS was asked last."""
    asked = progress.asked_at
    return asked is None or any(one.last_at is not None and one.last_at > asked for one in series)


def _to_be_asked(progress: StudyProgress, rules: Rules, missing: dict[str, str], now: datetime) -> bool:
    """True where it is worth asking: nothing is on its way, and it was not asked, or what it said does not fit."""
    quiet = not any(_unrest(progress, one, rules, now) for one in progress.holding)
    if not progress.queryable or progress.retrieval in _UNDER_WAY or not quiet:
        return False
    if progress.retrieval is None or _came_since(progress, *progress.holding):
        return True
    if progress.retrieval is RetrievalState.FAILED or not missing or progress.asked_at is None:
        return False
    return now - progress.asked_at >= timedelta(seconds=rules.ask_again_s)


def _ready(progress: StudyProgress, rules: Rules, missing: dict[str, str]) -> tuple[SeriesProgress, ...]:
    """The complete CT series with which a stat study begins; () where it waits for all."""
    if not (progress.stat and rules.stat_per_series):
        return ()
    complete = [one for one in progress.holding if one.series_instance_uid not in missing]
    return tuple(one for one in complete if one.consumed and one.modality == "CT" and one.fresh and one.local)


def _early(progress: StudyProgress, ready: Sequence[SeriesProgress], missing: dict[str, str], rules: Rules) -> Verdict:
    names = ", ".join(one.name for one in ready)
    coming = missing.values()
    begun = f"a stat CT begins with what is complete: {names}"
    incomplete = f"{begun}; {'; '.join(coming)}"
    reasons = (begun, *_reasons(progress, ready, rules), *coming)
    return Verdict(Action.CLOSE, incomplete, reasons, tuple(missing))


def _lacks(progress: StudyProgress, missing: dict[str, str]) -> list[str]:
    """Why a study that runs at the deadline is not known to be complete."""
    return [*missing.values(), *filter(None, (_unasked(progress),))]


def _unasked(progress: StudyProgress) -> str:
    if not progress.counted or progress.retrieval is RetrievalState.DONE:
        return ""
    if progress.retrieval is RetrievalState.FAILED:
        return "the PACS could not be asked for all images"
    return "the PACS did not answer in time" if progress.retrieval else "the PACS was not asked"


def _reasons(progress: StudyProgress, series: Sequence[SeriesProgress], rules: Rules) -> tuple[str, ...]:
    """Why these series are complete."""
    quiet = max((rules.quiet_s(one.modality) for one in series), default=0.0)
    here = sum(one.local for one in series)
    told = progress.announced and (progress.counted or all(one.stated is not None for one in series))
    settled = "an event said that the images are there" if told else f"quiet for {quiet:g} s"
    if not any(one.consumed for one in series):
        return (f"no series that a model reads, {settled}",)
    if not progress.counted:
        asked = NOT_KNOWN if progress.unknown else "no PACS was asked"
        return (f"{asked}: {settled}, no slice missing, {here} images",)
    uncounted = [f"no PACS states a count of {one.name}" for one in series if one.stated is None]
    agreed = sum(one.local for one in series if one.stated is not None)
    return (settled, f"the PACS stated twice that there are {agreed} images, no slice is missing", *uncounted)

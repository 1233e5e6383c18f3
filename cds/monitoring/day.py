"""All figures of one day, from what was read: models, pathways and times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo

from cds.domain.hook_stats import CardCount
from cds.domain.quality import About, DayCount, Drift, ModelFigures, PathwayFigures, QualityDay, Reading, Turnaround
from cds.monitoring import METHOD, drift
from cds.monitoring.bounds import crossed, idle
from cds.monitoring.drift import Windows
from cds.monitoring.findings import by_kind, figures
from cds.monitoring.shares import share, share_of
from cds.monitoring.subgroups import DIMENSIONS, subgroups
from cds.quality_bounds import QualityBounds

#: The code of the override of CDS Hooks that says of a finding that it is wrong.
FINDING_WRONG = "ai-finding-wrong"


@dataclass(frozen=True, slots=True)
class Read:
    """What one version of a model came to in its reference window, [from, to), and in the current one."""

    model: str
    version: str
    reference_from: date
    reference_to: date
    reference: Sequence[Reading]
    current: Sequence[Reading]


@dataclass(frozen=True, slots=True)
class Window:
    """The days that are told of, both included, in the site's time zone."""

    first: date
    last: date
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted elsewhere: cards by pathway and by model, and times."""

    pathways: Sequence[CardCount] = ()
    models: Sequence[CardCount] = ()
    times: Sequence[Turnaround] = ()


def reference_days(first: date, bounds: QualityBounds) -> tuple[date, date]:
    """The reference window of a version that read its first study then, [from, to)."""
    begin = max(first, bounds.reference_from or first)
    return begin, begin + timedelta(days=bounds.reference_days)


def quality_day(read: Iterable[Read], counted: Counted, window: Window, bounds: QualityBounds) -> QualityDay:
    """What the page tells of the window."""
    disputed = _disputed(counted.models)
    models = tuple(_model(one, disputed, window, bounds) for one in read)
    pathways = tuple(_pathway(one) for one in counted.pathways)
    times = tuple(counted.times)
    return QualityDay(
        window.last,
        window.first,
        METHOD,
        bounds.smallest_cell,
        models,
        pathways,
        times,
        crossed(models, pathways, times, bounds),
        idle(models, pathways, bounds),
    )


def _model(read: Read, disputed: Mapping[str, int], window: Window, bounds: QualityBounds) -> ModelFigures:
    evaluated = [one for one in read.current if one.evaluated]
    return ModelFigures(
        model=read.model,
        version=read.version,
        reference_from=read.reference_from,
        reference_to=read.reference_to,
        read=len(read.current),
        evaluated=len(evaluated),
        not_evaluated=dict(sorted(Counter(one.gate for one in read.current if not one.evaluated).items())),
        positive=share_of(one.positive for one in evaluated),
        disputed=disputed.get(f"{read.model} {read.version}", 0),
        findings=tuple(figures(said) for said in by_kind(evaluated).values()),
        drift=tuple(_drift(read, window, bounds)),
        subgroups=subgroups(read.current, bounds.smallest_cell),
        days=tuple(_days(read.current, window)),
    )


def _drift(read: Read, window: Window, bounds: QualityBounds) -> Iterator[Drift]:
    """Input and patients over all that the model was given, scores over what it evaluated."""
    if read.reference_to > window.first:
        return
    then, now = read.reference, read.current
    for name in sorted({name for one in (*then, *now) for name in one.seen.numbers}):
        yield drift.numbers(Windows(About.INPUT, name, _number(then, name), _number(now, name)), bounds)
    for name, of in DIMENSIONS.items():
        about = About.INPUT if name == "scanner" else About.PATIENT
        yield drift.groups(Windows(about, name, [of(one) for one in then], [of(one) for one in now]), bounds)
    before, after = _scores(then), _scores(now)
    for kind in sorted(before.keys() | after.keys()):
        yield drift.numbers(Windows(About.SCORE, kind, before.get(kind, ()), after.get(kind, ())), bounds)


def _number(readings: Iterable[Reading], name: str) -> list[float]:
    return [one.seen.numbers[name] for one in readings if name in one.seen.numbers]


def _scores(readings: Iterable[Reading]) -> Mapping[str, list[float]]:
    kinds = by_kind(one for one in readings if one.evaluated).items()
    found = {kind: [one.score for one in said if one.score is not None] for kind, said in kinds}
    return {kind: scores for kind, scores in found.items() if scores}


def _days(readings: Iterable[Reading], window: Window) -> Iterator[DayCount]:
    """Every day of the window; one without a study is a count of nought, which is known."""
    read: Counter[date] = Counter()
    evaluated: Counter[date] = Counter()
    positive: Counter[date] = Counter()
    for one in readings:
        day = one.at.astimezone(window.zone).date()
        read[day] += 1
        evaluated[day] += one.evaluated
        positive[day] += one.positive is True
    for step in range((window.last - window.first).days + 1):
        day = window.first + timedelta(days=step)
        yield DayCount(day, read[day], evaluated[day], positive[day])


def _pathway(count: CardCount) -> PathwayFigures:
    overridden = sum(count.overridden.values())
    answered = count.accepted + overridden
    return PathwayFigures(
        count.pathway,
        count.shown,
        count.critical,
        count.unanswered,
        share(count.accepted, count.shown) if answered else None,
        share(overridden, count.shown) if answered else None,
        dict(count.overridden),
        dict(count.suppressed),
    )


def _disputed(counts: Iterable[CardCount]) -> Mapping[str, int]:
    """Cards that were overridden because a finding is wrong, by "<model> <version>"."""
    return {name: one.overridden.get(FINDING_WRONG, 0) for one in counts for name in one.models}

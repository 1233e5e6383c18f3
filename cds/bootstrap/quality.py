"""The quality figures, wired: what models are given is kept, and a nightly run computes what people are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cds import metrics
from cds.bootstrap import stores
from cds.domain.hook_stats import CardCount
from cds.domain.imaging import ModelInput
from cds.domain.quality import QualityDay, QualityRun
from cds.domain.revision import Work
from cds.errors import SightlineError
from cds.logs import get_logger
from cds.monitoring import METHOD
from cds.ports import Clock
from cds.quality_bounds import QualityBounds
from cds.render.hook_stats import By, told_by
from cds.settings import Settings
from cds.store import card_stats
from cds.store.engine import Database
from cds.store.quality import Look, QualityStore
from cds.store.quality_readings import Asked

if TYPE_CHECKING:
    from cds.monitoring.day import Read, Window

log = get_logger(__name__)


def seen(database: Database, clock: Clock) -> Callable[[Work, str, str, ModelInput], None]:
    """Keeps what a model is given as small numbers; a run never fails of it."""
    from adapters.dicom.input_numbers import input_numbers

    kept = QualityStore(database)

    def keep(work: Work, model: str, version: str, given: ModelInput) -> None:
        try:
            kept.saw(work, model, version, input_numbers(given), clock.now())
        except (SightlineError, OSError, ValueError) as error:
            log.warning("the numbers of an input are not kept", model=model, error=type(error).__name__)

    return keep


def nightly(settings: Settings, database: Database) -> Callable[[datetime], None]:
    """For a worker's timer: the last whole day once it is over by `quality.at_hour`, one run whoever looks."""
    zone, kept = ZoneInfo(settings.time_zone), QualityStore(database)

    def look(now: datetime) -> None:
        there = now.astimezone(zone)
        yesterday = there.date() - timedelta(days=1)
        if there.hour < settings.quality.at_hour or kept.has(yesterday, METHOD):
            return
        with metrics.STEP_SECONDS.time(step="quality"):
            kept.add(computed(settings, database, yesterday), now, once=True)
        log.info("quality figures computed")

    return look


def run_now(settings: Settings, day: date, now: datetime) -> QualityDay:
    """Compute and keep the window that ends with a day, once more where there is a run of it."""
    database = stores(settings).database
    try:
        found = computed(settings, database, day)
        QualityStore(database).add(found, now)
        return found
    finally:
        database.dispose()


def shown(settings: Settings, day: date | None) -> QualityRun:
    """The newest run of a day, of the last one for None; raise NotFound."""
    database = stores(settings).database
    try:
        return QualityStore(database).newest(day)
    finally:
        database.dispose()


def computed(settings: Settings, database: Database, day: date) -> QualityDay:
    """Everything that is told of the window that ends with a day."""
    from cds.monitoring.day import Counted, Window, quality_day
    from cds.monitoring.times import turnaround

    bounds, zone = settings.quality, ZoneInfo(settings.time_zone)
    window = Window(day - timedelta(days=bounds.window_days - 1), day, zone)
    after, before = _midnight(window.first, zone), _midnight(day + timedelta(days=1), zone)
    cards = _between(card_stats.stats(database, after), card_stats.stats(database, before))
    with QualityStore(database).looking(settings.site_of) as look:
        took = {"report": look.reported(after, before), "acknowledgment": look.acknowledged(after, before)}
        times = [turnaround(what, one.minutes, one.open) for what, one in took.items()]
        counted = Counted(told_by(cards, By.PATHWAY), told_by(cards, By.MODEL), times)
        return quality_day(_read(look, window, bounds), counted, window, bounds)


def _read(look: Look, window: Window, bounds: QualityBounds) -> Iterator[Read]:
    """The versions of models that read lately: one that fell silent is told for as long as a window."""
    from cds.monitoring.day import Read, reference_days

    after, before = _midnight(window.first, window.zone), _midnight(window.last + timedelta(days=1), window.zone)
    for one in look.versions():
        if one.last_at < after - (before - after) or one.first_at >= before:
            continue
        current = look.readings(Asked(one.model, one.version, after, before))
        begin, end = reference_days(one.first_at.astimezone(window.zone).date(), bounds)
        asked = Asked(one.model, one.version, _midnight(begin, window.zone), _midnight(end, window.zone))
        reference = look.readings(asked) if end <= window.first else ()
        yield Read(one.model, one.version, begin, end, reference, current)


def _between(since: Sequence[CardCount], after: Sequence[CardCount]) -> list[CardCount]:
    """What was shown since one time, without what was shown after a later one."""
    later = {(one.service, one.pathway, one.models, one.site): one for one in after}
    return [
        _less(one, gone) if (gone := later.get((one.service, one.pathway, one.models, one.site))) else one
        for one in since
    ]


def _less(one: CardCount, gone: CardCount) -> CardCount:
    return replace(
        one,
        shown=one.shown - gone.shown,
        critical=one.critical - gone.critical,
        accepted=one.accepted - gone.accepted,
        unanswered=one.unanswered - gone.unanswered,
        overridden=_without(one.overridden, gone.overridden),
        suppressed=_without(one.suppressed, gone.suppressed),
    )


def _without(counts: Mapping[str, int], gone: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(counts) - Counter(gone))


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone)

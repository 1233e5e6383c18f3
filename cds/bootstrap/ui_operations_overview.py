"""What an engineer looks at first: alarms, roles, queues, GPUs, room on the disk, and feeds with their silence."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cds.bootstrap import watch
from cds.bootstrap.ui_operations_gpus import gpus
from cds.domain.subscription import SubscriptionState
from cds.ports import Clock
from cds.settings import Settings
from cds.store import operations as store
from cds.store.engine import Database
from cds.ui.operations_values import Disk, FeedTold, Overview, RaisedAlarm, Standing
from cds.watch import Alarm, Heard, span

_NOT_WORKING = frozenset({SubscriptionState.SILENT, SubscriptionState.ERROR})
#: The parts of the data folder that grow; a folder is told by what lies directly in it.
_FILES = ("app.sqlite", "app.sqlite-wal", "messages.sqlite", "messages.sqlite-wal")


def overview(settings: Settings, database: Database, inbox: Database, clock: Clock) -> Callable[[], Overview]:
    """The first page of operations, looked at anew at every call."""
    limits = watch.limits(settings)

    def look() -> Overview:
        now = clock.now()
        standing = store.standing(database)
        queues = (store.inbox_queue(inbox, database), *standing.queues)
        return Overview(
            at=now,
            standing=Standing(
                _alarms(standing, store.present(database, limits, now)), standing.beats, queues, standing.devices
            ),
            expected_roles=settings.expected_roles,
            disk=disk(settings),
            gpus=gpus(),
            feeds=(*_hl7(watch.feeds(settings, database), now), *_fhir(watch.fhir_feeds(settings, database), now)),
        )

    return look


def disk(settings: Settings) -> Disk:
    """Room on the disk of the data folder, and what our databases take of it."""
    try:
        usage = shutil.disk_usage(settings.data_dir)
    except OSError:
        return Disk(None, None, settings.minimum_free_bytes)
    return Disk(usage.free, usage.total, settings.minimum_free_bytes, tuple(_sizes(settings.data_dir)))


def _sizes(folder: Path) -> Iterator[tuple[str, int]]:
    for name in _FILES:
        try:
            yield name, (folder / name).stat().st_size
        except OSError:
            continue  # it is not there: PostgreSQL, or nothing was written yet


def _alarms(standing: Standing, present: Sequence[Alarm]) -> tuple[RaisedAlarm, ...]:
    """What alarms now in the words of now; since when, where a worker has raised it."""
    since = {alarm.key: alarm.since for alarm in standing.alarms}
    return tuple(RaisedAlarm(alarm.key, alarm.text, since.get(alarm.key)) for alarm in present)


def _hl7(feeds: tuple[Heard, ...], now: datetime) -> Iterator[FeedTold]:
    for feed in feeds:
        learning = feed.silent_after_s is None
        mark = "learning" if learning else "silent" if feed.is_silent(now) else "ok"
        heard = f"{feed.messages} messages" + (", interval set by this site" if feed.stated else "")
        name = f"{feed.source} {feed.message_type}".rstrip()
        yield FeedTold(name, mark, feed.last_at, f"{feed.normal}; {heard}")


def _fhir(feeds: tuple[watch.FhirFeed, ...], now: datetime) -> Iterator[FeedTold]:
    for one in feeds:
        failures = one.feed.failures if one.feed else 0
        parts = [_news(one, now)]
        parts += [f"looked {failures} times in vain: {one.feed.error}"] if one.feed and failures else []
        parts += [f"{one.waiting} waiting, {one.held} held"] if one.waiting or one.held else []
        last = one.feed.answered_at if one.feed else None
        yield FeedTold(f"FHIR {one.server} {one.resource_type}", _mark(one, failures), last, "; ".join(parts))


def _mark(one: watch.FhirFeed, failures: int) -> str:
    if failures:
        return "failing"
    subscribed = one.subscription is not None and one.source.events != "poll"
    unheard = subscribed and one.subscription is not None and one.subscription.state in _NOT_WORKING
    if unheard:
        return "silent"
    return "ok" if one.feed and one.feed.answered_at else "learning"


def _news(one: watch.FhirFeed, now: datetime) -> str:
    """How its news comes."""
    polled = f"polled every {span(timedelta(seconds=one.source.poll_interval_s))}"
    subscription = one.subscription
    if subscription is None or one.source.events == "poll":
        return polled
    heard = f"heard {span(now - subscription.heard_at)} ago" if subscription.heard_at else "never heard"
    return f"Subscription {subscription.state.value}, {heard}"

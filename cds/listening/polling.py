"""Asking a server what changed. What it answers is kept page by page; working it off is another step.

The cursor is the server's own time of the last change that was kept, never ours: clocks differ. It moves past a page
when the next one shows that the server sorts, and the search begins anew there: what changes meanwhile would shift the
pages of a server that counts them by offset, and something would fall in between. Of a server that does not sort it
moves when all pages are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from cds import metrics
from cds.domain.fhir_news import Feed, Found, Page
from cds.domain.subscription import Subscription, SubscriptionState
from cds.errors import PeerFailed, PeerRefused, SightlineError, Unavailable
from cds.listening.parts import Listening
from cds.logs import get_logger

log = get_logger(__name__)

#: Where notifications come, a look now and then finds what they left out: R4's own have neither numbers nor heartbeats.
_CHECKED_TIMES, _CHECKED_S = 10, 600.0
_LONGEST_BACKOFF_S = 300.0
#: Which versions were taken is known so long; what comes again later says nothing new by its content.
_KEPT = timedelta(days=7)
#: A clock that is further ahead is wrong.
_AHEAD = timedelta(days=1)
#: Servers write, and round, moments differently.
_ROUNDING = timedelta(seconds=2)


def poll_due(line: Listening, now: datetime) -> list[str]:
    """The types of resource that are to be asked for now."""
    if line.source.events == "none":
        return []
    feeds = {feed.resource_type: feed for feed in line.feeds.of(line.name)}
    kept = {subscription.resource_type: subscription for subscription in line.kept.of(line.name)}
    return [
        resource_type
        for resource_type in line.source.resources
        if _is_due(line, feeds.get(resource_type), kept.get(resource_type), now)
    ]


def _is_due(line: Listening, feed: Feed | None, subscription: Subscription | None, now: datetime) -> bool:
    if feed is None or feed.looked_at is None:
        return True
    wait_s = line.source.poll_interval_s
    if subscription is not None and subscription.state is SubscriptionState.ACTIVE and not feed.failures:
        wait_s = max(_CHECKED_TIMES * wait_s, _CHECKED_S)
    if feed.failures:
        wait_s = max(wait_s, min(wait_s * 2.0 ** min(feed.failures - 1, 10), _LONGEST_BACKOFF_S))
    return now - feed.looked_at >= timedelta(seconds=wait_s) or feed.looked_at > now


def try_poll(line: Listening, resource_type: str) -> bool:
    """Ask, and keep that it failed where it does; answers whether it went well."""
    try:
        poll(line, resource_type)
    except (Unavailable, PeerRefused) as error:
        log.warning("a FHIR server could not be polled", peer=line.name, error=type(error).__name__)
        return False
    return True


def poll(line: Listening, resource_type: str) -> None:
    """Ask for everything that changed since the last time, and keep what of it was not taken before.

    What the server says in vain is kept, and raised.
    """
    now = line.clock.now()
    since = line.feeds.begin(line.name, resource_type, now, first=now - line.overlap) - line.overlap
    try:
        read = _pages(line, resource_type, since)
    except SightlineError as error:
        metrics.FHIR_POLLS.inc(source=line.name, outcome="failed")
        line.feeds.failed(line.name, resource_type, str(error))
        raise
    now, name = line.clock.now(), line.name
    line.feeds.answered(name, resource_type, up_to=_cursor(read, now), forget_before=since - _KEPT, now=now)
    metrics.FHIR_POLLS.inc(source=line.name, outcome="answered")


def _pages(line: Listening, resource_type: str, since: datetime) -> list[datetime]:
    """Keep every page; answers the times of all changes."""
    read: list[datetime] = []
    while True:
        times, is_all = _window(line, resource_type, since)
        read += times
        if is_all:
            return read
        since = max(times)


def _window(line: Listening, resource_type: str, since: datetime) -> tuple[list[datetime], bool]:
    """Keep a first page, and whatever else has to be read from there; answers their times, and whether that is all."""
    pages = line.server.changed(resource_type, since)
    first = next(pages, Page()).found
    read = _keep(line, resource_type, first, since)
    for number, page in enumerate(pages):
        if number == 0 and _sorts(first, page.found, since):
            _keep(line, resource_type, page.found, since, up_to=_cursor(read, line.clock.now()))
            return read, False
        if page.cut:
            raise PeerFailed("the server found more than it shows, and names no next page")
        read += _keep(line, resource_type, page.found, since)
    return read, True


def _keep(
    line: Listening, resource_type: str, page: Sequence[Found], since: datetime, up_to: datetime | None = None
) -> list[datetime]:
    """Keep a page with how far was read; answers the times of its changes."""
    times = [found.last_updated for found in page if found.last_updated]
    _refuse_the_archive(times, since)
    line.feeds.page(line.name, page, resource_type=resource_type, up_to=up_to, now=line.clock.now())
    line.keep()
    return times


def _sorts(first: Sequence[Found], second: Sequence[Found], since: datetime) -> bool:
    """True where the second page follows the first in time, and the first leads on from where it began."""
    if not first:
        return False
    times = [found.last_updated for found in (*first, *second)]
    known = [moment for moment in times if moment]
    return len(known) == len(times) and known == sorted(known) and known[len(first) - 1] > since


def _cursor(read: Sequence[datetime], now: datetime) -> datetime | None:
    """How far was read. One change of next year must not hide all that come before it.

    Of a server whose clock is ahead of ours everything is: it was read up to now.
    """
    past = [moment for moment in read if moment <= now]
    if past:
        return max(past)
    return now if any(moment <= now + _AHEAD for moment in read) else None


def _refuse_the_archive(times: Sequence[datetime], since: datetime) -> None:
    if times and min(times) < since - _ROUNDING:
        raise PeerRefused(
            "the server answers more than was asked for: it does not know _lastUpdated, without which it "
            "cannot be polled"
        )

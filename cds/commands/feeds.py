"""`cds feeds`: who sends HL7 v2 messages, and which FHIR servers are listened to: when last, and who is silent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import typer

from cds.commands.common import settings
from cds.domain.fhir_news import Feed
from cds.domain.subscription import SubscriptionState
from cds.watch import Heard, span

if TYPE_CHECKING:
    from cds.bootstrap.watch import FhirFeed

_NOT_WORKING = frozenset({SubscriptionState.SILENT, SubscriptionState.ERROR})

app = typer.Typer(
    invoke_without_command=True, help="The senders of HL7 v2 and the FHIR servers: last heard, and who is silent."
)


@app.callback()
def feeds(context: typer.Context) -> None:
    """List the senders of HL7 v2 messages and the FHIR servers that are listened to: last heard, who is silent."""
    if context.invoked_subcommand is not None:
        return
    from cds import bootstrap
    from cds.bootstrap import watch
    from cds.clock import SystemClock

    site = settings()
    database = bootstrap.stores(site).database
    now = SystemClock(site.time_zone).now()
    zone = ZoneInfo(site.time_zone)
    typer.echo("\n".join(lines(watch.feeds(site, database), now, zone)))
    for line in fhir_lines(watch.fhir_feeds(site, database), now, zone):
        typer.echo(line)


@app.command()
def notices() -> None:
    """List what FHIR servers told and is not worked off: what waits, and what is held for a person."""
    from cds import bootstrap
    from cds.store.fhir_notices import NoticeQueue

    site = settings()
    zone = ZoneInfo(site.time_zone)
    for notice, is_held in NoticeQueue(bootstrap.stores(site).database).waiting():
        what = notice.reference or f"{notice.resource_type} ({notice.kind.value})"
        since = f"since {notice.received_at.astimezone(zone):%Y-%m-%d %H:%M}" if notice.received_at else ""
        state = "HELD   " if is_held else "waiting"
        typer.echo(f"{state}  notice-{notice.id} {notice.server} {what}, {since}, attempts: {notice.attempts}")


def lines(heard: Sequence[Heard], now: datetime, zone: ZoneInfo) -> Iterator[str]:
    """One line for each feed, the silent ones marked."""
    if not heard:
        yield "No message was heard yet."
    for feed in heard:
        mark = "SILENT" if feed.is_silent(now) else "ok    "
        name = f"{feed.source} {feed.message_type}".rstrip()
        last = f"{feed.last_at.astimezone(zone):%Y-%m-%d %H:%M}, {span(now - feed.last_at)} ago" if feed.last_at else ""
        yield f"{mark}  {name}: {f'last {last}' if last else 'never heard'}; {feed.normal}{_how(feed)}"


def _how(feed: Heard) -> str:
    """How it is known what is normal."""
    if feed.normal_s is None:
        return f" (heard: {feed.messages})"
    return " (set by this site)" if feed.stated else f" (learned from {feed.messages} messages)"


def fhir_lines(feeds: Sequence[FhirFeed], now: datetime, zone: ZoneInfo) -> Iterator[str]:
    """One line for each type of resource of a FHIR server, those that could not be read marked."""
    for one in feeds:
        feed, failures = one.feed, one.feed.failures if one.feed else 0
        mark = "FAILING" if failures else _mark(one)
        parts = [_answered(feed, now, zone), _news(one, now)]
        parts += [f"looks in vain: {failures} ({feed.error})"] if feed and failures else []
        parts += [f"waiting: {one.waiting}, held: {one.held}"] if one.waiting or one.held else []
        yield f"{mark}  FHIR {one.server} {one.resource_type}: {'; '.join(parts)}"


def _mark(one: FhirFeed) -> str:
    """A subscription that was to bring the news and does not is no outage: polling brings it, later."""
    unheard = one.subscription is not None and one.subscription.state in _NOT_WORKING and one.source.events != "poll"
    return "SILENT" if unheard else "ok    "


def _answered(feed: Feed | None, now: datetime, zone: ZoneInfo) -> str:
    if feed is None or feed.answered_at is None:
        return "has not answered yet"
    read = f", read up to {feed.read_up_to.astimezone(zone):%Y-%m-%d %H:%M:%S}" if feed.read_up_to else ""
    return f"last answer {feed.answered_at.astimezone(zone):%Y-%m-%d %H:%M}, {span(now - feed.answered_at)} ago{read}"


def _news(one: FhirFeed, now: datetime) -> str:
    """How its news comes."""
    polled = f"polled every {span(timedelta(seconds=one.source.poll_interval_s))}"
    subscription = one.subscription
    if subscription is None or one.source.events == "poll":
        return polled
    heard = f", heard {span(now - subscription.heard_at)} ago" if subscription.heard_at else ", never heard"
    why = f": {subscription.error}" if subscription.error else ""
    working = subscription.state is SubscriptionState.ACTIVE
    return f"Subscription {subscription.state.value}{heard}{why}" + ("" if working else f"; {polled} meanwhile")

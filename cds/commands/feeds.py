"""`cds feeds`: who sends HL7 v2 messages, when last, what is normal, and who is silent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import typer

from cds.commands.common import settings
from cds.watch import Heard, span

app = typer.Typer(invoke_without_command=True, help="The senders of HL7 v2: last heard, what is normal, who is silent.")


@app.callback()
def feeds() -> None:
    """List the senders of HL7 v2 messages: last heard, what is normal, who is silent."""
    from cds import bootstrap
    from cds.bootstrap import watch
    from cds.clock import SystemClock

    site = settings()
    database = bootstrap.stores(site).database
    now = SystemClock(site.time_zone).now()
    typer.echo("\n".join(lines(watch.feeds(site, database), now, ZoneInfo(site.time_zone))))


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

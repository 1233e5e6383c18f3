"""`cds hooks stats`: what became of the cards that were shown, and what was held back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from cds.commands.audit import MOMENTS, moment
from cds.commands.common import settings
from cds.render.hook_stats import By

#: A quarter, where nobody says since when.
_LONG = timedelta(days=90)


def stats(
    since: Annotated[
        datetime | None, typer.Option("--since", formats=MOMENTS, help="90 days ago where it is left out")
    ] = None,
    by: Annotated[By, typer.Option("--by", help="sum up by one thing")] = By.ALL,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="as CSV")] = False,
) -> None:
    """Tell how often cards were shown, accepted, overridden and held back, and why. No patient and no user."""
    if as_json and as_csv:
        raise typer.BadParameter("want --json or --csv")
    from cds.bootstrap.hook_stats import counted
    from cds.clock import SystemClock
    from cds.render import hook_stats as telling

    site = settings()
    zone = ZoneInfo(site.time_zone)
    start = moment(since, zone) if since else SystemClock(site.time_zone).now() - _LONG
    counts = telling.told_by(counted(site, start), by)
    told = telling.as_json if as_json else telling.as_csv if as_csv else telling.as_text
    typer.echo(told(counts).rstrip("\n"))

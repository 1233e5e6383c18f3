"""`cds replay`: what would have been sent if shadow models and pathways had been advisory. It sends nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from cds.commands.audit import MOMENTS, moment
from cds.commands.common import By, actor, settings


def replay(
    since: Annotated[datetime, typer.Option("--from", formats=MOMENTS, help="in the site's zone without an offset")],
    until: Annotated[datetime, typer.Option("--to", formats=MOMENTS, help="likewise; this moment is not part of it")],
    advisory: Annotated[
        list[str] | None, typer.Option("--advisory", help="take only this model or pathway as advisory; may repeat")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
    by: By = "",
) -> None:
    """Tell what would have been sent and shown of past studies, had the shadow models and pathways been advisory."""
    from cds.bootstrap.replay import replayed
    from cds.clock import SystemClock
    from cds.render import replay as telling

    site = settings()
    zone = ZoneInfo(site.time_zone)
    found = replayed(
        site,
        SystemClock(site.time_zone),
        since=moment(since, zone),
        until=moment(until, zone),
        only=advisory or [],
        by=actor(by),
    )
    typer.echo(telling.as_json(found) if as_json else telling.as_text(found))


def mount(app: typer.Typer) -> None:
    """One command of the program itself."""
    app.command()(replay)

"""`cds quality`: the figures of models, pathways and times, computed now, shown, or as CSV."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import typer

from cds.commands.common import settings

app = typer.Typer(no_args_is_help=True, help="How models, pathways and times did: what the page /quality tells.")

Day = Annotated[
    datetime | None, typer.Option("--day", formats=["%Y-%m-%d"], help="the last day of the window; no patient is named")
]


@app.command()
def run(day: Day = None) -> None:
    """Compute the figures now, of the window that ends with a day: today, where none is named. Earlier runs stay."""
    from cds.bootstrap.quality import run_now
    from cds.clock import SystemClock

    site = settings()
    clock = SystemClock(site.time_zone)
    found = run_now(site, _day(day) or clock.today(), clock.now())
    typer.echo(f"Computed: {len(found.models)} model versions, {len(found.pathways)} pathways.")
    for one in found.crossed:
        typer.echo(one.text)


@app.command()
def show(
    table: Annotated[str, typer.Argument(help="one table; all where none is named")] = "", day: Day = None
) -> None:
    """Show the figures of a day, of the last one where none is named."""
    from cds.bootstrap.quality import shown
    from cds.render.quality import headed

    names = [_table(table)] if table else []
    typer.echo(headed(shown(settings(), _day(day)).day, names))


@app.command("csv")
def as_csv(table: Annotated[str, typer.Argument(help="the table")], day: Day = None) -> None:
    """Print one table of a day as CSV."""
    from cds.bootstrap.quality import shown
    from cds.render import quality

    typer.echo(quality.as_csv(shown(settings(), _day(day)).day, _table(table)), nl=False)


def _day(given: datetime | None) -> date | None:
    return given.date() if given else None


def _table(name: str) -> str:
    from cds.render.quality import tables

    if name not in tables():
        raise typer.BadParameter(f"want one of: {', '.join(tables())}")
    return name

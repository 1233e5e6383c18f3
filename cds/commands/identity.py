"""`cds identity`: what merged, linked, moved, cancelled or deleted whom, and taking it back."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from cds.commands.common import EXIT_FAILED, By, actor, settings
from cds.domain.identity import AppliedIdentity

app = typer.Typer(no_args_is_help=True, help="Who is who: merges, links, moves, cancels and deletions.")


@app.command("list")
def list_changes(
    number: Annotated[
        str | None, typer.Argument(metavar="[MRN]", help="a patient's number; all where left out")
    ] = None,
) -> None:
    """List the changes of identity, oldest first; patients are named by their random ids."""
    from cds.bootstrap import identity

    one = settings()
    changes = identity.changes(one, number)
    for change in changes:
        typer.echo(_line(change, ZoneInfo(one.time_zone)))
    if not changes:
        typer.echo("nothing changed who is who")
        raise typer.Exit(EXIT_FAILED if number else 0)


@app.command()
def undo(
    change: Annotated[int, typer.Argument(metavar="ID", help="as `cds identity list` shows it")], by: By = ""
) -> None:
    """Take a change back: its studies are matched again, and what was told to the wrong place is retracted."""
    from cds.bootstrap import identity

    identity.take_back(settings(), change, actor(by))
    typer.echo(f"change {change} is undone")


def _line(change: AppliedIdentity, zone: ZoneInfo) -> str:
    whom = f"{change.prior_id} → {change.survivor_id}" if change.prior_id else change.survivor_id
    line = (
        f"{change.id}  {change.at.astimezone(zone):%Y-%m-%d %H:%M:%S}  {change.event.value} ({change.trigger})  {whom}"
    )
    line += f"  by {change.by}"
    if change.undone_at is None:
        return line
    return f"{line}, ended {change.undone_at.astimezone(zone):%Y-%m-%d %H:%M:%S} by {change.undone_by}"

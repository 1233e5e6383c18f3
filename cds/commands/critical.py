"""`cds critical`: critical results that wait for a person, and the person who has one."""

from __future__ import annotations

from typing import Annotated

import typer

from cds.commands.common import By, actor, settings
from cds.domain.critical import CriticalResult

app = typer.Typer(no_args_is_help=True, help="Critical results on their way to a person.")

Id = Annotated[str, typer.Argument(metavar="ID", help="the id of a critical result, or how it begins")]


@app.command("list")
def list_criticals(
    everything: Annotated[bool, typer.Option("--all", help="also what was acknowledged or withdrawn")] = False,
) -> None:
    """List what waits, the most urgent first: its state, who was told last and by when, and its log."""
    from cds.bootstrap.critical import desk

    found = desk(settings()).criticals.all(waiting=not everything)
    for result in found:
        typer.echo(_told(result))
    if not found:
        typer.echo("There is no critical result." if everything else "No critical result waits for anybody.")


@app.command()
def acknowledge(critical_id: Id, by: By = "") -> None:
    """Record that you, or whom --by names, have a critical result: nobody else is told of it any more."""
    from cds.bootstrap.critical import desk

    opened = desk(settings())
    result = opened.criticals.acknowledge(critical_id, actor(by), opened.clock.now())
    typer.echo(f"{result.id}: acknowledged by {result.acknowledged_by} at {result.acknowledged_at:%Y-%m-%d %H:%M %Z}.")


def _told(result: CriticalResult) -> str:
    """One result in lines; the link's secret is not shown."""
    head = f"{result.id}  ACR category {result.category.value}  {result.state.value}  {result.title}"
    who = f"  acknowledged by {result.acknowledged_by}" if result.acknowledged_by else ""
    wait = f"  route {result.route or '(none)'}, due {result.due_at:%Y-%m-%d %H:%M %Z}" if result.waiting else who
    log = (f"  {event.at:%Y-%m-%d %H:%M:%S}  {event.what}: {event.detail}" for event in result.log)
    return "\n".join(filter(None, (head, f"  study {result.study_instance_uid}", wait, *log)))

"""`cds deliveries`: what was sent to whom, and what was answered."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cds.commands.common import By, actor, settings
from cds.domain.report import DeliveryState
from cds.errors import InvalidInput

app = typer.Typer(no_args_is_help=True, help="What was sent, and what waits to be.")

Id = Annotated[str, typer.Argument(metavar="ID", help="the id of a delivery, or how it begins")]
AsJson = Annotated[bool, typer.Option("--json", help="as JSON")]


@app.command("list")
def list_deliveries(
    *,
    destination: Annotated[str, typer.Option("--destination", help="its name in the settings")] = "",
    state: Annotated[DeliveryState | None, typer.Option("--state", help="what became of it")] = None,
    study: Annotated[str, typer.Option("--study", help="Study Instance UID")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="at most so many, the newest")] = 50,
    as_json: AsJson = False,
) -> None:
    """List deliveries with state, attempts and the last answer, newest first. Nothing of a patient."""
    from cds.bootstrap.deliveries import outbox
    from cds.render import deliveries

    site = settings()
    found = outbox(site).entries(destination=destination, state=state, study_uid=study, limit=limit)
    typer.echo(deliveries.as_json(found) if as_json else deliveries.as_text(found, site.time_zone))


@app.command()
def show(
    delivery_id: Id,
    raw: Annotated[bool, typer.Option("--raw", help="the bytes that are sent; the audit log has who asked")] = False,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Show everything about one delivery but what is in it, and what comes next."""
    from cds.bootstrap.deliveries import outbox
    from cds.render import deliveries

    if raw and as_json:
        raise InvalidInput("want --raw or --json, not both")
    site = settings()
    opened = outbox(site)
    if raw:
        sys.stdout.buffer.write(opened.raw(delivery_id, actor(by)))
        sys.stdout.buffer.flush()
        return
    story = opened.story(delivery_id)
    typer.echo(deliveries.story_as_json(story) if as_json else deliveries.in_full(story, site.time_zone))

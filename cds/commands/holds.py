"""`cds holds`: what waits for a person, and what the person does about it."""

from __future__ import annotations

from typing import Annotated

import typer

from cds.commands.common import By, actor, settings
from cds.errors import NotFound
from cds.settings import Settings

app = typer.Typer(no_args_is_help=True, help="What waits for a person.")

Id = Annotated[str, typer.Argument(metavar="ID", help="the id of a held item, or how it begins")]
To = Annotated[str, typer.Option("--to", help="attach: accession number or id of the order")]
Reason = Annotated[str, typer.Option("--reason", help="why, in words that name no patient")]
AsJson = Annotated[bool, typer.Option("--json", help="as JSON")]


@app.command("list")
def list_holds(
    everything: Annotated[bool, typer.Option("--all", help="also what was resolved")] = False, as_json: AsJson = False
) -> None:
    """List what waits: how long, whose it is, what it is about, why, and what can be done."""
    from cds.bootstrap.people import desk
    from cds.render import holds

    opened = desk(settings())
    found, now = opened.holds.all() if everything else opened.holds.open(), opened.clock.now()
    typer.echo(holds.as_json(found, now) if as_json else holds.as_text(found, now, opened.banner()))


@app.command()
def show(hold_id: Id) -> None:
    """Show everything about one held item, with the commands that resolve it."""
    from cds.bootstrap.people import desk
    from cds.render import holds

    site = settings()
    opened = desk(site)
    hold = opened.holds.find(hold_id)
    message, delivery = _message(site, hold.message_id), _delivery(site, hold.delivery_id)
    typer.echo(holds.in_full(hold, opened.clock.now(), site.time_zone, message=message, delivery=delivery))


def _message(site: Settings, message_id: int | None) -> str:
    """The message that a hold is about, in a few words; empty where it is about none that is in the log."""
    from cds.bootstrap.hl7_log import book
    from cds.render.hl7_log import named

    if message_id is None:
        return ""
    try:
        return named(book(site).story(message_id).entry)
    except NotFound:
        return ""


def _delivery(site: Settings, delivery_id: str | None) -> str:
    """The delivery that a hold is about, in a few words; empty where it is about none that is there."""
    from cds.bootstrap.deliveries import outbox
    from cds.render.deliveries import named

    if delivery_id is None:
        return ""
    try:
        return named(outbox(site).story(delivery_id).entry)
    except NotFound:
        return ""


@app.command()
def take(hold_id: Id, by: By = "") -> None:
    """Make yourself, or whom --by names, the owner of a held item."""
    from cds.bootstrap.people import desk

    opened = desk(settings())
    taken = opened.holds.take(hold_id, actor(by), opened.clock.now())
    typer.echo(f"{taken.id} is owned by {taken.owner}.")


@app.command()
def resolve(
    hold_id: Id,
    action: Annotated[str, typer.Argument(metavar="ACTION", help="one of those that cds holds show names")],
    to: To = "",
    reason: Reason = "",
    by: By = "",
) -> None:
    """Do something about a held item: it waits for nobody then."""
    from cds.bootstrap.people import desk
    from cds.store.decisions import Said

    opened = desk(settings())
    done = opened.decisions.resolve(hold_id, Said(action, actor(by), opened.clock.now(), to, reason))
    typer.echo(f"{done.id} is resolved: {done.resolution}.")

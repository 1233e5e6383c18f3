"""`cds hl7 log` and `cds hl7 replay`: the message log, and applying messages again."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from cds.commands.audit import MOMENTS, moment
from cds.commands.common import EXIT_FAILED, By, actor, settings
from cds.domain.message import MessageState
from cds.errors import InvalidInput

AsJson = Annotated[bool, typer.Option("--json", help="as JSON")]
Since = Annotated[
    datetime | None, typer.Option("--since", formats=MOMENTS, help="in the site's zone where it has no offset")
]


def log(
    message_id: Annotated[int | None, typer.Argument(metavar="[ID]", help="everything about one message")] = None,
    *,
    state: Annotated[MessageState | None, typer.Option("--state", help="what became of it")] = None,
    sender: Annotated[str, typer.Option("--sender", help='MSH-3, or MSH-3 and MSH-4 as in "RIS|CLINIC"')] = "",
    message_type: Annotated[str, typer.Option("--type", help='MSH-9, such as ORM or "ORM^O01"')] = "",
    control_id: Annotated[str, typer.Option("--control-id", help="MSH-10")] = "",
    since: Since = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="at most so many, the newest")] = 50,
    raw: Annotated[bool, typer.Option("--raw", help="the bytes as they came; the audit log has who asked")] = False,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """List messages with what was answered and what became of them, newest first; or tell all about one."""
    from cds.bootstrap.hl7_log import book
    from cds.render import hl7_log as render

    site = settings()
    opened = book(site)
    if raw:
        if message_id is None:
            raise InvalidInput("--raw wants the id of one message")
        sys.stdout.buffer.write(opened.raw(message_id, actor(by)))
        sys.stdout.buffer.flush()
        return
    if message_id is not None:
        story = opened.story(message_id)
        typer.echo(render.story_as_json(story) if as_json else render.in_full(story, site.time_zone))
        return
    found = opened.entries(
        state=state,
        sender=sender,
        message_type=message_type,
        control_id=control_id,
        since=moment(since, ZoneInfo(site.time_zone)) if since else None,
        limit=limit,
    )
    typer.echo(render.as_json(found) if as_json else render.as_text(found, site.time_zone))


def replay(
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID…", help="messages, by their ids in the log")] = None,
    state: Annotated[MessageState | None, typer.Option("--state", help="all of this state, in their order")] = None,
    by: By = "",
) -> None:
    """Read messages again with the settings of now and apply them; exit code 1 where one is not applied."""
    from cds.bootstrap.hl7_log import book
    from cds.render import hl7_log as render

    if not ids and state is None:
        raise InvalidInput("want the ids of messages, or --state; cds hl7 log shows both")
    opened = book(settings())
    wanted = [*(ids or []), *(opened.with_state(state) if state else [])]
    done = opened.replay(wanted, actor(by))
    typer.echo(render.replayed(done) or "No message is of this state.")
    if not all(one.applied for one in done):
        raise typer.Exit(EXIT_FAILED)


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(log)
    app.command()(replay)

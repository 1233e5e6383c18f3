"""`cds hl7 log` and `cds hl7 replay`: the message log, and applying messages again."""

from __future__ import annotations

import io
import sys
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from cds.commands.audit import MOMENTS, moment
from cds.commands.common import EXIT_FAILED, By, actor, settings
from cds.domain.message import MessageState
from cds.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="as JSON")]
Since = Annotated[
    datetime | None, typer.Option("--since", formats=MOMENTS, help="in the site's zone where it has no offset")
]


def log(
    message_id: Annotated[int | None, typer.Argument(metavar="[ID]", help="everything about one message")] = None,
    *,
    state: Annotated[MessageState | None, typer.Option("--state", help="what became of it")] = None,
    sender: Annotated[str, typer.Option("--sender", help='MSH-3, or with MSH-4 as in "RIS|CLINIC"; * is any')] = "",
    message_type: Annotated[str, typer.Option("--type", help='MSH-9, such as ORM or "ORM^O01"')] = "",
    control_id: Annotated[str, typer.Option("--control-id", help="MSH-10")] = "",
    answer: Annotated[str, typer.Option("--answer", metavar="CODE", help="MSA-1, such as AE")] = "",
    refused: Annotated[bool, typer.Option("--refused", help="only what was refused")] = False,
    since: Since = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="at most so many, the newest")] = 50,
    raw: Annotated[bool, typer.Option("--raw", help="the bytes as they came; the audit log has who asked")] = False,
    text: Annotated[bool, typer.Option("--text", help="one segment to a line; the audit log has who asked")] = False,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """List messages with what was answered and what became of them, newest first; or tell all about one."""
    filters = any((state, sender, message_type, control_id, answer, refused, since))
    _check(message_id, filters=filters, forms=(raw, text, as_json))
    site = settings()
    if message_id is not None:
        _show(site, message_id, actor(by) if raw or text else "", raw=raw, as_json=as_json)
        return
    from cds.bootstrap.hl7_log import book
    from cds.render import hl7_log as render

    found = book(site).entries(
        state=state,
        sender=sender,
        message_type=message_type,
        control_id=control_id,
        answer=answer,
        refused=refused,
        since=moment(since, ZoneInfo(site.time_zone)) if since else None,
        limit=limit,
    )
    typer.echo(render.as_json(found) if as_json else render.as_text(found, site.time_zone))


def _check(message_id: int | None, *, filters: bool, forms: tuple[bool, bool, bool]) -> None:
    """What can be asked together: `forms` are raw, text and JSON."""
    if message_id is None and any(forms[:2]):
        raise typer.BadParameter("--raw and --text want the id of one message", param_hint="ID")
    if message_id is not None and filters:
        raise typer.BadParameter("the id of one message wants no filters beside it", param_hint="ID")
    if sum(forms) > 1:
        raise typer.BadParameter("want one of them alone", param_hint="--raw, --text, --json")


def _show(site: Settings, message_id: int, by: str, *, raw: bool, as_json: bool) -> None:
    """All about one message; where `by` asks for its content, that."""
    from cds.bootstrap.hl7_log import book
    from cds.render import hl7_log as render

    opened = book(site)
    if raw:
        sys.stdout.buffer.write(opened.raw(message_id, by))
        sys.stdout.buffer.flush()
    elif by:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        typer.echo(render.segments(opened.text(message_id, by)), nl=False)
    else:
        story = opened.story(message_id)
        typer.echo(render.story_as_json(story) if as_json else render.in_full(story, site.time_zone))


def replay(
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID…", help="messages, by their ids in the log")] = None,
    state: Annotated[MessageState | None, typer.Option("--state", help="all of this state, in their order")] = None,
    by: By = "",
) -> None:
    """Read messages again with the settings of now and apply them; exit code 1 where one is not applied."""
    from cds.bootstrap.hl7_log import book
    from cds.render import hl7_log as render

    if not ids and state is None:
        raise typer.BadParameter("want the ids of messages, or --state; cds hl7 log shows both", param_hint="ID…")
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

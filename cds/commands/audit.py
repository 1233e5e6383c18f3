"""`cds audit`: who did or saw what, and when."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from cds.commands.common import settings
from cds.domain.audit import AuditEvent

#: How a time may be typed.
MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]


def audit(
    study: Annotated[str | None, typer.Option("--study", help="Study Instance UID")] = None,
    since: Annotated[
        datetime | None, typer.Option("--since", formats=MOMENTS, help="in the site's zone where it has no offset")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="at most so many, the newest")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Tell who did or saw what, oldest first. Patients are named by random ids alone."""
    from cds.bootstrap.people import desk

    site = settings()
    zone = ZoneInfo(site.time_zone)
    found = desk(site).audit.search(study_uid=study, since=moment(since, zone) if since else None, limit=limit)
    typer.echo(_json(found) if as_json else _text(found, zone))


def moment(given: datetime, zone: ZoneInfo) -> datetime:
    """A time as somebody typed it: in the site's zone where they named none."""
    return given.replace(tzinfo=zone) if given.tzinfo is None else given


def mount(app: typer.Typer) -> None:
    """One command of the program itself."""
    app.command()(audit)


def _json(found: Sequence[AuditEvent]) -> str:
    rows = [
        {
            "at": e.at.isoformat(),
            "actor": e.actor,
            "action": e.action,
            "study": e.study_instance_uid,
            "patient": e.patient_id,
            "detail": list(e.detail),
        }
        for e in found
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False)


def _text(found: Sequence[AuditEvent], zone: ZoneInfo) -> str:
    return "\n".join(_line(event, zone) for event in found) or "The audit log has no such line."


def _line(event: AuditEvent, zone: ZoneInfo) -> str:
    about = f"  study {event.study_instance_uid}" if event.study_instance_uid else ""
    detail = f"  ({'; '.join(event.detail)})" if event.detail else ""
    return f"{event.at.astimezone(zone):%Y-%m-%d %H:%M:%S}  {event.actor}: {event.action}{about}{detail}"

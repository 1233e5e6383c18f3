"""What waits for a person, as text, JSON and one plain page. No PHI beyond what a hold has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from zoneinfo import ZoneInfo

from cds.domain.hold import NEEDS, Action, Hold
from cds.watch import span

_NOTHING = "Nothing waits for a person."
_COLUMNS = ("id", "kind", "age", "owner", "about", "reason", "actions")

Row = dict[str, object]


def command(hold: Hold, action: Action) -> str:
    """What a person types to do it."""
    return f"cds holds resolve {hold.id} {action.value}" + (" --to ORDER" if action in NEEDS else "")


def rows(holds: Sequence[Hold], now: datetime) -> list[Row]:
    """Each hold as JSON has it: times in UTC, the age in seconds, the actions with their commands."""
    return [_row(hold, now) for hold in holds]


def as_json(holds: Sequence[Hold], now: datetime) -> str:
    """The holds as a JSON array."""
    return json.dumps(rows(holds, now), indent=2, ensure_ascii=False)


def as_text(holds: Sequence[Hold], now: datetime, banner: Sequence[str] = ()) -> str:
    """What alarms now, and one hold after the other, for a terminal."""
    told = [line for hold in holds for line in _short(hold, now)] or [_NOTHING]
    return "\n".join([*(f"! {line}" for line in banner), *told])


def in_full(hold: Hold, now: datetime, time_zone: str, *, message: str = "", delivery: str = "") -> str:
    """Everything that is known of one hold, `message` and `delivery` about what it names; times in the site's zone."""
    return "\n".join(_full(hold, now, ZoneInfo(time_zone), message, delivery))


def as_html(holds: Sequence[Hold], now: datetime, banner: Sequence[str] = ()) -> str:
    """A page with what alarms now and one table; nothing in it is active, and every value is escaped."""
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in _cells(hold, now))}</tr>\n" for hold in holds)
    alarms = "".join(f"<p><strong>{escape(line)}</strong></p>\n" for line in banner)
    table = f"<table border>\n<tr>{head}</tr>\n{body}</table>" if holds else f"<p>{_NOTHING}</p>"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Held items</title></head>\n'
        f"<body>\n{alarms}<h1>Held items: {len(holds)}</h1>\n{table}\n</body>\n</html>\n"
    )


def _row(hold: Hold, now: datetime) -> Row:
    return {
        "id": hold.id,
        "kind": hold.kind.value,
        "age_s": int(hold.age(now).total_seconds()),
        "created_at": hold.created_at.isoformat(),
        "owner": hold.owner,
        "about": hold.about,
        "reason": hold.reason,
        "path": hold.path,
        "actions": [] if hold.resolved_at else [{"name": a.value, "command": command(hold, a)} for a in hold.actions],
        "resolved_at": hold.resolved_at.isoformat() if hold.resolved_at else None,
        "resolution": hold.resolution,
    }


def _short(hold: Hold, now: datetime) -> Iterator[str]:
    yield f"{hold.id}  {span(hold.age(now)):>6}  {hold.kind.value}  {hold.owner or 'nobody'}  {hold.about}"
    yield f"    {hold.reason}"
    yield f"    {hold.resolution}" if hold.resolved_at else f"    {' | '.join(a.value for a in hold.actions)}"


def _full(hold: Hold, now: datetime, zone: ZoneInfo, message: str, delivery: str) -> Iterator[str]:
    yield f"{hold.id}  {hold.kind.value}"
    yield f"  since    {_at(hold.created_at, zone)} ({span(hold.age(now))})"
    yield f"  owner    {hold.owner or 'nobody'}"
    yield f"  about    {hold.about}"
    if message:
        yield f"  message  {message}; cds hl7 log {hold.message_id} tells more"
    if delivery:
        yield f"  delivery {delivery}"
    yield f"  reason   {hold.reason}"
    if hold.path:
        yield f"  file     {hold.path}"
    if hold.resolved_at:
        yield f"  resolved {_at(hold.resolved_at, zone)}: {hold.resolution}"
        return
    for action in hold.actions:
        yield f"  {command(hold, action)}" + (f"    ORDER is {NEEDS[action]}" if action in NEEDS else "")


def _cells(hold: Hold, now: datetime) -> Iterator[str]:
    values = (hold.id, hold.kind.value, span(hold.age(now)), hold.owner, hold.about, hold.reason)
    yield from map(escape, values)
    yield "<br>".join(f"<code>{escape(command(hold, action))}</code>" for action in hold.actions)


def _at(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"

"""Deliveries as text and JSON. Nothing of a patient, and nothing that a terminal would obey."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter

from cds.domain.delivery_story import DeliveryEntry, DeliveryStory
from cds.domain.report import DeliveryState
from cds.render.hl7_log import shown

_NOTHING = "There is no such delivery."
_WIDTH = 120
_INDENT = " " * 10
#: Heading and width of each column; what was answered stands below.
_COLUMNS = (
    ("id", 8), ("created", 19), ("destination", 24), ("kind", 14), ("MSH-10", 20), ("state", 10), ("attempts", 8),
)  # fmt: skip
_RIGHT = frozenset({"attempts"})


def as_json(found: Sequence[DeliveryEntry]) -> str:
    """The deliveries as a JSON array; times in UTC."""
    return TypeAdapter(list[DeliveryEntry]).dump_json(list(found), indent=2).decode()


def story_as_json(story: DeliveryStory) -> str:
    """Everything about one delivery as JSON, `next` in words."""
    told = TypeAdapter(DeliveryStory).dump_python(story, mode="json")
    return json.dumps(told | {"next": next_step(story)}, indent=2, ensure_ascii=False)


def as_text(found: Sequence[DeliveryEntry], time_zone: str) -> str:
    """A table of 120 columns, the last answer below each delivery; times in the site's zone."""
    zone = ZoneInfo(time_zone)
    rows = [line for one in found for line in _lines(one, zone)]
    return "\n".join([_cut([name for name, _ in _COLUMNS]), *rows]) if rows else _NOTHING


def in_full(story: DeliveryStory, time_zone: str) -> str:
    """Everything that is known of one delivery; times in the site's zone."""
    told = _full(story, ZoneInfo(time_zone))
    return "\n".join(f"{name:<12} {shown(text)}" for name, text in told if text)


def named(entry: DeliveryEntry) -> str:
    """The delivery in a few words, and where more is told."""
    what = f"{entry.kind} to {entry.destination}, {entry.state}, {_attempts(entry)}"
    return shown(f"{what}; cds deliveries show {entry.id} tells more")


def next_step(story: DeliveryStory) -> str:
    """What comes next, and what a person can do about it."""
    state, hold = story.entry.state, story.hold
    if state is DeliveryState.PENDING:
        return _waits(story)
    if state is DeliveryState.SENT:
        return "nothing: the destination has it"
    if state is DeliveryState.SUPERSEDED:
        return "nothing: what came since takes its place"
    if state is DeliveryState.WITHHELD:
        return "the study is decided again, and what may be told then is a delivery of its own"
    if hold is not None and hold.resolved_at is None:
        return f"a person decides: cds holds show {hold.id}"
    return f"it was sent again: cds deliveries show {story.again}" if story.again else "nothing: a person decided"


def _waits(story: DeliveryStory) -> str:
    entry = story.entry
    if story.switched_off:
        return f"the destination is switched off: cds enable destination {entry.destination} lets it go"
    if story.ahead:
        return f"it waits its turn: the destination gets {story.ahead} first; cds deliveries list --state pending"
    return "a worker sends the same bytes again, until it is taken" if entry.attempts else "a worker sends it"


def _lines(entry: DeliveryEntry, zone: ZoneInfo) -> Iterator[str]:
    created = f"{entry.created_at.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    yield _cut((
        entry.id, created, entry.destination, entry.kind, entry.control_id or "-", entry.state, str(entry.attempts),
    ))  # fmt: skip
    yield from textwrap.wrap(shown(entry.answer), _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)


def _cut(values: Iterable[str]) -> str:
    cells = []
    for (name, width), value in zip(_COLUMNS, map(shown, values), strict=True):
        text = value if len(value) <= width else value[: width - 1] + "…"
        cells.append(text.rjust(width) if name in _RIGHT else text.ljust(width))
    return "  ".join(cells).rstrip()


def _full(story: DeliveryStory, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    entry, hold = story.entry, story.hold
    yield "delivery", f"{entry.id} ({entry.delivery_id})"
    yield "destination", entry.destination
    yield "kind", entry.kind
    yield "MSH-10", entry.control_id or "-"
    yield "study", entry.study_instance_uid or ""
    yield "about", entry.subject
    yield "created", _at(entry.created_at, zone)
    yield "last change", _at(entry.updated_at, zone)
    yield "state", entry.state
    yield "attempts", str(entry.attempts)
    yield "last answer", entry.answer or "none yet"
    yield "size", f"{entry.size} bytes, sha256 {story.sha256}"
    if hold is not None:
        yield "hold", f"{hold.id}, " + ("waits for a person" if hold.resolved_at is None else hold.resolution)
    yield "next", next_step(story)


def _attempts(entry: DeliveryEntry) -> str:
    return "1 attempt" if entry.attempts == 1 else f"{entry.attempts} attempts"


def _at(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"

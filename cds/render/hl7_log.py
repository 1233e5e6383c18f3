"""The message log as text and JSON. Nothing of a patient, and nothing that a terminal would obey."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter

from cds.domain.message import MessageEntry
from cds.domain.message_story import MessageStory, Replayed

_NOTHING = "The message log has no such message."
_WIDTH = 120
_INDENT = " " * 8
#: Heading and width of each column.
_COLUMNS = (
    ("id", 7), ("received", 19), ("sender", 24), ("type", 8), ("control id", 22), ("size", 8), ("told", 4),
    ("state", 11),
)  # fmt: skip
_RIGHT = frozenset({"id", "size"})
_KILO = 1000


def as_json(found: Sequence[MessageEntry]) -> str:
    """The messages as a JSON array; times in UTC."""
    return TypeAdapter(list[MessageEntry]).dump_json(list(found), indent=2).decode()


def story_as_json(story: MessageStory) -> str:
    """Everything about one message as JSON."""
    return TypeAdapter(MessageStory).dump_json(story, indent=2).decode()


def as_text(found: Sequence[MessageEntry], time_zone: str) -> str:
    """A table of 120 columns, the reason and the doubts of a message below it; times in the site's zone."""
    zone = ZoneInfo(time_zone)
    head = _cut([name for name, _ in _COLUMNS])
    rows = [line for one in found for line in _lines(one, zone)]
    return "\n".join([head, *rows]) if rows else _NOTHING


def in_full(story: MessageStory, time_zone: str) -> str:
    """Everything that is known of one message; times in the site's zone."""
    told = _full(story, ZoneInfo(time_zone))
    return "\n".join(f"{name:<13} {shown(text)}" for name, text in told if text)


def segments(message: str) -> str:
    """A message with one segment to a line and a line break at the end."""
    return "".join(f"{shown(line)}\n" for line in re.split(r"\r\n|\r|\n", message.strip("\r\n")))


def replayed(done: Iterable[Replayed]) -> str:
    """What was, what is now, and why: a line for each message."""
    return "\n".join(_replayed(one) for one in done)


def named(entry: MessageEntry) -> str:
    """The message in a few words: type, sender and control id."""
    return shown(f"{_type(entry)} from {entry.sender}, control id {entry.control_id or 'none'}")


def _lines(entry: MessageEntry, zone: ZoneInfo) -> Iterator[str]:
    at, told = f"{entry.received_at.astimezone(zone):%Y-%m-%d %H:%M:%S}", entry.answered or "-"
    values = (str(entry.id), at, entry.sender, _type(entry), entry.control_id, _size(entry.size), told, entry.state)
    yield _cut(values)
    for why in filter(None, (entry.reason, *entry.doubts)):
        yield from textwrap.wrap(shown(why), _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)


def _cut(values: Iterable[str]) -> str:
    cells = []
    for (name, width), value in zip(_COLUMNS, map(shown, values), strict=True):
        text = value if len(value) <= width else value[: width - 1] + "…"
        cells.append(text.rjust(width) if name in _RIGHT else text.ljust(width))
    return "  ".join(cells).rstrip()


def _full(story: MessageStory, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    entry, told, hold = story.entry, story.told, story.hold
    yield "message", f"{entry.id}"
    yield "received", f"{_at(entry.received_at, zone)} from {entry.peer}"
    yield "sender", entry.sender
    yield (
        "type",
        f"{_type(entry)}, version {entry.version or 'not said'}, processing {entry.processing_id or 'not said'}",
    )
    yield "control id", entry.control_id
    yield "character set", story.character_set or "not said"
    yield "size", f"{entry.size} bytes, sha256 {entry.sha256}"
    yield "answered", entry.answered or "nothing: the sender wanted no answer at once"
    yield "refused", story.refusal
    yield "state", entry.state + (f" at {_at(entry.applied_at, zone)}" if entry.applied_at else "")
    yield "reason", entry.reason
    yield from (("doubt", doubt) for doubt in entry.doubts)
    if hold is not None:
        waits = f"waits for a person: cds holds show {hold.id}"
        yield "hold", waits if hold.resolved_at is None else f"{hold.id}, {hold.resolution}"
    if story.wants_result:
        yield "result", f"the sender wants to be told of its application: {story.wants_result}"
    if told is not None:
        words = f": {told.acknowledgment}" if told.acknowledgment else ""
        yield "result told", f"to {told.destination}, {told.state}, {told.attempts} attempts{words}"


def _replayed(one: Replayed) -> str:
    if one.was is None or one.now is None:
        return f"{one.id}: {one.reason}"
    same = "applied again" if one.applied else f"still {one.now}"
    change = same if one.was is one.now else f"{one.was}, now {one.now}"
    return shown(f"{one.id}: {change}" + (f": {one.reason}" if one.reason else ""))


def _type(entry: MessageEntry) -> str:
    return "^".join(filter(None, (entry.message_type, entry.trigger_event))) or "-"


def _size(size: int) -> str:
    if size < _KILO:
        return f"{size} B"
    return f"{size / _KILO:.1f} kB" if size < _KILO**2 else f"{size / _KILO**2:.1f} MB"


def _at(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def shown(text: str) -> str:
    """What came from a sender may hold anything: only what can be printed reaches the terminal."""
    return (
        text
        if text.isprintable()
        else "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    )

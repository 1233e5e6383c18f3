"""What a profile changes in what is understood of a message: read twice, without and with it, and compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from itertools import zip_longest

from adapters.hl7.batch import read_file
from adapters.hl7.check import kept, know, require
from adapters.hl7.header import read_header
from adapters.hl7.read import Reader
from cds.domain.coding import Coding, Quantity
from cds.domain.identity import Identifier
from cds.domain.message import RawMessage
from cds.domain.profile import Difference, FieldChange, FileEffect, ProfileEffect
from cds.errors import InvalidMessage

#: Keys and ids of the record, what is told apart, and what every message of a file shares.
_NOT_SHOWN = frozenset({"key", "id", "warnings", "received_at", "source"})
_NOTHING: tuple[object, ...] = (None, "", (), frozenset())
_PLAIN = (Coding, Identifier, Quantity)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was understood, by name; why nothing was; what was noted and changed."""

    facts: Mapping[str, object] = field(default_factory=dict)
    error: str = ""
    warnings: tuple[str, ...] = ()
    changes: tuple[FieldChange, ...] = ()


def effect_on_file(name: str, data: bytes, readers: tuple[Reader, Reader], at: datetime) -> FileEffect:
    """The effect of a profile on the messages of a file that it holds for; it never raises for its content.

    `readers` read without and with the profile; `name` is the profile's in the second one.
    """
    found = read_file(data)
    effects: list[ProfileEffect] = []
    skipped: Counter[str] = Counter()
    for block in found.messages:
        try:
            raw = kept(block, know(read_header(block)), "", at)
        except InvalidMessage as error:
            effects.append(ProfileEffect("", "", "", unreadable_without=str(error), unreadable=str(error)))
            continue
        if readers[1].sender(raw) == name:
            effects.append(effect_on(raw, readers))
        else:
            skipped[raw.sender] += 1
    return FileEffect(name, tuple(effects), tuple(sorted(skipped.items())), found.problems)


def effect_on(raw: RawMessage, readers: tuple[Reader, Reader]) -> ProfileEffect:
    """The effect on one message."""
    before, after = (_reading(raw, reader) for reader in readers)
    return ProfileEffect(
        sender=raw.sender,
        control_id=raw.control_id,
        message_type=f"{raw.message_type}^{raw.trigger_event}".rstrip("^"),
        changes=after.changes,
        differences=tuple(_differences(before.facts, after.facts)),
        gone=tuple(text for text in before.warnings if text not in after.warnings),
        new=tuple(text for text in after.warnings if text not in before.warnings),
        unreadable_without=before.error,
        unreadable=after.error,
    )


def _reading(raw: RawMessage, reader: Reader) -> _Reading:
    changes: tuple[FieldChange, ...] = ()
    try:
        require(raw.raw, know(read_header(raw.raw)), reader.mapped(raw))
        opened = reader.opened(raw)
        changes = opened.changes
        content = reader.read(opened, raw)
    except InvalidMessage as error:
        return _Reading(error=str(error), changes=changes)
    facts = {"character set": opened.message.syntax.codec}
    said = {part.name: getattr(content, part.name) for part in fields(content) if part.name not in _NOT_SHOWN}
    return _Reading({**facts, **said}, warnings=content.warnings, changes=changes)


def _differences(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[Difference]:
    for name in dict.fromkeys((*before, *after)):
        yield from _between(name.replace("_", " "), before.get(name), after.get(name))


def _between(what: str, before: object, after: object) -> Iterator[Difference]:
    if before == after:
        return
    if _is_record(before) or _is_record(after):
        ours, theirs = _parts(before), _parts(after)
        for name in dict.fromkeys((*ours, *theirs)):
            yield from _between(f"{what} {name}".rstrip(), ours.get(name), theirs.get(name))
    elif _are_records(before) or _are_records(after):
        yield from _between_all(what.removesuffix("s"), _all(before), _all(after))
    elif _text(before) != _text(after):
        yield Difference(what, _text(before), _text(after))


def _between_all(what: str, before: Sequence[object], after: Sequence[object]) -> Iterator[Difference]:
    """Records in pairs; where one side has more of them, those that the other side does not have."""
    if len(before) == len(after) or not before or not after:
        for place, (one, other) in enumerate(zip_longest(before, after), 1):
            yield from _between(f"{what} {place}", one, other)
        return
    ours, theirs = [_text(one) for one in before], [_text(one) for one in after]
    yield from (Difference(what, text, "") for text in ours if text not in theirs)
    yield from (Difference(what, "", text) for text in theirs if text not in ours)


def _is_record(value: object) -> bool:
    return is_dataclass(value) and not isinstance(value, _PLAIN)


def _are_records(value: object) -> bool:
    return isinstance(value, tuple) and any(map(_is_record, value))


def _all(value: object) -> Sequence[object]:
    return value if isinstance(value, tuple) else ()


def _parts(record: object) -> dict[str, object]:
    """The fields of a record by what they are called; those of an order's change are the order's own."""
    if not is_dataclass(record):
        return {}
    names = (part.name for part in fields(record) if part.name not in _NOT_SHOWN)
    return {"" if name == "order" else name.replace("_", " "): getattr(record, name) for name in names}


def _text(value: object) -> str:
    """A value as a person reads it; empty where it says nothing."""
    if value in _NOTHING:
        return ""
    if isinstance(value, tuple | frozenset):
        return "; ".join(map(_text, value))
    if _is_record(value):
        return "; ".join(
            text for part in _parts(value).values() if not isinstance(part, bool) and (text := _text(part))
        )
    return _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Identifier):
        return f"{value.value} of {value.assigner}"
    if isinstance(value, Coding):
        return f"{value.code} {value.display} ({value.system})".replace("  ", " ")
    if isinstance(value, Quantity):
        return f"{value.value:g} {value.unit}".rstrip()
    if isinstance(value, date):
        return f"{value.isoformat()} {value.tzinfo}" if isinstance(value, datetime) else value.isoformat()
    return str(value.value if isinstance(value, Enum) else value)

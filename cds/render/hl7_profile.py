"""What sender profiles change, as text and JSON. It shows the content of messages to the person who holds the file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from cds.domain.profile import Difference, FieldChange, FileEffect, ProfileEffect, ProfileSummary

_HEADINGS = ("SENDER", "CHARACTER SET", "TIME ZONE", "FIELDS", "VALUES", "CODES", "OTHER")
_NOTHING = "-"
_WIDEST = 44


def as_json(effect: FileEffect) -> str:
    """Everything as JSON."""
    return json.dumps(
        {
            "profile": effect.sender,
            "messages": [asdict(one) for one in effect.effects],
            "skipped": [{"sender": sender, "messages": count} for sender, count in effect.skipped],
            "problems": list(effect.problems),
        },
        indent=2,
        ensure_ascii=False,
    )


def as_text(effect: FileEffect) -> str:
    """Message by message, then what was skipped."""
    lines = [line for place, one in enumerate(effect.effects, 1) for line in _message(place, one)]
    if not effect.effects:
        lines.append(f"no message of {effect.sender}")
    lines += [f"skipped: {count} of {sender or 'a sender without a name'}" for sender, count in effect.skipped]
    if effect.skipped:
        lines.append("--all takes the profile for them too")
    return "\n".join([*lines, *(f"the file: {problem}" for problem in effect.problems)])


def table(summaries: Sequence[ProfileSummary]) -> str:
    """One sender after the other, what each profile changes in columns."""
    if not summaries:
        return "No sender is configured (CDS_SENDERS)."
    cells = [[[heading] for heading in _HEADINGS], *map(_cells, summaries)]
    widths = [max(len(text) for row in cells for text in row[column]) for column in range(len(_HEADINGS))]
    return "\n".join(line for row in cells for line in _row(row, widths))


def _message(place: int, effect: ProfileEffect) -> Iterator[str]:
    yield " ".join(filter(None, (f"{place}.", effect.message_type, effect.control_id, f"of {effect.sender}")))
    if effect.unreadable_without:
        yield f"   cannot be read without the profile: {effect.unreadable_without}"
    if effect.unreadable:
        yield f"   CANNOT BE READ with the profile: {effect.unreadable}"
    yield from (f"   {line}" for change in effect.changes for line in _change(change))
    yield from _side_by_side(effect.differences)
    yield from (f"   no more: {text}" for text in effect.gone)
    yield from (f"   new: {text}" for text in effect.new)
    if not effect.changes and not effect.differences:
        yield "   nothing is changed"


def _change(change: FieldChange) -> Iterator[str]:
    yield f"{change.path} in segment {change.segment + 1}, by {change.rule}"
    yield f"    {_shown(change.before) or '(empty)'}  →  {_shown(change.after) or '(empty)'}"


def _side_by_side(differences: Sequence[Difference]) -> Iterator[str]:
    if not differences:
        return
    rows = [("understood", "without", "with the profile")]
    rows += [(one.what, _shown(one.without) or _NOTHING, _shown(one.with_profile) or _NOTHING) for one in differences]
    first, second = (min(max(len(row[column]) for row in rows), _WIDEST) for column in (0, 1))
    yield from (f"   {what:<{first}}  {without:<{second}}  {with_profile}" for what, without, with_profile in rows)


def _shown(text: str) -> str:
    """One line that a terminal cannot take for a command of its own."""
    return "".join(character if character.isprintable() else "·" for character in text)


def _cells(summary: ProfileSummary) -> list[list[str]]:
    plain = ([summary.sender], [summary.character_set], [summary.time_zone])
    lists = (summary.fields, summary.values, summary.codes, summary.other)
    return [[text or _NOTHING for text in lines] or [_NOTHING] for lines in (*plain, *lists)]


def _row(cells: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    for line in range(max(map(len, cells))):
        texts = (cell[line] if line < len(cell) else "" for cell in cells)
        yield "  ".join(f"{text:<{width}}" for text, width in zip(texts, widths, strict=True)).rstrip()

"""Writes the tables of docs/hl7-conformance.md that the code decides: `.venv/bin/python docs/hl7_tables.py`.

A test holds the file to `rendered`, so that neither can change alone. The names and types of fields are those of HL7
v2.5.1 as hl7apy has them; the fields of later versions, and of segments that it does not know, are named here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from hl7apy import load_library

from adapters.hl7.conformance import DOOR, READ, SENT, Fields, messages
from cds.character_sets import CHARACTER_SETS

CONFORMANCE = Path(__file__).with_name("hl7-conformance.md")

_LATER = {
    ("ZDS", 1): "Study Instance UID (RP)",
    ("OBX", 20): "Observation Site (2.6)",
    ("OBX", 21): "Observation Instance Identifier (EI, 2.7)",
    ("PRT", 5): "Participation Person (XCN, 2.7)",
}


def rendered(text: str) -> str:
    """The document with its tables as the code has them now."""
    tables = (
        ("messages", _table(("message", "what is done"), messages())),
        ("in", "\n\n".join(_segment(name, READ, DOOR) for name in _names(READ, DOOR))),
        ("out", "\n\n".join(_segment(name, SENT) for name in _names(SENT))),
        (
            "charsets",
            _table(("MSH-18", "codec"), ((f"`{key}`", f"`{codec}`") for key, codec in CHARACTER_SETS.items())),
        ),
    )
    for name, table in tables:
        pattern = rf"(<!-- table: {name} -->\n).*?(\n<!-- end -->)"
        text, found = re.subn(pattern, lambda m, t=table: m[1] + t + m[2], text, flags=re.DOTALL)
        if found != 1:
            raise ValueError(f"want one table {name} between its marks, found {found}")
    return text


def _names(*tables: Fields) -> list[str]:
    return list(dict.fromkeys(name for table in tables for name in table))


def _segment(name: str, table: Fields, before: Fields | None = None) -> str:
    """One segment: what is done with each field that is looked at, and which are not."""
    meanings = {number: [text] for number, text in table.get(name, {}).items()}
    for number, text in (before or {}).get(name, {}).items():
        meanings.setdefault(number, []).insert(0, f"at the door: {text}")
    rows = (
        (f"{name}-{number}", _label(name, number), "; then: ".join(meanings[number])) for number in sorted(meanings)
    )
    rest = ", ".join(f"{number} {_label(name, number)}" for number in _fields(name) if number not in meanings)
    left = "Ignored" if before is not None else "Empty"
    table = _table(("field", "name", "what it is for"), rows)
    return f"#### {name}\n\n{table}" + (f"\n\n{left}: {rest}." if rest else "")


def _fields(name: str) -> Iterator[int]:
    known = load_library("2.5.1").SEGMENTS.get(name)
    yield from range(1, len(known[1]) + 1) if known else ()


def _label(name: str, number: int) -> str:
    if later := _LATER.get((name, number)):
        return later
    _, (_, _, kind, label, *_), *_ = load_library("2.5.1").SEGMENTS[name][1][number - 1]
    return f"{str(label).replace('_', ' ').capitalize()} ({kind})"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)])


if __name__ == "__main__":
    CONFORMANCE.write_text(rendered(CONFORMANCE.read_text()))

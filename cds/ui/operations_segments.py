"""An HL7 v2 message as people read it: segments with numbered fields, shown and not interpreted."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ENDS = re.compile(r"\r\n|\r|\n")
_HEADERS = frozenset({"MSH", "FHS", "BHS"})
#: A message as long as a frame may be is no page: so many characters are shown.
MOST_SHOWN = 200_000


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment: its name, and its fields that are not empty, by their numbers."""

    name: str
    fields: tuple[tuple[int, str], ...]


def segments(text: str) -> tuple[Segment, ...]:
    """The segments of a message, in their order; lines that are none stand as a segment without a name.

    The separator of fields is the fourth character of the header (HL7 v2.5.1 section 2.5.4); MSH-1 is itself.
    """
    lines = [line for line in _ENDS.split(text[:MOST_SHOWN].strip("\r\n")) if line]
    separator = lines[0][3:4] if lines and lines[0][:3] in _HEADERS else "|"
    return tuple(_segment(line, separator or "|") for line in lines)


def _segment(line: str, separator: str) -> Segment:
    name, *fields = line.split(separator)
    if not re.fullmatch(r"[A-Z][A-Z0-9]{2}", name):
        return Segment("", ((0, printable(line)),))
    first = 2 if name in _HEADERS else 1
    numbered = ([(1, separator)] if name in _HEADERS else []) + list(enumerate(fields, first))
    return Segment(name, tuple((number, printable(value)) for number, value in numbered if value))


def printable(text: str) -> str:
    """Only what can be printed: what came from a sender may hold anything."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)

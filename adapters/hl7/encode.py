"""The safe way from text to HL7 v2: what a text holds can neither end its field nor start a segment.

`Encoded` is what may stand in a segment; only the functions here make it, so that nothing is escaped twice or never.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NewType

from adapters.hl7.delimiters import STANDARD, Delimiters

Encoded = NewType("Encoded", str)

NOTHING = Encoded("")

#: Everything that some reader takes for the end of a line.
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))


def field(text: str, delimiters: Delimiters = STANDARD) -> Encoded:
    r"""Escape a text (HL7 v2.5.1 section 2.7): delimiters, line breaks as \.br\; other control characters go.

    A text that is `""` would mean "delete", so it is written in hexadecimal.
    """
    encodable = text.encode("utf-8", "replace").decode("utf-8")
    escaped = _LINE_BREAK.sub("\n", encodable).translate(_escapes(delimiters))
    return Encoded(r"\X2222" + "\\" if escaped == '""' and delimiters.escape == "\\" else escaped)


def components(*texts: str) -> Encoded:
    """Texts as the components of one field, empty ones at the end left out."""
    return Encoded("^".join(field(text) for text in texts).rstrip("^"))


def subcomponents(*texts: str) -> Encoded:
    """Texts as the subcomponents of one component."""
    return Encoded("&".join(field(text) for text in texts).rstrip("&"))


def joined(*parts: Encoded) -> Encoded:
    """Components that are encoded already, as one field."""
    return Encoded("^".join(parts).rstrip("^"))


def repetitions(fields: Iterable[Encoded]) -> Encoded:
    """Fields as repetitions of one field."""
    return Encoded("~".join(fields))


def segment(name: str, fields: Mapping[int, Encoded]) -> Encoded:
    """A segment with its fields by number; for MSH, number 1 and 2 are the delimiters and not given."""
    if name == "MSH":
        fields = {1: Encoded(STANDARD.component + STANDARD.repetition + STANDARD.escape + STANDARD.subcomponent)} | {
            number - 1: value for number, value in fields.items()
        }
    last = max((number for number, value in fields.items() if value), default=0)
    return Encoded("|".join([name, *(fields.get(number, "") for number in range(1, last + 1))]))


def message(segments: Iterable[Encoded]) -> bytes:
    """The segments as a block in UTF-8 (MSH-18 UNICODE UTF-8), each ended by CR."""
    return "".join(f"{part}\r" for part in segments).encode("utf-8")


@lru_cache(maxsize=32)
def _escapes(delimiters: Delimiters) -> dict[int, str | None]:
    mark = delimiters.escape
    table: dict[int, str | None] = dict.fromkeys(_CONTROLS)
    for character, letter in (
        (delimiters.field, "F"),
        (delimiters.component, "S"),
        (delimiters.repetition, "R"),
        (delimiters.escape, "E"),
        (delimiters.subcomponent, "T"),
    ):
        if character:
            table[ord(character)] = f"{mark}{letter}{mark}" if mark else " "
    table[ord("\n")] = f"{mark}.br{mark}" if mark else " "
    return table

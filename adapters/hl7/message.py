"""A lazy reader: segments at once, fields when asked, escapes decoded at the leaf and never before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from adapters.hl7.delimiters import STANDARD, Delimiters, split
from adapters.hl7.header import read_header
from adapters.hl7.text import GUESSED, codec, decode, unescape, without_controls

_DELETE = '""'
_TEXTS = ("OBX", "NTE")


@dataclass(frozen=True, slots=True)
class Syntax:
    """How a message writes its values: delimiters, and the codec for hexadecimal escapes."""

    delimiters: Delimiters = STANDARD
    codec: str = "utf-8"


@dataclass(frozen=True, slots=True)
class Value:
    """One repetition of a field. Empty means "no change", `""` means "delete": both read as no text."""

    raw: str
    syntax: Syntax = Syntax()

    @property
    def deleted(self) -> bool:
        """True where the sender asks to delete what stood here."""
        return self.raw.strip() == _DELETE

    @property
    def garbled(self) -> bool:
        """True where decoding drops control characters: what identifies somebody must not be read from it."""
        decoded = unescape(self.raw, self.syntax.delimiters, self.syntax.codec)
        return without_controls(decoded) != decoded

    def text(self, component: int = 1, subcomponent: int = 0) -> str:
        """One component, or one subcomponent of it, decoded; a component of text may hold a stray subcomponent mark."""
        part = _nth(split(self.raw, self.syntax.delimiters.component), component)
        if subcomponent:
            part = _nth(split(part, self.syntax.delimiters.subcomponent), subcomponent)
        return self._decoded(part)

    def whole(self) -> str:
        """The field as free text: delimiters that the sender forgot to escape belong to it."""
        return self._decoded(self.raw)

    def _decoded(self, part: str) -> str:
        text = part.strip(" ")
        return "" if text == _DELETE else without_controls(unescape(text, self.syntax.delimiters, self.syntax.codec))


class Segment:
    """A name and its fields, which are cut when first asked for. An absent segment has no name and no values."""

    __slots__ = ("_fields", "_line", "name", "syntax")

    def __init__(self, line: str, syntax: Syntax) -> None:
        self.name = line[:3]
        self.syntax = syntax
        self._line = line
        self._fields: list[str] | None = None

    def raw(self, number: int) -> str:
        """Field n as sent; in MSH, number 1 is the field separator itself."""
        if self._fields is None:
            self._fields = self._line.split(self.syntax.delimiters.field)
            if self.name == "MSH":
                self._fields.insert(1, self.syntax.delimiters.field)
        return self._fields[number] if number < len(self._fields) else ""

    def values(self, number: int) -> list[Value]:
        """The repetitions of field n that are not empty."""
        repetitions = split(self.raw(number), self.syntax.delimiters.repetition)
        return [Value(raw, self.syntax) for raw in repetitions if raw.strip()]

    def value(self, number: int) -> Value:
        """The first repetition of field n."""
        return Value(split(self.raw(number), self.syntax.delimiters.repetition)[0], self.syntax)

    def text(self, number: int, component: int = 1, subcomponent: int = 0) -> str:
        """One component of the first repetition of field n, decoded."""
        return self.value(number).text(component, subcomponent)


class Message:
    """The segments of one block in their order; `warnings` say what had to be guessed."""

    def __init__(self, block: bytes) -> None:
        header = read_header(block)
        delimiters = header.delimiters
        text, used, guessed = decode(block[block.index(b"MSH") :], codec(header.field(18), delimiters.repetition))
        self.warnings: list[str] = [GUESSED] if guessed else []
        self.syntax = Syntax(delimiters, used)
        self.segments = [Segment(line, self.syntax) for line in self._lines(text)]

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments)

    def first(self, name: str) -> Segment:
        """The first segment of this name, or one without values."""
        return next((segment for segment in self.segments if segment.name == name), Segment("", self.syntax))

    def all(self, name: str) -> list[Segment]:
        """All segments of this name, in order."""
        return [segment for segment in self.segments if segment.name == name]

    def _lines(self, text: str) -> list[str]:
        """Segments, whatever ends them; a line that is none belongs to a text before it, and to nothing else."""
        starts = re.compile(rf"[A-Z][A-Z0-9]{{2}}(?:{re.escape(self.syntax.delimiters.field)}|\s*$)")
        lines: list[str] = []
        for line in re.split(r"[\r\n]+", text):
            if starts.match(line):
                lines.append(line)
            elif line.strip() and lines[-1].startswith(_TEXTS):
                lines[-1] += "\n" + line
                self.warnings.append("a line that is no segment was read as part of the text before it")
            elif line.strip():
                self.warnings.append("a line that is no segment was left out")
        return lines


def _nth(parts: list[str], number: int) -> str:
    return parts[number - 1] if number <= len(parts) else ""

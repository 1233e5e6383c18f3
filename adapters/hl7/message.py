"""A lazy reader: segments at once, fields when asked, escapes decoded at the leaf and never before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from adapters.hl7.delimiters import STANDARD, Delimiters, split
from adapters.hl7.header import read_header
from adapters.hl7.text import codec, decode, doubts, identifies, unescape, without_controls

DELETE = '""'
_TEXTS = ("OBX", "NTE")

#: Every field that was looked at: the name of its segment, and its number.
Trace = set[tuple[str, int]]


class Syntax:
    """How a message writes its values: delimiters, and the codec that it was read with, for hexadecimal escapes too.

    `codec` is Python's own name of it. `trace`, where there is one, gets the fields that are looked at.
    """

    __slots__ = ("_component", "_escape", "codec", "delimiters", "repetition", "trace")

    def __init__(self, delimiters: Delimiters = STANDARD, codec: str = "utf-8", trace: Trace | None = None) -> None:
        self.delimiters = delimiters
        self.codec = codec
        self.trace = trace
        self.repetition = delimiters.repetition
        self._component = delimiters.component
        self._escape = delimiters.escape

    def leaf(self, raw: str, component: int, subcomponent: int = 0) -> str:
        """One component of a repetition, or one subcomponent of it, decoded; all of it for component 0.

        Empty for `""` too.
        """
        separator = self._component
        if component and separator and separator in raw:
            parts = raw.split(separator, component)
            raw = parts[component - 1] if component <= len(parts) else ""
        elif component > 1:
            return ""
        if subcomponent:
            raw = nth(raw, self.delimiters.subcomponent, subcomponent)
        text = raw.strip(" ")
        return text if text.isalnum() else self._decoded(text)  # most values hold nothing to decode

    def _decoded(self, text: str) -> str:
        if not text or text == DELETE:
            return ""
        if self._escape and self._escape in text:
            text = unescape(text, self.delimiters, self.codec)
        return text if text.isprintable() else without_controls(text)


_PLAIN = Syntax()


class Value:
    """One repetition of a field as sent. Empty means "no change", `""` means "delete": both read as no text."""

    __slots__ = ("raw", "syntax")

    def __init__(self, raw: str, syntax: Syntax = _PLAIN) -> None:
        self.raw = raw
        self.syntax = syntax

    @property
    def deleted(self) -> bool:
        """True where the sender asks to delete what stood here, in one or in all of its components."""
        if DELETE not in self.raw:
            return False
        parts = {part.strip() for part in split(self.raw, self.syntax.delimiters.component)}
        return parts <= {DELETE, ""}

    @property
    def garbled(self) -> bool:
        """True where a character is not the one that was meant, or is cut off: nobody is identified by such a value."""
        return not identifies(self.raw, self.syntax.delimiters, self.syntax.codec)

    def text(self, component: int = 1, subcomponent: int = 0) -> str:
        """One component, or one subcomponent of it, decoded; a component of text may hold a stray subcomponent mark."""
        return self.syntax.leaf(self.raw, component, subcomponent) if self.raw else ""

    def whole(self) -> str:
        """The field as free text: delimiters that the sender forgot to escape belong to it."""
        return self.syntax.leaf(self.raw, 0)


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
        fields = self._fields or self.fields
        return fields[number] if number < len(fields) else ""

    @property
    def fields(self) -> list[str]:
        """All fields as sent, by their numbers; the name is number 0. Who looks at fields asks `raw`."""
        if self._fields is None:
            self._fields = self._line.split(self.syntax.delimiters.field)
            if self.name == "MSH":
                self._fields.insert(1, self.syntax.delimiters.field)
        return self._fields

    def put(self, number: int, raw: str) -> None:
        """Another field n from now on, in memory alone."""
        fields = self.fields
        fields.extend([""] * (number + 1 - len(fields)))
        fields[number] = raw

    def values(self, number: int) -> list[Value]:
        """The repetitions of field n that are not empty."""
        raw = self.raw(number)
        if not raw:
            return []
        repetitions = split(raw, self.syntax.repetition)
        return [Value(repetition, self.syntax) for repetition in repetitions if repetition.strip()]

    def value(self, number: int) -> Value:
        """The first repetition of field n."""
        raw, mark = self.raw(number), self.syntax.repetition
        return Value(raw[: raw.index(mark)] if mark and mark in raw else raw, self.syntax)

    def text(self, number: int, component: int = 1, subcomponent: int = 0) -> str:
        """One component of the first repetition of field n, decoded."""
        fields = self._fields or self.fields  # as `raw` does, which costs a call
        raw = fields[number] if number < len(fields) else ""
        if not raw:
            return ""
        syntax = self.syntax
        if syntax.repetition and syntax.repetition in raw:
            raw = raw[: raw.index(syntax.repetition)]
        return syntax.leaf(raw, component, subcomponent)


class _Traced(Segment):
    """A segment that notes which of its fields are looked at, also where it is absent."""

    __slots__ = ("_as",)

    def __init__(self, line: str, syntax: Syntax, name: str = "") -> None:
        super().__init__(line, syntax)
        self._as = name or self.name

    def raw(self, number: int) -> str:
        """See Segment."""
        self._note(number)
        return super().raw(number)

    def text(self, number: int, component: int = 1, subcomponent: int = 0) -> str:
        """See Segment."""
        self._note(number)
        return super().text(number, component, subcomponent)

    def _note(self, number: int) -> None:
        if self.syntax.trace is not None and self._as:
            self.syntax.trace.add((self._as, number))


class Message:
    """The segments of one block in their order; `warnings` say what had to be guessed.

    `default_charset` is read where MSH-18 says nothing, `charset` whatever it says: names of `CHARACTER_SETS`.
    `deletes` is True where some value may be `""`. `trace` gets every field of this message that is looked at.
    """

    def __init__(
        self, block: bytes, default_charset: str = "", *, charset: str = "", trace: Trace | None = None
    ) -> None:
        header = read_header(block)
        delimiters = header.delimiters
        declared = charset or header.field(18)
        shifted = b"\x1b" in block
        named = codec(declared, delimiters.repetition, shifted=shifted)
        text, used, guessed = decode(block[block.index(b"MSH") :], named, codec(default_charset, ""))
        self.warnings: list[str] = [_guess(named, used)] if guessed else []
        self.syntax = Syntax(delimiters, used, trace)
        self.warnings.extend(doubts(text, delimiters, used))
        self.deletes = DELETE in text
        cut = Segment if trace is None else _Traced
        self.segments: list[Segment] = [cut(line, self.syntax) for line in self._lines(text)]

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments)

    def first(self, name: str) -> Segment:
        """The first segment of this name, or one without values."""
        for segment in self.segments:
            if segment.name == name:
                return segment
        return Segment("", self.syntax) if self.syntax.trace is None else _Traced("", self.syntax, name)

    def all(self, name: str) -> list[Segment]:
        """All segments of this name, in order."""
        return [segment for segment in self.segments if segment.name == name]

    def _lines(self, text: str) -> list[str]:
        """Segments, whatever ends them; a line that is none belongs to a text before it, and to nothing else."""
        starts = _start(self.syntax.delimiters.field)
        lines: list[str] = []
        more: dict[int, list[str]] = {}
        left_out = False
        for line in text.replace("\n", "\r").split("\r"):
            if starts(line):
                lines.append(line)
            elif line.strip() and lines[-1].startswith(_TEXTS):
                more.setdefault(len(lines) - 1, []).append(line)
            elif line.strip():
                left_out = True
        for place, texts in more.items():
            lines[place] = "\n".join([lines[place], *texts])
        if more:
            self.warnings.append("a line that is no segment was read as part of the text before it")
        if left_out:
            self.warnings.append("a line that is no segment was left out")
        return lines


def nth(text: str, delimiter: str, number: int) -> str:
    """Part n of a text that a delimiter separates, counted from 1; empty where there are fewer."""
    if not delimiter or delimiter not in text:
        return text if number == 1 else ""
    parts = text.split(delimiter, number)
    return parts[number - 1] if number <= len(parts) else ""


def _guess(declared: str | None, used: str) -> str:
    return (
        f"the bytes do not fit MSH-18: they were read as {used}"
        if declared
        else f"the character set was guessed: {used}"
    )


@lru_cache(maxsize=32)
def _start(separator: str) -> Callable[[str], object]:
    """What a line begins with that is a segment."""
    return re.compile(rf"[A-Z][A-Z0-9]{{2}}(?:{re.escape(separator)}|\s*$)").match

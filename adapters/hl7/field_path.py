"""Places in a message by name, "OBR-18.1" or "PID-3.4.2", and how to read and write what stands there, as sent."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.hl7 import encode
from adapters.hl7.delimiters import Delimiters, split
from adapters.hl7.message import nth


@dataclass(frozen=True, slots=True)
class Path:
    """Segment, field, component, subcomponent, counted from 1; 0 where the path does not go so deep."""

    segment: str
    field: int
    component: int = 0
    subcomponent: int = 0

    @classmethod
    def parse(cls, text: str) -> Path:
        """Read what `cds.destinations.FieldPath` has checked."""
        segment, _, rest = text.partition("-")
        return cls(segment, *map(int, rest.split(".")))

    def __str__(self) -> str:
        """The path as it is written."""
        return f"{self.segment}-{'.'.join(str(n) for n in (self.field, self.component, self.subcomponent) if n)}"

    @property
    def says_what(self) -> bool:
        """True for a whole field or its first component, which says what it is: PID-3.4 gives a number no value."""
        return self.component in (0, 1)

    @property
    def name(self) -> str:
        """The field alone: OBR-18."""
        return f"{self.segment}-{self.field}"


def part(raw: str, source: Path, target: Path, delimiters: Delimiters) -> str:
    """What a source gives a target: as much of the field as the target holds, and no more than the source names."""
    if not source.component and not target.component:
        return raw
    found = nth(nth(raw, delimiters.repetition, 1), delimiters.component, source.component or 1)
    if source.subcomponent or target.subcomponent:
        found = nth(found, delimiters.subcomponent, source.subcomponent or 1)
    return found


def with_part(repetition: str, path: Path, new: str, delimiters: Delimiters) -> str:
    """A repetition with another component or subcomponent; all of it where the path names none."""
    if not path.component:
        return new
    if path.subcomponent:
        whole = nth(repetition, delimiters.component, path.component)
        new = with_nth(whole, delimiters.subcomponent, path.subcomponent, new)
    return with_nth(repetition, delimiters.component, path.component, new)


def with_nth(text: str, delimiter: str, number: int, new: str) -> str:
    """A text with another part n; as it is where the message has no such delimiter and so no part n."""
    parts = split(text, delimiter)
    if not delimiter and number > 1:
        return text
    parts.extend([""] * (number - len(parts)))
    parts[number - 1] = new
    return delimiter.join(parts)


def escaped(text: str, delimiters: Delimiters) -> str:
    """A text as it may stand in a message with these delimiters."""
    encoded = str(encode.field(text, delimiters))
    mark, cut = delimiters.escape, delimiters.truncation
    return encoded.replace(cut, f"{mark}P{mark}" if mark else "") if cut else encoded

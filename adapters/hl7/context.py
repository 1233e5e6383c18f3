"""What every part of the reader needs beside its segment: the site's rules, the sender, and where to leave warnings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from functools import lru_cache
from typing import Literal, TypeVar
from urllib.parse import quote

from adapters.hl7 import timestamp
from adapters.hl7.message import Segment, Value
from cds.domain.identity import Identifier

T = TypeVar("T")
AccessionFallback = Literal["none", "ORC-3", "ORC-2"]


@dataclass(frozen=True, slots=True)
class Site:
    """Whose identifiers come without an authority, where accession numbers stand, and the site's time zone."""

    assigning_authority: str
    accession_issuer: str
    accession_fallback: AccessionFallback
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Context:
    """One message being read. `sender` is what names codes and numbers of the sender's own."""

    site: Site
    sender: str
    sent_at: datetime | None = None
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Leave a warning once; it names fields, never values."""
        if text not in self.notes:
            self.notes.append(text)

    def local_system(self, name: str = "") -> str:
        """The URI of a code system that is no standard: a table, or the sender's own codes."""
        return _uri(name or self.sender or "unknown")

    def moment(self, segment: Segment, number: int, component: int = 1) -> datetime | None:
        """A timestamp; None with a warning where it cannot be read."""
        return self._time(timestamp.moment, segment.text(number, component), f"{segment.name}-{number}")

    def day(self, segment: Segment, number: int) -> date | None:
        """A day; None with a warning where it cannot be read."""
        return self._time(timestamp.day, segment.text(number), f"{segment.name}-{number}")

    def day_of(self, value: Value, where: str) -> date | None:
        """The day of one value; None with a warning where it cannot be read."""
        return self._time(timestamp.day, value.text(), where)

    def number(self, value: Value) -> Identifier | None:
        """An order number (EI): its value with its namespace or universal id, else the site's authority or sender."""
        text = self.identifying(value)
        assigner = stated_assigner(value) or self.site.assigning_authority or self.sender
        return Identifier(text, assigner or "unknown") if text else None

    def identifying(self, value: Value) -> str:
        """The first component of an identifier; empty, with a warning, where a character is not what was meant."""
        if not value.raw:
            return ""
        if value.garbled:
            self.note("an identifier with characters that cannot be read was dropped")
            return ""
        return value.text(1).strip()  # a number of ideographic blanks alone would be many people's

    def _time(self, read: Callable[[str, tzinfo], T], text: str, where: str) -> T | None:
        if not text:
            return None
        try:
            return read(text, self.site.zone)
        except (ValueError, OverflowError):
            self.note(f"{where} is no date or time of at least a day")
            return None


def stated_assigner(value: Value) -> str:
    """Whose number an EI says that it is: its namespace, else its universal id; empty where it says neither."""
    return value.text(2).strip() or value.text(3).strip()


@lru_cache(maxsize=256)
def _uri(name: str) -> str:
    return f"urn:hl7v2:{quote(name, safe='')}"

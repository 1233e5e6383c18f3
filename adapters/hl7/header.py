"""The first segment, read from bytes without reading the rest: all that framing, check and acknowledgment need."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from adapters.hl7.delimiters import Delimiters, read_delimiters, split
from cds.errors import InvalidMessage

#: What may stand before MSH: a UTF-8 byte order mark, blanks and line breaks.
_LEAD = re.compile(rb"(?:\xef\xbb\xbf)?[ \r\n]*")
_LINE = re.compile(rb"[^\r\n]*")
_LONGEST = 8192
#: How many manners are known at a time, and what is known of each.
MANNERS = 256
_TIME, _CONTROL_ID = 7, 10
#: Senders are few, and say the same delimiters in every message.
_delimiters = lru_cache(maxsize=64)(read_delimiters)


@dataclass(frozen=True, slots=True)
class Header:
    """MSH. `fields[n]` is MSH-n as Latin-1 text, byte for byte, so that an acknowledgment can echo it exactly."""

    delimiters: Delimiters
    fields: tuple[str, ...]
    #: Where its line ends in the block.
    end: int = 0
    #: What `manner` found.
    _manner: list[Manner] = field(default_factory=list, init=False, repr=False, compare=False)

    def field(self, number: int) -> str:
        """MSH-n as sent, empty where it is absent."""
        return self.fields[number] if number < len(self.fields) else ""

    def component(self, number: int, component: int = 1) -> str:
        """One component of MSH-n, without blanks around it."""
        parts = split(self.field(number), self.delimiters.component)
        return parts[component - 1].strip() if component <= len(parts) else ""

    @property
    def version(self) -> tuple[int, ...]:
        """MSH-12 as numbers; () where it is not a version."""
        parts = self.component(12).split(".")
        return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else ()


@dataclass(frozen=True, slots=True, eq=False)
class Manner:
    """What a sender says in MSH in all its messages: all but MSH-7 and MSH-10.

    Thousands of messages a second have few manners: each is one object, and what follows from it is found out once.
    """

    header: Header


def manner(header: Header) -> Manner:
    """The manner of a message."""
    if not header._manner:
        fields = header.fields
        found = _manner(header.delimiters, fields[:_TIME], fields[_TIME + 1 : _CONTROL_ID], fields[_CONTROL_ID + 1 :])
        header._manner.append(found)
    return header._manner[0]


@lru_cache(maxsize=MANNERS)
def _manner(
    delimiters: Delimiters, before: tuple[str, ...], between: tuple[str, ...], behind: tuple[str, ...]
) -> Manner:
    return Manner(Header(delimiters, (*before, "", *between, "", *behind)))


def read_header(block: bytes) -> Header:
    """Read MSH; InvalidMessage where the block is not an HL7 v2 message."""
    start = 0
    if not block.startswith(b"MSH"):
        lead = _LEAD.match(block)
        start = lead.end() if lead else 0
    line = _LINE.match(block, start)
    raw = line.group() if line else b""
    if not raw.startswith(b"MSH") or len(raw) > _LONGEST:
        raise InvalidMessage(f"want a message that begins with MSH, of at most {_LONGEST} bytes", condition="100")
    separator = raw[3:4].decode("latin-1")
    name, *fields = raw.decode("latin-1").split(separator) if separator else [""]
    if name != "MSH" or not fields:
        raise InvalidMessage("want delimiters in MSH-1 and MSH-2", location="MSH^1^2", condition="100")
    return Header(_delimiters(separator, fields[0]), (name, separator, *fields), start + len(raw))

"""The first segment, read from bytes without reading the rest: all that framing, check and acknowledgment need."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from adapters.hl7.delimiters import Delimiters, read_delimiters, split
from cds.errors import InvalidMessage

#: What may stand before MSH: a UTF-8 byte order mark, blanks and line breaks.
_LEAD = re.compile(rb"(?:\xef\xbb\xbf)?[ \r\n]*")
_LINE = re.compile(rb"[^\r\n]*")
_LONGEST = 8192
#: Senders are few, and say the same delimiters in every message.
_delimiters = lru_cache(maxsize=64)(read_delimiters)


@dataclass(frozen=True, slots=True)
class Header:
    """MSH. `fields[n]` is MSH-n as Latin-1 text, byte for byte, so that an acknowledgment can echo it exactly."""

    delimiters: Delimiters
    fields: tuple[str, ...]
    #: Where its line ends in the block.
    end: int = 0

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

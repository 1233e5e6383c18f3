"""What a caller of DICOMweb accepts (PS3.18 section 8.7), and answers of one part or of several."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_PARAMETER = re.compile(r';\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,]*)')
_RANGE = re.compile(r'((?:[^,"]|"(?:[^"\\]|\\.)*")+)')
_LONGEST_HEADER = 4096
MULTIPART = "multipart/related"
ANY_SYNTAX = "*"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One media range: of the answer, or of its parts where `is_multipart`; "*/*" for anything."""

    kind: str
    is_multipart: bool
    transfer_syntax: str = ""
    weight: float = 1.0

    def takes(self, kind: str) -> bool:
        """Whether a media type is of this range."""
        own = self.kind.partition("/")
        return self.kind in ("*/*", kind) or (own[2] == "*" and kind.startswith(f"{own[0]}/"))


def wanted(header: str) -> list[Wanted]:
    """The media ranges of an Accept header, the most wanted first; everything where it says nothing."""
    told = [found for part in _RANGE.findall(header[:_LONGEST_HEADER]) if (found := _read(part.strip())) is not None]
    kept = [one for one in told if one.weight > 0]
    return sorted(kept, key=lambda one: -one.weight) if told else [Wanted("*/*", True)]


def _read(part: str) -> Wanted | None:
    kind = part.partition(";")[0].strip().lower()
    if "/" not in kind:
        return None
    given = {name.lower(): value.strip('"') for name, value in _PARAMETER.findall(part)}
    weight = _weight(given.get("q", "1"))
    syntax = given.get("transfer-syntax", "")
    if kind == MULTIPART:
        return Wanted(given.get("type", "*/*").lower(), True, syntax, weight)
    return Wanted(kind, kind == "*/*", syntax, weight)


def _weight(told: str) -> float:
    try:
        return min(max(float(told), 0.0), 1.0)
    except ValueError:
        return 0.0


def parts(boundary: str, several: Iterable[tuple[str, bytes | Iterable[bytes]]]) -> Iterator[bytes]:
    """A multipart/related body (RFC 2387) of (content type, body) parts."""
    for content_type, body in several:
        yield f"--{boundary}\r\nContent-Type: {content_type}\r\n\r\n".encode()
        if isinstance(body, bytes):
            yield body
        else:
            yield from body
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()

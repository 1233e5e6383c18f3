"""multipart/related as it comes (RFC 2046 section 5.1, RFC 2387; PS3.18 section 8.6): parts go on, none is held.

The length of a part that its sender states is not believed: the boundary alone ends a part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.message import Message
from typing import Protocol, TypeVar

from cds.errors import InvalidInstance, Unavailable

_LONGEST_BOUNDARY = 70
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
#: Bytes of a header line, of all header lines of a part, of what comes before the first part, and after the last.
_LONGEST_LINE = 8 * 1024
_LONGEST_HEADERS = 32 * 1024
_LONGEST_PREAMBLE = 64 * 1024
_LONGEST_EPILOGUE = 1024 * 1024
#: Blanks that a mail gateway may add behind a boundary (RFC 2046 section 5.1.1).
_LONGEST_PADDING = 256


class TruncatedBody(Unavailable):
    """The body ended before its closing boundary; the parts before are whole."""


class PartSink(Protocol):
    """Takes one part: everything written, then closed; never closed where the part did not end."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Append. The buffer is only lent: copy what is kept."""
        ...

    def close(self) -> object:
        """The part is whole."""
        ...


S = TypeVar("S", bound=PartSink)


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type states; raise InvalidInstance where it is no multipart/related with one."""
    header = Message()
    header["Content-Type"] = content_type if content_type.isprintable() else ""
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/related" or not isinstance(boundary, str):
        raise InvalidInstance("want multipart/related with a boundary (PS3.18 section 8.6.1.2)")
    if len(boundary) > _LONGEST_BOUNDARY or not _BOUNDARY.fullmatch(boundary):
        raise InvalidInstance("want a boundary of 1 to 70 characters (RFC 2046 section 5.1.1)")
    return boundary.encode("ascii")


def parts(chunks: Iterable[bytes], boundary: bytes, *, open_part: Callable[[Mapping[str, str]], S]) -> Iterator[S]:
    """Write each part to a sink that `open_part` makes of its headers (names in lower case), close it, and yield it.

    Raise TruncatedBody where the body ends too early, after the whole parts, and InvalidInstance where it is no
    multipart body or has headers without end; the sink that was open then is its maker's to discard.
    """
    stream = _Stream(iter(chunks), b"--" + boundary)
    more = stream.skip_preamble()
    while more:
        sink = open_part(stream.headers())
        more = stream.body(sink)
        sink.close()
        yield sink
    stream.drain()


class _Stream:
    """What is known of the body: the piece at hand, how far it is read, and the rest to come."""

    def __init__(self, chunks: Iterator[bytes], dash_boundary: bytes) -> None:
        self._chunks = chunks
        self._dash_boundary = dash_boundary
        self._eol = b"\r\n"
        self._data = b""
        self._at = 0
        self._blank = 0

    def skip_preamble(self) -> bool:
        """Read up to the first boundary, whose line says how lines end; True where a part follows."""
        skipped = 0
        while skipped < _LONGEST_PREAMBLE:
            line = self._line(last=self._dash_boundary + b"--")
            skipped += len(line)
            what = line.rstrip(b" \t\r\n")
            if what == self._dash_boundary:
                self._eol = b"\r\n" if line.endswith(b"\r\n") else b"\n"
                return True
            if what == self._dash_boundary + b"--":
                return False
        raise InvalidInstance("want a multipart body that begins with its boundary")

    def headers(self) -> dict[str, str]:
        """The headers of the part that begins here; folded lines are put together (RFC 5322 section 2.2.3)."""
        found: dict[str, str] = {}
        name, size = "", 0
        while (line := self._line()).strip(b"\r\n"):
            size += len(line)
            if size > _LONGEST_HEADERS:
                raise InvalidInstance("want parts with short headers")
            text = line.decode("latin-1").rstrip("\r\n")
            if text[0] in " \t" and name:
                found[name] += " " + text.strip()
                continue
            name, colon, value = text.partition(":")
            name = name.strip().lower()
            if not colon:
                raise InvalidInstance("want header lines with a name and a colon in each part")
            found[name] = value.strip()
        self._blank = len(line)
        return found

    def body(self, sink: PartSink) -> bool:
        """Hand the part on up to the next boundary, and read that; False where it was the last."""
        delimiter = self._eol + self._dash_boundary
        # the empty line above ends as a delimiter begins: a part may be empty (RFC 2046 section 5.1.1)
        skip = min(len(self._eol), self._blank)
        self._at -= skip
        while True:
            start, end = self._at + skip, self._data.find(delimiter, self._at)
            if end < 0:
                keep = max(len(self._data) - _held_back(self._data, delimiter, self._at), self._at)
                skip = max(start - keep, 0)
                self._hand_on(sink, start, keep)
                if not self._more(keep):
                    raise _truncated()
                continue
            self._hand_on(sink, start, end)
            self._at = end + len(delimiter)
            follows = self._ending()
            if follows is not None:
                return follows
            sink.write(delimiter[max(start - end, 0) :])
            skip = 0

    def drain(self) -> None:
        """Read what comes after the last part, so that the connection can be used again."""
        size = 0
        for chunk in self._chunks:
            size += len(chunk)
            if size > _LONGEST_EPILOGUE:
                return

    def _hand_on(self, sink: PartSink, start: int, end: int) -> None:
        if start < end:
            with memoryview(self._data) as view:
                sink.write(view[start:end])

    def _ending(self) -> bool | None:
        """What the bytes after a boundary say: a part follows, none does, or (None) it only looked like a boundary."""
        while True:
            after = self._data[self._at : self._at + _LONGEST_PADDING]
            if after.startswith(b"--"):
                return False
            padding = after.lstrip(b" \t")
            if padding.startswith(self._eol):
                self._at += len(after) - len(padding) + len(self._eol)
                return True
            undecided = not padding or self._eol.startswith(padding) or after == b"-"
            if not undecided or len(after) == _LONGEST_PADDING:
                return None
            if not self._more(self._at):
                raise _truncated()

    def _line(self, last: bytes = b"") -> bytes:
        """The next line with its end; `last` is what may be the whole rest of the body without one."""
        while True:
            end = self._data.find(b"\n", self._at, self._at + _LONGEST_LINE)
            if end >= 0:
                line = self._data[self._at : end + 1]
                self._at = end + 1
                return line
            if len(self._data) - self._at >= _LONGEST_LINE:
                raise InvalidInstance("want short lines before and in the headers of a part")
            if not self._more(self._at):
                if last and self._data == last:
                    return last
                raise _truncated()

    def _more(self, keep_from: int) -> bool:
        """Forget what is read and get the next piece; what is kept is short, so that nothing large is copied."""
        rest = self._data[keep_from:]
        self._at = 0
        for chunk in self._chunks:
            if chunk:
                self._data = rest + chunk if rest else chunk
                return True
        self._data = rest
        return False


def _truncated() -> TruncatedBody:
    return TruncatedBody("want a whole multipart body: it ended before its closing boundary")


def _held_back(data: bytes, delimiter: bytes, start: int) -> int:
    """How many of the last bytes may be the beginning of a delimiter that the next piece completes."""
    at = max(len(data) - len(delimiter) + 1, start)
    while (at := data.find(delimiter[:1], at)) >= 0:
        if delimiter.startswith(data[at:]):
            return len(data) - at
        at += 1
    return 0

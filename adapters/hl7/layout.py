"""Where the messages of a batch or file are (HL7 v2.5.1 section 2.10.3): [FHS] { [BHS] { MSH … } [BTS] } [FTS].

A message is its bytes from MSH to the line break that ends its last segment; blank lines and blanks behind that are not
part of it. Where a header was begun, its trailer is wanted: without it nobody knows whether the end is missing.
"""

from __future__ import annotations

import mmap
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from adapters.hl7.delimiters import STANDARD, read_delimiters
from adapters.hl7.header import Header
from adapters.hl7.mllp import START
from cds.errors import InvalidMessage

#: Bytes, or a file mapped into memory.
Data = bytes | mmap.mmap
#: Where a message begins and ends in its data.
Span = tuple[int, int]

_MOST_PROBLEMS = 20
_LONGEST_HEADER = 8192
_PUNCTUATION = rb"[!-/:-@\[-`{-~]"
_LEAD = rb"[ \t]*+(?:\xef\xbb\xbf)?+[ \t]*+"
_NAME = rb"(MSH|FHS|BHS|BTS|FTS)"
AT_THE_START = re.compile(rb"[\r\n]*+" + _LEAD + rb"[ \t\r\n]*+" + _NAME)
#: A VT begins a line too: files are made by appending frames to plain messages.
_ON_A_LINE = re.compile(rb"[\r\n\x0b]" + _LEAD + _NAME)
#: A line of free text may begin with the three letters; a header goes on with its delimiters.
_HEADER = re.compile(
    rb"...(" + _PUNCTUATION + rb")(?:(?!\1)" + _PUNCTUATION + rb"){1,6}(?:\1|(?=[\r\n])|\Z)",
)
_LOOKS_LIKE_ONE = re.compile(rb"..." + _PUNCTUATION)
_LINE = re.compile(rb"[^\r\n]*")
_LINE_END = re.compile(rb"[ \t]*(?:\r\n|\r|\n)?")
#: Blanks, line breaks, what is left of frames, and the end mark of old text files.
_FILL = b" \t\r\n\x0b\x1c\x1a"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FRAME_END = re.compile(rb"\x0b|\x1c(?=[\r\n]|\Z)")
_NUMBER = re.compile(r"\d{1,10}", re.ASCII)
_UTF_16 = (b"\xff\xfe", b"\xfe\xff", b"M\x00S\x00H\x00", b"\x00M\x00S\x00H")


@dataclass(frozen=True, slots=True)
class Part:
    """One batch: its BHS, None where there was none, and how many messages it holds. BHS-11 is its control id."""

    header: Header | None
    count: int


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a sender put around messages: its FHS, None where there was none, its batches in order, and where it is."""

    file: Header | None
    parts: tuple[Part, ...]
    span: Span

    @property
    def header(self) -> Header | None:
        """The outermost header: whose control id an answer to all of it refers to."""
        return self.file or next((part.header for part in self.parts if part.header), None)

    @property
    def count(self) -> int:
        """How many messages are in it."""
        return sum(part.count for part in self.parts)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the messages of a file are, and what is wrong with it; `envelopes` with the number of their first message.

    Messages are numbered from 0. With problems, the file is not what its sender meant: it should not be loaded.
    """

    spans: tuple[Span, ...]
    envelopes: tuple[tuple[int, Envelope], ...]
    problems: tuple[InvalidMessage, ...]


def layout(data: Data) -> Layout:
    """Find the messages of a file: MLLP frames, batches, or messages one after the other, with CR, LF or CRLF."""
    if data[:8].lstrip(b"\xef\xbb\xbf").startswith(_UTF_16):
        text = "want UTF-8 or a character set with one byte for each ASCII character, found UTF-16"
        return Layout((), (), (InvalidMessage(text, condition="102"),))
    found = _frames(data) if _is_framed(data) else scan(data, 0, len(data))
    if found.spans or found.envelopes or found.problems:
        return found
    return replace(found, problems=(InvalidMessage("want HL7 v2 messages, found none", condition="100"),))


def _is_framed(data: Data) -> bool:
    """True where the first frame begins before a message outside of frames does."""
    start = data.find(START)
    if start < 0:
        return False
    plain = AT_THE_START.match(data) or _ON_A_LINE.search(data, 0, start)
    return plain is None or plain.start(1) > start


def _frames(data: Data) -> Layout:
    """Each frame is a message as it stands, or a batch; a tool may have changed the CR behind FS."""
    spans: list[Span] = []
    envelopes: list[tuple[int, Envelope]] = []
    problems: list[InvalidMessage] = []
    unended: Counter[str] = Counter()
    at = 0
    while (start := data.find(START, at)) >= 0:
        problems += _loose(data[at:start], len(spans))
        end = _FRAME_END.search(data, start + 1)
        at = end.start() if end else len(data)
        if end is None or end.group() == START:
            text = f"want FS CR behind message {len(spans) + 1}"
            if text in unended or len(unended) < _MOST_PROBLEMS:
                unended[text] += 1
            continue
        found = _framed(data, start + 1, at)
        envelopes += [(len(spans) + first, envelope) for first, envelope in found.envelopes]
        spans += found.spans
        problems += found.problems
        at += 1
    problems += _loose(data[at:], len(spans))
    problems += [InvalidMessage(_times(text, count), condition="100") for text, count in unended.items()]
    return Layout(tuple(spans), tuple(envelopes), tuple(problems[:_MOST_PROBLEMS]))


def _times(text: str, count: int) -> str:
    return text if count == 1 else f"{text}, which {count} frames there lack"


def _framed(data: Data, start: int, end: int) -> Layout:
    name = AT_THE_START.match(data, start, end)
    if name and name.group(1) in (b"FHS", b"BHS"):
        return scan(data, start, end)
    return Layout(((start, end),), (), ())


def _loose(text: bytes, number: int) -> list[InvalidMessage]:
    if not text.strip(_FILL + _BYTE_ORDER_MARK):
        return []
    where = f"behind message {number}" if number else "before the first message"
    return [InvalidMessage(f"want nothing but messages, found other text {where}", condition="100")]


def scan(data: Data, start: int, end: int, most: int = 0) -> Layout:
    """Find the messages of a part of the data that holds no frames.

    With `most` it stops at the first problem; more messages or batches than that are one.
    """
    scanner = _Scanner(data, start, end)
    for name, line_break, at in _marks(data, start, end):
        scanner.see(name, line_break, at)
        if most and max(len(scanner.spans), scanner.batches) > most:
            text = f"want at most {most} messages in a block"
            scanner.problems.append(InvalidMessage(text, location="BHS^1", condition="100"))
        if most and scanner.problems:
            break
    else:
        scanner.finish()
    return Layout(tuple(scanner.spans), tuple(scanner.envelopes), tuple(scanner.problems))


def outermost_header(block: bytes) -> Header | None:
    """The FHS or BHS that a block begins with, as far as it can be read; None where it begins with neither."""
    scanner = _Scanner(block, 0, len(block))
    for name, line_break, at in islice(_marks(block, 0, len(block)), 1):
        scanner.see(name, line_break, at)
    return scanner.header


def _marks(data: Data, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    """Each line that begins with one of the five names: the name, where the line before it ends, where it begins."""
    first = AT_THE_START.match(data, start, end)
    if first:
        yield first.group(1).decode(), start, first.start(1)
    for found in _ON_A_LINE.finditer(data, first.end() if first else start, end):
        yield found.group(1).decode(), found.start() + 1, found.start(1)


class _Scanner:
    """Takes the marked lines in their order; what it does not take as a header or trailer is text of a message."""

    def __init__(self, data: Data, start: int, end: int) -> None:
        self.spans: list[Span] = []
        self.envelopes: list[tuple[int, Envelope]] = []
        self.problems: list[InvalidMessage] = []
        self._data, self._end = data, end
        self._message = -1  # where the open message begins
        self._behind = start  # where the last header, trailer or message ends
        self._file: Header | None = None
        self._part: Header | None = None
        self._in_part = False
        self._number = 0  # of the open batch
        self._first_of_part = 0
        self._first_of_file = 0
        self._began = start  # where the open envelope begins
        self._parts: list[Part] = []
        self._seen: Counter[str] = Counter()

    def see(self, name: str, line_break: int, at: int) -> None:
        """A line that begins with a name; `line_break` is where the text before it ends."""
        if not self._is_one(name, at):
            return
        self._close_message(line_break)
        self._seen[name] += 1
        line = _LINE.match(self._data, at, self._end)
        self._behind = line.end() if line else at
        match name:
            case "MSH":
                self._message = at
                if self._file and not self._in_part:
                    self._open_part(None, at)
            case "BHS":
                self._end_part(trailer=False)
                self._open_part(self._header(name, at), at)
            case "FHS":
                self._end_file(trailer=False)
                self._file, self._first_of_file, self._began = self._header(name, at), len(self.spans), at
            case "BTS":
                self._trailer_of_part(at)
            case _:
                self._trailer_of_file(at)

    @property
    def header(self) -> Header | None:
        """The outermost header that is open."""
        return self._file or self._part

    @property
    def batches(self) -> int:
        """How many BHS were seen."""
        return self._seen["BHS"]

    def finish(self) -> None:
        """The data ends."""
        self._close_message(self._end)
        self._end_file(trailer=False)

    def _is_one(self, name: str, at: int) -> bool:
        if name in ("BTS", "FTS"):
            separator = self._separator(name).encode("latin-1")
            may_be_bare = (b"\r", b"\n", b"") if self._file or self._in_part else ()
            return self._data[at + 3 : min(at + 4, self._end)] in (separator, *may_be_bare)
        wanted = _HEADER if self._message >= 0 else _LOOKS_LIKE_ONE
        return wanted.match(self._data, at, self._end) is not None

    def _close_message(self, end: int) -> None:
        if self._message < 0:
            self._note(*_loose(self._data[self._behind : end], len(self.spans)))
            return
        text = self._data[self._message : end]
        kept = len(text.rstrip(_FILL))
        line_end = _LINE_END.match(text, kept)
        self._behind = self._message + (line_end.end() if line_end else kept)
        self.spans.append((self._message, self._behind))
        self._message = -1

    def _header(self, name: str, at: int) -> Header:
        """The fields of FHS or BHS, numbered as those of MSH are."""
        line = self._data[at : min(self._behind, at + _LONGEST_HEADER)].decode("latin-1")
        separator = line[3:4]
        _, *fields = line.split(separator) if separator else [""]
        delimiters = STANDARD
        try:
            delimiters = read_delimiters(separator, fields[0] if fields else "")
        except InvalidMessage:
            text = f"want distinct punctuation as delimiters in {name}-1 and {name}-2"
            self._note(InvalidMessage(text, location=f"{name}^{self._seen[name]}^2", condition="102"))
        return Header(delimiters, (name, separator, *fields), self._behind)

    def _open_part(self, header: Header | None, at: int) -> None:
        if not self._file:
            self._first_of_file, self._began = len(self.spans), at
        self._part, self._in_part, self._first_of_part = header, True, len(self.spans)
        self._number = self._seen["BHS"]

    def _end_part(self, *, trailer: bool) -> None:
        if not self._in_part:
            return
        if self._part and not trailer:
            self._want(f"BTS at the end of batch {self._number}", f"BTS^{self._seen['BTS'] + 1}")
        self._parts.append(Part(self._part, len(self.spans) - self._first_of_part))
        self._part, self._in_part = None, False
        if not self._file:
            self._emit()

    def _end_file(self, *, trailer: bool) -> None:
        self._end_part(trailer=False)
        if self._file and not trailer:
            self._want("FTS at the end of what FHS began", f"FTS^{self._seen['FTS'] + 1}")
        if self._file:
            self._emit()

    def _emit(self) -> None:
        line_end = _LINE_END.match(self._data, self._behind, self._end)
        span = (self._began, line_end.end() if line_end else self._behind)
        self.envelopes.append((self._first_of_file, Envelope(self._file, tuple(self._parts), span)))
        self._file, self._parts = None, []

    def _trailer_of_part(self, at: int) -> None:
        if not self._in_part:
            self._want("BHS before BTS", f"BTS^{self._seen['BTS']}")
            return
        count = len(self.spans) - self._first_of_part
        self._compare("BTS", at, {count}, f"the number of messages in the batch, which is {count}")
        self._end_part(trailer=True)

    def _trailer_of_file(self, at: int) -> None:
        if not self._file:
            self._want("FHS before FTS", f"FTS^{self._seen['FTS']}")
            return
        self._end_part(trailer=False)
        count, headed = len(self._parts), sum(part.header is not None for part in self._parts)
        self._compare("FTS", at, {count, headed}, f"the number of batches in the file, which is {count}")
        self._end_file(trailer=True)

    def _compare(self, name: str, at: int, counts: set[int], what: str) -> None:
        """BTS-1 and FTS-1 are optional text (section 2.15.3 and 2.15.7): a number where they are there."""
        line = self._data[at : min(self._behind, at + _LONGEST_HEADER)].decode("latin-1")
        _, *fields = line.split(self._separator(name))
        said = fields[0].strip() if fields else ""
        if not said:
            return
        wrong = _NUMBER.fullmatch(said) is None
        if wrong or int(said) not in counts:
            location, condition = f"{name}^{self._seen[name]}^1", "102" if wrong else "100"
            self._note(InvalidMessage(f"want in {name}-1 {what}", location=location, condition=condition))

    def _separator(self, trailer: str) -> str:
        header = self._part if trailer == "BTS" and self._part else self._file
        return header.delimiters.field if header else STANDARD.field

    def _want(self, what: str, location: str) -> None:
        self._note(InvalidMessage(f"want {what}", location=location, condition="100"))

    def _note(self, *problems: InvalidMessage) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems += problems

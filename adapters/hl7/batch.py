"""Batches (HL7 v2.5.1 section 2.10.3) and files of messages, and how a batch is answered (section 2.10.3.3).

A message is its bytes from MSH to the line break that ends its last segment, see `adapters.hl7.layout`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from adapters.hl7 import ack
from adapters.hl7.delimiters import STANDARD
from adapters.hl7.header import Header, read_header
from adapters.hl7.layout import AT_THE_START, Envelope, layout, outermost_header, scan
from adapters.hl7.message import Segment, Syntax
from cds.errors import InvalidMessage

_MOST_MESSAGES = 10_000
_NO_NAMES = Header(STANDARD, ("BHS", "|", "^~\\&"))
#: ISO 2022 shifts between character sets with ESC (0x1B); no other control character is echoed.
_NO_CONTROLS = dict.fromkeys([*range(0x1B), *range(0x1C, 0x20)])
_OUR_NAME = "SIGHTLINE"


@dataclass(frozen=True, slots=True)
class Batch(Envelope):
    """One block with several messages, in the order of its parts."""

    messages: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a file holds, and what is wrong with it in words; strict callers take nothing where there are problems."""

    messages: tuple[bytes, ...]
    problems: tuple[str, ...]


def read_batch(block: bytes) -> Batch | None:
    """The batch that begins with FHS or BHS; None where something else begins, a message for one.

    InvalidMessage where a count (BTS-1, FTS-1) is wrong, a trailer is missing or a text belongs to no message. Empty
    counts are accepted, they are optional.
    """
    start = AT_THE_START.match(block)
    if start is None or start.group(1) not in (b"FHS", b"BHS"):
        return None
    found = scan(block, 0, len(block), _MOST_MESSAGES)
    if found.problems:
        raise found.problems[0]
    envelopes = [envelope for _, envelope in found.envelopes]
    parts = tuple(part for envelope in envelopes for part in envelope.parts)
    if len(envelopes) > 1 and any(envelope.file for envelope in envelopes):
        raise InvalidMessage("want one file in a block: one FHS around all of it", location="FHS^1", condition="100")
    if sum(part.count for part in parts) != len(found.spans):
        raise InvalidMessage("want every message between BHS and BTS", location="BTS^1", condition="100")
    return Batch(envelopes[0].file, parts, (start.start(1), len(block)), tuple(block[a:b] for a, b in found.spans))


def read_file(data: bytes) -> FileContent:
    """The messages of a file, see `layout`; it never raises for its content."""
    found = layout(data)
    return FileContent(tuple(data[a:b] for a, b in found.spans), tuple(str(problem) for problem in found.problems))


def batch_answer(batch: Envelope, answers: Sequence[bytes], at: datetime, single: bool) -> bytes:
    """One block that answers all messages of a batch: theirs in a batch of its own, or one for all of them.

    `answers` are the acknowledgments of its messages, in their order; an empty one was not wanted and is left out.
    `single`: the worst of them, for the control id of the batch, with an ERR for each message that was refused.
    """
    return _single(batch, answers, at) if single else b"".join(answer_lines(batch, answers, at))


def answer_lines(batch: Envelope, answers: Iterable[bytes], at: datetime) -> Iterator[bytes]:
    """The parts of a batch of acknowledgments, so that a long one need not be in memory."""
    given = iter(answers)
    if batch.file:
        yield _heading("FHS", batch.file, at)
    for part in batch.parts:
        if part.header:
            yield _heading("BHS", part.header, at)
        count = 0
        for answer in filter(None, islice(given, part.count)):
            count += 1
            yield answer
        if part.header:
            yield _line("BTS", part.header, str(count))
    if batch.file:
        yield _line("FTS", batch.file, str(len(batch.parts)))


def refused_batch(block: bytes, error: InvalidMessage, at: datetime) -> bytes:
    """The one acknowledgment of a batch of which nothing is taken: AR or AE, MSA-2 is the control id of the batch."""
    header = outermost_header(block)
    return ack.reject(_as_message(header, None) if header else None, error, at)


def _heading(name: str, header: Header, at: datetime) -> bytes:
    """FHS or BHS, whose fields have the same numbers: names swapped, field 12 the control id that is answered."""
    fields = [header.field(2), header.field(5) or _OUR_NAME, header.field(6), header.field(3), header.field(4)]
    fields += [at.strftime("%Y%m%d%H%M%S%z"), "", "", "", secrets.token_hex(10), header.field(11)]
    return _line(name, header, *fields)


def _line(name: str, header: Header, *fields: str) -> bytes:
    separator = header.delimiters.field
    line = separator.join([name, *fields]).rstrip(separator)
    return (line.translate(_NO_CONTROLS) + "\r").encode("latin-1", "replace")


def _as_message(header: Header, first: Header | None) -> Header:
    """The header of a batch as that of a message, so that an acknowledgment can be made of it."""
    fields = [header.field(number) for number in range(11)]
    fields[8:11] = ["", "", header.field(11)]
    fields += [first.field(11) if first else "P", first.field(12) if first else "2.5.1"]
    return Header(header.delimiters, ("MSH", *fields[1:]), header.end)


def _single(batch: Envelope, answers: Sequence[bytes], at: datetime) -> bytes:
    said = [Said.read(answer) for answer in answers]
    refused = [(number, answer) for number, answer in enumerate(said, 1) if answer.code not in ("", "AA", "CA")]
    first = next((read_header(answer) for answer in answers if answer), None)
    header = _as_message(batch.header or _NO_NAMES, first)
    if not refused:
        return ack.accept(header, at)
    permanent = any(answer.code in ("AR", "CR") for _, answer in refused)
    lines = [ack.reject(header, answer.error(number, permanent=permanent), at) for number, answer in refused]
    return lines[0] + b"".join(line[line.rindex(b"\rERR") + 1 :] for line in lines[1:])


@dataclass(frozen=True, slots=True)
class Said:
    """What an acknowledgment of ours says: MSA-1, MSA-3 and the condition of ERR; all empty where none was wanted."""

    code: str = ""
    text: str = ""
    condition: str = "207"

    @classmethod
    def read(cls, answer: bytes) -> Said:
        """Read it as it was made here, byte for byte."""
        if not answer:
            return cls()
        syntax = Syntax(read_header(answer).delimiters, "latin-1")
        found = {line[:3]: Segment(line, syntax) for line in answer.decode("latin-1").split("\r")}
        none = Segment("", syntax)
        msa, err = found.get("MSA", none), found.get("ERR", none)
        return cls(msa.text(1), msa.text(3), err.text(3) or err.text(1, 4, 1) or "207")

    def error(self, number: int, *, permanent: bool) -> InvalidMessage:
        """The refusal of one message of a batch; `number` counts from 1."""
        text, location = f"message {number}: {self.text}", f"MSH^{number}^10"
        return InvalidMessage(text, location=location, condition=self.condition, permanent=permanent)

"""A person sends messages to a peer: one MLLP connection, one message after the other, every answer as it came."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from adapters.hl7.batch import read_batch
from adapters.hl7.header import read_header
from adapters.hl7.layout import AT_THE_START, Data, layout, outermost_header
from adapters.hl7.message import Message
from adapters.hl7.mllp import Framer, frame
from cds.errors import InvalidInput, InvalidMessage, Unavailable

#: HL7 table 0008: the codes by which a peer takes a message.
TAKEN = ("AA", "CA")
_LONGEST_ANSWER = 16 * 1024 * 1024
_CHUNK = 65536
_CONTROL_ID, _BATCH_CONTROL_ID = 10, 11
#: HL7 v2.5.1 section 2.15.9.10 has 20 characters, later versions 199.
_LONGEST_CONTROL_ID = 199
_LINE = re.compile(rb"[^\r\n]*")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the peer said to one message: MSA-2, MSA-1, MSA-3, the texts of ERR, and the milliseconds it took.

    `code` is empty where no answer came; `why` then says what happened instead. `ok` is True for AA and CA, and where
    none came that was not asked for (MSH-15 and MSH-16 NE).
    """

    control_id: str
    code: str = ""
    text: str = ""
    errors: tuple[str, ...] = ()
    round_trip_ms: float = 0.0
    ok: bool = False
    why: str = ""


def blocks(data: Data, *, batch: bool) -> tuple[list[bytes], tuple[str, ...]]:
    """What is sent of a file, and what is wrong with the file in words; raise InvalidInput where there is nothing.

    `batch`: the file's batches as they stand, each as one block, instead of the messages one by one.
    """
    found = layout(data)
    problems = tuple(str(problem) for problem in found.problems)
    if not batch:
        if not found.spans:
            raise InvalidInput("; ".join(problems) or "want HL7 v2 messages, found none")
        return [data[start:end] for start, end in found.spans], problems
    if not found.envelopes or problems or sum(envelope.count for _, envelope in found.envelopes) != len(found.spans):
        raise InvalidInput("; ".join(["want a file of whole batches, from FHS or BHS to its trailer", *problems]))
    return [data[start:end] for start, end in (envelope.span for _, envelope in found.envelopes)], ()


def repeated(block: bytes, turn: int) -> bytes:
    """A message or batch for the given time, counted from 1: later ones have "-2", "-3" and so on behind each MSH-10.

    With the same one a receiver would take it for a repeat. All other bytes stay, also where MSH-10 is empty.
    """
    if turn == 1:
        return block
    found, at = list[bytes](), 0
    for start, end in layout(block).spans:
        found += [block[at:start], _renamed(block[start:end], f"-{turn}".encode())]
        at = end
    return b"".join([*found, block[at:]])


def _renamed(message: bytes, suffix: bytes) -> bytes:
    begin = AT_THE_START.match(message)
    line = _LINE.match(message, begin.start(1)) if begin else None
    if line is None or len(line.group()) <= len(b"MSH"):
        return message
    separator = line.group()[3:4]
    fields = line.group().split(separator)
    if len(fields) < _CONTROL_ID or not fields[_CONTROL_ID - 1].strip():
        return message
    fields[_CONTROL_ID - 1] = fields[_CONTROL_ID - 1].rstrip()[: _LONGEST_CONTROL_ID - len(suffix)] + suffix
    return message[: line.start()] + separator.join(fields) + message[line.end() :]


@contextmanager
def connected(
    host: str, port: int, timeout_s: float, ssl_context: ssl.SSLContext | None = None
) -> Iterator[Conversation]:
    """A connection to the peer; raise Unavailable in words where there is none. `timeout_s` is for each answer too."""
    try:
        plain = socket.create_connection((host, port), timeout=timeout_s)
    except OSError as error:
        raise Unavailable(f"{host} port {port} cannot be reached: {_words(error)}") from error
    with plain:
        try:
            used = ssl_context.wrap_socket(plain, server_hostname=host) if ssl_context else plain
        except OSError as error:
            raise Unavailable(f"no TLS with {host} port {port}: {_words(error)}") from error
        with used:
            yield Conversation(used, timeout_s)


class Conversation:
    """What is said over one connection. `broken` once the peer is gone or silent: nothing more is sent."""

    def __init__(self, connection: socket.socket, timeout_s: float) -> None:
        self.broken = False
        self._connection = connection
        self._timeout_s = timeout_s
        self._framer = Framer(_LONGEST_ANSWER)
        self._arrived: list[bytes] = []
        self._answered: set[str] = set()

    def send(self, block: bytes) -> list[Answer]:
        """Send a message or a batch and wait for its answer; an answer to a batch may answer each message in it."""
        control_id, wanted = _asked(block)
        start = time.monotonic()
        deadline = start + self._timeout_s
        try:
            self._until(deadline)
            self._connection.sendall(frame(block))
            while True:
                answers = _read(self._block(deadline), (time.monotonic() - start) * 1000)
                if not self._is_late(answers, control_id):
                    break
        except TimeoutError:
            self.broken = wanted
            return [Answer(control_id, ok=not wanted, why="no answer came" if wanted else "no answer was wanted")]
        except (OSError, InvalidMessage) as error:
            self.broken = True
            return [Answer(control_id, why=f"no answer came: {_words(error)}")]
        self._answered.add(control_id)
        return answers if len(answers) != 1 or not control_id else [_matched(answers[0], control_id)]

    def _is_late(self, answers: Sequence[Answer], control_id: str) -> bool:
        """True for the application acknowledgment of an earlier message, which enhanced mode may send at any time."""
        said = {answer.control_id for answer in answers}
        return bool(said) and control_id not in said and said <= self._answered

    def _block(self, deadline: float) -> bytes:
        while not self._arrived:
            self._until(deadline)
            data = self._connection.recv(_CHUNK)
            if not data:
                raise ConnectionError("the peer closed the connection")
            self._arrived += self._framer.feed(data)
        return self._arrived.pop(0)

    def _until(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)


def _asked(block: bytes) -> tuple[str, bool]:
    """The control id that an answer names, and whether one is asked for (HL7 v2.5.1 section 2.9.3)."""
    header = outermost_header(block)
    if header is not None:
        return header.field(_BATCH_CONTROL_ID), True
    try:
        header = read_header(block)
    except InvalidMessage:
        return "", True
    accept, application = header.component(15), header.component(16)
    return header.field(_CONTROL_ID), not (accept == "NE" and application in ("NE", ""))


def _read(block: bytes, took_ms: float) -> list[Answer]:
    batch = read_batch(block)
    return [_answer(message, took_ms) for message in (batch.messages if batch else (block,))]


def _answer(block: bytes, took_ms: float) -> Answer:
    message = Message(block)
    msa = message.first("MSA")
    errors = tuple(text for err in message.all("ERR") if (text := _error(err.raw(1), err.text(3), err.text(8))))
    code = msa.text(1)
    return Answer(msa.raw(2).strip(), code, msa.text(3), errors, took_ms, code in TAKEN)


def _error(old_form: str, condition: str, text: str) -> str:
    return " ".join(part for part in (condition, text) if part) or old_form


def _matched(answer: Answer, control_id: str) -> Answer:
    if answer.control_id == control_id.strip():
        return answer
    return Answer(control_id, answer.code, answer.text, answer.errors, answer.round_trip_ms, False, "another message")


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return getattr(error, "verify_message", "") or error.reason or type(error).__name__
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, InvalidMessage):
        return f"the answer cannot be read, {error}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

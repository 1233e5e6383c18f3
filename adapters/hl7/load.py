"""The messages of a file into the log, as if they had come over MLLP one after the other: same check, same answers."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from adapters.hl7 import ack
from adapters.hl7.batch import Said, answer_lines
from adapters.hl7.commit import Outcome as ReceiveOutcome
from adapters.hl7.header import read_header
from adapters.hl7.layout import Data, Layout, Span
from adapters.hl7.receive import Receiver, Reply
from cds.destinations import Sender
from cds.domain.message import LoggedMessage, RawMessage
from cds.errors import InvalidMessage
from cds.ports import Clock, MessageLog

_GROUP = 256


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message. `number` is its place in the file from 1, `code` MSA-1, `answer` the whole answer.

    `refusal` says why it is not applied, empty where it is; `duplicate`: the same bytes were in the log already.
    """

    number: int
    control_id: str = ""
    code: str = ""
    refusal: str = ""
    duplicate: bool = False
    answer: bytes = b""


def file_ref(name: str) -> str:
    """Twelve hex digits that stand for a file name, which may say who the patient is."""
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:12]


class Loader:
    """Loads into a log, in groups with one transaction and one fsync each."""

    def __init__(self, log: MessageLog, clock: Clock, senders: Mapping[str, Sender], *, max_bytes: int) -> None:
        self._log = log
        self._clock = clock
        self._senders = senders
        self._max_bytes = max_bytes

    def load(self, data: Data, spans: Sequence[Span], name: str) -> Iterator[Outcome]:
        """Each message of a file, once its group is committed; raise Unavailable where a group cannot be.

        What was committed before stays in the log, where it is recognised when the file is loaded again.
        """
        peer = f"file:{file_ref(name)}"
        with asyncio.Runner() as runner:  # a receiver counts what it answers from an event loop
            for group in self._groups(spans):
                yield from runner.run(self._load(data, group, peer))

    def _groups(self, spans: Sequence[Span]) -> Iterator[list[tuple[int, Span]]]:
        """Not more messages than a transaction should have, and not many more bytes than one message may have."""
        group: list[tuple[int, Span]] = []
        size = 0
        for number, (start, end) in enumerate(spans, 1):
            group.append((number, (start, end)))
            size += min(end - start, self._max_bytes)
            if len(group) == _GROUP or size >= self._max_bytes:
                yield group
                group, size = [], 0
        if group:
            yield group

    async def _load(self, data: Data, group: Sequence[tuple[int, Span]], peer: str) -> list[Outcome]:
        """One transaction; raise what the log raises, and then it has none of the group."""
        commit = _Gathered()
        receive = Receiver(commit, self._clock, self._senders)
        numbers: list[int] = []
        replies: list[Callable[[], Reply]] = []
        refused: list[Outcome] = []
        for number, (start, end) in group:
            if end - start > self._max_bytes:
                refused.append(self._too_long(number, data[start : min(end, start + self._max_bytes)]))
                continue
            numbers.append(number)
            receive.begin(data[start:end], peer, replies.append)
        logged = commit.write(self._log)
        outcomes = [
            _outcome(number, reply().block, one) for number, reply, one in zip(numbers, replies, logged, strict=True)
        ]
        receive.flush()
        return sorted([*outcomes, *refused], key=lambda outcome: outcome.number)

    def _too_long(self, number: int, beginning: bytes) -> Outcome:
        text = f"the message is longer than {self._max_bytes} bytes, the most that is taken here"
        error = InvalidMessage(text, condition="102")
        try:
            answer = ack.reject(read_header(beginning), error, self._clock.now())
        except InvalidMessage:
            answer = ack.reject(None, error, self._clock.now())
        return Outcome(number, code=ack.code(error), refusal=text, answer=answer)


class _Gathered:
    """Port Commit: keeps what a receiver commits, until all of it goes to the log together."""

    def __init__(self) -> None:
        self._messages: list[RawMessage] = []
        self._done: list[Callable[[ReceiveOutcome], None]] = []

    def put(self, messages: Sequence[RawMessage], done: Callable[[ReceiveOutcome], None]) -> None:
        """See adapters.hl7.receive.Commit: a message of a file comes alone."""
        self._messages += messages
        self._done.append(done)

    def write(self, log: MessageLog) -> Sequence[LoggedMessage]:
        """Commit, then let the receiver make its answers; nothing is kept, so that no cycle holds the bytes."""
        messages, told = self._messages, self._done
        self._messages, self._done = [], []
        logged = log.append(messages)
        for done, one in zip(told, logged, strict=True):
            done(partial(_only, one))
        return logged


def _only(logged: LoggedMessage) -> Sequence[LoggedMessage]:
    return (logged,)


class Unlogged:
    """A message log that keeps nothing, for a trial: every message is new to it."""

    def append(self, messages: Sequence[RawMessage]) -> Sequence[LoggedMessage]:
        """See cds.ports.MessageLog."""
        return [LoggedMessage(0, message) for message in messages]

    def after(self, message_id: int, limit: int) -> Sequence[LoggedMessage]:
        """There is none."""
        return ()


def acknowledged(found: Layout, outcomes: Iterator[Outcome], clock: Clock) -> Iterator[bytes]:
    """The answers to a file, as one: those of a batch in a batch, the others as they are."""
    answers = (outcome.answer for outcome in outcomes)
    number = 0
    for first, envelope in found.envelopes:
        yield from (next(answers) for _ in range(first - number))
        yield from answer_lines(envelope, answers, clock.now())
        number = first + envelope.count
    yield from answers


def _outcome(number: int, answer: bytes, stored: LoggedMessage) -> Outcome:
    said = Said.read(answer)
    code, refusal = said.code or stored.message.answered, stored.message.refusal
    return Outcome(number, stored.message.control_id, code, refusal, stored.duplicate, answer)

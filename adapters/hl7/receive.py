"""One block in, its acknowledgment out: check, commit, and only then the answer (DESIGN section 3, rule 1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Protocol

from adapters.hl7 import ack
from adapters.hl7.batch import Batch, batch_answer, read_batch, refused_batch
from adapters.hl7.check import kept, know, require
from adapters.hl7.commit import Outcome
from adapters.hl7.field_path import Path
from adapters.hl7.header import Header, read_header
from adapters.hl7.mode import ORIGINAL, Mode, Override, mode_of
from adapters.hl7.tally import Tally
from cds.destinations import Sender, sender_of
from cds.domain.message import LoggedMessage, RawMessage
from cds.errors import InvalidMessage, SightlineError
from cds.logs import get_logger, is_logged
from cds.ports import Clock

#: Takes the answer to a block, by calling what makes it: that may raise.
Answer = Callable[[Callable[[], "Reply"]], None]

_log = get_logger(__name__)
#: Messages of a batch that are checked before other connections have their turn.
_AT_ONCE = 64
_MOST_SENDERS = 1024


@dataclass(frozen=True, slots=True)
class Awaited:
    """A message whose sender wants to hear over its own connection what became of it; `condition` AL, ER or SU."""

    id: int
    header: Header
    condition: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a block, empty where none is wanted, and what is told later over the same connection."""

    block: bytes
    awaited: tuple[Awaited, ...] = ()


@dataclass(frozen=True, slots=True)
class _Profile:
    """What the door needs of a sender's profile."""

    override: Override = "auto"
    replies: bool = False
    batch: bool = True
    #: Fields that the reader fills or translates: "PID-3".
    mapped: frozenset[str] = frozenset()


_UNKNOWN = _Profile()


@dataclass(frozen=True, slots=True)
class _Taken:
    """A block after its check; `error` says why it is refused."""

    message: RawMessage
    header: Header | None
    mode: Mode
    profile: _Profile
    error: InvalidMessage | None = None


class Commit(Protocol):
    """Where messages are committed: `adapters.hl7.commit.GroupCommit` for connections."""

    def put(self, messages: Sequence[RawMessage], done: Callable[[Outcome], None]) -> None:
        """Call `done` once the log has all of them or none, in the order of the calls."""
        ...


class Receiver:
    """What MllpServer calls for each block. A message that nobody reads here (MFN, BAR) is committed and AA too."""

    def __init__(self, commit: Commit, clock: Clock, senders: Mapping[str, Sender] | None = None) -> None:
        known = senders or {}
        self._commit = commit
        self._clock = clock
        self._tells_each = is_logged("debug")
        self._tally = Tally()
        self._batches: set[asyncio.Task[Reply]] = set()
        self._profile = lru_cache(maxsize=_MOST_SENDERS)(lambda app, place: _profile(sender_of(known, app, place)))

    async def __call__(self, block: bytes, peer: str) -> bytes:
        """The answer alone, see `begin`."""
        answered: asyncio.Future[Callable[[], Reply]] = asyncio.get_running_loop().create_future()
        self.begin(block, peer, lambda made: None if answered.done() else answered.set_result(made))
        return (await answered)().block

    def begin(self, block: bytes, peer: str, answer: Answer) -> None:
        """Answer as the sender asked for it, once the log's commit is done; a repeat is answered as it was then.

        Whatever was framed is committed, refused or not. Where the log cannot commit, AE or CE asks to try again.
        """
        at = self._clock.now()
        try:
            batch = read_batch(block)
        except InvalidMessage as error:
            self._put(_refused(block, peer, at, error), self._batch_refused, answer)
            return
        if batch is None:
            self._put(self._take(block, peer, at), self._one, answer)
            return
        task = asyncio.get_running_loop().create_task(self._batch(batch, peer, at))
        self._batches.add(task)
        task.add_done_callback(self._batches.discard)
        task.add_done_callback(lambda done: answer(done.result))

    def flush(self) -> None:
        """Count in the metrics what is not counted yet."""
        self._tally.flush()

    def _put(self, taken: _Taken, finish: Callable[[_Taken, Outcome], Reply], answer: Answer) -> None:
        """Without a task of its own: thousands of messages a second come this way."""
        self._commit.put((taken.message,), lambda outcome: answer(lambda: finish(taken, outcome)))

    def _one(self, taken: _Taken, outcome: Outcome) -> Reply:
        try:
            (logged,) = outcome()
        except SightlineError as error:
            return self._not_kept(taken, error)
        return self._told(taken, logged)

    def _batch_refused(self, taken: _Taken, outcome: Outcome) -> Reply:
        """It is kept as one block, and nothing of it is applied."""
        try:
            (logged,) = outcome()
        except SightlineError as error:
            return self._not_kept(taken, error)
        self._told(taken, logged)
        refusal = taken.error or InvalidMessage(taken.message.refusal)
        return Reply(refused_batch(taken.message.raw, refusal, taken.message.received_at))

    async def _batch(self, batch: Batch, peer: str, at: datetime) -> Reply:
        """All messages in one commit, and one frame that answers them."""
        found: list[_Taken] = []
        for number, message in enumerate(batch.messages, 1):
            found.append(self._take(message, peer, at))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        try:
            logged = await self._committed([taken.message for taken in found]) if found else ()
        except SightlineError as error:
            replies = [self._not_kept(taken, error) for taken in found]
        else:
            replies = [self._told(taken, one) for taken, one in zip(found, logged, strict=True)]
        answers = [reply.block for reply in replies]
        awaited = tuple(one for reply in replies for one in reply.awaited)
        if found and not any(answers):
            return Reply(b"", awaited)
        single = bool(found) and not found[0].profile.batch
        return Reply(batch_answer(batch, answers, at, single), awaited)

    async def _committed(self, messages: Sequence[RawMessage]) -> Sequence[LoggedMessage]:
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._commit.put(messages, lambda outcome: None if done.done() else done.set_result(outcome))
        return (await done)()

    def _take(self, block: bytes, peer: str, at: datetime) -> _Taken:
        """Check one message, and decide what its sender will be told."""
        try:
            header = read_header(block)
        except InvalidMessage as error:
            return _refused(block, peer, at, error)
        known = know(header)
        profile = self._profile(known.texts.application, known.texts.facility)
        mode = mode_of(header, profile.override, replies=profile.replies)
        try:
            require(block, known, profile.mapped)
        except InvalidMessage as error:
            said = mode.says(ack.code(error))
            message = kept(block, known, peer, at, answered=said, refusal=str(error))
            return _Taken(message, header, mode, profile, error)
        message = kept(block, known, peer, at, answered=mode.says("AA"), wants_result=mode.later)
        return _Taken(message, header, mode, profile)

    def _told(self, taken: _Taken, logged: LoggedMessage) -> Reply:
        """The answer that the log has for this message: the one of then, where it came before."""
        message, header, at = logged.message, taken.header, taken.message.received_at
        said = message.answered
        self._tally.count(said)
        if message.refusal:
            error = taken.error or InvalidMessage(message.refusal)
            _log.warning("message refused", ack_code=said, condition=error.condition, **_fields(taken))
            return Reply(ack.reject(header, error, at, said) if said else b"")
        if self._tells_each:
            _log.debug("message committed", ack_code=said, sha256=message.sha256, **_fields(taken))
        if header is None:  # what has no MSH is refused
            raise InvalidMessage("want a message that begins with MSH", condition="100")
        later = bool(message.wants_result) and not taken.profile.replies
        awaited = (Awaited(logged.id, header, message.wants_result),) if later else ()
        return Reply(ack.accept(header, at, said) if said else b"", awaited)

    def _not_kept(self, taken: _Taken, error: SightlineError) -> Reply:
        """Told whatever MSH-15 and MSH-16 say: nobody else knows of this message."""
        said = taken.mode.letter + ack.code(error)[1] if taken.mode.answerable else ""
        self._tally.count(said)
        _log.warning("message refused", ack_code=said, condition=error.hl7_error, **_fields(taken))
        return Reply(ack.reject(taken.header, error, taken.message.received_at, said) if said else b"")


def _refused(block: bytes, peer: str, at: datetime, error: InvalidMessage) -> _Taken:
    """What is no message, and no batch either."""
    message = kept(block, None, peer, at, answered=ORIGINAL.says(ack.code(error)), refusal=str(error))
    return _Taken(message, None, ORIGINAL, _UNKNOWN, error)


def _profile(sender: Sender | None) -> _Profile:
    if sender is None:
        return _UNKNOWN
    paths = map(Path.parse, (*sender.fields, *sender.values))
    mapped = frozenset(path.name for path in paths if path.says_what)
    return _Profile(sender.acknowledgment, sender.reply_to is not None, sender.batch_acknowledgment == "batch", mapped)


def _fields(taken: _Taken) -> dict[str, str | int]:
    message = taken.message
    known = {"message_control_id": message.control_id, "message_type": message.message_type}
    return {"peer": message.peer, "size": len(message.raw), **(known if taken.header else {})}

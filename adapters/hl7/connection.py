"""One MLLP peer: its frames are answered one after the other, and it is read no faster than that."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from adapters.hl7 import ack
from adapters.hl7.header import Header, read_header
from adapters.hl7.mllp import Framer, frame
from adapters.hl7.mode import ORIGINAL, mode_of
from adapters.hl7.receive import Answer, Awaited, Reply
from cds.errors import InvalidMessage, SightlineError
from cds.limits import Hl7Limits
from cds.logs import get_logger

#: What is called for each block, with the peer's name and who takes the answer; once, and not before it returned.
Receive = Callable[[bytes, str, Answer], None]

_log = get_logger(__name__)
#: What may wait behind the message in work before the peer is not read any more; bytes.
_BACKLOG_BYTES = 65536
#: A refused sender may still be sending: without reading on, its stack would drop our answer with a reset.
_LINGER_S = 2.0


@dataclass(frozen=True, slots=True)
class House:
    """What the connections of a listener share. `buffer` is what the kernel writes into, for one read at a time."""

    limits: Hl7Limits
    receive: Receive
    expect: Callable[[Connection, Sequence[Awaited]], None]
    left: Callable[[Connection], None]
    buffer: memoryview


class Connection(asyncio.BufferedProtocol):
    """One peer. `busy` is True from a complete block to the end of its answer."""

    def __init__(self, house: House, peer: str) -> None:
        self.busy = False
        self.peer = peer
        self._house = house
        self._framer = Framer(house.limits.max_frame_bytes)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._queue: deque[bytes | InvalidMessage] = deque()
        self._current = b""
        self._draining = self._ended = self._lost = self._refused = self._crowded = False
        self._since = self._loop.time()  # of the last bytes, or of the last answer
        self._frame_began = 0.0
        self._most_skipped = house.limits.max_frame_bytes
        self._is_stalled = self._waits_to_write = False

    # --- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The peer is here, its TLS handshake done."""
        self._transport = cast("asyncio.Transport", transport)
        self._since = self._loop.time()
        self._read_or_wait()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go; they are taken out in `buffer_updated`, before anybody else reads."""
        return self._house.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        self._since = self._loop.time()
        if self._refused:
            return
        was_in_frame = self._framer.in_frame
        try:
            blocks = self._framer.feed(self._house.buffer[:nbytes])
        except InvalidMessage as error:
            self._put([error])
            return
        if blocks:
            self._most_skipped = self._framer.skipped + self._house.limits.max_frame_bytes
        if blocks or not was_in_frame:
            self._frame_began = self._since
        self._put([*blocks, *self._broken()])

    def eof_received(self) -> bool:
        """The peer sends no more; over TCP it may still wait for the answers to what it sent."""
        self._ended = True
        encrypted = self._transport is not None and self._transport.get_extra_info("sslcontext") is not None
        return self.busy and not encrypted

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone; what is in work is committed all the same."""
        self._ended = self._lost = True
        if exc is not None:
            _log.info("connection lost", peer=self.peer)
        self.resume_writing()
        if not self.busy:
            self._house.left(self)

    def pause_writing(self) -> None:
        """The peer does not take its answers."""
        self._is_stalled = True

    def resume_writing(self) -> None:
        """The peer took them, or is gone."""
        was_stalled, self._is_stalled = self._is_stalled, False
        if was_stalled and self._waits_to_write:
            self._waits_to_write = False
            self._next()

    # --- what the server calls

    def tell(self, block: bytes) -> None:
        """Write a block between two answers; nothing where the connection is closed."""
        if self._transport is not None and not self._transport.is_closing() and not self._refused:
            self._transport.write(frame(block))

    def crowd(self, *, crowded: bool) -> None:
        """Read nothing while the inbox is full; that time is not the peer's."""
        self._crowded = crowded
        self._begin_to_wait()
        self._read_or_wait()

    def drain(self) -> None:
        """Let the message in work get its answer, then close."""
        self._draining = True
        if not self.busy and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close without waiting for anything."""
        if self._transport is not None:
            self._transport.abort()

    def close_if_overdue(self, now: float) -> None:
        """Close where the peer is silent for too long, or takes too long for a frame or an answer."""
        limits = self._house.limits
        silent_s, patience_s = now - self._since, limits.idle_timeout_s
        if self._transport is None or self._crowded or (self.busy and not self._is_stalled):
            return
        if self._framer.in_frame or self.busy:
            patience_s = limits.in_frame_timeout_s
        too_long = self._framer.in_frame and now - self._frame_began > limits.total_frame_timeout_s
        if silent_s > patience_s or (too_long and not self.busy):
            _log.warning("connection closed: the peer is too slow", peer=self.peer)
            self._transport.abort()

    # --- the work

    def _put(self, found: list[bytes | InvalidMessage]) -> None:
        self._queue.extend(found)
        if self._queue and not self.busy:
            self.busy = True
            self._next()
        if len(self._queue) > 1 or self._framer.held > _BACKLOG_BYTES:
            self._read_or_wait()

    def _broken(self) -> list[InvalidMessage]:
        """Why nothing more can come of these bytes, behind the blocks before it."""
        if self._framer.is_oversize:
            text = f"the block is longer than {self._house.limits.max_frame_bytes} bytes, the most that is taken here"
            return [InvalidMessage(text)]
        if self._framer.skipped > self._most_skipped:
            return [InvalidMessage("want MLLP frames, got too many bytes outside of them", condition="100")]
        return []

    def _next(self) -> None:
        """Begin with the next block, unless the peer does not take its answers; rest where there is none."""
        while self._queue and not self._draining:
            if self._is_stalled:
                self._waits_to_write = True
                return
            found = self._queue.popleft()
            if isinstance(found, InvalidMessage):
                self._refuse(found)
            elif self._begin(found):
                return
        self._rest()

    def _begin(self, block: bytes) -> bool:
        """True where the answer comes later."""
        self._current = block
        try:
            self._house.receive(block, self.peer, self._answered)
        except Exception as error:  # noqa: BLE001 - the outer loop of a connection (STYLE section 5): answer AE, go on
            self._tell(self._failed(block, error))
            return False
        return True

    def _answered(self, made: Callable[[], Reply]) -> None:
        """Say it, and go on with the next block."""
        try:
            reply = made()
        except Exception as error:  # noqa: BLE001 - as above
            reply = self._failed(self._current, error)
        self._tell(reply)
        self._next()

    def _failed(self, block: bytes, error: Exception) -> Reply:
        _log.error("message failed", peer=self.peer, size=len(block), exc_info=error)
        return Reply(_failure(block))

    def _tell(self, reply: Reply) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._since = self._loop.time()
        if reply.block:
            self._transport.write(frame(reply.block))
        if reply.awaited:
            self._house.expect(self, reply.awaited)

    def _rest(self) -> None:
        self.busy = False
        self._begin_to_wait()
        if self._lost:
            self._house.left(self)
        elif self._transport is None or self._refused:
            pass
        elif self._draining or self._ended:
            self._transport.close()
        else:
            self._read_or_wait()

    def _begin_to_wait(self) -> None:
        """From now on it is the peer that takes its time."""
        self._since = self._frame_began = self._loop.time()

    def _read_or_wait(self) -> None:
        """Back-pressure: what is not read stays with the sender."""
        if self._transport is None or self._transport.is_closing():
            return
        waiting = len(self._queue) > 1 or (self.busy and self._framer.held > _BACKLOG_BYTES)
        if (waiting or self._crowded) and not self._refused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _refuse(self, error: InvalidMessage) -> None:
        """Answer AR where the sender's MSH can be read, take what it is still sending for a while, and close."""
        self._refused = True
        self._queue.clear()
        _log.warning("connection closed: its frame is refused", peer=self.peer, condition=error.condition)
        header, transport = _header(self._framer.unfinished), self._transport
        self._framer = Framer(0)
        if transport is None or transport.is_closing():
            return
        if header is None:
            transport.close()
            return
        transport.write(frame(ack.reject(header, error, datetime.now(UTC))))
        transport.resume_reading()
        if transport.can_write_eof():
            transport.write_eof()
        self._loop.call_later(_LINGER_S, transport.close)


def _failure(block: bytes) -> bytes:
    """AE, or CE for a sender in enhanced mode; nothing for an acknowledgment."""
    header, error = _header(block), SightlineError("the message could not be processed here")
    mode = mode_of(header, "auto", replies=False) if header else ORIGINAL
    return ack.reject(header, error, datetime.now(UTC), f"{mode.letter}E") if mode.answerable else b""


def _header(block: bytes) -> Header | None:
    try:
        return read_header(block)
    except InvalidMessage:
        return None

"""The MLLP listener: one message in work per connection, answers in order, bounded in bytes, time and connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from adapters.hl7 import ack
from adapters.hl7.header import Header, read_header
from adapters.hl7.mllp import Framer, frame
from cds.errors import InvalidMessage, SightlineError
from cds.logs import get_logger
from cds.settings import Hl7Limits

Receive = Callable[[bytes, str], Awaitable[bytes]]

_log = get_logger(__name__)
_CHUNK = 65536
#: Firewalls forget idle connections after some minutes.
_KEEPALIVE_S = 180
#: A refused sender may still be sending: without reading on, its stack would drop our answer with a reset.
_LINGER_S = 2.0


class MllpServer:
    """Listens on host and port and hands each block to `receive`; back-pressure is not reading on."""

    def __init__(
        self, host: str, port: int, limits: Hl7Limits, receive: Receive, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._address = (host, port)
        self._limits = limits
        self._receive = receive
        self._ssl_context = ssl_context
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], Connection] = {}

    @property
    def port(self) -> int:
        """The port that is listened on, once started."""
        if self._server is None:
            raise RuntimeError("the server was not started")
        return int(self._server.sockets[0].getsockname()[1]) if self._server.sockets else self._address[1]

    @property
    def in_work(self) -> int:
        """How many messages are waiting for their answer."""
        return sum(connection.busy for connection in self._connections.values())

    async def start(self) -> None:
        """Listen; OSError where the address cannot be had."""
        host, port = self._address
        handshake_s = self._limits.in_frame_timeout_s if self._ssl_context else None
        self._server = await asyncio.start_server(
            self._connected, host, port, limit=_CHUNK, ssl=self._ssl_context, ssl_handshake_timeout=handshake_s
        )
        self._address = (host, self.port)
        _log.info("listening for HL7 v2", port=self.port)

    async def drain(self, timeout_s: float) -> None:
        """Accept nobody, let the messages in work get their answers, then close all that is still open."""
        if self._server is None:
            return
        self._server.close()
        for task, connection in self._connections.items():
            connection.draining = True
            if not connection.busy:
                task.cancel()
        if self._connections:
            _, late = await asyncio.wait(self._connections, timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        _log.info("stopped listening for HL7 v2", port=self._address[1])

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= self._limits.max_connections:
            _log.warning("connection refused: too many", count=len(self._connections))
            writer.transport.abort()
            return
        connection = self._connections[task] = Connection(reader, writer, self._limits, self._receive)
        try:
            await connection.serve()
        except asyncio.CancelledError:
            if not connection.draining:
                raise
        finally:
            self._connections.pop(task, None)
            writer.close()


class Connection:
    """One peer. `busy` is True from a complete block to the end of its answer."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: Hl7Limits, receive: Receive
    ) -> None:
        self.busy = False
        self.draining = False
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._receive = receive
        self._framer = Framer(limits.max_frame_bytes)
        self._frame_began = 0.0
        self._most_skipped = limits.max_frame_bytes
        self._peer = _peer(writer)
        _keep_alive(writer)

    async def serve(self) -> None:
        """Until the peer leaves, is too slow, sends too much, or the server drains."""
        try:
            while not self.draining and (data := await self._read()):
                await self._take(data)
        except InvalidMessage as error:
            await self._refuse(error)
        except TimeoutError:
            _log.warning("connection closed: the peer is too slow", peer=self._peer)
            self._writer.transport.abort()
        except OSError:
            _log.info("connection lost", peer=self._peer)

    async def _read(self) -> bytes:
        async with asyncio.timeout(self._patience()):
            return await self._reader.read(_CHUNK)

    def _patience(self) -> float:
        """Seconds to wait for the next bytes: idle, since the last byte of a frame, or what is left for all of it."""
        if not self._framer.in_frame:
            self._frame_began = 0.0
            return self._limits.idle_timeout_s
        self._frame_began = self._frame_began or time.monotonic()
        left = self._frame_began + self._limits.total_frame_timeout_s - time.monotonic()
        return max(0.0, min(self._limits.in_frame_timeout_s, left))

    async def _take(self, data: bytes) -> None:
        """Answer each block before the next; the framer speaks of an oversize block after those before it."""
        while blocks := self._framer.feed(data):
            self._frame_began = 0.0
            self._most_skipped = self._framer.skipped + self._limits.max_frame_bytes
            data = b""
            for block in blocks:
                if self.draining:
                    return
                await self._answer(block)
        if self._framer.skipped > self._most_skipped:
            raise InvalidMessage("want MLLP frames, got too many bytes outside of them", condition="100")

    async def _answer(self, block: bytes) -> None:
        self.busy = True
        try:
            answer = await self._receive(block, self._peer)
        except Exception as error:  # noqa: BLE001 - the outer loop of a connection (STYLE section 5): answer AE, go on
            _log.error("message failed", peer=self._peer, size=len(block), exc_info=error)
            answer = _failure(block)
        try:
            await self._send(answer)
        finally:
            self.busy = False

    async def _send(self, answer: bytes) -> None:
        self._writer.write(frame(answer))
        async with asyncio.timeout(self._limits.in_frame_timeout_s):
            await self._writer.drain()

    async def _refuse(self, error: InvalidMessage) -> None:
        """Answer AR where the sender's MSH can be read, take what it is still sending for a while, and close."""
        _log.warning("connection closed: its frame is refused", peer=self._peer, condition=error.condition)
        header = _header(self._framer.unfinished)
        if header is None:
            return
        with contextlib.suppress(OSError, TimeoutError):
            await self._send(ack.reject(header, error, datetime.now(UTC)))
            if self._writer.can_write_eof():
                self._writer.write_eof()
            async with asyncio.timeout(_LINGER_S):
                while await self._reader.read(_CHUNK):
                    pass


def _failure(block: bytes) -> bytes:
    return ack.reject(_header(block), SightlineError("the message could not be processed here"), datetime.now(UTC))


def _header(block: bytes) -> Header | None:
    try:
        return read_header(block)
    except InvalidMessage:
        return None


def _peer(writer: asyncio.StreamWriter) -> str:
    name = writer.get_extra_info("peername")
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "unknown"


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)

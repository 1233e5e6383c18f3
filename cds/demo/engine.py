"""The demo's interface engine: an MLLP listener that keeps what it receives and answers AA."""

from __future__ import annotations

import asyncio
import queue
import threading
from datetime import UTC, datetime
from types import TracebackType

from adapters.hl7 import ack
from adapters.hl7.header import read_header
from adapters.hl7.server import MllpServer
from cds.limits import Hl7Limits


class Engine:
    """A receiver on a loopback port (0: a free one), in a thread of its own."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._received: queue.Queue[bytes] = queue.Queue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="demo-engine", daemon=True)

    def __enter__(self) -> Engine:
        """Listen."""
        self._thread.start()
        self._server = MllpServer("127.0.0.1", self.port, Hl7Limits(), self._receive)
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(10)
        self.port = self._server.port
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        asyncio.run_coroutine_threadsafe(self._server.drain(1), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def wait(self, timeout_s: float) -> bytes | None:
        """The next message, None where none comes in time."""
        try:
            return self._received.get(timeout=timeout_s)
        except queue.Empty:
            return None

    async def _receive(self, block: bytes, _peer: str) -> bytes:
        self._received.put(block)
        return ack.accept(read_header(block), datetime.now(UTC))

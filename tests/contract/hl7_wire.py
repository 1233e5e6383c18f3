"""Real sockets for the HL7 tests: a served MllpServer, a log that commits in a thread, a peer that sends bytes."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.hl7.commit import GroupCommit
from adapters.hl7.deferred import Deferred, Outcomes
from adapters.hl7.mllp import Framer
from adapters.hl7.receive import Receiver
from adapters.hl7.server import MllpServer, Simple
from cds.clock import SystemClock
from cds.destinations import Sender
from cds.domain.message import LoggedMessage, RawMessage
from cds.errors import SightlineError
from cds.limits import Hl7Limits

ORDER = (
    b"MSH|^~\\&|RIS|CLINIC|SIGHTLINE|CLINIC|20261101083000||ORM^O01|MSG-%d|P|2.4\r"
    b"PID|1||4711^^^CLINIC^MR||Probe^Petra||19610203|F\r"
    b"ORC|NW|P-%d^HIS|F-%d^RIS\r"
    b"OBR|1|P-%d^HIS|F-%d^RIS|CTCH^CT chest^L\r"
)


def order(number: int = 1) -> bytes:
    """A complete order with its own numbers."""
    return ORDER.replace(b"%d", str(number).encode())


def wire(block: bytes) -> bytes:
    """VT block FS CR, spelled out so that the product's own framing is not what tests it."""
    return b"\x0b" + block + b"\x1c\x0d"


class ThreadLog:
    """A MessageLog in memory that holds commits while told to, and can fail."""

    def __init__(self) -> None:
        self.committed: list[RawMessage] = []
        self.open = threading.Event()
        self.open.set()
        self.error: Exception | None = None
        self.waiting = threading.Semaphore(0)
        self.commits = 0

    def append(self, messages: Sequence[RawMessage]) -> list[LoggedMessage]:
        """Commit once the log is open; `waiting` counts the commits that began."""
        self.waiting.release()
        self.open.wait(10)
        if self.error is not None:
            raise self.error
        self.commits += 1
        self.committed += messages
        first = len(self.committed) - len(messages) + 1
        return [LoggedMessage(number, message) for number, message in enumerate(messages, first)]

    @property
    def taken(self) -> list[RawMessage]:
        """The committed messages that were not refused."""
        return [message for message in self.committed if not message.refusal]

    def after(self, message_id: int, limit: int) -> list[LoggedMessage]:
        """The committed messages, numbered from 1."""
        found = [LoggedMessage(number, message) for number, message in enumerate(self.committed, 1)]
        return [message for message in found if message.id > message_id][:limit]

    def close(self) -> None:
        """Hold nothing back any more."""
        self.open.set()


@dataclass(slots=True)
class Served:
    """A running server, its port, and its loop for calls from the test's thread."""

    server: MllpServer
    loop: asyncio.AbstractEventLoop
    port: int

    def drain(self, timeout_s: float = 5.0) -> None:
        """Drain as the role does at SIGTERM."""
        asyncio.run_coroutine_threadsafe(self.server.drain(timeout_s), self.loop).result(timeout_s + 5)


@contextlib.contextmanager
def served(
    receive: Receiver | Simple,
    limits: Hl7Limits | None = None,
    ssl_context: ssl.SSLContext | None = None,
    *,
    allowed_peers: Sequence[str] = (),
    crowded: Callable[[], bool] = lambda: False,
    outcomes: Outcomes | None = None,
) -> Iterator[Served]:
    """The product's server on a free loopback port, in a thread with its own event loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    deferred = Deferred(outcomes, SystemClock().now) if outcomes else None
    server = MllpServer(
        "127.0.0.1",
        0,
        limits or Hl7Limits(),
        receive,
        ssl_context,
        allowed_peers=allowed_peers,
        crowded=crowded,
        deferred=deferred,
    )
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        yield Served(server, loop, server.port)
    finally:
        asyncio.run_coroutine_threadsafe(server.drain(1.0), loop).result(10)
        asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextlib.contextmanager
def receiving(
    limits: Hl7Limits | None = None, senders: Mapping[str, Sender] | None = None, **options: Any
) -> Iterator[tuple[Served, ThreadLog]]:
    """The server with the product's Receiver over a ThreadLog; `options` as `served` has them."""
    log = ThreadLog()
    try:
        with served(Receiver(GroupCommit(log), SystemClock(), senders), limits, **options) as running:
            yield running, log
    finally:
        log.close()


class Peer:
    """A raw sender: bytes out, whole frames in. `source` is the loopback address that it comes from."""

    def __init__(self, port: int, timeout_s: float = 10.0, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s, source_address=(source, 0))
        self._framer = Framer(1 << 24)
        self._blocks: list[bytes] = []

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """All the bytes."""
        self.socket.sendall(data)

    def answer(self) -> list[list[str]]:
        """The next acknowledgment, its segments split into fields."""
        return fields(self.block())

    def block(self) -> bytes:
        """The next frame's content."""
        while not self._blocks:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the server closed without an answer")
            self._blocks += self._framer.feed(data)
        return self._blocks.pop(0)

    def is_silent(self, seconds: float = 0.3) -> bool:
        """True where nothing comes for so long."""
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self._blocks += self._framer.feed(self.socket.recv(65536))
        except TimeoutError:
            return not self._blocks
        finally:
            self.socket.settimeout(before)
        return False

    def is_closed(self) -> bool:
        """True once the server closed, with or without a reset; raises TimeoutError while it has not."""
        try:
            return self.socket.recv(65536) == b""
        except ConnectionError:
            return True


def fields(block: bytes) -> list[list[str]]:
    """Segments and fields of an acknowledgment, split without the product's reader."""
    text = block.decode("latin-1")
    return [line.split(text[3]) for line in text.split("\r") if line]


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and its key, made by openssl; skips where there is none."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate can be made")
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", f"/CN={name}",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


class Broken(SightlineError):
    """An error of no special kind."""

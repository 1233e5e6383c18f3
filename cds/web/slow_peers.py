"""gunicorn's threads against peers that stall: who sends or reads too slowly loses its connection, not we a thread.

gunicorn reads a request without any timeout, headers included, in one of a few threads, and waits for the peer to close
in the only thread that accepts: a handful of stalled connections would silence every hook.
"""

from __future__ import annotations

import errno
import math
import socket
import time
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.util import close_graceful
from gunicorn.workers.gthread import TConn, ThreadWorker

from cds.logs import get_logger

log = get_logger(__name__)

#: How long nothing may come of a request that has begun; seconds.
IDLE_S = 30.0
#: How long a connection that has not begun one stays open; it costs no thread.
_SILENT_S = 5.0
#: How long a peer may take to close its side, so that it still reads an answer that came before its whole request.
_LINGER_S = 0.5
#: Who is slower than this for long holds the thread for nothing; bytes per second.
_SLOWEST = 16 * 1024


class SlowPeer(TimeoutError):
    """The peer takes too long to send its request or to read the answer: HTTP 408 (RFC 9110 section 15.5.9)."""

    def __init__(self) -> None:
        """gunicorn ends a connection without a word where it was reset."""
        super().__init__(errno.ECONNRESET, "want the request without long pauses")


class Left(Exception):
    """The connection is closed already: gunicorn has nothing to wait for."""


class TimedSocket(socket.socket):
    """A connection whose reads and writes end. What the server itself takes meanwhile is nobody's fault."""

    idle_s = IDLE_S
    stalled = False
    _waited_s = 0.0
    _received = 0

    def begin(self) -> None:
        """Another request starts."""
        self._waited_s, self._received = 0.0, 0

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As of any socket; raise SlowPeer after `idle_s` without data, or where the whole request is too slow."""
        data = self._there(size, flags)
        if data is None:
            left = min(self.idle_s, self.idle_s + self._received / _SLOWEST - self._waited_s)
            started = time.monotonic()
            with _Timeout(self, left):
                data = super().recv(size, flags)
            self._waited_s += time.monotonic() - started
        self._received += len(data)
        return data

    def _there(self, size: int, flags: int) -> bytes | None:
        """What has come already, as most requests have: nobody waits, and no timeout has to be set. None: nothing."""
        if self.gettimeout() is not None:
            return None
        try:
            return super().recv(size, flags | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """As of any socket; raise SlowPeer where the peer does not read."""
        with _Timeout(self, self.idle_s + len(data) / _SLOWEST):
            super().sendall(data, flags)


class _Timeout:
    """A time for one call; a shorter one that gunicorn has set counts, and stands afterwards."""

    def __init__(self, connection: TimedSocket, left_s: float) -> None:
        self._connection, self._left_s = connection, left_s
        self._given_s = connection.gettimeout()

    def __enter__(self) -> None:
        if self._left_s <= 0:
            self._connection.stalled = True
            raise SlowPeer
        self._connection.settimeout(min(self._left_s, math.inf if self._given_s is None else self._given_s))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        self._connection.settimeout(self._given_s)
        if isinstance(error, TimeoutError):
            self._connection.stalled = True
            raise SlowPeer from None


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no type hints
    """gunicorn's threads, which a connection gets with its first byte and loses where it stalls."""

    socket_class = TimedSocket

    def enqueue_req(self, conn: TConn) -> None:
        """In the thread that polls: one that has said nothing yet waits there."""
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.sock = self.socket_class(fileno=conn.sock.detach())
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + _SILENT_S
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def handle(self, conn: TConn) -> Any:
        """In a thread of the pool: True where the connection is kept; raise Left where it is closed."""
        conn.sock.begin()
        if super().handle(conn):
            return True
        if conn.sock.stalled:
            log.warning("a connection is closed: its peer stalls")
            conn.sock.close()
        else:
            close_graceful(conn.sock, timeout=_LINGER_S)
        raise Left


def worker_class(idle_s: float = IDLE_S) -> type[PatientWorker]:
    """The worker for this patience; gunicorn makes the objects itself."""
    sockets = type("Connection", (TimedSocket,), {"idle_s": idle_s})
    return type("Worker", (PatientWorker,), {"socket_class": sockets})

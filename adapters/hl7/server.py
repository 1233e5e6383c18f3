"""The MLLP listener: who may come in, how many, how slowly; what is said is between a connection and its receiver."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from adapters.hl7.connection import Connection, House, Receive
from adapters.hl7.deferred import Deferred
from adapters.hl7.listener import Listener
from adapters.hl7.receive import Answer, Awaited, Receiver, Reply
from cds import metrics
from cds.limits import Hl7Limits
from cds.logs import get_logger

_log = get_logger(__name__)
#: A receiver that is a coroutine function: the answer to a block of a peer.
Simple = Callable[[bytes, str], Coroutine[Any, Any, bytes]]

#: What one read takes at most; one buffer serves all connections of a listener.
_CHUNK = 262_144
_TICK_S = 1.0
#: Deadlines are looked at that often in the shortest of them.
_LOOKS = 4
#: A peer that does not say goodbye in TLS is not waited for.
_TLS_GOODBYE_S = 2.0


class MllpServer:
    """Listens on host and port and hands each block to `receive`; back-pressure is not reading on.

    `crowded` says that the inbox is full: then nobody is read and nobody accepted until it is not. `deferred` tells
    over a connection what became of its messages.
    """

    def __init__(
        self,
        host: str,
        port: int,
        limits: Hl7Limits,
        receive: Receiver | Simple,
        ssl_context: ssl.SSLContext | None = None,
        *,
        allowed_peers: Sequence[str] = (),
        crowded: Callable[[], bool] = lambda: False,
        deferred: Deferred | None = None,
    ) -> None:
        self._allowed = tuple(map(ip_network, allowed_peers))
        self._crowded = crowded
        self._deferred = deferred
        self._limits = limits
        self._ssl_context = ssl_context
        self._listener: Listener | None = None
        self._address = (host, port)
        self._connections: dict[Connection, str] = {}
        self._of_peer: Counter[str] = Counter()
        self._admitting: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_resting = False
        self._empty = asyncio.Event()
        self._house = House(limits, _begins(receive), self._expect, self._left, memoryview(bytearray(_CHUNK)))
        shortest = min(limits.idle_timeout_s, limits.in_frame_timeout_s, limits.total_frame_timeout_s)
        self._tick_s = min(_TICK_S, shortest / _LOOKS)

    @property
    def port(self) -> int:
        """The port that is listened on, once started."""
        if self._listener is None:
            raise RuntimeError("the server was not started")
        return self._listener.port

    @property
    def in_work(self) -> int:
        """How many messages are waiting for their answer."""
        return sum(connection.busy for connection in self._connections)

    async def start(self) -> None:
        """Listen; OSError where the address cannot be had."""
        listener = Listener(*self._address, self._accepted)
        await listener.open()
        self._listener = listener
        self._tick()
        _log.info("listening for HL7 v2", port=self.port)

    async def drain(self, timeout_s: float) -> None:
        """Accept nobody, let the messages in work get their answers, then close all that is still open."""
        if self._listener is None:
            return
        self._listener.close()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._admitting:
            task.cancel()
        for connection in list(self._connections):
            connection.drain()
        if self._connections:
            self._empty.clear()
            try:
                await asyncio.wait_for(self._empty.wait(), timeout_s)
            except TimeoutError:
                await self._abort_all()
        _log.info("stopped listening for HL7 v2", port=self.port)

    async def _abort_all(self) -> None:
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)  # their `connection_lost` runs in the next round of the loop
        await asyncio.sleep(0)

    def _accepted(self, accepted: socket.socket, address: tuple[Any, ...]) -> None:
        host = str(address[0])
        if outcome := self._unwanted(host):
            metrics.HL7_CONNECTIONS.inc(outcome=outcome)
            _log.warning("connection closed at once", peer=host, outcome=outcome, count=len(self._connections))
            accepted.close()
            return
        connection = Connection(self._house, f"{host}:{address[1]}")
        self._connections[connection] = host
        self._of_peer[host] += 1
        task = asyncio.get_running_loop().create_task(self._admit(connection, accepted))
        self._admitting.add(task)
        task.add_done_callback(self._admitting.discard)

    def _unwanted(self, host: str) -> str:
        """Why this address gets no connection now; empty where it does."""
        if self._allowed and not self._may_enter(host):
            return "not-allowed"
        if len(self._connections) >= self._limits.max_connections:
            return "too-many"
        if self._of_peer[host] >= self._limits.max_connections_per_peer:
            return "too-many-of-peer"
        return ""

    def _may_enter(self, host: str) -> bool:
        address = ip_address(host.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._allowed)

    async def _admit(self, connection: Connection, accepted: socket.socket) -> None:
        """Take the connection, behind its TLS handshake; who is too slow for that is closed."""
        encrypted = self._ssl_context is not None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=self._ssl_context,
                ssl_handshake_timeout=self._limits.in_frame_timeout_s if encrypted else None,
                ssl_shutdown_timeout=_TLS_GOODBYE_S if encrypted else None,
            )
        except OSError as error:
            metrics.HL7_CONNECTIONS.inc(outcome="handshake")
            _log.warning("connection closed in its handshake", peer=connection.peer, error=type(error).__name__)
            self._left(connection)
            return
        except asyncio.CancelledError:
            self._left(connection)
            raise
        metrics.HL7_CONNECTIONS.inc(outcome="accepted")
        if self._is_resting:
            connection.crowd(crowded=True)

    def _left(self, connection: Connection) -> None:
        host = self._connections.pop(connection, None)
        if host is None:
            return
        self._of_peer[host] -= 1
        if not self._of_peer[host]:
            del self._of_peer[host]
        if self._deferred is not None:
            self._deferred.forget(connection)
        if not self._connections:
            self._empty.set()

    def _expect(self, connection: Connection, awaited: Sequence[Awaited]) -> None:
        if self._deferred is not None:
            self._deferred.expect(connection, awaited)

    def _tick(self) -> None:
        """One timer for all connections: deadlines, and whether the inbox is full."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._tick_s, self._tick)
        if self._crowded() != self._is_resting:
            self._rest(resting=not self._is_resting)
        now = loop.time()
        for connection in list(self._connections):
            connection.close_if_overdue(now)

    def _rest(self, *, resting: bool) -> None:
        self._is_resting = resting
        if resting:
            _log.warning("the inbox is full: senders wait", port=self.port)
        else:
            _log.info("senders are read again", port=self.port)
        if self._listener is not None:
            self._listener.rest(resting=resting)
        for connection in list(self._connections):
            connection.crowd(crowded=resting)


def _begins(receive: Receiver | Simple) -> Receive:
    """A coroutine function as a task for each block; the product's own receiver needs none."""
    if isinstance(receive, Receiver):
        return receive.begin
    tasks: set[asyncio.Task[bytes]] = set()

    def begin(block: bytes, peer: str, answer: Answer) -> None:
        task = asyncio.get_running_loop().create_task(receive(block, peer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(lambda done: answer(lambda: Reply(done.result())))

    return begin

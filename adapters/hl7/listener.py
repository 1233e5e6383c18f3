"""The listening sockets of a door, which can rest: asyncio's own server cannot stop accepting and begin again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from cds.logs import get_logger

_log = get_logger(__name__)
_BACKLOG = 128
#: Connections that are taken before those that are open have their turn: who left already must not count any more.
_AT_ONCE = 8
#: How long to wait where the process has no more descriptors.
_OUT_OF_DESCRIPTORS_S = 1.0
#: Firewalls forget idle connections after some minutes.
_KEEPALIVE_S = 180

#: A connection and the address that it came from: host and port first.
Accepted = Callable[[socket.socket, tuple[Any, ...]], None]


class Listener:
    """Listens on every address of a host. Port 0 takes a free one."""

    def __init__(self, host: str, port: int, accepted: Accepted) -> None:
        self.port = port
        self._host = host
        self._accepted = accepted
        self._sockets: list[socket.socket] = []
        self._is_resting = False
        self._is_out = False

    async def open(self) -> None:
        """Listen; OSError where an address cannot be had."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host or None, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        try:
            for family, _, _, _, address in dict.fromkeys(found):
                self._sockets.append(_bound(family, (address[0], self.port, *address[2:])))
                self.port = int(self._sockets[0].getsockname()[1])
        except OSError:
            self.close()
            raise
        self._watch()

    def rest(self, *, resting: bool) -> None:
        """Accept nobody for now, or go on: who connects meanwhile waits."""
        self._is_resting = resting
        self._watch()

    def close(self) -> None:
        """Accept nobody any more."""
        for one in self._sockets:
            if one.fileno() >= 0:
                asyncio.get_running_loop().remove_reader(one)
                one.close()
        self._sockets.clear()

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        for one in self._sockets:
            if self._is_resting or self._is_out:
                loop.remove_reader(one)
            else:
                loop.add_reader(one, self._accept, one)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # out of descriptors or memory: what is open is served on
                _log.error("no connection can be accepted", error=type(error).__name__)
                self._is_out = True
                self._watch()
                asyncio.get_running_loop().call_later(_OUT_OF_DESCRIPTORS_S, self._try_again)
                return
            connection.setblocking(False)
            _keep_alive(connection)
            self._accepted(connection, address)

    def _try_again(self) -> None:
        self._is_out = False
        self._watch()


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)

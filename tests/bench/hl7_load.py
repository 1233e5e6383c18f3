"""A closed loop of MLLP senders, in a process of its own: python -m tests.bench.hl7_load PORT CONNECTIONS SECONDS FILE.

Each connection has one message outstanding, and every message its own MSH-10: they are one system, which numbers its
messages over all its connections. What is in flight first is not measured.
Prints one JSON object: rate in messages/s, p50_ms, p99_ms, count. Ends with an error where an answer is not AA.

Sockets and epoll without more: on a machine with few cores, what the senders cost is taken from the server.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

_WARM_UP_S = 1.0
_PATIENCE_S = 60


class Sender:
    """One connection."""

    def __init__(self, port: int, ids: Iterator[str], before: bytes, after: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ids = ids
        self.before = b"\x0b" + before
        self.after = after + b"\x1c\r"
        self.sent = 0.0
        self.got = b""
        self.expected = b""

    def send(self) -> None:
        """Send the next message: it is small enough for the socket's buffer."""
        control_id = next(self.ids).encode()
        self.expected = b"\rMSA|AA|" + control_id
        self.sent = time.perf_counter()
        self.socket.sendall(self.before + control_id + self.after)

    def receive(self) -> bool:
        """True once the whole answer is there."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("a closed connection")
        self.got = self.got + data if self.got else data
        if not self.got.endswith(b"\x1c\r"):
            return False
        if self.expected not in self.got:
            raise ConnectionError("an answer that is not AA")
        self.got = b""
        return True


def load(port: int, connections: int, seconds: float, block: bytes, most: int = 0) -> dict[str, float]:
    """Send for this long, or `most` messages."""
    fields = block.split(b"|", 10)
    before, after = b"|".join(fields[:9]) + b"|", b"|" + fields[10]
    unique = f"{os.getpid():x}{time.time_ns() & 0xFFFFFF:x}"
    ids = (f"{unique}.{number:08d}" for number in count(1))
    waiting = selectors.DefaultSelector()
    for _ in range(connections):
        sender = Sender(port, ids, before, after)
        waiting.register(sender.socket, selectors.EVENT_READ, sender)
        sender.send()
    begin = time.perf_counter() + (0 if most else _WARM_UP_S)
    end = begin + seconds
    times: list[tuple[float, float]] = []
    open_ones = connections
    while open_ones:
        ready = waiting.select(_PATIENCE_S)
        if not ready:
            raise TimeoutError("no answer")
        for key, _ in ready:
            sender = key.data
            if not sender.receive():
                continue
            now = time.perf_counter()
            times.append((now, now - sender.sent))
            if now < end and not 0 < most <= len(times):
                sender.send()
            else:
                waiting.unregister(sender.socket)
                sender.socket.close()
                open_ones -= 1
    if most:
        return {"count": len(times)}
    taken = sorted(took for at, took in times if begin <= at <= end)
    return {
        "rate": len(taken) / seconds,
        "p50_ms": 1000 * taken[len(taken) // 2],
        "p99_ms": 1000 * taken[int(len(taken) * 0.99)],
        "count": len(times),
    }


def main() -> None:
    port, connections, seconds, file = sys.argv[1:5]
    most = int(sys.argv[5]) if len(sys.argv) > 5 else 0
    said = load(int(port), int(connections), float(seconds), Path(file).read_bytes(), most)
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()

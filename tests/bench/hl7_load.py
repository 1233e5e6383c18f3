"""A closed loop of MLLP senders, in a process of its own: python -m tests.bench.hl7_load PORT CONNECTIONS SECONDS FILE.

Each connection has one message outstanding, and every message its own MSH-10. What is in flight first is not measured.
Prints one JSON object: rate in messages/s, p50_ms, p99_ms, count. Ends with an error where an answer is not AA.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import cast

_WARM_UP_S = 1.0


class Sender(asyncio.Protocol):
    """One connection."""

    def __init__(self, name: str, before: bytes, after: bytes, times: list[tuple[float, float]]) -> None:
        self.name = name
        self.before = b"\x0b" + before
        self.after = after + b"\x1c\r"
        self.times = times
        self.number = 0
        self.sent = 0.0
        self.got = b""
        self.expected = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stopping = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.send()

    def send(self) -> None:
        self.number += 1
        control_id = f"{self.name}{self.number}".encode()
        self.expected = b"\rMSA|AA|" + control_id
        self.sent = time.perf_counter()
        self.transport.write(self.before + control_id + self.after)

    def data_received(self, data: bytes) -> None:
        self.got = self.got + data if self.got else data
        if not self.got.endswith(b"\x1c\r"):
            return
        now = time.perf_counter()
        if self.expected not in self.got:
            self.fail("an answer that is not AA")
            return
        self.times.append((now, now - self.sent))
        self.got = b""
        if self.stopping:
            self.transport.close()
        else:
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.stopping:
            self.fail("a closed connection")
        elif not self.ended.done():
            self.ended.set_result(None)

    def fail(self, what: str) -> None:
        if not self.ended.done():
            self.ended.set_exception(ConnectionError(what))
        self.transport.abort()


def _same(sender: Sender) -> Sender:
    return sender


async def load(port: int, connections: int, seconds: float, block: bytes, most: int = 0) -> dict[str, float]:
    """Send for this long, or `most` messages."""
    fields = block.split(b"|", 10)
    before, after = b"|".join(fields[:9]) + b"|", b"|" + fields[10]
    times: list[tuple[float, float]] = []
    loop, senders = asyncio.get_running_loop(), []
    unique = f"{os.getpid():x}{time.time_ns() & 0xFFFFFF:x}"
    for number in range(connections):
        sender = Sender(f"{unique}.{number:x}.", before, after, times)
        await loop.create_connection(partial(_same, sender), "127.0.0.1", port)
        senders.append(sender)
    begin = time.perf_counter() + (0 if most else _WARM_UP_S)
    while time.perf_counter() < begin + seconds and not any(sender.ended.done() for sender in senders):
        await asyncio.sleep(0.05)
        if most and len(times) >= most:
            break
    end = time.perf_counter()
    for sender in senders:
        sender.stopping = True
    await asyncio.gather(*(sender.ended for sender in senders))
    taken = sorted(took for at, took in times if begin <= at <= end)
    if most:
        return {"count": len(times)}
    return {
        "rate": len(taken) / (end - begin),
        "p50_ms": 1000 * taken[len(taken) // 2],
        "p99_ms": 1000 * taken[int(len(taken) * 0.99)],
        "count": len(times),
    }


def main() -> None:
    port, connections, seconds, file = sys.argv[1:5]
    most = int(sys.argv[5]) if len(sys.argv) > 5 else 0
    said = asyncio.run(load(int(port), int(connections), float(seconds), Path(file).read_bytes(), most))
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()

"""Calls over kept connections, from a process of its own.

`python -m tests.bench.hook_load PORT PATH FILE CALLS [TOKENS]`

FILE has the bodies, a line each; every connection goes through them from another place. TOKENS has a bearer token a
line, one for each call. Prints the latencies as JSON,
and how many answers had no card.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from pathlib import Path

CONNECTIONS = 16


def post(connection: socket.socket, head: bytes, body: bytes) -> bytes:
    """One request and its whole answer; raise OSError where it is not 200."""
    connection.sendall(head % len(body) + body)
    found = b""
    while b"\r\n\r\n" not in found:
        found += _received(connection)
    header, _, rest = found.partition(b"\r\n\r\n")
    if not header.startswith(b"HTTP/1.1 200"):
        raise OSError(header.partition(b"\r\n")[0].decode())
    length = int(header.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    parts, missing = [rest], length - len(rest)
    while missing > 0:
        parts.append(_received(connection))
        missing -= len(parts[-1])
    return b"".join(parts)


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(262_144)
    if not data:
        raise OSError("the server closed the connection")
    return data


def run(port: int, path: str, bodies: list[bytes], calls: int, tokens: list[bytes]) -> tuple[list[float], int]:
    """The seconds of each call, all connections at once, and how many answers had no card."""
    took: list[float] = []
    empty: list[int] = []
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    ).encode()

    def one(place: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number in range(calls // CONNECTIONS):
                body = bodies[(place * len(bodies) // CONNECTIONS + number) % len(bodies)]
                proof = b"Authorization: Bearer " + tokens.pop() + b"\r\n" if tokens else b""
                begun = time.perf_counter()
                answer = post(connection, head + proof + b"\r\n", body)
                took.append(time.perf_counter() - begun)
                if b'"summary"' not in answer:
                    empty.append(place)

    threads = [threading.Thread(target=one, args=(place,)) for place in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took, len(empty)


def main(port: str, path: str, file: str, calls: str, tokens: str = "") -> None:
    """Print what was measured."""
    proofs = Path(tokens).read_bytes().splitlines() if tokens else []
    took, empty = run(int(port), path, Path(file).read_bytes().splitlines(), int(calls), proofs)
    print(json.dumps({"seconds": took, "empty": empty}))


if __name__ == "__main__":
    main(*sys.argv[1:])

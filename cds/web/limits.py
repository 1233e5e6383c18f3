"""What bounds callers of CDS Hooks: how often they come, and how deep their JSON nests.

Counts are kept in the memory of each web process, so a caller has its share of the rate in each of them.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

from cds.errors import TooManyRequests

#: FHIR resources nest some twenty levels; no answer of ours needs more.
DEEPEST = 64
_MINUTE_S = 60.0
_ALIKE = bytes.maketrans(b"[]", b"{}")
_NO_BRACKETS = bytes(set(range(256)) - set(b'{}[]"'))


class Shares:
    """How often callers may come; `processes` serve them, each of which counts alone.

    `clients` is the calls a minute by name of a client, `others` that of one address where none is configured. The
    minute is everybody's: what was counted is forgotten with its end, however many came.
    """

    def __init__(
        self,
        clients: Mapping[str, int],
        others: int,
        processes: int,
        *,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = {name: math.ceil(rate / processes) for name, rate in clients.items()}
        self._others = math.ceil(others / processes)
        self._seconds = seconds
        self._lock = threading.Lock()
        self._calls: Counter[tuple[str, str]] = Counter()
        self._ends = -math.inf

    def take(self, client: str, address: str) -> None:
        """Count a call; raise TooManyRequests where the minute's share is used up."""
        caller = ("client", client) if client else ("address", address)
        now = self._seconds()
        with self._lock:
            if now >= self._ends:
                self._calls.clear()
                self._ends = now + _MINUTE_S
            self._calls[caller] += 1
            calls, left_s = self._calls[caller], self._ends - now
        if calls > self._clients.get(client, self._others):
            wait_s = max(1, math.ceil(left_s))
            raise TooManyRequests(f"too many calls: come again in {wait_s} s", retry_after_s=wait_s)


def too_deep(body: bytes) -> bool:
    """Whether JSON that can be read nests deeper than allowed; passes over the bytes alone, for bodies are large."""
    # Escapes stand in strings alone, and quotes pair up: a run of backslashes first, for each may escape the next.
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in body else body
    rest = plain.translate(_ALIKE, _NO_BRACKETS).replace(b'""', b"")
    rest = b"".join(rest.split(b'"')[::2])
    for _ in range(DEEPEST):
        rest = rest.replace(b"{}", b"")
        if not rest:
            return False
    return True

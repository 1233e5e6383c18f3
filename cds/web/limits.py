"""What bounds callers of CDS Hooks: how often they come, and how deep their JSON nests.

Counts are kept in the memory of each web process, so a caller has its share of the rate in each of them.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping

import limits
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from cds.errors import TooManyRequests

#: FHIR resources nest some twenty levels; no answer of ours needs more.
DEEPEST = 64
_EXPIRED_LOOKED_FOR_S = 60.0
_ALIKE = bytes.maketrans(b"[]", b"{}")
_NO_BRACKETS = bytes(set(range(256)) - set(b'{}[]"'))


class _Counts(MemoryStorage):
    """The library's counts in memory. It looks for expired ones in a thread: one a minute, not after every 10 ms."""

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, threading.Timer):
            value.interval, value.daemon = _EXPIRED_LOOKED_FOR_S, True
        super().__setattr__(name, value)


class Shares:
    """How often callers may come; `processes` serve them, each of which counts alone.

    `clients` is the calls a minute by name of a client, `others` that of one address where none is configured.
    """

    def __init__(self, clients: Mapping[str, int], others: int, processes: int) -> None:
        self._clients = {name: _share(rate, processes) for name, rate in clients.items()}
        self._others = _share(others, processes)
        self._counted = FixedWindowRateLimiter(_Counts())

    def take(self, client: str, address: str) -> None:
        """Count a call; raise TooManyRequests where the minute's share is used up."""
        share = self._clients.get(client, self._others)
        caller = ("client", client) if client else ("address", address)
        if self._counted.hit(share, *caller):
            return
        resets_at = self._counted.get_window_stats(share, *caller).reset_time
        wait_s = max(1, math.ceil(resets_at - time.time()))
        raise TooManyRequests(f"too many calls: come again in {wait_s} s", retry_after_s=wait_s)


def _share(rate: int, processes: int) -> limits.RateLimitItem:
    return limits.RateLimitItemPerMinute(math.ceil(rate / processes))


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

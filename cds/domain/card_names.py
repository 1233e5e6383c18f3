"""The uuids of one response's cards and suggestions (CDS Hooks 2.0, card attributes): one beginning, then a place.

What a response showed is kept as one thing that is found by any of its names; they begin with the time, so that what is
kept together lies together.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from time import time_ns
from typing import Final

_PLACE_DIGITS: Final = 4
_NS_PER_MS: Final = 1_000_000


def card_names() -> Iterator[str]:
    """Fresh names, each once: shaped as a version 4 UUID, 58 random bits beside the time and the place."""
    while True:
        begins = _beginning(time_ns() // _NS_PER_MS, secrets.randbits(58))
        for place in range(16**_PLACE_DIGITS):
            yield f"{begins}{place:04x}"


def beginning(name: str) -> str:
    """What the names of one response have in common."""
    return name[:-_PLACE_DIGITS]


def _beginning(milliseconds: int, random: int) -> str:
    time, rest = f"{milliseconds:012x}", f"{random >> 2:014x}"
    return f"{time[:8]}-{time[8:12]}-4{rest[:3]}-{'89ab'[random & 3]}{rest[3:6]}-{rest[6:]}"

"""What was worked out for a call that had the very same before it: a patient is opened again and again, and little of
what cards say changes in between.

Nothing is told here that would not be told anew: a key names all that its value is made of, and what is switched off is
part of each. Stored rows are read at every call; equal rows make the same value, which is what keys name them by.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from cds.remembered import Remembered

T = TypeVar("T")

_Kept = tuple[object, tuple[object, ...]]
#: Answers that are kept, and bytes of prefetches whose statements are.
_ANSWERS, _PREFETCHED_BYTES = 256, 16_000_000


@dataclass(frozen=True, slots=True)
class Digest:
    """What tells a prefetch from all others, and its size in bytes."""

    value: bytes = b""
    size: int = 0


UNKNOWN = Digest()


#: What was worked out since anybody committed anything, by its keys.
_Since = dict[Any, Any]


def _nothing_lasts() -> None:
    """Where nobody can tell whether anything was committed."""


def _undigested(prefetch: Mapping[str, object]) -> Digest:
    return UNKNOWN


class Again:
    """What one process remembers. `state` is what is switched off now, and whatever else may change under it."""

    def __init__(
        self,
        state: Callable[[], Hashable] | None = None,
        digest: Callable[[Mapping[str, object]], Digest] = _undigested,
        since: Callable[[], _Since | None] = _nothing_lasts,
    ) -> None:
        self._state, self._digest, self._since = state, digest, since
        self._answers: Remembered[Hashable, _Kept] = Remembered(_ANSWERS)
        self._read: Remembered[Hashable, tuple[Any, int]] = Remembered(_PREFETCHED_BYTES, lambda kept: kept[1])

    def answered(
        self, key: Hashable, made_of: tuple[object, ...], make: Callable[[], T], *, holds: Callable[[T], bool] = bool
    ) -> T:
        """What `make` answers, or answered before for this key and these same objects, where it `holds`."""
        if self._state is None:
            return make()
        state = self._state()
        whole = (state, key, tuple(map(id, made_of)))
        if (kept := self._answers.find(whole)) is not None:
            return cast("T", kept[0])
        made = make()
        if self._state() == state and holds(made):  # nothing was switched meanwhile
            self._answers.keep(whole, (made, made_of))  # its objects live on, so that no other gets their ids
        return made

    def unchanged(self, key: Hashable, make: Callable[[], tuple[T, bool]]) -> T:
        """What `make` answers, or answered since anybody committed anything; it says whether that may be told again."""
        known = self._since() if self._state is not None else None
        if known is None or self._state is None:
            return make()[0]
        whole = (Again, self._state(), key)
        if (kept := known.get(whole)) is not None:
            return cast("T", kept[0])
        made, lasts = make()
        if lasts and self._state() == whole[1]:
            known[whole] = (made,)
        return made

    def digest(self, prefetch: Mapping[str, object]) -> Digest:
        """What a prefetch is known by; without one nothing of it is remembered."""
        return UNKNOWN if self._state is None else self._digest(prefetch)

    def read(self, digest: Digest, key: Hashable, make: Callable[[], T]) -> T:
        """What was read of a prefetch, the same value for the same content."""
        if not digest.value:
            return make()
        kept = self._read.get((digest.value, key), lambda: (make(), digest.size))
        return cast("T", kept[0])

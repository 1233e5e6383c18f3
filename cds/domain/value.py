"""The dataclass of values that are made by the dozen for every answer: frozen for whoever writes code.

The type checker lets nobody change one. The interpreter does not look: to freeze a dataclass there makes it three times
as dear to make, and a card of fifty of them has to be made within some 50 µs of CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from dataclasses import dataclass as value_type
else:
    from dataclasses import dataclass

    T = TypeVar("T")

    def value_type(*, frozen: bool, slots: bool) -> Callable[[type[T]], type[T]]:
        """A dataclass with the equality and the hash of a frozen one."""
        return dataclass(slots=slots, unsafe_hash=frozen)


__all__ = ["value_type"]

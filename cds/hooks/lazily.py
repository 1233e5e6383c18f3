"""What is worked out when it is first wanted, once for each object, by the one thread that answers the call.

`functools.cached_property` of Python 3.11 locks for all objects at once: one call that waits for an EHR would make all
others wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Lazily(Generic[T]):
    """Decorates a method without arguments; what it answers takes its place in the object."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    def __get__(self, owner: object, kind: type | None = None) -> T:
        """Asked once: afterwards the object has the value itself."""
        made = self._make(owner)
        owner.__dict__[self._name] = made
        return made

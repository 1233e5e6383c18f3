"""Writers of one SQLite file take turns between processes: who waits is woken, and nobody is overtaken for long.

SQLite itself looks again after ever longer sleeps: of two processes that write all the time, one may find the file
busy for seconds.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa


class Turns:
    """The turns of one process. Not to be used by two threads at once, nor across a fork."""

    def __init__(self, engine: sa.Engine) -> None:
        self._descriptor: int | None = None
        if engine.dialect.name == "sqlite" and engine.url.database:
            with suppress(OSError):  # then SQLite's own lock has to do
                self._descriptor = os.open(Path(engine.url.database).parent, os.O_RDONLY | os.O_CLOEXEC)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only one of those who take turns, as soon as the one before has ended."""
        if self._descriptor is None:
            yield
            return
        with suppress(OSError):  # a file system without such locks
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Take no more turns."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

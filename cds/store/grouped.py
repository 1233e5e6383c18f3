"""Small writes of many threads, committed together by one thread of each process.

A call of CDS Hooks writes a few rows and is answered when they are committed. What comes while a commit is under way is
the next group: the more there is to write, the fewer commits it takes. What may be written later waits for the next
group, or until somebody waits for it. An item that cannot be written is written alone, so that it fails alone.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from cds import logs
from cds.errors import SightlineError, Unavailable
from cds.store.engine import Database
from cds.store.turns import Turns

log = logs.get_logger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Items of one transaction: it keeps other writers out, and what a crash takes is no more than this.
_MOST_TOGETHER: Final = 256
_MOST_WAITING: Final = 4096
_LAST_WORDS_S: Final = 5.0
_TOO_SLOW = "the database takes too long; try again later"
_TOO_MUCH = "too much waits to be written; try again later"
_BROKEN = "this could not be written; try again later"


class Unwritable(Unavailable):
    """The database is there, and does not take this item."""


class _Sign(Enum):
    """What is said to the thread that writes."""

    BEGIN = auto()
    END = auto()


@dataclass(frozen=True, slots=True, eq=False)
class Kind(Generic[Item, Result]):
    """How items of one sort are written: (the driver's cursor, items) → what each gets, in their order.

    Kinds are written in the order of their names, so that two processes lock rows in the same order.
    """

    name: str
    write: Callable[[Any, Sequence[Item]], Sequence[Result]]
    #: Called when what was written last is committed.
    committed: Callable[[], None] | None = None


class Given(Generic[Result]):
    """An item on its way. Who stops waiting for it does not stop it."""

    __slots__ = ("_begin", "_done", "_error", "_is_settled", "_result", "item", "kind")

    def __init__(self, kind: Kind[Any, Result], item: object, begin: Callable[[], None] | None = None) -> None:
        self.kind, self.item, self._begin = kind, item, begin
        self._error: Exception | None = None
        self._result: Result | None = None
        self._is_settled = False  # whether it waits, `_done` cannot tell: who waited has it for a moment
        self._done = threading.Lock()
        self._done.acquire()

    def result(self, patience_s: float) -> Result:
        """What it got, once that is committed; raise what it failed with, or Unavailable where it takes too long."""
        if self._begin is not None and not self._is_settled:
            self._begin()
        if not self._done.acquire(timeout=patience_s):
            raise Unavailable(_TOO_SLOW)
        self._done.release()
        if self._error is not None:
            raise self._error
        return cast("Result", self._result)

    def got(self, result: Result) -> None:
        """It is committed."""
        self._result = result
        self._settle()

    def failed(self, error: Exception) -> None:
        """It is not committed. Whoever has been answered is left alone."""
        if not self._is_settled:
            self._error = error
            self._settle()

    def _settle(self) -> None:
        self._is_settled = True
        self._done.release()


class GroupWriter:
    """Commits what is given to it. Its thread begins with the first item in a process, and ends with the writer."""

    def __init__(self, database: Database, *, most_waiting: int = _MOST_WAITING) -> None:
        self._database = database
        self._most_waiting = most_waiting
        self._forked()

    @property
    def dialect(self) -> sa.Dialect:
        """The database's."""
        return self._database.writer.dialect

    def give(self, kind: Kind[Item, Result], item: Item) -> Given[Result]:
        """Have an item written; raise Unavailable where too many wait already."""
        running = self._ready()
        given = Given(kind, item)
        running.queue.put(given)
        return given

    def give_later(self, kind: Kind[Item, Result], item: Item) -> Given[Result]:
        """As `give`, with whatever is written next, or as soon as somebody waits for it."""
        running = self._ready()
        given = Given(kind, item, running.begin)
        running.later.append(given)
        return given

    def _ready(self) -> _Running:
        if self._pid != os.getpid():
            self._database.writer.dispose(close=False)  # the connections are the parent's
            self._forked()
        running = self._running
        if running is None or not running.thread.is_alive():
            running = self._start()
        if running.queue.qsize() + len(running.later) >= self._most_waiting:
            raise Unavailable(_TOO_MUCH)
        return running

    def close(self) -> None:
        """Write what waits, and end the thread; another begins where something is given afterwards."""
        if self._running is not None:
            self._running.drain()

    def _forked(self) -> None:
        """Threads do not come along into a child process, and locks may never be opened there."""
        self._running: _Running | None = None
        self._starting = threading.Lock()
        self._pid = os.getpid()

    def _start(self) -> _Running:
        with self._starting:
            if self._running is None or not self._running.thread.is_alive():
                self._running = _Running(self._database)
                weakref.finalize(self, self._running.drain)  # at the end of the process at the latest
            return self._running


class _Running:
    """The queue of one process and the thread that empties it. It knows its writer not, and does not keep it alive."""

    def __init__(self, database: Database) -> None:
        self.queue: SimpleQueue[Given[Any] | _Sign] = SimpleQueue()
        self.later: deque[Given[Any]] = deque()
        self._database = database
        self._turns = Turns(database.writer)
        self.thread = threading.Thread(target=self._work, name="grouped-writes", daemon=True)
        self.thread.start()

    def begin(self) -> None:
        """Write what waits for the next group."""
        self.queue.put(_Sign.BEGIN)

    def drain(self) -> None:
        """Write what waits, and end."""
        self.queue.put(_Sign.END)
        if threading.current_thread() is not self.thread:
            self.thread.join(_LAST_WORDS_S)

    def _work(self) -> None:
        has_ended = False
        while not has_ended:
            group, has_ended = self._next()
            try:
                self._write(group)
            finally:  # nobody waits for a thread that broke
                for one in group:
                    one.failed(Unavailable(_BROKEN))
        self._turns.close()

    def _next(self) -> tuple[list[Given[Any]], bool]:
        """All that waits, as soon as somebody waits for something, and whether that is the end."""
        group: list[Given[Any]] = []
        one = self.queue.get()
        while one is not _Sign.END:
            if one is not _Sign.BEGIN:
                group.append(one)
            if len(group) >= _MOST_TOGETHER or self.queue.empty():  # nobody else takes from it
                break
            one = self.queue.get()
        while self.later:
            group.append(self.later.popleft())
        return group, one is _Sign.END

    def _write(self, group: Sequence[Given[Any]]) -> None:
        if not group:
            return
        try:
            results = self._commit(group)
        except Unavailable as error:
            for one in group:
                one.failed(error)
            return
        except (SightlineError, DBAPIError, LookupError, TypeError, ValueError) as error:
            self._apart(group, error)
            return
        for one, result in zip(group, results, strict=True):
            one.got(result)

    def _apart(self, group: Sequence[Given[Any]], error: Exception) -> None:
        """Write each alone, so that the one that cannot be written fails alone."""
        if len(group) > 1:
            for one in group:
                self._write([one])
            return
        [one] = group
        if not isinstance(error, SightlineError):
            log.error("an item could not be written", state=one.kind.name, exc_info=error)
        one.failed(error if isinstance(error, SightlineError) else Unwritable(_BROKEN))

    def _commit(self, group: Sequence[Given[Any]]) -> list[Any]:
        """What each item gets, in the order of the group."""
        kinds: dict[Kind[Any, Any], list[int]] = {}
        for place, one in enumerate(group):
            kinds.setdefault(one.kind, []).append(place)
        results: list[Any] = [None] * len(group)
        with self._turns.turn(), self._database.inserting() as cursor:
            for kind in sorted(kinds, key=lambda kind: kind.name):
                places = kinds[kind]
                for place, result in zip(places, kind.write(cursor, [group[p].item for p in places]), strict=True):
                    results[place] = result
        for kind in kinds:
            if kind.committed is not None:
                kind.committed()
        return results

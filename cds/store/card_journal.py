"""Calls that are answered and not in the tables yet: in a file, so that the end of a process takes none of them.

Who is shown a card waits for one write to this file, not for a commit and a thread that makes it. What comes within a
moment is committed together. A process that finds the file of one that ended writes what it holds.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
import uuid
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from cds import logs
from cds.errors import Unavailable
from cds.store.card_contents import Written
from cds.store.card_rows import CallRows, Row
from cds.store.grouped import GroupWriter, Kind, Unwritable

log = logs.get_logger(__name__)

#: How long calls are gathered; what other processes are told of them is late by so much. Every commit makes the readers
#: of this machine look at the tables anew.
GATHERED_S: Final = 0.2
#: How long a commit may take before its calls are left to the next look at the folder.
_PATIENCE_S: Final = 5.0
#: When files that could not be written are looked at again.
_AGAIN_S: Final = 10.0
_WRITTEN, _NEW = ".calls", ".new"
_PRIVATE: Final = 0o600


@dataclass(slots=True, eq=False)
class _Page:
    """A file, locked for as long as its process lives, and what stands in it."""

    path: Path
    descriptor: int
    calls: list[CallRows] = field(default_factory=list)
    contents: set[str] = field(default_factory=set)
    #: (client, user) → {(patient, digest of what was seen): (when, what)}
    seen: dict[tuple[object, ...], dict[tuple[object, ...], Row]] = field(default_factory=dict)

    def add(self, rows: CallRows) -> None:
        """Put a call to the others; raise OSError where the disk does not take it."""
        fresh = [one for key, one in rows.contents.items() if key not in self.contents]
        _append(self.descriptor, _line(rows, fresh))
        self.calls.append(rows)
        self.contents.update(one.id for one in fresh)
        for (client, user, *what), told in rows.seen.items():
            self.seen.setdefault((client, user), {})[tuple(what)] = told

    def clear(self) -> None:
        """All of it is in the tables."""
        os.ftruncate(self.descriptor, 0)
        self.calls, self.contents, self.seen = [], set(), {}


class CardJournal:
    """Keeps calls for the tables. Made in the process that uses it; its thread begins with the first call."""

    def __init__(self, folder: Path, writer: GroupWriter, kind: Kind[CallRows, None]) -> None:
        self._running = _Running(folder, writer, kind)
        weakref.finalize(self, self._running.end)

    def keep(self, rows: CallRows) -> None:
        """Write a call down; raise OSError where it cannot be."""
        self._running.keep(rows)

    def seen(self, client: str, user: str) -> Iterator[tuple[str, Row]]:
        """What was shown to a reader and is not in the tables yet: the patient, and when with what."""
        return self._running.seen(client, user)

    def flush(self) -> None:
        """Commit what was kept; what cannot be stays in its file."""
        self._running.turn()


class _Running:
    """The pages of one process. It knows its journal not, and does not keep it alive."""

    def __init__(self, folder: Path, writer: GroupWriter, kind: Kind[CallRows, None]) -> None:
        self._folder, self._writer, self._kind = folder, writer, kind
        self._lock, self._turning = threading.Lock(), threading.Lock()
        self._page: _Page | None = None
        self._free: list[_Page] = []
        self._open: list[_Page] = []
        self._wanted, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def keep(self, rows: CallRows) -> None:
        with self._lock:
            page = self._page or self._begin()
            page.add(rows)
        if not self._wanted.is_set():
            self._wanted.set()

    def seen(self, client: str, user: str) -> Iterator[tuple[str, Row]]:
        for page in tuple(self._open):
            for (whose, _), told in tuple(page.seen.get((client, user), {}).items()):
                yield str(whose), told

    def turn(self) -> None:
        """Commit the page that is being written; calls go on to another one."""
        with self._turning:
            with self._lock:
                page, self._page = self._page, None
            if page is None:
                return
            if self._are_written(page.calls):
                page.clear()
                self._open = [one for one in self._open if one is not page]
                self._free.append(page)
            else:  # whoever looks for files of processes that ended finds it
                self._open = [one for one in self._open if one is not page]
                os.close(page.descriptor)

    def end(self) -> None:
        """Commit what was kept, and take the files away."""
        self._ended.set()
        self._wanted.set()
        self.turn()
        for page in self._free:
            page.path.unlink(missing_ok=True)
            os.close(page.descriptor)
        self._free = []

    def _begin(self) -> _Page:
        page = self._free.pop() if self._free else _new(self._folder)
        self._page = page
        self._open = [*self._open, page]
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="card-journal", daemon=True)
            self._thread.start()
        return page

    def _work(self) -> None:
        look_at = time.monotonic()
        while not self._ended.is_set():
            if time.monotonic() >= look_at:
                self._recover()
                look_at = time.monotonic() + _AGAIN_S
            if self._wanted.wait(_AGAIN_S):
                time.sleep(GATHERED_S)
                self._wanted.clear()
                self.turn()

    def _are_written(self, calls: Sequence[CallRows]) -> bool:
        """Whether they are in the tables, but for those that the database does not take."""
        together = CallRows()
        for one in calls:
            together.add(one)
        try:
            try:
                self._writer.give(self._kind, together).result(_PATIENCE_S)
            except Unwritable:  # each alone, so that the one that cannot be written fails alone
                for given in [self._writer.give(self._kind, one) for one in calls]:
                    with suppress(Unwritable):  # told already, and not tried again
                        given.result(_PATIENCE_S)
        except Unavailable as error:
            log.warning("shown cards wait in their file", count=len(calls), error=type(error).__name__)
            return False
        return True

    def _recover(self) -> None:
        """Write what processes left that ended, or what could not be written before."""
        for path in self._folder.glob(f"*{_NEW}"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _AGAIN_S:
                    path.unlink()  # nobody wrote to it yet
        for path in sorted(self._folder.glob(f"*{_WRITTEN}")):
            with suppress(FileNotFoundError, BlockingIOError), _taken(path) as descriptor:
                calls = list(_read(descriptor))
                if calls:
                    log.info("shown cards of a process that ended are written", count=len(calls))
                if self._are_written(calls):
                    path.unlink(missing_ok=True)


def _new(folder: Path) -> _Page:
    """An empty file, locked before anybody who looks for files can find it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4().hex}{_WRITTEN}"
    made = path.with_suffix(_NEW)
    descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, _PRIVATE)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    made.rename(path)
    return _Page(path, descriptor)


@contextmanager
def _taken(path: Path) -> Iterator[int]:
    """A file whose process has ended; raise BlockingIOError where it has not, FileNotFoundError where it is done."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink == 0:
            raise FileNotFoundError
        yield descriptor
    finally:
        os.close(descriptor)


def _append(descriptor: int, line: bytes) -> None:
    """A whole line, or nothing and OSError: a full disk takes a part of one."""
    written = os.write(descriptor, line)
    if written != len(line):
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _line(rows: CallRows, contents: Iterable[Written]) -> bytes:
    told = [(one.id, one.body, one.about) for one in contents]
    seen = [(key, value) for key, value in rows.seen.items()]
    return orjson.dumps((rows.calls, told, seen), option=orjson.OPT_APPEND_NEWLINE)


def _read(descriptor: int) -> Iterator[CallRows]:
    """The calls of a file. A line that its process did not end stands for one that was not answered."""
    with open(descriptor, "rb", closefd=False) as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            calls, contents, seen = orjson.loads(line)
            written = (Written(key, body, tuple(about), "", "") for key, body, about in contents)
            yield CallRows(
                [tuple(one) for one in calls],
                {one.id: one for one in written},
                {tuple(key): tuple(value) for key, value in seen},
            )

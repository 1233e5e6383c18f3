"""Slices decoded while the rest of their series still arrives: the volume then finds most of its values on disk.

An offer, never a duty: what is not decoded here, for whatever reason, is decoded when the volume is built, by the same
functions on the same files, so that the volume is the same. Nobody who hands files over waits, and nothing fails.
"""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from adapters.dicom.encodings import UNCOMPRESSED
from adapters.dicom.pool import DecodePool
from adapters.dicom.slices import Decoded, decode_ahead, is_current
from cds import logs
from cds.domain.imaging import StoredInstance
from cds.errors import SightlineError, Unavailable
from cds.limits import DicomLimits

log = logs.get_logger(__name__)

#: A slice of 2048 x 2048 as float32; what claims more is no slice that anybody waits for.
_MOST_VALUES = 16 * 1024 * 1024
_MOST_WAITING = 20_000
#: How often somebody who waits looks whether anybody works, seconds.
_LOOK_S = 1.0
#: Bytes of a value, for reckoning.
_WORST = 4


class Keep(NamedTuple):
    """Bounds of what is kept: bytes of values, seconds since they were decoded, bytes that stay free on the disk."""

    bytes: int = 2 * 1024**3
    seconds: float = 1800.0
    free_bytes: int = 0


class _Kept(NamedTuple):
    decoded: Decoded
    size: int
    until: float


class AheadDecoding:
    """Decodes what it is handed into `folder`, its own, in the processes of `pool`. Thread-safe.

    Paths are those of files below `data_dir`. Nothing in it outlives the process: the folder is emptied at the start.
    """

    def __init__(
        self, folder: Path, data_dir: Path, pool: DecodePool, limits: DicomLimits, keep: Keep | None = None
    ) -> None:
        self._folder = folder
        self._data_dir = data_dir
        self._pool = pool
        self._limits = limits
        self._keep = Keep() if keep is None else keep
        self._changed = threading.Condition()
        self._waiting: OrderedDict[Path, None] = OrderedDict()
        self._running: set[Path] = set()
        self._kept: OrderedDict[Path, _Kept] = OrderedDict()
        self._bytes = 0
        self._closed = False
        self._threads: list[threading.Thread] = []
        shutil.rmtree(folder, ignore_errors=True)

    def want(self, stored: Sequence[StoredInstance]) -> None:
        """Instances that are committed; those of one compressed frame are decoded when a process has time."""
        paths = [self._data_dir / one.path for one in stored if _is_compressed_slice(one)]
        with self._changed:
            room = 0 if self._closed else _MOST_WAITING - len(self._waiting)
            self._waiting.update((path, None) for path in paths[: max(0, room)] if path not in self._kept)
            if self._waiting and not self._threads:
                self._start()
            self._changed.notify_all()

    def known(self, paths: Iterable[Path]) -> Mapping[Path, Decoded]:
        """What is decoded of these files."""
        with self._changed:
            there = {path: self._kept[path].decoded for path in paths if path in self._kept}
        return {path: decoded for path, decoded in there.items() if is_current(decoded)}

    def claim(self, paths: Collection[Path]) -> Mapping[Path, Decoded]:
        """What is decoded of these files, those that a process has in hand included.

        The others are the caller's now: to write them twice costs more than is won while somebody waits.
        """
        with self._changed:
            for path in paths:
                self._waiting.pop(path, None)
            while not self._running.isdisjoint(paths) and any(thread.is_alive() for thread in self._threads):
                self._changed.wait(_LOOK_S)
        return self.known(paths)

    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is in hand."""
        with self._changed:
            return not self._waiting and not self._running

    def discard(self, paths: Iterable[Path]) -> None:
        """Remove the values of these files."""
        with self._changed:
            for path in paths:
                self._remove(path)

    def close(self) -> None:
        """Stop and remove everything; `pool` may be closed before, so that nothing is in hand any more."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        with self._changed:
            self._kept.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        """One thread more than there are processes: none of these waits for its next task."""
        self._threads = [
            threading.Thread(target=self._work, name="decode-ahead", daemon=True)
            for _ in range(self._pool.processes + 1)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while path := self._next():
            values, decoded = self._folder / f"{uuid.uuid4().hex}.raw", None
            try:
                decoded = self._decoded(path, values)
            finally:  # whoever waits for it must not wait for ever
                self._done(path, values, decoded)

    def _next(self) -> Path | None:
        """A file that waits; None once it is closed. One at a time: who claims the others waits for so much."""
        with self._changed:
            while not self._closed:
                self._expire()
                if self._waiting:
                    path, _ = self._waiting.popitem(last=False)
                    self._running.add(path)
                    return path
                self._changed.wait(self._keep.seconds / 4 if self._kept else None)
        return None

    def _decoded(self, path: Path, values: Path) -> Decoded | None:
        if not self._has_room():
            return None
        limit = self._limits.max_instance_bytes
        try:
            return self._pool.call(decode_ahead, path, str(values), limit, _MOST_VALUES)
        except SightlineError as error:
            if isinstance(error, Unavailable):
                with self._changed:
                    self._waiting.clear()
            log.info("a slice was not decoded ahead", outcome=type(error).__name__)
            return None

    def _has_room(self) -> bool:
        with self._changed:
            if self._bytes >= self._keep.bytes:
                return False
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return shutil.disk_usage(self._folder).free >= self._keep.free_bytes + _MOST_VALUES
        except OSError:
            return False

    def _done(self, path: Path, values: Path, decoded: Decoded | None) -> None:
        with self._changed:
            self._running.discard(path)
            self._changed.notify_all()
            if decoded is None:
                values.unlink(missing_ok=True)
                return
            self._remove(path)  # where it was committed twice
            size = decoded.frame.rows * decoded.frame.columns * _WORST
            self._kept[path] = _Kept(decoded, size, time.monotonic() + self._keep.seconds)
            self._bytes += size

    def _expire(self) -> None:
        """The oldest come first."""
        now = time.monotonic()
        while self._kept and next(iter(self._kept.values())).until <= now:
            self._remove(next(iter(self._kept)))

    def _remove(self, path: Path) -> None:
        kept = self._kept.pop(path, None)
        if kept is not None:
            self._bytes -= kept.size
            Path(kept.decoded.values).unlink(missing_ok=True)


def _is_compressed_slice(one: StoredInstance) -> bool:
    return one.header.frames == 1 and one.header.transfer_syntax_uid not in UNCOMPRESSED

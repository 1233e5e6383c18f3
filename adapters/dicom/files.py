"""Instances on disk: whole or not at all, under names that nobody outside chose."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import struct
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from cds.errors import OutOfResources, Unavailable

#: Implementation Class UID and Version Name (PS3.7 annex D.3.3.2): a UUID-derived root (PS3.5 annex B.2), ours alone.
IMPLEMENTATION_CLASS_UID = "2.25.123365955578091437021435364702920691796"
IMPLEMENTATION_VERSION_NAME = "SIGHTLINE"

PREAMBLE = bytes(128)
_NO_ROOM = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT})
_FOLDER = "instances"
_PARTIAL = ".part"
_OWNER = re.compile(r"[a-z0-9-]{1,32}")
#: Files without an owner in their name were the listener's.
_OLD_OWNER = "dicom"
#: So many files come into one folder, one after the other, before the next: a commit has few folders to fsync.
_FILES_PER_FOLDER = 64
#: Threads that write and fsync: each waits for the disk, and several at once share its turns.
_THREADS = 4
#: How often the free space is looked at while a file grows; bytes.
_ROOM_EVERY = 16 * 1024 * 1024


class Partial:
    """A file that nobody was promised yet. It is removed when it is discarded, or forgotten; not thread-safe.

    `path` is where it will be, below the data folder; `size` is what was written, in bytes.
    """

    def __init__(self, descriptor: int, file: Path, path: str, require_room: Callable[[int], None]) -> None:
        self.path = path
        self.size = 0
        self.file = file
        self._descriptor = descriptor
        self._require_room = require_room
        self._room_for = 0
        self._process = os.getpid()
        self._saved: Future[None] | None = None

    def __del__(self) -> None:
        """A forked process forgets its copy of the object; the file is its parent's."""
        if self._process == os.getpid():
            self.discard()

    def expect(self, size: int) -> None:
        """Raise OutOfResources where the disk has no room for so many bytes in all."""
        with _disk_errors():
            self._require_room(size - self.size)
        self._room_for = size

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append; raise OutOfResources where the disk has no room, Unavailable where it cannot be written."""
        left = memoryview(data)
        if self.size + len(left) > self._room_for:
            self.expect(self.size + max(len(left), _ROOM_EVERY))
        with _disk_errors():
            while left:
                written = os.write(self._descriptor, left)
                self.size += written
                left = left[written:]

    def head(self, size: int) -> bytes:
        """The first bytes; raise Unavailable where they cannot be read."""
        with _disk_errors():
            return os.pread(self._descriptor, size, 0)

    def zero_preamble(self) -> None:
        """PS3.10 section 7.1 leaves 128 bytes to anybody, who may make them the head of a program."""
        with _disk_errors():
            os.pwrite(self._descriptor, PREAMBLE, 0)

    @property
    def is_saved(self) -> bool:
        """True once it is being made durable."""
        return self._saved is not None

    def save(self, threads: ThreadPoolExecutor, *rest: bytes, to: Path | None = None) -> Future[None]:
        """Write the rest and make it durable beside what the caller does next; with `to`, under its name at once."""
        self._saved = threads.submit(self._save, rest, to)
        return self._saved

    def finish(self, to: Path) -> Path | None:
        """Wait until the content is durable and has its name; answers the folder that is to be made durable, if any."""
        if self._saved is None:
            self._save((), None)
        else:
            self._saved.result()
        if self.file == to:
            return None
        self._rename(to)
        return to.parent

    def discard(self) -> None:
        """Remove the file; nothing happens once it is published."""
        if self._descriptor >= 0:
            self.close()
            with contextlib.suppress(OSError):
                self.file.unlink(missing_ok=True)

    def close(self) -> None:
        """It is the index's now: nothing here removes it any more."""
        if self._saved is not None:
            wait((self._saved,))
        descriptor, self._descriptor = self._descriptor, -1
        with contextlib.suppress(OSError):
            os.close(descriptor)

    def _save(self, rest: Sequence[bytes], to: Path | None) -> None:
        for data in rest:
            self.write(data)
        with _disk_errors():
            if to is not None:
                self._rename(to)
            os.fsync(self._descriptor)
            if to is not None:
                _sync(to.parent)

    def _rename(self, to: Path) -> None:
        self.file.rename(to)
        self.file = to


class InstanceFiles:
    """The folder `instances/` below the data folder. `minimum_free_bytes` stay free for what is already accepted.

    Several processes may write there. `owner` is the role of this one ("dicom", "web", "worker-0"); thread-safe.
    """

    def __init__(self, data_dir: Path, minimum_free_bytes: int, owner: str = _OLD_OWNER) -> None:
        if not _OWNER.fullmatch(owner):
            raise ValueError("want an owner of lower-case letters, digits and hyphens")
        self._data_dir = data_dir
        self._minimum_free_bytes = minimum_free_bytes
        self._owner = owner
        self._lock = threading.Lock()
        self._shard, self._left = "", 0
        self._folder = data_dir / _FOLDER
        self._made: set[str] = set()
        self._threads: ThreadPoolExecutor | None = None

    def create(self) -> Partial:
        """A new, empty file under a random name; raise Unavailable where it cannot be made."""
        name = self._name()
        stem = self._folder / name[:2] / name
        with _disk_errors():
            self._make_folder(name[:2])
            file = stem.with_name(f"{name}.{self._owner}{_PARTIAL}")
            return Partial(_locked(file), file, f"{_FOLDER}/{name[:2]}/{name}.bin", self._require_room)

    def save(self, partial: Partial, *rest: bytes, named: bool = False) -> Future[None]:
        """Write the rest of a file and make it durable, beside what the caller does next; errors come at `publish`.

        `named` saves a turn of the disk where it is published at once: a crash between leaves it without a row.
        """
        with self._lock:
            self._threads = self._threads or ThreadPoolExecutor(_THREADS, thread_name_prefix="instance-files")
        return partial.save(self._threads, *rest, to=self._data_dir / partial.path if named else None)

    def publish(self, partials: Sequence[Partial]) -> None:
        """Make files durable under their names: their bytes first, then their folders.

        Raise OutOfResources or Unavailable, and none of them is left.
        """
        try:
            with _disk_errors():
                for folder in {partial.finish(self._data_dir / partial.path) for partial in partials}:
                    if folder is not None:
                        _sync(folder)
        except Unavailable:
            for partial in partials:
                partial.discard()
            raise
        for partial in partials:
            partial.close()

    def remove(self, relative_path: str) -> None:
        """Remove a file that the index did not want; nothing happens if it is gone."""
        with _disk_errors():
            (self._data_dir / relative_path).unlink(missing_ok=True)

    def discard_partial(self) -> int:
        """Remove what a crash of this role left half written, and count it; what a living process writes stays."""
        with _disk_errors():
            found = [file for file in self._folder.glob(f"*/*{_PARTIAL}") if self._is_ours(file)]
            return sum(_removed_unless_locked(file) for file in found)

    def _is_ours(self, file: Path) -> bool:
        parts = file.name.split(".")
        return self._owner == (parts[1] if len(parts) == 3 else _OLD_OWNER)  # noqa: PLR2004  name, owner, suffix

    def _name(self) -> str:
        with self._lock:
            if not self._left:
                self._shard, self._left = secrets.token_hex(1), _FILES_PER_FOLDER
            self._left -= 1
            return self._shard + uuid.uuid4().hex[2:]

    def _require_room(self, size: int) -> None:
        if shutil.disk_usage(self._data_dir).free < size + self._minimum_free_bytes:
            raise OutOfResources("want more free space on the disk that holds the images")

    def _make_folder(self, shard: str) -> None:
        """Once in this process: nobody removes folders."""
        if shard in self._made:
            return
        folder = self._folder / shard
        folder.mkdir(parents=True, exist_ok=True)
        for parent in (self._folder, self._data_dir):
            _sync(parent)
        self._made.add(shard)


def file_head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """What stands before a data set in a file: zero preamble, prefix, file meta information (PS3.10 section 7.1)."""
    elements = (
        (0x0001, b"OB", b"\x00\x01"),
        (0x0002, b"UI", _text(sop_class_uid, b"\0")),
        (0x0003, b"UI", _text(sop_instance_uid, b"\0")),
        (0x0010, b"UI", _text(transfer_syntax_uid, b"\0")),
        (0x0012, b"UI", _text(IMPLEMENTATION_CLASS_UID, b"\0")),
        (0x0013, b"SH", _text(IMPLEMENTATION_VERSION_NAME, b" ")),
    )
    meta = b"".join(_meta_element(*element) for element in elements)
    length = _meta_element(0x0000, b"UL", struct.pack("<I", len(meta)))
    return PREAMBLE + b"DICM" + length + meta


def _meta_element(element: int, vr: bytes, value: bytes) -> bytes:
    """Explicit VR little endian (PS3.5 section 7.1.2)."""
    long = struct.pack("<HI", 0, len(value)) if vr == b"OB" else struct.pack("<H", len(value))
    return struct.pack("<HH", 0x0002, element) + vr + long + value


def _text(text: str, padding: bytes) -> bytes:
    value = text.encode("ascii")
    return value + padding * (len(value) % 2)


def _locked(file: Path) -> int:
    """Make a file that is locked for as long as this process has it open; no other process's start removes it."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _removed_unless_locked(file: Path) -> bool:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise OutOfResources("want more free space on the disk that holds the images") from error
        raise Unavailable("want a disk for images that can be written") from error

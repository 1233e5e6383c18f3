"""The drop folder: files of messages, taken once they are complete, each by one server, and never overwritten.

A file is claimed by renaming it into working/, loaded, and moved to done/ or failed/ with its answer beside it. Who
loads a file holds a lock on it: a file in working/ without one was left by a crash and is loaded again, where the log
recognises what it has. Names may say who a patient is, so logs have a hash of them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from adapters.hl7.batch import refused_batch
from adapters.hl7.layout import Data, Layout, layout
from adapters.hl7.load import Loader, Outcome, acknowledged, file_ref
from adapters.hl7.mapped import MOST_BYTES, contents
from cds import metrics
from cds.errors import SightlineError
from cds.logs import get_logger
from cds.ports import Clock

WORKING, DONE, FAILED = "working", "done", "failed"
EVERY_S = 0.5
#: Seconds without a change after which a file is complete.
SETTLED_S = 2.0

_log = get_logger(__name__)

_TOLD = {
    "folder": "the HL7 folder cannot be used",
    "link": "a symbolic link in the HL7 folder is not followed",
    "take": "a file of the HL7 folder cannot be taken",
    "load": "a file of the HL7 folder cannot be loaded now",
}
_UNFINISHED = (".tmp", ".part", ".filepart")
#: Between what makes a name in working/ unique and the name of the file.
_CLAIM = "~"
_CLAIMED = re.compile(rf"[0-9a-f]{{16}}{_CLAIM}.")
#: An empty file is one that somebody has only begun.
_EMPTY_S = 60.0
_LONGEST_NAME = 180  # bytes; file systems take 255, and a claim, a number and an ending are added
_MOST_REFUSALS = 100
_BEGINNING = 8192
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it is now; the same again later, nobody is writing it."""

    name: str
    changed_ns: int
    size: int
    inode: int


@dataclass(slots=True)
class _Tally:
    """What became of the messages of a file."""

    messages: int = 0
    duplicates: int = 0
    refused: int = 0
    refusals: tuple[str, ...] = ()

    def add(self, outcome: Outcome) -> None:
        self.messages += 1
        self.duplicates += outcome.duplicate
        if outcome.refusal:
            self.refused += 1
            if len(self.refusals) < _MOST_REFUSALS:
                self.refusals += (f"message {outcome.number}: {outcome.refusal}",)


class DropFolder:
    """One folder, as one process looks at it. `crowded` says that the inbox is full: then nothing is taken."""

    def __init__(
        self,
        folder: Path,
        loader: Loader,
        clock: Clock,
        *,
        settled_s: float = SETTLED_S,
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        self._folder = folder
        self._loader = loader
        self._clock = clock
        self._settled_s = settled_s
        self._crowded = crowded
        self._seen: dict[str, tuple[_File, float]] = {}
        self._told: set[tuple[str, str]] = set()
        self._not_before: dict[str, float] = {}
        self._not_before_all = 0.0

    def watch(self, stopped: threading.Event, every_s: float = EVERY_S) -> None:
        """Look again and again until stopped; what cannot be done now is tried again and logged once."""
        while not stopped.is_set():
            try:
                self.sweep(stopped)
                self._told = {told for told in self._told if told[0]}
            except OSError as error:
                self._tell_once("", "folder", error)
            stopped.wait(every_s)

    def sweep(self, stopped: threading.Event) -> int:
        """Load what is complete, and what a crash left; answers how many files were moved to done/ or failed/."""
        if self._must_wait(stopped):
            return 0
        for name in (WORKING, DONE, FAILED):
            self._make_folder(self._folder / name)
        moved = 0
        for claimed in chain(self._left(), self._claims()):
            moved += self._take(claimed, stopped)
            if self._must_wait(stopped):
                break
        return moved

    def _must_wait(self, stopped: threading.Event) -> bool:
        return stopped.is_set() or time.monotonic() < self._not_before_all or self._crowded()

    def _left(self) -> list[Path]:
        """What is in working/: of another server, or of one that ended half-way."""
        files = [file for file in self._files(self._folder / WORKING) if _is_claimed(file.name)]
        return [self._folder / WORKING / file.name for file in sorted(files, key=_in_order)]

    def _claims(self) -> Iterator[Path]:
        """Files that are complete, each renamed into working/ when its turn has come."""
        now = time.monotonic()
        files = list(self._files(self._folder))
        before = self._seen
        self._seen = {file.name: (file, now) for file in files}
        for file in files:
            if file.name in before and before[file.name][0] == file:
                self._seen[file.name] = before[file.name]
        for file in sorted(files, key=_in_order):
            patience_s = self._settled_s if file.size else max(self._settled_s, _EMPTY_S)
            if now - self._seen[file.name][1] >= patience_s and (claimed := self._claim(file.name)) is not None:
                yield claimed

    def _files(self, folder: Path) -> Iterator[_File]:
        """The files that a sender has given their final name."""
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.lower().endswith(_UNFINISHED):
                    continue
                if entry.is_symlink():
                    self._tell_once(entry.name, "link")
                elif entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):  # another server was faster
                        found = entry.stat(follow_symlinks=False)
                        yield _File(entry.name, found.st_mtime_ns, found.st_size, found.st_ino)

    def _claim(self, name: str) -> Path | None:
        """Rename into working/, which one server alone can do; None where another one did."""
        claimed = self._folder / WORKING / f"{secrets.token_hex(8)}{_CLAIM}{_short(name)}"
        try:
            os.rename(self._folder / name, claimed)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._tell_once(name, "take", error)
            return None
        self._seen.pop(name, None)
        return claimed

    def _take(self, claimed: Path, stopped: threading.Event) -> bool:
        """Load a claimed file and move it away; False where it stays for another time or another server."""
        if time.monotonic() < self._not_before.get(claimed.name, 0.0):
            return False
        try:
            if claimed.exists() and not os.access(claimed, os.R_OK, effective_ids=True):
                self._failed(claimed, ["the account that Sightline runs under may not read it"], b"")
                return True
            with _locked(claimed) as file:
                return file is not None and self._load(claimed, file, stopped)
        except SightlineError as error:  # the log cannot take it: what comes behind it waits too
            self._not_before_all = time.monotonic() + _PATIENCE_S
            self._tell_once(claimed.name, "load", error)
        except OSError as error:
            self._not_before[claimed.name] = time.monotonic() + _PATIENCE_S
            self._tell_once(claimed.name, "load", error)
        return False

    def _load(self, claimed: Path, file: BinaryIO, stopped: threading.Event) -> bool:
        before = os.fstat(file.fileno())
        if before.st_size > MOST_BYTES:
            self._failed(claimed, [f"want at most {MOST_BYTES} bytes in a file"], b"")
            return True
        with contents(file, before.st_size, self._folder / WORKING) as data:
            found = layout(data)
            if found.problems:
                answer = _refusal(data, found, self._clock)
                self._failed(claimed, [str(problem) for problem in found.problems], answer, "nothing of it was loaded")
                return True
            answers = self._folder / WORKING / f".{claimed.name}.ack"
            tally = self._loaded(data, found, claimed, answers, stopped)
        after = os.fstat(file.fileno())
        if tally is None or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            self._not_before[claimed.name] = time.monotonic() + self._settled_s
            return False  # stopped, or still being written: what is in the log already is recognised then
        self._finish(claimed, answers, tally)
        return True

    def _loaded(
        self, data: Data, found: Layout, claimed: Path, answers: Path, stopped: threading.Event
    ) -> _Tally | None:
        """Load and write the answers to a file that nobody looks at yet; None where the role stops."""
        tally = _Tally()

        def counted() -> Iterator[Outcome]:
            for outcome in self._loader.load(data, found.spans, _name(claimed)):
                tally.add(outcome)
                yield outcome

        with answers.open("wb") as file:
            for part in acknowledged(found, counted(), self._clock):
                if stopped.is_set() and tally.messages < len(found.spans):
                    return None
                file.write(part)
        return tally

    def _finish(self, claimed: Path, answers: Path, tally: _Tally) -> None:
        outcome = FAILED if tally.refused else DONE
        name = self._reserve(outcome, _name(claimed), ".ack")
        if tally.refused:
            lines = [f"{_refused(tally.refused, tally.messages)}:", *tally.refusals]
            self._write(self._folder / outcome / f"{name}.error.txt", "\n".join([*lines, ""]).encode())
        self._give(answers, self._folder / outcome / f"{name}.ack")
        self._move(claimed, outcome, name)
        _log.info("file loaded", outcome=outcome, count=tally.messages, sha256=file_ref(_name(claimed)))

    def _failed(self, claimed: Path, problems: list[str], answer: bytes, consequence: str = "") -> None:
        """Move a file of which nothing is taken."""
        name = self._reserve(FAILED, _name(claimed), ".error.txt")
        text = "\n".join([*([f"{consequence}:"] if consequence else []), *problems, ""])
        self._write(self._folder / FAILED / f"{name}.error.txt", text.encode())
        if answer:
            self._write(self._folder / FAILED / f"{name}.ack", answer)
        self._move(claimed, FAILED, name)
        _log.warning("file refused", outcome=FAILED, sha256=file_ref(_name(claimed)))

    def _reserve(self, outcome: str, name: str, ending: str) -> str:
        """A name that nobody has in this folder, its own or with a number; what stands beside it takes it."""
        stem, dot, suffix = name.rpartition(".")
        number = 0
        while True:
            free = name if not number else f"{stem}.{number}.{suffix}" if dot and stem else f"{name}.{number}"
            place = self._folder / outcome / free
            taken = (place, *(place.with_name(free + other) for other in (".ack", ".error.txt")))
            if not any(map(os.path.lexists, taken)):
                with suppress(FileExistsError):
                    place.with_name(free + ending).touch(exist_ok=False)
                    return free
            number += 1

    def _move(self, claimed: Path, outcome: str, name: str) -> None:
        os.rename(claimed, self._folder / outcome / name)
        self._not_before.pop(claimed.name, None)
        metrics.HL7_FILES.inc(outcome=outcome)

    def _write(self, path: Path, content: bytes) -> None:
        half_written = path.with_name(f".{path.name}.new")
        half_written.write_bytes(content)
        self._give(half_written, path)

    def _give(self, written: Path, path: Path) -> None:
        """All of it or nothing, as engines take it once it has its name; who may use the folder may read it."""
        os.chmod(written, stat.S_IMODE(self._folder.stat().st_mode) & 0o666)
        os.replace(written, path)

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            os.chmod(folder, stat.S_IMODE(self._folder.stat().st_mode))

    def _tell_once(self, name: str, event: str, error: OSError | SightlineError | None = None) -> None:
        if (name, event) not in self._told:
            self._told.add((name, event))
            _log.warning(_TOLD[event], sha256=file_ref(name) if name else None, exc_info=error)


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO | None]:
    """The file, open and locked; None where another process has it, or had it and moved it away."""
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        # An exclusive lock over NFS wants a file that is open for writing.
        number = os.open(path, flags | (os.O_RDWR if os.access(path, os.W_OK, effective_ids=True) else os.O_RDONLY))
    except FileNotFoundError:
        yield None
        return
    with open(number, "rb") as file:
        yield file if _is_ours(file, path) else None


def _is_ours(file: BinaryIO, path: Path) -> bool:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        here, there = os.fstat(file.fileno()), os.stat(path, follow_symlinks=False)
    except (BlockingIOError, FileNotFoundError):
        return False
    return stat.S_ISREG(here.st_mode) and (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _refused(refused: int, messages: int) -> str:
    if refused == messages:
        return f"all {messages} messages were refused" if messages > 1 else "the only message was refused"
    return f"{refused} of {messages} messages {'was' if refused == 1 else 'were'} refused, the others were loaded"


def _refusal(data: Data, found: Layout, clock: Clock) -> bytes:
    """The answer to a batch of which nothing is taken; nothing where there was none."""
    return refused_batch(data[:_BEGINNING], found.problems[0], clock.now()) if found.envelopes else b""


def _name(claimed: Path) -> str:
    """The name that the file had when it was dropped."""
    return claimed.name.partition(_CLAIM)[2]


def _is_claimed(name: str) -> bool:
    return _CLAIMED.match(name) is not None


def _in_order(file: _File) -> tuple[int, str]:
    """Oldest first, and by what they were named where they are of the same moment."""
    return file.changed_ns, file.name.partition(_CLAIM)[2] if _is_claimed(file.name) else file.name


def _short(name: str) -> str:
    """A name that stays distinct where it is too long for what is added to it."""
    raw = os.fsencode(name)
    if len(raw) <= _LONGEST_NAME:
        return name
    return os.fsdecode(raw[: _LONGEST_NAME - 17]) + "." + hashlib.sha256(raw).hexdigest()[:16]

"""The inside of a decoding process: what it may take, and how it answers. It loads little: each process pays for it."""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import os
import resource
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

from cds.errors import InvalidInstance, NotEvaluable, OutOfResources, SightlineError, Unavailable

_OPEN_FILES = 64
#: nice(2): whatever answers people and peers goes first.
NICE = 5
#: mallopt(3): glibc gives back to the kernel what is free above so many bytes, and takes larger blocks from it singly.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES, _LARGE_BYTES = 32 * 1024 * 1024, 8 * 1024 * 1024
KINDS: dict[str, type[SightlineError]] = {
    "invalid": InvalidInstance,
    "resources": OutOfResources,
    "unavailable": Unavailable,
}


class Reply(NamedTuple):
    """What crosses the border: a value, or an error as its kind, text and gate. Exceptions do not pickle safely."""

    value: Any = None
    error: str = ""
    text: str = ""
    gate: str = ""


def refused(why: str) -> NotEvaluable:
    """The verdict on an image that no process could decode."""
    return NotEvaluable(f"an image of the series cannot be decoded: {why}", gate="decode")


def nothing() -> None:
    """A task that starts a process."""


def guarded(function: Callable[..., Any], args: tuple[Any, ...], limit_s: float) -> Reply:
    """Run in the process. The kernel's bound of processor time holds where nobody is left to watch the clock."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _bound(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + 2 * limit_s) + 1, for_good=False)
    try:
        return Reply(function(*args))
    except NotEvaluable as error:
        return Reply(None, "not-evaluable", str(error), error.gate)
    except MemoryError:
        return Reply(None, "not-evaluable", str(refused("it wants more memory than one image may have")), "decode")
    except SightlineError as error:
        kind = next((kind for kind, known in KINDS.items() if type(error) is known), "")
        if not kind:
            raise
        return Reply(None, kind, str(error))


def confine(memory_bytes: int, file_bytes: int) -> None:
    """The first thing that a process does: load the libraries, then take what it does not need away from itself."""
    from adapters.dicom import slices  # noqa: F401  loaded before memory is bounded
    from adapters.dicom.quiet import quiet

    quiet()
    threading.Thread(target=_end_with_parent, name="lifeline", daemon=True).start()
    os.nice(NICE)
    _keep_memory()
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_FSIZE: file_bytes + 65536,
        resource.RLIMIT_AS: _address_space() + memory_bytes,
    }
    for bound, value in bounds.items():
        _bound(bound, value)
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text("1000")
    _silence()


def _bound(which: int, value: int, *, for_good: bool = True) -> None:
    hard = resource.getrlimit(which)[1]
    least = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (least, least if for_good else hard))


def _address_space() -> int:
    """What this process has mapped now, bytes; macOS does not say, and does not enforce the bound either."""
    if sys.platform != "linux":
        return 0
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _keep_memory() -> None:
    """Each slice takes the same few megabytes; had anew each time, they cost 500 page faults, 1 ms of 26."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # only glibc has it
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def _silence() -> None:
    """Codecs print what they think of an image."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)

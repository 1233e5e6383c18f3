"""What the tests of the decoding pool give it to do; functions of a module, because processes import them."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from pathlib import Path

from cds.errors import InvalidInstance, NotEvaluable, OutOfResources, Unavailable


def double(number: int) -> int:
    return 2 * number


def process_id() -> int:
    return os.getpid()


def bounds() -> dict[str, int]:
    """What the process that asks may use, and how it stands to others."""
    named = {name: getattr(resource, f"RLIMIT_{name}") for name in ("AS", "CORE", "NOFILE", "FSIZE")}
    found = {name: resource.getrlimit(which)[1] for name, which in named.items()}
    return found | {"nice": os.nice(0), "oom": int(Path("/proc/self/oom_score_adj").read_text())}


def crash(how: str) -> None:
    """End as a native codec does that trips over an image."""
    if how == "abort":
        os.abort()
    if how == "segfault":
        ctypes.string_at(0)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)


def allocate(size: int) -> int:
    return len(bytearray(size))


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def refuse(kind: str) -> None:
    """Raise an error of the project, whose text must arrive as it was."""
    if kind == "not-evaluable":
        raise NotEvaluable("too dark", gate="light")
    raise {"invalid": InvalidInstance, "unavailable": Unavailable, "resources": OutOfResources}[kind]("as it was")


def grow(path: str, size: int) -> None:
    with Path(path).open("wb") as file:
        file.truncate(size)


def sometimes(number: int) -> int:
    """Crash at 3."""
    if number == 3:
        os.abort()
    return number


def mistaken() -> None:
    raise ZeroDivisionError("ours")


class Panic(BaseException):
    """As a codec in Rust raises it: of a module that nobody can import."""


Panic.__module__ = "pyo3_runtime"


def unspeakable() -> None:
    """Raise what cannot be sent to another process."""
    raise Panic

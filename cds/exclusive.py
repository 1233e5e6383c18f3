"""One server per data folder and per port: a second one says so and ends, instead of writing beside the first."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cds.errors import ConfigurationError
from cds.settings import Settings

LOCK_FILE = "serve.lock"


@dataclass(frozen=True, slots=True)
class Door:
    """An address that Sightline listens on, and the setting that moves it."""

    variable: str
    host: str
    port: int


def doors(settings: Settings) -> tuple[Door, ...]:
    """All listeners of the settings."""
    more = settings.hl7_listeners.items()
    return (
        Door("CDS_HTTP_PORT", settings.http_host, settings.http_port),
        Door("CDS_UI_PORT", settings.ui_host, settings.ui_port),
        Door("CDS_HL7_PORT", settings.hl7_host, settings.hl7_port),
        *(Door(f"CDS_HL7_LISTENERS {name}", door.host, door.port) for name, door in more),
        Door("CDS_DICOM_PORT", settings.dicom_host, settings.dicom_port),
    )


def why_closed(door: Door) -> str:
    """Why nobody can listen there now, in words; "" where one can.

    SO_REUSEADDR passes over connections of an earlier run (TIME_WAIT), never over a listener; SO_REUSEPORT, which web
    servers set and which would let two of them share the port silently, is not set here.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(door.host, door.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return f"{door.variable}: port {door.port} on {door.host} {_reason(error)}"
    return ""


def _reason(error: OSError) -> str:
    reasons = {
        errno.EADDRINUSE: "is in use: stop the program that listens there, or choose another port",
        errno.EACCES: "may not be opened by this user: choose a port above 1023",
        errno.EADDRNOTAVAIL: "cannot be opened: this machine does not have that address",
    }
    return reasons.get(error.errno or 0, f"cannot be opened: {type(error).__name__}")


@contextmanager
def hold(folder: Path, *, patience_s: float = 0.0) -> Iterator[int]:
    """Hold the data folder; yields the lock's descriptor, to be inherited by the roles.

    A role that outlives its killed supervisor keeps the folder locked until it has drained; `patience_s` is how long
    to wait for that. Raises ConfigurationError where a living server holds the folder.
    """
    descriptor = _open(folder)
    try:
        _lock(descriptor, folder, time.monotonic() + patience_s)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def take_role(folder: Path, role: str) -> None:
    """Be the one role of this name on the data folder until this process ends, however it ends.

    A second worker in one slot would take the first one's work for its own. Raises ConfigurationError where one lives.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / f"{role}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        text = f"CDS_DATA_DIR: the role {role} is already running on this data folder: {folder}"
        raise ConfigurationError([text]) from None


def holder(folder: Path) -> int | None:
    """The process id of the server that holds the folder; None where nobody does."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written(descriptor)
    finally:
        os.close(descriptor)
    return None


def _open(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError([f"CDS_DATA_DIR: {folder} cannot be written: {error.strerror}"]) from error


def _lock(descriptor: int, folder: Path, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _written(descriptor)
            if _is_alive(owner) or time.monotonic() > deadline:
                text = f"CDS_DATA_DIR: another Sightline is using this data folder (pid {owner}): {folder}"
                raise ConfigurationError([text]) from None
        time.sleep(0.1)


def _written(descriptor: int) -> int:
    text = os.pread(descriptor, 20, 0)
    return int(text) if text.isdigit() else 0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0

"""The servers that are compared, each in processes of its own, and what their processes cost."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.hook_settings import environment
from tests.e2e.site import free_port, until

OURS = "/cds-services/imaging-findings"
#: HealthChain mounts its services below /cds.
RIVALS = {"healthchain": f"/cds{OURS}", "fastapi": OURS}
_HERE, _ROOT = Path(__file__).parent, Path(__file__).parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """One that listens, and the address of its service."""

    port: int
    path: str
    process: int
    #: A file of so many bearer tokens; None where nobody has to prove who calls.
    proofs: Callable[[int], Path] | None = None

    def cpu_s(self) -> float:
        """What all its processes have used so far, in seconds."""
        return sum(_used(one) for one in _family(self.process)) / _TICKS


@contextlib.contextmanager
def sightline(data_dir: Path, port: int = 0, **further: object) -> Iterator[Server]:
    """The web role: gunicorn's threads, two workers."""
    port = port or free_port()
    with _running((sys.executable, "-m", "cds", "web"), port, environment(data_dir, port, **further)) as process:
        yield Server(port, OURS, process)


@contextlib.contextmanager
def under_gunicorn(python: str, name: str) -> Iterator[Server]:
    """A rival as fast as it is served: gunicorn with two of uvicorn's workers."""
    port = free_port()
    argv = (
        python, "-m", "gunicorn", "hook_rival:application()", "-k", "uvicorn_worker.UvicornWorker", "-w", "2",
        "-b", f"127.0.0.1:{port}", "--chdir", str(_HERE), "--log-level", "error",
    )  # fmt: skip
    with _running(argv, port, {"RIVAL": name}) as process:
        yield Server(port, RIVALS[name], process)


@contextlib.contextmanager
def under_uvicorn(python: str, name: str) -> Iterator[Server]:
    """A rival as its documentation serves it: uvicorn with two workers."""
    port = free_port()
    with _running((python, str(_HERE / "hook_rival.py"), str(port)), port, {"RIVAL": name}) as process:
        yield Server(port, RIVALS[name], process)


@contextlib.contextmanager
def _running(argv: tuple[str, ...], port: int, given: Mapping[str, str]) -> Iterator[int]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CDS_", "SIGHTLINE_"))}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(argv, cwd=_ROOT, env={**kept, **given}, stdout=quiet, stderr=quiet) as process:
        try:
            until(lambda: _listens(port), 60, f"{argv[:3]} to listen", every_s=0.1)
            yield process.pid
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _family(process: int) -> set[int]:
    """A process and all below it."""
    parents = {int(one.name): _stat(one.name)[1] for one in Path("/proc").iterdir() if one.name.isdigit()}
    found = {process}
    while further := {one for one, parent in parents.items() if parent in map(str, found)} - found:
        found |= further
    return found


def _used(process: int) -> int:
    fields = _stat(str(process))
    return int(fields[11]) + int(fields[12]) if fields[1] else 0


def _stat(process: str) -> list[str]:
    """The fields of /proc/PID/stat after the name (proc(5)); empty ones where it has ended."""
    with contextlib.suppress(OSError):
        return Path("/proc", process, "stat").read_text().rpartition(")")[2].split()
    return [""] * 13

"""The inference process as the worker sees it: one per device, spawned, restarted when it ends, cancelled by number.

Spawned and never forked: a fork after a multi-threaded forward hangs. Requests wait for their turn here; one runs.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any

from cds.domain.finding import ModelOutcome
from cds.domain.imaging import InstanceHeader, SeriesSummary, VolumeRef
from cds.errors import ConfigurationError, NotFound, OutOfResources, SightlineError, Unavailable
from models import child, selection
from models.manifest import Manifest
from models.task import Cancelled, ModelFailed
from models.wire import Answer, Failure, Options, Ready, Request

#: How often a waiting request looks at its cancel token, seconds.
POLL_S = 0.2

_ERRORS: dict[str, type[SightlineError]] = {
    "cancelled": Cancelled,
    "unavailable": Unavailable,
    "resources": OutOfResources,
    "not-found": NotFound,
    "model": ModelFailed,
}


@dataclass(frozen=True)
class _Child:
    process: SpawnProcess
    requests: Connection[Any, Any]
    lifeline: Connection[Any, Any]
    device: str


class Runtime:
    """Runs models in a process of their own. Thread-safe; `start_limit_s` and `run_limit_s` bound every wait."""

    def __init__(
        self,
        device: str = "auto",
        threads: int | None = None,
        *,
        folder: Path | None = None,
        start_limit_s: float = 120.0,
        run_limit_s: float = 900.0,
    ) -> None:
        self._options = Options(device, threads, str(folder) if folder else None)
        self._start_limit_s = start_limit_s
        self._run_limit_s = run_limit_s
        self._turn = threading.Lock()
        self._child: _Child | None = None
        self._number = 0
        self._closed = False

    def start(self) -> None:
        """Start the process and wait until its models are warm; ConfigurationError or Unavailable where it cannot."""
        with self._turn:
            self._ensure()

    @property
    def device(self) -> str:
        """The device in use, "" while no process runs."""
        running = self._child
        return running.device if running else ""

    def run(
        self, model_id: str, volume: VolumeRef, scratch: Path, cancelled: Callable[[], bool] = lambda: False
    ) -> ModelOutcome:
        """Wait for a turn, then for the model's answer.

        Raise Cancelled where the work is no longer wanted, Unavailable (try again) where the process ended or overran,
        OutOfResources where disk or memory is short, NotFound where the volume's file is gone, ModelFailed where the
        model broke.
        """
        while not self._turn.acquire(timeout=POLL_S):
            _check(cancelled)
        try:
            _check(cancelled)
            running = self._ensure()
            self._number += 1
            request = Request(self._number, model_id, volume, str(scratch))
            return _outcome(self._exchange(running, request, cancelled))
        finally:
            self._turn.release()

    def close(self) -> None:
        """End the process, a request under way with it; nothing can be run afterwards."""
        self._closed = True
        running, self._child = self._child, None
        if running is not None:
            _end(running)

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ensure(self) -> _Child:
        """The running process; a new one where there is none or it ended since the last request."""
        if self._closed:
            raise Unavailable("the inference process is being shut down")
        if self._child is not None and self._child.process.is_alive():
            return self._child
        self._drop()
        self._child = _started(self._options, self._start_limit_s)
        return self._child

    def _drop(self) -> None:
        gone, self._child = self._child, None
        if gone is not None:
            _end(gone)

    def _exchange(self, running: _Child, request: Request, cancelled: Callable[[], bool]) -> Answer | Failure:
        deadline = time.monotonic() + self._run_limit_s
        told = False
        try:
            running.requests.send(request)
            while time.monotonic() < deadline:
                reply = _received(running, POLL_S)
                if reply is not None and reply.number == request.number:
                    return reply
                if not told and cancelled():
                    running.lifeline.send(request.number)
                    told = True
        except (EOFError, OSError):
            self._drop()
            raise Unavailable("the inference process ended while it worked; it is started again") from None
        self._drop()
        raise Unavailable("the inference process took too long and was ended; it is started again")


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """An installed model as the pipeline sees it (`cds.ports.FindingModel`): the manifest chooses, the runtime runs."""

    manifest: Manifest
    runtime: Runtime

    @property
    def id(self) -> str:
        """The model's id, as in its manifest."""
        return self.manifest.id

    @property
    def version(self) -> str:
        """The model's version, as in its manifest."""
        return self.manifest.version

    def consumes(self, header: InstanceHeader) -> bool:
        """True where an instance like this may be part of what the model reads."""
        return selection.consumes(self.manifest, header)

    def choose(self, series: Sequence[SeriesSummary]) -> Sequence[SeriesSummary]:
        """The series worth trying, best first."""
        return selection.choose(self.manifest, series)

    def why_not(self, series: SeriesSummary) -> str | None:
        """Why the model does not try this series, in words; None where it does."""
        return selection.why_not(self.manifest, series)

    def run(self, volume: VolumeRef, scratch: Path, cancelled: Callable[[], bool] = lambda: False) -> ModelOutcome:
        """Infer on the device; a refusal is a NotEvaluated, not an exception."""
        return self.runtime.run(self.manifest.id, volume, scratch, cancelled)


def _started(options: Options, limit_s: float) -> _Child:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    ends, lifeline = context.Pipe(duplex=False)
    process = context.Process(target=child.serve, args=(theirs, ends, options), name="sightline-inference", daemon=True)
    process.start()
    theirs.close()
    ends.close()
    running = _Child(process, ours, lifeline, "")
    try:
        first = ours.recv() if ours.poll(limit_s) else None
    except (EOFError, OSError):
        first = None
    if isinstance(first, Ready):
        return _Child(process, ours, lifeline, first.device)
    _end(running)
    if isinstance(first, Failure):
        raise ConfigurationError(first.text.splitlines())
    raise Unavailable("the inference process did not start")


def _received(running: _Child, timeout_s: float) -> Answer | Failure | None:
    """The next reply; None where none came in time; EOFError where the process ended without one."""
    ready = wait([running.requests, running.process.sentinel], timeout=timeout_s)
    if running.requests in ready or (ready and running.requests.poll()):
        reply: Answer | Failure = running.requests.recv()
        return reply
    if ready:
        raise EOFError
    return None


def _end(running: _Child) -> None:
    """Closing the lifeline ends the process; one that does not listen any more is killed."""
    with contextlib.suppress(OSError):
        running.lifeline.close()
        running.requests.close()
    running.process.join(timeout=5.0)
    if running.process.is_alive():
        running.process.kill()
        running.process.join()
    with contextlib.suppress(ValueError):
        running.process.close()


def _outcome(reply: Answer | Failure) -> ModelOutcome:
    if isinstance(reply, Answer):
        return reply.outcome
    if reply.kind == "configuration":
        raise ConfigurationError(reply.text.splitlines())
    raise _ERRORS[reply.kind](reply.text)


def _check(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise Cancelled("the work was cancelled before its turn came")

"""The inference process as the worker sees it: one per device, spawned, restarted when it ends, cancelled by number.

Requests of several studies are in work at once; what they share a batch with is decided there, see `models.scheduler`.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Literal

from cds import metrics
from cds.domain.finding import ModelOutcome
from cds.domain.imaging import InstanceHeader, ModelInput, SeriesSummary
from cds.domain.inference import RunWish, StudyFacts
from cds.domain.longitudinal import Repeatability
from cds.errors import ConfigurationError, NotFound, OutOfResources, SightlineError, Unavailable
from models import process, selection
from models.manifest import Manifest
from models.process import InferenceProcess
from models.task import Cancelled, ModelFailed
from models.wire import Advanced, Answer, Failure, Message, Options, Request, Started

#: How often a waiting request looks at its cancel token, seconds.
POLL_S = 0.2
#: How long a request that overran may take to stop by itself before the process is ended, and others with it; seconds.
GRACE_S = 5.0

_ERRORS: dict[str, type[SightlineError]] = {
    "cancelled": Cancelled,
    "unavailable": Unavailable,
    "resources": OutOfResources,
    "not-found": NotFound,
    "model": ModelFailed,
}


class Runtime:
    """Runs models in a process of their own. Thread-safe; `start_limit_s` and `run_limit_s` bound every wait."""

    def __init__(
        self,
        device: str = "auto",
        threads: int | None = None,
        *,
        folder: Path | None = None,
        models_dir: Path | None = None,
        memory_mb: int = 0,
        in_work: int | None = None,
        torchscript: bool = False,
        start_limit_s: float = 300.0,
        run_limit_s: float = 900.0,
    ) -> None:
        self._options = Options(
            device,
            threads,
            str(folder) if folder else None,
            str(models_dir) if models_dir else None,
            memory_mb,
            in_work,
            torchscript,
        )
        self._start_limit_s = start_limit_s
        self._run_limit_s = run_limit_s
        self._starting = threading.Lock()
        self._process: InferenceProcess | None = None
        self._numbers = itertools.count(1)
        self._closed = False

    def start(self) -> None:
        """Start the process and wait until its models are warm; ConfigurationError or Unavailable where it cannot."""
        with self._starting:
            self._ensure()

    @property
    def device(self) -> str:
        """The device in use, "" while no process runs."""
        running = self._process
        return running.device if running else ""

    def run(self, model_id: str, given: ModelInput, scratch: Path, wish: RunWish | None = None) -> ModelOutcome:
        """Wait for the model's answer; many threads may wait at once, the most urgent is worked on first.

        Raise Cancelled where the work is no longer wanted, Unavailable (try again) where the process ended or overran,
        OutOfResources where disk or memory is short, NotFound where the volume's file is gone, ModelFailed where the
        model broke. `wish.progress` is called in this thread.
        """
        wish = wish or RunWish()
        running = self._running(wish.cancelled)
        request = Request(next(self._numbers), model_id, given, str(scratch), wish.urgency)
        inbox = running.ask(request)
        try:
            reply = self._reply(running, request.number, inbox, wish)
        finally:
            running.leave(request.number)
            metrics.INFERENCE_WAITING.set(running.waiting)
        _measure(model_id, reply)
        return _outcome(reply)

    def close(self) -> None:
        """End the process, requests under way with it; nothing can be run afterwards."""
        self._closed = True
        running, self._process = self._process, None
        if running is not None:
            running.end()

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _running(self, cancelled: Callable[[], bool]) -> InferenceProcess:
        _check(cancelled)
        while not self._starting.acquire(timeout=POLL_S):
            _check(cancelled)
        try:
            return self._ensure()
        finally:
            self._starting.release()

    def _ensure(self) -> InferenceProcess:
        """The running process; a new one where there is none or it ended since the last request."""
        if self._closed:
            raise Unavailable("the inference process is being shut down")
        if self._process is not None and self._process.is_alive:
            return self._process
        gone, self._process = self._process, None
        if gone is not None:
            gone.end()
        self._process = process.start(self._options, self._start_limit_s)
        return self._process

    def _reply(
        self, running: InferenceProcess, number: int, inbox: SimpleQueue[Message | None], wish: RunWish
    ) -> Answer | Failure:
        """Read the request's messages until its answer; the limit counts from when it was begun."""
        deadline, told = float("inf"), False
        while True:
            message = _received(inbox, POLL_S)
            if isinstance(message, Answer | Failure):
                return message
            if isinstance(message, Started):
                deadline = time.monotonic() + self._run_limit_s
                metrics.INFERENCE_WAITING.set(running.waiting)
            elif isinstance(message, Advanced):
                wish.progress(message.progress)
            if time.monotonic() > deadline:
                raise self._overrun(running, number, inbox)
            if not told and wish.cancelled():
                running.cancel(number)
                told = True

    def _overrun(self, running: InferenceProcess, number: int, inbox: SimpleQueue[Message | None]) -> Unavailable:
        """Ask it to stop, which spares the others; end the process where it does not hear."""
        running.cancel(number)
        until = time.monotonic() + min(GRACE_S, self._run_limit_s)
        while (left := until - time.monotonic()) > 0:
            if isinstance(_received(inbox, left), Answer | Failure):
                return Unavailable("the model took too long and was stopped")
        with self._starting:
            if running is self._process:
                self._process = None
            running.end()
        return Unavailable("the inference process took too long and was ended; it is started again")


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

    @property
    def reads(self) -> Literal["volume", "projection"]:
        """Whether it is given a volume or projections."""
        return self.manifest.inputs.kind

    def choose(self, series: Sequence[SeriesSummary], about: StudyFacts) -> Sequence[SeriesSummary]:
        """The series worth trying, best first; for projections those that it looks at together."""
        return selection.choose(self.manifest, series, about)

    def refusal(self, series: SeriesSummary, about: StudyFacts) -> tuple[str, str] | None:
        """The gate that keeps the model from this series, and the reason in words; None where it tries it."""
        return selection.refusal(self.manifest, series, about)

    def cautions(self, about: StudyFacts) -> tuple[str, ...]:
        """What the reader must know because it is not known of the study."""
        return selection.cautions(self.manifest, about)

    def is_urgent(self, about: StudyFacts) -> bool:
        """True where the order's reason makes the study urgent for this model."""
        return selection.is_urgent(self.manifest, about)

    @property
    def priors(self) -> int:
        """How many earlier studies it is compared with, at most."""
        return self.manifest.inputs.priors

    def repeatability(self, key: str) -> Repeatability | None:
        """The error of a finding's measurement; None where none is stated."""
        stated = self.manifest.output(key).repeatability
        return Repeatability(stated.source, stated.absolute, stated.percent) if stated else None

    def run(self, given: ModelInput, scratch: Path, wish: RunWish) -> ModelOutcome:
        """Infer on the device; a refusal is a NotEvaluated, not an exception."""
        return self.runtime.run(self.manifest.id, given, scratch, wish)


class _Nothing:
    """No message came in time."""


def _received(inbox: SimpleQueue[Message | None], timeout_s: float) -> Message | _Nothing:
    """The next message of a request; raise Unavailable where the process ended without an answer."""
    try:
        message = inbox.get(timeout=timeout_s)
    except queue.Empty:
        return _Nothing()
    if message is None:
        raise Unavailable("the inference process ended while it worked; it is started again")
    return message


def _measure(model_id: str, reply: Answer | Failure) -> None:
    """What the answer tells of the process goes to the metrics of this one."""
    for count in reply.counts:
        labels = {"model": count.model, "device": count.device}
        if count.what == "batches":
            metrics.MODEL_BATCHES.inc(count.amount, **labels)
        elif count.what == "items":
            metrics.MODEL_ITEMS.inc(count.amount, **labels)
        elif count.what == "evicted":
            metrics.MODEL_EVICTIONS.inc(count.amount, **labels)
        else:
            metrics.MODEL_MEMORY.inc(count.amount, outcome=count.what, **labels)
    if isinstance(reply, Answer):
        for step, duration_ms in reply.timings_ms.items():
            metrics.MODEL_SECONDS.observe(
                duration_ms / 1000.0, model=model_id, step=step, device=reply.device or "none"
            )


def _outcome(reply: Answer | Failure) -> ModelOutcome:
    if isinstance(reply, Answer):
        return reply.outcome
    if reply.kind == "configuration":
        raise ConfigurationError(reply.text.splitlines())
    raise _ERRORS[reply.kind](reply.text)


def _check(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise Cancelled("the work was cancelled before its turn came")

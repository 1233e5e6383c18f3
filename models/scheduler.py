"""The device's one thread and its queue: batches across requests, urgent items first, cancelled ones never.

A batch takes items of one model, shape and type from several requests. It waits a moment for more where it is not full
and others are on their way. What is more urgent overtakes between batches. A request that fails never takes others
along: the requests of a batch that failed are tried one by one.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import torch

from cds.errors import Cancelled
from models.compute import CPU, Compute, Tensors
from models.residents import Loaded
from models.task import Task

T = TypeVar("T")

#: The longest that a batch that is not full waits for items on their way, seconds.
WAIT_S = 0.01
#: How often somebody who waits for the device looks at the cancel token, seconds.
POLL_S = 0.1


@dataclass(eq=False)
class Job:
    """Items of one request that wait for the device, or work that wants it alone; `number`: the order of arrival."""

    model: Loaded
    urgency: int
    number: int
    cancelled: Callable[[], bool]
    items: Tensors = ()
    alone: Callable[[torch.nn.Module, torch.device], Any] | None = None
    on_cpu: bool = False
    taken: int = 0
    parts: list[Tensors] = field(default_factory=list)
    result: Any = None
    error: Exception | None = None
    where: torch.device | None = None
    seconds: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def kind(self) -> tuple[Any, ...]:
        """What items have in common that may share a batch."""
        return (self.model.id, self.on_cpu, *((tuple(x.shape[1:]), x.dtype) for x in self.items))

    @property
    def rank(self) -> tuple[int, int]:
        """The order in which jobs are served."""
        return self.urgency, self.number

    def end(self, error: Exception | None = None) -> None:
        """Answer the request that waits."""
        self.error = error
        self.done.set()


@dataclass(frozen=True)
class _Share:
    """What a batch takes of one job: items `start` to `end`."""

    job: Job
    start: int
    end: int


class Lane:
    """The queue before the device and the thread that serves it. Thread-safe."""

    def __init__(self, compute: Compute, threads: int | None = None) -> None:
        self.compute = compute
        self._threads = threads
        self._changed = threading.Condition()
        self._jobs: list[Job] = []
        self._coming: Counter[str] = Counter()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="device", daemon=True)

    def start(self) -> None:
        """Start the thread; returns once it has its share of the cores."""
        self._thread.start()
        self._up.wait()

    @contextmanager
    def coming(self, model: Loaded, by: int = 1) -> Iterator[None]:
        """Somebody prepares items for this model (`by` -1: no longer, for a while): a batch may wait for them."""
        self._expect(model.id, by)
        try:
            yield
        finally:
            self._expect(model.id, -by)

    def run(self, job: Job) -> None:
        """Wait until the job is done; raise its error, or Cancelled where it is no longer wanted and not at work."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("work that has the device alone uses the module that it is given, not the network")
        with self._changed:
            self._jobs.append(job)
            self._changed.notify_all()
        while not job.done.wait(POLL_S):
            if job.cancelled() and self._withdraw(job):
                job.end(_cancelled())
        if job.error is not None:
            raise job.error

    def _expect(self, model_id: str, by: int) -> None:
        with self._changed:
            self._coming[model_id] += by
            self._changed.notify_all()

    def _withdraw(self, job: Job) -> bool:
        with self._changed:
            if job not in self._jobs:
                return False
            self._jobs.remove(job)
            return True

    def _serve(self) -> None:
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        torch.get_num_threads()  # settles this thread's number before other threads set theirs
        self._up.set()
        while True:
            self._do(self._next())

    def _next(self) -> list[_Share]:
        """Wait for the most urgent job and make the batch that it leads."""
        deadline: float | None = None
        with self._changed:
            while True:
                self._drop_cancelled()
                if not self._jobs:
                    deadline = None
                    self._changed.wait()
                    continue
                first = min(self._jobs, key=lambda job: job.rank)
                batch, full = self._gathered(first)
                now = time.monotonic()
                deadline = deadline if deadline is not None else now + WAIT_S
                if full or now >= deadline or self._coming[first.model.id] <= 0:
                    return self._take(batch)
                self._changed.wait(deadline - now)

    def _drop_cancelled(self) -> None:
        for job in [job for job in self._jobs if job.cancelled()]:
            self._jobs.remove(job)
            job.end(_cancelled())

    def _gathered(self, first: Job) -> tuple[list[_Share], bool]:
        """What goes with the first job's items, the most urgent first, and whether there is room for no more."""
        if first.alone is not None:
            return [_Share(first, 0, 0)], True
        room = self.compute.limit(first.model, first.kind)
        shares: list[_Share] = []
        for job in sorted((job for job in self._jobs if self._may_share(first, job)), key=lambda job: job.rank):
            if room > 0:
                count = min(room, len(job.items[0]) - job.taken)
                shares.append(_Share(job, job.taken, job.taken + count))
                room -= count
        return shares, room <= 0

    def _may_share(self, first: Job, job: Job) -> bool:
        """True where both go into one batch; on a CPU a batch lasts by its items, so what is less urgent stays out."""
        if job.alone is not None or job.kind != first.kind:
            return False
        return job.urgency == first.urgency or self.compute.device != CPU

    def _take(self, batch: list[_Share]) -> list[_Share]:
        for share in batch:
            share.job.taken = share.end
            if share.job.alone is not None or share.end == len(share.job.items[0]):
                self._jobs.remove(share.job)
        return batch

    def _do(self, shares: list[_Share]) -> None:
        if self._tried(shares):
            return
        for share in shares:
            self._tried([share])

    def _tried(self, shares: list[_Share]) -> bool:
        """Run the batch; False where it failed and several requests share it, so that each is to be tried alone."""
        try:
            self._batch(shares)
        except Exception as error:  # noqa: BLE001 - the device's outermost loop: the request gets it, the thread lives on
            if len(shares) > 1:
                return False
            self._withdraw(shares[0].job)
            shares[0].job.end(error)
        return True

    def _batch(self, shares: list[_Share]) -> None:
        start = time.perf_counter()
        first = shares[0].job
        if first.alone is not None:
            first.result, first.where = self.compute.alone(first.model, first.alone)
            first.seconds += time.perf_counter() - start
            first.end()
            return
        outputs, where = self.compute.run(first.model, first.kind, _joined(shares), on_cpu=first.on_cpu)
        seconds = time.perf_counter() - start
        at = 0
        for share in shares:
            count = share.end - share.start
            # A part of a shared batch is copied: a view would keep the others' answers in memory.
            part = tuple(x[at : at + count] if len(shares) == 1 else x[at : at + count].clone() for x in outputs)
            self._deliver(share, part, where, seconds)
            at += count

    def _deliver(self, share: _Share, part: Tensors, where: torch.device, seconds: float) -> None:
        job = share.job
        job.parts.append(part)
        job.where = where
        job.on_cpu = job.on_cpu or where == CPU != self.compute.device
        job.seconds += seconds
        if share.end == len(job.items[0]):
            job.result = job.parts[0] if len(job.parts) == 1 else tuple(map(torch.cat, zip(*job.parts, strict=True)))
            job.end()


class RequestNetwork:
    """The network as one request's `infer` is given it (`models.network.Network`)."""

    def __init__(self, lane: Lane, model: Loaded, task: Task, urgency: int, number: int) -> None:
        self._lane = lane
        self._model = model
        self._task = task
        self._rank = (urgency, number)
        self._on_cpu = False
        self.waited_s = 0.0
        self.device_s = 0.0

    @property
    def device(self) -> torch.device:
        """Where it runs; the CPU once the device had too little memory even for one item."""
        return CPU if self._on_cpu else self._lane.compute.device

    def __call__(self, *items: torch.Tensor) -> Tensors:
        """See `models.network.Network`."""
        if not items or not len(items[0]) or any(len(x) != len(items[0]) for x in items):
            raise ValueError(f"a network is given {[len(x) for x in items]} items, want the same number of each, not 0")
        return cast(Tensors, self._run(self._job(items=tuple(x.detach() for x in items))))

    def alone(self, work: Callable[[torch.nn.Module, torch.device], T]) -> T:
        """See `models.network.Network`."""
        return cast(T, self._run(self._job(alone=work)))

    def _job(self, items: Tensors = (), alone: Callable[[torch.nn.Module, torch.device], object] | None = None) -> Job:
        return Job(self._model, *self._rank, self._task.cancelled, items=items, alone=alone, on_cpu=self._on_cpu)

    def _run(self, job: Job) -> object:
        self._task.check()
        start = time.perf_counter()
        with self._lane.coming(self._model, -1):
            self._lane.run(job)
        self.device_s += job.seconds
        self.waited_s += max(time.perf_counter() - start - job.seconds, 0.0)
        where = job.where or self._lane.compute.device
        self._on_cpu = self._on_cpu or where == CPU != self._lane.compute.device
        self._task.device = str(self.device)
        return job.result


def _joined(shares: list[_Share]) -> Tensors:
    parts = [tuple(x[share.start : share.end] for x in share.job.items) for share in shares]
    return parts[0] if len(parts) == 1 else tuple(map(torch.cat, zip(*parts, strict=True)))


def _cancelled() -> Cancelled:
    return Cancelled("the work was cancelled")

"""Decoding in processes of their own: what a hostile image costs there is one verdict, never the server.

Each process has bounds on memory, on the files that it writes and on the time of a task, begins with nothing of its
parent's (spawned, never forked) and ends with it. Codecs are native code: a crash ends a process, which is replaced.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pickle import PicklingError
from types import TracebackType
from typing import Any, TypeVar
from weakref import WeakSet

from pebble import ProcessExpired, ProcessPool

from adapters.dicom.confined import KINDS, Reply, confine, guarded, nothing, refused
from cds import logs
from cds.errors import NotEvaluable, SightlineError, Unavailable
from cds.limits import DicomLimits

T = TypeVar("T")

log = logs.get_logger(__name__)

#: A process is replaced after so many tasks: what a codec leaks goes with it. One task is a few slices.
_TASKS = 2000
#: So many tasks beyond those that run wait inside the pool; the others are not handed over yet.
_AHEAD = 2
#: How long a task may wait for its turn, in multiples of its own time: behind others, or while processes start.
_PATIENCE = 20
#: How often somebody who waits looks whether there are processes at all, seconds.
_LOOK_S = 1.0
#: Signals that somebody else sends, the kernel's out-of-memory killer among them: no verdict on the image.
_FROM_OUTSIDE = frozenset({-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP})


class DecodePool:
    """Runs functions that decode what strangers sent. Thread-safe; its processes start with the first task.

    Each process may take `decode_memory_bytes` above what its libraries need, and `decode_timeout_s` for a task.
    """

    def __init__(self, limits: DicomLimits, *, processes: int | None = None) -> None:
        self._limits = limits
        self.processes = limits.decode_processes if processes is None else processes
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None
        self._under_way: WeakSet[Future[Reply]] = WeakSet()
        self._closed = False

    def call(self, function: Callable[..., T], *args: Any, timeout_s: float | None = None) -> T:
        """`function(*args)` in one of the processes: a function of a module, with arguments and a value that pickle.

        Raise what it raises of `cds.errors`; NotEvaluable (gate "decode") where it crashed, took too long or wanted
        too much memory; Unavailable where the processes cannot be had. Any other exception of it is a mistake of ours.
        """
        limit_s = self._limits.decode_timeout_s if timeout_s is None else timeout_s
        value: T = self._outcome(self._scheduled(function, args, limit_s), limit_s)
        return value

    def each(
        self, function: Callable[..., T], arguments: Iterable[tuple[Any, ...]], *, timeout_s: float | None = None
    ) -> Iterator[tuple[int, T]]:
        """`call` for each, several at once: (number, value) as they are done; the first error ends it.

        Whatever way it ends, none of its tasks runs afterwards.
        """
        limit_s = self._limits.decode_timeout_s if timeout_s is None else timeout_s
        running: dict[Future[Reply], int] = {}
        waiting = enumerate(arguments)
        try:
            while True:
                for number, args in waiting:
                    running[self._scheduled(function, args, limit_s)] = number
                    if len(running) >= self.processes + _AHEAD:
                        break
                if not running:
                    return
                for future in self._first(running, limit_s):
                    yield running.pop(future), self._outcome(future, limit_s)
        finally:
            while running:
                for future in self._first(running, limit_s):
                    del running[future]

    def start(self) -> None:
        """Start the processes now, so that the first image does not wait for them."""
        for _ in self.each(nothing, [() for _ in range(self.processes)]):
            pass

    def close(self) -> None:
        """End the processes, and what they do; nothing can be run afterwards."""
        with self._lock:
            self._closed = True
            self._end()

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _scheduled(self, function: Callable[..., T], args: tuple[Any, ...], limit_s: float) -> Future[Reply]:
        try:
            future: Future[Reply] = self._running().schedule(guarded, args=(function, args, limit_s), timeout=limit_s)
        except RuntimeError as error:  # it broke since it was looked at
            raise Unavailable("want processes for decoding: they ended and are started again") from error
        with self._lock:
            self._under_way.add(future)
        return future

    def _first(self, futures: Collection[Future[Reply]], limit_s: float) -> Collection[Future[Reply]]:
        """Those that are done, at least one; all, cancelled, where no process will ever do them."""
        deadline = time.monotonic() + limit_s * _PATIENCE
        while True:
            wait(futures, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
            done = [future for future in futures if future.done()]  # `wait` overlooks cancelled ones
            if done:
                return done
            with self._lock:
                gone = self._pool is None or not self._pool.active
            if gone or time.monotonic() > deadline:
                for future in futures:
                    future.cancel()

    def _running(self) -> ProcessPool:
        with self._lock:
            if self._closed:
                raise Unavailable("want processes for decoding: they are being shut down")
            if self._pool is not None and not self._pool.active:
                log.warning("decoding processes ended and are started again")
                self._end()
            if self._pool is None:
                limits = self._limits
                self._pool = ProcessPool(
                    max_workers=self.processes,
                    max_tasks=_TASKS,
                    initializer=confine,
                    initargs=(limits.decode_memory_bytes, limits.max_series_bytes),
                    context=multiprocessing.get_context("spawn"),
                )
            return self._pool

    def _end(self) -> None:
        """End the processes; what they did and what waited for them is cancelled, so that nobody waits for it."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        pool.stop()  # type: ignore[no-untyped-call]  # pebble annotates what it takes, not that it answers nothing
        pool.join()
        for future in list(self._under_way):
            future.cancel()

    def _outcome(self, future: Future[Reply], limit_s: float) -> Any:
        self._first([future], limit_s)
        try:
            reply = future.result()
        except ProcessExpired as expired:
            raise _crashed(expired.exitcode) from None
        except TimeoutError:
            log.warning("a decoding task took too long", duration_ms=round(limit_s * 1000))
            raise refused(f"decoding it takes longer than {limit_s:g} s") from None
        except PicklingError:
            raise refused("the decoder failed on it") from None
        except (BrokenProcessPool, CancelledError) as error:
            raise Unavailable("want processes for decoding: they ended and are started again") from error
        if not reply.error:
            return reply.value
        if reply.error == "not-evaluable":
            raise NotEvaluable(reply.text, gate=reply.gate)
        raise KINDS[reply.error](reply.text)


def _crashed(exit_code: int) -> SightlineError:
    log.warning("a decoding process ended", exit_code=exit_code)
    if exit_code in _FROM_OUTSIDE:
        return Unavailable("want processes for decoding: one was ended from outside")
    return refused("the decoder crashed on it")

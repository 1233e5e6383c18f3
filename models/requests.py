"""Requests wait here for a thread that prepares and interprets: the most urgent first, in the order of arrival.

One thread more than `in_work` is kept for a request that is more urgent than everything in work.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from models.wire import Request


@dataclass(frozen=True, order=True)
class Waiting:
    """A request in the order in which it gets a thread, and when it came (`time.monotonic`)."""

    urgency: int
    number: int
    request: Request = field(compare=False)
    since: float = field(compare=False)


class Requests:
    """A bounded number of threads that call `work` for each request. Thread-safe."""

    def __init__(self, in_work: int, work: Callable[[Waiting], None]) -> None:
        self._in_work = in_work
        self._work = work
        self._changed = threading.Condition()
        self._waiting: list[Waiting] = []
        self._urgencies: dict[int, int] = {}

    def start(self) -> None:
        """Start the threads."""
        for number in range(self._in_work + 1):
            threading.Thread(target=self._serve, name=f"request-{number}", daemon=True).start()

    def put(self, request: Request) -> None:
        """Let the request wait for its turn."""
        with self._changed:
            heapq.heappush(self._waiting, Waiting(request.urgency, request.number, request, time.monotonic()))
            self._changed.notify_all()

    def forget(self, number: int) -> bool:
        """Take the request out while it still waits; False where it does not."""
        with self._changed:
            kept = [waiting for waiting in self._waiting if waiting.number != number]
            found = len(kept) < len(self._waiting)
            heapq.heapify(kept)
            self._waiting = kept
            return found

    def _serve(self) -> None:
        torch.set_num_threads(1)  # several of these work at once; the device's thread has the cores
        while True:
            waiting = self._next()
            try:
                self._work(waiting)
            finally:
                with self._changed:
                    del self._urgencies[waiting.number]
                    self._changed.notify_all()

    def _next(self) -> Waiting:
        with self._changed:
            while not self._has_turn():
                self._changed.wait()
            waiting = heapq.heappop(self._waiting)
            self._urgencies[waiting.number] = waiting.urgency
            return waiting

    def _has_turn(self) -> bool:
        if not self._waiting or len(self._urgencies) > self._in_work:
            return False
        if len(self._urgencies) < self._in_work:
            return True
        return all(self._waiting[0].urgency < urgency for urgency in self._urgencies.values())

"""One spawned inference process as its parent sees it: requests go in by number, messages come back to each.

Spawned and never forked: a fork after a multi-threaded forward hangs.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from typing import Any

from cds.errors import ConfigurationError, Unavailable
from models import child
from models.wire import Answer, Failure, Message, Options, Ready, Request

#: How long a process is given to end by itself, seconds.
_END_S = 5.0


class InferenceProcess:
    """A process that is ready for requests. Thread-safe; it ends with its parent."""

    def __init__(
        self, process: SpawnProcess, pipe: Connection[Any, Any], lifeline: Connection[Any, Any], device: str
    ) -> None:
        self.device = device
        self._process = process
        self._pipe = pipe
        self._lifeline = lifeline
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._inboxes: dict[int, SimpleQueue[Message | None]] = {}
        self._waiting: set[int] = set()
        self._gone = False
        self._ending = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="inference-answers", daemon=True)
        self._reader.start()

    @property
    def is_alive(self) -> bool:
        """False once it ended, or is being ended."""
        return not self._gone and self._process.is_alive()

    @property
    def waiting(self) -> int:
        """How many requests wait there for their turn."""
        return len(self._waiting)

    def ask(self, request: Request) -> SimpleQueue[Message | None]:
        """Send a request; its messages come into the queue, None where the process ends without an answer."""
        inbox: SimpleQueue[Message | None] = SimpleQueue()
        with self._lock:
            if self._gone:
                inbox.put(None)
                return inbox
            self._inboxes[request.number] = inbox
            self._waiting.add(request.number)
        try:
            with self._sending:
                self._pipe.send(request)
        except OSError:
            self._lose()
        return inbox

    def cancel(self, number: int) -> None:
        """Say that a request is no longer wanted; its answer still comes."""
        with self._sending, contextlib.suppress(OSError):
            self._lifeline.send(number)

    def leave(self, number: int) -> None:
        """Want no more messages of a request; one that has no answer yet is cancelled."""
        with self._lock:
            unanswered = self._inboxes.pop(number, None) is not None
            self._waiting.discard(number)
        if unanswered:
            self.cancel(number)

    def end(self) -> None:
        """End it, whatever it does: closing the lifeline is enough; one that does not listen any more is killed."""
        self._lose()
        with self._ending:
            if self._pipe.closed:
                return
            self._lifeline.close()
            self._process.join(timeout=_END_S)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._reader.join()
            self._pipe.close()
            self._process.close()

    def _read(self) -> None:
        while True:
            message = self._received()
            if message is None:
                return self._lose()
            with self._lock:
                self._waiting.discard(message.number)
                answers = isinstance(message, Answer | Failure)
                inbox = self._inboxes.pop(message.number, None) if answers else self._inboxes.get(message.number)
            if inbox is not None:
                inbox.put(message)

    def _received(self) -> Message | None:
        """The next message; None where the process ended."""
        try:
            wait([self._pipe, self._process.sentinel])
            if not self._pipe.poll():
                return None
            message: Message = self._pipe.recv()
        except (EOFError, OSError):
            return None
        return message

    def _lose(self) -> None:
        """Tell everybody who waits that no answer comes."""
        with self._lock:
            self._gone = True
            lost, self._inboxes = list(self._inboxes.values()), {}
            self._waiting.clear()
        for inbox in lost:
            inbox.put(None)


def start(options: Options, limit_s: float) -> InferenceProcess:
    """Start a process and wait until it is ready; ConfigurationError or Unavailable where it does not become so."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    ends, lifeline = context.Pipe(duplex=False)
    process = context.Process(target=child.serve, args=(theirs, ends, options), name="sightline-inference", daemon=True)
    process.start()
    theirs.close()
    ends.close()
    try:
        first = ours.recv() if ours.poll(limit_s) else None
    except (EOFError, OSError):
        first = None
    running = InferenceProcess(process, ours, lifeline, first.device if isinstance(first, Ready) else "")
    if isinstance(first, Ready):
        return running
    running.end()
    if isinstance(first, Failure):
        raise ConfigurationError(first.text.splitlines())
    raise Unavailable("the inference process did not start")

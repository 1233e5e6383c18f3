"""The inference process: loads the models once, answers many requests at a time, ends with its parent.

Only this process imports torch. A thread listens to the lifeline: numbers on it cancel requests; its end means that the
parent is gone, by whatever way, and the process ends at once. (PR_SET_PDEATHSIG would tie it to the one thread of the
parent that started it.)
"""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cds.domain.inference import Progress
from cds.errors import ConfigurationError, NotFound, OutOfResources, SightlineError, Unavailable
from models.task import Cancelled, ModelFailed, Task
from models.wire import Advanced, Answer, Failure, Kind, Message, Options, Ready, Request, Started

if TYPE_CHECKING:
    from models.engine import Engine
    from models.requests import Waiting

Pipe: TypeAlias = "Connection[Any, Any]"

#: The least time between two words of progress of one request, seconds.
_PROGRESS_S = 0.2
#: Errors whose texts are the project's own and go to the parent as they are; the narrower kind first.
_KINDS: dict[type[SightlineError], Kind] = {
    Cancelled: "cancelled",
    OutOfResources: "resources",
    Unavailable: "unavailable",
    NotFound: "not-found",
    ConfigurationError: "configuration",
    ModelFailed: "model",
}


class _Outbox:
    """The pipe to the parent, for many threads."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def send(self, message: Ready | Message) -> None:
        """Send whole messages; the parent's end is seen on the lifeline, not here."""
        with self._lock:
            try:
                self._pipe.send(message)
            except OSError:
                os._exit(0)


class _Desk:
    """Takes requests and cancellations, and answers."""

    def __init__(self, outbox: _Outbox, engine: Engine) -> None:
        from models.requests import Requests

        self._outbox = outbox
        self._engine = engine
        self._cancelled: set[int] = set()
        self.requests = Requests(engine.in_work, self._work)

    def cancel(self, number: int) -> None:
        """No longer wanted: a request that waits is answered at once, one in work at its next look."""
        self._cancelled.add(number)
        if self.requests.forget(number):
            self._answer(Failure(number, "cancelled", "the work was cancelled before its turn came"))

    def _work(self, waiting: Waiting) -> None:
        number = waiting.number
        self._outbox.send(Started(number))
        self._answer(self._result(waiting))

    def _answer(self, reply: Answer | Failure) -> None:
        self._cancelled.discard(reply.number)
        self._outbox.send(reply)

    def _result(self, waiting: Waiting) -> Answer | Failure:
        number = waiting.number
        told = _Told(self._outbox, number)
        task = Task(Path(waiting.request.scratch), lambda: number in self._cancelled, told=told)
        try:
            return self._engine.run(waiting, task)
        except tuple(_KINDS) as error:
            kind = next(kind for known, kind in _KINDS.items() if isinstance(error, known))
            return Failure(number, kind, str(error), self._engine.ledger.take())
        except Exception as error:  # noqa: BLE001 - the outermost loop: the request gets an answer, the process lives on
            text = f"{waiting.request.model_id} failed: {_kind_and_place(error)}"
            return Failure(number, "model", text, self._engine.ledger.take())


class _Told:
    """Sends how far a request is, but not more often than anybody reads it; the end of a step always."""

    def __init__(self, outbox: _Outbox, number: int) -> None:
        self._outbox = outbox
        self._number = number
        self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last >= _PROGRESS_S or progress.done == progress.total:
            self._last = now
            self._outbox.send(Advanced(self._number, progress))


def serve(requests: Pipe, lifeline: Pipe, options: Options) -> None:
    """Answer requests until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listener = _Listener(lifeline)
    threading.Thread(target=listener.listen, name="lifeline", daemon=True).start()
    outbox = _Outbox(requests)
    try:
        engine = _started(options)
    except SightlineError as error:
        outbox.send(Failure(0, "configuration", str(error)))
        return
    except Exception as error:  # noqa: BLE001 - a model that cannot be loaded stops the start, in words
        outbox.send(Failure(0, "configuration", f"a model cannot be loaded: {_kind_and_place(error)}"))
        return
    desk = _Desk(outbox, engine)
    listener.cancel = desk.cancel
    desk.requests.start()
    outbox.send(Ready(engine.device))
    _receive(requests, desk)


class _Listener:
    """Hears the numbers of requests that are no longer wanted, and the end of the parent."""

    def __init__(self, lifeline: Pipe) -> None:
        self._lifeline = lifeline
        self.cancel: Callable[[int], None] = _no_request_yet

    def listen(self) -> None:
        """Until the parent ends, and this process with it."""
        try:
            while True:
                number: int = self._lifeline.recv()
                self.cancel(number)
        except (EOFError, OSError):
            os._exit(0)


def _no_request_yet(_number: int) -> None:
    return None


def _started(options: Options) -> Engine:
    from models.engine import open_engine

    engine = open_engine(options)
    engine.start()
    return engine


def _receive(requests: Pipe, desk: _Desk) -> None:
    while True:
        try:
            request: Request = requests.recv()
        except EOFError:
            os._exit(0)  # threads at work would trip over an interpreter that ends
        desk.requests.put(request)


def _kind_and_place(error: Exception) -> str:
    """The type of the error and the last place in the code it came from; never its text, which may quote the input."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"

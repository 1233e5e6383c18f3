"""Group commit: what came over all connections goes to the log together, with one sync of the disk.

A commit costs nearly the same for one message as for twenty, and senders wait for their answer before they send again.
So a commit waits a little for those who sent lately: no longer than half of what the last commit took (PostgreSQL's
commit_delay does the same). A single sender waits for nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from cds.domain.message import LoggedMessage, RawMessage
from cds.ports import MessageLog

#: Messages and bytes of one transaction.
_GROUP = 256
_GROUP_BYTES = 32 * 1024 * 1024
_LONGEST_WAIT_S = 0.005
_DRAIN_S = 0.005
#: Gives what the log has of the messages, in their order, or raises why it has none of them.
Outcome = Callable[[], Sequence[LoggedMessage]]
_Waiting = tuple[Sequence[RawMessage], Callable[[Outcome], None]]


class GroupCommit:
    """One commit at a time, in a thread; everything that waits joins the next one. It belongs to one event loop."""

    def __init__(self, log: MessageLog) -> None:
        self._log = log
        self._thread = ThreadPoolExecutor(1, "commit")
        self._waiting: deque[_Waiting] = deque()
        self._group: list[_Waiting] = []
        self._is_committing = False
        self._timer: asyncio.Handle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        #: How many senders there were lately, and how long to wait for them; seconds.
        self._expected = 1
        self._patience_s = 0.0
        self._began = 0.0

    def put(self, messages: Sequence[RawMessage], done: Callable[[Outcome], None]) -> None:
        """Call `done` from the event loop once the commit is over; it must not raise."""
        loop = self._loop = self._loop or asyncio.get_running_loop()
        self._waiting.append((messages, done))
        if not self._is_committing:
            self._gather(loop)

    async def drain(self) -> None:
        """Commit what waits."""
        while self._waiting or self._is_committing:
            await asyncio.sleep(_DRAIN_S)

    def _gather(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin once all are here who are expected, or nobody else comes in time."""
        if len(self._waiting) >= self._expected:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_soon(self._begin)  # behind what came in the same round of the loop
            self._is_committing = True
        elif self._timer is None:
            self._timer = loop.call_later(self._patience_s, self._begin)

    def _begin(self) -> None:
        """Send the next group to the log."""
        self._timer, self._is_committing, size = None, True, 0
        while self._waiting and len(self._group) < _GROUP and size < _GROUP_BYTES:
            waiting = self._waiting.popleft()
            self._group.append(waiting)
            size += sum(len(message.raw) for message in waiting[0])
        messages = [message for sent, _ in self._group for message in sent]
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        committing = self._thread.submit(self._log.append, messages)
        committing.add_done_callback(partial(_tell, loop, self._done))

    def _done(self, committing: Future[Sequence[LoggedMessage]]) -> None:
        """Tell the group, and go on with what came meanwhile."""
        group, self._group = self._group, []
        loop, at = asyncio.get_running_loop(), 0
        for messages, done in group:
            done(partial(_part, committing, at, at + len(messages)))
            at += len(messages)
        self._expected = min(len(group) + len(self._waiting), _GROUP)
        self._patience_s = min((loop.time() - self._began) / 2, _LONGEST_WAIT_S)
        self._is_committing = False
        if self._waiting:
            self._gather(loop)


def _tell(
    loop: asyncio.AbstractEventLoop,
    done: Callable[[Future[Sequence[LoggedMessage]]], None],
    committing: Future[Sequence[LoggedMessage]],
) -> None:
    """From the thread; where the loop was closed meanwhile, nobody waits any more."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(done, committing)


def _part(committing: Future[Sequence[LoggedMessage]], begin: int, end: int) -> Sequence[LoggedMessage]:
    return committing.result()[begin:end]

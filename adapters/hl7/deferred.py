"""Application acknowledgments of enhanced mode over the connection that the message came by (HL7 v2.5.1 section 2.9.3).

For senders that do not say where else they take them; those are sent durably, by `adapters.hl7.replies`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from adapters.hl7 import ack
from adapters.hl7.mode import is_wanted
from adapters.hl7.receive import Awaited
from cds.domain.message import MessageState
from cds.errors import SightlineError
from cds.logs import get_logger

#: What became of messages, by their place in the log; those that are not applied yet are not in it.
Outcomes = Callable[[Collection[int]], Mapping[int, tuple[MessageState, str]]]

_log = get_logger(__name__)
_EVERY_S = 0.25
#: Messages whose outcome is awaited, of all connections; the oldest are forgotten first.
_MOST = 10_000
#: Asked for at once.
_AT_ONCE = 500


class Told(Protocol):
    """A connection, as it is told of its messages."""

    def tell(self, block: bytes) -> None:
        """Write a block between two answers; nothing where the connection is closed."""
        ...


class Deferred:
    """Remembers whom to tell, asks four times a second, and forgets who left."""

    def __init__(self, outcomes: Outcomes, now: Callable[[], datetime]) -> None:
        self._outcomes = outcomes
        self._now = now
        self._waiting: dict[tuple[int, Told], Awaited] = {}
        self._timer: asyncio.Handle | None = None

    def expect(self, connection: Told, awaited: Sequence[Awaited]) -> None:
        """Tell this connection what becomes of these messages, if it is still there then."""
        for one in awaited:
            self._waiting[one.id, connection] = one
        while len(self._waiting) > _MOST:
            del self._waiting[next(iter(self._waiting))]
        self._ask_later()

    def forget(self, connection: Told) -> None:
        """The connection is closed."""
        for key in [key for key in self._waiting if key[1] is connection]:
            del self._waiting[key]

    def _ask_later(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = asyncio.get_running_loop().call_later(_EVERY_S, self._ask)

    def _ask(self) -> None:
        ids = sorted({id_ for id_, _ in self._waiting})[:_AT_ONCE]
        if not ids:
            self._timer = None
            return
        asked = asyncio.get_running_loop().run_in_executor(None, self._outcomes, ids)
        asked.add_done_callback(self._tell)

    def _tell(self, asked: asyncio.Future[Mapping[int, tuple[MessageState, str]]]) -> None:
        self._timer = None
        error = None if asked.cancelled() else asked.exception()
        if isinstance(error, SightlineError):
            _log.warning("results wait to be told", error=type(error).__name__)
        elif error is not None:
            _log.error("results cannot be told", exc_info=error)
        elif not asked.cancelled():
            self._tell_each(asked.result())
        self._ask_later()

    def _tell_each(self, outcomes: Mapping[int, tuple[MessageState, str]]) -> None:
        for key, awaited in list(self._waiting.items()):
            state, reason = outcomes.get(key[0], (MessageState.RECEIVED, ""))
            if state is MessageState.RECEIVED:
                continue
            del self._waiting[key]
            if is_wanted(awaited.condition, state):
                key[1].tell(ack.applied(awaited.header, state, reason, self._now()))

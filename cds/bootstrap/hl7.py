"""The HL7 v2 edge over its log and record: the listeners, and the loop that applies what they committed."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from cds import intake, metrics, tls
from cds.bootstrap import Stores
from cds.clock import SystemClock
from cds.destinations import sender_name
from cds.domain.message import MessageState, RawMessage
from cds.errors import InvalidMessage, SightlineError
from cds.logs import get_logger
from cds.ports import Channel, MessageLog, MessageReader
from cds.settings import Settings
from cds.store import schema
from cds.store.checkpoint import Checkpoints
from cds.store.engine import Database, open_messages
from cds.store.message_log import SqlMessageLog
from cds.store.message_outcomes import outcomes
from cds.store.record import Answer, RecordStore

if TYPE_CHECKING:
    from adapters.hl7.server import MllpServer

log = get_logger(__name__)

#: How often the depth of the inbox is looked at.
_LOOK_S = 1.0
#: Objects, and collections of the generation before, between two collections.
_THRESHOLDS = (20_000, 20, 50)


def message_log(settings: Settings) -> SqlMessageLog:
    """The inbox; raise ConfigurationError where its tables are not at the newest revision."""
    return _log_of(open_messages(settings.data_dir, settings.database_url), settings)


def _log_of(inbox: Database, settings: Settings) -> SqlMessageLog:
    schema.check(inbox, "inbox")
    return SqlMessageLog(inbox, window_h=settings.hl7_duplicate_window_h)


def reader(settings: Settings) -> MessageReader:
    """What turns raw messages into what they say, with the senders' profiles."""
    from adapters.hl7.read import Reader

    return Reader(
        settings.assigning_authority,
        settings.accession_issuer,
        settings.accession_fallback,
        settings.time_zone,
        settings.senders,
    )


def applying(settings: Settings, held: Stores) -> Callable[[], int]:
    """What applies the next messages of the log."""
    messages: MessageLog = message_log(settings)
    read, clock = reader(settings), SystemClock(settings.time_zone)
    record = RecordStore(held.database, _results(settings, clock))
    return lambda: intake.apply_next(messages, read, record, clock)


async def listen(
    settings: Settings, held: Stores, stopped: threading.Event, alive: Callable[[], AbstractContextManager[None]]
) -> None:
    """Listen on every door until stopped, then let the messages in work get their answers."""
    from adapters.hl7.commit import GroupCommit
    from adapters.hl7.deferred import Deferred
    from adapters.hl7.receive import Receiver
    from adapters.hl7.server import MllpServer
    from cds.bootstrap.hl7_load import watch_folder

    database = open_messages(settings.data_dir, settings.database_url, checkpointed=True)
    messages, clock = _log_of(database, settings), SystemClock(settings.time_zone)
    commit = GroupCommit(messages)
    receiver = Receiver(commit, clock, settings.senders)
    inbox = _Inbox(messages, RecordStore(held.database), settings.hl7_limits.max_inbox_depth)
    deferred = Deferred(lambda ids: outcomes(held.database, ids), clock.now)
    servers = [
        MllpServer(
            door.host,
            door.port,
            settings.hl7_limits,
            receiver,
            tls.listener(door.tls),
            allowed_peers=door.allowed_peers,
            crowded=lambda: inbox.is_full,
            deferred=deferred,
        )
        for door in settings.hl7_doors.values()
    ]
    watching = asyncio.create_task(inbox.watch())
    await _start(servers)
    with alive(), Checkpoints(database):
        await asyncio.gather(
            asyncio.to_thread(stopped.wait),
            asyncio.to_thread(watch_folder, settings, stopped, lambda: inbox.is_full),
        )
    await asyncio.gather(*(server.drain(settings.drain_s / 2) for server in servers))
    await commit.drain()
    receiver.flush()
    watching.cancel()


async def _start(servers: Sequence[MllpServer]) -> None:
    """A listener makes no cycles to speak of: looking for them takes a tenth of its time at Python's own thresholds."""
    for server in servers:
        await server.start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


class _Inbox:
    """Whether more messages wait to be applied than the site allows, as it was a second ago at most."""

    def __init__(self, messages: SqlMessageLog, record: RecordStore, most: int) -> None:
        self.is_full = False
        self._messages = messages
        self._record = record
        self._most = most

    async def watch(self) -> None:
        """Look once a second; where the database cannot be asked, what was seen last holds."""
        while True:
            try:
                waiting = await asyncio.to_thread(self._waiting)
                self.is_full = waiting >= self._most
                metrics.HL7_WAITING.set(waiting)
            except SightlineError as error:
                log.warning("the depth of the inbox is not known", error=type(error).__name__)
            await asyncio.sleep(_LOOK_S)

    def _waiting(self) -> int:
        applied = self._record.applied_up_to()
        return self._messages.newest_id() - applied


def acknowledgments(settings: Settings) -> dict[str, Channel]:
    """Where application acknowledgments of enhanced mode go, by their destination's name."""
    from adapters.hl7.replies import ReplyChannel

    named = {f"acknowledgment:{name}": sender.reply_to for name, sender in settings.senders.items()}
    return {name: ReplyChannel(name, to) for name, to in named.items() if to}


def _results(settings: Settings, clock: SystemClock) -> Answer:
    """How the result of a message is told to a sender that wants it and says where."""
    from adapters.hl7 import ack
    from adapters.hl7.mode import is_wanted

    def result(
        message: RawMessage, state: MessageState, reason: str, error: InvalidMessage | None
    ) -> tuple[str, bytes] | None:
        name = sender_name(settings.senders, message.sending_application, message.sending_facility)
        if name is None or settings.senders[name].reply_to is None or not is_wanted(message.wants_result, state):
            return None
        return f"acknowledgment:{name}", ack.result(message, state, reason, error, clock.now())

    return result

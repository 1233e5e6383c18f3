"""The append-only HL7 v2 inbox: raw bytes, committed with fsync before the acknowledgment, in groups.

One thread commits what has gathered since its last commit: at sixteen connections this costs a fifth of an fsync a
message. Implements `cds.ports.MessageLog`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from sqlmodel import Session, col, select

from cds.domain.message import LoggedMessage, RawMessage
from cds.errors import SightlineError, Unavailable
from cds.logs import get_logger
from cds.store.engine import Database, lock
from cds.store.tables import MessageRow

log = get_logger(__name__)

_GROUP = 256
_Entry = tuple[RawMessage, "Future[LoggedMessage]"]


class SqlMessageLog:
    """A message log in a database. `start` before `append`; `close` commits what waits."""

    def __init__(self, database: Database, *, inbox_depth: int = 4096) -> None:
        self._database = database
        self._waiting: queue.Queue[_Entry | None] = queue.Queue(inbox_depth)
        self._thread = threading.Thread(target=self._commit_groups, name="message-log", daemon=True)

    def start(self) -> None:
        """Start the committing thread."""
        self._thread.start()

    def close(self) -> None:
        """Commit what waits, then stop."""
        self._waiting.put(None)
        self._thread.join()

    def append(self, message: RawMessage) -> Future[LoggedMessage]:
        """See the port. A full inbox fails at once with Unavailable: the sender keeps its message."""
        future: Future[LoggedMessage] = Future()
        try:
            self._waiting.put_nowait((message, future))
        except queue.Full:
            future.set_exception(Unavailable("the inbox is full; try again later"))
        return future

    def after(self, message_id: int, limit: int) -> Sequence[LoggedMessage]:
        """The next messages in order of arrival."""
        with self._database.reading() as session:
            rows = session.exec(
                select(MessageRow).where(col(MessageRow.id) > message_id).order_by(col(MessageRow.id)).limit(limit)
            ).all()
            return [LoggedMessage(row.id or 0, _message(row)) for row in rows]

    def _commit_groups(self) -> None:
        while (first := self._waiting.get()) is not None:
            group = [first]
            while len(group) < _GROUP and not self._waiting.empty():
                entry = self._waiting.get_nowait()
                if entry is None:
                    self._commit(group)
                    return
                group.append(entry)
            self._commit(group)

    def _commit(self, group: list[_Entry]) -> None:
        try:
            with self._database.writing() as session:
                lock(session, "message-log")  # ids become visible in their order
                logged = [_insert(session, message) for message, _ in group]
        except SightlineError as error:
            _fail(group, error)
            return
        except Exception as error:  # the thread's outer loop: senders get an answer, and the next group its turn
            log.error("messages could not be committed", count=len(group), exc_info=error)
            _fail(group, Unavailable("the message could not be stored; try again later"))
            return
        for (_, future), message in zip(group, logged, strict=True):
            future.set_result(message)


def _fail(group: list[_Entry], error: SightlineError) -> None:
    for _, future in group:
        future.set_exception(error)


def _insert(session: Session, message: RawMessage) -> LoggedMessage:
    values: dict[str, Any] = {
        "sending_application": message.sending_application,
        "sending_facility": message.sending_facility,
        "control_id": message.control_id,
        "sha256": message.sha256,
        "message_type": message.message_type,
        "trigger_event": message.trigger_event,
        "version": message.version,
        "processing_id": message.processing_id,
        "character_set": message.character_set,
        "peer": message.peer,
        "received_at": message.received_at,
        "raw": message.raw,
    }
    same = [col(getattr(MessageRow, k)) == values[k] for k in ("sending_application", "sending_facility")]
    same += [col(MessageRow.control_id) == message.control_id, col(MessageRow.sha256) == message.sha256]
    found = session.exec(select(MessageRow.id).where(*same)).first()
    if found is not None:
        return LoggedMessage(found, message, duplicate=True)
    row = MessageRow(**values)
    session.add(row)
    session.flush()
    return LoggedMessage(row.id or 0, message)


def _message(row: MessageRow) -> RawMessage:
    return RawMessage(
        raw=row.raw,
        sha256=row.sha256,
        sending_application=row.sending_application,
        sending_facility=row.sending_facility,
        control_id=row.control_id,
        message_type=row.message_type,
        trigger_event=row.trigger_event,
        version=row.version,
        processing_id=row.processing_id,
        character_set=row.character_set,
        peer=row.peer,
        received_at=row.received_at,
    )

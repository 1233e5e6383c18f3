"""Applies the HL7 v2 message log: an ordered loop, not a queue, because order matters there (DESIGN section 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from cds.domain.message import LoggedMessage, MessageContent, in_words
from cds.errors import BrokenMessage, InvalidMessage, SightlineError, Unavailable
from cds.logs import get_logger
from cds.ports import Clock, MessageLog, MessageReader

log = get_logger(__name__)

_Entry = tuple[LoggedMessage, MessageContent | InvalidMessage]

#: Messages per transaction: 32 gave half as much again as one (reference/engine).
BATCH = 32


class Applies(Protocol):
    """Where messages are applied."""

    def apply(self, batch: Sequence[tuple[LoggedMessage, MessageContent | InvalidMessage]], now: datetime) -> None:
        """Apply in one transaction, once per message."""
        ...


class RecordWriter(Applies, Protocol):
    """Where applied messages go; remembers how far it came."""

    def applied_up_to(self) -> int:
        """The id of the last message that has an outcome."""
        ...


def apply_next(messages: MessageLog, read: MessageReader, record: RecordWriter, clock: Clock) -> int:
    """Apply the next batch; answer how many there were. Raises Unavailable; nothing is lost, the log has them."""
    batch = [(logged, _read(logged, read)) for logged in messages.after(record.applied_up_to(), BATCH)]
    if batch:
        try:
            record.apply(batch, clock.now())
        except SightlineError:
            raise
        except Exception as error:  # one message must not stop the feed: apply them singly, quarantine the culprit
            log.error("a batch of messages could not be applied", count=len(batch), exc_info=error)
            apply_singly(batch, record, clock)
    return len(batch)


def apply_singly(batch: Sequence[_Entry], record: Applies, clock: Clock) -> None:
    """Apply each message in a transaction of its own; one that breaks our code has failed, and stops no other."""
    for logged, content in batch:
        try:
            record.apply([(logged, content)], clock.now())
        except SightlineError:
            raise
        except Exception as error:  # as above
            broken = BrokenMessage(f"applying the message broke with {type(error).__name__}")
            log.error("message failed", message_control_id=logged.message.control_id, exc_info=error)
            record.apply([(logged, broken)], clock.now())


def follow(apply: Callable[[], int], wait: Callable[[float], bool], *, idle_s: float = 0.1) -> None:
    """Apply for ever, until `wait` answers True; an unavailable database is waited for."""
    delay_s = idle_s
    while True:
        try:
            applied = apply()
            delay_s = idle_s
        except Unavailable as error:
            applied, delay_s = 0, min(delay_s * 2, 30.0)
            log.warning("messages wait to be applied", error=type(error).__name__, delay_s=delay_s)
        if wait(0.0 if applied else delay_s):
            return


def _read(logged: LoggedMessage, read: MessageReader) -> MessageContent | InvalidMessage:
    message = logged.message
    if message.refusal:
        return MessageContent(None, ignored=in_words(message.answered, message.refusal))
    try:
        return read(logged.message)
    except InvalidMessage as error:
        log.warning("message quarantined", message_control_id=logged.message.control_id, condition=error.condition)
        return error

"""The message log for people: what came and what became of it, its bytes, and applying messages again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from cds import intake
from cds.bootstrap import stores
from cds.bootstrap.hl7 import message_log, reader
from cds.clock import SystemClock
from cds.destinations import Sender, sender_of
from cds.domain.audit import AuditEvent
from cds.domain.message import LoggedMessage, MessageContent, MessageEntry, MessageState, RawMessage
from cds.domain.message_story import MessageStory, Replayed
from cds.errors import InvalidMessage
from cds.ports import Clock
from cds.settings import Settings
from cds.store import message_outcomes
from cds.store.audit import AuditStore
from cds.store.engine import Database, open_messages
from cds.store.message_log import SqlMessageLog
from cds.store.replaying import Replays

if TYPE_CHECKING:
    from adapters.hl7.commit import Outcome

_NOT_THERE = "the message log has no message of this id"


@dataclass(frozen=True, slots=True)
class MessageBook:
    """What a person at the command line may ask of the message log, and do with it."""

    settings: Settings
    clock: Clock
    log: SqlMessageLog
    inbox: Database
    app: Database
    audit: AuditStore

    def entries(
        self,
        *,
        state: MessageState | None = None,
        sender: str = "",
        message_type: str = "",
        control_id: str = "",
        answer: str = "",
        refused: bool = False,
        since: datetime | None = None,
        limit: int = 50,
    ) -> Sequence[MessageEntry]:
        """The newest messages that fit, newest first; see `cds.store.message_outcomes.entries`."""
        return message_outcomes.entries(
            self.inbox,
            self.app,
            state=state,
            sender=sender,
            message_type=message_type,
            control_id=control_id,
            answer=answer,
            refused=refused,
            since=since,
            limit=limit,
        )

    def story(self, message_id: int) -> MessageStory:
        """Everything about one message; raise NotFound."""
        return message_outcomes.story(self.inbox, self.app, message_id)

    def raw(self, message_id: int, by: str) -> bytes:
        """The bytes of a message, shown to somebody: the audit log has who; raise NotFound."""
        found = message_outcomes.raw(self.inbox, message_id)
        self.audit.write(AuditEvent(self.clock.now(), by, "message shown", detail=(f"message {message_id}",)))
        return found

    def text(self, message_id: int, by: str) -> str:
        """The message in characters, audited as `raw` is; raise NotFound."""
        return _decoded(self.settings, self.raw(message_id, by))

    def with_state(self, state: MessageState) -> Sequence[int]:
        """The ids of all messages with this outcome, in their order."""
        return message_outcomes.with_state(self.app, state)

    def replay(self, ids: Sequence[int], by: str) -> Sequence[Replayed]:
        """Read these messages again with the settings of now and apply them, in the order in which they came."""
        replays = Replays(self.app, by)
        found: list[Replayed] = []
        for message_id in sorted(set(ids)):
            logged = next(iter(self.log.after(message_id - 1, 1)), None)
            if logged is None or logged.id != message_id:
                found.append(Replayed(message_id, None, None, applied=False, reason=_NOT_THERE))
                continue
            intake.apply_singly([_read_again(self.settings, logged)], replays, self.clock)
            found.append(replays.done[-1])
        return found


def book(settings: Settings) -> MessageBook:
    """Open the message log; raise ConfigurationError where its tables are not at the newest revision."""
    held = stores(settings, durable=True)
    inbox = open_messages(settings.data_dir, settings.database_url)
    clock = SystemClock(settings.time_zone)
    return MessageBook(settings, clock, message_log(settings), inbox, held.database, held.audit)


def _decoded(settings: Settings, raw: bytes) -> str:
    """In the character set of the message or its sender; what is no message of HL7 is shown byte by byte."""
    from adapters.hl7.header import read_header
    from adapters.hl7.text import codec, decode

    try:
        header = read_header(raw)
        sender = sender_of(settings.senders, header.field(3), header.field(4)) or Sender()
        declared = codec(header.field(18), header.delimiters.repetition, shifted=b"\x1b" in raw)
        return decode(raw, declared, codec(sender.character_set, ""))[0]
    except InvalidMessage:
        return raw.decode("latin-1")


def _read_again(settings: Settings, logged: LoggedMessage) -> tuple[LoggedMessage, MessageContent | InvalidMessage]:
    """What a message says to the reader of now; one that was refused is checked again first."""
    if logged.message.refusal:
        try:
            logged = replace(logged, message=_checked(settings, logged))
        except InvalidMessage as error:
            return logged, MessageContent(None, ignored=f"refused: {error}")
    try:
        return logged, reader(settings)(logged.message)
    except InvalidMessage as error:
        return logged, error


def _checked(settings: Settings, logged: LoggedMessage) -> RawMessage:
    """The message as the listener would keep it now, with the profile of now; raise InvalidMessage where it refuses."""
    from adapters.hl7.batch import read_batch
    from adapters.hl7.receive import Receiver

    then, keep = logged.message, _Kept()
    if read_batch(then.raw) is not None:
        raise InvalidMessage("want one message, found a batch: take its messages with cds hl7 load")
    Receiver(keep, _At(then.received_at), settings.senders).begin(then.raw, then.peer, lambda _reply: None)
    found = keep.messages
    if found[0].refusal:
        raise InvalidMessage(found[0].refusal)
    return replace(found[0], answered=then.answered)


@dataclass(slots=True)
class _Kept:
    """Port Commit: what a receiver would commit."""

    messages: list[RawMessage] = field(default_factory=list)

    def put(self, messages: Sequence[RawMessage], done: Callable[[Outcome], None]) -> None:
        """See adapters.hl7.receive.Commit; nothing is answered."""
        self.messages += messages


@dataclass(frozen=True, slots=True)
class _At:
    """The moment when a message came."""

    moment: datetime

    def now(self) -> datetime:
        """See the port."""
        return self.moment

    def today(self) -> date:
        """See the port."""
        return self.moment.date()

"""The message log as people look at it: what came, what was answered, and what became of it.

The inbox and the application are two databases, so they are joined here. The bytes of a message are read for nobody but
who asks for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from cds.domain.hold import HoldKind
from cds.domain.message import MessageEntry, MessageState, in_words
from cds.domain.message_story import MessageStory, ResultTold
from cds.domain.report import DeliveryState
from cds.errors import NotFound
from cds.store import holds
from cds.store.engine import Database
from cds.store.message_log import MESSAGE
from cds.store.tables import DeliveryRow, HoldRow, MessageOutcomeRow

_PAGE = 500
_NOT_THERE = "the message log has no message of this id"
#: What `cds holds resolve ID discard` writes: told as ignored.
DISCARDED = "discarded"
_RARE = frozenset({MessageState.QUARANTINED, MessageState.FAILED})
_SHOWN = (
    "id", "received_at", "sending_application", "sending_facility", "peer", "message_type", "trigger_event", "version",
    "control_id", "processing_id", "sha256", "answered", "character_set", "refusal", "wants_result", "doubt",
)  # fmt: skip
_ENTRY = sa.select(*(MESSAGE.c[name] for name in _SHOWN), sa.func.length(MESSAGE.c.raw).label("size"))

_Wanted = list[ColumnElement[bool]]


def outcomes(database: Database, ids: Collection[int]) -> dict[int, tuple[MessageState, str]]:
    """State and reason of those of these messages that have an outcome; the others are only received."""
    with database.reading() as session:
        return {number: (state_of(row), reason_of(row)) for number, row in _outcomes(session, ids).items()}


def entries(
    inbox: Database,
    app: Database,
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
    """The newest messages that fit, newest first.

    `sender` is MSH-3, or MSH-3 and MSH-4 as in "RIS|CLINIC", `*` for any; `message_type` MSH-9.1, or with the event as
    in "ORM^O01"; `answer` MSA-1.
    """
    wanted = [*_from_sender(sender), *_of_type(message_type)]
    wanted += [MESSAGE.c.control_id == control_id] if control_id else []
    wanted += [MESSAGE.c.answered == answer.upper()] if answer else []
    wanted += [MESSAGE.c.refusal != ""] if refused else []
    wanted += [MESSAGE.c.received_at >= since] if since is not None else []
    found: list[MessageEntry] = []
    with inbox.reading() as messages, app.reading() as session:
        if state is None:
            return _told(messages, session, _fitting(messages, wanted, limit))
        by_state = state in _RARE and not control_id
        pages = _among(messages, session, wanted, state) if by_state else _walk(messages, session, wanted, state)
        for page in pages:
            found += [one for one in _told(messages, session, page) if one.state is state]
            if len(found) >= limit:
                break
    return found[:limit]


def with_state(app: Database, state: MessageState) -> Sequence[int]:
    """The ids of all messages with this outcome, in the order in which they came."""
    with app.reading() as session:
        return list(session.exec(_of_state(state).order_by(col(MessageOutcomeRow.message_id))))


def entry(inbox: Database, app: Database, message_id: int) -> MessageEntry:
    """One message; raise NotFound."""
    return story(inbox, app, message_id).entry


def story(inbox: Database, app: Database, message_id: int) -> MessageStory:
    """Everything that is known of one message; raise NotFound."""
    with inbox.reading() as messages:
        row = messages.connection().execute(_ENTRY.where(MESSAGE.c.id == message_id)).first()
    if row is None:
        raise NotFound(_NOT_THERE)
    with app.reading() as session:
        known = _outcomes(session, [message_id])
        waiting = select(HoldRow).where(HoldRow.message_id == message_id, HoldRow.kind == HoldKind.QUARANTINED.value)
        hold = session.exec(waiting.order_by(col(HoldRow.created_at).desc())).first()
        told = session.exec(
            select(DeliveryRow.destination, DeliveryRow.state, DeliveryRow.attempts, DeliveryRow.acknowledgment).where(
                DeliveryRow.id == f"acknowledgment:{message_id}"
            )
        ).first()
    return MessageStory(
        entry=_entry(row, known.get(message_id)),
        character_set=row.character_set,
        refusal=row.refusal,
        wants_result=row.wants_result,
        hold=holds.told(hold) if hold else None,
        told=ResultTold(told[0], DeliveryState(told[1]), told[2], told[3]) if told else None,
    )


def raw(inbox: Database, message_id: int) -> bytes:
    """The bytes of a message as they came; raise NotFound."""
    with inbox.reading() as session:
        found: bytes | None = session.connection().scalar(sa.select(MESSAGE.c.raw).where(MESSAGE.c.id == message_id))
    if found is None:
        raise NotFound(_NOT_THERE)
    return found


def state_of(row: MessageOutcomeRow | None) -> MessageState:
    """What became of a message; what a person discarded is ignored."""
    if row is None:
        return MessageState.RECEIVED
    return MessageState.IGNORED if row.state == DISCARDED else MessageState(row.state)


def reason_of(row: MessageOutcomeRow | None) -> str:
    """Why it became that, in words that name no patient."""
    if row is None:
        return ""
    return f"{row.reason}; a person discarded it" if row.state == DISCARDED else row.reason


def _among(messages: Session, session: Session, wanted: _Wanted, state: MessageState) -> Iterator[list[int]]:
    """Ids of messages that fit, newest first, by way of the outcomes: for a state that few have."""
    few = session.exec(_of_state(state).order_by(col(MessageOutcomeRow.message_id).desc())).all()
    for start in range(0, len(few), _PAGE):
        yield _fitting(messages, [MESSAGE.c.id.in_(few[start : start + _PAGE]), *wanted], _PAGE)


def _walk(messages: Session, session: Session, wanted: _Wanted, state: MessageState) -> Iterator[list[int]]:
    """Ids of messages that may fit, newest first, along the log."""
    if state is MessageState.RECEIVED:
        applied = session.exec(select(sa.func.max(MessageOutcomeRow.message_id))).one() or 0
        wanted = [*wanted, MESSAGE.c.id > applied]
    behind: _Wanted = []
    while page := _fitting(messages, [*wanted, *behind], _PAGE):
        yield page
        at = sa.select(MESSAGE.c.received_at).where(MESSAGE.c.id == page[-1]).scalar_subquery()
        behind = [sa.tuple_(MESSAGE.c.received_at, MESSAGE.c.id) < sa.tuple_(at, sa.literal(page[-1]))]


def _fitting(messages: Session, wanted: _Wanted, limit: int) -> list[int]:
    newest = (MESSAGE.c.received_at.desc(), MESSAGE.c.id.desc())
    ids = messages.connection().scalars(sa.select(MESSAGE.c.id).where(*wanted).order_by(*newest).limit(limit))
    return list(ids)


def _told(messages: Session, session: Session, ids: Sequence[int]) -> list[MessageEntry]:
    known = _outcomes(session, ids)
    rows = {row.id: row for row in messages.connection().execute(_ENTRY.where(MESSAGE.c.id.in_(ids)))}
    return [_entry(rows[number], known.get(number)) for number in ids]


def _outcomes(session: Session, ids: Collection[int]) -> dict[int, MessageOutcomeRow]:
    rows = session.exec(select(MessageOutcomeRow).where(col(MessageOutcomeRow.message_id).in_(list(ids))))
    return {row.message_id: row for row in rows}


def _of_state(state: MessageState) -> SelectOfScalar[int]:
    states = [state.value, *([DISCARDED] if state is MessageState.IGNORED else [])]
    return select(MessageOutcomeRow.message_id).where(col(MessageOutcomeRow.state).in_(states))


def _from_sender(sender: str) -> _Wanted:
    application, bar, facility = sender.partition("|")
    wanted: _Wanted = [MESSAGE.c.sending_application == application] if sender and application != "*" else []
    return [*wanted, MESSAGE.c.sending_facility == facility] if bar and facility != "*" else wanted


def _of_type(message_type: str) -> _Wanted:
    kind, _, event = message_type.upper().replace("_", "^").partition("^")
    wanted: _Wanted = [MESSAGE.c.message_type == kind] if kind else []
    return [*wanted, MESSAGE.c.trigger_event == event] if event else wanted


def _entry(row: sa.Row[*tuple[Any, ...]], outcome: MessageOutcomeRow | None) -> MessageEntry:
    notes = outcome.notes.splitlines() if outcome else []
    refused = in_words(row.answered, row.refusal) if row.refusal else ""
    return MessageEntry(
        id=row.id,
        received_at=row.received_at,
        sender=f"{row.sending_application}|{row.sending_facility}",
        peer=row.peer,
        message_type=row.message_type,
        trigger_event=row.trigger_event,
        version=row.version,
        control_id=row.control_id,
        processing_id=row.processing_id,
        size=row.size,
        sha256=row.sha256,
        answered=row.answered,
        state=state_of(outcome),
        reason=reason_of(outcome) or refused,
        doubts=tuple(filter(None, [row.doubt, *notes])),
        applied_at=outcome.applied_at if outcome else None,
    )

"""Deliveries as people look at them: what was sent, what was answered, what waits. Nothing is changed here.

The payload of a delivery is read for nobody but who asks for it; a list reads its beginning, for MSH-10.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.delivery_story import DeliveryEntry, DeliveryStory
from cds.domain.report import DeliveryKind, DeliveryState
from cds.domain.switch import SwitchKind
from cds.errors import Conflict, NotFound
from cds.store import holds
from cds.store.engine import Database
from cds.store.safety_tables import SwitchRow
from cds.store.tables import DeliveryRow, HoldRow, WorkRow

#: In which MSH-10 of any message of ours lies.
_HEAD_BYTES = 4096
_SHORT = 8
_ROW = DeliveryRow
_BEGINNING = sa.func.substr(col(_ROW.payload), 1, _HEAD_BYTES, type_=sa.LargeBinary)
_ENTRY = sa.select(
    col(_ROW.id), col(_ROW.created_at), col(_ROW.updated_at), col(_ROW.destination), col(_ROW.kind), col(_ROW.state),
    col(_ROW.attempts), col(_ROW.acknowledgment), col(_ROW.study_uid), col(_ROW.subject), col(_ROW.sequence),
    _BEGINNING.label("beginning"), sa.func.length(col(_ROW.payload)).label("size"),
)  # fmt: skip

#: MSH-10 of the beginning of a payload, empty where it is no HL7 v2 message.
ControlId = Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Payload:
    """The bytes of a delivery, and whom they are about."""

    delivery_id: str
    content: bytes
    study_instance_uid: str | None
    #: A random id.
    patient_id: str | None


def entries(
    database: Database,
    control_id: ControlId,
    *,
    destination: str = "",
    state: DeliveryState | None = None,
    study_uid: str = "",
    limit: int = 50,
) -> Sequence[DeliveryEntry]:
    """The newest deliveries that fit, newest first."""
    wanted = [col(_ROW.destination) == destination] if destination else []
    wanted += [col(_ROW.state) == state.value] if state is not None else []
    if study_uid:
        works = select(WorkRow.id).where(WorkRow.study_uid == study_uid)
        wanted.append(sa.or_(col(_ROW.study_uid) == study_uid, col(_ROW.work_id).in_(works)))
    newest = (col(_ROW.created_at).desc(), col(_ROW.sequence).desc(), col(_ROW.id))
    # Which they are is found without their payloads, which may be large.
    ids = sa.select(col(_ROW.id)).where(*wanted).order_by(*newest).limit(limit).subquery()
    with database.reading() as session:
        rows = session.connection().execute(_ENTRY.join(ids, ids.c.id == col(_ROW.id)).order_by(*newest)).all()
    return [_entry(row, control_id) for row in rows]


def story(database: Database, control_id: ControlId, asked: str) -> DeliveryStory:
    """Everything about one delivery, by its short id, how that begins, or its whole id; raise NotFound or Conflict."""
    with database.reading() as session:
        key = _find(session, asked)
        row = session.connection().execute(_ENTRY.where(col(_ROW.id) == key)).one()
        content = session.exec(select(_ROW.payload).where(_ROW.id == key)).one()
        newest = select(HoldRow).where(HoldRow.delivery_id == key).order_by(col(HoldRow.created_at).desc())
        hold = session.exec(newest).first()
        off = session.get(SwitchRow, (SwitchKind.DESTINATION.value, row.destination)) is not None
        entry = _entry(row, control_id)
        return DeliveryStory(
            entry=entry,
            sha256=hashlib.sha256(content).hexdigest(),
            hold=holds.told(hold) if hold else None,
            ahead=_ahead(session, entry, row.sequence),
            switched_off=off,
            again=_again(session, key, row.sequence),
        )


def payload(database: Database, asked: str) -> Payload:
    """What is sent, byte for byte; raise NotFound or Conflict as `story`."""
    with database.reading() as session:
        row = session.get_one(_ROW, _find(session, asked))
        return Payload(row.id, row.payload, row.study_uid, row.patient_id)


def _find(session: Session, asked: str) -> str:
    """The id of a delivery; short ids are not kept, so they are made of all that there is."""
    wanted = asked.strip()
    if wanted and session.exec(select(_ROW.id).where(_ROW.id == wanted)).first() is not None:
        return wanted
    digits = wanted.lower()
    ids = session.exec(select(_ROW.id)).all() if digits and len(digits) <= _SHORT else []
    found = [key for key in ids if holds.short_id(key).startswith(digits)]
    if not found:
        raise NotFound("no delivery has this id: cds deliveries list shows them")
    if len(found) > 1:
        raise Conflict(f"{len(found)} deliveries have ids that begin so: give more of the id, or all of it")
    return found[0]


def _ahead(session: Session, entry: DeliveryEntry, sequence: int) -> int:
    if entry.state is not DeliveryState.PENDING:
        return 0
    pending = sa.select(sa.func.count()).where(
        col(_ROW.destination) == entry.destination,
        col(_ROW.state) == DeliveryState.PENDING.value,
        col(_ROW.sequence) < sequence,
    )
    return session.connection().scalar(pending) or 0


def _again(session: Session, key: str, sequence: int) -> str:
    """The short id of the first delivery that sends the same bytes again, as `cds.store.sending_again` names it."""
    first = key.partition("~")[0]
    later = select(_ROW.id).where(col(_ROW.id).startswith(f"{first}~", autoescape=True), _ROW.sequence > sequence)
    found = session.exec(later.order_by(col(_ROW.sequence))).first()
    return holds.short_id(found) if found else ""


def _entry(row: sa.Row[*tuple[Any, ...]], control_id: ControlId) -> DeliveryEntry:
    return DeliveryEntry(
        id=holds.short_id(row.id),
        delivery_id=row.id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        destination=row.destination,
        kind=DeliveryKind(row.kind),
        control_id=control_id(row.beginning),
        state=DeliveryState(row.state),
        attempts=row.attempts,
        answer=row.acknowledgment,
        size=row.size,
        study_instance_uid=row.study_uid,
        subject=row.subject,
    )

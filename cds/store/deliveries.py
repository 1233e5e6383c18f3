"""Deliveries: what waits to be sent, what was sent, what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.hold import HoldKind
from cds.domain.report import Delivery, DeliveryKind, DeliveryState
from cds.errors import NotFound
from cds.store import commitments, holds, timeline
from cds.store.engine import Database, lock
from cds.store.tables import DeliveryRow, HoldRow

_OVERTAKEN = (DeliveryState.SUPERSEDED.value, DeliveryState.WITHHELD.value)


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that waits, as the engine enqueues it."""

    id: str
    destination: str
    sequence: int


class DeliveryStore:
    """The deliveries of all destinations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def delivery(self, delivery_id: str) -> Delivery:
        """One delivery; raise NotFound."""
        with self._database.reading() as session:
            return _delivery(_get(session, delivery_id))

    def pending(self) -> Sequence[Due]:
        """All that waits, in order per destination, without what is to be sent."""
        with self._database.reading() as session:
            rows = session.exec(
                select(DeliveryRow.id, DeliveryRow.destination, DeliveryRow.sequence)
                .where(DeliveryRow.state == DeliveryState.PENDING.value)
                .order_by(col(DeliveryRow.destination), col(DeliveryRow.sequence))
            ).all()
            return [Due(*row) for row in rows]

    def sent(self, delivery_id: str, acknowledgment: str, now: datetime) -> None:
        """The peer has it; a second time changes nothing."""
        self._end(delivery_id, DeliveryState.SENT, acknowledgment, now)

    def refused(self, delivery_id: str, acknowledgment: str, now: datetime) -> None:
        """The peer said no for good: held for a person."""
        self._end(delivery_id, DeliveryState.REFUSED, acknowledgment, now)

    def withheld(self, delivery_id: str, reason: str, now: datetime) -> None:
        """The release does not let it go any more."""
        self._end(delivery_id, DeliveryState.WITHHELD, reason, now)

    def begin(self, delivery_id: str, now: datetime) -> bool:
        """Count an attempt before it is made: from now on the destination may have it. False where it may not go."""
        with self._database.writing() as session:
            row = _held(session, delivery_id)
            if row.state != DeliveryState.PENDING.value:
                return False
            row.attempts += 1
            row.updated_at = now
            session.add(row)
            return True

    def attempted(self, delivery_id: str, reason: str, now: datetime) -> int:
        """An attempt failed for now; the first is told to the timeline. Answers the number of attempts."""
        with self._database.writing() as session:
            row = _held(session, delivery_id)
            row.attempts = max(row.attempts, 1)
            row.acknowledgment = reason
            row.updated_at = now
            session.add(row)
            if row.attempts == 1:
                _tell(session, row, "waits", reason, now)
            return row.attempts

    def _end(self, delivery_id: str, state: DeliveryState, acknowledgment: str, now: datetime) -> None:
        with self._database.writing() as session:
            row = _held(session, delivery_id)
            if state is DeliveryState.SENT:
                acknowledgment = "; ".join(filter(None, (acknowledgment, commitments.words(session, delivery_id))))
            if row.state != DeliveryState.PENDING.value:
                if state is DeliveryState.SENT and row.state in _OVERTAKEN:  # it was under way when a newer one came
                    row.acknowledgment = f"{row.acknowledgment}; it had arrived: {acknowledgment}"
                    session.add(row)
                return
            row.state = state.value
            row.attempts = max(row.attempts, int(state is not DeliveryState.WITHHELD))
            row.acknowledgment = acknowledgment
            row.updated_at = now
            session.add(row)
            _tell(session, row, state.value, acknowledgment, now)
            if state is DeliveryState.SENT and row.kind == DeliveryKind.REPORT.value:
                _settle(session, row, now)
            if state is DeliveryState.REFUSED:
                key, kind = f"delivery:{row.id}:{row.attempts}", HoldKind.DELIVERY_REFUSED
                uid, work = row.study_uid, row.work_id or None
                holds.put(session, key, kind, acknowledgment, now, study_uid=uid, work_id=work, delivery_id=row.id)


def enqueue(
    session: Session,
    *,
    delivery_id: str,
    destination: str,
    kind: DeliveryKind,
    payload: bytes,
    now: datetime,
    work_id: str = "",
    study_uid: str | None = None,
    patient_id: str | None = None,
    subject: str = "",
) -> str:
    """Put a delivery behind all others of its destination, in the transaction of its cause; the same id once."""
    lock(session, "destination", destination)
    if session.get(DeliveryRow, delivery_id) is not None:
        return delivery_id
    newest = session.exec(select(sa.func.max(DeliveryRow.sequence)).where(DeliveryRow.destination == destination)).one()
    session.add(
        DeliveryRow(
            id=delivery_id,
            destination=destination,
            sequence=(newest or 0) + 1,
            work_id=work_id,
            kind=kind.value,
            study_uid=study_uid,
            patient_id=patient_id,
            subject=subject,
            payload=payload,
            state=DeliveryState.PENDING.value,
            created_at=now,
            updated_at=now,
        )
    )
    session.flush()
    return delivery_id


def _settle(session: Session, row: DeliveryRow, now: datetime) -> None:
    """A newer report arrived: nobody has to look any more at an older one of the study that its destination refused."""
    older = select(DeliveryRow.id).where(
        DeliveryRow.destination == row.destination,
        DeliveryRow.study_uid == row.study_uid,
        DeliveryRow.kind == DeliveryKind.REPORT.value,
        DeliveryRow.sequence < row.sequence,
    )
    waiting = select(HoldRow).where(
        HoldRow.kind == HoldKind.DELIVERY_REFUSED.value,
        col(HoldRow.delivery_id).in_(older),
        col(HoldRow.resolved_at).is_(None),
    )
    for hold in session.exec(waiting):
        hold.resolved_at, hold.resolution = now, "a newer report arrived at the destination"
        session.add(hold)


def _held(session: Session, delivery_id: str) -> DeliveryRow:
    """The row as it is now, with nobody else changing it until the transaction ends; raise NotFound."""
    row = session.get(DeliveryRow, delivery_id, populate_existing=True, with_for_update=True)
    if row is None:
        raise NotFound("no such delivery")
    return row


def _get(session: Session, delivery_id: str) -> DeliveryRow:
    row = session.get(DeliveryRow, delivery_id)
    if row is None:
        raise NotFound("no such delivery")
    return row


def _tell(session: Session, row: DeliveryRow, outcome: str, reason: str, now: datetime) -> None:
    timeline.write(
        session,
        now,
        "deliver" if row.kind == DeliveryKind.REPORT.value else f"deliver {row.kind}",
        outcome,
        study_uid=row.study_uid,
        work_id=row.work_id or None,
        detail=(f"destination {row.destination}", f"attempt {row.attempts}", reason),
    )


def _delivery(row: DeliveryRow) -> Delivery:
    return Delivery(
        id=row.id,
        destination=row.destination,
        work_id=row.work_id,
        sequence=row.sequence,
        payload=row.payload,
        kind=DeliveryKind(row.kind),
        study_instance_uid=row.study_uid,
        subject=row.subject,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        acknowledgment=row.acknowledgment,
    )

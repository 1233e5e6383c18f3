"""Deliveries: what waits to be sent, what was sent, what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from cds.domain.report import Delivery, DeliveryState
from cds.errors import NotFound
from cds.store import timeline
from cds.store.engine import Database
from cds.store.tables import DeliveryRow, HoldRow, WorkRow


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

    def attempted(self, delivery_id: str, reason: str, now: datetime) -> int:
        """Count an attempt that failed for now; the first is told to the timeline. Answers the number of attempts."""
        with self._database.writing() as session:
            row = _get(session, delivery_id)
            row.attempts += 1
            row.acknowledgment = reason
            row.updated_at = now
            session.add(row)
            if row.attempts == 1:
                _tell(session, row, "waits", reason, now)
            return row.attempts

    def _end(self, delivery_id: str, state: DeliveryState, acknowledgment: str, now: datetime) -> None:
        with self._database.writing() as session:
            row = _get(session, delivery_id)
            if row.state != DeliveryState.PENDING.value:
                return
            row.state = state.value
            row.attempts += 1
            row.acknowledgment = acknowledgment
            row.updated_at = now
            session.add(row)
            _tell(session, row, state.value, acknowledgment, now)
            if state is DeliveryState.REFUSED:
                session.add(
                    HoldRow(
                        key=f"delivery:{row.id}", kind="delivery-refused", reason=acknowledgment, work_id=row.work_id,
                        created_at=now,
                    )
                )  # fmt: skip


def _get(session: Session, delivery_id: str) -> DeliveryRow:
    row = session.get(DeliveryRow, delivery_id)
    if row is None:
        raise NotFound("no such delivery")
    return row


def _tell(session: Session, row: DeliveryRow, outcome: str, reason: str, now: datetime) -> None:
    work = session.get_one(WorkRow, row.work_id)
    timeline.write(
        session,
        now,
        "deliver",
        outcome,
        study_uid=work.study_uid,
        work_id=work.id,
        detail=(f"destination {row.destination}", f"attempt {row.attempts}", reason),
    )


def _delivery(row: DeliveryRow) -> Delivery:
    return Delivery(
        id=row.id,
        destination=row.destination,
        work_id=row.work_id,
        sequence=row.sequence,
        payload=row.payload,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        acknowledgment=row.acknowledgment,
    )

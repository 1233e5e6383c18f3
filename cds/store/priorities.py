"""What worklists were told of a study's priority: the deliveries of that kind are all there is to know."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, select

from cds.domain.order import Priority
from cds.domain.priority import Move, Told, delivery_id
from cds.domain.report import DeliveryKind, DeliveryState
from cds.store import timeline
from cds.store.deliveries import enqueue
from cds.store.engine import Database, lock
from cds.store.tables import DeliveryRow


class PriorityStore:
    """Implements `cds.domain.priority.Priorities`.

    A delivery's subject is "ordinal/move/own priority/order id": a subject is text, and no other table is needed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def told(self, study_uid: str, destination: str) -> Told | None:
        """See Priorities."""
        with self._database.reading() as session:
            return _told(session, study_uid, destination)

    def tell(self, told: Told, payload: bytes, now: datetime, *, study_uid: str, destination: str, work_id: str) -> str:
        """See Priorities."""
        own = told.own.value if told.own else ""
        with self._database.writing() as session:
            lock(session, "destination", destination)
            named = delivery_id(destination, study_uid, told.ordinal)
            if session.get(DeliveryRow, named) is not None:
                return named
            enqueue(
                session,
                delivery_id=named,
                destination=destination,
                kind=DeliveryKind.PRIORITY,
                payload=payload,
                now=now,
                work_id=work_id,
                study_uid=study_uid,
                subject=f"{told.ordinal}/{told.move.value}/{own}/{told.order_id}",
            )
            outcome = "raised" if told.move is Move.RAISE else "ended"
            detail = (f"destination {destination}",)
            timeline.write(session, now, "priority", outcome, study_uid=study_uid, work_id=work_id, detail=detail)
            return named


def read_subject(subject: str, state: DeliveryState, answer: str = "") -> Told:
    """What a delivery's subject says."""
    ordinal, move, own, order_id = subject.split("/", 3)
    return Told(int(ordinal), Move(move), order_id, Priority(own) if own else None, state, answer)


def _told(session: Session, study_uid: str, destination: str) -> Told | None:
    row = session.exec(
        select(DeliveryRow)
        .where(
            DeliveryRow.study_uid == study_uid,
            DeliveryRow.destination == destination,
            DeliveryRow.kind == DeliveryKind.PRIORITY.value,
        )
        .order_by(col(DeliveryRow.sequence).desc())
        .limit(1)
    ).first()
    return read_subject(row.subject, DeliveryState(row.state), row.acknowledgment) if row else None

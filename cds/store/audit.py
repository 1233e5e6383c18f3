"""The audit log: appended to, never changed. Implements `cds.ports.AuditLog`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import defer
from sqlmodel import Session, col, select

from cds.domain.audit import SEEN, AuditEvent
from cds.domain.report import DeliveryKind, DeliveryState
from cds.store import card_calls
from cds.store.engine import Database
from cds.store.safety_tables import AuditRow
from cds.store.tables import DeliveryRow
from cds.store.values import dump, parse

_Detail = tuple[str, ...]
#: What tells a destination of a finding; a retraction takes it back, an alert names none.
_TELLING = (DeliveryKind.REPORT.value, DeliveryKind.CRITICAL.value, DeliveryKind.REMINDER.value)


class AuditStore:
    """The audit log of this installation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, event: AuditEvent) -> None:
        """See the port."""
        with self._database.writing() as session:
            append(session, event)

    def seen_by(self, study_uid: str) -> Sequence[AuditEvent]:
        """See the port. A destination that acknowledged a result has seen it, and whoever looks at it there."""
        with self._database.reading() as session:
            return seen_by(session, study_uid)

    def search(
        self, *, study_uid: str | None = None, since: datetime | None = None, limit: int | None = None
    ) -> Sequence[AuditEvent]:
        """The newest lines that fit, oldest first; `limit` bounds how many."""
        query = select(AuditRow).order_by(col(AuditRow.at).desc(), col(AuditRow.id).desc())
        if study_uid is not None:
            query = query.where(AuditRow.study_uid == study_uid)
        if since is not None:
            query = query.where(AuditRow.at >= since)
        with self._database.reading() as session:
            rows = session.exec(query.limit(limit) if limit is not None else query).all()
            shown = _shown(session, study_uid, since, limit)
        found = sorted((*(_event(row) for row in reversed(rows)), *shown), key=lambda event: event.at)
        return found if limit is None else found[max(len(found) - limit, 0) :]


def append(session: Session, event: AuditEvent) -> None:
    """Add a line, in the transaction of what it tells."""
    session.add(
        AuditRow(
            at=event.at,
            actor=event.actor,
            action=event.action,
            study_uid=event.study_instance_uid,
            patient_id=event.patient_id,
            detail=dump(_Detail, event.detail),
        )
    )


def _shown(
    session: Session, study_uid: str | None, since: datetime | None, limit: int | None
) -> Sequence[AuditEvent]:  # fmt: skip
    """Cards that people were shown; of a study they are few."""
    if study_uid is None:
        return card_calls.newest(session, since=since, limit=limit)
    shown = card_calls.seen(session, studies={study_uid})
    return [event for event in shown if since is None or event.at >= since]


def seen_by(session: Session, study_uid: str) -> Sequence[AuditEvent]:
    """Who saw something of a study, oldest first: people who were shown cards, destinations that took results.

    What was sent and never answered may have arrived all the same; what was refused at once has not.
    """
    shown = session.exec(select(AuditRow).where(AuditRow.study_uid == study_uid, col(AuditRow.action).in_(SEEN))).all()
    sent = session.exec(
        select(DeliveryRow)
        .options(defer(DeliveryRow.payload))  # type: ignore[arg-type]  # an instrumented attribute, as SQLModel types it
        .where(
            DeliveryRow.study_uid == study_uid,
            col(DeliveryRow.kind).in_(_TELLING),
            DeliveryRow.attempts > 0,
            sa.or_(col(DeliveryRow.state) != DeliveryState.REFUSED.value, col(DeliveryRow.attempts) > 1),
        )
    ).all()
    seen = [*(_event(row) for row in shown), *card_calls.seen(session, studies={study_uid})]
    for told in sent:
        arrived = "delivered" if told.state == DeliveryState.SENT.value else "may have been delivered"
        what = f"{told.kind} {arrived}"
        seen.append(AuditEvent(told.updated_at, told.destination, what, study_uid, told.patient_id))
    return sorted(seen, key=lambda event: event.at)


def _event(row: AuditRow) -> AuditEvent:
    return AuditEvent(row.at, row.actor, row.action, row.study_uid, row.patient_id, parse(_Detail, row.detail))

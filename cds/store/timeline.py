"""The timeline that every step writes and `cds why` reads. No PHI: reasons and small values only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.report import TimelineEvent
from cds.store import batch, card_calls
from cds.store.tables import TimelineRow
from cds.store.values import dump, parse

_Detail = tuple[str, ...]


def write(
    session: Session,
    at: datetime,
    step: str,
    outcome: str,
    *,
    study_uid: str | None = None,
    order_id: str | None = None,
    work_id: str | None = None,
    patient_id: str | None = None,
    detail: _Detail = (),
) -> None:
    """Add a line, in the transaction of what it tells."""
    batch.write(
        session,
        TimelineRow,
        at=at,
        step=step,
        outcome=outcome,
        study_uid=study_uid,
        order_id=order_id,
        work_id=work_id,
        patient_id=patient_id,
        detail=dump(_Detail, detail),
    )


def write_once(
    session: Session,
    at: datetime,
    step: str,
    outcome: str,
    *,
    study_uid: str | None = None,
    order_id: str | None = None,
    detail: _Detail = (),
) -> None:
    """As `write`, but not what was told of this study or order before: for what is said again and again."""
    told = select(TimelineRow.id).where(
        col(TimelineRow.study_uid) == study_uid if order_id is None else col(TimelineRow.order_id) == order_id,
        TimelineRow.step == step,
        TimelineRow.outcome == outcome,
        TimelineRow.detail == dump(_Detail, detail),
    )
    if session.exec(told.limit(1)).first() is None:
        write(session, at, step, outcome, study_uid=study_uid, order_id=order_id, detail=detail)


def read(
    session: Session, *, studies: Collection[str], orders: Collection[str], patients: Collection[str] = ()
) -> Sequence[TimelineEvent]:
    """All lines about these studies, orders and patients (by random id), oldest first."""
    rows = session.exec(
        select(TimelineRow)
        .where(
            sa.or_(
                col(TimelineRow.study_uid).in_(studies),
                col(TimelineRow.order_id).in_(orders),
                col(TimelineRow.patient_id).in_(patients),
            )
        )
        .order_by(col(TimelineRow.at), col(TimelineRow.id))
    ).all()
    told = [
        TimelineEvent(
            at=row.at,
            step=row.step,
            outcome=row.outcome,
            study_instance_uid=row.study_uid,
            order_id=row.order_id,
            work_id=row.work_id,
            patient_id=row.patient_id,
            detail=parse(_Detail, row.detail),
        )
        for row in rows
    ]
    return sorted((*told, *card_calls.lines(session, studies)), key=lambda event: event.at)

"""The one query behind `cds why`: an accession number, a Study Instance UID or a patient identifier (SAFETY 7).

Everything is read in one session, so that the parts of a story fit together. A patient's story is that of whoever she
was merged with; who is named in it is named by random id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.audit import AuditEvent
from cds.domain.identity import AppliedIdentity, IdentityEvent
from cds.domain.report import Report, TimelineEvent
from cds.domain.story import Story
from cds.store import card_calls, telling, timeline
from cds.store.engine import Database
from cds.store.identity import members
from cds.store.safety_tables import AuditRow, IdentityChangeRow
from cds.store.tables import OrderRow, PatientIdentifierRow, ReportRow, StudyEventRow, StudyRow
from cds.store.values import parse

_Detail = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """What has the number asked for: patients by it, whoever else is in the story, orders and studies.

    `announced` is the study asked for where some wire spoke of it, here or not.
    """

    patients: tuple[str, ...]
    involved: tuple[str, ...]
    orders: tuple[OrderRow, ...]
    studies: tuple[StudyRow, ...]
    announced: tuple[str, ...] = ()


def why(database: Database, asked: str) -> Story:
    """Everything about what has this number; an empty story where nothing has."""
    with database.reading() as session:
        found = _find(session, asked)
        return Story(
            asked=asked,
            orders=tuple(telling.order(row, asked) for row in found.orders),
            studies=tuple(telling.study(session, row, asked) for row in found.studies),
            events=tuple(_events(session, found)),
            patients=found.patients,
            identity=_identity(session, found.involved),
            seen=_seen(session, found),
            known=tuple(telling.patient(session, patient_id) for patient_id in found.involved),
        )


def _find(session: Session, asked: str) -> _Found:
    patients = _trees(
        session, session.exec(select(PatientIdentifierRow.patient_id).where(PatientIdentifierRow.value == asked)).all()
    )
    events = session.exec(select(StudyEventRow).where(StudyEventRow.study_uid == asked)).all()
    orders = session.exec(
        select(OrderRow).where(
            sa.or_(
                col(OrderRow.accession_number) == asked,
                col(OrderRow.patient_id).in_(patients),
                col(OrderRow.id).in_([event.order_id for event in events if event.order_id]),
            )
        )
    ).all()
    studies = _studies(session, asked, patients, orders)
    if studies and not orders:
        numbers = [study.accession_number for study in studies if study.accession_number]
        decided = [study.decided_order_id for study in studies if study.decided_order_id]
        orders = session.exec(
            select(OrderRow).where(sa.or_(col(OrderRow.accession_number).in_(numbers), col(OrderRow.id).in_(decided)))
        ).all()
    reported = _reported(session, [study.uid for study in studies])
    others = _trees(session, [*(order.patient_id for order in orders), *reported])
    involved = tuple(dict.fromkeys((*patients, *others)))
    return _Found(
        patients,
        involved,
        tuple(sorted(orders, key=lambda row: row.created_at)),
        tuple(sorted(studies, key=lambda row: row.first_instance_at)),
        (asked,) if events else (),
    )


def _studies(
    session: Session, asked: str, patients: Collection[str], orders: Iterable[OrderRow]
) -> Sequence[StudyRow]:  # fmt: skip
    """By its numbers, by its order's, by a patient's other identifiers, or because it was reported for her once."""
    named = session.exec(
        select(PatientIdentifierRow.value, PatientIdentifierRow.assigner).where(
            col(PatientIdentifierRow.patient_id).in_(patients)
        )
    ).all()
    reported = select(ReportRow.study_uid).where(col(ReportRow.patient_id).in_(patients))
    ordered = _reported_for(session, orders)
    rows = session.exec(
        select(StudyRow).where(
            sa.or_(
                col(StudyRow.uid) == asked,
                col(StudyRow.accession_number) == asked,
                col(StudyRow.patient_value) == asked,
                col(StudyRow.accession_number).in_([o.accession_number for o in orders if o.accession_number]),
                col(StudyRow.decided_order_id).in_([o.id for o in orders]),
                *(
                    sa.and_(col(StudyRow.patient_value) == value, col(StudyRow.patient_assigner) == assigner)
                    for value, assigner in named
                ),
                col(StudyRow.uid).in_(reported),
                col(StudyRow.uid).in_(ordered),
            )
        )
    ).all()
    return rows


def _reported_for(session: Session, orders: Iterable[OrderRow]) -> Collection[str]:
    """Studies that were ever reported for these orders, whoever's they are now."""
    ids, patients = {order.id for order in orders}, _trees(session, {order.patient_id for order in orders})
    rows = session.exec(select(ReportRow).where(col(ReportRow.patient_id).in_(patients))).all()
    reports: Iterable[Report] = (parse(Report, row.body) for row in rows)
    return {r.work.study_instance_uid for r in reports if r.order is not None and r.order.id in ids}


def _reported(session: Session, studies: Collection[str]) -> Sequence[str]:
    """The patients for whom these studies were ever reported."""
    found = session.exec(
        select(ReportRow.patient_id).where(col(ReportRow.study_uid).in_(studies)).order_by(col(ReportRow.version))
    ).all()
    return [patient_id for patient_id in found if patient_id]


def _trees(session: Session, patients: Iterable[str]) -> tuple[str, ...]:
    """These patients with whoever is one with them, survivors first."""
    return tuple(dict.fromkeys(one for patient_id in patients for one in members(session, patient_id)))


def _events(session: Session, found: _Found) -> list[TimelineEvent]:
    """Lines about the studies and orders; of a patient who was not asked for, only what is about no other study."""
    studies, orders = {study.uid for study in found.studies}, {order.id for order in found.orders}
    studies |= set(found.announced)
    asked = set(found.patients)
    return [
        event
        for event in timeline.read(session, studies=studies, orders=orders, patients=found.involved)
        if event.study_instance_uid in studies
        or event.order_id in orders
        or event.patient_id in asked
        or not (event.study_instance_uid or event.order_id)
    ]


def _identity(session: Session, patients: Collection[str]) -> tuple[AppliedIdentity, ...]:
    rows = session.exec(
        select(IdentityChangeRow)
        .where(
            sa.or_(
                col(IdentityChangeRow.survivor_id).in_(patients),
                col(IdentityChangeRow.prior_id).in_(patients),
            )
        )
        .order_by(col(IdentityChangeRow.id))
    ).all()
    return tuple(
        AppliedIdentity(
            id=row.id or 0,
            event=IdentityEvent(row.event),
            trigger=row.trigger,
            at=row.at,
            survivor_id=row.survivor_id,
            prior_id=row.prior_id,
            message_id=row.message_id,
            by=row.actor,
            undone_at=row.undone_at,
            undone_by=row.undone_by,
        )
        for row in rows
    )


def _seen(session: Session, found: _Found) -> tuple[AuditEvent, ...]:
    studies = {study.uid for study in found.studies}
    rows = session.exec(
        select(AuditRow)
        .where(
            sa.or_(
                col(AuditRow.study_uid).in_(studies),
                col(AuditRow.patient_id).in_(found.patients),
            )
        )
        .order_by(col(AuditRow.at), col(AuditRow.id))
    ).all()
    told = (
        AuditEvent(row.at, row.actor, row.action, row.study_uid, row.patient_id, parse(_Detail, row.detail))
        for row in rows
    )
    shown = card_calls.seen(session, studies=studies, patients=found.patients)
    return tuple(sorted((*told, *shown), key=lambda event: event.at))

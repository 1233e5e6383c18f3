"""The one query behind `cds why`: an accession number, a Study Instance UID or a patient identifier."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.order import ServiceRequest
from cds.domain.report import Report
from cds.domain.story import DeliveryTold, Story, StudyTold
from cds.store import timeline
from cds.store.engine import Database
from cds.store.holds import told
from cds.store.tables import (
    DeliveryRow,
    HoldRow,
    OrderRow,
    PatientIdentifierRow,
    ReportRow,
    StudyRow,
    WorkRow,
)
from cds.store.values import parse


def why(database: Database, asked: str) -> Story:
    """Everything about what has this number; an empty story where nothing has."""
    with database.reading() as session:
        patients = session.exec(
            select(PatientIdentifierRow.patient_id).where(PatientIdentifierRow.value == asked)
        ).all()
        orders = session.exec(
            select(OrderRow).where(
                sa.or_(col(OrderRow.accession_number) == asked, col(OrderRow.patient_id).in_(patients))
            )
        ).all()
        numbers = [o.accession_number for o in orders if o.accession_number]
        studies = session.exec(
            select(StudyRow).where(
                sa.or_(
                    col(StudyRow.uid) == asked,
                    col(StudyRow.accession_number) == asked,
                    col(StudyRow.patient_value) == asked,
                    col(StudyRow.accession_number).in_(numbers),
                )
            )
        ).all()
        if studies and not orders:
            orders = session.exec(
                select(OrderRow).where(col(OrderRow.accession_number).in_([s.accession_number for s in studies]))
            ).all()
        events = timeline.read(session, studies=[s.uid for s in studies], orders=[o.id for o in orders])
        return Story(
            asked=asked,
            orders=tuple(_order(row) for row in orders),
            studies=tuple(_study(session, row) for row in studies),
            events=tuple(events),
        )


def _order(row: OrderRow) -> ServiceRequest:
    order: ServiceRequest = parse(ServiceRequest, row.body)
    return replace(order, id=row.id)


def _study(session: Session, row: StudyRow) -> StudyTold:
    report = session.exec(
        select(ReportRow).where(ReportRow.study_uid == row.uid).order_by(col(ReportRow.version).desc()).limit(1)
    ).first()
    works = select(WorkRow.id).where(WorkRow.study_uid == row.uid)
    deliveries = session.exec(
        select(DeliveryRow).where(col(DeliveryRow.work_id).in_(works)).order_by(col(DeliveryRow.created_at))
    ).all()
    about = sa.or_(col(HoldRow.study_uid) == row.uid, col(HoldRow.work_id).in_(works))
    holds = session.exec(select(HoldRow).where(about, col(HoldRow.resolved_at).is_(None))).all()
    return StudyTold(
        study_instance_uid=row.uid,
        public_id=row.public_id,
        instances=row.instances,
        image_revision=row.image_revision,
        match_revision=row.match_revision,
        analysis_run=row.analysis_run,
        report=parse(Report, report.body) if report else None,
        deliveries=tuple(
            DeliveryTold(d.destination, d.state, d.attempts, d.acknowledgment, d.updated_at) for d in deliveries
        ),
        holds=tuple(told(hold) for hold in holds),
    )

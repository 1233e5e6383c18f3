"""Rows as `cds why` tells them: without names, birth dates, free text of people, and secrets."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.coding import Quantity
from cds.domain.critical import CriticalResult
from cds.domain.ehr import EhrData, Known, Unknown
from cds.domain.follow_up import Acceptance
from cds.domain.hold import Hold
from cds.domain.identity import Identifier, Patient
from cds.domain.order import ServiceRequest
from cds.domain.report import Report
from cds.domain.retrieval import Purpose, Retrieval, StatedSeries
from cds.domain.story import DeliveryTold, FollowUpTold, PatientTold, StudyTold
from cds.domain.verification import FinalReport, FindingRef, Verdict, Verification
from cds.store import acceptances, holds, stated, wanted
from cds.store import critical_rows as kept
from cds.store.identity import canonical
from cds.store.retrieval_tables import PriorRow
from cds.store.safety_tables import (
    CriticalResultRow,
    FinalReportRow,
    FollowUpRow,
    IdentityChangeRow,
    VerificationRow,
)
from cds.store.tables import (
    DeliveryRow,
    HoldRow,
    OrderRow,
    PatientIdentifierRow,
    PatientRow,
    ReportRow,
    StatementRow,
    StudyRow,
    TimelineRow,
    WorkRow,
)
from cds.store.values import parse

#: The "authority" of Sightline's own random ids, where an identifier is wanted.
_OURS = "sightline"


def order(row: OrderRow, asked: str) -> ServiceRequest:
    """An order, its patient by random id unless asked for by this very number."""
    stored: ServiceRequest = parse(ServiceRequest, row.body)
    return _order(replace(stored, id=row.id), row.patient_id, asked)


def patient(session: Session, patient_id: str) -> PatientTold:
    """A patient: since when something was filed under them, and by which feeds."""
    row = session.get_one(PatientRow, patient_id)
    sources = session.exec(
        select(StatementRow.source, sa.func.count())
        .where(StatementRow.patient_id == patient_id)
        .group_by(col(StatementRow.source))
        .order_by(col(StatementRow.source))
    ).all()
    assigners = session.exec(select(PatientIdentifierRow).where(PatientIdentifierRow.patient_id == patient_id)).all()
    return PatientTold(
        id=patient_id,
        known_since=_known_since(session, row),
        sources=tuple(source for source, _ in sources),
        statements=sum(count for _, count in sources),
        merged_into=row.merged_into,
        deleted=row.deleted,
        deceased=row.deceased,
        test=any(Identifier(i.value, i.assigner).test for i in assigners),
    )


def study(session: Session, row: StudyRow, asked: str) -> StudyTold:
    """A study with all that hangs on it."""
    newest = session.exec(
        select(ReportRow).where(ReportRow.study_uid == row.uid).order_by(col(ReportRow.version).desc()).limit(1)
    ).first()
    report: Report | None = parse(Report, newest.body) if newest else None
    return StudyTold(
        study_instance_uid=row.uid,
        public_id=row.public_id,
        instances=row.instances,
        image_revision=row.image_revision,
        match_revision=row.match_revision,
        analysis_run=row.analysis_run,
        report=_report(report, asked) if report else None,
        deliveries=_deliveries(session, row.uid),
        holds=_holds(session, row.uid),
        criticals=_criticals(session, row.uid),
        verifications=_verifications(session, row.uid),
        final_reports=_final_reports(session, row, report, asked),
        follow_ups=_follow_ups(session, row.uid),
        acceptances=_acceptances(session, row.uid),
        revision_open=row.revision_open,
        incomplete=row.incomplete,
        prior=row.purpose == Purpose.PRIOR.value,
        retrieval=_retrieval(session, row.uid, asked),
        stated=tuple(_stated(one) for one in stated.of_study(session, row.uid)),
        priors=_linked(session, PriorRow.prior_uid, PriorRow.study_uid, row.uid),
        prior_of=_linked(session, PriorRow.study_uid, PriorRow.prior_uid, row.uid),
    )


def _retrieval(session: Session, uid: str, asked: str) -> Retrieval | None:
    """Without its accession number, unless it was asked for."""
    found = wanted.of_study(session, uid)
    if found is None:
        return None
    retrieval = wanted.told(found)
    known = retrieval.accession is not None and retrieval.accession.value == asked
    return retrieval if known else replace(retrieval, accession=None)


def _stated(said: StatedSeries) -> StatedSeries:
    """Without what somebody typed."""
    return replace(said, series=replace(said.series, description="", body_part=""))


def _linked(session: Session, wanted_column: str, column: str, uid: str) -> tuple[str, ...]:
    asked = select(wanted_column).where(col(column) == uid).order_by(col(PriorRow.at), col(wanted_column))
    return tuple(session.exec(asked))


def _known_since(session: Session, row: PatientRow) -> datetime | None:
    """The oldest line that is filed under a patient; what is stored of the patient says only when it last changed."""
    oldest: list[datetime | None] = [
        session.exec(select(sa.func.min(TimelineRow.at)).where(TimelineRow.patient_id == row.id)).one(),
        session.exec(select(sa.func.min(StatementRow.received_at)).where(StatementRow.patient_id == row.id)).one(),
        session.exec(select(sa.func.min(OrderRow.created_at)).where(OrderRow.patient_id == row.id)).one(),
        session.exec(
            select(sa.func.min(IdentityChangeRow.at)).where(
                sa.or_(col(IdentityChangeRow.survivor_id) == row.id, col(IdentityChangeRow.prior_id) == row.id)
            )
        ).one(),
        row.updated_at,
    ]
    return min((at for at in oldest if at is not None), default=None)


def _order(order: ServiceRequest, patient_id: str, asked: str) -> ServiceRequest:
    return replace(order, patient=_identifier(order.patient, patient_id, asked), reason_text="", requester="")


def _identifier(identifier: Identifier, patient_id: str, asked: str) -> Identifier:
    """The identifier where it was asked for, else the patient's random id."""
    return identifier if identifier.value == asked else Identifier(patient_id or "unknown", _OURS)


def _report(report: Report, asked: str) -> Report:
    """A report without what tells a person: who it is stays told by the patient's random id."""
    known = report.patient.id if report.patient and report.patient.id else ""
    images = report.study
    shown = images.patient if images.patient and images.patient.value == asked else None
    order = _order(report.order, known, asked) if report.order else None
    final = report.final_report
    return replace(
        report,
        patient=_patient(report.patient, asked) if report.patient else None,
        study=replace(images, patient=shown, patient_birth_date=None),
        order=order,
        ehr=_ehr(report.ehr) if report.ehr else None,
        final_report=_final(final, known, asked) if final else None,
    )


def _patient(patient: Patient, asked: str) -> Patient:
    shown = tuple(identifier for identifier in patient.known_as if identifier.value == asked)
    return Patient(shown, sex=patient.sex, deceased=patient.deceased, id=patient.id, deleted=patient.deleted)


def _ehr(ehr: EhrData) -> EhrData:
    if not isinstance(ehr.birth_date, Known):
        return ehr
    return replace(ehr, birth_date=Unknown("it is known, and not told here"))


def _final(final: FinalReport, patient_id: str, asked: str) -> FinalReport:
    return replace(final, text="", patient=_identifier(final.patient, patient_id, asked))


def _deliveries(session: Session, uid: str) -> tuple[DeliveryTold, ...]:
    """Without what was sent, which may be large."""
    row, works = DeliveryRow, select(WorkRow.id).where(WorkRow.study_uid == uid)
    rows = session.execute(
        sa.select(
            col(row.kind), col(row.destination), col(row.state), col(row.attempts), col(row.acknowledgment),
            col(row.updated_at),
        )
        .where(sa.or_(col(row.study_uid) == uid, col(row.work_id).in_(works)))
        .order_by(col(row.created_at), col(row.destination), col(row.sequence))
    ).all()  # fmt: skip
    return tuple(DeliveryTold(*found) for found in rows)


def _holds(session: Session, uid: str) -> tuple[Hold, ...]:
    works = select(WorkRow.id).where(WorkRow.study_uid == uid)
    rows = session.exec(
        select(HoldRow)
        .where(sa.or_(col(HoldRow.study_uid) == uid, col(HoldRow.work_id).in_(works)))
        .order_by(col(HoldRow.created_at), col(HoldRow.key))
    ).all()
    return tuple(holds.told(row) for row in rows)


def _criticals(session: Session, uid: str) -> tuple[CriticalResult, ...]:
    rows = session.exec(
        select(CriticalResultRow)
        .where(CriticalResultRow.study_uid == uid)
        .order_by(col(CriticalResultRow.created_at), col(CriticalResultRow.id))
    ).all()
    return tuple(replace(kept.told(session, row), token="") for row in rows)  # nobody acknowledges by a story


def _verifications(session: Session, uid: str) -> tuple[Verification, ...]:
    """All that was ever said, oldest first; the newest of a finding counts."""
    rows = session.exec(
        select(VerificationRow).where(VerificationRow.study_uid == uid).order_by(col(VerificationRow.id))
    ).all()
    return tuple(
        Verification(
            finding=FindingRef(row.study_uid, row.image_revision, row.model, row.version, row.finding_key),
            verdict=Verdict(row.verdict),
            by=row.actor,
            role=row.role,
            at=row.at,
            reason=row.reason,
            corrected=parse(Quantity, row.corrected) if row.corrected else None,
        )
        for row in rows
    )


def _final_reports(
    session: Session, row: StudyRow, report: Report | None, asked: str
) -> tuple[FinalReport, ...]:  # fmt: skip
    """Radiology reports under the study's accession number, of a patient whom the study is, or was, filed under."""
    numbers = {(row.accession_number, row.accession_issuer)}
    if report and report.order and report.order.accession:
        ordered = report.order.accession.as_sent()
        numbers.add((ordered.value, ordered.assigner))
    whose = _whose(session, row)
    rows = session.exec(
        select(FinalReportRow)
        .where(col(FinalReportRow.accession_number).in_([number for number, _ in numbers]))
        .order_by(col(FinalReportRow.received_at))
    ).all()
    return tuple(
        _final(parse(FinalReport, one.body), one.patient_id, asked)
        for one in rows
        if (one.accession_number, one.accession_issuer) in numbers and canonical(session, one.patient_id) in whose
    )


def _whose(session: Session, row: StudyRow) -> Collection[str]:
    """The survivors among the patients whom the images name and for whom the study was reported."""
    named = session.get(PatientIdentifierRow, (row.patient_value, row.patient_assigner))
    reported = session.exec(select(ReportRow.patient_id).where(ReportRow.study_uid == row.uid)).all()
    ids = {*([named.patient_id] if named else []), *(one for one in reported if one)}
    return {canonical(session, one) for one in ids}


def _follow_ups(session: Session, uid: str) -> tuple[FollowUpTold, ...]:
    rows = session.exec(
        select(FollowUpRow)
        .where(FollowUpRow.study_uid == uid)
        .order_by(col(FollowUpRow.created_at), col(FollowUpRow.id))
    ).all()
    return tuple(
        FollowUpTold(row.pathway, row.action, row.due, row.state, row.reason, row.created_at, row.updated_at)
        for row in rows
    )


def _acceptances(session: Session, uid: str) -> tuple[Acceptance, ...]:
    """All answers that were ever given; what they were about stands in the report."""
    return tuple(replace(one, about=None, accepted=None) for one in acceptances.ever_said(session, uid))

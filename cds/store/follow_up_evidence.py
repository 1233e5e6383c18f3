"""What a follow-up asks for, and the results of its patient that came since: signed reports, images, coded values.

All of it is of one tree of patients (SAFETY section 1). A result that is taken back is not told any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlmodel import Session, col, select

from cds.domain.coding import Coding
from cds.domain.event import StudyEventKind
from cds.domain.follow_up_match import Evidence, Wanted
from cds.domain.identity import Identifier
from cds.domain.imaging import InstanceHeader
from cds.domain.matching import dates_fit
from cds.domain.message import RecordValue
from cds.domain.order import OrderStatus, ServiceRequest
from cds.domain.recommendation import Advice, Recommendation
from cds.domain.report import Report
from cds.store import final_reports
from cds.store.acceptances import counting
from cds.store.batch import rows_with
from cds.store.orders import order_of
from cds.store.patients import identifiers_of
from cds.store.safety_tables import FinalReportRow, FollowUpRow
from cds.store.tables import InstanceRow, OrderRow, ReportRow, StatementRow, StudyEventRow, StudyRow
from cds.store.values import parse

_DIGITS = 20
_VALUES = ("observation", "procedure")
_VOID = ("entered-in-error", "preliminary", "cancelled")


@dataclass(frozen=True, slots=True)
class _Chart:
    """One patient, under all identities, with their orders and the studies that came since a moment."""

    tree: tuple[str, ...]
    since: datetime
    orders: tuple[ServiceRequest, ...]
    studies: tuple[StudyRow, ...]


def wanted(session: Session, row: FollowUpRow) -> Wanted | None:
    """What a follow-up asks for, as it was recommended; None where that is not known any more."""
    made, study = session.get(ReportRow, row.work_id), session.get(StudyRow, row.study_uid)
    step = recommended(session, row, made)
    if step is None or study is None:
        return None
    number = study.accession_number, study.accession_issuer
    accession = Identifier(*number) if all(number) else None
    return Wanted(step.code, _made(study), step.not_before, study.uid, accession)


def recommended(session: Session, row: FollowUpRow, made: ReportRow | None) -> Recommendation | None:
    """The recommendation of a follow-up: as its report says it, else as it was accepted from a card."""
    said: Report | None = parse(Report, made.body) if made else None
    for advice in said.decision.outcomes if said else ():
        if isinstance(advice, Advice) and advice.pathway == row.pathway:
            found = next((one for one in advice.recommendations if one.key == row.recommendation), None)
            if found is not None:
                return found
    name = f"{row.pathway}.{row.recommendation}"
    return next((one.about for one in counting(session, row.study_uid, row.patient_id) if one.name == name), None)


def evidence(session: Session, tree: tuple[str, ...], since: datetime) -> tuple[Evidence, ...]:
    """The results of a patient that came since then and stand."""
    orders = tuple(order_of(row) for row in rows_with(session, OrderRow, OrderRow.patient_id, tree))
    standing = tuple(order for order in orders if order.status is not OrderStatus.REVOKED)
    chart = _Chart(tree, since, standing, tuple(_studies(session, tree, standing, since)))
    return (*_reports(session, chart), *_images(session, chart), *_announced(session, chart), *_values(session, chart))


def _studies(
    session: Session, tree: tuple[str, ...], orders: Sequence[ServiceRequest], since: datetime
) -> Iterator[StudyRow]:
    """Studies whose images name the patient, or that a person attached to an order of theirs; none in doubt."""
    theirs = {(one.value, one.assigner) for one in identifiers_of(session, tree)}
    asked = (col(StudyRow.first_instance_at) >= since, StudyRow.stopped == "")
    values, attached = {value for value, _ in theirs}, {order.id for order in orders if order.id}
    found = {
        row.uid: row
        for row in rows_with(session, StudyRow, StudyRow.patient_value, values, *asked)
        if (row.patient_value, row.patient_assigner) in theirs and (row.decided or not row.contradiction)
    }
    found |= {row.uid: row for row in rows_with(session, StudyRow, StudyRow.decided_order_id, attached, *asked)}
    yield from found.values()


def _reports(session: Session, chart: _Chart) -> Iterator[Evidence]:
    """Radiology reports that are signed and stand, by their accession numbers."""
    rows = rows_with(
        session, FinalReportRow, FinalReportRow.patient_id, chart.tree, col(FinalReportRow.received_at) >= chart.since
    )
    for number in sorted({(row.accession_number, row.accession_issuer) for row in rows}):
        accession = Identifier(*number)
        study = next((one for one in chart.studies if (one.accession_number, one.accession_issuer) == number), None)
        day = _made(study) if study else None
        order = _order(chart.orders, accession, day)
        report = final_reports.newest(session, accession, chart.tree[0], day or _planned(order))
        if report is None or report.received_at < chart.since:
            continue
        headers = _headers(session, study.uid) if study else ()
        digest = hashlib.sha256("|".join(number).encode()).hexdigest()[:_DIGITS]
        yield Evidence(
            key=f"report:{digest}",
            what=f"Signed radiology report{_of(order, headers)}",
            source=report.source,
            codes=_codes(order),
            modalities=_modalities(order, headers),
            body_parts=_body_parts(headers),
            performed=day or _planned(order),
            study_instance_uid=study.uid if study else "",
            accession=accession,
        )


def _images(session: Session, chart: _Chart) -> Iterator[Evidence]:
    for study in chart.studies:
        headers = _headers(session, study.uid)
        if not headers:
            continue
        number = study.accession_number, study.accession_issuer
        accession = Identifier(*number) if all(number) else None
        attached = next((order for order in chart.orders if order.id and order.id == study.decided_order_id), None)
        order = attached or (_order(chart.orders, accession, _made(study)) if accession else None)
        yield Evidence(
            key=f"images:{study.uid}",
            what=f"Images{_of(order, headers)}",
            source=study.source,
            codes=_codes(order),
            modalities=_modalities(None, headers),
            body_parts=_body_parts(headers),
            performed=_made(study),
            study_instance_uid=study.uid,
            accession=accession,
        )


def _announced(session: Session, chart: _Chart) -> Iterator[Evidence]:
    """Images of the patient's orders that a wire says are there (FHIR ImagingStudy), where none came here."""
    orders = {order.id: order for order in chart.orders if order.id}
    here = {study.uid for study in chart.studies}
    available = StudyEventRow.kind == StudyEventKind.IMAGES_AVAILABLE.value
    rows = rows_with(
        session, StudyEventRow, StudyEventRow.order_id, set(orders), available, StudyEventRow.received_at >= chart.since
    )
    for row in rows:
        order = orders[str(row.order_id)]
        if row.study_uid is None or row.study_uid in here or order.test:
            continue
        here.add(row.study_uid)
        yield Evidence(
            key=f"images:{row.study_uid}",
            what=f"Images that were announced{_of(order, ())}",
            source="another system's announcement",
            codes=_codes(order),
            modalities=_modalities(order, ()),
            performed=_planned(order),
            study_instance_uid=row.study_uid,
            accession=order.accession.as_sent() if order.accession else None,
        )


def _values(session: Session, chart: _Chart) -> Iterator[Evidence]:
    """Laboratory values and procedures by their codes."""
    recent = col(StatementRow.received_at) >= chart.since
    for row in rows_with(session, StatementRow, StatementRow.patient_id, chart.tree, recent):
        value: RecordValue = parse(RecordValue, row.body)
        if value.category in _VALUES and value.status not in _VOID:
            what = value.code.display or f"{value.category} {value.code.code}"
            codes = (value.code,)
            yield Evidence(f"value:{row.id}", what, row.source, codes=codes, performed=value.effective)


def _order(orders: Collection[ServiceRequest], accession: Identifier, day: date | None) -> ServiceRequest | None:
    """The order of an accession number, of about this time: numbers are given out again."""
    fitting = (order for order in orders if order.accession and order.accession.as_sent() == accession)
    return next((order for order in fitting if dates_fit(day, order)), None)


def _planned(order: ServiceRequest | None) -> date | None:
    """When an exam without images was made: as planned, and in no case before it was asked for."""
    at = (order.scheduled_at or order.requested_at) if order else None
    return at.date() if at else None


def _made(study: StudyRow) -> date | None:
    return study.study_date or (study.started_at.date() if study.started_at else None)


def _headers(session: Session, uid: str) -> tuple[InstanceHeader, ...]:
    """One header of each series that is still there."""
    first: dict[str, str] = {}
    asked = select(InstanceRow.series_uid, InstanceRow.sop_instance_uid).where(
        InstanceRow.study_uid == uid, col(InstanceRow.left_revision).is_(None)
    )
    for series, sop in session.exec(asked).all():
        first.setdefault(series, sop)
    rows = rows_with(session, InstanceRow, InstanceRow.sop_instance_uid, set(first.values()))
    return tuple(parse(InstanceHeader, row.header) for row in rows)


def _codes(order: ServiceRequest | None) -> tuple[Coding, ...]:
    return (order.procedure,) if order and order.procedure else ()


def _modalities(order: ServiceRequest | None, headers: Sequence[InstanceHeader]) -> tuple[str, ...]:
    named = [header.modality for header in headers] or ([order.modality] if order and order.modality else [])
    return tuple(sorted(set(named)))


def _body_parts(headers: Sequence[InstanceHeader]) -> tuple[str, ...]:
    return tuple(sorted({header.body_part for header in headers if header.body_part}))


def _of(order: ServiceRequest | None, headers: Sequence[InstanceHeader]) -> str:
    """What was examined, by codes alone: free text of an exam may name its patient."""
    procedure = order.procedure.display if order and order.procedure else ""
    words = procedure or " ".join((*_modalities(order, headers), *_body_parts(headers)))
    return f": {words}" if words else ""

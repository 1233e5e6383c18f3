"""What is not arranged yet for one patient, under all the identities that are one with theirs (SAFETY section 1).

Results that are pending when a patient leaves are what gets lost: doi:10.7326/0003-4819-143-2-200507190-00011.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlmodel import Session, col, select

from cds.domain.critical import WAITING, CriticalResult
from cds.domain.follow_up import FollowUp, FollowUpState
from cds.domain.identity import Identifier
from cds.domain.imaging import InstanceHeader
from cds.domain.matching import MatchState, dates_fit
from cds.domain.order import OrderStatus, ServiceRequest
from cds.domain.outstanding import Outstanding, PendingStudy
from cds.domain.report import Report
from cds.store import critical_rows, final_reports
from cds.store.batch import rows_with
from cds.store.engine import Database
from cds.store.follow_up_rows import follow_up_of, moved_days
from cds.store.identity import canonical, members
from cds.store.orders import order_of
from cds.store.patients import identifiers_of
from cds.store.safety_tables import CriticalResultRow, FinalReportRow, FollowUpRow
from cds.store.tables import InstanceRow, OrderRow, ReportRow, StudyRow, WorkRow
from cds.store.values import parse

#: What has waited for longer is no result of this stay.
RECENT = timedelta(days=30)
#: Exams are ordered well before they are made.
_ORDERED_BEFORE = timedelta(days=90)
_WAITING = tuple(state.value for state in WAITING)
_OPEN_ORDER = {
    OrderStatus.ACTIVE: "ordered: no images have come here yet",
    OrderStatus.ON_HOLD: "ordered and on hold: no images have come here yet",
}
_DOUBT = "it is in doubt whose images these are: a person decides"
_NO_ORDER = "no order is known for the images: the result is with the radiologist alone"
_COMING = "its images are still coming"
_BEGUN = "it is being analysed"
_AGAIN = "more images came after its result: it is being analysed again"
_FAILED = "its analysis failed: a person looks at it"
_UNSIGNED = "no signed radiology report has come here yet"
_LIVE = ("pending", "enqueued", "running")


@dataclass(frozen=True, slots=True)
class _Chart:
    """One patient's recent studies, and all orders of theirs that may be about them."""

    patient_id: str
    tree: tuple[str, ...]
    studies: tuple[StudyRow, ...]
    orders: tuple[tuple[OrderRow, ServiceRequest], ...]


@dataclass(frozen=True, slots=True)
class _Told:
    """A study's newest report: the work that made it, and whose it is."""

    work_id: str
    patient_id: str | None


def outstanding(database: Database, patient_id: str, now: datetime) -> Outstanding:
    """What waits for a patient by random id, whoever they are merged with; nothing for one who is not known here."""
    with database.reading() as session:
        tree = members(session, patient_id)
        orders = _orders(session, tree, now)
        studies = _studies(session, tree, [row.id for row, _ in orders], now)
        chart = _Chart(patient_id, tree, studies, orders)
        pending = (*_without_result(session, chart), *_without_images(session, chart, now))
        return Outstanding(_follow_ups(session, tree), _criticals(session, chart), pending)


def _follow_ups(session: Session, tree: Collection[str]) -> tuple[FollowUp, ...]:
    """Those that hold, answered ones too: what somebody arranged is not told as open. The first that are due first."""
    holding = FollowUpRow.state != FollowUpState.CLOSED.value
    rows = {row.id: row for row in rows_with(session, FollowUpRow, FollowUpRow.patient_id, tree, holding)}
    moved = moved_days(session, rows.keys())
    found = (follow_up_of(row, due=moved.get(row.id)) for row in rows.values())
    return tuple(sorted(found, key=lambda one: (one.due or date.max, one.created_at, one.id)))


def _criticals(session: Session, chart: _Chart) -> tuple[CriticalResult, ...]:
    """Those that nobody has acknowledged, of images that are surely this patient's, the most urgent first."""
    told = session.exec(select(ReportRow.study_uid).where(col(ReportRow.patient_id).in_(chart.tree)).distinct())
    uids = {*told, *(row.uid for row in chart.studies)}
    waiting = col(CriticalResultRow.state).in_(_WAITING)
    rows = rows_with(session, CriticalResultRow, CriticalResultRow.study_uid, uids, waiting)
    survivor = canonical(session, chart.patient_id)
    theirs = [row for row in list(rows) if _is_of(session, row, survivor)]
    theirs.sort(key=lambda row: (row.category, row.created_at, row.id))
    return tuple(critical_rows.told(session, row) for row in theirs)


def _is_of(session: Session, row: CriticalResultRow, survivor: str) -> bool:
    whose = critical_rows.subject(session, row.work_id)
    return whose is not None and canonical(session, whose) == survivor


def _orders(session: Session, tree: Collection[str], now: datetime) -> tuple[tuple[OrderRow, ServiceRequest], ...]:
    """The patient's orders that stand and are not a test."""
    rows = rows_with(
        session, OrderRow, OrderRow.patient_id, tree,
        col(OrderRow.created_at) >= now - _ORDERED_BEFORE, OrderRow.status != OrderStatus.REVOKED.value,
    )  # fmt: skip
    read = [(row, order_of(row)) for row in rows]
    return tuple((row, order) for row, order in read if not order.test)


def _studies(session: Session, tree: Sequence[str], orders: Sequence[str], now: datetime) -> tuple[StudyRow, ...]:
    """Recent studies whose images name this patient, or that a person attached to an order of theirs."""
    theirs = {(one.value, one.assigner) for one in identifiers_of(session, tree)}
    asked = col(StudyRow.last_instance_at) >= now - RECENT, StudyRow.purpose == ""
    named = rows_with(session, StudyRow, StudyRow.patient_value, {value for value, _ in theirs}, *asked)
    found = {row.uid: row for row in named if (row.patient_value, row.patient_assigner) in theirs}
    found |= {row.uid: row for row in rows_with(session, StudyRow, StudyRow.decided_order_id, orders, *asked)}
    return tuple(sorted(found.values(), key=lambda row: (row.last_instance_at, row.uid), reverse=True))


def _without_result(session: Session, chart: _Chart) -> Iterator[PendingStudy]:
    uids = [row.uid for row in chart.studies]
    reports = _reported(session, uids)
    works: dict[str, list[WorkRow]] = {}
    for work in rows_with(session, WorkRow, WorkRow.study_uid, uids):
        works.setdefault(work.study_uid, []).append(work)
    heard = session.exec(select(FinalReportRow.id).limit(1)).first() is not None
    for study in chart.studies:
        why = _why(session, study, reports.get(study.uid), works.get(study.uid, []))
        if why is None and reports[study.uid].patient_id not in chart.tree:
            continue
        if why is None and heard and not _is_signed(session, study, chart.patient_id):
            why = _UNSIGNED
        if why:
            yield _pending(session, chart, study, why)


def _reported(session: Session, uids: Collection[str]) -> dict[str, _Told]:
    """The newest report of each study, without its content."""
    columns = select(ReportRow.study_uid, ReportRow.work_id, ReportRow.patient_id)
    rows = session.exec(columns.where(col(ReportRow.study_uid).in_(uids)).order_by(col(ReportRow.version))).all()
    return {uid: _Told(work_id, patient_id) for uid, work_id, patient_id in rows}


def _why(session: Session, study: StudyRow, told: _Told | None, works: Sequence[WorkRow]) -> str | None:
    """Why a study has no result; None where it has one."""
    if study.stopped or study.contradiction:
        return _DOUBT
    if told is None:
        return _unreported(study, works)
    if told.patient_id is None:
        report: Report = parse(Report, session.get_one(ReportRow, told.work_id).body)
        return _DOUBT if report.match.state is MatchState.HELD else _NO_ORDER
    return _rerun(told, works)


def _unreported(study: StudyRow, works: Sequence[WorkRow]) -> str:
    states = {work.state for work in works}
    if states.isdisjoint(_LIVE) and study.revision_open:
        return _COMING
    if states.isdisjoint(_LIVE) and "failed" in states:
        return _FAILED
    return _DOUBT if states.isdisjoint(_LIVE) and "held" in states else _BEGUN


def _rerun(report: _Told, works: Sequence[WorkRow]) -> str | None:
    """Whether images came after those that the report is about; the same images decided again are no news."""
    about = max((work.image_revision for work in works if work.id == report.work_id), default=0)
    later = {work.state for work in works if work.image_revision > about}
    if not later.isdisjoint(_LIVE):
        return _AGAIN
    return _FAILED if "failed" in later else None


def _is_signed(session: Session, study: StudyRow, patient_id: str) -> bool:
    """True where nobody can tell, too: images without an accession number are in no report that could be found."""
    if not study.accession_number:
        return True
    accession = Identifier(study.accession_number, study.accession_issuer)
    made = study.started_at or study.study_date
    return final_reports.newest(session, accession, patient_id, made) is not None


def _pending(session: Session, chart: _Chart, study: StudyRow, why: str) -> PendingStudy:
    order = next((order for row, order in chart.orders if _is_about(row, order, study)), None)
    title = study.description or _title(order)
    return PendingStudy(why, study.study_date, _modality(session, study.uid), title, study.uid, _requester(order))


def _modality(session: Session, uid: str) -> str:
    header = session.exec(select(InstanceRow.header).where(InstanceRow.study_uid == uid).limit(1)).first()
    return parse(InstanceHeader, header).modality if header else ""


def _without_images(session: Session, chart: _Chart, now: datetime) -> Iterator[PendingStudy]:
    """Orders that somebody still waits for: not closed, of about now, without images and without a signed report."""
    numbers = {row.accession_number for row, _ in chart.orders if row.accession_number}
    here = (*chart.studies, *rows_with(session, StudyRow, StudyRow.accession_number, numbers))
    for row, order in chart.orders:
        when = order.scheduled_at or order.requested_at or row.created_at
        if order.status not in _OPEN_ORDER or when < now - RECENT:
            continue
        if any(_is_about(row, order, study) for study in here) or _is_reported(session, order, chart.patient_id):
            continue
        due = order.scheduled_at.date() if order.scheduled_at else None
        why = _OPEN_ORDER[order.status]
        yield PendingStudy(why, due, order.modality or "", _title(order), order.study_instance_uid, _requester(order))


def _is_reported(session: Session, order: ServiceRequest, patient_id: str) -> bool:
    """An exam whose images do not come here may be read all the same."""
    if order.accession is None:
        return False
    made = order.scheduled_at or order.requested_at
    return final_reports.newest(session, order.accession, patient_id, made) is not None


def _is_about(row: OrderRow, order: ServiceRequest, study: StudyRow) -> bool:
    """Whether a study is the exam that was ordered: a person said so, or its numbers do."""
    if row.id == study.decided_order_id or order.study_instance_uid == study.uid:
        return True
    if order.accession is None:
        return False
    number = order.accession.as_sent()
    same = (number.value, number.assigner) == (study.accession_number, study.accession_issuer)
    return same and dates_fit(study.study_date, order)


def _title(order: ServiceRequest | None) -> str:
    return (order.procedure.display or "") if order and order.procedure else ""


def _requester(order: ServiceRequest | None) -> str:
    return order.requester if order else ""

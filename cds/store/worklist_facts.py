"""What is known of one study for its row of the worklist, read in the transaction of whoever asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.coding import Quantity
from cds.domain.critical import WAITING, Category
from cds.domain.finding import ModelOutcome
from cds.domain.identity import Patient
from cds.domain.imaging import InstanceHeader, Study
from cds.domain.matching import Match, MatchState
from cds.domain.order import ServiceRequest
from cds.domain.revision import Revision, Work
from cds.domain.switch import SwitchKind
from cds.domain.verification import FinalReport, FindingRef, Verdict, Verification
from cds.store import final_reports, holds, patients
from cds.store.identity import canonical, members
from cds.store.orders import order_of
from cds.store.revisions import current
from cds.store.safety_tables import CriticalResultRow, SwitchRow, VerificationRow
from cds.store.tables import HoldRow, InstanceRow, ModelOutcomeRow, OrderRow, StudyRow, WorkRow, WorkStepRow
from cds.store.values import parse
from cds.ui.worklist_rows import Alarm, Facts

_LIVE = ("pending", "enqueued", "running")
_WAITING = tuple(state.value for state in WAITING)
#: Studies of one number that are looked at for priors: of a number that is none there may be thousands.
_LOOKED_AT = 200
#: What says something of images and is none.
_NO_IMAGES = frozenset({"SR", "KO", "PR", "SEG", "DOC"})
_NEWEST = tuple(
    number.desc() for number in (col(WorkRow.image_revision), col(WorkRow.match_revision), col(WorkRow.analysis_run))
)


@dataclass(frozen=True, slots=True)
class _Whose:
    """Whose a study is, as far as that is known: its match, its order, and who owns it now."""

    match: Match | None
    order: ServiceRequest | None
    patient: Patient | None


def gather(session: Session, row: StudyRow, study: Study) -> Facts:
    """Everything that the row of a study rests on. `study` is what the row says, as a domain value."""
    work = _newest_work(session, row)
    whose = _whose(session, row, study)
    outcomes = _outcomes(session, row, work)
    return Facts(
        study=replace(study, modalities=_modalities(session, row)),
        received_at=row.first_instance_at,
        is_coming=row.revision_open,
        work=_work(work) if work else None,
        state=work.state if work else "",
        match=whose.match,
        order=whose.order,
        orders=_orders(session, row),
        patient=whose.patient,
        outcomes=tuple(parse(ModelOutcome, one.body) for one in outcomes),
        of_earlier_images=any(one.image_revision < row.image_revision for one in outcomes),
        verifications=_verifications(session, row.uid, outcomes),
        final=_final(session, study, whose),
        holds=tuple(holds.told(one) for one in _holds(session, row.uid)),
        alarms=_alarms(session, row.uid),
        priors=_priors(session, row, study),
        off=frozenset(session.exec(select(SwitchRow.name).where(SwitchRow.kind == SwitchKind.MODEL.value))),
    )


def _newest_work(session: Session, row: StudyRow) -> WorkRow | None:
    return session.exec(select(WorkRow).where(WorkRow.study_uid == row.uid).order_by(*_NEWEST).limit(1)).first()


def _work(row: WorkRow) -> Work:
    return Work(row.source, row.study_uid, Revision(row.image_revision, row.match_revision, row.analysis_run))


def _whose(session: Session, row: StudyRow, study: Study) -> _Whose:
    """By the newest match; before there is one, by the images' own identifier."""
    found = _match(session, row)
    order = session.get(OrderRow, found.order_id) if found and found.order_id else None
    named = found.patient_id if found else None
    if named is None and study.patient is not None and (found is None or found.state is MatchState.UNMATCHED):
        named = patients.leaf(session, study.patient)
    return _Whose(found, order_of(order) if order else None, _patient(session, named))


def _match(session: Session, row: StudyRow) -> Match | None:
    asked = (
        select(WorkStepRow.body)
        .join(WorkRow, col(WorkRow.id) == col(WorkStepRow.work_id))
        .where(WorkRow.study_uid == row.uid, WorkStepRow.step == "match")
        .order_by(*_NEWEST)
    )
    body = session.exec(asked.limit(1)).first()
    return parse(Match, body) if body else None


def _patient(session: Session, patient_id: str | None) -> Patient | None:
    try:
        return patients.load(session, patient_id) if patient_id else None
    except KeyError:
        return None


def _orders(session: Session, row: StudyRow) -> tuple[ServiceRequest, ...]:
    """All orders with the study's accession number, whoever's."""
    if not row.accession_number:
        return ()
    rows = session.exec(select(OrderRow).where(OrderRow.accession_number == row.accession_number))
    return tuple(order_of(one) for one in rows)


def _outcomes(session: Session, row: StudyRow, work: WorkRow | None) -> list[ModelOutcomeRow]:
    """The newest answer of each model; of earlier images only while the newest are not analysed."""
    image = current(row).image
    is_done = work is not None and work.image_revision == image and work.state not in _LIVE
    oldest = image if is_done else 0
    rows = session.exec(
        select(ModelOutcomeRow)
        .where(
            ModelOutcomeRow.study_uid == row.uid,
            ModelOutcomeRow.image_revision <= image,
            ModelOutcomeRow.image_revision >= oldest,
        )
        .order_by(
            col(ModelOutcomeRow.model),
            col(ModelOutcomeRow.image_revision),
            col(ModelOutcomeRow.analysis_run),
            col(ModelOutcomeRow.at),
        )
    )
    return list({one.model: one for one in rows}.values())


def _verifications(session: Session, uid: str, outcomes: Iterable[ModelOutcomeRow]) -> tuple[Verification, ...]:
    """The newest word on each finding of these answers."""
    shown = {(one.model, one.version, one.image_revision) for one in outcomes}
    rows = session.exec(
        select(VerificationRow).where(VerificationRow.study_uid == uid).order_by(col(VerificationRow.id))
    )
    newest = {
        (one.model, one.finding_key): one for one in rows if (one.model, one.version, one.image_revision) in shown
    }
    return tuple(_said(one) for one in newest.values())


def _said(row: VerificationRow) -> Verification:
    about = FindingRef(row.study_uid, row.image_revision, row.model, row.version, row.finding_key)
    corrected = parse(Quantity, row.corrected) if row.corrected else None
    return Verification(about, Verdict(row.verdict), row.actor, row.role, row.at, row.reason, corrected)


def _final(session: Session, study: Study, whose: _Whose) -> FinalReport | None:
    """The radiologist's report that counts for the exam; None where it is not known whose it is."""
    number = (whose.order.accession if whose.order else None) or study.accession
    if number is None or whose.patient is None or whose.patient.id is None:
        return None
    return final_reports.newest(session, number, whose.patient.id, study.started_at or study.study_date)


def _holds(session: Session, uid: str) -> Sequence[HoldRow]:
    return session.exec(
        select(HoldRow)
        .where(HoldRow.study_uid == uid, col(HoldRow.resolved_at).is_(None))
        .order_by(col(HoldRow.created_at), col(HoldRow.key))
    ).all()


def _alarms(session: Session, uid: str) -> tuple[Alarm, ...]:
    rows = session.exec(
        select(CriticalResultRow)
        .where(CriticalResultRow.study_uid == uid, col(CriticalResultRow.state).in_(_WAITING))
        .order_by(col(CriticalResultRow.category), col(CriticalResultRow.id))
    )
    return tuple(Alarm(one.title, Category(one.category)) for one in rows)


def _modalities(session: Session, row: StudyRow) -> tuple[str, ...]:
    """Of one instance of each series that was not rejected; what holds no images only where nothing else came."""
    one_of_each = (
        select(sa.func.min(InstanceRow.sop_instance_uid))
        .where(InstanceRow.study_uid == row.uid, InstanceRow.rejected == "")
        .group_by(col(InstanceRow.series_uid))
    )
    bodies = session.exec(select(InstanceRow.header).where(col(InstanceRow.sop_instance_uid).in_(one_of_each)))
    headers: Iterable[InstanceHeader] = (parse(InstanceHeader, body) for body in bodies)
    found = {header.modality for header in headers} - {""}
    return tuple(sorted(found - _NO_IMAGES or found))


def _priors(session: Session, row: StudyRow, study: Study) -> int | None:
    """How many exams of an earlier day are here under an identifier of the same patient; None where that is unknown."""
    if study.patient is None or study.study_date is None or study.contradiction:
        return None
    filed = patients.leaf(session, study.patient)
    tree = members(session, canonical(session, filed)) if filed else ()
    known = {(one.value, one.assigner) for one in patients.identifiers_of(session, tree)} if tree else set()
    known.add((study.patient.value, study.patient.assigner))
    # Asked by the identifier alone: of a planner without statistics any other condition may seem the rarer one.
    asked = select(StudyRow).where(col(StudyRow.patient_value).in_({value for value, _ in known})).limit(_LOOKED_AT)
    return sum(
        (one.patient_value, one.patient_assigner) in known
        and one.study_date is not None
        and one.study_date < study.study_date
        and not one.stopped
        and not one.contradiction
        for one in session.exec(asked)
    )

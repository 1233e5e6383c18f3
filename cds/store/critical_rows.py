"""The rows of critical results and their log: how they are found, made and told."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime

from sqlmodel import Session, col, select

from cds.domain.critical import Category, CriticalEvent, CriticalResult, CriticalState, Opening
from cds.domain.hold import HoldKind
from cds.domain.matching import Match
from cds.domain.revision import Revision
from cds.store import timeline
from cds.store.identity import canonical
from cds.store.safety_tables import CriticalEventRow, CriticalResultRow
from cds.store.tables import HoldRow, WorkRow, WorkStepRow
from cds.store.values import parse

_TOKEN_BYTES = 32


def newest(session: Session, study_uid: str, finding: str) -> CriticalResultRow | None:
    """The newest result of a finding of a study, None where there was none."""
    return session.exec(
        select(CriticalResultRow)
        .where(CriticalResultRow.study_uid == study_uid, CriticalResultRow.finding == finding)
        .order_by(col(CriticalResultRow.episode).desc())
        .limit(1)
    ).first()


def same_subject(session: Session, row: CriticalResultRow, opening: Opening) -> bool:
    """True where what was told still holds: of nobody, or of this patient, whoever they are merged with by now."""
    if row.state == CriticalState.CLOSED.value:
        return False
    return still_of(session, row.work_id, opening.patient_id)


def still_of(session: Session, work_id: str, patient_id: str | None) -> bool:
    """True where a work was of nobody, or of this patient, whoever they are merged with by now."""
    before = subject(session, work_id)
    if before is None or patient_id is None:
        return before is None
    return canonical(session, before) == canonical(session, patient_id)


def late_key(study_uid: str, finding: str) -> str:
    """How the keys of holds begin that wait for a late finding of a study; the work ends them."""
    return f"critical-late:{study_uid}:{finding}:"


def late_hold(session: Session, study_uid: str, finding: str) -> HoldRow | None:
    """The hold of a late finding of a study: the one that waits, else the newest that was resolved."""
    return session.exec(
        select(HoldRow)
        .where(
            HoldRow.kind == HoldKind.CRITICAL_LATE.value,
            col(HoldRow.key).startswith(late_key(study_uid, finding), autoescape=True),
        )
        .order_by(col(HoldRow.resolved_at).is_not(None), col(HoldRow.created_at).desc())
        .limit(1)
    ).first()


def overtaken(session: Session, row: CriticalResultRow, opening: Opening) -> bool:
    """True where a newer work of the study told it: an older one, which is late, changes nothing."""
    told_by, late = session.get(WorkRow, row.work_id), session.get(WorkRow, opening.work_id)
    return told_by is not None and late is not None and _revision(late) < _revision(told_by)


def subject(session: Session, work_id: str) -> str | None:
    """Whose images a work took them for, by random id; None where that was not sure."""
    step = session.get(WorkStepRow, (work_id, "match"))
    match: Match | None = parse(Match, step.body) if step else None
    return match.patient_id if match else None


def new_row(opening: Opening, episode: int, now: datetime) -> CriticalResultRow:
    """A result that was opened just now, under a random id and a secret for its link."""
    return CriticalResultRow(
        id=str(uuid.uuid4()),
        token=secrets.token_urlsafe(_TOKEN_BYTES),
        study_uid=opening.study_instance_uid,
        episode=episode,
        work_id=opening.work_id,
        finding=opening.found.finding,
        title=opening.found.title,
        category=opening.found.category.value,
        route=opening.route,
        state=CriticalState.OPEN.value,
        created_at=now,
        due_at=opening.due_at,
        images_at=opening.images_at,
    )


def _revision(work: WorkRow) -> Revision:
    return Revision(work.image_revision, work.match_revision, work.analysis_run)


def log(session: Session, row: CriticalResultRow, now: datetime, what: str, detail: str) -> None:
    """Tell the result's log and the timeline what happened; nobody is named."""
    session.add(CriticalEventRow(critical_id=row.id, at=now, what=what, detail=detail))
    said = (row.finding, f"ACR category {row.category}", f"critical result {row.id}", detail)
    timeline.write(session, now, "critical", what, study_uid=row.study_uid, work_id=row.work_id, detail=said)


def events(session: Session, critical_id: str) -> tuple[CriticalEvent, ...]:
    """The log of a result, oldest first."""
    rows = session.exec(
        select(CriticalEventRow).where(CriticalEventRow.critical_id == critical_id).order_by(col(CriticalEventRow.id))
    ).all()
    return tuple(CriticalEvent(row.at, row.what, row.detail) for row in rows)


def told(session: Session, row: CriticalResultRow) -> CriticalResult:
    """A critical result with its log, for the reader."""
    return CriticalResult(
        id=row.id,
        token=row.token,
        study_instance_uid=row.study_uid,
        work_id=row.work_id,
        finding=row.finding,
        title=row.title,
        category=Category(row.category),
        route=row.route,
        state=CriticalState(row.state),
        created_at=row.created_at,
        due_at=row.due_at,
        images_at=row.images_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        episode=row.episode,
        log=events(session, row.id),
    )


def utc(at: datetime) -> str:
    """A moment in words."""
    return at.isoformat(sep=" ", timespec="minutes")

"""The three numbers of a study (SAFETY section 2): what raises them, and the work that follows.

Every function here wants the study's lock (`locked`), or takes it itself.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, select

from cds.domain.order import ServiceRequest, queue_priority
from cds.domain.retrieval import Purpose
from cds.domain.revision import Revision, Work
from cds.errors import NotFound
from cds.store import timeline
from cds.store.engine import lock
from cds.store.tables import OrderRow, ReportRow, StudyRow, WorkRow
from cds.store.values import parse

#: What a person can have decided about a match.
_DECISIONS = ("attach", "leave", "")
_HURRIED = "what was told had to be taken back before all images had come"


def locked(session: Session, uid: str) -> StudyRow:
    """The study's row as it is now, with nobody else writing it until the transaction ends; raise NotFound."""
    lock(session, "study", uid)
    row = session.get(StudyRow, uid, populate_existing=True)
    if row is None:
        raise NotFound("no such study")
    return row


def current(row: StudyRow) -> Revision:
    """What a study's newest work has to be about: a work below it was overtaken, and another one follows or was there.

    A revision that ran knowing that images were still to come, and says so, counts until the next one is closed.
    """
    coming = row.revision_open and bool(row.incomplete)
    return Revision(row.image_revision - coming, row.match_revision, row.analysis_run)


def rematch(session: Session, uid: str, reason: str, now: datetime) -> None:
    """Match revision +1 (SAFETY section 2); a study whose images are complete becomes pending work."""
    match_again(session, locked(session, uid), reason, now)


def match_again(session: Session, row: StudyRow, reason: str, now: datetime, *, urgent: bool = False) -> None:
    """`rematch` of a study that is locked. `urgent` where what was reported may be another patient's: see `run`."""
    row.match_revision += 1
    session.add(row)
    outcome = f"match revision {row.match_revision}"
    timeline.write(session, now, "match", outcome, study_uid=row.uid, detail=(reason,))
    if urgent or not row.revision_open or row.incomplete:
        run(session, row, reason, now)


def open_revision(session: Session, row: StudyRow, reason: str, now: datetime) -> None:
    """Image revision +1, which ends when its images are complete; nothing happens while one is open."""
    row.last_instance_at = now
    if not row.revision_open:
        row.image_revision += 1
        row.revision_open, row.revision_opened_at = True, now
        detail = (f"image revision {row.image_revision} opened",)
        timeline.write(session, now, "receive", reason, study_uid=row.uid, detail=detail)
    session.add(row)


def own_study(session: Session, row: StudyRow, reason: str, now: datetime) -> None:
    """A study that was here only to be compared with is wanted for itself: it runs, and is reported, as any other."""
    if row.purpose != Purpose.PRIOR.value:
        return
    row.purpose, row.incomplete = "", ""
    open_revision(session, row, reason, now)


def run(session: Session, row: StudyRow, reason: str, now: datetime) -> None:
    """Work on the study as it is now, without waiting for all its images if a report of it stands.

    What was not reported yet harms nobody, and its images may still be coming: it waits for them. Where a revision ran
    knowing that they were, that one is worked on again, and the open one goes on.
    """
    if row.revision_open and not row.incomplete:
        if not reported(session, row.uid):
            return
        row.revision_open, row.incomplete = False, _HURRIED
        session.add(row)
    open_work(session, row, now, reason)


def open_work(
    session: Session, row: StudyRow, now: datetime, *reasons: str, outcome: str = "study complete"
) -> Work | None:
    """Put the study's `current` revision into the outbox, as urgent as its order; the same revision twice is one work.

    None for a study that is here only to be compared with: nothing runs and nothing is reported.
    """
    if row.purpose == Purpose.PRIOR.value:
        return None
    revision = current(row)
    work = Work(row.source, row.uid, revision)
    if session.get(WorkRow, work.id) is None:
        session.add(
            WorkRow(
                id=work.id,
                source=row.source,
                study_uid=row.uid,
                image_revision=revision.image,
                match_revision=revision.match,
                analysis_run=revision.analysis,
                priority=_priority(session, row),
                state="pending",
                reason="; ".join(reasons),
                created_at=now,
                updated_at=now,
            )
        )
        timeline.write(session, now, "event", outcome, study_uid=row.uid, work_id=work.id, detail=reasons)
    return work


def reported(session: Session, uid: str) -> bool:
    """True where any report of the study was committed."""
    return session.exec(select(ReportRow.work_id).where(ReportRow.study_uid == uid).limit(1)).first() is not None


def decide_match(  # noqa: PLR0917  what was decided, about what, by whom and when
    session: Session, uid: str, decided: str, order_id: str | None, by: str, now: datetime
) -> None:
    """A person's word on whose the images are: "attach" to an order, "leave" without one, "" takes it back.

    It counts against what stopped the study and against instances that contradict each other, until other images say
    something new. The holds are the caller's to resolve.
    """
    if decided not in _DECISIONS or (decided == "attach") != (order_id is not None):
        raise ValueError("want attach with an order, leave, or nothing")
    row = locked(session, uid)
    row.decided, row.decided_order_id, row.decided_by = decided, order_id, by if decided else ""
    row.stopped = ""
    match_again(session, row, f"a person decided: {decided or 'match again'}", now)


def stop(session: Session, uid: str, reason: str, now: datetime) -> None:
    """Nobody may see the study until a person decided, and what was sent is taken back at once (SAFETY section 3)."""
    row = locked(session, uid)
    if row.stopped == reason:
        return
    row.stopped = reason
    row.decided, row.decided_order_id, row.decided_by = "", None, ""
    match_again(session, row, reason, now, urgent=True)


def _priority(session: Session, row: StudyRow) -> int:
    """The queue priority of the orders with the study's accession number, whoever's.

    A doubtful match must not slow an urgent study.
    """
    if not row.accession_number:
        return queue_priority(())
    bodies = session.exec(select(OrderRow.body).where(OrderRow.accession_number == row.accession_number)).all()
    return queue_priority(parse(ServiceRequest, body) for body in bodies)

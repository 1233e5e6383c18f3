"""What was refused, sent again: only where it still is what Sightline says (SAFETY section 3)."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, select

from cds.domain.critical import WAITING
from cds.domain.critical import delivery_id as told_over
from cds.domain.follow_up import ReminderStep
from cds.domain.report import DeliveryKind, DeliveryState
from cds.errors import Conflict, NotFound
from cds.store import criticals, deliveries
from cds.store.acceptances import WAITING as WAITING_FOLLOW_UPS
from cds.store.follow_up_tables import FollowUpReminderRow
from cds.store.safety_tables import CriticalResultRow, FollowUpRow
from cds.store.tables import DeliveryRow, ReportRow, StudyRow

_NEWER = "something newer about this study was decided or went there since"


def send_again(session: Session, delivery_id: str, now: datetime) -> None:
    """The same bytes under the next id, since the engine knows the one that ended.

    Raise NotFound, or Conflict with the reason where it does not hold any more. The study's lock is the caller's.
    """
    old = session.get(DeliveryRow, delivery_id)
    if old is None:
        raise NotFound("the delivery is not there any more")
    if why := _overtaken(session, old):
        raise Conflict(f"{why}: give-up is what is left")
    first = old.id.partition("~")[0]
    again = session.exec(select(DeliveryRow.id).where(col(DeliveryRow.id).startswith(f"{first}~", autoescape=True)))
    deliveries.enqueue(
        session,
        delivery_id=f"{first}~{len(again.all()) + 1}",
        destination=old.destination,
        kind=DeliveryKind(old.kind),
        payload=old.payload,
        now=now,
        work_id=old.work_id,
        study_uid=old.study_uid,
        patient_id=old.patient_id,
        subject=old.subject,
    )


def _overtaken(session: Session, old: DeliveryRow) -> str:
    """Why sending it now would put the past over the present; empty where it would not.

    A report is overtaken by any newer report of its study, wherever that went, and a critical result by its end. What
    takes something back is overtaken only by a later report for the same patient, a priority by a later one.
    """
    kind = DeliveryKind(old.kind)
    if kind is DeliveryKind.CRITICAL:
        return "" if _is_withdrawal(old) else _taken_back(session, old) or _needs_nobody(session, old)
    if kind is DeliveryKind.REPORT:
        newer = _newest_work(session, old.study_uid) != old.work_id or _followed(session, old)
        return _NEWER if newer else _taken_back(session, old)
    if kind is DeliveryKind.REMINDER:
        return _ended(session, old)
    last_word = kind in (DeliveryKind.RETRACTION, DeliveryKind.PRIORITY)
    return _NEWER if last_word and _followed(session, old) else ""


def _is_withdrawal(old: DeliveryRow) -> bool:
    """True where it says that a critical result is one no more: not sent under the id of the result itself."""
    route = old.destination.removeprefix(criticals.DESTINATION)
    return old.id.partition("~")[0] != told_over(old.subject, route)


def _needs_nobody(session: Session, old: DeliveryRow) -> str:
    row = session.get(CriticalResultRow, old.subject)
    return "" if row is not None and row.state in WAITING else "the critical result waits for nobody any more"


def _taken_back(session: Session, old: DeliveryRow) -> str:
    """What names a patient is not sent while it is in doubt, or wrong, that the images are hers."""
    study = session.get(StudyRow, old.study_uid)
    if study is None or old.patient_id is None:
        return ""
    doubt = study.stopped or (study.contradiction and not study.decided)
    return "whose images these are waits for a person" if doubt else ""


def _newest_work(session: Session, uid: str | None) -> str | None:
    newest = select(ReportRow.work_id).where(ReportRow.study_uid == uid).order_by(col(ReportRow.version).desc())
    return session.exec(newest.limit(1)).first()


def _followed(session: Session, old: DeliveryRow) -> bool:
    """True where something later about the study went to its destination, or is about to."""
    reports = (DeliveryKind.REPORT.value, DeliveryKind.RETRACTION.value)
    later = select(DeliveryRow.id).where(
        DeliveryRow.destination == old.destination,
        DeliveryRow.study_uid == old.study_uid,
        DeliveryRow.sequence > old.sequence,
        col(DeliveryRow.state).in_((DeliveryState.PENDING.value, DeliveryState.SENT.value)),
    )
    if old.kind == DeliveryKind.RETRACTION:
        later = later.where(DeliveryRow.kind == DeliveryKind.REPORT.value, DeliveryRow.patient_id == old.patient_id)
    elif old.kind == DeliveryKind.PRIORITY:
        later = later.where(DeliveryRow.kind == DeliveryKind.PRIORITY.value)
    else:
        later = later.where(col(DeliveryRow.kind).in_(reports))
    return session.exec(later).first() is not None


def _ended(session: Session, old: DeliveryRow) -> str:
    """Nobody is reminded of what is done, and nobody is told that it is void what waits again."""
    row = session.get(FollowUpRow, old.subject)
    waits = row is not None and row.state in WAITING_FOLLOW_UPS
    asked = select(FollowUpReminderRow).where(
        FollowUpReminderRow.follow_up_id == old.subject, FollowUpReminderRow.step == ReminderStep.WITHDRAWN.value
    )
    withdrawn = session.exec(asked).first()
    holds = not waits if withdrawn is not None and withdrawn.at <= old.created_at else waits
    return "" if holds else "the follow-up has moved on since"

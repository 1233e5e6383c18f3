"""Reminders of follow-ups: which are to be given now, that each step is given once for each due day, and their end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from sqlmodel import Session, col, select

from cds.coordination import FollowUpCare
from cds.domain.follow_up import FollowUpState, ReminderStep
from cds.domain.follow_up_care import ReminderDue, Withdrawal
from cds.domain.report import DeliveryKind, DeliveryState, Report
from cds.store import patients, timeline
from cds.store.batch import rows_with
from cds.store.deliveries import enqueue
from cds.store.engine import Database, lock
from cds.store.follow_up_rows import follow_up_of, set_of
from cds.store.follow_up_tables import FollowUpEventRow, FollowUpReminderRow
from cds.store.safety_tables import FollowUpRow
from cds.store.tables import DeliveryRow, ReportRow, StudyRow
from cds.store.values import parse

DESTINATION = "follow-up:"
_WAITING = (FollowUpState.OPEN.value, FollowUpState.ACCEPTED.value)
_BY = "Sightline"


class ReminderStore:
    """What somebody is to be reminded of, and what they were."""

    def __init__(self, database: Database, care: FollowUpCare) -> None:
        self._database, self._care = database, care

    def to_give(self, today: date) -> tuple[ReminderDue, ...]:
        """The follow-ups whose step of today was not given for their due day, the first that are due first.

        Nobody is reminded of what is to be done for somebody who has died, or while it is in doubt whose images these
        are.
        """
        with self._database.reading() as session:
            return tuple(self._due(session, today))

    def give(self, due: ReminderDue, recipient: str, route: str, payload: bytes, now: datetime) -> bool:
        """Put it on its way and record it, in one transaction; False where it was given, or nobody waits any more."""
        one = due.follow_up
        with self._database.writing() as session:
            lock(session, "follow-up", one.id)
            row = session.get_one(FollowUpRow, one.id, populate_existing=True)
            key = (one.id, due.step.value, due.due)
            if row.state not in _WAITING or session.get(FollowUpReminderRow, key) is not None:
                return False
            _record(session, due, recipient, now)
            _enqueue(session, due, due.delivery_id, route, payload, now=now)
        return True

    def to_withdraw(self) -> tuple[Withdrawal, ...]:
        """The follow-ups that do not hold any more, of which somebody was reminded and does not know it yet."""
        with self._database.reading() as session:
            return tuple(_void(session))

    def withdraw(self, void: Withdrawal, recipients: str, payloads: dict[str, bytes], now: datetime) -> bool:
        """Tell them, route by route, once; False where somebody did."""
        due, one = void.due, void.due.follow_up
        with self._database.writing() as session:
            lock(session, "follow-up", one.id)
            if session.get(FollowUpReminderRow, (one.id, due.step.value, due.due)) is not None:
                return False
            _record(session, due, recipients, now)
            for route, payload in payloads.items():
                _enqueue(session, due, due.delivery_over(route), route, payload, now=now)
        return True

    def _due(self, session: Session, today: date) -> Iterator[ReminderDue]:
        until = today + timedelta(days=self._care.due_soon_days)
        waiting = session.exec(select(FollowUpRow).where(col(FollowUpRow.state).in_(_WAITING))).all()
        cares = set_of(session, {row.id for row in waiting})
        found = [(row, cares.get(row.id)) for row in waiting]
        dated = [(row, care.owner if care else "", (care and care.due) or row.due) for row, care in found]
        near = [(row, owner, day) for row, owner, day in dated if day is not None and day <= until]
        given = _given(session, {row.id for row, _, _ in near})
        for row, owner, day in sorted(near, key=lambda one: one[2]):
            step = step_on(today, day, self._care)
            if step is None or (row.id, step.value, day) in given:
                continue
            due = _told(session, row, owner, day, step)
            if due is not None:
                yield due


def step_on(today: date, due: date, care: FollowUpCare) -> ReminderStep | None:
    """How urgent a reminder would be today; None where none is due."""
    late = (today - due).days
    if late >= care.escalate_days:
        return ReminderStep.ESCALATED
    if late >= care.overdue_days:
        return ReminderStep.OVERDUE
    return ReminderStep.DUE_SOON if 0 <= -late <= care.due_soon_days else None


def end_reminders(session: Session, follow_up_id: str, reason: str, now: datetime) -> None:
    """What still waits to be sent of a follow-up is not sent any more: nobody has to do anything about it."""
    waiting = select(DeliveryRow).where(
        DeliveryRow.subject == follow_up_id,
        DeliveryRow.kind == DeliveryKind.REMINDER.value,
        DeliveryRow.state == DeliveryState.PENDING.value,
    )
    for delivery in session.exec(waiting).all():
        delivery.state, delivery.acknowledgment = DeliveryState.SUPERSEDED.value, reason
        delivery.updated_at = now
        session.add(delivery)


def _given(session: Session, follow_ups: set[str]) -> set[tuple[str, str, date]]:
    rows = rows_with(session, FollowUpReminderRow, FollowUpReminderRow.follow_up_id, follow_ups)
    return {(row.follow_up_id, row.step, row.due) for row in rows}


def _told(
    session: Session, row: FollowUpRow, owner: str, day: date, step: ReminderStep, *, void: bool = False
) -> ReminderDue | None:
    """What is told of a follow-up; None while nobody is to be told. What is `void` is taken back in any case."""
    study, made = session.get(StudyRow, row.study_uid), session.get(ReportRow, row.work_id)
    if study is None or made is None:
        return None
    if not void and (study.stopped or (study.contradiction and not study.decided)):
        return None
    try:
        patient = patients.load(session, row.patient_id)
    except KeyError:
        return None
    if not void and (patient.deceased or patient.deleted):
        return None
    report: Report = parse(Report, made.body)
    return ReminderDue(follow_up_of(row), day, step, owner, report.study, patient, made.episode)


def _void(session: Session) -> Iterator[Withdrawal]:
    """What nobody received is not withdrawn; what was under way may have arrived."""
    asked = (
        select(FollowUpReminderRow.follow_up_id)
        .join(FollowUpRow, col(FollowUpRow.id) == col(FollowUpReminderRow.follow_up_id))
        .where(FollowUpRow.state == FollowUpState.CLOSED.value)
    )
    for follow_up in session.exec(asked.distinct()).all():
        given = session.exec(select(FollowUpReminderRow).where(FollowUpReminderRow.follow_up_id == follow_up)).all()
        day = max(one.due for one in given)
        if any((one.step, one.due) == (ReminderStep.WITHDRAWN.value, day) for one in given):
            continue
        told = _arrived(session, follow_up)
        due = _told(session, session.get_one(FollowUpRow, follow_up), "", day, ReminderStep.WITHDRAWN, void=True)
        if told and due is not None:
            yield Withdrawal(due, told)


def _arrived(session: Session, follow_up: str) -> dict[str, tuple[str, ...]]:
    """The deliveries of a follow-up's reminders that may have arrived, by route."""
    asked = select(DeliveryRow.id, DeliveryRow.destination).where(
        DeliveryRow.subject == follow_up,
        DeliveryRow.kind == DeliveryKind.REMINDER.value,
        DeliveryRow.attempts > 0,
        DeliveryRow.state != DeliveryState.REFUSED.value,
    )
    found: dict[str, tuple[str, ...]] = {}
    for delivery, destination in session.exec(asked.order_by(col(DeliveryRow.created_at))).all():
        route = destination.removeprefix(DESTINATION)
        found[route] = (*found.get(route, ()), delivery)
    return found


def _enqueue(
    session: Session, due: ReminderDue, delivery_id: str, route: str, payload: bytes, *, now: datetime
) -> None:
    enqueue(
        session,
        delivery_id=delivery_id,
        destination=DESTINATION + route,
        kind=DeliveryKind.REMINDER,
        payload=payload,
        now=now,
        study_uid=due.follow_up.study_instance_uid,
        patient_id=due.patient.id,
        subject=due.follow_up.id,
    )


def _record(session: Session, due: ReminderDue, recipient: str, now: datetime) -> None:
    one = due.follow_up
    session.add(
        FollowUpReminderRow(
            follow_up_id=one.id, step=due.step.value, due=due.due, recipient=recipient, delivery_id=due.delivery_id,
            at=now,
        )
    )  # fmt: skip
    detail = f"{due.step.value}, due {due.due.isoformat()}"
    session.add(FollowUpEventRow(follow_up_id=one.id, at=now, by=_BY, what="reminded", detail=f"{detail}: {recipient}"))
    said = (f"{one.pathway}.{one.recommendation}", detail)
    timeline.write(session, now, "follow-up", "reminder", study_uid=one.study_instance_uid, detail=said)

"""What wires say of exams: scheduled, cancelled, images there. Implements `cds.ports.StudyEvents`.

An event finds its order by the placer's number, else the filler's, else the accession number, among the orders of the
patient whom its message names, and in the realm of its message. It never closes an order: an appointment is none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlmodel import Session, col, select

from cds.domain.event import StudyEvent, StudyEventKind
from cds.domain.identity import Identifier, Patient
from cds.domain.matching import dates_fit
from cds.domain.message import MessageContent
from cds.domain.order import OrderStatus, ServiceRequest
from cds.store import patients, timeline
from cds.store.engine import Database, lock
from cds.store.identity import canonical, members
from cds.store.orders import images_of, key, order_of, rematch_all, studies_with
from cds.store.retrieval_tables import AnnouncementRow
from cds.store.tables import OrderRow, StudyEventRow, StudyRow
from cds.store.values import dump, parse

_EXAM = "exam"
_ANNOUNCING = "ORU of images"
_CHANGED = "what is known of the exam changed after the images came"
_BOOKED = (StudyEventKind.SCHEDULED, StudyEventKind.RESCHEDULED)
_GONE = (StudyEventKind.APPOINTMENT_CANCELLED, StudyEventKind.NO_SHOW)
#: How the events read in a story, after "exam: ".
_WORDS = {
    StudyEventKind.SCHEDULED: "scheduled",
    StudyEventKind.RESCHEDULED: "rescheduled",
    StudyEventKind.APPOINTMENT_CANCELLED: "appointment cancelled",
    StudyEventKind.NO_SHOW: "the patient did not appear",
    StudyEventKind.IMAGES_AVAILABLE: "images announced",
}


class StudyEventStore:
    """The events of all wires, and which announced images have not come yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def announce(self, event: StudyEvent, now: datetime) -> bool:
        """See the port. The event names no patient: an order is found only where its numbers are one patient's."""
        with self._database.writing() as session:
            lock(session, "record")
            return announce_in(session, event, None, now)

    def of_study(self, study_instance_uid: str) -> Sequence[StudyEvent]:
        """What was said of a study, oldest first."""
        with self._database.reading() as session:
            asked = select(StudyEventRow).where(StudyEventRow.study_uid == study_instance_uid)
            return _told(session.exec(asked.order_by(col(StudyEventRow.received_at), col(StudyEventRow.key))).all())

    def pending(self, limit: int = 100) -> Sequence[StudyEvent]:
        """Images that were announced in production and of which none is here yet, the oldest first."""
        here = select(StudyRow.uid)
        asked = select(StudyEventRow).where(
            StudyEventRow.kind == StudyEventKind.IMAGES_AVAILABLE.value,
            col(StudyEventRow.study_uid).is_not(None),
            col(StudyEventRow.study_uid).not_in(here),
        )
        with self._database.reading() as session:
            ordered = asked.order_by(col(StudyEventRow.received_at), col(StudyEventRow.key)).limit(limit)
            return _told(session.exec(ordered).all())


def apply(session: Session, event: StudyEvent, patient: Patient | None, now: datetime, *, test: bool) -> set[str]:
    """File an event in the transaction of its message; answers the studies to match again because of it."""
    return _file(session, event, patient, now, test=test) or set()


def announce_in(session: Session, event: StudyEvent, patient: Patient | None, now: datetime) -> bool:
    """As `StudyEventStore.announce`, in the transaction of its cause, which has locked the record."""
    touched = _file(session, event, patient, now, test=False)
    rematch_all(session, touched or (), _CHANGED, now)
    return touched is not None


def feed_of(content: MessageContent, message_type: str) -> str:
    """The kind of feed that a message belongs to: results that only announce images say nothing of the patient."""
    results = content.values or content.orders or content.final_reports
    return _ANNOUNCING if message_type == "ORU" and content.events and not results else message_type


def _file(
    session: Session, event: StudyEvent, patient: Patient | None, now: datetime, *, test: bool
) -> set[str] | None:
    """As `apply`; None where everything of the event is known already."""
    event = _in_test(event) if test else event
    patient_id = patients.known(session, patient.identifiers) if patient else None
    known, touched = True, set[str]()
    found: list[OrderRow | None] = [*_orders(session, event, patient_id, test=test)]
    for row in found or [None]:
        digest = _digest(event, patient_id, row)
        if session.get(StudyEventRow, digest) is not None:
            continue
        known = False
        _tell(session, event, row, patient_id, now, test=test)
        touched |= _apply(session, event, row, now)
        session.add(
            StudyEventRow(
                key=digest,
                kind=event.kind.value,
                study_uid=None if test else event.study_instance_uid,  # images of production are nobody's test
                order_id=row.id if row is not None else None,
                patient_id=patient_id,
                body=dump(StudyEvent, event),
                received_at=now,
            )
        )
        if event.kind is StudyEventKind.IMAGES_AVAILABLE and not test:
            session.add(AnnouncementRow(event_key=digest, at=now))
        session.flush()
    return None if known else touched


def _apply(session: Session, event: StudyEvent, row: OrderRow | None, now: datetime) -> set[str]:
    if row is None:
        return set()
    if event.kind is StudyEventKind.IMAGES_AVAILABLE:
        return _announced(session, event, row, now)
    return _appointed(session, event, row, now)


def _announced(session: Session, event: StudyEvent, row: OrderRow, now: datetime) -> set[str]:
    """The order gets its Study Instance UID where nothing says that it has another one.

    Among several orders of one accession number it tells whose images these are: they are matched again.
    """
    order, uid = order_of(row), event.study_instance_uid
    if uid is None or order.study_instance_uid == uid:
        return set()
    if order.study_instance_uid or set(images_of(session, order)) - {uid}:
        doubt = "the order has another study: its Study Instance UID was left as it is"
        timeline.write(session, now, _EXAM, "another study was announced", order_id=row.id, detail=(doubt,))
        return set()
    _keep(session, row, replace(order, study_instance_uid=uid), now)
    number = order.accession.value if order.accession else None
    sharing = session.exec(select(OrderRow.id).where(OrderRow.accession_number == number)).all() if number else []
    return studies_with(session, {number}, test=order.test) if number and len(sharing) > 1 else set()


def _appointed(session: Session, event: StudyEvent, row: OrderRow, now: datetime) -> set[str]:
    """The order has the time of its newest appointment, and none where that one is gone.

    Answers the studies that its accession number fits by the new time and not by the old one, or the other way round.
    """
    order = order_of(row)
    reason = _why_not(session, event, row, order)
    if reason:
        timeline.write(session, now, _EXAM, "no change", order_id=row.id, detail=(reason,))
        return set()
    after = replace(order, scheduled_at=event.scheduled_at if event.kind in _BOOKED else None)
    before = set(images_of(session, order))
    _keep(session, row, after, now)
    return before ^ set(images_of(session, after))


def _why_not(session: Session, event: StudyEvent, row: OrderRow, order: ServiceRequest) -> str:
    """Why an appointment leaves the time of an order as it is; empty where it changes it."""
    if event.kind in _BOOKED and event.scheduled_at is None:
        return "no time was stated"
    if event.kind in _GONE and event.scheduled_at and order.scheduled_at not in (None, event.scheduled_at):
        return "it was another appointment than the one that holds"
    kinds = [kind.value for kind in (*_BOOKED, *_GONE)]
    asked = select(StudyEventRow).where(StudyEventRow.order_id == row.id, col(StudyEventRow.kind).in_(kinds))
    said = [one.occurred_at for one in _told(session.exec(asked).all()) if one.occurred_at]
    if event.occurred_at and said and max(said) > event.occurred_at:
        return "it is older than what is known of the appointment"
    return ""


def _orders(session: Session, event: StudyEvent, patient_id: str | None, *, test: bool) -> list[OrderRow]:
    """The orders that an event means. Without a patient they must all be one patient's."""
    columns = (
        (OrderRow.placer_order_number, key(event.placer_order_number)),
        (OrderRow.filler_order_number, key(event.filler_order_number)),
        (OrderRow.accession_number, event.accession.value if event.accession else None),
    )
    tree = members(session, patient_id) if patient_id else None
    for column, number in columns:
        if number is None:
            continue
        rows = session.exec(select(OrderRow).where(column == number).order_by(col(OrderRow.id))).all()
        reused = column is OrderRow.accession_number
        meant = [row for row in rows if _may_mean(event, order_of(row), test=test, reused=reused)]
        mine = [row for row in meant if tree is None or row.patient_id in tree]
        if tree is None and len({canonical(session, row.patient_id) for row in mine}) > 1:
            return []
        if mine:
            return mine
    return []


def _may_mean(event: StudyEvent, order: ServiceRequest, *, test: bool, reused: bool) -> bool:
    """False for an order that is closed, of the other realm or of another accession number.

    `reused` numbers (accession numbers) are given out again: there an order of long before is not meant either.
    """
    if order.test is not test or order.status is OrderStatus.REVOKED:
        return False
    if event.accession and order.accession and event.accession != order.accession:
        return False
    return not reused or dates_fit(event.occurred_at.date() if event.occurred_at else None, order)


def _keep(session: Session, row: OrderRow, order: ServiceRequest, now: datetime) -> None:
    row.body, row.updated_at = dump(ServiceRequest, order), now
    session.add(row)
    session.flush()


def _tell(
    session: Session, event: StudyEvent, row: OrderRow | None, patient_id: str | None, now: datetime, *, test: bool
) -> None:
    at = f"{event.scheduled_at:%Y-%m-%d %H:%M %z}" if event.scheduled_at else ""
    where = " for " if event.kind in _BOOKED else " of "
    outcome = f"{_WORDS[event.kind]}{where if at else ''}{at} by {event.source}"
    timeline.write(
        session,
        now,
        _EXAM,
        outcome,
        study_uid=None if test else event.study_instance_uid,
        order_id=row.id if row is not None else None,
        patient_id=patient_id,
        detail=() if row is not None else ("no open order with these numbers is known here",),
    )


def _digest(event: StudyEvent, patient_id: str | None, row: OrderRow | None) -> str:
    said = "\0".join((dump(StudyEvent, event), patient_id or "", row.id if row is not None else ""))
    return hashlib.sha256(said.encode()).hexdigest()


def _in_test(event: StudyEvent) -> StudyEvent:
    """The same event about orders of the test realm."""
    return replace(
        event,
        accession=_moved(event.accession),
        placer_order_number=_moved(event.placer_order_number),
        filler_order_number=_moved(event.filler_order_number),
    )


def _moved(identifier: Identifier | None) -> Identifier | None:
    return identifier.in_test() if identifier else None


def _told(rows: Sequence[StudyEventRow]) -> list[StudyEvent]:
    """Each event once, though it may be about several orders."""
    return [parse(StudyEvent, body) for body in dict.fromkeys(row.body for row in rows)]

"""Critical results on their way to a person, and their log (SAFETY section 5).

Every move and the delivery that it causes are one transaction under one lock, so that two workers escalate once and
nothing is open without being told or held.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.audit import AuditEvent
from cds.domain.critical import (
    WAITING,
    CriticalResult,
    CriticalState,
    MakePayload,
    Opened,
    Opening,
    delivery_id,
    numbered,
)
from cds.domain.hold import HoldKind
from cds.domain.report import DeliveryKind, DeliveryState
from cds.errors import Conflict, NotFound, SightlineError
from cds.store import audit, holds, timeline
from cds.store import critical_rows as kept
from cds.store.deliveries import enqueue
from cds.store.engine import Database, lock
from cds.store.safety_tables import CriticalEventRow, CriticalResultRow
from cds.store.tables import DeliveryRow, HoldRow

DESTINATION = "critical:"
_WAITING = tuple(state.value for state in WAITING)
_ON_A_ROUTE = (CriticalState.OPEN.value, CriticalState.ESCALATED.value)
_UNSENT = (DeliveryState.REFUSED.value, DeliveryState.WITHHELD.value)
_WITHDRAWAL = "withdrawal"
#: In the log of a closed result: that whoever was told of it knows.
_WITHDRAWN = "withdrawn"
_NO_ROUTE = "no route is configured: nobody has been told"


class CriticalStore:
    """Implements `cds.domain.critical.Criticals`, and what people ask and do."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, opening: Opening, make: MakePayload, now: datetime) -> tuple[Opened, str]:
        """See Criticals."""
        with self._database.writing() as session:
            study_uid, finding = opening.study_instance_uid, opening.found.finding
            lock(session, "critical", study_uid)
            last = kept.newest(session, study_uid, finding)
            if last is not None and kept.overtaken(session, last, opening):
                return Opened.KNOWN, last.id
            if last is not None and kept.same_subject(session, last, opening):
                last.work_id = opening.work_id  # what is told from now on names whom it names
                session.add(last)
                return Opened.KNOWN, last.id
            if last is not None:
                _close(session, last, "it was told for another patient, or whose images these are is in doubt", now)
            if opening.late:
                _late(session, opening, now)
                return Opened.LATE, ""
            row = kept.new_row(opening, (last.episode if last else 0) + 1, now)
            session.add(row)
            session.flush()
            if not opening.route:
                _alarm(session, row, _NO_ROUTE, now)
                return Opened.UNREACHABLE, row.id
            kept.log(session, row, now, "opened", f"route {row.route}, to be acknowledged by {kept.utc(row.due_at)}")
            _send(session, row, make, now)
            return Opened.NEW, row.id

    def due(self, now: datetime) -> Sequence[CriticalResult]:
        """See Criticals."""
        refused = (
            select(DeliveryRow.id)
            .where(
                DeliveryRow.subject == CriticalResultRow.id,
                DeliveryRow.destination == sa.literal(DESTINATION).concat(col(CriticalResultRow.route)),
                col(DeliveryRow.state).in_(_UNSENT),
            )
            .exists()
        )
        with self._database.reading() as session:
            rows = session.exec(
                select(CriticalResultRow)
                .where(
                    col(CriticalResultRow.state).in_(_ON_A_ROUTE),
                    sa.or_(col(CriticalResultRow.due_at) <= now, refused),
                )
                .order_by(col(CriticalResultRow.category), col(CriticalResultRow.due_at))
            ).all()
            return [kept.told(session, row) for row in rows]

    def escalate(
        self, due: CriticalResult, route: str, due_at: datetime, make: MakePayload, now: datetime
    ) -> CriticalState | None:
        """See Criticals."""
        with self._database.writing() as session:
            lock(session, "critical", due.study_instance_uid)
            row = session.get_one(CriticalResultRow, due.id, populate_existing=True)
            if row.state not in _ON_A_ROUTE or (row.route, row.due_at) != (due.route, due.due_at):
                return None
            why = (
                f"nobody acknowledged over route {row.route}" if row.due_at <= now else f"route {row.route} refused it"
            )
            if not route:
                _alarm(session, row, f"{why}; nobody else can be told", now)
                return CriticalState.ALARMED
            row.state, row.route, row.due_at = CriticalState.ESCALATED.value, route, due_at
            session.add(row)
            kept.log(session, row, now, "escalated", f"{why}; now route {route}, by {kept.utc(due_at)}")
            _send(session, row, make, now)
            return CriticalState.ESCALATED

    def to_withdraw(self) -> Sequence[CriticalResult]:
        """See Criticals."""
        done = (
            select(CriticalEventRow.id)
            .where(CriticalEventRow.critical_id == CriticalResultRow.id, CriticalEventRow.what == _WITHDRAWN)
            .exists()
        )
        with self._database.reading() as session:
            rows = session.exec(
                select(CriticalResultRow).where(CriticalResultRow.state == CriticalState.CLOSED.value, ~done)
            ).all()
            return [kept.told(session, row) for row in rows]

    def told(self, critical_id: str) -> Sequence[str]:
        """See Criticals. What was superseded may have been on its way, so it counts."""
        with self._database.reading() as session:
            return _routes_told(session, critical_id)

    def withdraw(self, closed: CriticalResult, make: dict[str, MakePayload], now: datetime) -> bool:
        """See Criticals."""
        with self._database.writing() as session:
            lock(session, "critical", closed.study_instance_uid)
            row = session.get_one(CriticalResultRow, closed.id, populate_existing=True)
            if any(event.what == _WITHDRAWN for event in kept.events(session, row.id)):
                return False
            routes = _routes_told(session, row.id)
            for route in sorted(routes):
                _send_withdrawal(session, row, route, make.get(route), now)
            kept.log(session, row, now, _WITHDRAWN, f"routes {', '.join(routes)}" if routes else "nobody had been told")
            return True

    def by_token(self, token: str) -> CriticalResult:
        """The result that a link is for; raise NotFound."""
        with self._database.reading() as session:
            row = session.exec(select(CriticalResultRow).where(CriticalResultRow.token == token)).first()
            if row is None:
                raise NotFound("no critical result has this link")
            return kept.told(session, row)

    def acknowledge_by_token(self, token: str, by: str, now: datetime) -> CriticalResult:
        """The person `by` has it; a closed one stays closed. Raise NotFound."""
        with self._database.writing() as session:
            found = session.exec(select(CriticalResultRow).where(CriticalResultRow.token == token)).first()
            if found is None:
                raise NotFound("no critical result has this link")
            row = _acknowledge(session, found, by, "the link", now)
            return kept.told(session, row)

    def acknowledge(self, short: str, by: str, now: datetime, *, how: str = "cds critical") -> CriticalResult:
        """The person `by` has the result whose id begins so; raise NotFound, Conflict for several or a closed one."""
        with self._database.writing() as session:
            rows = session.exec(select(CriticalResultRow).where(col(CriticalResultRow.id).startswith(short))).all()
            if not rows:
                raise NotFound("no critical result has this id: cds critical list shows what waits")
            if len(rows) > 1:
                raise Conflict("several critical results begin so: give more of the id")
            row = _acknowledge(session, rows[0], by, how, now)
            if row.state == CriticalState.CLOSED.value:
                raise Conflict("this critical result was withdrawn: nobody has to acknowledge it")
            return kept.told(session, row)

    def acknowledge_message(self, number: str, by: str, now: datetime) -> bool:
        """See the function of this name, in a transaction of its own."""
        with self._database.writing() as session:
            return acknowledge_message(session, number, by, now)

    def deliveries(self, critical_id: str) -> tuple[tuple[str, datetime, str], ...]:
        """Over which routes it was told, since when, and the state of each delivery; oldest first."""
        asked = select(DeliveryRow.destination, DeliveryRow.created_at, DeliveryRow.state).where(
            DeliveryRow.subject == critical_id
        )
        with self._database.reading() as session:
            rows = session.exec(asked.order_by(col(DeliveryRow.created_at))).all()
            return tuple((destination.removeprefix(DESTINATION), at, state) for destination, at, state in rows)

    def all(self, *, waiting: bool = True) -> Sequence[CriticalResult]:
        """Those that wait for a person, or all, the most urgent first, with their logs."""
        query = select(CriticalResultRow).order_by(col(CriticalResultRow.category), col(CriticalResultRow.created_at))
        with self._database.reading() as session:
            rows = session.exec(query.where(col(CriticalResultRow.state).in_(_WAITING)) if waiting else query).all()
            return [kept.told(session, row) for row in rows]


def of_study(session: Session, study_uid: str) -> tuple[CriticalResult, ...]:
    """The critical results of a study with their logs, oldest first."""
    rows = session.exec(
        select(CriticalResultRow)
        .where(CriticalResultRow.study_uid == study_uid)
        .order_by(col(CriticalResultRow.created_at), col(CriticalResultRow.id))
    ).all()
    return tuple(kept.told(session, row) for row in rows)


def acknowledge_message(session: Session, control_id: str, by: str, now: datetime) -> bool:
    """A recipient acknowledged by a message what we sent under this MSH-10; False where it is none of ours."""
    sent = session.get(DeliveryRow, numbered(control_id))
    row = session.get(CriticalResultRow, sent.subject) if sent and sent.subject else None
    if sent is None or row is None:
        return False
    _acknowledge(session, row, by, f"a message over {sent.destination}", now)
    return True


def acknowledge_hold(session: Session, key: str, by: str, now: datetime) -> bool:
    """A person resolved the hold of this key; False where it is no critical result's. The hold ends with it."""
    row = session.get(CriticalResultRow, key.removeprefix(DESTINATION)) if key.startswith(DESTINATION) else None
    if row is None:
        return False
    _acknowledge(session, row, by, "the hold", now)
    return True


def close(
    session: Session, study_uid: str, reason: str, now: datetime, finding: str | None = None, *, keep: str = ""
) -> None:
    """The critical results of a study need nobody any more: it was of the wrong patient, or was rejected.

    `finding` closes that one alone; those of the work `keep` stay. Whoever was told learns it by the escalation timer.
    """
    lock(session, "critical", study_uid)
    wanted = select(CriticalResultRow).where(
        CriticalResultRow.study_uid == study_uid, CriticalResultRow.state != CriticalState.CLOSED.value
    )
    if finding is not None:
        wanted = wanted.where(CriticalResultRow.finding == finding)
    for row in session.exec(wanted).all():
        if not keep or row.work_id != keep:
            _close(session, row, reason, now)


def _late(session: Session, opening: Opening, now: datetime) -> None:
    """Old images are no news: a person is asked once per patient, and told when the images were made."""
    study_uid, work_id = opening.study_instance_uid, opening.work_id
    known = kept.late_hold(session, study_uid, opening.found.finding)
    if known is not None and known.resolved_at is None:
        known.work_id = work_id
        session.add(known)
        return
    if known is not None and known.work_id and kept.still_of(session, known.work_id, opening.patient_id):
        return
    made = kept.utc(opening.images_at) if opening.images_at else "an unknown time"
    reason = (
        f"{opening.found.title} (ACR category {opening.found.category.value}): images made at {made}, not told as new"
    )
    key, kind = f"{kept.late_key(study_uid, opening.found.finding)}{work_id}", HoldKind.CRITICAL_LATE
    if holds.put(session, key, kind, reason, now, study_uid=study_uid, work_id=work_id):
        timeline.write(session, now, "critical", "late", study_uid=study_uid, work_id=work_id, detail=(reason,))


def _send(session: Session, row: CriticalResultRow, make: MakePayload, now: datetime) -> None:
    """Enqueue the message over the result's route; one that cannot be made is overdue at once."""
    sent = delivery_id(row.id, row.route)
    try:
        payload = make(kept.told(session, row), sent)
    except SightlineError as error:
        row.due_at = now
        session.add(row)
        kept.log(session, row, now, "not sent", f"route {row.route}: {error}")
        return
    _enqueue(session, row, (sent, row.route, payload), now)


def _send_withdrawal(
    session: Session, row: CriticalResultRow, route: str, make: MakePayload | None, now: datetime
) -> None:
    sent = delivery_id(row.id, route, _WITHDRAWAL)
    try:
        if make is None:
            raise NotFound("the route is not configured any more")
        _enqueue(session, row, (sent, route, make(kept.told(session, row), sent)), now)
    except SightlineError as error:
        reason = f"{DESTINATION}{route} has a critical result that is withdrawn, and cannot be told: {error}"
        kind, key = HoldKind.DELIVERY_NOT_ENCODED, f"withdraw:{sent}"
        holds.put(session, key, kind, reason, now, study_uid=row.study_uid, work_id=row.work_id)


def _enqueue(session: Session, row: CriticalResultRow, delivery: tuple[str, str, bytes], now: datetime) -> None:
    sent, route, payload = delivery
    enqueue(
        session,
        delivery_id=sent,
        destination=DESTINATION + route,
        kind=DeliveryKind.CRITICAL,
        payload=payload,
        now=now,
        work_id=row.work_id,
        study_uid=row.study_uid,
        patient_id=kept.subject(session, row.work_id),
        subject=row.id,
    )


def _routes_told(session: Session, critical_id: str) -> list[str]:
    found = session.exec(
        select(DeliveryRow.destination).where(DeliveryRow.subject == critical_id).order_by(col(DeliveryRow.created_at))
    ).all()
    return list(dict.fromkeys(destination.removeprefix(DESTINATION) for destination in found))


def _alarm(session: Session, row: CriticalResultRow, reason: str, now: datetime) -> None:
    """Nobody is left to tell: it waits for anybody."""
    row.state = CriticalState.ALARMED.value
    session.add(row)
    kept.log(session, row, now, "alarmed", reason)
    text = f"{row.title} (ACR category {row.category}): {reason}"
    kind, key = HoldKind.CRITICAL_UNACKNOWLEDGED, DESTINATION + row.id
    holds.put(session, key, kind, text, now, study_uid=row.study_uid, work_id=row.work_id)


def _acknowledge(session: Session, row: CriticalResultRow, by: str, how: str, now: datetime) -> CriticalResultRow:
    """The first who acknowledges counts; it ends every wait."""
    lock(session, "critical", row.study_uid)
    session.refresh(row)
    if row.state not in _WAITING:
        return row
    row.state, row.acknowledged_at, row.acknowledged_by = CriticalState.ACKNOWLEDGED.value, now, by
    session.add(row)
    kept.log(session, row, now, "acknowledged", f"over {how}")
    _end(session, row, f"acknowledged over {how}", by, now)
    event = AuditEvent(now, by, "critical result acknowledged", row.study_uid, None, (row.id, how))
    audit.append(session, event)
    return row


def _close(session: Session, row: CriticalResultRow, reason: str, now: datetime) -> None:
    if row.state == CriticalState.CLOSED.value:
        return
    row.state = CriticalState.CLOSED.value
    session.add(row)
    kept.log(session, row, now, "closed", reason)
    _end(session, row, reason, "", now)


def _end(session: Session, row: CriticalResultRow, reason: str, by: str, now: datetime) -> None:
    """What still waits to be sent is not sent any more, and the alarm is over."""
    for delivery in session.exec(
        select(DeliveryRow).where(DeliveryRow.subject == row.id, DeliveryRow.state == DeliveryState.PENDING.value)
    ).all():
        delivery.state, delivery.acknowledgment = DeliveryState.SUPERSEDED.value, reason
        delivery.updated_at = now
        session.add(delivery)
    hold = session.get(HoldRow, DESTINATION + row.id)
    if hold is not None and hold.resolved_at is None:
        hold.resolved_at, hold.resolution, hold.resolved_by = now, reason, by
        session.add(hold)

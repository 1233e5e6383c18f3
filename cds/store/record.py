"""Patients, their record and their orders, as HL7 v2 brought them. Implements `cds.ports.PatientRecord`."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.message import (
    LoggedMessage,
    MessageContent,
    OrderChange,
    RecordStatements,
    RecordValue,
    Searched,
    Statement,
)
from cds.domain.order import ServiceRequest, merge_order
from cds.errors import InvalidMessage
from cds.store import timeline
from cds.store.engine import Database, lock
from cds.store.studies import open_work
from cds.store.tables import (
    FeedRow,
    HoldRow,
    MessageOutcomeRow,
    OrderRow,
    PatientIdentifierRow,
    PatientRow,
    StatementRow,
    StudyRow,
)
from cds.store.values import dump, parse

_ORDER_CAME = "the order came after the images"
_ORDER_CHANGED = "the order changed after the images came"
_PATIENT_CHANGED = "what is known of the patient changed after the images came"
_SEVERAL = "the identifiers in PID-3 belong to more than one patient"


class RecordStore:
    """What messages say, applied once and in order; and the record as pathways ask for it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def applied_up_to(self) -> int:
        """The id of the last message that was applied, ignored or quarantined."""
        with self._database.reading() as session:
            return session.exec(select(sa.func.max(MessageOutcomeRow.message_id))).one() or 0

    def apply(self, batch: Sequence[tuple[LoggedMessage, MessageContent | InvalidMessage]], now: datetime) -> None:
        """Apply messages in one transaction, each with its outcome; a message seen before changes nothing."""
        with self._database.writing() as session:
            lock(session, "record")
            for logged, content in batch:
                if session.get(MessageOutcomeRow, logged.id) is None:
                    self._apply_one(session, logged, content, now)

    def statements(self, patient: Patient) -> RecordStatements:
        """See the port. Every HL7 feed that was ever heard counts as searched, since its first message."""
        with self._database.reading() as session:
            rows = session.exec(
                select(StatementRow).where(StatementRow.patient_id == patient.id).order_by(col(StatementRow.id))
            ).all()
            feeds = session.exec(select(FeedRow).order_by(col(FeedRow.first_at))).all()
        return RecordStatements(
            tuple(Statement(parse(RecordValue, row.body), row.source, row.received_at) for row in rows),
            tuple(Searched(feed.source, feed.first_at.date()) for feed in feeds),
        )

    def patient(self, identifier: Identifier) -> Patient | None:
        """The patient who owns an identifier."""
        with self._database.reading() as session:
            row = session.get(PatientIdentifierRow, (identifier.value, identifier.assigner))
            return _patient(session, row.patient_id) if row else None

    def patient_by_id(self, patient_id: str) -> Patient:
        """The patient of a store id; raise KeyError where there is none."""
        with self._database.reading() as session:
            return _patient(session, patient_id)

    def order(self, order_id: str) -> ServiceRequest:
        """The order of a store id; raise KeyError where there is none."""
        with self._database.reading() as session:
            row = session.get(OrderRow, order_id)
            if row is None:
                raise KeyError("order")
            return _order(row)

    def order_candidates(self, accession_number: str) -> tuple[tuple[ServiceRequest, Patient], ...]:
        """Orders with this accession number, whatever their issuer, with their patients."""
        with self._database.reading() as session:
            rows = session.exec(select(OrderRow).where(OrderRow.accession_number == accession_number)).all()
            return tuple((_order(row), _patient(session, row.patient_id)) for row in rows)

    def _apply_one(
        self, session: Session, logged: LoggedMessage, content: MessageContent | InvalidMessage, now: datetime
    ) -> None:
        source = f"HL7 {logged.message.sender}"
        _hear(session, source, logged.message.received_at)
        state, reason = "applied", ""
        if isinstance(content, InvalidMessage) or _belongs_to_several(session, content):
            state = "quarantined"
            reason = str(content) if isinstance(content, InvalidMessage) else _SEVERAL
            key = f"message:{logged.id}"
            session.add(HoldRow(key=key, kind=state, reason=reason, message_id=logged.id, created_at=now))
        elif content.test:
            state, reason = "ignored", "MSH-11 is T or D: test and training messages change no record"
        elif content.ignored or content.patient is None:
            state, reason = "ignored", content.ignored or "the message names no patient"
        else:
            patient_id = _upsert_patient(session, content.patient, now)
            for value in content.values:
                _upsert_statement(session, patient_id, source, value, logged)
            for change in content.orders:
                _apply_order(session, patient_id, change, now)
        session.add(MessageOutcomeRow(message_id=logged.id, state=state, reason=reason, applied_at=now))


def _belongs_to_several(session: Session, content: MessageContent) -> bool:
    return not content.ignored and content.patient is not None and len(_owners(session, content.patient)) > 1


def _hear(session: Session, source: str, at: datetime) -> None:
    feed = session.get(FeedRow, source) or FeedRow(source=source, first_at=at, last_at=at)
    feed.last_at = max(feed.last_at, at)
    session.add(feed)
    session.flush()


def _owners(session: Session, patient: Patient) -> set[str]:
    keys = [(i.value, i.assigner) for i in patient.identifiers]
    rows = [session.get(PatientIdentifierRow, key) for key in keys]
    return {row.patient_id for row in rows if row is not None}


def _upsert_patient(session: Session, patient: Patient, now: datetime) -> str:
    owner = next(iter(_owners(session, patient)), None)
    row = (session.get(PatientRow, owner) if owner else None) or PatientRow(id=str(uuid.uuid4()), updated_at=now)
    before = (row.birth_date, row.sex, row.deceased)
    row.family = patient.name.family or row.family
    row.given = patient.name.given or row.given
    row.birth_date = patient.birth_date or row.birth_date
    row.sex = patient.sex.value if patient.sex is not Sex.UNKNOWN else row.sex
    row.deceased = row.deceased if patient.deceased is None else patient.deceased
    row.updated_at = now
    session.add(row)
    added = [i for i in patient.identifiers if session.get(PatientIdentifierRow, (i.value, i.assigner)) is None]
    for identifier in added:
        session.add(PatientIdentifierRow(value=identifier.value, assigner=identifier.assigner, patient_id=row.id))
    session.flush()
    if owner is not None and (added or before != (row.birth_date, row.sex, row.deceased)):
        numbers = session.exec(select(OrderRow.accession_number).where(OrderRow.patient_id == row.id)).all()
        _revise_match(session, {n for n in numbers if n}, _PATIENT_CHANGED, now)
    return row.id


def _upsert_statement(
    session: Session, patient_id: str, source: str, value: RecordValue, logged: LoggedMessage
) -> None:
    row = session.exec(
        select(StatementRow).where(
            StatementRow.patient_id == patient_id, StatementRow.source == source, StatementRow.key == value.key
        )
    ).first()
    if row is None:
        row = StatementRow(
            patient_id=patient_id,
            source=source,
            key=value.key,
            body="",
            received_at=logged.message.received_at,
            message_id=logged.id,
        )
    row.body = dump(RecordValue, value)
    row.received_at = logged.message.received_at
    row.message_id = logged.id
    session.add(row)
    session.flush()


def _apply_order(session: Session, patient_id: str, change: OrderChange, now: datetime) -> None:
    rows = _same_orders(session, patient_id, change.order)
    if not rows:
        order = replace(change.order, id=str(uuid.uuid4()))
        row = OrderRow(
            id=order.id or "", patient_id=patient_id, status=order.status.value, body="", created_at=now, updated_at=now
        )
        _store_order(session, row, order, now)
        timeline.write(session, now, "order", f"order received ({change.control})", order_id=row.id)
        _revise_match(session, _numbers(order), _ORDER_CAME, now)
        return
    for row in rows:
        before = _order(row)
        after, reason = merge_order(before, change)
        if after == before:
            timeline.write(session, now, "order", "no change", order_id=row.id, detail=(reason,))
            continue
        _store_order(session, row, after, now)
        timeline.write(session, now, "order", f"order changed ({change.control})", order_id=row.id, detail=(reason,))
        _revise_match(session, _numbers(before) | _numbers(after), _ORDER_CHANGED, now)


def _same_orders(session: Session, patient_id: str, order: ServiceRequest) -> Sequence[OrderRow]:
    """The stored orders that a message speaks of: by placer, else filler number; an accession number narrows."""
    query = select(OrderRow).where(OrderRow.patient_id == patient_id)
    if order.placer_order_number:
        query = query.where(OrderRow.placer_order_number == _key(order.placer_order_number))
    elif order.filler_order_number:
        query = query.where(OrderRow.filler_order_number == _key(order.filler_order_number))
    elif order.accession:
        query = query.where(OrderRow.accession_number == order.accession.value)
    else:
        return []
    rows = session.exec(query).all()
    if order.accession is None:
        return rows
    return [row for row in rows if row.accession_number in (None, order.accession.value)]


def _numbers(order: ServiceRequest) -> set[str]:
    return {order.accession.value} if order.accession else set()


def _store_order(session: Session, row: OrderRow, order: ServiceRequest, now: datetime) -> None:
    row.placer_order_number = _key(order.placer_order_number)
    row.filler_order_number = _key(order.filler_order_number)
    row.accession_number = order.accession.value if order.accession else None
    row.status = order.status.value
    row.body = dump(ServiceRequest, order)
    row.updated_at = now
    session.add(row)
    session.flush()


def _revise_match(session: Session, numbers: Collection[str], reason: str, now: datetime) -> None:
    """What an order or its patient says has changed: the studies with its accession number are matched again."""
    uids = session.exec(select(StudyRow.uid).where(col(StudyRow.accession_number).in_(numbers))).all()
    for uid in sorted(uids):
        lock(session, "study", uid)
        study = session.get_one(StudyRow, uid, populate_existing=True)
        study.match_revision += 1
        session.add(study)
        outcome = f"match revision {study.match_revision}"
        timeline.write(session, now, "match", outcome, study_uid=uid, detail=(reason,))
        if not study.revision_open:
            open_work(session, study, now, reason)


def _key(identifier: Identifier | None) -> str | None:
    return f"{identifier.value}|{identifier.assigner}" if identifier else None


def _order(row: OrderRow) -> ServiceRequest:
    order: ServiceRequest = parse(ServiceRequest, row.body)
    return replace(order, id=row.id)


def _patient(session: Session, patient_id: str) -> Patient:
    row = session.get(PatientRow, patient_id)
    if row is None:
        raise KeyError("patient")
    identifiers = session.exec(
        select(PatientIdentifierRow)
        .where(PatientIdentifierRow.patient_id == patient_id)
        .order_by(col(PatientIdentifierRow.assigner), col(PatientIdentifierRow.value))
    ).all()
    return Patient(
        identifiers=tuple(Identifier(i.value, i.assigner) for i in identifiers),
        name=HumanName(row.family, row.given),
        birth_date=row.birth_date,
        sex=Sex(row.sex),
        deceased=row.deceased,
        id=row.id,
    )

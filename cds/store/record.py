"""Patients, their record and their orders, as HL7 v2 brought them. Implements `cds.ports.PatientRecord`."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.codes import loaded
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
from cds.store.studies import rematch
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
_KEYS_AT_ONCE = 1000
#: Kinds of value sets that a type of message can answer. An order's reason is no problem list: orders answer none.
_TELLS = {"ORU": ("answer", "procedure"), "ADT": ("condition", "symptom"), "PPR": ("condition", "symptom")}


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
        """See the port. An HL7 feed counts as searched for what it can tell, since its first applied message."""
        with self._database.reading() as session:
            rows = session.exec(
                select(StatementRow).where(StatementRow.patient_id == patient.id).order_by(col(StatementRow.id))
            ).all()
            feeds = session.exec(select(FeedRow).order_by(col(FeedRow.first_at))).all()
        return RecordStatements(
            tuple(Statement(parse(RecordValue, row.body), row.source, row.received_at) for row in rows),
            tuple(map(_searched, feeds)),
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
        state, reason = _verdict(session, logged, content)
        if state == "quarantined":
            key = f"message:{logged.id}"
            session.add(HoldRow(key=key, kind=state, reason=reason, message_id=logged.id, created_at=now))
        if state == "applied" and isinstance(content, MessageContent) and content.patient is not None:
            _apply_content(session, logged, content, content.patient, now)
        session.add(MessageOutcomeRow(message_id=logged.id, state=state, reason=reason, applied_at=now))


def _verdict(session: Session, logged: LoggedMessage, content: MessageContent | InvalidMessage) -> tuple[str, str]:
    """What is to become of a message, and why: applied, ignored, or quarantined for a person."""
    if isinstance(content, InvalidMessage):
        return "quarantined", str(content)
    if content.test:
        return "ignored", "MSH-11 is T or D: test and training messages change no record"
    if content.ignored or content.patient is None:
        return "ignored", content.ignored or "the message names no patient"
    doubt = _doubt(session, content.patient, logged.message.message_type)
    return ("quarantined", doubt) if doubt else ("applied", "")


def _doubt(session: Session, patient: Patient, message_type: str) -> str:
    """Why a message may speak of somebody else than the patient whose identifier it has; empty where it does not.

    Registration (ADT) corrects birth date and sex; any other message that contradicts them, and a registration that
    at the same time brings identifiers of its own, is nobody's until a person decided (SAFETY section 1).
    """
    owners = _owners(session, patient)
    if len(owners) > 1:
        return "the identifiers in PID-3 belong to more than one patient"
    if not owners:
        return ""
    known = _patient(session, owners.pop())
    differs = []
    if patient.birth_date and known.birth_date and patient.birth_date != known.birth_date:
        differs.append("birth date")
    if {patient.sex, known.sex} == {Sex.FEMALE, Sex.MALE}:
        differs.append("sex")
    brings = set(patient.identifiers) - set(known.identifiers)
    if differs and (message_type != "ADT" or brings):
        return f"the patient with this identifier has another {' and '.join(differs)}"
    return ""


def _apply_content(
    session: Session, logged: LoggedMessage, content: MessageContent, patient: Patient, now: datetime
) -> None:
    source = f"HL7 {logged.message.sender}"
    _hear(session, source, logged.message.message_type, logged.message.received_at)
    patient_id, numbers = _upsert_patient(session, patient, now)
    reason = _PATIENT_CHANGED if numbers else ""
    _upsert_statements(session, patient_id, source, content.values, logged)
    for change in content.orders:
        touched, why = _apply_order(session, patient_id, change, now)
        numbers, reason = numbers | touched, why or reason
    _revise_match(session, numbers, reason, now)


def _hear(session: Session, source: str, message_type: str, at: datetime) -> None:
    key = (source, message_type)
    feed = session.get(FeedRow, key) or FeedRow(source=source, message_type=message_type, first_at=at, last_at=at)
    feed.last_at = max(feed.last_at, at)
    session.add(feed)
    session.flush()


def _searched(feed: FeedRow) -> Searched:
    """What an applied message of this type can have told: a feed of registrations says nothing of spirometry."""
    kinds = _TELLS.get(feed.message_type, ())
    return Searched(feed.source, feed.first_at.date(), tuple(s.name for s in loaded().values() if s.kind in kinds))


def _owners(session: Session, patient: Patient) -> set[str]:
    keys = [(i.value, i.assigner) for i in patient.identifiers]
    rows = [session.get(PatientIdentifierRow, key) for key in keys]
    return {row.patient_id for row in rows if row is not None}


def _upsert_patient(session: Session, patient: Patient, now: datetime) -> tuple[str, set[str]]:
    """The patient's id, and the accession numbers of the orders that have to be matched again."""
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
    if owner is None or (not added and before == (row.birth_date, row.sex, row.deceased)):
        return row.id, set()
    numbers = session.exec(select(OrderRow.accession_number).where(OrderRow.patient_id == row.id)).all()
    return row.id, {number for number in numbers if number}


def _upsert_statements(
    session: Session, patient_id: str, source: str, values: Sequence[RecordValue], logged: LoggedMessage
) -> None:
    """Replace what the sender said before under the same keys; one query per thousand statements."""
    latest = {value.key: value for value in values}
    keys = list(latest)
    known: dict[str, StatementRow] = {}
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        query = select(StatementRow).where(
            StatementRow.patient_id == patient_id,
            StatementRow.source == source,
            col(StatementRow.key).in_(keys[start : start + _KEYS_AT_ONCE]),
        )
        known |= {row.key: row for row in session.exec(query)}
    received_at = logged.message.received_at
    for key, value in latest.items():
        row = known.get(key) or StatementRow(
            patient_id=patient_id, source=source, key=key, body="", received_at=received_at, message_id=logged.id
        )
        row.body, row.received_at, row.message_id = dump(RecordValue, value), received_at, logged.id
        session.add(row)
    session.flush()


def _apply_order(session: Session, patient_id: str, change: OrderChange, now: datetime) -> tuple[set[str], str]:
    """Apply what a message says of an order; answers the accession numbers to match again, and why."""
    rows = _same_orders(session, patient_id, change.order)
    if not rows:
        order = replace(change.order, id=str(uuid.uuid4()))
        row = OrderRow(
            id=order.id or "", patient_id=patient_id, status=order.status.value, body="", created_at=now, updated_at=now
        )
        _store_order(session, row, order, now)
        timeline.write(session, now, "order", f"order received ({change.control})", order_id=row.id)
        return _numbers(order), _ORDER_CAME
    touched: set[str] = set()
    for row in rows:
        before = _order(row)
        after, reason = merge_order(before, change)
        if after == before:
            timeline.write(session, now, "order", "no change", order_id=row.id, detail=(reason,))
            continue
        _store_order(session, row, after, now)
        timeline.write(session, now, "order", f"order changed ({change.control})", order_id=row.id, detail=(reason,))
        touched |= _numbers(before) | _numbers(after)
    return touched, _ORDER_CHANGED


def _same_orders(session: Session, patient_id: str, order: ServiceRequest) -> Sequence[OrderRow]:
    """The stored orders that a message speaks of: by placer, else filler number; an accession number narrows.

    A filler number finds an order whose placer number is not known, or the same.
    """
    placer, filler = _key(order.placer_order_number), _key(order.filler_order_number)
    mine = select(OrderRow).where(OrderRow.patient_id == patient_id)
    rows: Sequence[OrderRow] = []
    if placer:
        rows = session.exec(mine.where(OrderRow.placer_order_number == placer)).all()
    if not rows and filler:
        found = session.exec(mine.where(OrderRow.filler_order_number == filler)).all()
        rows = [row for row in found if placer is None or row.placer_order_number in (None, placer)]
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
    """What orders or their patient say has changed: the studies with their accession numbers are matched again."""
    uids = session.exec(select(StudyRow.uid).where(col(StudyRow.accession_number).in_(numbers))).all()
    for uid in sorted(uids):
        rematch(session, uid, reason, now)


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

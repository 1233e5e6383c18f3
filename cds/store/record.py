"""Patients, their record and their orders, as HL7 v2 brought them. Implements `cds.ports.PatientRecord`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain import lifecycle
from cds.domain.hold import HoldKind
from cds.domain.identity import Identifier, Patient
from cds.domain.lifecycle import Effect, Event
from cds.domain.message import (
    LoggedMessage,
    MessageContent,
    MessageState,
    RawMessage,
    RecordStatements,
    RecordValue,
)
from cds.domain.order import ServiceRequest
from cds.domain.report import DeliveryKind
from cds.errors import BrokenMessage, InvalidMessage
from cds.store import criticals, feeds, holds, identity_changes, patients, study_events
from cds.store.batch import Unwritten, batch_of, rows_with, together, update, write
from cds.store.deliveries import enqueue
from cds.store.engine import Database, lock
from cds.store.final_reports import file_report
from cds.store.foresight import foresee
from cds.store.identity import members
from cds.store.identity_changes import PATIENT_CHANGED, Cause
from cds.store.orders import FiledUnder, apply_order, exams_apart, key, order_of, rematch_all, studies_of, studies_with
from cds.store.realm import in_test
from cds.store.record_reading import RecordReading
from cds.store.tables import MessageOutcomeRow, OrderRow, StatementRow, StudyRow
from cds.store.values import dump

#: A message of the log, and what the reader made of it.
Entry = tuple[LoggedMessage, MessageContent | InvalidMessage]
#: What a sender in enhanced mode is told of its message: the destination and the block, or None for nothing.
Answer = Callable[[RawMessage, MessageState, str, InvalidMessage | None], tuple[str, bytes] | None]

_REPORTED = "the radiology report came"
#: ADT events that register a patient: they make a deleted record hold again.
_REGISTERS = frozenset({"A01", "A04", "A05", "A08", "A28", "A31"})
#: What a message with MSH-11 T or D is noted as.
_IN_TEST = lifecycle.row(Event.TEST_MESSAGE).title


class RecordStore:
    """What messages say, applied once and in order; and the record as pathways ask for it."""

    def __init__(self, database: Database, answer: Answer | None = None) -> None:
        self._database = database
        self._answer = answer
        self._reading = RecordReading(database)

    def applied_up_to(self) -> int:
        """The id of the last message that was applied, ignored or quarantined."""
        with self._database.reading() as session:
            return session.exec(select(sa.func.max(MessageOutcomeRow.message_id))).one() or 0

    def apply(self, batch: Sequence[Entry], now: datetime) -> None:
        """Apply messages in one transaction, each with its outcome; a message seen before changes nothing."""
        with self._database.writing() as session:
            lock(session, "record")
            for foreseeable, run in groupby(_new_ones(session, batch), _is_foreseeable):
                messages = list(run)
                with together(session, foresee(session, messages)) if foreseeable else nullcontext():
                    for logged, content in messages:
                        self._apply_one(session, logged, content, now)

    def statements(self, patient: Patient) -> RecordStatements:
        """See the port. An HL7 feed counts as searched for what it can tell, since its first applied message.

        Where two patients became one, the newest of their statements under the same key counts.
        """
        return self._reading.statements(patient.id or "")

    def patient(self, identifier: Identifier) -> Patient | None:
        """The patient who owns an identifier: the survivor, with the identifiers of everybody merged with her."""
        with self._database.reading() as session:
            owner = patients.leaf(session, identifier)
            return patients.load(session, owner) if owner else None

    def patient_by_id(self, patient_id: str) -> Patient:
        """The patient who owns what is filed under a store id; raise KeyError where there is none."""
        with self._database.reading() as session:
            return patients.load(session, patient_id)

    def order(self, order_id: str) -> ServiceRequest:
        """The order of a store id; raise KeyError where there is none."""
        with self._database.reading() as session:
            row = session.get(OrderRow, order_id)
            if row is None:
                raise KeyError("order")
            return order_of(row)

    def order_with_patient(self, order_id: str) -> tuple[ServiceRequest, Patient]:
        """The order of a store id and the patient who owns it now; raise KeyError where there is none."""
        with self._database.reading() as session:
            row = session.get(OrderRow, order_id)
            if row is None:
                raise KeyError("order")
            return order_of(row), patients.load(session, row.patient_id)

    def orders_of_patient(self, patient: Identifier) -> tuple[tuple[ServiceRequest, Patient], ...]:
        """The orders of whoever owns an identifier that no study has by accession number or by a person's word."""
        with self._database.reading() as session:
            owner = patients.leaf(session, patient)
            if owner is None:
                return ()
            taken = select(StudyRow.accession_number)
            attached = select(StudyRow.decided_order_id).where(col(StudyRow.decided_order_id).is_not(None))
            rows = session.exec(
                select(OrderRow).where(
                    col(OrderRow.patient_id).in_(members(session, owner)),
                    sa.or_(col(OrderRow.accession_number).is_(None), col(OrderRow.accession_number).not_in(taken)),
                    col(OrderRow.id).not_in(attached),
                )
            ).all()
            return tuple((order_of(row), patients.load(session, owner)) for row in rows)

    def order_candidates(self, accession_number: str) -> tuple[tuple[ServiceRequest, Patient], ...]:
        """Orders with this accession number, whatever their issuer and realm, with their patients."""
        with self._database.reading() as session:
            rows = session.exec(select(OrderRow).where(OrderRow.accession_number == accession_number)).all()
            return tuple((order_of(row), patients.load(session, row.patient_id)) for row in rows)

    def _apply_one(
        self, session: Session, logged: LoggedMessage, content: MessageContent | InvalidMessage, now: datetime
    ) -> None:
        state, reason = verdict(session, logged, content)
        if state in (MessageState.QUARANTINED, MessageState.FAILED):
            hold, kind = f"message:{logged.id}", HoldKind.QUARANTINED
            holds.put(session, hold, kind, reason, now, message_id=logged.id)
        notes: tuple[str, ...] = ()
        if isinstance(content, MessageContent):
            notes = content.warnings
            if state is MessageState.APPLIED:
                apply_content(session, logged, content, now)
        write(
            session,
            MessageOutcomeRow,
            message_id=logged.id,
            state=state.value,
            reason=reason,
            notes="\n".join(notes),
            applied_at=now,
        )
        if self._answer is None or not logged.message.wants_result:
            return
        error = content if isinstance(content, InvalidMessage) else None
        if reply := self._answer(logged.message, state, reason, error):
            to, block = reply
            key, result = f"acknowledgment:{logged.id}", DeliveryKind.ACKNOWLEDGMENT
            enqueue(session, delivery_id=key, destination=to, kind=result, payload=block, now=now)


def _new_ones(session: Session, batch: Sequence[Entry]) -> Iterator[Entry]:
    """The messages that have no outcome yet, each once; those of the test realm as they are filed."""
    asked = col(MessageOutcomeRow.message_id).in_([logged.id for logged, _ in batch])
    done = set(session.exec(select(MessageOutcomeRow.message_id).where(asked)))
    for logged, content in batch:
        if logged.id not in done:
            done.add(logged.id)
            yield logged, in_test(content) if isinstance(content, MessageContent) and content.test else content


def _is_foreseeable(entry: Entry) -> bool:
    """True for a message that leaves who is who as it is."""
    return not (isinstance(entry[1], MessageContent) and entry[1].identity)


def verdict(
    session: Session, logged: LoggedMessage, content: MessageContent | InvalidMessage
) -> tuple[MessageState, str]:
    """What is to become of a message, and why."""
    if isinstance(content, InvalidMessage):
        broken = isinstance(content, BrokenMessage)
        return MessageState.FAILED if broken else MessageState.QUARANTINED, str(content)
    if content.ignored or not (content.patient or content.identity or content.acknowledges or content.events):
        return MessageState.IGNORED, content.ignored or "the message names no patient"
    doubts = [identity_changes.doubt(session, change) for change in content.identity]
    if content.patient and not content.identity:
        doubts.append(_doubt(session, content.patient, logged.message.message_type))
    reason = next(filter(None, doubts), "")
    if reason:
        return MessageState.QUARANTINED, reason
    return MessageState.APPLIED, _IN_TEST if content.test else ""


def _doubt(session: Session, patient: Patient, message_type: str) -> str:
    """Why a message may speak of somebody else than the patient whose identifier it has; empty where it does not.

    Registration (ADT) corrects birth date and sex; any other message that contradicts them, and a registration that
    at the same time brings identifiers of its own, is nobody's until a person decided (SAFETY section 1).
    """
    owners = patients.owners(session, patient.identifiers)
    if len(owners) > 1:
        return "the identifiers in PID-3 belong to more than one patient"
    if not owners:
        return ""
    known = patients.load(session, owners.pop())
    differs = patients.contradicted(known, patient)
    brings = set(patient.identifiers) - set(known.known_as)
    if differs and (message_type != "ADT" or brings):
        return f"the patient with this identifier has another {differs}"
    return ""


def apply_content(session: Session, logged: LoggedMessage, content: MessageContent, now: datetime) -> None:
    """Apply what a message says, whatever speaks against it, in the transaction and under the lock of the caller.

    Who is who first, then what is said of whom; each study that any of it touches is matched again once.
    """
    content = in_test(content) if content.test else content
    source = feeds.source_of(logged.message)
    if not content.test:
        heard = study_events.feed_of(content, logged.message.message_type)
        feeds.hear(session, source, heard, logged.message.received_at)
    touched, reason = set[str](), ""
    for change in content.identity:
        touched |= identity_changes.apply(session, change, Cause(source, logged.id), now)
    patient = _of_whom(content)
    if patient is not None:
        filed, changed = _file_patient(session, logged, replace(content, patient=patient), now)
        filed = replace(filed, account=content.account, visit=content.visit)
        touched |= changed
        _upsert_statements(session, filed, source, content.values, logged)
        for order, by_study in exams_apart(content.orders):
            studies, reason = apply_order(session, filed, order, now, by_study=by_study)
            touched |= studies
        answered = _file_reports(session, filed, content, logged.id, now)
        touched, reason = touched | answered, _REPORTED if answered else reason
    for event in content.events:
        touched |= study_events.apply(session, event, content.patient, now, test=content.test)
    if content.acknowledges:
        criticals.acknowledge_message(session, content.acknowledges, content.acknowledged_by, now)
    rematch_all(session, touched, reason or PATIENT_CHANGED, now)


def _of_whom(content: MessageContent) -> Patient | None:
    """The patient of a message; after a merge or move the demographics in PID are those of the patient it keeps."""
    if content.patient is None or not content.identity:
        return content.patient
    return replace(content.patient, identifiers=content.identity[-1].survivor)


def _file_patient(
    session: Session, logged: LoggedMessage, content: MessageContent, now: datetime
) -> tuple[FiledUnder, set[str]]:
    """Under whom a message is filed, and the studies to match again because of what it says of her.

    Registration alone deletes demographics, as it alone corrects them.
    """
    if content.patient is None:
        raise ValueError("want a message of a patient")
    patient_id, changed = patients.upsert(session, content.patient, now)
    if logged.message.message_type == "ADT":
        changed |= patients.forget(session, patient_id, content.deletes)
    if logged.message.message_type == "ADT" and logged.message.trigger_event in _REGISTERS:
        changed |= identity_changes.revive(session, patient_id, feeds.source_of(logged.message), now)
    tree = members(session, patient_id)
    again = changed and lifecycle.row(Event.PATIENT_CHANGED).does(Effect.MATCH_AGAIN)
    return FiledUnder(patient_id, tree), studies_of(session, tree) if again else set()


def _file_reports(
    session: Session, filed: FiledUnder, content: MessageContent, message_id: int, now: datetime
) -> set[str]:
    """Radiology reports are filed under the patient whom they name; answers the studies to match again for them."""
    numbers: set[str] = set()
    for report in content.final_reports:
        owner = patients.leaf(session, report.patient) or filed.patient_id
        number = file_report(session, report, owner, message_id, now)
        numbers |= {number} if number else set()
    return studies_with(session, numbers, test=content.test)


def _upsert_statements(
    session: Session, filed: FiledUnder, source: str, values: Sequence[RecordValue], logged: LoggedMessage
) -> None:
    """Replace what the sender said before under the same keys."""
    if not values:
        return
    latest, batch = {value.key: value for value in values}, batch_of(session)
    known = _known_statements(session, filed.patient_id, source, list(latest))
    account, visit = key(filed.account) or "", key(filed.visit) or ""
    for one, value in latest.items():
        said: dict[str, Any] = {
            "body": dump(RecordValue, value),
            "received_at": logged.message.received_at,
            "message_id": logged.id,
        }
        if row := known.get(one):
            update(row, account=account or row.account, visit=visit or row.visit, **said)
            continue
        whose = {"patient_id": filed.patient_id, "source": source, "key": one}
        row = write(session, StatementRow, **whose, account=account, visit=visit, **said)
        batch.statements.put((filed.patient_id, source, one), row)


def _known_statements(
    session: Session, patient_id: str, source: str, keys: list[str]
) -> dict[str, StatementRow | Unwritten]:
    """The statements of this sender under these keys that are filed under the same patient.

    Not under others merged with her: what is said of one must not stand with the other once the merge is undone.
    """
    batch = batch_of(session)
    shelf, asked = batch.statements, [(patient_id, source, one) for one in keys]
    unknown = [one for one in asked if not shelf.knows(one)]
    shelf.foresee(unknown)
    if patient_id not in batch.new_patients:
        hers = StatementRow.patient_id == patient_id, StatementRow.source == source
        for row in rows_with(session, StatementRow, StatementRow.key, [one for _, _, one in unknown], *hers):
            shelf.put((patient_id, source, row.key), row)
    return {row.key: row for row in shelf.all_of(asked)}

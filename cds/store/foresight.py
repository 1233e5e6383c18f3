"""What messages will ask of the database while they are applied, asked for all of them at once.

Nothing is foreseen for messages that change who is who, and nothing foreseen outlasts one: they move rows from one
patient to another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from cds.domain.identity import Identifier
from cds.domain.message import LoggedMessage, MessageContent
from cds.errors import InvalidMessage
from cds.store.batch import Batch, StatementKey, portions, rows_with
from cds.store.feeds import source_of
from cds.store.orders import number_in
from cds.store.study_events import feed_of
from cds.store.tables import FeedRow, OrderRow, PatientIdentifierRow, PatientRow, StatementRow, StudyRow

Read = tuple[LoggedMessage, MessageContent]


def foresee(session: Session, messages: Iterable[tuple[LoggedMessage, MessageContent | InvalidMessage]]) -> Batch:
    """What these messages will ask for, in a handful of queries however many they are."""
    batch, said = Batch(), [(logged, content) for logged, content in messages if isinstance(content, MessageContent)]
    contents = [content for _, content in said]
    trees = _foresee_patients(session, batch, contents)
    _foresee_orders(session, batch, trees, contents)
    _foresee_statements(session, batch, said)
    _foresee_feeds(session, batch, said)
    return batch


def _foresee_patients(session: Session, batch: Batch, contents: Iterable[MessageContent]) -> set[str]:
    """Whose the identifiers are, and which patient numbers studies have; answers everybody who is one with those."""
    identifiers = {identifier for content in contents for identifier in _identifiers(content)}
    batch.identifiers.foresee(identifiers)
    values, theirs = {identifier.value for identifier in identifiers}, set[str]()
    for row in rows_with(session, PatientIdentifierRow, PatientIdentifierRow.value, values):
        if (identifier := Identifier(row.value, row.assigner)) in identifiers:
            batch.identifiers.put(identifier, row)
            theirs.add(row.patient_id)
    trees = _foresee_trees(session, batch, theirs)
    batch.identifiers_of.foresee(trees)
    for row in rows_with(session, PatientIdentifierRow, PatientIdentifierRow.patient_id, trees):
        batch.identifiers_of.put(row.patient_id, row)
        values.add(row.value)
    batch.pictured.foresee(values)
    for number in _values(session, StudyRow.patient_value, values):
        batch.pictured.put(number, number)
    return trees


def _foresee_trees(session: Session, batch: Batch, patients: Iterable[str]) -> set[str]:
    """Everybody who is one with these patients, a generation at a time."""
    found, newest = set[str](), set(patients)
    while newest:
        batch.patients.foresee(newest)
        batch.merged_into.foresee(newest)
        found |= newest
        rows = [*rows_with(session, PatientRow, PatientRow.id, newest)]
        rows += rows_with(session, PatientRow, PatientRow.merged_into, newest)
        for row in rows:
            batch.patients.put(row.id, row)
            if row.merged_into:
                batch.merged_into.put(row.merged_into, row)
        newest = {one for row in rows for one in (row.id, row.merged_into) if one} - found
    return found


def _foresee_orders(session: Session, batch: Batch, trees: Collection[str], contents: Iterable[MessageContent]) -> None:
    """The orders with the numbers that messages name, and which accession numbers touch a study."""
    orders = [change.order for content in contents for change in content.orders]
    numbers = {order.accession.value for order in orders if order.accession}
    for column, shelf in batch.orders_with.items():
        named = {number for order in orders if (number := number_in(order, column))}
        shelf.foresee(named)
        for some in portions(trees):
            theirs = col(OrderRow.patient_id).in_(some)
            for row in rows_with(session, OrderRow, getattr(OrderRow, column), named, theirs):
                batch.ordered(row)
                numbers |= {row.accession_number} if row.accession_number else set()
    batch.exams.foresee(numbers)
    for number in (*_values(session, StudyRow.accession_number, numbers), *_attached(session, numbers)):
        batch.exams.put(number, number)


def _attached(session: Session, numbers: Collection[str]) -> set[str]:
    """The accession numbers of orders to which a person attached a study."""
    known = dict[str, str | None]()
    for some in portions(numbers):
        asked = select(OrderRow.id, OrderRow.accession_number).where(col(OrderRow.accession_number).in_(some))
        known |= {order: number for order, number in session.exec(asked)}
    return {number for order in _values(session, StudyRow.decided_order_id, known) if (number := known[order])}


def _foresee_statements(session: Session, batch: Batch, messages: Sequence[Read]) -> None:
    """What the senders have stated before, under the same keys, of the patients whom their messages name first."""
    asked: set[StatementKey] = set()
    for logged, content in messages:
        patient_id = _filed_under(batch, content) if content.values else None
        if patient_id is not None:
            asked |= {(patient_id, source_of(logged.message), value.key) for value in content.values}
    batch.statements.foresee(asked)
    theirs = (
        col(StatementRow.patient_id).in_({patient_id for patient_id, _, _ in asked}),
        col(StatementRow.source).in_({source for _, source, _ in asked}),
    )
    for row in rows_with(session, StatementRow, StatementRow.key, {one for _, _, one in asked}, *theirs):
        batch.statements.put((row.patient_id, row.source, row.key), row)


def _foresee_feeds(session: Session, batch: Batch, messages: Sequence[Read]) -> None:
    heard = {(source_of(one.message), feed_of(content, one.message.message_type)) for one, content in messages}
    batch.feeds.foresee(heard)
    for row in rows_with(session, FeedRow, FeedRow.source, {source for source, _ in heard}):
        batch.feeds.put((row.source, row.message_type), row)


def _identifiers(content: MessageContent) -> Iterator[Identifier]:
    """Everybody whom a message names."""
    if content.patient:
        yield from content.patient.identifiers
    yield from (change.order.patient for change in content.orders)
    yield from (report.patient for report in content.final_reports)


def _filed_under(batch: Batch, content: MessageContent) -> str | None:
    """The patient whom a message names, if she is known before the batch."""
    named = content.patient.identifiers if content.patient else ()
    rows = (batch.identifiers.first(identifier, _nobody) for identifier in named)
    return next((row.patient_id for row in rows if row), None)


def _nobody() -> None:
    return None


def _values(session: Session, column: Any, keys: Collection[str], *where: ColumnElement[bool]) -> Iterator[str]:
    """Those of the keys that stand in a column."""
    for some in portions(keys):
        yield from session.exec(select(col(column)).where(col(column).in_(some), *where).distinct())

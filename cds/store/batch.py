"""What one transaction over several messages knows already, and what it only writes and will write at once.

Rows stand on shelves by what they are asked for. `cds.store.foresight` fills the shelves of a batch; whoever adds a row
in between puts it there. They are rows of the session, so that a message sees what those before it did. What was not
foreseen, and everything in a session without a batch, is asked of the database.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Generic, Literal, TypeVar, get_args

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlmodel import Session, SQLModel, col, select

from cds.domain.identity import Identifier
from cds.store.tables import FeedRow, OrderRow, PatientIdentifierRow, PatientRow, StatementRow

K = TypeVar("K")
R = TypeVar("R")
T = TypeVar("T", bound=SQLModel)

_BATCH = "batch"
#: Keys in one query: databases bound how many values a statement has.
_KEYS_AT_ONCE = 1000

#: The columns by which a message finds its orders.
NumberColumn = Literal["placer_order_number", "filler_order_number", "accession_number"]
_NUMBERS: tuple[NumberColumn, ...] = get_args(NumberColumn)
#: Patient, source and key of a statement.
StatementKey = tuple[str, str, str]


class Unwritten(SimpleNamespace):
    """A row as it will be written: its columns, without what a row of the session costs."""


class Shelf(Generic[K, R]):
    """All rows that have a key, for the keys that were foreseen. Rows may have changed since: check what they say."""

    def __init__(self) -> None:
        self._rows: dict[K, list[R]] = {}

    def foresee(self, keys: Iterable[K]) -> None:
        """From now on, what `put` brings is all that there is under these keys."""
        for key in keys:
            self._rows.setdefault(key, [])

    def put(self, key: K, row: R) -> None:
        """A row has this key now."""
        rows = self._rows.get(key)
        if rows is not None and not any(row is other for other in rows):
            rows.append(row)

    def forget(self, key: K) -> None:
        """What is under this key is asked of the database again."""
        self._rows.pop(key, None)

    def knows(self, key: K) -> bool:
        """True where the rows under this key were foreseen."""
        return key in self._rows

    def is_empty(self, key: K) -> bool:
        """True where it is known that no row has this key."""
        return self._rows.get(key) == []

    def all(self, key: K, ask: Callable[[], Iterable[R]]) -> list[R]:
        """The rows under a key; `ask` asks the database where it was not foreseen."""
        rows = self._rows.get(key)
        return list(ask() if rows is None else rows)

    def all_of(self, keys: Sequence[K], ask: Callable[[], Iterable[R]] = tuple) -> list[R]:
        """The rows under any of these keys; `ask` asks for all of them where one was not foreseen."""
        found = [self._rows.get(key) for key in keys]
        return list(ask()) if None in found else [row for rows in found if rows for row in rows]

    def first(self, key: K, ask: Callable[[], R | None]) -> R | None:
        """The one row under a key, as `all`."""
        rows = self._rows.get(key)
        return ask() if rows is None else next(iter(rows), None)


@dataclass(slots=True)
class Batch:
    """The shelves, each by what its rows are asked for."""

    patients: Shelf[str, PatientRow] = field(default_factory=Shelf)
    merged_into: Shelf[str, PatientRow] = field(default_factory=Shelf)
    identifiers: Shelf[Identifier, PatientIdentifierRow] = field(default_factory=Shelf)
    identifiers_of: Shelf[str, PatientIdentifierRow] = field(default_factory=Shelf)
    orders_with: dict[NumberColumn, Shelf[str, OrderRow]] = field(
        default_factory=lambda: {column: Shelf() for column in _NUMBERS}
    )
    orders_of: Shelf[str, OrderRow] = field(default_factory=Shelf)
    statements: Shelf[StatementKey, StatementRow | Unwritten] = field(default_factory=Shelf)
    feeds: Shelf[tuple[str, str], FeedRow] = field(default_factory=Shelf)
    #: Accession numbers that a study has, or an order to which a person attached one.
    exams: Shelf[str, str] = field(default_factory=Shelf)
    #: Patient numbers (DICOM (0010,0020)) that a study has.
    pictured: Shelf[str, str] = field(default_factory=Shelf)
    #: Who was not known before the batch: all that was ever said of them is on the shelves.
    new_patients: set[str] = field(default_factory=set)
    #: By table, in the order in which they came; all of a table name the same columns.
    unwritten: dict[type[SQLModel], list[Unwritten]] = field(default_factory=dict)

    def born(self, patient: PatientRow) -> None:
        """A patient whom nobody has named before: all that there is of her is still to come."""
        shelves: tuple[Shelf[str, Any], ...] = (self.patients, self.merged_into, self.identifiers_of, self.orders_of)
        for shelf in shelves:
            shelf.foresee([patient.id])
        self.patients.put(patient.id, patient)
        self.new_patients.add(patient.id)

    def named(self, identifier: Identifier, row: PatientIdentifierRow) -> None:
        """An identifier is filed under a patient."""
        self.identifiers.put(identifier, row)
        self.identifiers_of.put(row.patient_id, row)

    def ordered(self, row: OrderRow) -> None:
        """An order is new, or has other numbers now."""
        for column, shelf in self.orders_with.items():
            if number := getattr(row, column):
                shelf.put(number, row)
        self.orders_of.put(row.patient_id, row)

    def orders(
        self, patients: Sequence[str], column: NumberColumn, number: str, ask: Callable[[], Iterable[OrderRow]]
    ) -> list[OrderRow]:
        """Orders with a number, of these patients at least: the shelf has those of patients whom the batch knows."""
        known = all(self.patients.knows(one) for one in patients)
        return self.orders_with[column].all(number, ask) if known else list(ask())


def batch_of(session: Session) -> Batch:
    """The batch of a session; one that foresees nothing, and keeps nothing, where it has none."""
    batch: Batch | None = session.info.get(_BATCH)
    return batch or Batch()


def write(session: Session, table: type[T], **values: object) -> T | Unwritten:
    """Add a row that nobody asks the database for before the transaction ends; until then what it says may change.

    The rows of a batch are written at its end, with one statement for each table.
    """
    batch: Batch | None = session.info.get(_BATCH)
    if batch is None:
        row = table(**values)
        session.add(row)
        return row
    unwritten = Unwritten(**values)
    batch.unwritten.setdefault(table, []).append(unwritten)
    return unwritten


def update(row: SQLModel | Unwritten, **values: object) -> bool:
    """Set the columns that differ; True where one did. Setting one that does not is work for nothing."""
    differing = [name for name, value in values.items() if getattr(row, name) != value]
    for name in differing:
        setattr(row, name, values[name])
    return bool(differing)


@contextmanager
def together(session: Session, batch: Batch) -> Iterator[None]:
    """Make it the batch of the session; at the end everything is written, in the order in which it was added."""
    session.info[_BATCH] = batch
    try:
        yield
    finally:
        del session.info[_BATCH]
    session.flush()
    for table, rows in batch.unwritten.items():
        session.connection().execute(sa.insert(sa.inspect(table).local_table), [vars(row) for row in rows])


def rows_with(
    session: Session, table: type[T], column: object, keys: Collection[str], *where: ColumnElement[bool] | bool
) -> Iterator[T]:
    """The rows that have one of these keys in a column, however many keys there are."""
    for some in portions(keys):
        yield from session.exec(select(table).where(col(column).in_(some), *where))


def portions(keys: Collection[str]) -> Iterator[list[str]]:
    """Keys in their order, as many at once as a query takes."""
    known = sorted(keys)
    for start in range(0, len(known), _KEYS_AT_ONCE):
        yield known[start : start + _KEYS_AT_ONCE]

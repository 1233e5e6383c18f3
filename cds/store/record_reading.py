"""The record of a patient as pathways ask for it: read at every call of a hook, and made anew only where it changed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from cds.domain.message import RecordStatements, RecordValue, Searched, Statement
from cds.remembered import Remembered
from cds.store import feeds
from cds.store.engine import Database
from cds.store.quick import Query, Row
from cds.store.tables import FeedRow, StatementRow
from cds.store.values import parse
from cds.store.whose import tree

#: Patients whose record is kept as it was read.
_KNOWN = 128
STATED_COLUMNS: tuple[Any, ...] = (
    col(StatementRow.source),
    col(StatementRow.key),
    col(StatementRow.received_at),
    col(StatementRow.id),
    col(StatementRow.body),
)
STATED = Query(sa.select(*STATED_COLUMNS).where(col(StatementRow.patient_id) == sa.bindparam("patient")), "patient")
HEARD_COLUMNS: tuple[Any, ...] = (col(FeedRow.source), col(FeedRow.message_type), col(FeedRow.first_at))
HEARD = Query(sa.select(*HEARD_COLUMNS).order_by(col(FeedRow.first_at)))

#: Everything that a record is made of: its rows, and who is heard.
_Rows = tuple[tuple[Row, ...], tuple[Row, ...]]


class RecordReading:
    """Reads records from one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: Remembered[_Rows, RecordStatements] = Remembered(_KNOWN)
        self._feeds: Remembered[tuple[Row, ...], tuple[Searched, ...]] = Remembered(1)

    def statements(self, patient_id: str) -> RecordStatements:
        """See `cds.ports.PatientRecord`. The same rows make the same value."""
        hers = tree(self._database, patient_id)
        rows = tuple(row for one in hers for row in STATED.rows(self._database, one))
        heard = tuple(HEARD.rows(self._database))
        return self._known.get((rows, heard), lambda: self._made(rows, heard))

    def _made(self, rows: tuple[Row, ...], heard: tuple[Row, ...]) -> RecordStatements:
        """Of what several who became one state under the same key, the newest counts."""
        newest: dict[tuple[str, str], Row] = {}
        for row in sorted(rows, key=lambda row: row[2:4]):
            source, key, *_ = row
            newest[source, key] = row
        told = sorted(newest.values(), key=lambda row: int(row[3]))
        return RecordStatements(
            tuple(Statement(parse(RecordValue, body), source, received) for source, _, received, _, body in told),
            self._feeds.get(heard, lambda: tuple(feeds.searched(*row) for row in heard)),
        )

"""Everything that a call about one patient asks of the tables, with one statement: each costs a wait for the others.

What it finds is foreseen for the queries that follow in the same look. They find the same without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from cds.domain.identity import Identifier
from cds.store import newest, record_reading, standing, whose
from cds.store.engine import Database, Look
from cds.store.quick import Query, Row
from cds.store.tables import FeedRow, PatientIdentifierRow, PatientRow, ReportRow, StatementRow, StudyRow, UtcDateTime

_HERS = (
    sa.select(col(PatientIdentifierRow.patient_id))
    .where(
        col(PatientIdentifierRow.value) == sa.bindparam("value"),
        col(PatientIdentifierRow.assigner) == sa.bindparam("assigner"),
    )
    .scalar_subquery()
)
_TEXT, _NUMBER, _FLAG, _MOMENT = sa.String(), sa.Integer(), sa.Boolean(), UtcDateTime()
#: What a row of each part has: texts, a number, a flag and a moment.
_TEXTS = 6


def _part(name: str, texts: Sequence[Any], *, number: Any = None, flag: Any = None, at: Any = None) -> sa.Select[Any]:
    missing = [sa.cast(sa.null(), _TEXT)] * (_TEXTS - len(texts))
    last = [
        sa.cast(sa.null(), kind) if column is None else column
        for kind, column in ((_NUMBER, number), (_FLAG, flag), (_MOMENT, at))
    ]
    columns = [sa.literal_column(f"'{name}'", _TEXT), *texts, *missing, *last]
    return sa.select(*[column.label(f"c{place}") for place, column in enumerate(columns)])


_work, _study, _owner, _issued = newest.COLUMNS
*_stands, _is_verified = standing.COLUMNS
_source, _key, _received, _id, _body = record_reading.STATED_COLUMNS
_sender, _kind, _first = record_reading.HEARD_COLUMNS
_HER_STUDIES = (newest.told_of(_HERS), newest.IS_NEWEST)
_EVERYTHING = Query(
    sa.union_all(
        _part("whose", [col(PatientRow.id)], flag=whose.MERGED).where(col(PatientRow.id) == _HERS),
        _part("newest", [_work, _study, _owner], at=_issued).where(*_HER_STUDIES),
        _part("stands", _stands, flag=_is_verified)
        .where(col(StudyRow.uid).in_(sa.select(col(ReportRow.study_uid)).where(*_HER_STUDIES))),
        _part("stated", [_source, _key, _body], number=_id, at=_received).where(col(StatementRow.patient_id) == _HERS),
        _part("heard", [_sender, _kind], at=_first).select_from(FeedRow),
    ),
    "value",
    "assigner",
)  # fmt: skip


def foresee(database: Database, identifier: Identifier) -> None:
    """Ask for all that is filed under whom an identifier names; of those who were merged each query asks itself."""
    with database.looking() as look:
        parts: dict[str, list[Row]] = {}
        for part, *row in _EVERYTHING.rows(database, identifier.value, identifier.assigner):
            parts.setdefault(part, []).append(tuple(row))
        [(patient_id, *_, is_merged, _)] = parts.get("whose") or [(None,) * (_TEXTS + 3)]
        if patient_id is not None and not is_merged:
            _foresee(look, identifier, patient_id, parts)


def _foresee(look: Look, identifier: Identifier, patient_id: str, parts: dict[str, list[Row]]) -> None:
    known = look.foreseen
    alone = [(patient_id, False)]
    known[whose.NAMED.key(identifier.value, identifier.assigner)] = alone
    known[whose.FILED.key(patient_id)] = alone
    known[newest.NEWEST.key(patient_id)] = [(*row[:3], row[-1]) for row in parts.get("newest", ())]
    for row in parts.get("stands", ()):
        known[standing.STANDS.key(row[0])] = [(*row[:_TEXTS], row[-2])]
    told = [(row[0], row[1], row[-1], row[-3], row[2]) for row in parts.get("stated", ())]
    known[record_reading.STATED.key(patient_id)] = told
    known[record_reading.HEARD.key()] = sorted(
        [(row[0], row[1], row[-1]) for row in parts.get("heard", ())], key=lambda row: row[-1]
    )

"""Who owns an identifier or a patient's id, for calls that are waited for: most people were never merged with anybody.

Who was goes the way of `cds.store.identity`.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import col

from cds.domain.identity import Identifier
from cds.store.engine import Database
from cds.store.identity import members
from cds.store.quick import Query, Row
from cds.store.tables import PatientIdentifierRow, PatientRow

_OTHER: Any = aliased(PatientRow)
MERGED = sa.or_(
    col(PatientRow.merged_into).is_not(None),
    sa.exists().where(_OTHER.merged_into == col(PatientRow.id)),
)
NAMED = Query(
    sa.select(col(PatientIdentifierRow.patient_id), MERGED)
    .outerjoin(PatientRow, col(PatientRow.id) == col(PatientIdentifierRow.patient_id))
    .where(
        col(PatientIdentifierRow.value) == sa.bindparam("value"),
        col(PatientIdentifierRow.assigner) == sa.bindparam("assigner"),
    ),
    "value",
    "assigner",
)
FILED = Query(sa.select(col(PatientRow.id), MERGED).where(col(PatientRow.id) == sa.bindparam("id")), "id")


def named(database: Database, identifier: Identifier) -> tuple[str, ...]:
    """All patients that are one with whom an identifier is filed under, the survivor first; () for nobody."""
    rows = NAMED.rows(database, identifier.value, identifier.assigner)
    return _tree(database, rows[0]) if rows else ()


def tree(database: Database, patient_id: str) -> tuple[str, ...]:
    """All patients that are one with this one, the survivor first; the id itself where there is no such patient."""
    rows = FILED.rows(database, patient_id)
    return _tree(database, rows[0]) if rows else (patient_id,)


def _tree(database: Database, row: Row) -> tuple[str, ...]:
    patient_id, is_merged = row
    if not is_merged:
        return (patient_id,)
    with database.reading() as session:
        return members(session, patient_id)

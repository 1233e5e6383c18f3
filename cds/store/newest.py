"""The newest reports of a patient's studies, by index: flat however many reports there are."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import col

from cds.store.quick import Query
from cds.store.tables import ReportRow

_Later: Any = aliased(ReportRow)
_Earlier: Any = aliased(ReportRow)

COLUMNS: tuple[Any, ...] = (
    col(ReportRow.work_id),
    col(ReportRow.study_uid),
    col(ReportRow.patient_id),
    col(ReportRow.issued),
)
IS_NEWEST = ~sa.exists().where(_Later.study_uid == col(ReportRow.study_uid), _Later.version > col(ReportRow.version))


def told_of(patient: Any) -> sa.ColumnElement[bool]:
    """That some report of the study was this patient's."""
    return col(ReportRow.study_uid).in_(sa.select(_Earlier.study_uid).where(_Earlier.patient_id == patient))


#: The newest report, by its work, of each study that was ever reported as this patient's; it may be another's now.
NEWEST = Query(sa.select(*COLUMNS).where(told_of(sa.bindparam("patient")), IS_NEWEST), "patient")

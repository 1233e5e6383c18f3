"""Whether a report still stands: what cards ask of each study at every call, beside the report itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from cds.domain.identity import Identifier
from cds.errors import NotFound
from cds.store.attribution import identifier
from cds.store.engine import Database
from cds.store.quick import Query
from cds.store.safety_tables import VerificationRow
from cds.store.tables import StudyRow

#: The columns of one study; the last is whether anybody ever said anything of its findings.
COLUMNS: tuple[Any, ...] = (
    col(StudyRow.uid),
    col(StudyRow.stopped),
    col(StudyRow.decided),
    col(StudyRow.contradiction),
    col(StudyRow.patient_value),
    col(StudyRow.patient_assigner),
    sa.exists().where(col(VerificationRow.study_uid) == col(StudyRow.uid)),
)
STANDS = Query(sa.select(*COLUMNS).where(col(StudyRow.uid) == sa.bindparam("uid")), "uid")


@dataclass(frozen=True, slots=True)
class Standing:
    """`contradiction` is why nobody may see the study; `patient` is whom its images name now."""

    contradiction: str
    is_decided: bool
    patient: Identifier | None
    #: Whether anybody verified a finding of it, of these images or of earlier ones.
    is_verified: bool


def standing(database: Database, study_uid: str) -> Standing:
    """How a study stands now; raise NotFound."""
    rows = STANDS.rows(database, study_uid)
    if not rows:
        raise NotFound("no such study")
    _, stopped, decided, contradiction, value, assigner, verified = rows[0]
    doubt = stopped or ("" if decided else contradiction)
    return Standing(doubt, bool(decided), identifier(value, assigner), bool(verified))

"""Studies by the random id that addresses name them with."""

from __future__ import annotations

from sqlmodel import select

from cds.errors import NotFound
from cds.store.engine import Database
from cds.store.tables import StudyRow

_NOTHING = "Sightline has no result that may be shown here now. That is not a negative result."


def study_uid(database: Database, public_id: str) -> str:
    """The Study Instance UID of a public id; raise NotFound."""
    with database.reading() as session:
        found = session.exec(select(StudyRow.uid).where(StudyRow.public_id == public_id)).first()
    if found is None:
        raise NotFound(_NOTHING)
    return found

"""What a PACS sink asks of the index: the files that a report is about, and what was made of a study before."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import col, select

from cds.domain.imaging import OwnInstance
from cds.store.engine import Database
from cds.store.tables import InstanceRow, OwnInstanceRow


def files(database: Database, study_uid: str, series_uid: str) -> Sequence[str]:
    """Paths below the data folder of the images of a series that still belong to the study, of all for ""."""
    query = select(InstanceRow.path).where(InstanceRow.study_uid == study_uid, col(InstanceRow.left_revision).is_(None))
    if series_uid:
        query = query.where(InstanceRow.series_uid == series_uid)
    with database.reading() as session:
        return session.exec(query.order_by(col(InstanceRow.sop_instance_uid))).all()


def own_instances(database: Database, study_uid: str) -> Sequence[OwnInstance]:
    """What Sightline made of a study, oldest first."""
    with database.reading() as session:
        rows = session.exec(
            select(OwnInstanceRow)
            .where(OwnInstanceRow.study_uid == study_uid)
            .order_by(col(OwnInstanceRow.at), col(OwnInstanceRow.sop_instance_uid))
        ).all()
    return [OwnInstance(row.sop_instance_uid, row.series_uid, row.kind) for row in rows]

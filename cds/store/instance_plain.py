"""One more image of a study, and nothing else: most instances are that, and the sender of each waits for its commit.

It is asked and written with four statements of the driver's speed, without rows of the session. Every other instance,
which may open a study or a revision, change a header or raise a doubt, goes the way of `cds.store.instances.arrive`.
"""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
from sqlmodel import Session, col

from cds.domain import lifecycle
from cds.domain.lifecycle import Effect, Event
from cds.store import rejections
from cds.store.attribution import Site, Stated, gathered, whose
from cds.store.engine import lock
from cds.store.instances import Added, Arrival, columns, says_own
from cds.store.safety_tables import RejectedInstanceRow
from cds.store.tables import InstanceRow, OwnInstanceRow, StudyRow

_INSTANCE: Any = sa.bindparam("instance")
_SERIES: Any = sa.bindparam("series")
_STUDY: Any = sa.bindparam("study")
_INSTANCES: Any = sa.inspect(InstanceRow).local_table
_STUDIES: Any = sa.inspect(StudyRow).local_table
#: True for an instance that is here, or that Sightline made.
_IS_SPECIAL = sa.select(
    sa.or_(
        sa.exists().where(col(InstanceRow.sop_instance_uid) == _INSTANCE),
        sa.exists().where(col(OwnInstanceRow.sop_instance_uid) == _INSTANCE),
        sa.exists().where(col(OwnInstanceRow.series_uid) == _SERIES),
    )
)
_REJECTED = sa.exists().where(
    col(RejectedInstanceRow.sop_instance_uid) == _INSTANCE, col(RejectedInstanceRow.study_uid) == _STUDY
)
#: The study, unless a note rejected the instance before it came.
_JOINED = sa.select(_STUDIES).where(col(StudyRow.uid) == _STUDY, ~_REJECTED)
_ADD = sa.insert(_INSTANCES)
_COUNT = (
    sa.update(_STUDIES)
    .where(col(StudyRow.uid) == _STUDY)
    .values(
        instances=col(StudyRow.instances) + 1,
        consumed_instances=col(StudyRow.consumed_instances) + sa.bindparam("read"),
        last_instance_at=sa.bindparam("at"),
    )
)


def arrive_plainly(session: Session, site: Site, arrival: Arrival) -> Added | None:
    """Write an instance that is one more image of its study; None, and nothing is written, where it may be more.

    Locks as `arrive` does, the instance and then its study, so that this may follow in the same transaction.
    """
    header = arrival.instance.header
    if says_own(header):
        return None
    names = {"instance": header.sop_instance_uid, "series": header.series_instance_uid}
    lock(session, "instance", header.sop_instance_uid)
    connection = session.connection()
    if connection.execute(_IS_SPECIAL, names).scalar_one():
        return None
    lock(session, "study", header.study_instance_uid)
    named = {"instance": header.sop_instance_uid, "study": header.study_instance_uid}
    row = cast("StudyRow | None", connection.execute(_JOINED, named).one_or_none())
    if row is None or not _only_joins(row, site, arrival):
        return None
    new = {"sop_instance_uid": header.sop_instance_uid, "image_revision": row.image_revision, "left_revision": None}
    new |= {"rejected": "", "received_at": arrival.at, **columns(arrival)}
    connection.execute(_ADD, new)
    connection.execute(_COUNT, {"study": row.uid, "read": int(arrival.consumed), "at": arrival.at})
    return Added("new")


def _only_joins(row: StudyRow, site: Site, arrival: Arrival) -> bool:
    """True where the study stays what it is: its revision is open or not concerned, and it learns nothing of itself."""
    event = Event.LATE_INSTANCE if arrival.consumed else Event.UNREAD_INSTANCE
    opens = lifecycle.row(event).does(Effect.RUN_AGAIN) and not row.revision_open
    if opens or row.purpose or row.instances < 1 or row.contradiction or rejections.emptied(row):
        return False
    known = whose(row)
    return gathered(known, (Stated.of(arrival.instance.header),), site) == known

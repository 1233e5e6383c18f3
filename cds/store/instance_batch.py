"""Many instances in one transaction: what they will ask of the tables is asked once, what is new is written at once.

Only an instance that is new to a study which has others already is written so; every other one, which may open a study,
change a header or raise a doubt, goes the way of `cds.store.instances.arrive`, in its turn.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.imaging import InstanceHeader
from cds.store import attribution, rejections
from cds.store.attribution import Site, Stated
from cds.store.batch import portions
from cds.store.engine import lock_all
from cds.store.instances import Added, Arrival, arrive, came_by_itself, columns, count, says_own
from cds.store.safety_tables import RejectedInstanceRow
from cds.store.tables import InstanceRow, OwnInstanceRow, StudyRow

#: An instance whose turn comes after one of the same UID that is undecided.
_LATER = Added("undecided", asked="later")


@dataclass(slots=True)
class _Known:
    """What the tables say of the instances of a batch, and what is still to be written of them."""

    #: SOP Instance UID → digest of those that are here.
    digests: dict[str, str]
    studies: dict[str, StudyRow]
    #: Instances and series that Sightline made.
    own: frozenset[str]
    #: (instance, study) that a note rejected before they came.
    rejected: frozenset[tuple[str, str]]
    #: What instances stated that their study took, so that another that states the same changes nothing.
    settled: set[tuple[str, Stated]] = field(default_factory=set)
    unwritten: list[dict[str, Any]] = field(default_factory=list)

    def study_joined_by(self, header: InstanceHeader) -> StudyRow | None:
        """The study of an instance that is one more image of it and nothing else; None where it may be more."""
        row = self.studies.get(header.study_instance_uid)
        if row is None or row.instances < 1 or rejections.emptied(row) or self._is_special(header):
            return None
        return row

    def _is_special(self, header: InstanceHeader) -> bool:
        uid = header.sop_instance_uid
        return self.is_own(header) or uid in self.digests or (uid, header.study_instance_uid) in self.rejected

    def is_own(self, header: InstanceHeader) -> bool:
        """True for what Sightline made."""
        return says_own(header) or not self.own.isdisjoint((header.sop_instance_uid, header.series_instance_uid))

    def write(self, session: Session) -> None:
        """Write what is new so far."""
        session.flush()
        if self.unwritten:
            session.execute(sa.insert(InstanceRow), self.unwritten)
            self.unwritten.clear()


def arrive_all(session: Session, site: Site, arrivals: Sequence[Arrival]) -> list[Added]:
    """As `arrive` for each, in their order; the outcome "undecided" asks that an instance comes again, alone.

    Nothing is written of one that is undecided, nor of what follows under its UID.
    """
    known, answers, undecided = _foresee(session, arrivals), list[Added](), set[str]()
    for arrival in arrivals:
        header = arrival.instance.header
        uid = header.sop_instance_uid
        if uid in undecided:
            answers.append(_LATER)
            continue
        added = _quickly(session, site, known, arrival)
        if added is None:
            known.write(session)
            added = arrive(session, site, arrival, {})
            _look_again(session, known, header)
        if added.outcome == "undecided":
            undecided.add(uid)
        elif added.outcome in ("new", "header"):
            known.digests[uid] = arrival.instance.sha256
        answers.append(added)
    known.write(session)
    return answers


def _quickly(session: Session, site: Site, known: _Known, arrival: Arrival) -> Added | None:
    """What a repeat or one more image of a study does; None for everything else."""
    header = arrival.instance.header
    row = known.study_joined_by(header)
    if row is not None:
        _join(session, site, known, row, arrival)
        return Added("new")
    repeated = known.digests.get(header.sop_instance_uid) == arrival.instance.sha256
    if not repeated or known.is_own(header):
        return None
    came_by_itself(session, known.studies.get(header.study_instance_uid), arrival)
    return Added("duplicate")


def _join(session: Session, site: Site, known: _Known, row: StudyRow, arrival: Arrival) -> None:
    header = arrival.instance.header
    count(session, row, arrival)
    session.add(row)
    known.unwritten.append(
        {
            "sop_instance_uid": header.sop_instance_uid,
            "image_revision": row.image_revision,
            "left_revision": None,
            "rejected": "",
            "received_at": arrival.at,
            **columns(arrival),
        }
    )
    stated = (row.uid, Stated.of(header))
    if stated not in known.settled:
        known.write(session)
        attribution.joined(session, row, header, site, arrival.at)
        known.settled.add(stated)


def _look_again(session: Session, known: _Known, header: InstanceHeader) -> None:
    """After what may have changed anything about its study: opened it, emptied it, or settled whose it is."""
    session.flush()
    known.settled.clear()
    row = session.get(StudyRow, header.study_instance_uid)
    if row is not None:
        known.studies[row.uid] = row


def _foresee(session: Session, arrivals: Sequence[Arrival]) -> _Known:
    """Lock the instances, then the studies, each in one order for all batches, and read what is known of them."""
    headers = [arrival.instance.header for arrival in arrivals]
    uids = {header.sop_instance_uid for header in headers}
    lock_all(session, "instance", uids)
    studies = {header.study_instance_uid for header in headers}
    studies |= set(_column(session, InstanceRow.study_uid, InstanceRow.sop_instance_uid, uids))
    lock_all(session, "study", studies)
    digests = dict[str, str]()
    for row in _rows(session, (InstanceRow.sop_instance_uid, InstanceRow.sha256), InstanceRow.sop_instance_uid, uids):
        digests[row[0]] = row[1]
    rejected = (RejectedInstanceRow.sop_instance_uid, RejectedInstanceRow.study_uid)
    series = {header.series_instance_uid for header in headers}
    own = set(_column(session, OwnInstanceRow.sop_instance_uid, OwnInstanceRow.sop_instance_uid, uids))
    own |= set(_column(session, OwnInstanceRow.series_uid, OwnInstanceRow.series_uid, series))
    return _Known(
        digests=digests,
        studies={row.uid: row for row in _studies(session, studies)},
        own=frozenset(own),
        rejected=frozenset((row[0], row[1]) for row in _rows(session, rejected, rejected[0], uids)),
    )


def _studies(session: Session, uids: Collection[str]) -> Iterable[StudyRow]:
    for some in portions(uids):
        asked = select(StudyRow).where(col(StudyRow.uid).in_(some)).execution_options(populate_existing=True)
        yield from session.exec(asked)


def _rows(session: Session, wanted: Sequence[Any], column: Any, keys: Collection[str]) -> Iterable[Any]:
    """These columns of the rows that have one of the keys, however many keys there are."""
    for some in portions(keys):
        yield from session.execute(sa.select(*wanted).where(col(column).in_(some)))


def _column(session: Session, wanted: Any, column: Any, keys: Collection[str]) -> Iterable[str]:
    return (row[0] for row in _rows(session, (wanted,), column, keys))

"""What is known of the studies whose image revision is open, read for `cds.domain.completeness`.

Asked every second by every worker: all studies in a handful of queries, the instances of a study only after something
of it changed, and headers only when everything else says that it is complete.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.completeness import SeriesProgress, StudyProgress, missing_slices
from cds.domain.event import StudyEventKind
from cds.domain.imaging import InstanceHeader
from cds.domain.order import QUEUE_PRIORITY, Priority, ServiceRequest, queue_priority
from cds.domain.retrieval import RetrievalState, StatedSeries
from cds.store.batch import portions, rows_with
from cds.store.retrieval_tables import RetrievalRow, StatedSeriesRow
from cds.store.tables import InstanceRow, OrderRow, StudyEventRow, StudyRow
from cds.store.values import parse

#: What changes whenever an instance comes, leaves, or counts otherwise.
State = tuple[datetime, int, int, int]
_LIVE = (RetrievalState.PENDING.value, RetrievalState.RUNNING.value)


@dataclass(slots=True)
class _Here:
    """The series of a study as they are here, and the gaps of those that were looked at."""

    state: State
    series: tuple[SeriesProgress, ...]
    gaps: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Known:
    """What was read before, by study."""

    here: dict[str, _Here] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Open:
    """A study whose revision is open, in the state in which it was read."""

    uid: str
    state: State
    prior: bool
    issuers: tuple[str, ...]
    progress: StudyProgress
    run: int

    def with_queryable(self, queryable: bool) -> StudyProgress:
        """The progress with whether some PACS may hold the study."""
        return replace(self.progress, queryable=queryable)


@dataclass(frozen=True, slots=True)
class _Said:
    """What was said of all open studies, by their UID; `stat` holds accession numbers."""

    retrievals: dict[str, RetrievalRow]
    stated: dict[str, dict[str, StatedSeries]]
    announced: dict[str, datetime]
    stat: frozenset[str]


def state_of(row: StudyRow) -> State:
    """The state that a verdict is about."""
    return row.last_instance_at, row.instances, row.consumed_instances, row.image_revision


def read(session: Session, known: Known) -> list[Open]:
    """Every study whose revision is open, without gaps and without what a PACS may hold."""
    rows = session.exec(select(StudyRow).where(col(StudyRow.revision_open).is_(True))).all()
    uids = {row.uid for row in rows}
    for gone in known.here.keys() - uids:
        del known.here[gone]
    if not rows:
        return []
    said = _Said(_retrievals(session, uids), _stated(session, uids), _announced(session, uids), _stat(session, rows))
    return [_open(session, known, row, said) for row in sorted(rows, key=lambda row: row.uid)]


def with_gaps(session: Session, known: Known, progress: StudyProgress) -> StudyProgress:
    """The same with what the headers of the series that hold it up say of missing slices."""
    here = known.here[progress.study_instance_uid]
    for one in progress.holding:
        if one.consumed and one.local and one.series_instance_uid not in here.gaps:
            here.gaps[one.series_instance_uid] = missing_slices(_headers(session, progress, one))
    series = (replace(one, gap=here.gaps.get(one.series_instance_uid, "")) for one in progress.series)
    return replace(progress, series=tuple(series))


def _open(session: Session, known: Known, row: StudyRow, said: _Said) -> Open:
    retrieval, announced = said.retrievals.get(row.uid), said.announced.get(row.uid)
    here = known.here.get(row.uid)
    if here is None or here.state != state_of(row):
        here = known.here[row.uid] = _Here(state_of(row), _series(session, row))
    opened = row.revision_opened_at or row.last_instance_at
    first = row.image_revision == 1
    live = retrieval is not None and retrieval.state in _LIVE
    told = announced is not None and (first or announced >= opened)
    fetched = retrieval is not None and bool(retrieval.announced) and (first or live)
    progress = StudyProgress(
        study_instance_uid=row.uid,
        opened_at=opened,
        series=_with_stated(here.series, said.stated.get(row.uid, {})),
        retrieval=RetrievalState(retrieval.state) if retrieval else None,
        asked_at=retrieval.updated_at if retrieval and not live else None,
        reason=retrieval.reason if retrieval else "",
        announced=told or fetched,
        stat=row.accession_number in said.stat,
    )
    issuers = tuple(filter(None, (row.patient_assigner, row.accession_issuer)))
    return Open(row.uid, here.state, bool(row.purpose), issuers, progress, retrieval.run if retrieval else 0)


def _series(session: Session, row: StudyRow) -> tuple[SeriesProgress, ...]:
    """One grouped query, and one header of each series."""
    counts = sa.case((col(InstanceRow.rejected) == "", 1), else_=0)
    read = sa.case((sa.and_(col(InstanceRow.rejected) == "", col(InstanceRow.consumed)), 1), else_=0)
    fresh = sa.case((col(InstanceRow.image_revision) == row.image_revision, 1), else_=0)
    grouped = (
        sa.select(
            col(InstanceRow.series_uid), sa.func.sum(counts), sa.func.count(), sa.func.max(read),
            sa.func.max(fresh), sa.func.max(col(InstanceRow.received_at)),
            sa.func.min(col(InstanceRow.sop_instance_uid)),
        )
        .where(col(InstanceRow.study_uid) == row.uid)
        .group_by(col(InstanceRow.series_uid))
    )  # fmt: skip
    found = session.execute(grouped).all()
    latest = max((one[5] for one in found), default=row.last_instance_at)
    # What came again under its UID moves the study's time and no instance's.
    touched = row.last_instance_at if row.last_instance_at > latest else None
    asked = select(InstanceRow.series_uid, InstanceRow.header).where(
        col(InstanceRow.sop_instance_uid).in_([one[6] for one in found])
    )
    headers: dict[str, InstanceHeader] = {uid: parse(InstanceHeader, body) for uid, body in session.exec(asked)}
    return tuple(
        SeriesProgress(
            series_instance_uid=uid,
            modality=headers[uid].modality,
            consumed=bool(consumed),
            local=local,
            last_at=touched or last,
            number=headers[uid].series_number,
            rejected=all_here - local,
            fresh=bool(is_fresh),
        )
        for uid, local, all_here, consumed, is_fresh, last, _ in found
    )


def _with_stated(here: Sequence[SeriesProgress], stated: dict[str, StatedSeries]) -> tuple[SeriesProgress, ...]:
    """What is here with what was stated of it, and the series that are wanted and not here at all."""
    known = [
        replace(one, stated=said.series.instances, agreed=said.agreed, consumed=one.consumed or said.wanted)
        if (said := stated.get(one.series_instance_uid))
        else one
        for one in here
    ]
    names = {one.series_instance_uid for one in here}
    absent = [
        SeriesProgress(
            uid, said.series.modality, True, 0, None, said.series.instances, said.agreed, number=said.series.number
        )
        for uid, said in stated.items()
        if said.wanted and uid not in names
    ]
    return (*known, *absent)


def _retrievals(session: Session, uids: Collection[str]) -> dict[str, RetrievalRow]:
    """By study; the retrieval under its UID rather than one that began with an accession number."""
    found: dict[str, RetrievalRow] = {}
    for some in portions(uids):
        for row in session.exec(select(RetrievalRow).where(col(RetrievalRow.study_uid).in_(some))):
            if row.study_uid not in found or row.key == row.study_uid:
                found[row.study_uid] = row
    return found


def _stated(session: Session, uids: Collection[str]) -> dict[str, dict[str, StatedSeries]]:
    found: dict[str, dict[str, StatedSeries]] = {}
    for some in portions(uids):
        for row in session.exec(select(StatedSeriesRow).where(col(StatedSeriesRow.study_uid).in_(some))):
            found.setdefault(row.study_uid, {})[row.series_uid] = parse(StatedSeries, row.body)
    return found


def _announced(session: Session, uids: Collection[str]) -> dict[str, datetime]:
    """When a wire last said that the images of a study are there."""
    found: dict[str, datetime] = {}
    for some in portions(uids):
        newest = (
            select(StudyEventRow.study_uid, sa.func.max(col(StudyEventRow.received_at)))
            .where(col(StudyEventRow.study_uid).in_(some), StudyEventRow.kind == StudyEventKind.IMAGES_AVAILABLE.value)
            .group_by(col(StudyEventRow.study_uid))
        )
        found |= {uid: at for uid, at in session.exec(newest) if uid}
    return found


def _stat(session: Session, rows: Iterable[StudyRow]) -> frozenset[str]:
    """The accession numbers that a stat order has, whoever's: a doubtful match must not slow an urgent study."""
    numbers, orders = {row.accession_number for row in rows} - {""}, dict[str, list[ServiceRequest]]()
    for row in rows_with(session, OrderRow, OrderRow.accession_number, numbers):
        orders.setdefault(row.accession_number or "", []).append(parse(ServiceRequest, row.body))
    urgent = QUEUE_PRIORITY[Priority.STAT]
    return frozenset(number for number, ordered in orders.items() if queue_priority(ordered) == urgent)


def _headers(session: Session, progress: StudyProgress, series: SeriesProgress) -> list[InstanceHeader]:
    bodies = session.exec(
        select(InstanceRow.header).where(
            InstanceRow.study_uid == progress.study_instance_uid,
            InstanceRow.series_uid == series.series_instance_uid,
            InstanceRow.rejected == "",
        )
    )
    return [parse(InstanceHeader, body) for body in bodies]

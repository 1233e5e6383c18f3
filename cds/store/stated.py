"""What PACS, and events, stated of the series of a study, inside the transaction of whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from cds.domain.event import StudyEvent
from cds.domain.retrieval import RemoteSeries, StatedSeries
from cds.store.engine import lock
from cds.store.retrieval_tables import StatedSeriesRow
from cds.store.values import dump, parse


def keep(
    session: Session, study_uid: str, series: Sequence[StatedSeries], now: datetime, interval: timedelta
) -> list[StatedSeries]:
    """Keep statements; answers each with `agreed` where the same count was stated before, at least an interval ago.

    A count that is repeated too soon leaves the time of the first statement, so that waiting is not in vain.
    """
    lock(session, "retrievals")
    kept = []
    for one in series:
        row = session.get(StatedSeriesRow, (study_uid, one.series.series_instance_uid), populate_existing=True)
        said = (
            _after(parse(StatedSeries, row.body), one, now, interval)
            if row
            else replace(one, asked_at=now, agreed=False)
        )
        row = row or StatedSeriesRow(
            study_uid=study_uid, series_uid=one.series.series_instance_uid, source="", asked_at=now, body=""
        )
        row.source, row.instances, row.wanted = said.source, said.series.instances, said.wanted
        row.agreed, row.asked_at, row.body = said.agreed, said.asked_at, dump(StatedSeries, said)
        session.add(row)
        kept.append(said)
    return kept


def only(session: Session, study_uid: str, source: str, series: Sequence[StatedSeries]) -> None:
    """What this PACS stated once and does not state any more is gone there."""
    named = {one.series.series_instance_uid for one in series}
    theirs = select(StatedSeriesRow).where(StatedSeriesRow.study_uid == study_uid, StatedSeriesRow.source == source)
    for row in session.exec(theirs).all():
        if row.series_uid not in named:
            session.delete(row)


def of_study(session: Session, study_uid: str) -> list[StatedSeries]:
    """What was stated last, by series number."""
    bodies = session.exec(select(StatedSeriesRow.body).where(col(StatedSeriesRow.study_uid) == study_uid)).all()
    found: list[StatedSeries] = [parse(StatedSeries, body) for body in bodies]
    return sorted(
        found, key=lambda one: (one.series.number is None, one.series.number or 0, one.series.series_instance_uid)
    )


def of_event(event: StudyEvent, at: datetime) -> list[StatedSeries]:
    """The counts of an Instance Availability Notification (PS3.4 annex R): one statement."""
    uid = event.study_instance_uid or ""
    return [
        StatedSeries(RemoteSeries(uid, series_uid, instances=instances), event.source, at)
        for series_uid, instances in event.series
        if uid
    ]


def _after(before: StatedSeries, one: StatedSeries, now: datetime, interval: timedelta) -> StatedSeries:
    by_event = not one.series.modality and bool(before.series.modality)  # it states counts and nothing else
    described = replace(before.series, instances=one.series.instances) if by_event else one.series
    said = replace(
        one,
        series=described,
        wanted=before.wanted if by_event else one.wanted,
        reason=before.reason if by_event else one.reason,
    )
    if one.series.instances != before.series.instances:  # a PACS that states none says the same as before, too
        return replace(said, asked_at=now, agreed=False)
    if before.agreed or now - before.asked_at >= interval:
        return replace(said, asked_at=now, agreed=True)
    return replace(said, asked_at=before.asked_at, agreed=False)

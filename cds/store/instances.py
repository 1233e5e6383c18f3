"""What an instance that arrives does to its study: the rows of SAFETY section 3 that a DICOM peer can cause.

`arrive` finds out which event it is; the event table says what that does, and the functions below do it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain import lifecycle
from cds.domain.hold import HoldKind
from cds.domain.imaging import InstanceHeader, StoredInstance
from cds.domain.lifecycle import Effect, Event
from cds.domain.retrieval import Purpose, RetrievalState
from cds.errors import NotFound
from cds.store import attribution, holds, rejections, timeline
from cds.store.attribution import Site, Stated
from cds.store.engine import lock
from cds.store.retrieval_tables import RetrievalRow
from cds.store.revisions import locked, open_revision, own_study
from cds.store.safety_tables import ConflictingInstanceRow
from cds.store.tables import InstanceRow, OwnInstanceRow, StudyRow, TimelineRow
from cds.store.values import dump, parse

#: Manufacturer (0008,0070) in what Sightline writes: structured reports, Key Object Selections and segmentations.
OWN_MANUFACTURER = "Sightline"
_STRUCTURED_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
#: Segmentation, Secondary Capture, Grayscale Softcopy Presentation State.
_PICTURES = frozenset({f"1.2.840.10008.5.1.4.1.1.{of}" for of in ("66.4", "7", "11.1")})
_OWN = "own series came back, ignored"
#: What begins so was fetched by us; everything else was sent to us.
FETCHED = "pacs:"
_STRAGGLING = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Arrival:
    """An instance as it came. `consumed` where a model may want it, `source` is the edge that took it."""

    instance: StoredInstance
    at: datetime
    consumed: bool
    source: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A conflicting instance that waits for a person, with the rules of the site that it came under."""

    arrival: Arrival
    site: Site


class Added(NamedTuple):
    """What an arrival was, and the file that no row names any more.

    The outcome "undecided" asks whether the file at `superseded` has the same pixels; its digest is `asked`.
    """

    outcome: str
    superseded: str = ""
    asked: str = ""


def arrive(session: Session, site: Site, arrival: Arrival, same: Mapping[str, bool]) -> Added:
    """Commit what an instance does. `same` are answers to what was undecided before, by the known digest."""
    header = arrival.instance.header
    if _is_own(session, header):
        _tell_own(session, header, arrival.at)
        return Added("own")
    known = _known(session, header)
    if known is None:
        _join(session, site, arrival, None)
        return Added("new")
    if known.sha256 == arrival.instance.sha256:
        came_by_itself(session, session.get(StudyRow, known.study_uid), arrival)
        return Added("duplicate")
    alike = known.pixels_sha256 == arrival.instance.pixels_sha256 or same.get(known.sha256)
    if alike is None:
        return Added("undecided", known.path, known.sha256)
    event = Event.HEADER_CHANGED if alike else Event.PIXELS_CHANGED
    if lifecycle.row(event).does(Effect.ASK):
        return _conflict(session, site, known, arrival)
    return Added("header", take(session, site, known, arrival))


def came_by_itself(session: Session, row: StudyRow | None, arrival: Arrival) -> None:
    """Images that somebody sends, and that no retrieval of a prior asked for, are a study of their own."""
    if row is None or row.purpose != Purpose.PRIOR.value or arrival.source.startswith(FETCHED):
        return
    if not _fetched_as_prior(session, row.uid, arrival.at):
        own_study(session, row, "a prior was sent to us for itself", arrival.at)


def _fetched_as_prior(session: Session, uid: str, at: datetime) -> bool:
    """True while a study is fetched to be compared with: by C-MOVE its images come like any that are sent to us.

    A PACS may go on sending for a while after we gave up.
    """
    live = (RetrievalState.PENDING.value, RetrievalState.RUNNING.value)
    asked = select(RetrievalRow.key).where(
        RetrievalRow.study_uid == uid,
        RetrievalRow.purpose == Purpose.PRIOR.value,
        sa.or_(
            col(RetrievalRow.state).in_(live),
            sa.and_(
                col(RetrievalRow.state) == RetrievalState.FAILED.value,
                col(RetrievalRow.updated_at) > at - _STRAGGLING,
            ),
        ),
    )
    return session.exec(asked.limit(1)).first() is not None


def resolve_conflict(session: Session, key: str, *, use_new: bool, by: str, now: datetime) -> str:
    """What a person decided about a hold of kind instance-conflict, by its key; raise NotFound.

    Answers the path, below the data folder, that no row names any more. With `use_new` the study's images changed: it
    runs again (SAFETY section 3, corrected instance).
    """
    waiting = session.get(ConflictingInstanceRow, key)
    if waiting is None:
        raise NotFound("the other instance of this conflict is not known any more")
    new: Waiting = parse(Waiting, waiting.body)
    header = new.arrival.instance.header
    session.delete(waiting)
    known = _known(session, header)
    if known is None:
        raise NotFound("the instance of this conflict is not here any more")
    chosen = "the newer one" if use_new else "the first one"
    detail = (f"{chosen} is used", f"decided by {by}")
    timeline.write(session, now, "receive", "conflict resolved", study_uid=known.study_uid, detail=detail)
    if not use_new:
        return new.arrival.instance.path
    arrival = Arrival(new.arrival.instance, now, new.arrival.consumed, new.arrival.source)
    return take(session, new.site, known, arrival, pixels_changed=True)


def take(session: Session, site: Site, known: InstanceRow, arrival: Arrival, *, pixels_changed: bool = False) -> str:
    """The row takes the file and header of what came; answers the path that it had.

    A row that names a file always has it: the old one is removed after the commit, by whoever asked.
    """
    superseded, was = known.path, known.model_copy()
    before = Stated.of(parse(InstanceHeader, known.header))
    if was.study_uid != arrival.instance.header.study_instance_uid:
        _join(session, site, arrival, known)
        if not was.rejected:
            rejections.moved_away(session, site, was.study_uid, arrival.at, consumed=was.consumed)
        return superseded
    _fill(known, arrival)
    session.add(known)
    session.flush()
    if known.rejected:
        return superseded
    row = locked(session, known.study_uid)
    row.consumed_instances += known.consumed - was.consumed
    regrouped = was.series_uid != known.series_uid
    if was.consumed != known.consumed or (known.consumed and (regrouped or pixels_changed)):
        open_revision(session, row, "corrected instance", arrival.at)
    session.add(row)
    if before != Stated.of(arrival.instance.header) and lifecycle.row(Event.HEADER_CHANGED).does(Effect.MATCH_AGAIN):
        _header_changed(session, site, row, arrival.at)
    return superseded


def _header_changed(session: Session, site: Site, row: StudyRow, at: datetime) -> None:
    """The study is told anew whose it is; the timeline hears of it where that changes anything."""
    revision = row.match_revision
    attribution.gathered_again(session, row, site, at)
    if row.match_revision != revision:
        detail = (lifecycle.row(Event.HEADER_CHANGED).title,)
        timeline.write(session, at, "receive", "header changed", study_uid=row.uid, detail=detail)


def _known(session: Session, header: InstanceHeader) -> InstanceRow | None:
    """The stored instance under this UID, with nobody else changing it, its study, or the one that it names."""
    lock(session, "instance", header.sop_instance_uid)
    known = session.get(InstanceRow, header.sop_instance_uid)
    for uid in sorted({header.study_instance_uid, known.study_uid if known else header.study_instance_uid}):
        lock(session, "study", uid)
    if known is not None:
        session.refresh(known)
    return known


def _join(session: Session, site: Site, arrival: Arrival, known: InstanceRow | None) -> None:
    """An instance that is new to its study: it joins the open image revision, opens the next, or is rejected already.

    Only one that a model consumes is a late one; reformats that no model reads make no revision.
    """
    instance, at = arrival.instance, arrival.at
    header = instance.header
    found = session.get(StudyRow, header.study_instance_uid, populate_existing=True)
    row = found or _new(session, site, header, at, arrival.source)
    rejected = rejections.rejected_before(session, header)
    if not rejected:
        count(session, row, arrival)
    elif found is None:
        rejections.came_rejected(row, rejected)
    stored = known or InstanceRow(
        sop_instance_uid=header.sop_instance_uid, study_uid="", series_uid="", sha256="", path="", size=0,
        consumed=False, image_revision=0, header="", received_at=at,
    )  # fmt: skip
    _fill(stored, arrival)
    stored.image_revision, stored.received_at = row.image_revision, at
    stored.rejected, stored.left_revision = rejected, row.image_revision if rejected else None
    session.add(row)
    session.add(stored)
    session.flush()
    if rejected:
        return
    back = rejections.emptied(row)
    if back or (found is not None and row.instances == 1):  # what left says nothing of what comes now
        attribution.gathered_again(session, row, site, at)
    else:
        attribution.joined(session, row, header, site, at)
    if back and arrival.consumed and not holds.is_asked(session, row.uid):
        row.stopped = ""
        session.add(row)


def count(session: Session, row: StudyRow, arrival: Arrival) -> None:
    """One more instance of a study: the revision that it belongs to is open from now on, if a model reads it."""
    came_by_itself(session, row, arrival)
    event = Event.LATE_INSTANCE if arrival.consumed else Event.UNREAD_INSTANCE
    if lifecycle.row(event).does(Effect.RUN_AGAIN):
        open_revision(session, row, "late instance", arrival.at)
    row.instances += 1
    row.consumed_instances += arrival.consumed
    row.last_instance_at = arrival.at


def _new(session: Session, site: Site, header: InstanceHeader, at: datetime, source: str) -> StudyRow:
    row = StudyRow(
        uid=header.study_instance_uid,
        public_id=str(uuid.uuid4()),
        source=source,
        image_revision=1,
        match_revision=1,
        analysis_run=1,
        revision_open=True,
        revision_opened_at=at,
        purpose=Purpose.PRIOR.value if _fetched_as_prior(session, header.study_instance_uid, at) else "",
        first_instance_at=at,
        last_instance_at=at,
    )
    attribution.write(row, attribution.gathered(attribution.Whose(), (Stated.of(header),), site))
    timeline.write(session, at, "receive", "first instance", study_uid=row.uid, detail=(f"by {source}",))
    return row


def _fill(row: InstanceRow, arrival: Arrival) -> None:
    for name, value in columns(arrival).items():
        setattr(row, name, value)


def columns(arrival: Arrival) -> dict[str, object]:
    """What the row of an instance takes from the instance itself."""
    instance, header = arrival.instance, arrival.instance.header
    return {
        "study_uid": header.study_instance_uid,
        "series_uid": header.series_instance_uid,
        "sha256": instance.sha256,
        "pixels_sha256": instance.pixels_sha256,
        "path": instance.path,
        "size": instance.size,
        "consumed": arrival.consumed,
        "header": dump(InstanceHeader, header),
    }


def _conflict(session: Session, site: Site, known: InstanceRow, arrival: Arrival) -> Added:
    instance, at, uid = arrival.instance, arrival.at, known.study_uid
    key = f"instance-conflict:{known.sop_instance_uid}:{instance.sha256}"
    reason = "an instance came again under its UID with other pixels; the first one is used"
    kind = HoldKind.INSTANCE_CONFLICT
    if not holds.put(session, key, kind, reason, at, study_uid=uid, path=instance.path):
        return Added("duplicate")
    session.add(ConflictingInstanceRow(key=key, body=dump(Waiting, Waiting(arrival, site))))
    timeline.write(session, at, "receive", "conflict", study_uid=uid, detail=(reason,))
    return Added("conflict")


def _is_own(session: Session, header: InstanceHeader) -> bool:
    """Made by this Sightline, or by one whose tables are lost: known by UID, or by what it says of itself."""
    if says_own(header):
        return True
    made = select(OwnInstanceRow.sop_instance_uid).where(
        sa.or_(
            col(OwnInstanceRow.sop_instance_uid) == header.sop_instance_uid,
            col(OwnInstanceRow.series_uid) == header.series_instance_uid,
        )
    )
    return session.exec(made.limit(1)).first() is not None


def says_own(header: InstanceHeader) -> bool:
    """True for an instance that names Sightline as its maker, of a class that Sightline makes."""
    ours = header.sop_class_uid.startswith(_STRUCTURED_REPORTS) or header.sop_class_uid in _PICTURES
    return ours and header.manufacturer == OWN_MANUFACTURER


def _tell_own(session: Session, header: InstanceHeader, at: datetime) -> None:
    """Once per instance: a PACS that forwards everything forwards it again and again."""
    detail = (lifecycle.row(Event.OWN_INSTANCE).title, holds.short_id(header.sop_instance_uid))
    told = select(TimelineRow.id).where(
        TimelineRow.study_uid == header.study_instance_uid,
        TimelineRow.outcome == _OWN,
        col(TimelineRow.detail) == dump(tuple[str, ...], detail),
    )
    if session.exec(told.limit(1)).first() is None:
        timeline.write(session, at, "receive", _OWN, study_uid=header.study_instance_uid, detail=detail)

"""Instances that leave their study: rejected by a note (IHE RAD TF-3 section 4.66, IOCM), or moved to another study.

Nothing is deleted: `left_revision` is the image revision from which an instance does not belong to the study any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from cds.domain import lifecycle
from cds.domain.imaging import InstanceHeader, RejectionNote
from cds.domain.lifecycle import Effect, Event
from cds.store import attribution, timeline
from cds.store.attribution import Site
from cds.store.engine import lock
from cds.store.revisions import open_revision, open_work, reported, run
from cds.store.safety_tables import RejectedInstanceRow
from cds.store.tables import InstanceRow, OwnInstanceRow, StudyRow

_ALL_REJECTED = "all images were rejected"
_ALL_MOVED = "all images came again under another Study Instance UID"
#: What one query names at most.
_AT_ONCE = 1000


def reject(session: Session, site: Site, note: RejectionNote, at: datetime) -> int:
    """Those instances leave the note's study, which runs again without them; answers how many were there.

    Those that did not come yet are rejected when they come. "Data Retention Policy Expired" (113039) does no less than
    the other titles: some archives send it for every deletion, that of a wrong patient's images too.
    """
    uid = note.study_instance_uid
    lock(session, "study", uid)
    named = _without_own(session, note.sop_instance_uids)
    if not named:
        return 0
    rows = _here(session, uid, named)
    leaving = [row for row in rows if not row.rejected]
    _remember(session, note, named, at)
    detail = (f"DCM {note.code}", f"{len(rows)} of {len(named)} named images are here, {len(leaving)} leave")
    timeline.write(session, at, "receive", "rejection note", study_uid=uid, detail=detail)
    study = session.get(StudyRow, uid, populate_existing=True)
    if study is not None and lifecycle.row(Event.REJECTED).does(Effect.DROP_INSTANCES):
        _leave(session, site, study, leaving, code=note.code, at=at)
    return len(rows)


def moved_away(session: Session, site: Site, uid: str, at: datetime, *, consumed: bool) -> None:
    """An instance has left a study for another: after the quiet period it is run again without, at once if empty."""
    study = session.get(StudyRow, uid, populate_existing=True)
    if study is None:
        return
    study.instances -= 1
    study.consumed_instances -= consumed
    if consumed:
        open_revision(session, study, "an instance came again under another Study Instance UID", at)
    session.add(study)
    attribution.gathered_again(session, study, site, at)
    if consumed and study.consumed_instances == 0:
        _empty(session, study, _ALL_MOVED, at)


def rejected_before(session: Session, header: InstanceHeader) -> str:
    """The code of the note that rejected an instance before it came; empty where none did."""
    row = session.get(RejectedInstanceRow, (header.sop_instance_uid, header.study_instance_uid))
    return row.code if row else ""


def came_rejected(study: StudyRow, code: str) -> None:
    """A study whose first image is a rejected one has nothing to run on."""
    study.stopped, study.revision_open = f"{_ALL_REJECTED} (DCM {code})", False


def emptied(study: StudyRow) -> bool:
    """True where nothing was left of a study: an image that comes now begins it anew."""
    return study.stopped.startswith((_ALL_REJECTED, _ALL_MOVED))


def _leave(
    session: Session, site: Site, study: StudyRow, leaving: Sequence[InstanceRow], *, code: str, at: datetime
) -> None:
    """An open revision goes on without them; it runs at once where a report stands, as one that follows does."""
    read = any(row.consumed for row in leaving)
    closed = not study.revision_open
    if read and closed:
        study.image_revision += 1
    _mark(session, study, leaving, code, study.image_revision)
    attribution.gathered_again(session, study, site, at)
    if read and study.consumed_instances == 0:
        _empty(session, study, f"{_ALL_REJECTED} (DCM {code})", at)
    elif read and lifecycle.row(Event.REJECTED).does(Effect.RUN_AGAIN):
        if not closed:
            study.incomplete = ""  # what ran before read them: it does not count any longer
        run(session, study, "images were rejected", at)


def _mark(session: Session, study: StudyRow, leaving: Sequence[InstanceRow], code: str, revision: int) -> None:
    for row in leaving:
        study.instances -= 1
        study.consumed_instances -= row.consumed
        row.rejected, row.left_revision = code, revision
        session.add(row)
    session.add(study)
    session.flush()


def _empty(session: Session, study: StudyRow, reason: str, at: datetime) -> None:
    """Nobody may see what was found; what was reported is taken back at once, what was not needs no work.

    A stop by a person or by a cancelled visit stays: images that come later do not end it.
    """
    if not study.stopped or emptied(study):
        study.stopped = reason
    study.revision_open, study.incomplete = False, ""
    study.decided, study.decided_order_id, study.decided_by = "", None, ""
    session.add(study)
    timeline.write(session, at, "receive", "no image left", study_uid=study.uid, detail=(reason,))
    if reported(session, study.uid):
        open_work(session, study, at, reason)


def _without_own(session: Session, uids: Sequence[str]) -> list[str]:
    """A note about what Sightline itself made says nothing about the images that it was made of."""
    own: set[str] = set()
    for some in _chunks(uids):
        made = select(OwnInstanceRow.sop_instance_uid).where(col(OwnInstanceRow.sop_instance_uid).in_(some))
        own |= set(session.exec(made).all())
    return [uid for uid in uids if uid not in own]


def _here(session: Session, study_uid: str, uids: Sequence[str]) -> list[InstanceRow]:
    rows: list[InstanceRow] = []
    for some in _chunks(uids):
        here = select(InstanceRow).where(
            InstanceRow.study_uid == study_uid, col(InstanceRow.sop_instance_uid).in_(some)
        )
        rows += session.exec(here).all()
    return rows


def _remember(session: Session, note: RejectionNote, uids: Sequence[str], at: datetime) -> None:
    for some in _chunks(uids):
        known = set(
            session.exec(
                select(RejectedInstanceRow.sop_instance_uid).where(
                    RejectedInstanceRow.study_uid == note.study_instance_uid,
                    col(RejectedInstanceRow.sop_instance_uid).in_(some),
                )
            )
        )
        for uid in some:
            if uid not in known:
                study_uid = note.study_instance_uid
                session.add(RejectedInstanceRow(sop_instance_uid=uid, study_uid=study_uid, code=note.code, at=at))


def _chunks(uids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (uids[start : start + _AT_ONCE] for start in range(0, len(uids), _AT_ONCE))

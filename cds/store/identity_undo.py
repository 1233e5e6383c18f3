"""Changes of identity taken back by a person, and their history (SAFETY section 1: all of it can be undone)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, SQLModel, col, select

from cds.domain import lifecycle
from cds.domain.audit import AuditEvent
from cds.domain.hold import HoldKind
from cds.domain.identity import AppliedIdentity, IdentityEvent
from cds.domain.lifecycle import Effect, Event
from cds.errors import Conflict, NotFound
from cds.store import audit, holds, timeline
from cds.store.engine import Database, lock
from cds.store.identity import canonical, members, redraw
from cds.store.identity_changes import PATIENT_CHANGED, VISIT_CANCELLED, Edit, edits_of, stated_of, visit_hold
from cds.store.orders import rematch_all, studies_of
from cds.store.revisions import locked, match_again
from cds.store.safety_tables import FinalReportRow, IdentityChangeRow
from cds.store.tables import HoldRow, OrderRow, PatientIdentifierRow, PatientRow, StatementRow, StudyRow

_TABLES: dict[str, type[SQLModel]] = {
    str(table.__tablename__): table
    for table in (OrderRow, StatementRow, FinalReportRow, PatientIdentifierRow, PatientRow)
}
#: What a later change may not have touched, or the undo would undo that as well.
_OWNED = ("patient_id", "deleted")


def undo(session: Session, change_id: int, by: str, now: datetime) -> None:
    """Take a change back as if it had never been; its studies are matched again.

    NotFound where there is none; Conflict, with the reason, where it was taken back or a later one built on it.
    """
    lock(session, "record")
    row = session.get(IdentityChangeRow, change_id, populate_existing=True)
    if row is None:
        raise NotFound("no such change of identity")
    if row.undone_at is not None:
        raise Conflict(f"this change holds no more: it was ended by {row.undone_by}")
    named = [row.survivor_id, *([row.prior_id] if row.prior_id else [])]
    tree = tuple(dict.fromkeys(one for patient in named for one in members(session, patient)))
    touched = studies_of(session, tree)
    row.undone_at, row.undone_by = now, by
    session.add(row)
    session.flush()
    outcome = _UNDO[IdentityEvent(row.event)](session, row, tree, now)
    for patient in dict.fromkeys(named):
        timeline.write(session, now, "identity", outcome, patient_id=patient, detail=(f"change {row.id} undone",))
    detail = (f"change {row.id} ({row.trigger})", outcome)
    audit.append(session, AuditEvent(now, by, f"{row.event} undone", patient_id=row.survivor_id, detail=detail))
    matched_by_itself = row.event == IdentityEvent.CANCEL_VISIT.value
    if lifecycle.row(Event.PATIENT_CHANGED).does(Effect.MATCH_AGAIN) and not matched_by_itself:
        rematch_all(session, touched | studies_of(session, tree), PATIENT_CHANGED, now)


def history(database: Database, patient_id: str | None = None) -> Sequence[AppliedIdentity]:
    """The changes of identity, oldest first: all, or those that name a patient or anybody who is one with her."""
    with database.reading() as session:
        asked = select(IdentityChangeRow).order_by(col(IdentityChangeRow.id))
        if patient_id is not None:
            ids = members(session, patient_id)
            asked = asked.where(
                sa.or_(col(IdentityChangeRow.survivor_id).in_(ids), col(IdentityChangeRow.prior_id).in_(ids))
            )
        return [_applied(row) for row in session.exec(asked)]


def _divide(session: Session, row: IdentityChangeRow, tree: Sequence[str], _now: datetime) -> str:
    redraw(session, tree)
    one = canonical(session, row.survivor_id) == canonical(session, row.prior_id or row.survivor_id)
    return "still one by other merges" if one else "two again"


def _link_again(session: Session, row: IdentityChangeRow, tree: Sequence[str], _now: datetime) -> str:
    for edit in edits_of(row):
        union = session.get_one(IdentityChangeRow, edit.id[0])
        union.undone_at, union.undone_by = None, ""
        session.add(union)
    session.flush()
    redraw(session, tree)
    return "one again"


def _put_back(session: Session, row: IdentityChangeRow, _tree: Sequence[str], _now: datetime) -> str:
    """Newest edit first; a row that somebody else has taken since stays, and so does everything with it."""
    for edit in reversed(edits_of(row)):
        _restore(session, edit)
    return "put back"


def _restore(session: Session, edit: Edit) -> None:
    key = edit.id[0] if len(edit.id) == 1 else edit.id
    row = session.get(_TABLES[edit.table], key, populate_existing=True)
    if row is None or any(getattr(row, name) != edit.after[name] for name in _OWNED if name in edit.after):
        raise Conflict("a later change built on this one: undo that first")
    for name, value in edit.before.items():
        if getattr(row, name) == edit.after[name]:
            setattr(row, name, value)
    session.add(row)
    session.flush()


def _take_place(session: Session, row: IdentityChangeRow, _tree: Sequence[str], now: datetime) -> str:
    """The visit did take place: what its cancel alone stopped is again as it was, and is matched again."""
    for edit in edits_of(row):
        uid = str(edit.id[0])
        study = locked(session, uid)
        hold = session.get(HoldRow, visit_hold(uid, row))
        if hold is None or hold.resolved_at is not None:
            continue  # a person has decided since
        hold.resolved_at, hold.resolution, hold.resolved_by = now, "the cancel was undone", row.undone_by
        session.add(hold)
        session.flush()
        if study.stopped == VISIT_CANCELLED and not holds.waits(session, HoldKind.VISIT_CANCELLED, uid):
            _give_back(session, study, edit)
            match_again(session, study, "the cancel of its visit was undone", now)
    return "the visit took place"


def _give_back(session: Session, study: StudyRow, edit: Edit) -> None:
    """An earlier stop, and what a person said; not against images that contradict what they stated then."""
    study.stopped = edit.before["stopped"]
    now = stated_of(study)
    same = edit.after["contradiction"] == now["contradiction"]
    if same and all(now[name] == stated for name, stated in edit.after.items() if stated):
        study.decided, study.decided_by = edit.before["decided"], edit.before["decided_by"]
        study.decided_order_id = edit.before["decided_order_id"] or None
    session.add(study)


_UNDO: dict[IdentityEvent, Callable[[Session, IdentityChangeRow, Sequence[str], datetime], str]] = {
    IdentityEvent.MERGE: _divide,
    IdentityEvent.LINK: _divide,
    IdentityEvent.UNLINK: _link_again,
    IdentityEvent.MOVE: _put_back,
    IdentityEvent.CANCEL_VISIT: _take_place,
    IdentityEvent.DELETE: _put_back,
}


def _applied(row: IdentityChangeRow) -> AppliedIdentity:
    return AppliedIdentity(
        id=row.id or 0,
        event=IdentityEvent(row.event),
        trigger=row.trigger,
        at=row.at,
        survivor_id=row.survivor_id,
        prior_id=row.prior_id,
        message_id=row.message_id,
        by=row.actor,
        undone_at=row.undone_at,
        undone_by=row.undone_by,
    )

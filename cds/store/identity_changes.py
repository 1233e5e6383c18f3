"""Changes of identity as messages state them: applied in the record's transaction, each kept so that it can be undone.

`moved` of a change says what it edited: rows that belong to another patient now, and what stood there before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlmodel import Session, SQLModel, col, select

from cds.domain import lifecycle
from cds.domain.audit import AuditEvent
from cds.domain.hold import HoldKind
from cds.domain.identity import IdentityChange, IdentityEvent
from cds.domain.lifecycle import Effect, Event
from cds.domain.verification import FinalReport
from cds.store import audit, holds, patients, timeline
from cds.store.identity import canonical, members, patient_row, redraw
from cds.store.orders import images_of, key, order_of, studies_of
from cds.store.revisions import locked, stop
from cds.store.safety_tables import FinalReportRow, IdentityChangeRow
from cds.store.tables import OrderRow, PatientIdentifierRow, PatientRow, StatementRow, StudyRow
from cds.store.values import dump, parse

#: The reason of every match revision that a change of identity makes.
PATIENT_CHANGED = "who the patient is has changed after the images came"
VISIT_CANCELLED = "the visit of the order was cancelled after the images came"
#: What a stop forgets, and an undo gives back.
STOP = ("stopped", "decided", "decided_order_id", "decided_by")
_STATED = (
    "patient_value", "patient_assigner", "accession_number", "accession_issuer", "birth_date", "sex", "contradiction",
)  # fmt: skip
_UNITING = (IdentityEvent.MERGE.value, IdentityEvent.LINK.value)


@dataclass(frozen=True, slots=True)
class Cause:
    """Who makes a change: a sender by a message, or a person."""

    actor: str
    message_id: int | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """One row that a change edited: its table, its primary key, and the columns before and after."""

    table: str
    id: tuple[str | int, ...]
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Done:
    outcome: str
    edits: tuple[Edit, ...] = ()


_Edits = tuple[Edit, ...]


def edits_of(row: IdentityChangeRow) -> _Edits:
    """What a change edited."""
    edits: _Edits = parse(_Edits, row.moved)
    return edits


def uniting(session: Session, one: str, other: str) -> list[IdentityChangeRow]:
    """The merges and links that hold and name just these two patients, whichever of them survives."""
    pairs = sa.or_(
        sa.and_(col(IdentityChangeRow.prior_id) == one, col(IdentityChangeRow.survivor_id) == other),
        sa.and_(col(IdentityChangeRow.prior_id) == other, col(IdentityChangeRow.survivor_id) == one),
    )
    holding = col(IdentityChangeRow.undone_at).is_(None)
    rows = select(IdentityChangeRow).where(col(IdentityChangeRow.event).in_(_UNITING), holding, pairs)
    return list(session.exec(rows.order_by(col(IdentityChangeRow.id))))


def doubt(session: Session, change: IdentityChange) -> str:
    """Why a person has to look at a change before it is applied; empty where it is clear."""
    if len(patients.owners(session, change.survivor)) > 1:
        return "the identifiers of the patient who is kept (PID-3) belong to more than one patient"
    if change.event is IdentityEvent.MOVE and change.account is None and change.visit is None:
        return ""
    if len(patients.owners(session, change.prior)) > 1:
        return "the identifiers of the prior patient (MRG-1) belong to more than one patient"
    return _unlink_doubt(session, change) if change.event is IdentityEvent.UNLINK else ""


def apply(session: Session, change: IdentityChange, cause: Cause, now: datetime) -> set[str]:
    """Apply one change with its row, its timeline and audit lines; answers the studies to match again."""
    survivor, _ = patients.named(session, change.survivor, now)
    prior = patients.named(session, change.prior, now)[0] if change.prior else None
    named = (survivor,) if prior is None else (survivor, prior)
    touched = studies_of(session, [one for patient in named for one in members(session, patient)])
    row = IdentityChangeRow(
        event=change.event.value, trigger=change.trigger, at=now, survivor_id=survivor, prior_id=prior,
        message_id=cause.message_id, actor=cause.actor,
    )  # fmt: skip
    session.add(row)
    session.flush()
    done = _APPLY[change.event](session, row, change, now)
    row.moved = dump(_Edits, done.edits)
    session.add(row)
    detail = (f"change {row.id} ({change.trigger})",)
    for patient in dict.fromkeys(named):
        timeline.write(session, now, "identity", done.outcome, patient_id=patient, detail=detail)
    event = AuditEvent(now, cause.actor, change.event.value, patient_id=survivor, detail=(*detail, done.outcome))
    audit.append(session, event)
    session.flush()
    if not done.edits or change.event is IdentityEvent.CANCEL_VISIT:  # stopping a study matches it again itself
        return set()
    return touched if lifecycle.row(Event.PATIENT_CHANGED).does(Effect.MATCH_AGAIN) else set()


def revive(session: Session, patient_id: str, sender: str, now: datetime) -> bool:
    """The sender who deleted a record registers it again: it holds again. False where nothing was deleted."""
    owner = canonical(session, patient_id)
    root = patient_row(session, owner) or session.get_one(PatientRow, owner)
    if not root.deleted:
        return False
    rows = session.exec(
        select(IdentityChangeRow).where(
            IdentityChangeRow.event == IdentityEvent.DELETE.value,
            IdentityChangeRow.actor == sender,
            IdentityChangeRow.survivor_id == root.id,
            col(IdentityChangeRow.undone_at).is_(None),
        )
    ).all()
    if not rows:
        return False
    for row in rows:
        row.undone_at, row.undone_by = now, sender
        session.add(row)
    root.deleted = ""
    session.add(root)
    timeline.write(session, now, "identity", "registered again by who deleted it", patient_id=root.id)
    audit.append(session, AuditEvent(now, sender, "registered again", patient_id=root.id))
    session.flush()
    return True


def _unite(session: Session, row: IdentityChangeRow, change: IdentityChange, _now: datetime) -> _Done:
    prior, survivor = canonical(session, row.prior_id or row.survivor_id), canonical(session, row.survivor_id)
    if prior == survivor:
        return _Done("already one")
    patient = session.get_one(PatientRow, prior)
    edit = _edit(session, patient, (prior,), merged_into=survivor)
    return _Done("merged" if change.event is IdentityEvent.MERGE else "linked", (edit,))


def _unlink(session: Session, row: IdentityChangeRow, _change: IdentityChange, now: datetime) -> _Done:
    one, other = row.survivor_id, row.prior_id or row.survivor_id
    tree = {*members(session, one), *members(session, other)}
    cut = uniting(session, one, other)
    for union in cut:
        union.undone_at, union.undone_by = now, f"change {row.id}"
        session.add(union)
    session.flush()
    redraw(session, tree)
    together = canonical(session, one) == canonical(session, other)
    outcome = "still one by other merges" if together else "unlinked" if cut else "nothing to unlink"
    return _Done(outcome, tuple(Edit("identity_change", (union.id,)) for union in cut if union.id is not None))


def _move(session: Session, row: IdentityChangeRow, change: IdentityChange, _now: datetime) -> _Done:
    moving = _identifiers if change.account is None and change.visit is None else _filed
    edits = tuple(edit for edit in moving(session, row, change) if edit.before != edit.after)
    return _Done("moved" if edits else "nothing to move", edits)


def _filed(session: Session, row: IdentityChangeRow, change: IdentityChange) -> Iterator[Edit]:
    """What is filed under an account or a visit of the prior patient, and the radiology reports of its orders."""
    tree = members(session, row.prior_id or row.survivor_id)
    within = row.survivor_id in tree
    into = {
        name: new for name, new in (("account", key(change.into_account)), ("visit", key(change.into_visit))) if new
    }
    numbers = []
    for order in session.exec(select(OrderRow).where(*_under(OrderRow, tree, change))).all():
        numbers.append(order.accession_number)
        yield _edit(session, order, (order.id,), **into, **({} if within else {"patient_id": row.survivor_id}))
    for said in session.exec(select(StatementRow).where(*_under(StatementRow, tree, change))).all():
        yield _edit(session, said, (said.id or 0,), **into, **({} if within else _to(session, said, row.survivor_id)))
    mine = col(FinalReportRow.patient_id).in_(tree), col(FinalReportRow.accession_number).in_(numbers)
    for report in session.exec(select(FinalReportRow).where(*mine)).all() if not within else ():
        yield _edit(session, report, (report.id,), patient_id=row.survivor_id)


def _identifiers(session: Session, row: IdentityChangeRow, change: IdentityChange) -> Iterator[Edit]:
    """The identifiers, and what is filed under them.

    Statements do not say under which identifier they came: they move where their patient has no identifier left.
    """
    moved = set(change.prior)
    leaves = {one for identifier in change.prior if (one := patients.leaf(session, identifier)) is not None}
    for identifier in change.prior:
        holder = session.get_one(PatientIdentifierRow, (identifier.value, identifier.assigner))
        yield _edit(session, holder, (holder.value, holder.assigner), patient_id=row.survivor_id)
    for order in session.exec(select(OrderRow).where(col(OrderRow.patient_id).in_(leaves))).all():
        if order_of(order).patient in moved:
            yield _edit(session, order, (order.id,), patient_id=row.survivor_id)
    for report in session.exec(select(FinalReportRow).where(col(FinalReportRow.patient_id).in_(leaves))).all():
        if parse(FinalReport, report.body).patient in moved:
            yield _edit(session, report, (report.id,), patient_id=row.survivor_id)
    named = session.exec(
        select(PatientIdentifierRow.patient_id).where(col(PatientIdentifierRow.patient_id).in_(leaves))
    ).all()
    nameless = leaves - set(named)
    for statement in session.exec(select(StatementRow).where(col(StatementRow.patient_id).in_(nameless))).all():
        yield _edit(session, statement, (statement.id or 0,), **_to(session, statement, row.survivor_id))


def _cancel_visit(session: Session, row: IdentityChangeRow, change: IdentityChange, now: datetime) -> _Done:
    """Studies of orders of the visit wait for a person; an order without images waits for its own cancel."""
    if change.visit is None:
        return _Done("a visit without a number was cancelled: nothing is stopped")
    tree = members(session, row.survivor_id)
    rows = session.exec(
        select(OrderRow).where(col(OrderRow.patient_id).in_(tree), OrderRow.visit == key(change.visit))
    ).all()
    stopped: dict[str, None] = {}
    for order in rows:
        timeline.write(session, now, "order", "its visit was cancelled", order_id=order.id)
        stopped |= dict.fromkeys(images_of(session, order_of(order)))
    stopped |= dict.fromkeys(_attached_before(session, {order.id for order in rows}))
    edits = []
    for uid in stopped:
        edits.append(_before_the_stop(session, uid))
        stop(session, uid, VISIT_CANCELLED, now)
        hold = visit_hold(uid, row)
        holds.put(session, hold, HoldKind.VISIT_CANCELLED, VISIT_CANCELLED, now, study_uid=uid)
    return _Done("the visit was cancelled", tuple(edits))


def visit_hold(uid: str, row: IdentityChangeRow) -> str:
    """The key of what a study waits for since the cancel of its visit."""
    return f"visit-cancelled:{uid}:{row.id}"


def stated_of(study: StudyRow) -> dict[str, str]:
    """What the images of a study said of whose they are."""
    return {name: str(getattr(study, name) or "") for name in _STATED}


def _before_the_stop(session: Session, uid: str) -> Edit:
    """What a person had said of a study, or what stopped it, and what its images stated then.

    A visit that is cancelled twice stops its studies once: what was before the first cancel is what counts.
    """
    study = locked(session, uid)
    before = {name: getattr(study, name) or "" for name in STOP}
    edit = Edit("study", (uid,), before, stated_of(study))
    if study.stopped != VISIT_CANCELLED:
        return edit
    return next((earlier for earlier in _stopped_by_cancels(session) if earlier.id == edit.id), edit)


def _stopped_by_cancels(session: Session) -> Iterator[Edit]:
    """The studies that cancels of visits, which hold, have stopped; the newest cancel first."""
    cancels = select(IdentityChangeRow).where(
        IdentityChangeRow.event == IdentityEvent.CANCEL_VISIT.value, col(IdentityChangeRow.undone_at).is_(None)
    )
    for row in session.exec(cancels.order_by(col(IdentityChangeRow.id).desc())):
        yield from edits_of(row)


def _attached_before(session: Session, orders: Collection[str]) -> Iterator[str]:
    """The studies that a person had attached to one of these orders, until a cancel stopped them."""
    for edit in _stopped_by_cancels(session):
        if edit.before["decided_order_id"] in orders:
            study = session.get(StudyRow, edit.id[0])
            if study is not None and study.stopped == VISIT_CANCELLED:
                yield study.uid


def _delete(session: Session, row: IdentityChangeRow, change: IdentityChange, _now: datetime) -> _Done:
    """The record that is named; of a merged one its survivor keeps everything."""
    if canonical(session, row.survivor_id) != row.survivor_id:
        return _Done("a merged record was deleted: its survivor holds")
    patient = session.get_one(PatientRow, row.survivor_id)
    edit = _edit(session, patient, (patient.id,), deleted=f"the patient's record was deleted ({change.trigger})")
    return _Done("deleted", (edit,))


_APPLY: dict[IdentityEvent, Callable[[Session, IdentityChangeRow, IdentityChange, datetime], _Done]] = {
    IdentityEvent.MERGE: _unite,
    IdentityEvent.LINK: _unite,
    IdentityEvent.UNLINK: _unlink,
    IdentityEvent.MOVE: _move,
    IdentityEvent.CANCEL_VISIT: _cancel_visit,
    IdentityEvent.DELETE: _delete,
}


def _unlink_doubt(session: Session, change: IdentityChange) -> str:
    """An unlink of two who are one here for another reason than a link of theirs cannot be applied."""
    one, other = patients.known(session, change.survivor), patients.known(session, change.prior)
    if one is None or other is None or canonical(session, one) != canonical(session, other):
        return ""
    if one == other:
        return "both identifiers are of one record, which no link made: nothing can be unlinked"
    if uniting(session, one, other):
        return ""
    return "the two patients are one by other merges or links than their own: undo one of those"


def _under(
    table: type[OrderRow] | type[StatementRow], tree: tuple[str, ...], change: IdentityChange
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The rows of these patients that are filed under the account or the visit of a change."""
    column, number = (table.account, change.account) if change.account else (table.visit, change.visit)
    return col(table.patient_id).in_(tree), col(column) == key(number)


def _to(session: Session, said: StatementRow, patient_id: str) -> dict[str, str]:
    """A statement's new patient; a key that this patient already has becomes one of the statement's own."""
    same = session.exec(
        select(StatementRow.id).where(
            StatementRow.patient_id == patient_id, StatementRow.source == said.source, StatementRow.key == said.key
        )
    ).first()
    return {"patient_id": patient_id, "key": said.key if same is None else f"{said.key}|{said.id}"}


def _edit(session: Session, row: SQLModel, row_id: tuple[str | int, ...], **after: str) -> Edit:
    before = {name: getattr(row, name) or "" for name in after}
    for name, value in after.items():
        setattr(row, name, value)
    session.add(row)
    session.flush()
    return Edit(str(type(row).__tablename__), row_id, before, dict(after))

"""What waits for a person: written in the transaction of its cause, once per cause."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from cds.domain.audit import AuditEvent
from cds.domain.hold import Hold, HoldKind
from cds.errors import Conflict, NotFound
from cds.store import audit, timeline
from cds.store.engine import Database, lock
from cds.store.tables import HoldRow


class HoldStore:
    """What people ask of the holds, and who took one; `cds.store.decisions` resolves them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self) -> Sequence[Hold]:
        """Everything that nobody has resolved yet, oldest first."""
        return open_holds(self._database)

    def all(self) -> Sequence[Hold]:
        """What waits and what was resolved, oldest first."""
        with self._database.reading() as session:
            return [told(row) for row in session.exec(select(HoldRow).order_by(col(HoldRow.created_at)))]

    def find(self, short: str) -> Hold:
        """The hold whose id begins so; raise NotFound, or Conflict where several do."""
        with self._database.reading() as session:
            return told(find(session, short))

    def take(self, short: str, by: str, now: datetime) -> Hold:
        """Make somebody its owner, whoever owned it before; raise Conflict where it is resolved already."""
        with self._database.writing() as session:
            row = claimed(session, short)
            row.owner = by
            session.add(row)
            timeline.write(session, now, "hold", "taken", study_uid=row.study_uid, work_id=row.work_id, detail=(by,))
            audit.append(session, AuditEvent(now, by, "hold taken", row.study_uid, detail=(row.id, row.kind)))
            return told(row)


def find(session: Session, short: str) -> HoldRow:
    """The row whose id begins so, one that waits before one that is resolved; raise NotFound or Conflict."""
    digits = short.strip().lower()
    if not digits or not digits.isalnum():
        raise NotFound("want the id of a held item, or how it begins: cds holds list shows them")
    rows = session.exec(
        select(HoldRow).where(col(HoldRow.id).startswith(digits)).order_by(col(HoldRow.created_at))
    ).all()
    found = [row for row in rows if row.resolved_at is None] or rows
    if not found:
        raise NotFound("nothing that waits has this id: cds holds list shows what does")
    if len(found) > 1:
        ids = ", ".join(sorted(row.id for row in found))
        raise Conflict(f"several held items begin so: {ids}; give more of the id")
    return found[0]


def claimed(session: Session, short: str) -> HoldRow:
    """The row as it is now, with nobody else deciding it until the transaction ends; raise Conflict if resolved.

    One decision may end several holds of a study, hence its lock; a conflict's own decision takes it after another.
    """
    row = find(session, short)
    if row.study_uid and row.kind != HoldKind.INSTANCE_CONFLICT:
        lock(session, "study", row.study_uid)
    lock(session, "hold", row.key)
    session.refresh(row)
    if row.resolved_at is not None:
        raise Conflict(f"this was resolved already: {_resolution(row)}")
    return row


def put(
    session: Session,
    key: str,
    kind: HoldKind,
    reason: str,
    now: datetime,
    *,
    study_uid: str | None = None,
    work_id: str | None = None,
    delivery_id: str | None = None,
    message_id: int | None = None,
    path: str = "",
) -> bool:
    """Hold something for a person; answers False where the same cause waits, or was decided, already."""
    if session.get(HoldRow, key) is not None:
        return False
    session.add(
        HoldRow(
            key=key,
            id=short_id(key),
            kind=kind.value,
            reason=reason,
            study_uid=study_uid,
            work_id=work_id,
            delivery_id=delivery_id,
            message_id=message_id,
            path=path,
            created_at=now,
        )
    )
    return True


def end(session: Session, kind: HoldKind, study_uid: str, now: datetime, resolution: str, *, by: str = "") -> None:
    """Resolve what is open of a kind about a study."""
    rows = session.exec(
        select(HoldRow).where(
            HoldRow.study_uid == study_uid, HoldRow.kind == kind.value, col(HoldRow.resolved_at).is_(None)
        )
    ).all()
    for row in rows:
        row.resolved_at, row.resolution, row.resolved_by = now, resolution, by
        session.add(row)


#: Somebody decides already whose images these are.
_ASKED = (HoldKind.STUDY_IDENTITY, HoldKind.WRONG_PATIENT, HoldKind.VISIT_CANCELLED)


def renewed(session: Session, kind: HoldKind, study_uid: str, reason: str, work_id: str) -> bool:
    """Where a study waits for this already, it waits for the newest reason; answers whether it did."""
    row = session.exec(
        select(HoldRow)
        .where(HoldRow.study_uid == study_uid, HoldRow.kind == kind.value, col(HoldRow.resolved_at).is_(None))
        .limit(1)
    ).first()
    if row is None:
        return False
    row.reason, row.work_id = reason, work_id
    session.add(row)
    return True


def waits(session: Session, kind: HoldKind, study_uid: str) -> bool:
    """True where something of this kind about a study waits for a person."""
    return _waiting(session, study_uid, (kind,))


def is_asked(session: Session, study_uid: str) -> bool:
    """True where a person is asked already whose the images of a study are."""
    return _waiting(session, study_uid, _ASKED)


def _waiting(session: Session, study_uid: str, kinds: Sequence[HoldKind]) -> bool:
    waiting = select(HoldRow.key).where(
        HoldRow.study_uid == study_uid,
        col(HoldRow.kind).in_([kind.value for kind in kinds]),
        col(HoldRow.resolved_at).is_(None),
    )
    return session.exec(waiting.limit(1)).first() is not None


def open_holds(database: Database) -> Sequence[Hold]:
    """Everything that nobody has resolved yet, oldest first."""
    with database.reading() as session:
        rows = session.exec(
            select(HoldRow).where(col(HoldRow.resolved_at).is_(None)).order_by(col(HoldRow.created_at))
        ).all()
    return [told(row) for row in rows]


def told(row: HoldRow) -> Hold:
    """A hold for the reader."""
    return Hold(
        id=row.id,
        kind=HoldKind(row.kind),
        reason=row.reason,
        created_at=row.created_at,
        owner=row.owner,
        study_instance_uid=row.study_uid,
        work_id=row.work_id,
        delivery_id=row.delivery_id,
        message_id=row.message_id,
        path=row.path,
        resolved_at=row.resolved_at,
        resolution=_resolution(row),
    )


def short_id(key: str) -> str:
    """Eight hexadecimal digits, the same for the same cause."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def _resolution(row: HoldRow) -> str:
    """What was done and by whom; nobody is named where the doubt was gone by itself."""
    return f"{row.resolution}, by {row.resolved_by}" if row.resolved_by else row.resolution

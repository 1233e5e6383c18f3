"""Storage commitment (PS3.4 annex J): what a PACS promised to keep. Implements `cds.ports.Commitments`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from cds.domain.hold import HoldKind
from cds.domain.report import DeliveryState
from cds.store import holds, timeline
from cds.store.engine import Database, lock
from cds.store.retrieval_tables import CommitmentRow
from cds.store.tables import DeliveryRow, HoldRow
from cds.store.values import dump, parse

_ASKED, _COMMITTED, _FAILED = "asked", "committed", "failed"
_UIDs = tuple[str, ...]
_STEP = "storage commitment"
_SILENT = "the PACS did not answer whether it keeps what it was sent"


@dataclass(frozen=True, slots=True)
class Overdue:
    """A commitment that was asked for and not answered."""

    transaction_uid: str
    delivery_id: str
    asked_at: datetime


class CommitmentStore:
    """The commitments of all deliveries. Every method may be called again with the same arguments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def asked(self, transaction_uid: str, delivery_id: str, sop_instance_uids: Sequence[str], now: datetime) -> None:
        """See the port."""
        with self._database.writing() as session:
            if _locked(session, transaction_uid) is not None:
                return
            session.add(
                CommitmentRow(
                    transaction_uid=transaction_uid,
                    delivery_id=delivery_id,
                    body=dump(_UIDs, tuple(sop_instance_uids)),
                    state=_ASKED,
                    asked_at=now,
                )
            )
            _tell(session, session.get(DeliveryRow, delivery_id), "asked", now, f"{len(sop_instance_uids)} instances")

    def answered(
        self, transaction_uid: str, committed: Sequence[str], failed: Sequence[tuple[str, str]], now: datetime
    ) -> bool:
        """See the port. What the answer leaves out is not promised. The first answer counts, however late."""
        with self._database.writing() as session:
            row = _locked(session, transaction_uid)
            if row is None:
                return False
            if row.state == _ASKED or row.reason == _SILENT:
                _end(session, row, _broken(parse(_UIDs, row.body), committed, failed), now)
            return True

    def unanswered(self, transaction_uid: str, now: datetime) -> None:
        """No answer is waited for any longer: held for a person."""
        with self._database.writing() as session:
            row = _locked(session, transaction_uid)
            if row is not None and row.state == _ASKED:
                _end(session, row, _SILENT, now)

    def overdue(self, now: datetime, after: timedelta) -> Sequence[Overdue]:
        """What was asked that long ago, or longer, and not answered; oldest first."""
        with self._database.reading() as session:
            waiting = select(CommitmentRow).where(
                CommitmentRow.state == _ASKED, col(CommitmentRow.asked_at) <= now - after
            )
            rows = session.exec(waiting.order_by(col(CommitmentRow.asked_at)))
            return [Overdue(row.transaction_uid, row.delivery_id, row.asked_at) for row in rows]


def words(session: Session, delivery_id: str) -> str:
    """What the newest answer about a delivery says, for its acknowledgment; empty where none came yet.

    An answer may come before the sender has noted that the delivery was sent.
    """
    newest = select(CommitmentRow).where(
        CommitmentRow.delivery_id == delivery_id, col(CommitmentRow.answered_at).is_not(None)
    )
    row = session.exec(newest.order_by(col(CommitmentRow.asked_at).desc()).limit(1)).first()
    return _words(row) if row is not None else ""


def _words(row: CommitmentRow) -> str:
    return row.reason or "stored for good"


def _locked(session: Session, transaction_uid: str) -> CommitmentRow | None:
    lock(session, "commitment", transaction_uid)
    return session.get(CommitmentRow, transaction_uid, populate_existing=True)


def _broken(asked: Collection[str], committed: Collection[str], failed: Sequence[tuple[str, str]]) -> str:
    """Why not everything is promised, in counts of reasons; empty where it is."""
    kept, reasons = set(committed), dict(failed)
    why = Counter(reasons.get(uid, "the answer does not name it") for uid in asked if uid in reasons or uid not in kept)
    if not why:
        return ""
    told = "; ".join(f"{count} x {reason}" for reason, count in sorted(why.items()))
    return f"the PACS does not keep {why.total()} of {len(asked)} instances: {told}"


def _end(session: Session, row: CommitmentRow, broken: str, now: datetime) -> None:
    was_silent = row.reason == _SILENT
    row.state, row.reason, row.answered_at = _FAILED if broken else _COMMITTED, broken, now
    session.add(row)
    delivery = session.get(DeliveryRow, row.delivery_id, populate_existing=True, with_for_update=True)
    if delivery is not None and delivery.state != DeliveryState.PENDING.value:  # else it is told when that ends
        delivery.acknowledgment = f"{delivery.acknowledgment}; {_words(row)}"
        session.add(delivery)
    _tell(session, delivery, row.state, now, broken)
    if not broken:
        _let_go(session, HoldRow.delivery_id == row.delivery_id, "the PACS keeps it after all", now)
        return
    if was_silent:
        _let_go(session, HoldRow.key == _silent_key(row), "the PACS has answered", now)
    uid, work = (delivery.study_uid, delivery.work_id or None) if delivery else (None, None)
    key = _silent_key(row) if broken == _SILENT else f"commitment:{row.transaction_uid}"
    kind = HoldKind.COMMITMENT_FAILED
    holds.put(session, key, kind, broken, now, study_uid=uid, work_id=work, delivery_id=row.delivery_id)


def _silent_key(row: CommitmentRow) -> str:
    return f"commitment-silent:{row.transaction_uid}"


def _let_go(session: Session, which: ColumnElement[bool] | bool, resolution: str, now: datetime) -> None:
    """Nobody has to look any more: a later answer about a delivery says what an earlier one, or none, did not."""
    waiting = select(HoldRow).where(
        HoldRow.kind == HoldKind.COMMITMENT_FAILED.value, which, col(HoldRow.resolved_at).is_(None)
    )
    for hold in session.exec(waiting):
        hold.resolved_at, hold.resolution = now, resolution
        session.add(hold)


def _tell(session: Session, delivery: DeliveryRow | None, outcome: str, now: datetime, detail: str) -> None:
    if delivery is None:
        return
    said = tuple(filter(None, (f"destination {delivery.destination}", detail)))
    work = delivery.work_id or None
    timeline.write(session, now, _STEP, outcome, study_uid=delivery.study_uid, work_id=work, detail=said)

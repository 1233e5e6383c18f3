"""Storage commitment (PS3.4 annex J): what a PACS promised to keep. Implements `cds.ports.Commitments`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from cds.domain.hold import HoldKind
from cds.store import holds, timeline
from cds.store.engine import Database, lock
from cds.store.retrieval_tables import CommitmentRow
from cds.store.tables import DeliveryRow, HoldRow
from cds.store.values import dump, parse

_ASKED, _COMMITTED, _FAILED = "asked", "committed", "failed"
_UIDs = tuple[str, ...]
_STEP = "storage commitment"


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
        """See the port. What the answer leaves out is not promised. The first answer counts."""
        with self._database.writing() as session:
            row = _locked(session, transaction_uid)
            if row is None:
                return False
            if row.state == _ASKED:
                _end(session, row, _broken(parse(_UIDs, row.body), committed, failed), now)
            return True

    def unanswered(self, transaction_uid: str, now: datetime) -> None:
        """No answer is waited for any longer: held for a person."""
        with self._database.writing() as session:
            row = _locked(session, transaction_uid)
            if row is not None and row.state == _ASKED:
                _end(session, row, "the PACS did not answer whether it keeps what it was sent", now)

    def overdue(self, now: datetime, after: timedelta) -> Sequence[Overdue]:
        """What was asked that long ago, or longer, and not answered; oldest first."""
        with self._database.reading() as session:
            waiting = select(CommitmentRow).where(
                CommitmentRow.state == _ASKED, col(CommitmentRow.asked_at) <= now - after
            )
            rows = session.exec(waiting.order_by(col(CommitmentRow.asked_at)))
            return [Overdue(row.transaction_uid, row.delivery_id, row.asked_at) for row in rows]


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
    row.state, row.reason, row.answered_at = _FAILED if broken else _COMMITTED, broken, now
    session.add(row)
    delivery = session.get(DeliveryRow, row.delivery_id, populate_existing=True, with_for_update=True)
    if delivery is not None:
        delivery.acknowledgment = f"{delivery.acknowledgment}; {broken or 'stored for good'}"
        session.add(delivery)
    _tell(session, delivery, row.state, now, broken)
    if not broken:
        _let_go(session, row.delivery_id, now)
        return
    uid, work = (delivery.study_uid, delivery.work_id or None) if delivery else (None, None)
    key, kind = f"commitment:{row.transaction_uid}", HoldKind.COMMITMENT_FAILED
    holds.put(session, key, kind, broken, now, study_uid=uid, work_id=work, delivery_id=row.delivery_id)


def _let_go(session: Session, delivery_id: str, now: datetime) -> None:
    """A later answer about the same delivery is a promise: nobody has to look any more."""
    waiting = select(HoldRow).where(
        HoldRow.kind == HoldKind.COMMITMENT_FAILED.value,
        HoldRow.delivery_id == delivery_id,
        col(HoldRow.resolved_at).is_(None),
    )
    for hold in session.exec(waiting):
        hold.resolved_at, hold.resolution = now, "the PACS keeps it after all"
        session.add(hold)


def _tell(session: Session, delivery: DeliveryRow | None, outcome: str, now: datetime, detail: str) -> None:
    if delivery is None:
        return
    said = tuple(filter(None, (f"destination {delivery.destination}", detail)))
    work = delivery.work_id or None
    timeline.write(session, now, _STEP, outcome, study_uid=delivery.study_uid, work_id=work, detail=said)

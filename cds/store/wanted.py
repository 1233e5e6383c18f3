"""What is to be fetched, inside the transaction of whoever wants it: one row for each study, one run for each wish.

A study is locked before the retrievals are, by everybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from cds.domain.hold import HoldKind
from cds.domain.identity import Identifier
from cds.domain.order import ServiceRequest, queue_priority
from cds.domain.retrieval import NOT_KNOWN, Purpose, Retrieval, RetrievalState
from cds.store import holds, timeline
from cds.store.engine import lock
from cds.store.retrieval_tables import RetrievalRow
from cds.store.revisions import own_study
from cds.store.tables import HoldRow, OrderRow, StudyRow
from cds.store.values import parse

_STEP = "fetch"
_LIVE = (RetrievalState.PENDING.value, RetrievalState.RUNNING.value)
_HOLD = "retrieval:"


@dataclass(frozen=True, slots=True)
class Wish:
    """That a study is fetched: see Retrieval. `event` is the key of what announced it; `priority` 0: its orders'."""

    purpose: Purpose
    study_uid: str = ""
    accession: Identifier | None = None
    announced: str = ""
    event: str = ""
    priority: int = 0

    @property
    def key(self) -> str:
        """What the retrieval is known by."""
        return Retrieval(self.study_uid, None if self.study_uid else self.accession).key


def want(session: Session, wish: Wish, now: datetime) -> Retrieval | None:
    """Want a study to be fetched; None where that changes nothing, because this event was answered already.

    A study wanted for itself is no prior any more. What ended begins anew as the next run; what is under way goes on,
    and begins anew at its end where another event announced it meanwhile.
    """
    if wish.study_uid:
        lock(session, "study", wish.study_uid)
    lock(session, "retrievals")
    row = _known(session, wish)
    if wish.purpose is Purpose.STUDY and wish.study_uid:
        _for_itself(session, wish.study_uid, wish, now)
    if row is None:
        row = _new(session, wish, now)
        _tell(session, row, "wanted", now, _why(wish))
        return told(row)
    if wish.event and wish.event == row.event:
        return None
    if wish.purpose is Purpose.PRIOR and row.state == RetrievalState.DONE.value:
        return told(row)
    _wish_again(session, row, wish, now)
    return told(row)


def told(row: RetrievalRow) -> Retrieval:
    """The retrieval of a row."""
    number, issuer = row.accession_number, row.accession_issuer
    by_number = row.key != row.study_uid
    return Retrieval(
        study_instance_uid=row.study_uid,
        accession=Identifier(number, issuer) if by_number else None,
        purpose=Purpose(row.purpose),
        run=row.run,
        source=row.source,
        state=RetrievalState(row.state),
        announced=row.announced,
        reason=row.reason,
        priority=row.priority,
    )


def of_id(session: Session, retrieval_id: str) -> RetrievalRow | None:
    """The row of this run, as it is now; None where there is none, or a later run."""
    lock(session, "retrievals")
    asked = select(RetrievalRow).where(RetrievalRow.id == retrieval_id)
    return session.exec(asked.execution_options(populate_existing=True)).first()


def of_study(session: Session, uid: str) -> RetrievalRow | None:
    """The retrieval of a study, by its UID or, where it began so, by its accession number."""
    rows = session.exec(select(RetrievalRow).where(RetrievalRow.study_uid == uid)).all()
    return min(rows, key=lambda row: row.key != uid, default=None)


def end(session: Session, row: RetrievalRow, state: RetrievalState, reason: str, now: datetime) -> None:
    """A run ends, once. A success ends what waits for a person because of it; so does one that was announced again."""
    if row.state not in _LIVE:
        return
    row.state, row.reason, row.updated_at = state.value, reason, now
    _tell(session, row, "done" if state is RetrievalState.DONE else "failed", now, reason)
    if state is RetrievalState.DONE:
        _let_go(session, row, now)
    elif _asks_a_person(row):
        _hold(session, row, reason, now)
    if row.again:
        row.again = False
        _next_run(row, now)
    session.add(row)


def again_by_person(session: Session, hold_key: str, now: datetime) -> bool:
    """The retrieval that a hold is about begins anew; False where there is none any more."""
    found = select(RetrievalRow).where(col(RetrievalRow.id).startswith(_run_free(hold_key.removeprefix(_HOLD))))
    lock(session, "retrievals")
    row = session.exec(found.execution_options(populate_existing=True)).first()
    if row is None:
        return False
    if row.state not in _LIVE:
        _next_run(row, now)
        session.add(row)
        _tell(session, row, "wanted", now, "a person asked for another run")
    return True


def tell(session: Session, row: RetrievalRow, outcome: str, now: datetime, *detail: str) -> None:
    """A line of the study's timeline."""
    _tell(session, row, outcome, now, *detail)


def _known(session: Session, wish: Wish) -> RetrievalRow | None:
    by_key = session.get(RetrievalRow, wish.key, populate_existing=True)
    if by_key is not None or not wish.study_uid:
        return by_key
    begun = select(RetrievalRow).where(RetrievalRow.study_uid == wish.study_uid)
    return session.exec(begun.execution_options(populate_existing=True)).first()


def _new(session: Session, wish: Wish, now: datetime) -> RetrievalRow:
    first = Retrieval(wish.study_uid, None if wish.study_uid else wish.accession)
    row = RetrievalRow(
        key=first.key,
        id=first.id,
        study_uid=wish.study_uid,
        accession_number=wish.accession.value if wish.accession else "",
        accession_issuer=wish.accession.assigner if wish.accession else "",
        purpose=wish.purpose.value,
        state=RetrievalState.PENDING.value,
        announced=wish.announced,
        event=wish.event,
        priority=wish.priority or priority_of(session, wish.study_uid, wish.accession),
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    session.flush()
    return row


def _wish_again(session: Session, row: RetrievalRow, wish: Wish, now: datetime) -> None:
    if wish.purpose is Purpose.STUDY:
        row.purpose = Purpose.STUDY.value
    row.priority = min(filter(None, (row.priority, wish.priority)), default=row.priority)
    row.announced, row.event = wish.announced or row.announced, wish.event or row.event
    if row.state not in _LIVE:
        _next_run(row, now)
        _tell(session, row, "wanted", now, _why(wish))
    elif row.state == RetrievalState.RUNNING.value and wish.event:
        row.again = True
    session.add(row)


def _next_run(row: RetrievalRow, now: datetime) -> None:
    row.run += 1
    row.state, row.reason, row.updated_at = RetrievalState.PENDING.value, "", now
    row.id = told(row).id


def _for_itself(session: Session, uid: str, wish: Wish, now: datetime) -> None:
    study = session.get(StudyRow, uid, populate_existing=True)
    if study is not None:
        own_study(session, study, "a prior was announced for itself" if wish.announced else "wanted for itself", now)


def priority_of(session: Session, uid: str, accession: Identifier | None) -> int:
    """The queue priority of the orders with this number, or with that of the study."""
    study = session.get(StudyRow, uid) if uid else None
    number = accession.value if accession else study.accession_number if study else ""
    bodies = session.exec(select(OrderRow.body).where(OrderRow.accession_number == number)).all() if number else []
    return queue_priority(order for body in bodies if not (order := parse(ServiceRequest, body)).test)


def _why(wish: Wish) -> str:
    if wish.announced:
        return f"announced by {wish.announced}"
    return "to be compared with" if wish.purpose is Purpose.PRIOR else "to see whether all its images are here"


def _asks_a_person(row: RetrievalRow) -> bool:
    """A prior is done without; so is a study that was sent to us and that no PACS has."""
    return row.purpose == Purpose.STUDY.value and bool(row.announced or not row.reason.startswith(NOT_KNOWN))


def _hold(session: Session, row: RetrievalRow, reason: str, now: datetime) -> None:
    """One item for one study: what waits already waits for the newest reason."""
    waiting = _waiting(session, row)
    for hold in waiting:
        hold.reason = reason
        session.add(hold)
    if not waiting:
        uid = row.study_uid or None
        work = None if uid else row.id  # the only name of a study whose UID nobody has said
        holds.put(session, f"{_HOLD}{row.id}", HoldKind.RETRIEVAL_FAILED, reason, now, study_uid=uid, work_id=work)


def _let_go(session: Session, row: RetrievalRow, now: datetime) -> None:
    for hold in _waiting(session, row):
        hold.resolved_at, hold.resolution = now, "it was fetched after all"
        session.add(hold)


def _waiting(session: Session, row: RetrievalRow) -> list[HoldRow]:
    mine = select(HoldRow).where(
        HoldRow.kind == HoldKind.RETRIEVAL_FAILED.value,
        col(HoldRow.key).startswith(_HOLD + _run_free(row.id)),
        col(HoldRow.resolved_at).is_(None),
    )
    return list(session.exec(mine))


def _run_free(retrieval_id: str) -> str:
    """The part of an id that all runs share, with the dash before the run."""
    return retrieval_id.rpartition("-")[0] + "-"


def _tell(session: Session, row: RetrievalRow, outcome: str, now: datetime, *detail: str) -> None:
    """About the study where its UID is known; about its orders where only their number is."""
    said = tuple(filter(None, (f"run {row.run}", *detail)))
    if row.study_uid:
        timeline.write(session, now, _STEP, outcome, study_uid=row.study_uid, detail=said)
        return
    orders = select(OrderRow.id).where(OrderRow.accession_number == row.accession_number)
    for order_id in session.exec(orders):
        timeline.write(session, now, _STEP, outcome, order_id=order_id, detail=said)

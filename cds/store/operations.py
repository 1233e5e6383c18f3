"""How the installation stands, for the page of operations: alarms, roles, queues, devices, and peers' last answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.finding import Findings, ModelOutcome
from cds.domain.hold import Hold
from cds.domain.report import DeliveryState
from cds.store import holds
from cds.store.engine import Database, lock
from cds.store.fhir_tables import NoticeRow
from cds.store.heartbeats import heard
from cds.store.operations_tables import PeerCheckRow
from cds.store.retrieval_tables import RetrievalRow
from cds.store.safety_tables import AlarmRow
from cds.store.tables import DeliveryRow, HeartbeatRow, HoldRow, MessageOutcomeRow, MessageRow, ModelOutcomeRow, WorkRow
from cds.store.values import parse
from cds.store.watch import see
from cds.ui.operations_values import PEER_LIMIT, Beat, ModelDevice, PeerAnswer, Queue, RaisedAlarm, Standing
from cds.watch import Alarm, Limits, alarms

_LIVE_WORK = ("pending", "enqueued", "running")
_LIVE_RETRIEVAL = ("pending", "enqueued", "running")
#: Newest answers of a model that are looked through for one that says where it ran.
_NEWEST_ANSWERS = 20


def standing(database: Database) -> Standing:
    """What alarms, who lives, what waits and where models ran, all of one moment."""
    with database.reading() as session:
        return Standing(
            alarms=tuple(_alarms(session)),
            beats=tuple(_beats(session)),
            queues=(
                *_grouped(session, "analysis", WorkRow, _LIVE_WORK),
                *_grouped(session, "retrieval", RetrievalRow, _LIVE_RETRIEVAL),
                *_deliveries(session),
                *_notices(session),
                *_held(session),
            ),
            devices=tuple(_devices(session)),
        )


def present(database: Database, limits: Limits, now: datetime) -> tuple[Alarm, ...]:
    """What alarms now, as a worker's look would find it; a role that is not heard is named at once."""
    with database.reading() as session:
        absent = sorted(set(limits.expected_roles) - heard(session, now))
        seen = see(session, missing=dict.fromkeys(absent, datetime.min.replace(tzinfo=now.tzinfo)))
    return alarms(seen, limits, now)


def inbox_queue(inbox: Database, app: Database) -> Queue:
    """Messages that are committed and not applied yet."""
    with app.reading() as session:
        applied = session.exec(select(sa.func.max(MessageOutcomeRow.message_id))).one() or 0
    with inbox.reading() as session:
        waiting = select(sa.func.count(), sa.func.min(MessageRow.received_at)).where(col(MessageRow.id) > applied)
        count, oldest = session.exec(waiting).one()
    return Queue("HL7 inbox", "not applied", count, oldest)


def resolved_holds(database: Database, start: int, limit: int) -> list[Hold]:
    """What was resolved, newest first."""
    query = select(HoldRow).where(col(HoldRow.resolved_at).is_not(None))
    newest = (col(HoldRow.resolved_at).desc(), col(HoldRow.key))
    with database.reading() as session:
        return [holds.told(row) for row in session.exec(query.order_by(*newest).offset(start).limit(limit))]


def waiting_deliveries(database: Database) -> dict[str, int]:
    """Destination → how many deliveries it has not taken yet."""
    with database.reading() as session:
        return {queue.name.removeprefix(_TO): queue.count for queue in _deliveries(session)}


def peer_answers(database: Database) -> dict[str, PeerAnswer]:
    """What the last check of each peer said."""
    with database.reading() as session:
        return {row.name: _answer(row) for row in session.exec(select(PeerCheckRow))}


def ask_peer(database: Database, name: str, by: str, now: datetime) -> bool:
    """Note that a peer is asked; False where it is being asked already, and is not to be asked twice."""
    with database.writing() as session:
        lock(session, "peer", name)
        row = session.get(PeerCheckRow, name)
        if row is not None and row.answered_at is None and now - row.asked_at < PEER_LIMIT:
            return False
        session.merge(PeerCheckRow(name=name, asked_at=now, asked_by=by))
        return True


def keep_answer(database: Database, answer: PeerAnswer) -> None:
    """What a peer answered, unless it was asked again since."""
    with database.writing() as session:
        lock(session, "peer", answer.name)
        row = session.get(PeerCheckRow, answer.name)
        if row is None or row.asked_at != answer.asked_at:
            return
        row.answered_at, row.ok, row.warns = answer.answered_at, answer.ok, answer.warns
        row.detail, row.how_to_fix = answer.detail, answer.how_to_fix
        session.add(row)


_TO = "deliveries to "


def _alarms(session: Session) -> Iterator[RaisedAlarm]:
    rows = session.exec(select(AlarmRow).where(col(AlarmRow.cleared_at).is_(None)).order_by(col(AlarmRow.raised_at)))
    return (RaisedAlarm(row.key, row.text, row.raised_at) for row in rows)


def _beats(session: Session) -> Iterator[Beat]:
    rows = session.exec(select(HeartbeatRow).order_by(col(HeartbeatRow.role), col(HeartbeatRow.name)))
    return (Beat(row.name, row.role, row.at) for row in rows)


def _grouped(
    session: Session, name: str, table: type[WorkRow] | type[RetrievalRow], states: tuple[str, ...]
) -> Iterator[Queue]:
    query = (
        select(table.state, sa.func.count(), sa.func.min(table.created_at))
        .where(col(table.state).in_(states))
        .group_by(col(table.state))
    )
    found = {state: (count, oldest) for state, count, oldest in session.exec(query)}
    return (Queue(name, state, *found[state]) for state in states if state in found)


def _deliveries(session: Session) -> Iterator[Queue]:
    query = (
        select(DeliveryRow.destination, sa.func.count(), sa.func.min(DeliveryRow.created_at))
        .where(DeliveryRow.state == DeliveryState.PENDING.value)
        .group_by(col(DeliveryRow.destination))
        .order_by(col(DeliveryRow.destination))
    )
    return (Queue(f"{_TO}{name}", "pending", count, oldest) for name, count, oldest in session.exec(query))


def _notices(session: Session) -> Iterator[Queue]:
    query = (
        select(NoticeRow.server, sa.func.count(), sa.func.min(NoticeRow.received_at))
        .where(col(NoticeRow.held).is_(False))
        .group_by(col(NoticeRow.server))
    )
    return (Queue(f"news of FHIR {name}", "waiting", count, oldest) for name, count, oldest in session.exec(query))


def _held(session: Session) -> Iterator[Queue]:
    query = (
        select(HoldRow.kind, sa.func.count(), sa.func.min(HoldRow.created_at))
        .where(col(HoldRow.resolved_at).is_(None))
        .group_by(col(HoldRow.kind))
        .order_by(col(HoldRow.kind))
    )
    return (Queue(f"held: {kind}", "waits for a person", count, oldest) for kind, count, oldest in session.exec(query))


def _devices(session: Session) -> Iterator[ModelDevice]:
    """Where each model ran when it last found or measured something; nowhere where it refused all it was given."""
    row = ModelOutcomeRow
    known = select(row.model, row.version).group_by(col(row.model), col(row.version))
    for model, version in session.exec(known.order_by(col(row.model), col(row.version))).all():
        mine = select(row).where(row.model == model, row.version == version)
        newest = session.exec(mine.order_by(col(row.at).desc()).limit(_NEWEST_ANSWERS)).all()
        ran = ((one.at, device) for one in newest if (device := _device(one)))
        at, device = next(ran, (newest[0].at, ""))
        yield ModelDevice(model, version, device, at)


def _device(row: ModelOutcomeRow) -> str:
    outcome: ModelOutcome = parse(ModelOutcome, row.body)
    return outcome.device if isinstance(outcome, Findings) else ""


def _answer(row: PeerCheckRow) -> PeerAnswer:
    return PeerAnswer(
        name=row.name,
        asked_at=row.asked_at,
        asked_by=row.asked_by,
        answered_at=row.answered_at,
        ok=row.ok,
        warns=row.warns,
        detail=row.detail,
        how_to_fix=row.how_to_fix,
    )

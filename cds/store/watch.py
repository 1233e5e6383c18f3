"""Looks at what is silent or stuck, and keeps the alarms: raised once, cleared once, told to people both times."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.audit import AuditEvent
from cds.domain.critical import WAITING, CriticalState
from cds.domain.hold import HoldKind
from cds.domain.report import DeliveryKind, DeliveryState
from cds.domain.switch import SwitchKind
from cds.store import audit, deliveries, fhir_feeds, fhir_notices, fhir_subscriptions, quality
from cds.store.engine import Database, lock
from cds.store.heartbeats import heard
from cds.store.safety_tables import AlarmRow, CriticalResultRow, SwitchRow
from cds.store.tables import DeliveryRow, FeedRow, HoldRow
from cds.watch import Alarm, AlarmKind, Change, Feed, Held, Limits, Seen, Waiting, alarms

#: What is told of a change, and to which destinations: (destination, payload).
Notify = Callable[[Change], Sequence[tuple[str, bytes]]]
_ACTOR = "server"


@dataclass(frozen=True, slots=True)
class Looked:
    """One look: how things stand, what is alarming, and what of it is new or over."""

    seen: Seen
    alarms: tuple[Alarm, ...]
    changes: tuple[Change, ...]


@dataclass(slots=True)
class Watch:
    """One worker's watch. Any number of workers may look: each change is found, and told, once."""

    database: Database
    limits: Limits
    notify: Notify
    #: Since when a role is missed. Only one look at it after another tells a restart from an end.
    _missing: dict[str, datetime] = field(default_factory=dict)

    def look(self, now: datetime) -> Looked:
        """Look, and raise or clear what changed since the last look of anybody; raise Unavailable."""
        with self.database.reading() as session:
            seen = self._seen(session, now)
            found = alarms(seen, self.limits, now)
            if _told(found) == _told(_open(session)):
                return Looked(seen, found, ())
        with self.database.writing() as session:
            lock(session, "alarms")
            seen = self._seen(session, now)
            found = alarms(seen, self.limits, now)
            changes = _keep(session, found, now)
            for change in changes:
                _tell(session, self.notify, change)
            return Looked(seen, found, changes)

    def _seen(self, session: Session, now: datetime) -> Seen:
        alive, raised = heard(session, now), {alarm.key for alarm in _open(session)}
        for role in self.limits.expected_roles:
            if role in alive:
                self._missing.pop(role, None)
            else:  # what another worker has raised is not cleared by one that has just begun to look
                self._missing.setdefault(
                    role, datetime.min.replace(tzinfo=now.tzinfo) if f"role:{role}" in raised else now
                )
        return see(session, missing=self._missing)


def tell_once(database: Database, notify: Notify, key: str, text: str, now: datetime) -> bool:
    """Tell people something that happened, once for each key; False where it was told before."""
    with database.writing() as session:
        lock(session, "alarms")
        if session.get(AlarmRow, key) is not None:
            return False
        notice = Alarm(key, AlarmKind.NOTICE, text)
        session.add(AlarmRow(key=key, kind=notice.kind.value, text=text, raised_at=now, cleared_at=now))
        _tell(session, notify, Change(notice, True, now))
    return True


def _tell(session: Session, notify: Notify, change: Change) -> None:
    action = "alarm cleared" if not change.raised else f"{change.kind} raised"
    detail = (change.alarm.kind.value, change.alarm.text)
    audit.append(session, AuditEvent(change.at, _ACTOR, action, detail=detail))
    for destination, payload in notify(change):
        if change.alarm.key.endswith(f":{destination}"):
            continue  # a channel that is stuck does not tell that it is
        deliveries.enqueue(
            session,
            delivery_id=change.delivery_id(destination),
            destination=destination,
            kind=DeliveryKind.ALERT,
            payload=payload,
            now=change.at,
            subject=change.alarm.key,
        )


def banner(database: Database, limits: Limits, now: datetime) -> tuple[str, ...]:
    """What is alarming now, for the reader of a page or a list; roles that are not heard are named at once."""
    with database.reading() as session:
        absent = set(limits.expected_roles) - heard(session, now)
        seen = see(session, missing=dict.fromkeys(sorted(absent), datetime.min.replace(tzinfo=now.tzinfo)))
    return tuple(alarm.text for alarm in alarms(seen, limits, now))


def feeds(database: Database) -> tuple[Feed, ...]:
    """All that was ever heard, by sender and type of message."""
    with database.reading() as session:
        return _feeds(session)


def see(session: Session, *, missing: dict[str, datetime]) -> Seen:
    """How things stand."""
    off = select(SwitchRow.name).where(SwitchRow.kind == SwitchKind.DESTINATION.value)
    return Seen(
        feeds=_feeds(session),
        waiting=_waiting(session),
        off=frozenset(session.exec(off).all()),
        holds=_holds(session),
        criticals=_criticals(session),
        missing=dict(missing),
        fhir_feeds=tuple(fhir_feeds.read(session)),
        subscriptions=tuple(fhir_subscriptions.read(session)),
        fhir_waiting=fhir_notices.standing(session),
        quality=quality.crossed(session),
    )


def _feeds(session: Session) -> tuple[Feed, ...]:
    rows = session.exec(select(FeedRow).order_by(col(FeedRow.source), col(FeedRow.message_type))).all()
    return tuple(Feed(r.source, r.message_type, r.last_at, r.messages, r.typical_s, r.longest_s) for r in rows)


def _waiting(session: Session) -> tuple[Waiting, ...]:
    """The attempts are the most of any that waits: the one that goes first holds up the others."""
    row = DeliveryRow
    found = session.exec(
        select(row.destination, sa.func.count(), sa.func.min(row.created_at), sa.func.max(row.attempts))
        .where(row.state == DeliveryState.PENDING.value)
        .group_by(col(row.destination))
    ).all()
    return tuple(Waiting(*one) for one in found)


def _holds(session: Session) -> tuple[Held, ...]:
    found = session.exec(
        select(HoldRow.kind, sa.func.count(), sa.func.min(HoldRow.created_at))
        .where(col(HoldRow.resolved_at).is_(None))
        .group_by(col(HoldRow.kind))
    ).all()
    return tuple(Held(HoldKind(kind), count, oldest_at) for kind, count, oldest_at in found)


def _criticals(session: Session) -> dict[CriticalState, int]:
    waiting = [state.value for state in WAITING]
    found = session.exec(
        select(CriticalResultRow.state, sa.func.count())
        .where(col(CriticalResultRow.state).in_(waiting))
        .group_by(col(CriticalResultRow.state))
    ).all()
    return {CriticalState(state): count for state, count in found}


def _open(session: Session) -> tuple[Alarm, ...]:
    rows = session.exec(select(AlarmRow).where(col(AlarmRow.cleared_at).is_(None))).all()
    return tuple(Alarm(row.key, AlarmKind(row.kind), row.text) for row in rows)


def _told(some: Collection[Alarm]) -> dict[str, str]:
    return {alarm.key: alarm.text for alarm in some}


def _keep(session: Session, found: Sequence[Alarm], now: datetime) -> tuple[Change, ...]:
    """Write what holds now; answers what was not so before. A text that changed is no change: time passes."""
    before = {alarm.key: alarm for alarm in _open(session)}
    for alarm in found:
        row = session.get(AlarmRow, alarm.key) or AlarmRow(key=alarm.key, kind=alarm.kind.value, text="", raised_at=now)
        if alarm.key not in before:
            row.raised_at, row.cleared_at = now, None
        row.text = alarm.text
        session.add(row)
    over = [alarm for key, alarm in before.items() if key not in _told(found)]
    for alarm in over:
        gone = session.get_one(AlarmRow, alarm.key)
        gone.cleared_at = now
        session.add(gone)
    raised = [Change(alarm, True, now) for alarm in found if alarm.key not in before]
    return (*raised, *(Change(alarm, False, now) for alarm in over))

"""Kill switches: what is off for everybody, known on every role within a second. Implements `cds.ports.Switches`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from cds.domain.audit import AuditEvent
from cds.domain.switch import Switch, SwitchKind
from cds.errors import Conflict, Unavailable
from cds.logs import get_logger
from cds.store import audit, timeline
from cds.store.engine import Database, lock
from cds.store.revisions import rematch
from cds.store.safety_tables import SwitchRow
from cds.store.tables import ReportRow

log = get_logger(__name__)

#: How long what is known of the switches may be told without looking again.
FRESH_S = 0.4
#: Studies that are decided again in one transaction: others write in between.
_AT_ONCE = 50
#: How the newest report of a study names what it rests on, in its JSON.
_NAMED = {SwitchKind.MODEL: '"model":"{}"', SwitchKind.PATHWAY: '"pathway":"{}"'}

_Off = frozenset[tuple[str, str]]


class SwitchStore:
    """The switches, looked at again after `FRESH_S` by a clock that nobody can set."""

    def __init__(self, database: Database, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._seconds = seconds
        self._lock = threading.Lock()
        self._known: tuple[float, _Off] | None = None

    def off(self, kind: SwitchKind, name: str) -> bool:
        """See the port. While the database is away what was known last holds; raise Unavailable where nothing was."""
        return (kind.value, name) in self._off()

    def hidden(self) -> frozenset[str]:
        """What resources may not rest on now, as their `made_by` names it: "model:x", "pathway:y"."""
        return frozenset(f"{kind}:{name}" for kind, name in self._off() if SwitchKind(kind) in _NAMED)

    def all(self) -> Sequence[Switch]:
        """Everything that is off, with who, when and why."""
        with self._database.reading() as session:
            rows = session.exec(select(SwitchRow).order_by(col(SwitchRow.kind), col(SwitchRow.name))).all()
        return [_switch(row) for row in rows]

    def disable(self, kind: SwitchKind, name: str, *, by: str, reason: str, now: datetime) -> Switch:
        """Switch something off at once; raise Conflict where it is off already."""
        with self._database.writing() as session:
            lock(session, "switch", kind.value, name)
            known = session.get(SwitchRow, (kind.value, name))
            if known is not None:
                raise Conflict(f"{kind.value} {name} was switched off already, by {known.actor}")
            row = SwitchRow(kind=kind.value, name=name, actor=by, at=now, reason=reason)
            session.add(row)
            _tell(session, "switch off", _switch(row))
        self._forget()
        return _switch(row)

    def enable(self, kind: SwitchKind, name: str, *, by: str, reason: str, now: datetime) -> Switch:
        """Switch it on again, and answer what it was; raise Conflict where it is not off."""
        with self._database.writing() as session:
            lock(session, "switch", kind.value, name)
            row = session.get(SwitchRow, (kind.value, name))
            if row is None:
                raise Conflict(f"{kind.value} {name} is not switched off")
            before = _switch(row)
            session.delete(row)
            _tell(session, "switch on", Switch(kind, name, by, now, reason))
        self._forget()
        return before

    def decide_again(self, kind: SwitchKind, name: str, reason: str, now: datetime) -> int:
        """Match and decide again every study whose newest report rests on a model or pathway; answers how many.

        Some at a time, each in a transaction of its own; a study that was reported since `now` needs it no more.
        """
        if kind not in _NAMED:
            return 0
        done, after = 0, ""
        while True:
            with self._database.writing() as session:
                uids = session.exec(_resting_on(kind, name, after, now)).all()
                for uid in uids:
                    rematch(session, uid, reason, now)
            if not uids:
                return done
            done, after = done + len(uids), uids[-1]

    def _off(self) -> _Off:
        with self._lock:
            if self._known is not None and self._seconds() - self._known[0] < FRESH_S:
                return self._known[1]
            asked = self._seconds()
            try:
                with self._database.reading() as session:
                    found = frozenset(
                        (kind, name) for kind, name in session.exec(select(SwitchRow.kind, SwitchRow.name))
                    )
            except Unavailable as error:
                if self._known is None:
                    raise
                log.warning("the switches cannot be looked at, the last known hold", error=type(error).__name__)
                return self._known[1]
            self._known = (asked, found)
            return found

    def _forget(self) -> None:
        with self._lock:
            self._known = None


def _resting_on(kind: SwitchKind, name: str, after: str, before: datetime) -> SelectOfScalar[str]:
    """Studies, some in the order of their UIDs, whose newest report names it and is older than a moment."""
    newest = (
        select(ReportRow.study_uid, sa.func.max(ReportRow.version).label("version"))
        .group_by(col(ReportRow.study_uid))
        .subquery()
    )
    return (
        select(ReportRow.study_uid)
        .join(newest, sa.and_(newest.c.study_uid == ReportRow.study_uid, newest.c.version == ReportRow.version))
        .where(
            ReportRow.study_uid > after,
            ReportRow.issued < before,
            col(ReportRow.body).contains(_NAMED[kind].format(name), autoescape=True),
        )
        .order_by(col(ReportRow.study_uid))
        .limit(_AT_ONCE)
    )


def _tell(session: Session, action: str, done: Switch) -> None:
    """`done` names who did it now, and why."""
    what, why = f"{done.kind.value} {done.name}", tuple(filter(None, (done.reason,)))
    audit.append(session, AuditEvent(done.at, done.by, action, detail=(what, *why)))
    timeline.write(session, done.at, "switch", action, detail=(what, f"by {done.by}", *why))


def _switch(row: SwitchRow) -> Switch:
    return Switch(SwitchKind(row.kind), row.name, row.actor, row.at, row.reason)

"""Which roles are alive, wherever they run: each says so every few seconds, and takes its word back when it ends."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from datetime import datetime, timedelta

from sqlmodel import Session, select

from cds.errors import Unavailable
from cds.ports import Clock
from cds.store.engine import Database
from cds.store.tables import HeartbeatRow

EVERY_S = 3.0
_DEAD_AFTER = timedelta(seconds=20)


class Heartbeat:
    """The heartbeat of one role, such as "worker-0" of the role "worker"."""

    def __init__(self, database: Database, clock: Clock, name: str) -> None:
        self._database = database
        self._clock = clock
        self._name, self._role = f"{socket.gethostname()}/{name}", name.partition("-")[0]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """The first beat is written before this returns."""
        self._write()
        self._thread.start()

    def stop(self) -> None:
        """The role ends: nobody has to wait to notice it."""
        self._stopped.set()
        self._thread.join()
        with suppress(Unavailable), self._database.writing() as session:
            row = session.get(HeartbeatRow, self._name)
            if row is not None:
                session.delete(row)

    def _beat(self) -> None:
        while not self._stopped.wait(EVERY_S):
            with suppress(Unavailable):  # readiness will say that the database is away
                self._write()

    def _write(self) -> None:
        with self._database.writing() as session:
            session.merge(HeartbeatRow(name=self._name, role=self._role, at=self._clock.now()))


def alive(database: Database, clock: Clock) -> frozenset[str]:
    """The roles that were heard lately."""
    with database.reading() as session:
        return heard(session, clock.now())


def heard(session: Session, now: datetime) -> frozenset[str]:
    """The roles that were heard lately."""
    since = now - _DEAD_AFTER
    return frozenset(session.exec(select(HeartbeatRow.role).where(HeartbeatRow.at > since)).all())

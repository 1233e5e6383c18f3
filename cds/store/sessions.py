"""Who is signed in: sessions of the pages, of which the browser keeps a secret and the store its digest."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, delete

from cds.domain.audit import AuditEvent
from cds.ports import Clock
from cds.store import audit
from cds.store.engine import Database
from cds.store.people_tables import SessionRow, UserRow
from cds.store.users import LOCAL
from cds.store.values import dump, parse

_SECRET_BYTES = 32
#: Between two notes that a session is in use; every request would be a write otherwise.
_NOTED_EVERY = timedelta(minutes=1)
_Granted = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Whose:
    """Somebody who came in, and how; `granted` is what the way in said of them, for local users their roles of now."""

    user: str
    name: str
    way: str
    granted: tuple[str, ...] = ()
    patient_id: str | None = None


@dataclass(frozen=True, slots=True)
class Lasting:
    """How long a session lasts: unused, and in all."""

    idle: timedelta
    whole: timedelta


class SessionStore:
    """The sessions of all processes of an installation."""

    def __init__(self, database: Database, clock: Clock, lasting: Lasting) -> None:
        self._database, self._clock, self._lasting = database, clock, lasting

    def begin(self, whose: Whose, *, lasts: timedelta | None = None) -> str:
        """A new session's secret; it is in the audit log who came in and how. Sessions that are over are removed.

        `lasts` where the way in grants less than the settings do.
        """
        secret, now = secrets.token_urlsafe(_SECRET_BYTES), self._clock.now()
        with self._database.writing() as session:
            session.exec(delete(SessionRow).where(col(SessionRow.until) <= now))
            session.add(
                SessionRow(
                    id=_digest(secret),
                    user_id=whose.user,
                    name=whose.name,
                    way=whose.way,
                    granted=dump(_Granted, whose.granted),
                    patient_id=whose.patient_id,
                    begun_at=now,
                    seen_at=now,
                    until=now + min(self._lasting.whole, lasts or self._lasting.whole),
                )
            )
            about = AuditEvent(now, whose.user, "sign-in", patient_id=whose.patient_id, detail=(whose.way,))
            audit.append(session, about)
        return secret

    def whose(self, secret: str, *, active: bool) -> Whose | None:
        """Whose session it is now; None where there is none, it is over, or its local user is gone.

        `active` says that the person does something: then it lasts longer.
        """
        now = self._clock.now()
        with self._database.reading() as session:
            row = session.get(SessionRow, _digest(secret))
            if row is None or now >= min(row.until, row.seen_at + self._lasting.idle):
                return None
            found = _whose(session, row)
        if found is not None and active and now - row.seen_at >= _NOTED_EVERY:
            self._note(row.id, now)
        return found

    def end(self, secret: str) -> None:
        """The person signs out; nothing where there is no such session."""
        now = self._clock.now()
        with self._database.writing() as session:
            row = session.get(SessionRow, _digest(secret))
            if row is not None:
                session.delete(row)
                audit.append(session, AuditEvent(now, row.user_id, "sign-out", detail=(row.way,)))

    def _note(self, session_id: str, now: datetime) -> None:
        with self._database.writing() as session:
            row = session.get(SessionRow, session_id)
            if row is not None:
                row.seen_at = now
                session.add(row)


def _whose(session: Session, row: SessionRow) -> Whose | None:
    granted = parse(_Granted, row.granted)
    if row.way == LOCAL:
        user = session.get(UserRow, row.user_id)
        if user is None:
            return None
        granted = tuple(filter(None, user.roles.split(",")))
    return Whose(row.user_id, row.name, row.way, granted, row.patient_id)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()

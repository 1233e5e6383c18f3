"""Local users of the pages, for an installation without a sign-in of its organisation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session, col, delete, select

from cds.domain.audit import AuditEvent
from cds.domain.staff import Role
from cds.errors import Conflict, NotFound
from cds.store import audit
from cds.store.engine import Database, lock
from cds.store.people_tables import SessionRow, UserRow

#: How sessions of local users say so.
LOCAL = "password"


@dataclass(frozen=True, slots=True)
class LocalUser:
    """A local user; `password` is a salted hash."""

    name: str
    roles: frozenset[Role]
    created_at: datetime
    password: str = field(repr=False)


class UserStore:
    """The local users; every change is in the audit log, with the roles and never with a password."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> Sequence[LocalUser]:
        """Every local user, by name."""
        with self._database.reading() as session:
            rows = session.exec(select(UserRow).order_by(col(UserRow.name))).all()
        return [_user(row) for row in rows]

    def find(self, name: str) -> LocalUser | None:
        """The user of this name; None where there is none."""
        with self._database.reading() as session:
            row = session.get(UserRow, name)
        return None if row is None else _user(row)

    def any(self) -> bool:
        """Whether there is one."""
        with self._database.reading() as session:
            return session.exec(select(UserRow.name).limit(1)).first() is not None

    def add(self, name: str, password: str, roles: Iterable[Role], *, by: str, now: datetime) -> None:
        """Add a user with a hash of their password; raise Conflict where the name is taken."""
        with self._database.writing() as session:
            lock(session, "user", name)
            if session.get(UserRow, name) is not None:
                raise Conflict(f"there is a user {name} already")
            row = UserRow(name=name, password=password, roles=_text(roles), created_at=now, updated_at=now)
            session.add(row)
            _tell(session, "user added", row, by, now)

    def set_roles(self, name: str, roles: Iterable[Role], *, by: str, now: datetime) -> None:
        """Give a user these roles and no others, from their next request on; raise NotFound."""
        with self._database.writing() as session:
            row = _found(session, name)
            row.roles, row.updated_at = _text(roles), now
            session.add(row)
            _tell(session, "user roles changed", row, by, now)

    def set_password(self, name: str, password: str, *, by: str, now: datetime) -> None:
        """Keep another hash, and end the user's sessions; raise NotFound."""
        with self._database.writing() as session:
            row = _found(session, name)
            row.password, row.updated_at = password, now
            session.add(row)
            _end_sessions(session, name)
            _tell(session, "user password changed", row, by, now)

    def remove(self, name: str, *, by: str, now: datetime) -> None:
        """Remove a user and end their sessions; raise NotFound."""
        with self._database.writing() as session:
            row = _found(session, name)
            _end_sessions(session, name)
            _tell(session, "user removed", row, by, now)
            session.delete(row)


def known_roles(names: Collection[str]) -> frozenset[Role]:
    """Those of the names that are roles."""
    return frozenset(role for role in Role if role.value in names)


def roles_of(text: str) -> frozenset[Role]:
    """Roles as they are kept; one that this version does not know grants nothing."""
    return known_roles(text.split(","))


def _text(roles: Iterable[Role]) -> str:
    return ",".join(sorted(set(roles)))


def _user(row: UserRow) -> LocalUser:
    return LocalUser(row.name, roles_of(row.roles), row.created_at, row.password)


def _found(session: Session, name: str) -> UserRow:
    row = session.get(UserRow, name)
    if row is None:
        raise NotFound(f"there is no user {name}")
    return row


def _end_sessions(session: Session, name: str) -> None:
    session.exec(delete(SessionRow).where(col(SessionRow.user_id) == name, col(SessionRow.way) == LOCAL))


def _tell(session: Session, action: str, row: UserRow, by: str, now: datetime) -> None:
    audit.append(session, AuditEvent(now, by, action, detail=(row.name, row.roles or "no role")))

"""The local users of the pages, for commands and for administrators."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cds.bootstrap import stores
from cds.clock import SystemClock
from cds.domain.staff import Role
from cds.errors import InvalidInput
from cds.ports import Clock
from cds.settings import Settings
from cds.store.users import UserStore
from cds.ui.users import LocalUser
from cds.web.ui import passwords

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")


@dataclass(frozen=True, slots=True)
class Users:
    """Implements `cds.ui.users.UserServices`: names in one spelling, passwords as hashes."""

    store: UserStore
    clock: Clock

    def all(self) -> Sequence[LocalUser]:
        """Every local user, by name."""
        return [LocalUser(one.name, one.roles, one.created_at) for one in self.store.all()]

    def add(self, name: str, password: str, roles: Sequence[Role], by: str) -> str:
        """Add a user and answer the name as it is kept; raise Conflict, InvalidInput."""
        kept = _name(name)
        self.store.add(kept, passwords.hashed(password), _some(roles), by=by, now=self.clock.now())
        return kept

    def set_roles(self, name: str, roles: Sequence[Role], by: str) -> None:
        """Give a user these roles and no others; raise NotFound, InvalidInput."""
        self.store.set_roles(_name(name), _some(roles), by=by, now=self.clock.now())

    def set_password(self, name: str, password: str, by: str) -> None:
        """Keep another password, and end the user's sessions; raise NotFound, InvalidInput."""
        self.store.set_password(_name(name), passwords.hashed(password), by=by, now=self.clock.now())

    def remove(self, name: str, by: str) -> None:
        """Remove a user and end their sessions; raise NotFound."""
        self.store.remove(_name(name), by=by, now=self.clock.now())


def users_of(settings: Settings) -> Users:
    """The local users of an installation."""
    return Users(UserStore(stores(settings, durable=True).database), SystemClock(settings.time_zone))


def _name(name: str) -> str:
    kept = name.strip().casefold()
    if not _NAME.fullmatch(kept):
        raise InvalidInput("want a user name of letters, digits and . _ @ -, 64 characters at most")
    return kept


def _some(roles: Sequence[Role]) -> Sequence[Role]:
    if not roles:
        raise InvalidInput(f"want at least one role: {', '.join(Role)}")
    return roles

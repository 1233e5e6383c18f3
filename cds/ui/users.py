"""The page of local users, for an installation without a sign-in of its organisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cds.ui.people import Role


@dataclass(frozen=True, slots=True)
class LocalUser:
    """Somebody who signs in with a password."""

    name: str
    roles: frozenset[Role]
    since: datetime


@dataclass(frozen=True, slots=True)
class UserServices:
    """What an administrator does; the last argument says who. All raise InvalidInput, and NotFound for nobody."""

    all: Callable[[], Sequence[LocalUser]]
    #: (name, password, roles, by) → the name as it is kept; raises Conflict where it is taken.
    add: Callable[[str, str, Sequence[Role], str], str]
    set_roles: Callable[[str, Sequence[Role], str], None]
    #: (name, password, by); the user's sessions end.
    set_password: Callable[[str, str, str], None]
    remove: Callable[[str, str], None]

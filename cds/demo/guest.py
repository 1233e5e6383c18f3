"""The demo's user of the pages: made anew for every demo, with a password that is shown once and kept nowhere."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from cds.bootstrap.users import users_of
from cds.domain.staff import Role
from cds.settings import Settings

NAME = "demo"
_BYTES = 15
#: Who shows the pages to others shows all of them.
ROLES = tuple(role for role in Role if role is not Role.ADMINISTRATOR)


def invited(settings: Settings) -> Iterator[str]:
    """Add the user, and say where and how to sign in."""
    password = secrets.token_urlsafe(_BYTES)
    users_of(settings).add(NAME, password, ROLES, "the demo")
    yield f"the pages: {settings.ui_address}"
    yield f"sign in as {NAME} with the password {password}"

"""The pages over real stores, in a test's own process: local users, browsers, and a clock that tests move."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds.bootstrap import Stores, stores
from cds.bootstrap.ui import ui_services
from cds.domain.audit import AuditEvent
from cds.domain.staff import Role
from cds.settings import Settings
from cds.store.users import UserStore
from cds.web.ui import passwords
from cds.web.ui.app import create_ui
from tests import ui_doors
from tests.databases import fresh

PASSWORD = "correct horse battery"


@dataclass
class UiSite:
    """The application, its stores and its clock."""

    app: Flask
    settings: Settings
    held: Stores
    clock: ui_doors.StandingClock

    @property
    def users(self) -> UserStore:
        return UserStore(self.held.database)

    def user(self, name: str, *roles: Role) -> None:
        """A local user with `PASSWORD`."""
        self.users.add(name, passwords.hashed(PASSWORD), roles, by="test", now=self.clock.now())

    def signed_in(self, name: str) -> FlaskClient:
        """A browser in which a local user has signed in."""
        browser = self.app.test_client()
        response = sign_in(browser, name)
        assert response.status_code == 303
        return browser

    def told(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Who did what, from the audit log, without the making of users."""
        return [(one.actor, one.action, one.detail) for one in self.events() if not one.action.startswith("user ")]

    def events(self) -> list[AuditEvent]:
        return list(self.held.audit.search())


def sign_in(browser: FlaskClient, name: str, password: str = PASSWORD, **form: str) -> TestResponse:
    """The form of the sign-in page, sent."""
    return ui_doors.post(browser, "/sign-in", {"name": name, "password": password, "next": "/", **form})


@contextmanager
def serving(folder: Path, **changes: Any) -> Iterator[UiSite]:
    """A site without users."""
    with fresh(folder / "data"):
        settings = Settings(data_dir=folder / "data", **changes)
        held, clock = stores(settings), ui_doors.StandingClock()
        try:
            yield UiSite(create_ui(ui_services(settings, held, clock)), settings, held, clock)
        finally:
            held.database.dispose()

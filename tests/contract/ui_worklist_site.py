"""The pages over a worklist, and browsers of people in every role."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from html.parser import HTMLParser

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds.bootstrap import Stores, stores
from cds.bootstrap.ui_worklist import worklist
from cds.errors import Unauthorized
from cds.settings import Settings
from cds.ui.people import LetIn, PeopleServices, Person, Role
from cds.ui.services import UiServices
from cds.web.ui import cookies
from cds.web.ui.app import create_ui

NOW = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)
_SECRET = b"0" * 32


@dataclass
class MovedClock:
    """A clock that tests move."""

    at: datetime = NOW

    def now(self) -> datetime:
        """The port."""
        return self.at

    def today(self) -> date:
        """The port."""
        return self.at.date()


@dataclass(frozen=True)
class Site:
    """One installation: its stores, and its pages."""

    settings: Settings
    held: Stores
    clock: MovedClock
    services: UiServices

    def browser(self, role: Role | None, patient_id: str | None = None) -> FlaskClient:
        """Somebody with a role, nobody for None; `patient_id` where an EHR opened the pages for one patient."""
        app = create_ui(self.services)
        app.config["WTF_CSRF_ENABLED"] = False
        client = app.test_client()
        if role is not None:
            client.set_cookie(cookies.named(self.settings, cookies.SESSION), f"{role.value}/{patient_id or ''}")
        return client


def site(settings: Settings, clock: MovedClock | None = None) -> Site:
    """The pages of an installation whose tables are there."""
    held, clock = stores(settings, durable=True), clock or MovedClock()
    people = PeopleServices(_session, _no_password, lambda _: None, lambda: True)
    services = UiServices(
        settings=settings,
        clock=clock,
        people=people,
        audit=held.audit,
        form_key=lambda: _SECRET,
        whose=lambda _: "",
        is_ready=lambda: True,
        worklist=worklist(settings, held, clock),
    )
    return Site(settings, held, clock, services)


def _session(token: str, _is_polling: bool) -> Person:
    role, _, patient_id = token.partition("/")
    return Person(f"user-{role}", role.capitalize(), frozenset({Role(role)}), patient_id or None)


def _no_password(_name: str, _password: str) -> LetIn:
    raise Unauthorized("nobody signs in by password here")


class Page(HTMLParser):
    """What a page is made of: its words, rows of cells, links, and the attributes of its elements."""

    def __init__(self, response: TestResponse) -> None:
        super().__init__()
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.title = ""
        self._open: list[str] = []
        self.feed(response.get_data(as_text=True))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One element begins."""
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """It ends, with those in it that have no end."""
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Words."""
        if not (words := " ".join(data.split())):
            return
        self.words.append(words)
        if "title" in self._open:
            self.title += words
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {words}".strip()

    @property
    def text(self) -> str:
        """All words."""
        return " ".join(self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

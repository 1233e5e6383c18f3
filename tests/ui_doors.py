"""The pages for a test: services without a store, people who are signed in already, and pages as parsed HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds.domain.audit import AuditEvent
from cds.errors import NotFound, Unauthorized
from cds.settings import Settings
from cds.ui.people import LetIn, PeopleServices, Person, Role
from cds.ui.services import UiServices

NOW = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)
PASSWORD = "a long enough password"
#: The patient of a launched session, and a study of theirs.
PATIENT, STUDY = "patient-1", "0badcafe-0000-4000-8000-000000000001"


class StandingClock:
    """A clock that a test moves."""

    def __init__(self, now: datetime = NOW) -> None:
        self.at = now

    def now(self) -> datetime:
        return self.at

    def today(self) -> date:
        return self.at.date()


@dataclass
class AuditList:
    """The audit log as a list."""

    events: list[AuditEvent] = field(default_factory=list)

    def write(self, event: AuditEvent) -> None:
        self.events.append(event)

    def seen_by(self, study_uid: str) -> Sequence[AuditEvent]:
        return [event for event in self.events if event.study_instance_uid == study_uid]


def label(value: object) -> str:
    """The name of a test's parameter: roles are sets, whose order differs from process to process."""
    return "-".join(sorted(map(str, value))) if isinstance(value, set | frozenset) else str(value)


def staff(*roles: Role) -> Person:
    """Somebody with these roles, who is named by them."""
    name = "-".join(sorted(roles)) or "nobody-in-particular"
    return Person(name, name, frozenset(roles))


#: Whom an EHR let in for `PATIENT`.
LAUNCHED = Person("Practitioner/7", "Practitioner/7", frozenset({Role.CLINICIAN}), PATIENT)


@dataclass
class Doormen:
    """Sessions in memory: everybody's secret is what `client` gives the browser."""

    sessions: dict[str, Person] = field(default_factory=dict)

    def session(self, token: str, active: bool) -> Person:
        if token not in self.sessions:
            raise Unauthorized("Sign in again.")
        return self.sessions[token]

    def by_password(self, name: str, password: str) -> LetIn:
        if password != PASSWORD:
            raise Unauthorized("This name and password do not belong together.")
        return LetIn(self.opened(staff(Role(name))))

    def sign_out(self, token: str) -> None:
        self.sessions.pop(token, None)

    def opened(self, who: Person) -> str:
        token = f"token-{len(self.sessions)}-{who.user}".replace("/", "-")
        self.sessions[token] = who
        return token

    def services(self) -> PeopleServices:
        return PeopleServices(self.session, self.by_password, self.sign_out, lambda: True)


def whose(public_id: str) -> str:
    """`STUDY` is of `PATIENT`, every other study of somebody else."""
    if public_id == "unknown":
        raise NotFound("There is no such study.")
    return PATIENT if public_id == STUDY else "patient-2"


def ui_services(settings: Settings | None = None, *, doormen: Doormen | None = None, **pages: Any) -> UiServices:
    """The services of pages: `ui_services(worklist=…)`."""
    given: dict[str, Any] = {
        "whose": whose,
        "clock": StandingClock(),
        "audit": AuditList(),
        "is_ready": lambda: True,
        **pages,
    }
    people = (doormen or Doormen()).services()
    given.setdefault("people", people)
    return UiServices(settings=settings or Settings(), form_key=lambda: b"k" * 32, **given)


def client(app: Flask, doormen: Doormen, who: Person | None) -> FlaskClient:
    """A browser in which somebody is signed in; None: nobody is."""
    found = app.test_client()
    if who is not None:
        found.set_cookie("sightline_session", doormen.opened(who))
    return found


def post(browser: FlaskClient, path: str, form: Mapping[str, str] | None = None, **more: Any) -> TestResponse:
    """Send a form as a page's script or the page itself would: with the token of the browser's forms."""
    token = token_of(browser)
    return browser.post(path, data={"csrf_token": token, **(form or {})}, **more)


def cookies_of(browser: FlaskClient) -> dict[str, str]:
    """What this browser sends to every page: the cookies of the session, and of its forms."""
    known = (browser.get_cookie(name) for name in ("sightline_session", "sightline_forms"))
    return {one.key: one.value for one in known if one is not None}


def token_of(browser: FlaskClient) -> str:
    """The token that forms of this browser carry, from a page that everybody may see."""
    page = parsed(browser.get("/sign-in"))
    return next(one["content"] for one in page.all("meta") if one.get("name") == "csrf")


@dataclass
class Page(HTMLParser):
    """A page, parsed: its elements with attributes, and the text that is shown."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    _silent: int = 0

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._silent += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.words.append(" ".join(data.split()))

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(self.words)


def parsed(response: TestResponse) -> Page:
    """The page of an answer."""
    found = Page()
    found.feed(response.get_data(as_text=True))
    found.close()
    return found

"""Who may open which page: a mark at every route, one check before every request (SAFETY section 8)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from flask import Flask, current_app, g, request

from cds.domain.audit import AuditEvent
from cds.errors import ConfigurationError, Forbidden, NotFound, Unauthorized
from cds.ui.people import Person, Role
from cds.ui.services import UiServices
from cds.web.ui import cookies

View = TypeVar("View", bound=Callable[..., Any])

_MARK = "sightline_mark"
_SERVICES = "sightline_ui"
#: The route's argument that names a study; whose it is, is looked up before a launched session sees anything of it.
STUDY = "public_id"
#: What a page's script says when it asks by itself.
FRESH = "X-Fresh"
_NOT_YOURS = "Sightline has no result that may be shown here now. That is not a negative result."
_LAUNCHED = "This page is not opened from a patient's chart. Sign in to Sightline to see it."


@dataclass(frozen=True, slots=True)
class Mark:
    """Who may use a route. No roles: whoever is signed in."""

    roles: frozenset[Role] = frozenset()
    #: Also from a patient's chart (SMART App Launch), for that patient alone.
    launched: bool = False
    #: Nobody has to be signed in.
    is_open: bool = False
    #: Also programs that show the bearer token of the installation.
    bearer: bool = False

    def lets(self, who: Person) -> bool:
        """Whether somebody who is signed in may use the route at all."""
        if who.patient_id is not None and not self.launched:
            return False
        return not self.roles or who.is_any(*self.roles)


#: An address that nobody answers at; only who is signed in learns that.
_NOWHERE = Mark(launched=True)


def allow(*roles: Role, launched: bool = False, bearer: bool = False) -> Callable[[View], View]:
    """Mark a view: these roles may; none named: whoever is signed in.

    `launched`: also a session that an EHR opened, for its one patient; a study is then named by `<public_id>` in the
    route, or the view asks `person().patient_id`. `bearer`: also the bearer token of the installation.
    """
    return _marked(Mark(frozenset(roles), launched=launched, bearer=bearer))


def open_to_all(view: View) -> View:
    """Mark a view that wants no sign-in."""
    return _marked(Mark(is_open=True))(view)


def _marked(mark: Mark) -> Callable[[View], View]:
    def put(view: View) -> View:
        setattr(view, _MARK, mark)
        return view

    return put


def mark_of(app: Flask, endpoint: str) -> Mark | None:
    """The mark of a route; None where it has none."""
    return cast("Mark | None", getattr(app.view_functions[endpoint], _MARK, None))


def install(app: Flask, services: UiServices) -> None:
    """Let nobody through to a route whose mark does not name them, unknown addresses included."""
    app.extensions[_SERVICES] = services

    def check() -> None:
        mark = mark_of(app, request.endpoint) if request.endpoint else _NOWHERE
        if mark is None:
            raise Forbidden("this address has no mark of who may open it")
        g.person = _who(services, mark)
        if mark.is_open:
            return
        if g.person is None:
            raise Unauthorized("Sign in to see this page.")
        _refuse(services, mark, g.person)

    app.before_request(check)


def check_marks(app: Flask) -> None:
    """Raise ConfigurationError for every route without a mark."""
    bare = sorted({rule.rule for rule in app.url_map.iter_rules() if mark_of(app, rule.endpoint) is None})
    if bare:
        raise ConfigurationError([f"{rule} says of nobody that they may open it: mark its view" for rule in bare])


def person() -> Person:
    """Who looks; raise Unauthorized where nobody is signed in."""
    who = person_or_none()
    if who is None:
        raise Unauthorized("Sign in to see this page.")
    return who


def person_or_none() -> Person | None:
    """Who looks, at a route that is open to all."""
    return cast("Person | None", g.get("person"))


def ui_services() -> UiServices:
    """The services of the application that answers."""
    return cast(UiServices, current_app.extensions[_SERVICES])


def viewed(study_uid: str | None, patient_id: str | None, action: str, *detail: str) -> None:
    """Write that the person saw something of a patient, before it is answered; NotFound where it is not theirs."""
    who, services = person(), ui_services()
    if who.patient_id is not None and who.patient_id != patient_id:
        raise NotFound(_NOT_YOURS)
    services.audit.write(AuditEvent(services.clock.now(), who.user, action, study_uid, patient_id, detail))


def _who(services: UiServices, mark: Mark) -> Person | None:
    if mark.bearer and _shows_the_token(services):
        return Person("bearer token", "program", frozenset({Role.RADIOLOGIST}))
    token = cookies.read(services.settings, cookies.SESSION)
    try:
        return services.people.session(token, FRESH not in request.headers) if token else None
    except Unauthorized:
        return None


def _shows_the_token(services: UiServices) -> bool:
    file = services.settings.http_token_file
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if file is None or scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode(), file.read_text().strip().encode())


def _refuse(services: UiServices, mark: Mark, who: Person) -> None:
    """Raise where the mark does not let them, or the study is another patient's than that of the launch."""
    if who.patient_id is not None and not mark.launched:
        raise Forbidden(_LAUNCHED)
    if not mark.lets(who):
        wanted = ", ".join(sorted(mark.roles))
        raise Forbidden(f"This page is for: {wanted}. Your roles: {', '.join(sorted(who.roles)) or 'none'}.")
    named = (request.view_args or {}).get(STUDY)
    if who.patient_id is not None and named is not None and services.whose(str(named)) != who.patient_id:
        raise NotFound(_NOT_YOURS)

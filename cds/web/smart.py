"""SMART App Launch 2.2, EHR launch: a browser goes to the EHR and comes back with a session for one patient."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from flask import Blueprint, Response, request

from cds.errors import InvalidInput
from cds.render import study_page
from cds.services import Services
from cds.study_pages import StudyServices
from cds.web import browser
from cds.web.limits import Shares

_KEPT = "sightline_launch_"
_KEPT_LASTS = timedelta(minutes=10)
_STATE = re.compile(r"[A-Za-z0-9_-]{16,128}")
#: So much of a state names its cookie: two charts may be opened at once.
_NAMED_BY = 16
#: Launches a minute from one address: those of a clinic behind one proxy, and no more than its EHR bears.
_MOST_A_MINUTE = 300
_FOUND, _SEE_OTHER = 302, 303


def blueprint(services: Services) -> Blueprint:
    """`GET /smart/launch`, `GET /smart/callback` and `POST /smart/logout`."""
    found = Blueprint("smart", __name__, url_prefix="/smart")
    shares = Shares({}, _MOST_A_MINUTE, services.settings.http_workers)

    def bounded(answer: Callable[[Services, StudyServices], Response]) -> Response:
        def show(studies: StudyServices) -> Response:
            shares.take("", request.remote_addr or "")
            return answer(services, studies)

        return browser.told(services, show)

    def launch() -> Response:
        return bounded(_launch)

    def callback() -> Response:
        return bounded(_callback)

    def logout() -> Response:
        return browser.told(services, lambda _: _logout(services))

    found.add_url_rule("/launch", view_func=launch)
    found.add_url_rule("/callback", view_func=callback)
    found.add_url_rule("/logout", view_func=logout, methods=["POST"])
    return found


def _launch(services: Services, studies: StudyServices) -> Response:
    begun = studies.begin(request.args.get("iss", ""), request.args.get("launch", ""))
    response = _to(begun.url, _FOUND)
    browser.give(response, services, _cookie(begun.state), begun.kept, _KEPT_LASTS)
    return response


def _callback(services: Services, studies: StudyServices) -> Response:
    """A relative redirect: it holds behind a proxy with a path of its own, too."""
    state = request.args.get("state", "")
    if not _STATE.fullmatch(state):
        raise InvalidInput("want the state that the launch began with")
    arrived = studies.finish(browser.kept(services, _cookie(state)), request.args.to_dict())
    response = _to(f"../studies/{arrived.study}" if arrived.study else "../studies", _SEE_OTHER)
    browser.give(response, services, browser.SESSION, arrived.session, browser.SESSION_LASTS)
    browser.take(response, services, _cookie(state))
    return response


def _logout(services: Services) -> Response:
    settings = services.settings
    words = "Open Sightline again from the patient's chart."
    html = study_page.message("You are logged out", words, site_name=settings.site_name, insecure=settings.insecure)
    response = browser.page(html)
    browser.take(response, services, browser.SESSION)
    return response


def _to(url: str, code: int) -> Response:
    return Response(status=code, headers={"Location": url})


def _cookie(state: str) -> str:
    return f"{_KEPT}{state[:_NAMED_BY]}"

"""Ways in that lead over another server: OpenID Connect, and the launch from an EHR (SMART App Launch 2.2)."""

from __future__ import annotations

import re
from datetime import timedelta

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as AnyResponse

from cds.errors import InvalidInput, NotFound
from cds.ui.people import WayIn
from cds.ui.services import UiServices
from cds.web.limits import Shares
from cds.web.ui import cookies
from cds.web.ui.guard import open_to_all
from cds.web.ui.sign_in import begin_session

_KEPT = "sightline_launch_"
_KEPT_LASTS = timedelta(minutes=10)
_STATE = re.compile(r"[A-Za-z0-9_-]{16,128}")
#: So much of a state names its cookie: two charts may be opened at once.
_NAMED_BY = 16
#: Begun and finished a minute from one address: those of a clinic behind one proxy, and no more than its EHR bears.
_MOST_A_MINUTE = 300
_FOUND = 302
_NO_EHR = "No EHR is configured here that can launch this page."
_NO_PROVIDER = "No sign-in of an organisation is configured here."


def blueprint(services: UiServices) -> Blueprint:
    """`GET /smart/launch`, `GET /smart/callback`, `GET /sign-in/oidc` and `GET /sign-in/oidc/callback`."""
    found, people = Blueprint("outward", __name__), services.people
    shares = Shares({}, _MOST_A_MINUTE, services.settings.ui_workers)

    @open_to_all
    def launch() -> Response:
        return _begin(services, shares, people.launch, _NO_EHR)

    @open_to_all
    def launched() -> AnyResponse:
        return _finish(services, shares, people.launch, _NO_EHR)

    @open_to_all
    def oidc() -> Response:
        return _begin(services, shares, people.oidc, _NO_PROVIDER)

    @open_to_all
    def vouched() -> AnyResponse:
        return _finish(services, shares, people.oidc, _NO_PROVIDER)

    found.add_url_rule("/smart/launch", view_func=launch)
    found.add_url_rule("/smart/callback", view_func=launched)
    found.add_url_rule("/sign-in/oidc", view_func=oidc)
    found.add_url_rule("/sign-in/oidc/callback", view_func=vouched)
    return found


def _begin(services: UiServices, shares: Shares, way: WayIn | None, without: str) -> Response:
    shares.take("", request.remote_addr or "")
    if way is None:
        raise NotFound(without)
    out = way.begin(request.args.to_dict())
    response = Response(status=_FOUND, headers={"Location": out.url})
    cookies.give(response, services.settings, _cookie(out.state), out.kept, _KEPT_LASTS)
    return response


def _finish(services: UiServices, shares: Shares, way: WayIn | None, without: str) -> AnyResponse:
    shares.take("", request.remote_addr or "")
    if way is None:
        raise NotFound(without)
    state = request.args.get("state", "")
    if not _STATE.fullmatch(state):
        raise InvalidInput("want the state that the sign-in began with")
    let_in = way.finish(cookies.read(services.settings, _cookie(state)), request.args.to_dict())
    response = begin_session(services, let_in, "/")
    cookies.take(response, services.settings, _cookie(state))
    return response


def _cookie(state: str) -> str:
    return f"{_KEPT}{state[:_NAMED_BY]}"

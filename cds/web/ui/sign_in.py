"""Sign-in and sign-out: a password of a local user, or another server that vouches (OpenID Connect)."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, Response, redirect, request, session
from werkzeug.wrappers import Response as AnyResponse

from cds.errors import Unauthorized
from cds.ui.people import LetIn
from cds.ui.services import UiServices
from cds.web.ui import cookies
from cds.web.ui.guard import open_to_all
from cds.web.ui.shown import page
from cds.web.ui.tries import Tries
from cds.web.ui.ways import inside

_SEE_OTHER, _UNAUTHORIZED = 303, 401
_MOST = 256


def blueprint(services: UiServices) -> Blueprint:
    """`GET /sign-in`, `POST /sign-in` and `POST /sign-out`."""
    found, settings = Blueprint("sign_in", __name__), services.settings
    tries = Tries(settings.ui_workers)

    @open_to_all
    def form() -> Response:
        return _form(services, request.args.get("next", "/"))

    @open_to_all
    def password() -> AnyResponse:
        name, secret, to = (request.form.get(key, "") for key in ("name", "password", "next"))
        name = name.strip()[:_MOST]
        who = {"name": name.casefold(), "address": request.remote_addr or ""}
        tries.check(**who)
        try:
            let_in = services.people.by_password(name, secret)
        except Unauthorized as error:
            tries.failed(**who)
            return _form(services, to, name=name, problem=str(error), status=_UNAUTHORIZED)
        return begin_session(services, let_in, to)

    @open_to_all
    def sign_out() -> AnyResponse:
        token = cookies.read(settings, cookies.SESSION)
        if token:
            services.people.sign_out(token)
        session.clear()
        response = page("signed_out.html")
        cookies.take(response, settings, cookies.SESSION)
        return response

    found.add_url_rule("/sign-in", view_func=form)
    found.add_url_rule("/sign-in", "password", password, methods=["POST"])
    found.add_url_rule("/sign-out", view_func=sign_out, methods=["POST"])
    return found


def begin_session(services: UiServices, let_in: LetIn, to: str) -> AnyResponse:
    """Give the browser its session; a session that it had ends, and so do the forms that it has open."""
    before = cookies.read(services.settings, cookies.SESSION)
    if before:
        services.people.sign_out(before)
    session.clear()
    response = redirect(f"{request.script_root}{inside(let_in.to or to)}", code=_SEE_OTHER)
    lasts = timedelta(hours=services.settings.ui_session_hours)
    cookies.give(response, services.settings, cookies.SESSION, let_in.token, lasts)
    return response


def _form(services: UiServices, to: str, *, name: str = "", problem: str = "", status: int = 200) -> Response:
    oidc = services.settings.ui_oidc if services.people.oidc else None
    return page(
        "sign_in.html",
        status=status,
        to=inside(to),
        name=name,
        problem=problem,
        oidc=oidc.title if oidc else "",
        local=services.people.any_local(),
    )

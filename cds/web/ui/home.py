"""The first page, the choice of light or dark, and whether the process is alive."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, Response, current_app, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from cds.errors import Forbidden, InvalidInput
from cds.ui.services import UiServices
from cds.web.answers import answer
from cds.web.ui import cookies
from cds.web.ui.guard import allow, open_to_all, person
from cds.web.ui.shown import THEMES, pages_of
from cds.web.ui.ways import inside

_A_YEAR = timedelta(days=365)
_SEE_OTHER = 303


def blueprint(services: UiServices) -> Blueprint:
    """`GET /`, `POST /theme`, `GET /health/live` and `GET /health/ready`."""
    found = Blueprint("home", __name__)

    @allow(launched=True)
    def home() -> AnyResponse:
        """The first page that the person may open."""
        pages = pages_of(current_app, person())
        if not pages:
            raise Forbidden("No page is open to your roles here.")
        return redirect(f"{request.script_root}{pages[0][0]}", code=_SEE_OTHER)

    @open_to_all
    def theme() -> AnyResponse:
        """Keep the choice in a cookie, and go back."""
        chosen = request.form.get("theme", "")
        if chosen not in THEMES:
            raise InvalidInput("want theme: auto, light or dark")
        response = redirect(f"{request.script_root}{inside(request.form.get('next', '/'))}", code=_SEE_OTHER)
        cookies.give(response, services.settings, cookies.THEME, chosen, _A_YEAR)
        return response

    @open_to_all
    def live() -> Response:
        return answer({"status": "live"})

    @open_to_all
    def ready() -> Response:
        """503 where nobody could sign in; why stands in the readiness of the role web."""
        ok = services.is_ready()
        return answer({"status": "ready" if ok else "not ready"}, status=200 if ok else 503)

    found.add_url_rule("/", view_func=home)
    found.add_url_rule("/theme", view_func=theme, methods=["POST"])
    found.add_url_rule("/health/live", view_func=live)
    found.add_url_rule("/health/ready", view_func=ready)
    return found

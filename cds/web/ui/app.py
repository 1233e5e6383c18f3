"""The application factory of the pages."""

from __future__ import annotations

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from flask import Flask
from flask_wtf import CSRFProtect

from cds.ui.services import UiServices
from cds.web.ui import (
    cookies,
    errors,
    files,
    follow_ups,
    guard,
    headers,
    home,
    images,
    operations,
    outward,
    quality,
    second_reader,
    shown,
    sign_in,
    studies,
    study,
    users,
    wado,
    worklist,
)
from cds.web.ui.ways import below

#: Forms, and a file that a form brings.
LARGEST_BODY_BYTES = 4 * 1024 * 1024
_WAYS_IN = (home, sign_in, outward, studies)
_PAGES = (worklist, images, wado, study, second_reader, follow_ups, quality, operations, users)


class _Pages(Flask):
    """The application below the path that its address has."""

    address = ""

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """As Flask's."""
        return super().wsgi_app(below(self.address, environ), start_response)


def create_ui(services: UiServices) -> Flask:
    """Every page over what `services` gives.

    Each route is marked with who may open it; one without a mark raises ConfigurationError here.
    """
    settings = services.settings
    https = cookies.is_secure(settings)
    app = _Pages(__name__, static_folder=None, template_folder="templates")
    app.address = settings.ui_address
    app.config.update(
        MAX_CONTENT_LENGTH=LARGEST_BODY_BYTES,
        PROVIDE_AUTOMATIC_OPTIONS=False,
        SECRET_KEY=services.form_key(),
        SESSION_COOKIE_NAME=cookies.named(settings, cookies.FORMS),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=https,
        WTF_CSRF_TIME_LIMIT=None,  # a form lasts as long as the session
    )
    app.url_map.merge_slashes = False
    errors.install(app)
    guard.install(app, services)
    headers.install(app, insecure=settings.insecure, https=https)
    CSRFProtect(app)
    shown.install(app, services)
    files.install(app)
    app.register_blueprint(files.blueprint())
    for routes in (*_WAYS_IN, *_PAGES):
        app.register_blueprint(routes.blueprint(services))
    guard.check_marks(app)
    return app

"""The application factory."""

from __future__ import annotations

from collections.abc import Collection

from flask import Flask

from cds.services import Services
from cds.web import (
    auth,
    cors,
    critical,
    dicomweb,
    errors,
    fhir,
    headers,
    health,
    holds,
    hooks,
    jwks,
    subscriptions,
    taken,
)

#: Bodies are form searches and CDS Hooks requests with their prefetch.
LARGEST_BODY_BYTES = 4 * 1024 * 1024


def create_app(services: Services, *, cors_origins: Collection[str] = ()) -> Flask:
    """Every route of Sightline over what `services` gives. `cors_origins` may call CDS Hooks from a browser.

    Each route wants the bearer token of `services` where there is one, those of FHIR also take its access tokens; what
    needs none is in `cds.web.auth`.
    """
    app = Flask(__name__, static_folder=None, template_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=LARGEST_BODY_BYTES, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.url_map.merge_slashes = False
    errors.install(app, services.outcome)
    cors.install(app, frozenset(cors_origins))
    auth.install(app, services.token, services.access)
    headers.install(app)
    for routes in (health, fhir, taken, hooks, holds, critical, dicomweb, jwks, subscriptions):
        app.register_blueprint(routes.blueprint(services))
    return app

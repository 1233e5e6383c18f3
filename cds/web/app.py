"""The application factory."""

from __future__ import annotations

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
    hook_callers,
    hooks,
    jwks,
    quick_calls,
    subscriptions,
    taken,
)
from cds.web.hook_calls import HookCalls

#: Bodies are form searches and CDS Hooks requests with their prefetch.
LARGEST_BODY_BYTES = 4 * 1024 * 1024


def create_app(services: Services) -> Flask:
    """Every route of Sightline over what `services` gives.

    Each route wants the bearer token of `services` where there is one, those of FHIR also take its access tokens, those
    of CDS Hooks want an EHR's where there are EHRs; what needs none is in `cds.web.auth`.
    """
    settings = services.settings
    app = Flask(__name__, static_folder=None, template_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=LARGEST_BODY_BYTES, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.url_map.merge_slashes = False
    errors.install(app, services.outcome)
    calls = HookCalls(services)
    quick_calls.install(app, services, calls)
    if settings.insecure:
        auth.only_this_machine(app, settings.public_url)
    cors.install(app, frozenset(settings.hook_origins))
    auth.install(app, services.token, services.access, hook_callers.gate(services))
    headers.install(app, insecure=settings.insecure)
    app.register_blueprint(hooks.blueprint(services, calls))
    for routes in (health, fhir, taken, holds, critical, dicomweb, jwks, subscriptions):
        app.register_blueprint(routes.blueprint(services))
    return app

"""CDS Hooks 2.0 over HTTP: discovery and calls. What is said in a card is decided in cds.hooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import orjson
from flask import Blueprint, Response, abort, request

from cds import metrics
from cds.errors import InvalidResource, NotFound, SightlineError
from cds.services import Json, Services
from cds.web.answers import JSON, answer


def blueprint(services: Services) -> Blueprint:
    """Discovery always answers 200; a call answers 200 with cards, or 4xx and 5xx with an OperationOutcome."""
    found, views = Blueprint("hooks", __name__, url_prefix="/cds-services"), _Views(services)
    found.add_url_rule("", view_func=views.discovery)
    found.add_url_rule("/<service_id>", view_func=views.call, methods=["POST"])
    return found


@dataclass(frozen=True, slots=True)
class _Views:
    services: Services

    def discovery(self) -> Response:
        return answer(self.services.hooks.discovery())

    def call(self, service_id: str) -> Response:
        """Count and time only services that exist, so that callers cannot invent labels."""
        if service_id not in self._ids():
            raise NotFound("no such CDS service; GET /cds-services lists them")
        outcome = "failed"
        try:
            with metrics.HOOK_SECONDS.time(service=service_id):
                response = answer(self.services.hooks.call(service_id, _body(), ""))
            outcome = "answered"
        except SightlineError as error:
            outcome = error.issue_code
            raise
        finally:
            metrics.HOOKS.inc(service=service_id, outcome=outcome)
        return response

    def _ids(self) -> set[object]:
        listed = cast("list[Json]", self.services.hooks.discovery().get("services", []))
        return {service.get("id") for service in listed}


def _body() -> Json:
    if request.mimetype != JSON:
        abort(415)
    try:
        body = orjson.loads(request.get_data(cache=False))
    except orjson.JSONDecodeError:
        raise InvalidResource("the body wants to be one JSON object") from None
    if not isinstance(body, dict):
        raise InvalidResource("the body wants to be one JSON object")
    return body

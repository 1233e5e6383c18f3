"""CDS Hooks 2.0 over HTTP: discovery, calls and feedback. What is said in a card is decided in cds.hooks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import orjson
from flask import Blueprint, Response, abort, request

from cds import metrics
from cds.errors import InvalidResource, NotFound, SightlineError
from cds.services import Json, Services
from cds.web.answers import JSON, answer
from cds.web.hook_callers import client, meanwhile, used_once
from cds.web.limits import DEEPEST, Shares, too_deep


def blueprint(services: Services) -> Blueprint:
    """Discovery always answers 200; a call answers 200 with cards, or 4xx and 5xx with an OperationOutcome."""
    settings = services.settings
    rates = {name: one.rate_per_minute for name, one in settings.hook_clients.items()}
    shares = Shares(rates, settings.hook_rate_per_minute, settings.http_workers)
    found, views = Blueprint("hooks", __name__, url_prefix="/cds-services"), _Views(services, shares)
    found.add_url_rule("", view_func=views.discovery)
    found.add_url_rule("/<service_id>", view_func=views.call, methods=["POST"])
    found.add_url_rule("/<service_id>/feedback", view_func=views.feedback, methods=["POST"])
    return found


@dataclass(frozen=True, slots=True)
class _Views:
    services: Services
    shares: Shares

    def discovery(self) -> Response:
        with meanwhile():
            self._take_a_share()
            return answer(self.services.hooks.discovery())

    def call(self, service_id: str) -> Response:
        with self._counted(metrics.HOOKS, service_id), meanwhile(), metrics.HOOK_SECONDS.time(service=service_id):
            self._take_a_share()
            return answer(self.services.hooks.call(service_id, _body(), client()))

    def feedback(self, service_id: str) -> Response:
        """A token that was used before changes nothing: it is looked at first."""
        with self._counted(metrics.HOOK_FEEDBACK, service_id):
            used_once()
            self._take_a_share()
            return answer(self.services.hooks.feedback(service_id, _body(), client()))

    def _take_a_share(self) -> None:
        self.shares.take(client(), request.remote_addr or "")

    @contextmanager
    def _counted(self, counter: metrics.Counter, service_id: str) -> Iterator[None]:
        """Count and time only services that exist, so that callers cannot invent labels."""
        if service_id not in self._ids():
            with meanwhile():
                self._take_a_share()
                raise NotFound("no such CDS service; GET /cds-services lists them")
        outcome = "failed"
        try:
            yield
            outcome = "answered"
        except SightlineError as error:
            outcome = error.issue_code
            raise
        finally:
            counter.inc(service=service_id, client=client(), outcome=outcome)

    def _ids(self) -> set[object]:
        listed = cast("list[Json]", self.services.hooks.discovery().get("services", []))
        return {service.get("id") for service in listed}


def _body() -> Json:
    if request.mimetype != JSON:
        abort(415)
    raw = request.get_data(cache=False)
    if request.content_length is None and len(raw) >= (request.max_content_length or math.inf):
        abort(413)  # a body in chunks says nothing of its length: reading stops at the limit without a word
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise InvalidResource("the body wants to be one JSON object") from None
    if not isinstance(body, dict):
        raise InvalidResource("the body wants to be one JSON object")
    if too_deep(raw):
        raise InvalidResource(f"the body nests deeper than {DEEPEST} levels")
    return body

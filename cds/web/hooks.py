"""CDS Hooks 2.0 over HTTP: discovery, calls and feedback. What is said in a card is decided in cds.hooks.

Most calls come another way, see `cds.web.quick_calls`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Blueprint, Response, abort, request

from cds import metrics
from cds.errors import NotFound, SightlineError
from cds.services import Services
from cds.web.answers import JSON, answer
from cds.web.hook_callers import caller
from cds.web.hook_calls import HookCalls, read, used_once


def blueprint(services: Services, calls: HookCalls) -> Blueprint:
    """Discovery always answers 200; a call answers 200 with cards, or 4xx and 5xx with an OperationOutcome."""
    found, views = Blueprint("hooks", __name__, url_prefix="/cds-services"), _Views(services, calls)
    found.add_url_rule("", view_func=views.discovery)
    found.add_url_rule("/<service_id>", view_func=views.call, methods=["POST"])
    found.add_url_rule("/<service_id>/feedback", view_func=views.feedback, methods=["POST"])
    return found


@dataclass(frozen=True, slots=True)
class _Views:
    services: Services
    calls: HookCalls

    def discovery(self) -> Response:
        with _meanwhile():
            self.calls.take_a_share(caller())
            return answer(self.services.hooks.discovery())

    def call(self, service_id: str) -> Response:
        self._must_be(service_id)
        return answer(self.calls.answered(service_id, caller(), _raw))

    def feedback(self, service_id: str) -> Response:
        """A token that was used before changes nothing: it is looked at first."""
        self._must_be(service_id)
        with _counted(metrics.HOOK_FEEDBACK, service_id):
            used_once(caller())
            self.calls.take_a_share(caller())
            return answer(self.services.hooks.feedback(service_id, read(_raw()), caller().client))

    def _must_be(self, service_id: str) -> None:
        """Only services that exist are counted and timed, so that callers cannot invent labels."""
        if service_id not in self.calls.ids:
            with _meanwhile():
                self.calls.take_a_share(caller())
                raise NotFound("no such CDS service; GET /cds-services lists them")


@contextmanager
def _meanwhile() -> Iterator[None]:
    """Work that goes on while it is written down that the token was used; neither answer nor error gets out before."""
    try:
        yield
    finally:
        used_once(caller())


@contextmanager
def _counted(counter: metrics.Counter, service_id: str) -> Iterator[None]:
    outcome = "failed"
    try:
        yield
        outcome = "answered"
    except SightlineError as error:
        outcome = error.issue_code
        raise
    finally:
        counter.inc(service=service_id, client=caller().client, outcome=outcome)


def _raw() -> bytes:
    if request.mimetype != JSON:
        abort(415)
    raw = request.get_data(cache=False)
    if request.content_length is None and len(raw) >= (request.max_content_length or math.inf):
        abort(413)  # a body in chunks says nothing of its length: reading stops at the limit without a word
    return raw

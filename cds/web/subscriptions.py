"""Where other FHIR servers notify us: each subscription has an address and a secret of its own (SAFETY section 8).

The secret of 256 bits, in the Authorization header that we gave the server, is the authentication of exactly this
address. What is notified is committed before the answer, and worked off by a worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flask import Blueprint, Response, abort, request

from adapters.fhir.outcome import informational
from cds.services import Notified
from cds.web.answers import FHIR_JSON, JSON, answer

_KEPT = "the notification is kept"


class NotifiedServices(Protocol):
    """What the routes need of `cds.services.Services`."""

    @property
    def notified(self) -> Notified:
        """Who is notified."""
        ...


def blueprint(services: NotifiedServices) -> Blueprint:
    """`POST /subscriptions/<id>`, and `PUT /subscriptions/<id>/<type>/<id>` of R4's own rest-hook with a payload."""
    found, views = Blueprint("subscriptions", __name__, url_prefix="/subscriptions"), _Views(services)
    found.add_url_rule("/<subscription_id>", view_func=views.notified, methods=["POST"])
    found.add_url_rule("/<subscription_id>/<notified_type>/<notified_id>", view_func=views.resource, methods=["PUT"])
    return found


@dataclass(frozen=True, slots=True)
class _Views:
    services: NotifiedServices

    def notified(self, subscription_id: str) -> Response:
        return self._take(subscription_id)

    def resource(self, subscription_id: str, notified_type: str, notified_id: str) -> Response:
        return self._take(subscription_id, notified_type, notified_id)

    def _take(self, subscription_id: str, resource_type: str = "", resource_id: str = "") -> Response:
        secret, who = _secret(), self.services.notified
        who.allow(subscription_id, secret)  # before anything of the body is read
        body = request.get_data(cache=False)
        if body.strip() and request.mimetype not in (FHIR_JSON, JSON):
            abort(415)
        who.take(subscription_id, secret, body, resource_type=resource_type, resource_id=resource_id)
        return answer(informational(_KEPT), content_type=FHIR_JSON)


def _secret() -> str:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""

"""Acknowledging a critical result: a page for a person with its link, and a FHIR Communication for a system.

The link's secret of 256 bits is the authentication of exactly this page (SAFETY section 8): it opens one result, says
no patient, number or study, and can do one thing. Every other secret gets the same answer, so there is nothing to
guess by; no path is logged or counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Protocol

import orjson
from flask import Blueprint, Response, abort, request

from adapters.fhir.outcome import informational
from cds.domain.critical import CriticalResult, CriticalState
from cds.errors import InvalidInput, InvalidResource, NotFound
from cds.settings import Settings
from cds.web import fhir_access, pages
from cds.web.answers import FHIR_JSON, JSON, answer

_FORM = (
    '<form method="post"><p><label>Your name: <input name="name" required maxlength="200" autocomplete="name"></label>'
    '</p><p><button type="submit">I have this result and act on it</button></p></form>'
)


class CriticalServices(Protocol):
    """What of the services these routes use."""

    @property
    def settings(self) -> Settings:
        """Whether every page wants to say that this is development."""
        ...

    @property
    def critical(self) -> Callable[[str], CriticalResult]:
        """A link's secret → its result; raises NotFound."""
        ...

    @property
    def acknowledge_critical(self) -> Callable[[str, str], CriticalResult]:
        """A link's secret, a person's name → the result afterwards; raises NotFound and InvalidInput."""
        ...

    @property
    def acknowledge_communication(self) -> Callable[[Mapping[str, object]], None]:
        """What a FHIR Communication that answers ours does; raises InvalidResource and NotFound."""
        ...


def blueprint(services: CriticalServices) -> Blueprint:
    """`GET` and `POST /critical/<token>`, and `POST /fhir/Communication`."""
    found = Blueprint("critical", __name__)

    def show(token: str) -> Response:
        return _page_of(services, lambda: services.critical(token))

    def confirm(token: str) -> Response:
        name = request.form.get("name", "")
        return _page_of(services, lambda: services.acknowledge_critical(token, name))

    def answered() -> Response:
        fhir_access.may_send("Communication", "c")
        services.acknowledge_communication(_body())
        return answer(informational("the critical result is acknowledged"), content_type=FHIR_JSON)

    found.add_url_rule("/critical/<token>", "show", show)
    found.add_url_rule("/critical/<token>", "confirm", confirm, methods=["POST"])
    found.add_url_rule("/fhir/Communication", "communication", answered, methods=["POST"])
    return found


def _page_of(services: CriticalServices, find: Callable[[], CriticalResult]) -> Response:
    try:
        result = find()
    except NotFound:
        return _page(services, "There is no critical result at this address", "", status=404)
    except InvalidInput as error:
        return _page(services, "Please give your name", f"<p>{escape(str(error))}</p>{_FORM}", status=400)
    if result.state is CriticalState.CLOSED:
        closed = "<p>This critical result was withdrawn. Nobody has to act on it.</p>"
        return _page(services, "Withdrawn", closed + _facts(result), status=410)
    if result.state is CriticalState.ACKNOWLEDGED:
        return _page(services, "Acknowledged", _facts(result) + _who(result))
    return _page(services, "Critical AI finding", _facts(result) + _FORM)


def _facts(result: CriticalResult) -> str:
    """What everybody with the link may read."""
    made = result.images_at.isoformat(sep=" ", timespec="minutes") if result.images_at else "at an unknown time"
    facts = (
        f"{result.title}",
        f"ACR category {result.category.value}",
        f"Images made {made}",
        f"Told since {result.created_at.isoformat(sep=' ', timespec='minutes')}",
        f"Critical result {result.id}",
        "Advisory output of research software, not a radiology report.",
    )
    return "<ul>" + "".join(f"<li>{escape(fact)}</li>" for fact in facts) + "</ul>"


def _who(result: CriticalResult) -> str:
    at = result.acknowledged_at.isoformat(sep=" ", timespec="minutes") if result.acknowledged_at else ""
    return f"<p>Acknowledged by {escape(result.acknowledged_by)} at {escape(at)}.</p>"


def _page(services: CriticalServices, heading: str, body: str, *, status: int = 200) -> Response:
    return pages.page("Critical result", heading, body, settings=services.settings, status=status)


def _body() -> Mapping[str, object]:
    if request.mimetype not in (FHIR_JSON, JSON):
        abort(415)
    try:
        body = orjson.loads(request.get_data(cache=False))
    except orjson.JSONDecodeError:
        raise InvalidResource("the body wants to be one JSON object") from None
    if not isinstance(body, dict):
        raise InvalidResource("the body wants to be one JSON object")
    return body

"""Errors as OperationOutcome, for FHIR and for CDS Hooks alike. This is the outermost handler of the web role."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial

from flask import Flask, Response, request
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import ClientDisconnected, HTTPException, MethodNotAllowed

from cds.errors import SightlineError, TooManyRequests, Unauthorized
from cds.logs import get_logger
from cds.services import Json
from cds.web.answers import FHIR_JSON, JSON, answer
from cds.web.slow_peers import SlowPeer

log = get_logger(__name__)

Outcome = Callable[[str, str], Json]

_INTERNAL = 500
_BAD_REQUEST, _TIMEOUT = 400, 408
#: HTTP status → issue code of http://hl7.org/fhir/issue-type and what was wanted.
_HTTP = {
    _BAD_REQUEST: ("structure", "the request is not well-formed HTTP, or its form cannot be read"),
    404: ("not-found", "there is nothing at this address"),
    405: ("not-supported", "this address is not used with this method"),
    406: ("not-supported", "this server speaks FHIR 4.0 as JSON, application/fhir+json, and nothing else"),
    _TIMEOUT: ("timeout", "the request comes too slowly"),
    412: ("conflict", "the version here is not the one that If-Match names"),
    413: ("too-long", "the body is larger than 4 MiB"),
    415: ("not-supported", "the body has another content type than this address reads"),
}


def install(app: Flask, outcome: Outcome) -> None:
    """Answer every error with its status and an OperationOutcome; what nobody expected gets a reference to its log."""

    def known(error: SightlineError) -> Response:
        if error.http_status >= _INTERNAL:
            log.warning("a request was refused", route=_route(), method=request.method, exc_info=error)
        response = _answer(outcome(error.issue_code, str(error)), error.http_status)
        response.headers.update(_told_in_headers(error))
        return response

    def http(error: HTTPException) -> Response:
        status = error.code or _INTERNAL
        response = _answer(outcome(*_HTTP.get(status, ("processing", error.name))), status)
        if isinstance(error, MethodNotAllowed):
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
        return response

    def unexpected(error: Exception) -> Response:
        reference = secrets.token_hex(8)
        log.error("a request failed", route=_route(), method=request.method, error=reference, exc_info=error)
        return _answer(outcome("exception", f"internal error, see reference {reference} in the log"), _INTERNAL)

    app.register_error_handler(SightlineError, known)
    app.register_error_handler(HTTPException, http)
    for broken in (ClientDisconnected, SlowPeer, ParseException, NoMoreData):
        app.register_error_handler(broken, partial(_cut_off, outcome))
    app.register_error_handler(Exception, unexpected)


def _told_in_headers(error: SightlineError) -> dict[str, str]:
    """RFC 9110 sections 11.6.1 and 10.2.3."""
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    return {"Retry-After": str(error.retry_after_s)} if isinstance(error, TooManyRequests) else {}


def _cut_off(outcome: Outcome, error: Exception) -> Response:
    """The body stalls, breaks off or is no HTTP: gunicorn closes the connection after the answer."""
    slow = isinstance(error, SlowPeer) or isinstance(error.__context__, SlowPeer)  # werkzeug says ClientDisconnected
    status = _TIMEOUT if slow else _BAD_REQUEST
    return _answer(outcome(*_HTTP[status]), status)


def _answer(body: Json, status: int) -> Response:
    return answer(body, status=status, content_type=JSON if request.path.startswith("/cds-services") else FHIR_JSON)


def _route() -> str:
    return request.url_rule.rule if request.url_rule else "none"

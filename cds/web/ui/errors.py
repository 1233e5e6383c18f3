"""Errors as pages in words. This is the outermost handler of the pages."""

from __future__ import annotations

import secrets
from urllib.parse import urlencode

from flask import Flask, Response, request
from flask_wtf.csrf import CSRFError
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import ClientDisconnected, HTTPException, MethodNotAllowed

from cds.errors import SightlineError, TooManyRequests, Unauthorized
from cds.logs import get_logger
from cds.web.slow_peers import SlowPeer
from cds.web.ui.guard import FRESH
from cds.web.ui.shown import page

log = get_logger(__name__)

_INTERNAL, _SEE_OTHER = 500, 303
_BAD_REQUEST, _TIMEOUT = 400, 408
#: RFC 9110 section 15.5.2 wants a challenge; no browser asks for a password where it does not know the scheme.
_CHALLENGE = 'Cookie realm="Sightline"'
_TITLES = {
    400: "This cannot be used",
    401: "Please sign in",
    403: "Not for you to open",
    404: "There is nothing to show at this address",
    405: "This address is not used in this way",
    409: "Somebody was quicker",
    413: "This is too large",
    429: "Too often at once",
    502: "The other side refused",
    503: "Not available now",
}
_FORM_IS_OLD = (
    "The form was open for too long, or it is not from this page. Go back, reload the page and send it again."
)


def install(app: Flask) -> None:
    """Answer every error with its status and a page; what nobody expected gets a reference to its log."""

    def http(error: HTTPException) -> Response:
        status = error.code or _INTERNAL
        response = told(_FORM_IS_OLD if isinstance(error, CSRFError) else "", status)
        if isinstance(error, MethodNotAllowed):
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
        return response

    def unexpected(error: Exception) -> Response:
        reference = secrets.token_hex(8)
        log.error("a page failed", route=_route(), method=request.method, error=reference, exc_info=error)
        return told(f"Internal error. Tell your administrator the reference {reference}.", _INTERNAL)

    app.register_error_handler(SightlineError, _known)
    app.register_error_handler(HTTPException, http)
    for broken in (ClientDisconnected, SlowPeer, ParseException, NoMoreData):
        app.register_error_handler(broken, _cut_off)
    app.register_error_handler(Exception, unexpected)


def _known(error: SightlineError) -> Response:
    if error.http_status >= _INTERNAL:
        log.warning("a page could not be shown", route=_route(), method=request.method, exc_info=error)
    if isinstance(error, Unauthorized) and _is_navigation():
        return _to_sign_in()
    response = told(str(error), error.http_status)
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = _CHALLENGE
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _cut_off(error: Exception) -> Response:
    """The body stalls, breaks off or is no HTTP: gunicorn closes the connection after the answer."""
    slow = isinstance(error, SlowPeer) or isinstance(error.__context__, SlowPeer)  # werkzeug says ClientDisconnected
    return told("What was sent did not arrive whole: send it again.", _TIMEOUT if slow else _BAD_REQUEST)


def told(words: str, status: int) -> Response:
    """A page that says what was wrong."""
    return page("message.html", status=status, heading=_TITLES.get(status, "This did not work"), words=words)


def _is_navigation() -> bool:
    """Whether a person follows a link: parts of a page and pictures are not sent to the sign-in instead."""
    return request.method == "GET" and "text/html" in request.headers.get("Accept", "") and FRESH not in request.headers


def _to_sign_in() -> Response:
    asked = "" if request.path == "/" else "?" + urlencode({"next": request.full_path.rstrip("?")})
    return Response(status=_SEE_OTHER, headers={"Location": f"{request.script_root}/sign-in{asked}"})


def _route() -> str:
    return request.url_rule.rule if request.url_rule else "none"

"""Pages for a person's browser: a session in a cookie, and errors told in words instead of as a resource."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from flask import Response, request

from cds.errors import SightlineError, TooManyRequests, Unauthorized
from cds.logs import get_logger
from cds.render import study_page
from cds.services import Services
from cds.study_pages import StudyServices, Visitor

log = get_logger(__name__)

SESSION = "sightline_session"
#: Browsers keep such a cookie to the host that set it over https (RFC 6265bis section 4.1.3.2): no other host of the
#: domain can put the session of another patient in its place.
_OURS_ALONE = "__Host-"
#: An EHR lets somebody in for so long.
SESSION_LASTS = timedelta(minutes=30)
_FAILED = 500
#: RFC 9110 section 15.5.2 wants a challenge; no browser asks for a password where it does not know the scheme.
_CHALLENGE = 'Cookie realm="Sightline", launch="SMART"'
_TITLES = {
    400: "This launch cannot be used",
    401: "Please open Sightline from the patient's chart",
    403: "Not shown here",
    404: "There is nothing to show at this address",
    429: "Too many launches at once",
    502: "The EHR refused",
    503: "Not available now",
}


def page(html: str, *, status: int = 200) -> Response:
    """A page that loads nothing: its own style is named by digest."""
    response = Response(html, status=status, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = study_page.CONTENT_SECURITY_POLICY
    return response


def told(services: Services, show: Callable[[StudyServices], Response]) -> Response:
    """What `show` answers; an error that has words as a page that says them."""
    settings = services.settings
    try:
        if services.studies is None:
            raise Unauthorized("No EHR is configured here that can launch this page.")
        return show(services.studies)
    except SightlineError as error:
        rule = request.url_rule.rule if request.url_rule else "none"
        if error.http_status >= _FAILED:
            log.warning("a page could not be shown", route=rule, exc_info=error)
        title = _TITLES.get(error.http_status, "This did not work")
        html = study_page.message(title, str(error), site_name=settings.site_name, insecure=settings.insecure)
        response = page(html, status=error.http_status)
        if isinstance(error, Unauthorized):
            response.headers["WWW-Authenticate"] = _CHALLENGE
        if isinstance(error, TooManyRequests):
            response.headers["Retry-After"] = str(error.retry_after_s)
        return response


def visitor(services: Services, studies: StudyServices) -> Visitor:
    """Who looks; raise Unauthorized where nobody was let in, or too long ago."""
    return studies.visitor(kept(services, SESSION))


def kept(services: Services, name: str) -> str:
    """What a cookie of ours holds; "" where there is none."""
    return request.cookies.get(_named(services, name), "")


def give(response: Response, services: Services, name: str, value: str, lasts: timedelta) -> None:
    """Set a cookie that no script reads, that no other site's form sends, and that https alone carries where it can."""
    response.set_cookie(
        _named(services, name), value, max_age=lasts, httponly=True, samesite="Lax", secure=_is_secure(services)
    )


def take(response: Response, services: Services, name: str) -> None:
    """Take a cookie back."""
    response.delete_cookie(_named(services, name), httponly=True, samesite="Lax", secure=_is_secure(services))


def _named(services: Services, name: str) -> str:
    return f"{_OURS_ALONE}{name}" if _is_secure(services) else name


def _is_secure(services: Services) -> bool:
    return services.settings.public_url.startswith("https://")

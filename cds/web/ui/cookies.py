"""The cookies of the pages: read by no script, sent by no other site's form, over https alone where it can be."""

from __future__ import annotations

from datetime import timedelta

from flask import request
from werkzeug.wrappers import Response as AnyResponse

from cds.settings import Settings

SESSION = "sightline_session"
FORMS = "sightline_forms"
THEME = "sightline_theme"
#: Browsers keep such a cookie to the host that set it over https (RFC 6265bis section 4.1.3.2): no other host of the
#: domain can put another one in its place.
_OURS_ALONE = "__Host-"


def is_secure(settings: Settings) -> bool:
    """Whether browsers come over https."""
    return settings.ui_address.startswith("https://")


def named(settings: Settings, name: str) -> str:
    """The name of a cookie as the browser knows it."""
    return f"{_OURS_ALONE}{name}" if is_secure(settings) else name


def read(settings: Settings, name: str) -> str:
    """What a cookie of ours holds; "" where there is none."""
    return request.cookies.get(named(settings, name), "")


def give(response: AnyResponse, settings: Settings, name: str, value: str, lasts: timedelta | None = None) -> None:
    """Set a cookie; without `lasts` until the browser is closed."""
    response.set_cookie(
        named(settings, name), value, max_age=lasts, httponly=True, samesite="Lax", secure=is_secure(settings)
    )


def take(response: AnyResponse, settings: Settings, name: str) -> None:
    """Take a cookie back."""
    response.delete_cookie(named(settings, name), httponly=True, samesite="Lax", secure=is_secure(settings))

"""Deny by default: one check before every request (SAFETY section 8)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import urlsplit

from flask import Flask, g, request

from cds.errors import ConfigurationError, Unauthorized
from cds.settings import is_loopback

#: What a load balancer or another server may ask without a secret: "live", and public keys.
OPEN_PATHS = frozenset({"/health/live", "/.well-known/jwks.json"})
#: Below these, addresses have secrets of their own: links in mails (`cds.web.critical`), and notifications of FHIR
#: servers, which carry the secret of their subscription (`cds.web.subscriptions`).
OPEN_BELOW = ("/critical/", "/subscriptions/")
HOOKS = "/cds-services"
_FHIR = "/fhir"


def install(
    app: Flask,
    token: str | None,
    access: Callable[[str], object] | None = None,
    hooks: Callable[[str], None] | None = None,
) -> None:
    """Refuse every request without the bearer token (RFC 6750), unknown addresses included; None asks for none.

    With `access` the FHIR API is also, and without a `token` only, open to access tokens that it can read; what they
    grant is `flask.g.access`. With `hooks` it alone says who may call CDS Hooks, by what the caller shows. Raise
    ConfigurationError for an empty token, which would open the door to everybody.
    """
    if token is not None and not token.strip():
        raise ConfigurationError(["CDS_HTTP_TOKEN_FILE holds no token"])
    wanted = token.encode() if token is not None else None

    def check() -> None:
        if request.path in OPEN_PATHS or request.path.startswith(OPEN_BELOW):
            return
        bearer = _bearer()
        if hooks is not None and _is_below(HOOKS, request.path):
            hooks(bearer)
        elif wanted is not None and hmac.compare_digest(bearer.encode(), wanted):
            return
        elif access is not None and _is_below(_FHIR, request.path):
            g.access = access(bearer)
        elif wanted is not None:
            raise Unauthorized

    app.before_request(check)


def only_this_machine(app: Flask, public_url: str) -> None:
    """Refuse who comes under a stranger's name, where nobody has to prove who calls.

    The page of another site can make a name of its own lead to this machine (DNS rebinding), and a browser would let
    it read every answer.
    """
    answers_to = is_this_machine(public_url)

    def check() -> None:
        if not answers_to(request.host):
            raise Unauthorized(
                "development mode (CDS_INSECURE) answers to the names of this machine and of CDS_BASE_URL"
            )

    app.before_request(check)


def is_this_machine(public_url: str) -> Callable[[str], bool]:
    """Whether a Host header names this machine, by the name of the settings or as itself."""
    ours = urlsplit(public_url).hostname

    @lru_cache(maxsize=64)
    def answers_to(host: str) -> bool:
        name = _hostname(host)
        return name == ours or is_loopback(name)

    return answers_to


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _bearer() -> str:
    return bearer_of(request.headers.get("Authorization", ""))


def bearer_of(authorization: str) -> str:
    """The token of such a header, "" where there is none: no issuer's token is empty."""
    scheme, _, given = authorization.partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def _is_below(base: str, path: str) -> bool:
    return path == base or path.startswith(f"{base}/")

"""Deny by default: one check before every request (SAFETY section 8)."""

from __future__ import annotations

import hmac

from flask import Flask, request

from cds.errors import ConfigurationError, Unauthorized

#: What a load balancer may ask without a secret; it says nothing but "live".
OPEN_PATHS = frozenset({"/health/live"})
#: Below it stand secrets of 256 bits, each of which opens one page (`cds.web.critical`): a person comes from a mail.
OPEN_BELOW = "/critical/"


def install(app: Flask, token: str | None) -> None:
    """Refuse every request without the bearer token (RFC 6750), unknown addresses included; None asks for none.

    Raise ConfigurationError for an empty token, which would open the door to everybody.
    """
    if token is None:
        return
    if not token.strip():
        raise ConfigurationError(["CDS_HTTP_TOKEN_FILE holds no token"])
    wanted = token.encode()

    def check() -> None:
        if request.path in OPEN_PATHS or request.path.startswith(OPEN_BELOW):
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), wanted):
            raise Unauthorized

    app.before_request(check)

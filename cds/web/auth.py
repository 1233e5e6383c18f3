"""Deny by default: one check before every request (SAFETY section 8)."""

from __future__ import annotations

import hmac

from flask import Flask, request

from cds.errors import ConfigurationError, Unauthorized

#: What a load balancer may ask without a secret; it says nothing but "live".
OPEN_PATHS = frozenset({"/health/live"})


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
        if request.path in OPEN_PATHS:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), wanted):
            raise Unauthorized

    app.before_request(check)

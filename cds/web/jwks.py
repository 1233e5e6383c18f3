"""Our public keys, for the FHIR servers that know us by them (SMART Backend Services; RFC 7517)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from flask import Blueprint, Response

from cds.services import Json
from cds.web.answers import answer


class HasKeys(Protocol):
    """What the route needs of `cds.services.Services`."""

    @property
    def jwks(self) -> Callable[[], Json]:
        """The JWK Set of the public keys; raises Unavailable while a changed key file cannot be used."""
        ...


def blueprint(services: HasKeys) -> Blueprint:
    """`GET /.well-known/jwks.json`, which needs no token: `cds.web.auth` leaves it open."""
    found, views = Blueprint("jwks", __name__), _Views(services)
    found.add_url_rule("/.well-known/jwks.json", view_func=views.keys)
    return found


@dataclass(frozen=True, slots=True)
class _Views:
    services: HasKeys

    def keys(self) -> Response:
        return answer(self.services.jwks())

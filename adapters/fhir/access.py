"""Who may read our FHIR API: JWT access tokens of the site's authorization servers, and their SMART scopes.

SMART App Launch 2.2, "Scopes and Launch Context"; RFC 9068 for what such a token carries.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jwt

from adapters.fhir.jwks import KeyPlace, Keys
from cds.errors import Unauthorized
from cds.fhir_peers import SmartIssuer
from cds.logs import get_logger

log = get_logger(__name__)

Interaction = Literal["c", "r", "u", "d", "s"]

#: Asymmetric alone: whoever verifies must not be able to make one.
_ALGORITHMS = {"RSA": ("RS256", "RS384", "RS512", "PS256", "PS384"), "EC": ("ES256", "ES384")}
_SCOPE = re.compile(r"(patient|user|system)/(\*|[A-Za-z]+)\.(read|write|\*|c?r?u?d?s?)")
_FIRST = {"read": "rs", "write": "cud", "*": "cruds"}
_LEEWAY_S = 60
_LONGEST_TOKEN = 16_384


@dataclass(frozen=True, slots=True)
class Access:
    """What a token lets its bearer do. With `patient` every answer is limited to this Patient's compartment."""

    granted: frozenset[tuple[str, str]]
    patient: str | None = None

    def allows(self, resource_type: str, interaction: Interaction) -> bool:
        """True where a scope grants it; `interaction` as in SMART 2: create, read, update, delete, search."""
        return (resource_type, interaction) in self.granted or ("*", interaction) in self.granted


def read_scopes(scope: str, patient: str | None) -> Access:
    """The access that a scope string grants; what is not understood grants nothing.

    A scope with a query (`…?category=…`) grants nothing, because its limit is not kept. `patient/` scopes without a
    patient in context grant nothing; with one, everything is limited to her, whatever else was granted.
    """
    granted: set[tuple[str, str]] = set()
    of_patient = False
    for one in scope.split():
        match = _SCOPE.fullmatch(one)
        if match is None or not match[3] or (match[1] == "patient" and not patient):
            continue
        of_patient |= match[1] == "patient"
        granted |= {(match[2], letter) for letter in _FIRST.get(match[3], match[3])}
    return Access(frozenset(granted), patient if of_patient else None)


class AccessTokens:
    """Reads access tokens. `issuers` is by the `iss` of their tokens, without a slash at the end."""

    def __init__(
        self, issuers: Mapping[str, SmartIssuer], audience: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        places = {name: KeyPlace(issuer.jwks_url, issuer.jwks_file) for name, issuer in issuers.items()}
        self._issuers = {name: Keys(place, clock) for name, place in places.items()}
        self._audiences = {name: issuer.audience or audience for name, issuer in issuers.items()}

    def __call__(self, token: str) -> Access:
        """What a token grants; raise Unauthorized, without a word why, or Unavailable where keys cannot be had."""
        try:
            if len(token) > _LONGEST_TOKEN:
                raise jwt.DecodeError("too long")
            head = jwt.get_unverified_header(token)
            stated = jwt.decode(token, options={"verify_signature": False}).get("iss")
            name = stated.rstrip("/") if isinstance(stated, str) else ""
            if name not in self._issuers:
                raise jwt.InvalidIssuerError("not configured")
            kind, key = self._issuers[name].key(str(head.get("kid", "")))
            if head.get("alg") not in _ALGORITHMS[kind]:
                raise jwt.InvalidAlgorithmError("not of this key")
            claims = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS[kind],
                audience=self._audiences[name],
                issuer=stated,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            log.warning("an access token was refused", reason_code=type(error).__name__)
            raise Unauthorized from None
        return _granted(claims)


def _granted(claims: Mapping[str, Any]) -> Access:
    """`scope` as one string (RFC 9068), or as a list, which some servers send under `scp`."""
    stated = claims.get("scope", claims.get("scp", ""))
    words = " ".join(map(str, stated)) if isinstance(stated, list) else stated
    patient = claims.get("patient")
    return read_scopes(words if isinstance(words, str) else "", patient if isinstance(patient, str) else None)

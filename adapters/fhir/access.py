"""Who may read our FHIR API: JWT access tokens of the site's authorization servers, and their SMART scopes.

SMART App Launch 2.2, "Scopes and Launch Context"; RFC 9068 for what such a token carries.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
import jwt
import orjson

from cds.errors import Unauthorized, Unavailable
from cds.fhir_peers import SmartIssuer
from cds.logs import get_logger

log = get_logger(__name__)

Interaction = Literal["c", "r", "u", "d", "s"]

#: Asymmetric alone: whoever verifies must not be able to make one.
_ALGORITHMS = {"RSA": ("RS256", "RS384", "RS512", "PS256", "PS384"), "EC": ("ES256", "ES384")}
_SCOPE = re.compile(r"(patient|user|system)/(\*|[A-Za-z]+)\.(read|write|\*|c?r?u?d?s?)")
_FIRST = {"read": "rs", "write": "cud", "*": "cruds"}
_LEEWAY_S = 60
#: Keys are asked for again after this time, and for an unknown `kid` at most once in the shorter one.
_KEPT_S, _ASKED_AGAIN_S = 3600.0, 60.0
#: An issuer that did not answer is left alone for so long: nobody's token makes every caller wait for it.
_LEFT_ALONE_S = 10.0
_TIMEOUT_S = 10.0
_LONGEST_TOKEN, _LONGEST_JWKS = 16_384, 1024 * 1024


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
        self._issuers = {name: _Keys(issuer, clock) for name, issuer in issuers.items()}
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
        except (jwt.PyJWTError, ValueError) as error:
            log.warning("an access token was refused", reason_code=type(error).__name__)
            raise Unauthorized from None
        return _granted(claims)


def _granted(claims: Mapping[str, Any]) -> Access:
    """`scope` as one string (RFC 9068), or as a list, which some servers send under `scp`."""
    stated = claims.get("scope", claims.get("scp", ""))
    words = " ".join(map(str, stated)) if isinstance(stated, list) else stated
    patient = claims.get("patient")
    return read_scopes(words if isinstance(words, str) else "", patient if isinstance(patient, str) else None)


def _public(stated: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Kind and key, whatever algorithm the set names for it; None for a kind that no token here may be signed with.

    An issuer may publish such keys too.
    """
    kind = stated.get("kty")
    try:
        return (str(kind), jwt.PyJWK(dict(stated)).key) if kind in _ALGORITHMS else None
    except jwt.PyJWTError:
        return None


class _Keys:
    """The public keys of one issuer, asked for when they are wanted, and again for a `kid` that is new."""

    def __init__(self, issuer: SmartIssuer, clock: Callable[[], float]) -> None:
        self._issuer, self._clock = issuer, clock
        self._lock = threading.Lock()
        self._keys: dict[str, tuple[str, Any]] = {}
        self._asked_at: float | None = None
        self._failed_at: float | None = None

    def key(self, kid: str) -> tuple[str, Any]:
        if self._due(known=kid in self._keys):
            with self._lock:
                if self._due(known=kid in self._keys):  # who waited finds them renewed
                    self._renew()
        keys = self._keys
        if kid in keys:
            return keys[kid]
        if not kid and len(keys) == 1:
            return next(iter(keys.values()))
        raise jwt.InvalidKeyError("no such key")

    def _renew(self) -> None:
        if self._failed_at is not None and self._clock() - self._failed_at < _LEFT_ALONE_S:
            raise Unavailable("the keys of the token issuer could not be read some seconds ago: ask again later")
        try:
            self._keys = self._read()
        except Unavailable:
            self._failed_at = self._clock()
            raise
        self._asked_at, self._failed_at = self._clock(), None

    def _due(self, *, known: bool) -> bool:
        if self._asked_at is None:
            return True
        return self._clock() - self._asked_at > (_KEPT_S if known else _ASKED_AGAIN_S)

    def _read(self) -> dict[str, tuple[str, Any]]:
        try:
            found = orjson.loads(self._fetched())
        except (OSError, httpx.HTTPError, orjson.JSONDecodeError) as error:
            raise Unavailable(f"the keys of the token issuer cannot be read: {type(error).__name__}") from None
        listed = found.get("keys") if isinstance(found, dict) else None
        usable = [one for one in listed or [] if isinstance(one, dict) and one.get("use", "sig") == "sig"]
        return {str(one.get("kid", "")): key for one in usable if (key := _public(one)) is not None}

    def _fetched(self) -> bytes:
        if self._issuer.jwks_file is not None:
            return Path(self._issuer.jwks_file).read_bytes()
        answer = httpx.get(self._issuer.jwks_url or "", timeout=_TIMEOUT_S, follow_redirects=False).raise_for_status()
        if not answer.is_success or len(answer.content) > _LONGEST_JWKS:
            raise httpx.HTTPError("no key set")
        return answer.content

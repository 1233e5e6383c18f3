"""Which EHR calls CDS Hooks: the JWT that it signs for every call.

CDS Hooks 2.0, "Trusting CDS Clients" (https://cds-hooks.hl7.org/2.0/#trusting-cds-clients), and the best practices of
its security chapter; RFC 7519, RFC 8725.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.exceptions import InvalidJTIError

from adapters.fhir.jwks import KeyPlace, Keys
from cds.errors import Unauthorized
from cds.hook_peers import HookClient
from cds.logs import get_logger
from cds.ports import Clock

log = get_logger(__name__)

#: (issuer, jti, until when it counts) → whether it is new, once that is committed.
Fresh = Callable[[str, str, datetime], Callable[[], bool]]

#: RFC 7518 section 3.4: an algorithm goes with one curve.
_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1"}
#: RFC 7518 section 3.3.
_SHORTEST_RSA_BITS = 2048
_LEEWAY_S = 60.0
#: How long a token may live: so long every jti is remembered.
_LONGEST_LIFE_S = 3600.0
#: Keys that cannot be renewed are believed for so much longer, so that an EHR's web server may be away for a while.
_STALE_S = 4 * 3600.0
#: A clinician waits for the one call in an hour that asks for keys.
_TIMEOUT_S = 3.0
_LONGEST_TOKEN, _LONGEST_JTI = 16_384, 255
_FORGET_EVERY_S = 60.0


class WrongTenantError(jwt.InvalidTokenError):
    """The client is known, this tenant of it is not."""


class WrongAddressOfKeysError(jwt.InvalidTokenError):
    """`jku` is not of the list."""


class ReplayedError(jwt.InvalidTokenError):
    """The token was used before."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A client that proved who it is, by its name in the settings; `fresh` says whether the token was never used."""

    client: str
    fresh: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class _Client:
    name: str
    settings: HookClient
    #: By the `jku` of a token; "" where it has none.
    keys: Mapping[str, Keys]


@dataclass(slots=True)
class _Seen:
    """What this process saw: a token that comes again is refused before anything is done for it."""

    _until: dict[tuple[str, str], float] = field(default_factory=dict)
    _forgot_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def first(self, issuer: str, jti: str, until: float, now: float) -> bool:
        with self._lock:
            if now - self._forgot_at > _FORGET_EVERY_S:
                self._until, self._forgot_at = {key: end for key, end in self._until.items() if end > now}, now
            known = (issuer, jti) in self._until
            self._until.setdefault((issuer, jti), until)
            return not known


class HookClients:
    """Reads the tokens of the EHRs that may call; `elapsed` tells how old keys are."""

    def __init__(
        self,
        clients: Mapping[str, HookClient],
        fresh: Fresh,
        clock: Clock,
        *,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = {one.issuer: _Client(name, one, _key_sets(one, elapsed)) for name, one in clients.items()}
        self._fresh, self._clock, self._seen = fresh, clock, _Seen()

    def __call__(self, token: str, url: str) -> Proven:
        """Who calls this URL; raise Unauthorized, without a word why, or Unavailable where keys cannot be had."""
        claimed = ""
        try:
            head, claims = _read(token)
            client = self._client(claims.get("iss"))
            claimed = client.name
            _verify(token, head, client)
            now = self._clock.now().timestamp()
            _check(claims, client.settings, url, now)
            until = float(claims["exp"]) + _LEEWAY_S
            if not self._seen.first(client.settings.issuer, claims["jti"], until, now):
                raise ReplayedError
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            reason = type(error).__name__ if token else "no token"
            log.warning("a CDS Hooks call was refused", peer=claimed or "unknown", reason_code=reason)
            raise Unauthorized from None
        ends = datetime.fromtimestamp(0, UTC) + timedelta(seconds=until)
        return Proven(client.name, self._fresh(client.settings.issuer, claims["jti"], ends))

    def _client(self, issuer: object) -> _Client:
        if not isinstance(issuer, str) or issuer not in self._clients:
            raise jwt.InvalidIssuerError("not configured")
        return self._clients[issuer]


def _read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims as they stand there, believed by nobody yet."""
    if len(token) > _LONGEST_TOKEN:
        raise jwt.DecodeError("too long")
    read = jwt.PyJWS().decode_complete(token, options={"verify_signature": False})
    claims = orjson.loads(read["payload"])
    if not isinstance(claims, dict):
        raise jwt.DecodeError("no claims")
    return read["header"], claims


def _verify(token: str, head: Mapping[str, Any], client: _Client) -> None:
    """A key of this client signed it."""
    algorithm, jku = head.get("alg"), head.get("jku", "")
    if algorithm not in client.settings.algorithms or "crit" in head:
        raise jwt.InvalidAlgorithmError("not of this client")
    if not isinstance(jku, str) or jku not in client.keys:
        raise WrongAddressOfKeysError
    _, key = client.keys[jku].key(str(head.get("kid", "")))
    _check_key(key, algorithm)
    jwt.PyJWS().decode_complete(token, key, algorithms=[algorithm])


def _key_sets(client: HookClient, elapsed: Callable[[], float]) -> dict[str, Keys]:
    """Of a client with a file the addresses are names that its tokens may carry, and none of them is asked."""
    if client.jwks_file is not None:
        return dict.fromkeys(("", *client.jku), Keys(KeyPlace(file=client.jwks_file), elapsed, stale_s=_STALE_S))
    addresses = (client.jwks_url or "", *client.jku)
    sets = {url: Keys(KeyPlace(url, timeout_s=_TIMEOUT_S), elapsed, stale_s=_STALE_S) for url in addresses}
    return {"": sets[addresses[0]], **sets}


def _check_key(key: object, algorithm: str) -> None:
    """The key is of the kind, curve and length that the algorithm wants."""
    if algorithm in _CURVES:
        fits = isinstance(key, EllipticCurvePublicKey) and key.curve.name == _CURVES[algorithm]
    else:
        fits = isinstance(key, RSAPublicKey) and key.key_size >= _SHORTEST_RSA_BITS
    if not fits:
        raise jwt.InvalidKeyError("not of this algorithm")


def _check(claims: Mapping[str, Any], client: HookClient, url: str, now: float) -> None:
    """What a signed token says holds: for this call, now, once, of this tenant."""
    _check_times(claims, now)
    stated = claims.get("aud")
    audiences = stated if isinstance(stated, list) else [stated]
    if not any(one == url or one in client.audiences for one in audiences if isinstance(one, str)):
        raise jwt.InvalidAudienceError
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_JTI or not jti.isprintable():
        raise InvalidJTIError
    if client.tenants and claims.get("tenant") not in client.tenants:
        raise WrongTenantError


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    ends, made = _moment(claims, "exp"), _moment(claims, "iat")
    if ends <= now - _LEEWAY_S:
        raise jwt.ExpiredSignatureError
    if made > now + _LEEWAY_S or not 0 < ends - made <= _LONGEST_LIFE_S:
        raise jwt.InvalidIssuedAtError
    if "nbf" in claims and _moment(claims, "nbf") > now + _LEEWAY_S:
        raise jwt.ImmatureSignatureError


def _moment(claims: Mapping[str, Any], name: str) -> float:
    """NumericDate of RFC 7519 section 2."""
    stated = claims.get(name)
    if isinstance(stated, bool) or not isinstance(stated, int | float) or not math.isfinite(stated):
        raise jwt.MissingRequiredClaimError(name)
    return float(stated)

"""An EHR that calls CDS Hooks: its keys, and the tokens that it signs, right ones and wrong ones."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ISSUER = "https://ehr.example/fhir"
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P384 = ec.generate_private_key(ec.SECP384R1())
P256 = ec.generate_private_key(ec.SECP256R1())
#: Algorithm → the key that it is used with here, and its id.
KEYS: Mapping[str, tuple[PrivateKey, str]] = {
    "ES384": (P384, "p384"),
    "RS384": (RSA, "rsa"),
    "ES256": (P256, "p256"),
    "RS256": (RSA, "rsa"),
}


def jwks(**keys: PrivateKey) -> dict[str, Any]:
    """The public halves, by their ids."""
    return {"keys": [_public(key) | {"kid": kid, "use": "sig"} for kid, key in keys.items()]}


def _public(key: PrivateKey) -> dict[str, Any]:
    made: Any = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    found: dict[str, Any] = json.loads(made.to_jwk(key.public_key()))
    return found


ALL = jwks(p384=P384, rsa=RSA, p256=P256)


def claims(url: str, now: datetime = NOW, **changed: object) -> dict[str, object]:
    """What CDS Hooks 2.0 wants a client to say; None leaves a claim out."""
    at = int(now.timestamp())
    stated = {"iss": ISSUER, "aud": url, "exp": at + 300, "iat": at, "jti": str(uuid.uuid4()), **changed}
    return {name: value for name, value in stated.items() if value is not None}


def token(
    url: str, *, algorithm: str = "ES384", now: datetime = NOW, head: Mapping[str, Any] | None = None, **changed: object
) -> str:
    """A token for one call of a URL."""
    key, kid = KEYS[algorithm]
    headers = {"kid": kid, "typ": "JWT", **(head or {})}
    named = {name: value for name, value in headers.items() if value is not None}
    return jwt.encode(claims(url, now, **changed), key, algorithm, headers=named)


def part(value: object) -> str:
    """A part of a token that no library would write."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@dataclass
class MovedClock:
    """A clock that a test moves."""

    at: datetime = NOW

    def now(self) -> datetime:
        return self.at

    def today(self) -> date:
        return self.at.date()

    def elapsed(self) -> float:
        """Seconds, as a monotonic clock tells them."""
        return self.at.timestamp()

    def pass_by(self, seconds: float) -> None:
        """Later."""
        self.at += timedelta(seconds=seconds)


@dataclass
class Once:
    """Tokens that were used, as all processes of an installation remember them."""

    kept: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def __call__(self, issuer: str, jti: str, until: datetime) -> Callable[[], bool]:
        new = (issuer, jti) not in self.kept
        self.kept.setdefault((issuer, jti), until)
        return lambda: new

"""An OpenID Connect provider on a loopback socket: it checks what a real one checks, and misbehaves where told to.

OpenID Connect Core 1.0 section 3.1, Discovery 1.0 section 4.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.contract.fhir_wire import Asked, FhirWire, Reply, serving

Json = dict[str, Any]
CLIENT_ID, SECRET = "sightline-pages", "s3cret:with/é %+"


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Provider:
    """What the provider says of the person who signs in. `refusals` says why it gave no code or no token."""

    now: Callable[[], datetime]
    groups: object = field(default_factory=lambda: ["hospital-radiology"])
    subject: str = "8f3c"
    #: Claims in the place of the right ones, for the ID token; None takes one out.
    claims: Json = field(default_factory=dict)
    configuration: Json = field(default_factory=dict)
    #: What the ID token is signed with, instead of the key and the algorithm that are published.
    signs_with: Any = None
    algorithm: str = "RS256"
    error: str = ""
    confidential: bool = False
    without_id_token: bool = False
    redirect_uri: str = ""
    refusals: list[str] = field(default_factory=list)
    issuer: str = ""
    key: rsa.RSAPrivateKey = field(default_factory=_key)
    _codes: dict[str, tuple[str, str]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def answer(self, asked: Asked) -> Reply:
        """One request to whichever of its parts."""
        parts = {
            "/realm/.well-known/openid-configuration": self._configured,
            "/realm/authorize": self._authorize,
            "/realm/token": self._token,
            "/realm/keys": self._keys,
        }
        part = parts.get(asked.path)
        return part(asked) if part else Reply(404, None)

    def _configured(self, asked: Asked) -> Reply:
        said: Json = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
        }
        return Reply(body=said | self.configuration)

    def _authorize(self, asked: Asked) -> Reply:
        query = dict(asked.query)
        wanted = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": self.redirect_uri,
            "code_challenge_method": "S256",
        }
        wrong = [name for name, value in wanted.items() if query.get(name) != value]
        if wrong or "openid" not in query.get("scope", "").split() or not query.get("nonce"):
            self.refusals.append(f"authorize: {wrong}")
            return Reply(400, {"error": "invalid_request"})
        said = {"error": self.error} if self.error else {"code": self._code(query)}
        return Reply(302, None, {"Location": f"{self.redirect_uri}?{urlencode({**said, 'state': query['state']})}"})

    def _code(self, query: Mapping[str, str]) -> str:
        code = f"code-{next(self._numbers)}"
        self._codes[code] = query["code_challenge"], query["nonce"]
        return code

    def _token(self, asked: Asked) -> Reply:
        form = dict(asked.form)
        challenge, nonce = self._codes.pop(form.get("code", ""), ("", ""))
        why = self._wrong_client(asked, form) or self._wrong_code(form, challenge)
        if why:
            self.refusals.append(why)
            error = "invalid_client" if why == "client" else "invalid_grant"
            return Reply(401 if why == "client" else 400, {"error": error, "error_description": "Quentina"})
        said: Json = {"access_token": "access-1", "token_type": "Bearer", "expires_in": 300}
        return Reply(body=said if self.without_id_token else said | {"id_token": self._id_token(nonce)})

    def _wrong_client(self, asked: Asked, form: Mapping[str, str]) -> str:
        if not self.confidential:
            return "" if form.get("client_id") == CLIENT_ID and "Authorization" not in asked.headers else "client"
        given = str(asked.headers.get("Authorization", "")).removeprefix("Basic ")
        name, _, secret = base64.b64decode(given).decode("ascii").partition(":")
        return "" if (unquote_plus(name), unquote_plus(secret)) == (CLIENT_ID, SECRET) else "client"

    def _wrong_code(self, form: Mapping[str, str], challenge: str) -> str:
        if not challenge or form.get("grant_type") != "authorization_code":
            return "code"
        if form.get("redirect_uri") != self.redirect_uri:
            return "redirect_uri"
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        return "" if base64.urlsafe_b64encode(digest).decode().rstrip("=") == challenge else "code_verifier"

    def _id_token(self, nonce: str) -> str:
        now = int(self.now().timestamp())
        claims: Json = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": self.subject,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "name": "Rita Radiologist",
            "groups": self.groups,
        } | self.claims
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(
            kept, self.key if self.signs_with is None else self.signs_with, self.algorithm, headers={"kid": "1"}
        )

    def _keys(self, asked: Asked) -> Reply:
        stated = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return Reply(body={"keys": [{**stated, "kid": "1", "use": "sig", "alg": "RS256"}]})


@contextmanager
def providing(provider: Provider) -> Iterator[FhirWire]:
    """The provider on a socket of its own."""
    with serving(provider.answer) as wire:
        provider.issuer = f"{wire.url.removesuffix('/fhir')}/realm"
        yield wire

"""An EHR that launches SMART apps: its authorization server, its keys and its FHIR server, on one loopback socket.

It checks what a real one checks: the client, the redirect, the audience, the challenge (RFC 7636), and that a code is
used once.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from tests.contract.ehr_wire import person
from tests.contract.fhir_wire import Asked, FhirWire, Reply, serving

Json = dict[str, Any]
CLIENT_ID = "sightline-page"
SECRET = "s3cret:with/é %+"
USER = "Practitioner/7"
SCOPES = "launch openid fhirUser patient/Patient.rs"


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class LaunchingEhr:
    """What the EHR has in context, and how it may misbehave. `refusals` says why it gave no code or no token."""

    patient: Json = field(default_factory=person)
    user: str = USER
    app_context: object = None
    #: The query of the redirect in the place of a code, where the EHR says no.
    error: str = ""
    #: A confidential client proves itself.
    confidential: bool = False
    #: Without OpenID Connect the token response itself names the user.
    openid: bool = True
    audience: str = CLIENT_ID
    signs_with: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    publishes: ec.EllipticCurvePrivateKey | None = None
    configuration: Json = field(default_factory=dict)
    redirect_uri: str = ""
    launches: set[str] = field(default_factory=lambda: {"launch-1"})
    refusals: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    url: str = ""
    _codes: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def answer(self, asked: Asked) -> Reply:
        """One request to whichever of its parts."""
        parts = {
            "/fhir/.well-known/smart-configuration": self._configured,
            "/authorize": self._authorize,
            "/token": self._token,
            "/jwks": self._keys,
        }
        return parts.get(asked.path, self._resource)(asked)

    def _configured(self, asked: Asked) -> Reply:
        root = self.url.removesuffix("/fhir")
        openid = {"issuer": root, "jwks_uri": f"{root}/jwks"} if self.openid else {}
        said: Json = {
            "authorization_endpoint": f"{root}/authorize",
            "token_endpoint": f"{root}/token",
            "code_challenge_methods_supported": ["S256"],
            "capabilities": ["launch-ehr", "client-public", "client-confidential-symmetric", "permission-v2"],
        }
        return Reply(body=said | openid | self.configuration)

    def _authorize(self, asked: Asked) -> Reply:
        query = dict(asked.query)
        wanted = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": self.redirect_uri,
            "scope": SCOPES,
            "aud": self.url,
            "code_challenge_method": "S256",
        }
        wrong = [name for name, value in wanted.items() if query.get(name) != value]
        if wrong or query.get("launch") not in self.launches:
            self.refusals.append(f"authorize: {wrong or 'launch'}")
            return Reply(400, {"error": "invalid_request"})
        if self.error:
            said = {"error": self.error, "state": query["state"]}
        else:
            code = f"code-{next(self._numbers)}"
            self._codes[code] = query["code_challenge"]
            said = {"code": code, "state": query["state"]}
        return Reply(302, None, {"Location": f"{self.redirect_uri}?{urlencode(said)}"})

    def _token(self, asked: Asked) -> Reply:
        form = dict(asked.form)
        why = self._wrong_client(asked, form) or self._wrong_code(form)
        if why:
            self.refusals.append(why)
            error = "invalid_client" if why == "client" else "invalid_grant"
            return Reply(401 if why == "client" else 400, {"error": error, "error_description": "Quentina"})
        self.tokens.append(f"access-{next(self._numbers)}")
        said: Json = {"access_token": self.tokens[-1], "token_type": "Bearer", "expires_in": 300, "scope": SCOPES}
        said |= {"patient": self.patient["id"]} | ({} if self.app_context is None else {"appContext": self.app_context})
        return Reply(body=said | ({"id_token": self._id_token()} if self.openid else {"fhirUser": self.user}))

    def _wrong_client(self, asked: Asked, form: Mapping[str, str]) -> str:
        if not self.confidential:
            return "" if form.get("client_id") == CLIENT_ID and "Authorization" not in asked.headers else "client"
        given = str(asked.headers.get("Authorization", "")).removeprefix("Basic ")
        name, _, secret = base64.b64decode(given).decode("ascii").partition(":")
        return "" if (unquote_plus(name), unquote_plus(secret)) == (CLIENT_ID, SECRET) else "client"

    def _wrong_code(self, form: Mapping[str, str]) -> str:
        challenge = self._codes.pop(form.get("code", ""), None)
        if challenge is None or form.get("grant_type") != "authorization_code":
            return "code"
        if form.get("redirect_uri") != self.redirect_uri:
            return "redirect_uri"
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        return "" if base64.urlsafe_b64encode(digest).decode().rstrip("=") == challenge else "code_verifier"

    def _id_token(self) -> str:
        claims = {
            "iss": self.url.removesuffix("/fhir"),
            "aud": self.audience,
            "sub": "user-7",
            "exp": int(time.time()) + 300,
            "iat": int(time.time()),
            "fhirUser": f"{self.url}/{self.user}",
        }
        return jwt.encode(claims, self.signs_with, "ES256", headers={"kid": "1"})

    def _keys(self, asked: Asked) -> Reply:
        public = (self.publishes or self.signs_with).public_key()
        stated = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(public))
        return Reply(body={"keys": [{**stated, "kid": "1", "use": "sig", "alg": "ES256"}]})

    def _resource(self, asked: Asked) -> Reply:
        if asked.token not in self.tokens:
            return Reply(401, None)
        known = asked.path == f"/fhir/Patient/{self.patient['id']}"
        return Reply(body=self.patient) if known else Reply(404, None)


@contextmanager
def launching(ehr: LaunchingEhr) -> Iterator[FhirWire]:
    """The EHR on a socket of its own; `url` of the wire is the `iss` that it launches with."""
    with serving(ehr.answer) as wire:
        ehr.url = wire.url
        yield wire

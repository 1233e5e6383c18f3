"""An authorization server as SMART Backend Services wants it: it believes an assertion only after every check."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

import jwt

from tests.contract.fhir_wire import Asked, Reply

CLIENT_ID = "sightline at site"
#: Characters that HTTP Basic would lose without the encoding of RFC 6749 section 2.3.1.
SECRET = "s3cret:with/é %+"


@dataclass
class TokenServer:
    """A token endpoint. `jwks` is how it gets our keys; every token that it gave is in `given`."""

    jwks: Callable[[], Mapping[str, Any]]
    #: Its own address, which an assertion must be meant for; set once it is known.
    url: str = ""
    lives_s: object = 300
    pause_s: float = 0.0
    given: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    scopes: list[str] = field(default_factory=list)
    algorithms: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def token(self, asked: Asked) -> Reply:
        """RFC 6749 section 4.4: a token, or why there is none."""
        time.sleep(self.pause_s)
        form = dict(asked.form)
        with self._lock:
            why = self._wrong(asked, form)
            if why:
                self.refusals.append(why)
                return Reply(401, {"error": "invalid_client", "error_description": why})
            self.scopes.append(form["scope"])
            self.given.append(f"token-{len(self.given) + 1}")
            life = {} if self.lives_s is None else {"expires_in": self.lives_s}
            said = {"access_token": self.given[-1], "token_type": "bearer", "scope": form["scope"], **life}
        return Reply(body=said, headers={"Content-Type": "application/json", "Cache-Control": "no-store"})

    def knows(self, asked: Asked) -> bool:
        """Whether a resource server lets a request in."""
        return asked.token in self.given and asked.token not in self.ended

    def _wrong(self, asked: Asked, form: dict[str, str]) -> str:
        if asked.method != "POST" or form.get("grant_type") != "client_credentials":
            return "want a POST of client_credentials"
        basic = asked.headers.get("Authorization", "")
        if basic:
            name, _, secret = base64.b64decode(basic.removeprefix("Basic ")).decode("ascii").partition(":")
            return "" if (unquote_plus(name), unquote_plus(secret)) == (CLIENT_ID, SECRET) else "wrong secret"
        if form.get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
            return "want a signed assertion"
        try:
            return self._wrong_assertion(form["client_assertion"])
        except jwt.PyJWTError as error:
            return f"assertion: {error}"

    def _wrong_assertion(self, assertion: str) -> str:
        """SMART App Launch 2.2, "Client Authentication: Asymmetric", step by step."""
        head = jwt.get_unverified_header(assertion)
        if head["alg"] not in ("RS384", "ES384") or head.get("typ") != "JWT":
            return f"algorithm {head['alg']}, type {head.get('typ')}"
        key = jwt.PyJWKSet.from_dict(dict(self.jwks()))[head["kid"]]
        if key.algorithm_name != head["alg"]:
            return "the key is for another algorithm"
        claims = jwt.decode(
            assertion,
            key,
            algorithms=[head["alg"]],
            audience=self.url,
            options={"require": ["iss", "sub", "aud", "exp", "jti"], "strict_aud": True},
        )
        self.algorithms.append(head["alg"])
        if claims["iss"] != CLIENT_ID or claims["sub"] != CLIENT_ID:
            return "want iss and sub to be the client_id"
        if claims["exp"] - time.time() > 300:
            return "want exp within five minutes"
        if claims["jti"] in self._seen:
            return "this jti was seen"
        self._seen.add(claims["jti"])
        return ""

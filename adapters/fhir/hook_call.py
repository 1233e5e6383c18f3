"""CDS Hooks as a client: discovery, calls and feedback, each with a JWT of its own (2.0, "Trusting CDS Clients")."""

from __future__ import annotations

import ssl
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx
import jwt
import orjson

from adapters.fhir.exchange import exchange
from adapters.fhir.keys import SigningKey, SmartKeys
from adapters.fhir.tolerant import items, obj, text
from cds.errors import ConfigurationError, InvalidInput

Json = dict[str, object]

_TOKEN_S = 300
#: Clocks differ; a service that looks at `iat` should not see one of the future.
_SKEW_S = 5
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Signer:
    """Who calls: a key of the client, and what its tokens say of it."""

    key: SigningKey = field(repr=False)
    issuer: str
    kid: str = ""
    jku: str = ""
    tenant: str = ""

    def token(self, audience: str) -> str:
        """A token for one call of the exact URL (CDS Hooks 2.0, "JSON Web Token (JWT)")."""
        now = int(time.time())
        claims: Json = {
            "iss": self.issuer,
            "aud": audience,
            "iat": now - _SKEW_S,
            "exp": now + _TOKEN_S,
            "jti": str(uuid.uuid4()),
        }
        headers = {"typ": "JWT", "kid": self.kid or self.key.kid} | ({"jku": self.jku} if self.jku else {})
        tenant = {"tenant": self.tenant} if self.tenant else {}
        return jwt.encode(claims | tenant, self.key.private, self.key.algorithm, headers=headers)


@dataclass(frozen=True, slots=True)
class HookReply:
    """What a CDS service answered: the JSON as it came, None where it is no JSON object."""

    status: int
    body: Json | None
    took_ms: float
    retry_after: str = ""

    @property
    def is_success(self) -> bool:
        """Whether the status says that it went well."""
        return httpx.codes.is_success(self.status)

    @property
    def is_answer(self) -> bool:
        """Whether it is the success with an object that the standard wants."""
        return self.is_success and self.body is not None

    @property
    def said(self) -> str:
        """The texts of the OperationOutcome that came with an error; empty where there is none."""
        issues = items(obj(self.body).get("issue")) if self.body else []
        texts = (text(obj(one.get("details")).get("text")) or text(one.get("diagnostics")) for one in issues)
        return "; ".join(filter(None, texts))


class HookServer:
    """A CDS Hooks server by its base URL. Nothing is retried: whoever tests wants to see every answer.

    `proof` is the bearer token for the URL that is called; `ca_file` names the authorities of its certificate, those of
    the machine where it is unsaid. `known_as` is the base URL that the server goes by, where it is called past a proxy.
    """

    def __init__(
        self,
        base_url: str,
        proof: Callable[[str], str] | None = None,
        *,
        ca_file: Path | None = None,
        known_as: str = "",
    ) -> None:
        self.base_url = _base(base_url)
        self._known_as = _base(known_as or base_url)
        self._proof = proof
        self._tls = _trust(ca_file)

    def discover(self) -> HookReply:
        """GET the discovery document; Unavailable where nobody answers."""
        return self._send("GET", f"{self.base_url}/cds-services")

    def call(self, service: str, body: Mapping[str, object]) -> HookReply:
        """POST a request to a service."""
        return self._send("POST", f"{self.base_url}/cds-services/{quote(service, safe='')}", body)

    def feedback(self, service: str, body: Mapping[str, object]) -> HookReply:
        """POST what became of cards."""
        return self._send("POST", f"{self.base_url}/cds-services/{quote(service, safe='')}/feedback", body)

    def _send(self, method: str, url: str, body: Mapping[str, object] | None = None) -> HookReply:
        headers = {"Accept": "application/json"}
        if self._proof is not None:
            audience = self._known_as + url.removeprefix(self.base_url)
            headers["Authorization"] = f"Bearer {self._proof(audience)}"
        content = None
        if body is not None:
            headers["Content-Type"], content = "application/json", orjson.dumps(body)
        started = time.monotonic()
        with httpx.Client(trust_env=False, verify=self._tls) as http:
            request = http.build_request(method, url, headers=headers, content=content)
            reply = exchange(http, request, who=self.base_url, deadline=started + _PATIENCE_S)
        took_ms = (time.monotonic() - started) * 1000
        return HookReply(reply.status, _object(reply.body), took_ms, reply.headers.get("Retry-After", ""))


def signer(key: Path, *, issuer: str, kid: str = "", jku: str = "", tenant: str = "") -> Signer:
    """A signer with the key of a PEM file: RSA signs RS384, EC on P-384 ES384; raise InvalidInput for another."""
    return Signer(_key(key).signer(), issuer, kid, jku, tenant)


def jwks(key: Path) -> Json:
    """The public half of a client's key as a JWK Set, for the server that it calls."""
    return _key(key).jwks()


def _key(file: Path) -> SmartKeys:
    try:
        return SmartKeys((file,))
    except ConfigurationError as error:
        said = "; ".join(error.mistakes).removeprefix("CDS_SMART_KEY_FILES: ")
        raise InvalidInput(f"the key cannot be used: {said}") from None


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise InvalidInput(f"the CA file cannot be used: {type(error).__name__}") from None


def _base(url: str) -> str:
    """The base URL, also where it was given with the path of the discovery document."""
    found = url.rstrip("/").removesuffix("/cds-services")
    if not found.startswith(("http://", "https://")):
        raise InvalidInput("the address of the server: want http:// or https:// and a host")
    return found


def _object(body: bytes) -> Json | None:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None

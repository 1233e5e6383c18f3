"""Where a FHIR server's tokens come from, and how they are asked for: SMART App Launch 2.2, "Conformance"."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from adapters.fhir import abilities
from adapters.fhir.exchange import FHIR_JSON, NotAllowed, Reply, exchange, json_object, judge, retry_after_s
from adapters.fhir.tolerant import text
from cds.errors import PeerFailed

_OK = 200


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """A token endpoint; () and False for what nobody said."""

    url: str
    #: token_endpoint_auth_signing_alg_values_supported
    algorithms: tuple[str, ...] = ()
    #: It knows the scopes of SMART 1, and does not say that it knows those of SMART 2.
    version_1: bool = False


def discover(http: httpx.Client, base_url: str, *, who: str, deadline: float) -> TokenEndpoint:
    """Read .well-known/smart-configuration, else the oauth-uris of the CapabilityStatement; no token is sent.

    NotAllowed where neither names an endpoint that may be told a secret: https, the server's own origin, or loopback.
    """

    def get(path: str, accept: str) -> Reply:
        request = http.build_request("GET", f"{base_url}{path}", headers={"Accept": accept})
        return exchange(http, request, who=who, deadline=deadline)

    found = _smart_configuration(get, who) or _oauth_uris(get, who)
    if found is None:
        raise NotAllowed(f"{who} does not say where its tokens come from: want token_url")
    if not may_be_told(found.url, base_url):
        raise NotAllowed(f"{who} names a token endpoint without https: want token_url, if it is right")
    return found


Get = Callable[[str, str], Reply]


def _smart_configuration(get: Get, who: str) -> TokenEndpoint | None:
    reply = get("/.well-known/smart-configuration", "application/json")
    said = _object(reply, who)
    url = text(said.get("token_endpoint"))
    if not url:
        return None
    known, capable = _strings(said.get("token_endpoint_auth_signing_alg_values_supported")), said.get("capabilities")
    permissions = _strings(capable)
    version_1 = "permission-v1" in permissions and "permission-v2" not in permissions
    return TokenEndpoint(url, known, version_1)


def _oauth_uris(get: Get, who: str) -> TokenEndpoint | None:
    url = abilities.read(_object(get("/metadata", FHIR_JSON), who)).token_url
    return TokenEndpoint(url) if url else None


def _object(reply: Reply, who: str) -> dict[str, object]:
    """What a document says; {} where there is none. NotNow where that cannot be known now."""
    if reply.status == _OK:
        try:
            return json_object(reply.body, who)
        except PeerFailed:
            return {}
    if httpx.codes.is_server_error(reply.status) or reply.status == httpx.codes.TOO_MANY_REQUESTS:
        judge(reply.status, b"", retry_after_s(reply.headers), who=who)
    return {}


def _strings(value: object) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def may_be_told(url: str, base_url: str) -> bool:
    """True where a secret sent there stays secret, or goes where the site's own setting sends requests anyway."""
    try:
        found, base = httpx.URL(url), httpx.URL(base_url)
    except httpx.InvalidURL:
        return False
    if found.scheme == "https":
        return bool(found.host)
    return found.scheme == "http" and (is_loopback(found.host) or origin(found) == origin(base))


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port (RFC 6454), the port of the scheme where none is written."""
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def is_loopback(host: str) -> bool:
    """True for localhost and the addresses of loopback."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

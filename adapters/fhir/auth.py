"""How we prove who we are to a FHIR server: a fixed token, one of a hook call, or OAuth 2.0 client_credentials.

Tokens are kept in memory alone, go to the server that they are for, and are never part of a text.
"""

from __future__ import annotations

import base64
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote_plus

import httpx
import jwt

from adapters.fhir import scopes
from adapters.fhir.discovery import TokenEndpoint, discover
from adapters.fhir.exchange import NotAllowed, NotNow, Reply, exchange, json_object, judge, retry_after_s
from adapters.fhir.keys import SmartKeys
from adapters.fhir.tolerant import text
from cds.destinations import FhirServer
from cds.errors import ConfigurationError, PeerFailed, SightlineError, Unavailable

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#: SMART Backend Services allows five minutes; clocks differ, for which there is no `iat` or `nbf` either.
_ASSERTION_S = 240
#: Where the server does not say how long a token lives (RFC 6749 section 5.1).
_UNSAID_S = 60.0
#: So long before its end a token is not used any more, and not more than a tenth of its life.
_MARGIN_S = 30.0
_LONGEST_TOKEN = 16 * 1024
_DISCOVERED_S = 3600.0
#: RFC 6749 section 5.2; anything else in an error may quote what was sent.
ERRORS = frozenset(
    {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
     "invalid_scope"}
)  # fmt: skip


class Credentials(Protocol):
    """Where the bearer token of a request comes from."""

    def token(self, deadline: float) -> str:
        """The token to send now, "" for none; raise Unavailable where none can be had by `deadline` (monotonic)."""
        ...

    def renew(self, refused: str) -> bool:
        """The server refused this token: forget it, and answer whether another one may be had."""
        ...

    def close(self) -> None:
        """Close its connections, if it has any."""
        ...


@dataclass(frozen=True, slots=True)
class NoToken:
    """A server that lets everybody in, or knows us by our certificate alone."""

    def token(self, deadline: float) -> str:
        """None."""
        return ""

    def renew(self, refused: str) -> bool:
        """There is no other."""
        return False

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class GivenToken:
    """The token of one hook call (fhirAuthorization)."""

    value: str = field(repr=False)

    def token(self, deadline: float) -> str:
        """The one that was given."""
        return self.value

    def renew(self, refused: str) -> bool:
        """There is no other."""
        return False

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A token that the site puts into a file, read at each request: it may be replaced at any time."""

    file: Path
    who: str

    def token(self, deadline: float) -> str:
        """What the file holds now."""
        return _secret(self.file, f"the token file of {self.who}")

    def renew(self, refused: str) -> bool:
        """True where the file was replaced meanwhile."""
        return self.token(0.0) != refused

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    ends_at: float


class ClientCredentials:
    """Tokens by client_credentials, with a secret or an assertion signed with a key of ours (SMART Backend Services).

    Many threads share one token and one request for it. `http` is for the token endpoint alone.
    """

    def __init__(self, server: FhirServer, keys: SmartKeys, *, who: str, http: httpx.Client) -> None:
        self._server = server
        self._keys = keys
        self._who = who
        self._http = http
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._asking: Future[_Token] | None = None
        self._endpoint: tuple[TokenEndpoint, float] | None = None

    def token(self, deadline: float) -> str:
        """A token that has not ended; whoever comes while another asks for one waits for that answer."""
        with self._lock:
            if self._token is not None and time.monotonic() < self._token.ends_at:
                return self._token.value
            asking, mine = self._asking, self._asking is None
            if asking is None:
                asking = self._asking = Future()
        if mine:
            self._ask(asking, deadline)
        try:
            return asking.result(max(0.0, deadline - time.monotonic())).value
        except TooLate:
            raise NotNow(f"{self._who} gives no token in time") from None

    def renew(self, refused: str) -> bool:
        """Forget a token that the server refused; another thread may have a new one already."""
        with self._lock:
            if self._token is not None and self._token.value == refused:
                self._token = None
        return True

    def close(self) -> None:
        """Close the connections to the token endpoint."""
        self._http.close()

    def _ask(self, asking: Future[_Token], deadline: float) -> None:
        """Everybody who waits gets the same answer, an error too."""
        token = None
        try:
            token = self._new(deadline)
        except SightlineError as error:
            asking.set_exception(error)
        finally:
            with self._lock:
                self._asking, self._token = None, token
            if token is not None:
                asking.set_result(token)
            elif not asking.done():
                asking.set_exception(Unavailable(f"no token for {self._who} could be asked for"))

    def _new(self, deadline: float) -> _Token:
        endpoint = self._where(deadline)
        form = {"grant_type": "client_credentials", "scope": scopes.needed(self._server, version_1=endpoint.version_1)}
        headers = {"Accept": "application/json"}
        if self._server.client_secret_file is None:
            form |= {"client_assertion_type": _ASSERTION, "client_assertion": self._assertion(endpoint)}
        else:
            headers["Authorization"] = basic(self._server.client_id, self._server.client_secret_file, self._who)
        asked_at = time.monotonic()
        request = self._http.build_request("POST", endpoint.url, data=form, headers=headers)
        who = f"the token endpoint of {self._who}"
        reply = exchange(self._http, request, who=who, deadline=deadline)
        if not httpx.codes.is_success(reply.status):
            with self._lock:
                self._endpoint = None
            _refuse(reply, who)
        return _read(json_object(reply.body, who), who, asked_at)

    def _where(self, deadline: float) -> TokenEndpoint:
        """The configured endpoint; else the discovered one, which is believed for an hour unless it refuses."""
        if self._server.token_url is not None:
            return TokenEndpoint(self._server.token_url)
        with self._lock:
            known = self._endpoint
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        found = discover(self._http, self._server.url, who=self._who, deadline=deadline)
        with self._lock:
            self._endpoint = found, time.monotonic() + _DISCOVERED_S
        return found

    def _assertion(self, endpoint: TokenEndpoint) -> str:
        """RFC 7523 section 3, as SMART App Launch 2.2 "Client Authentication: Asymmetric" narrows it."""
        wanted = (self._server.key_algorithm,) if self._server.key_algorithm else endpoint.algorithms
        try:
            key = self._keys.signer(*wanted)
        except ConfigurationError as error:
            raise NotAllowed(f"no token for {self._who}: {'; '.join(error.mistakes)}") from None
        name, ends_at = self._server.client_id, int(time.time()) + _ASSERTION_S
        claims = {"iss": name, "sub": name, "aud": endpoint.url, "exp": ends_at, "jti": str(uuid.uuid4())}
        return jwt.encode(claims, key.private, key.algorithm, headers={"kid": key.kid})


def basic(client_id: str, secret_file: Path, who: str) -> str:
    """An Authorization header (RFC 6749 section 2.3.1): both are form-encoded before they are joined."""
    secret = _secret(secret_file, f"the client secret of {who}", encoding="utf-8")
    both = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(both.encode('ascii')).decode('ascii')}"


def credentials(server: FhirServer, keys: SmartKeys, *, who: str, http: Callable[[], httpx.Client]) -> Credentials:
    """The way in that the settings name; `http` makes the client for the token endpoint, where one is needed."""
    if server.token_file is not None:
        return TokenFile(server.token_file, who)
    if server.client_id:
        return ClientCredentials(server, keys, who=who, http=http())
    return NoToken()


def _read(said: dict[str, object], who: str, asked_at: float) -> _Token:
    """RFC 6749 section 5.1. The end counts from when it was asked for."""
    value, kind = text(said.get("access_token")), text(said.get("token_type")).lower()
    if not value or not value.isascii() or not value.isprintable() or " " in value or len(value) > _LONGEST_TOKEN:
        raise PeerFailed(f"{who} answers without a usable access_token")
    if kind != "bearer":
        raise PeerFailed(f"{who} answers with a token of another type than Bearer")
    lives_s = _seconds(said.get("expires_in"))
    return _Token(value, asked_at + lives_s - min(_MARGIN_S, lives_s / 10))


def _seconds(value: object) -> float:
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else _UNSAID_S
    except ValueError:
        return _UNSAID_S
    return found if 0 < found < float("inf") else _UNSAID_S


def _refuse(reply: Reply, who: str) -> None:
    """A 400 or 401 says that our registration is wrong, not what we wanted to send."""
    if httpx.codes.is_client_error(reply.status) and reply.status not in (408, 425, 429):
        try:
            code = text(json_object(reply.body, who).get("error"))
        except PeerFailed:
            code = ""
        said = f"{reply.status} ({code})" if code in ERRORS else f"{reply.status}"
        raise NotAllowed(f"{who} gives us no token: {said}")
    judge(reply.status, b"", retry_after_s(reply.headers), who=who)


def _secret(file: Path, what: str, encoding: str = "ascii") -> str:
    try:
        secret = file.read_text(encoding=encoding).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"{what} cannot be read: {type(error).__name__}") from None
    if not secret or not secret.isprintable():
        raise Unavailable(f"{what} holds nothing that can be sent")
    return secret

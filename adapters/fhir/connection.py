"""The connections to one FHIR server: a bounded pool, the token of each request, and what is sent again."""

from __future__ import annotations

import functools
import http.cookiejar
import ssl
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from adapters.fhir.auth import Credentials
from adapters.fhir.discovery import origin
from adapters.fhir.exchange import FHIR_JSON, Answer, NotNow, Reply, answer, exchange
from adapters.fhir.retry import Sleep, persistently
from cds import __version__, tls
from cds.destinations import FhirServer
from cds.errors import InvalidResource

_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, without the token; headers without a value are left out."""

    method: str
    url: str
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Connection:
    """Requests to one server. Thread-safe; at most `server.parallel` at once over all threads of the process."""

    def __init__(self, server: FhirServer, credentials: Credentials, *, who: str, sleep: Sleep) -> None:
        self._server = server
        self._credentials = credentials
        self._who = who
        self._sleep = sleep
        self._http = pool(server, server.url)
        self._room = _room(server)

    def ask(self, request: Request, *, repeatable: bool) -> Answer:
        """The answer; a token that is refused is renewed once. See `FhirClient` for the errors."""
        if not all(value.isascii() and value.isprintable() for value in request.headers.values()):
            raise InvalidResource("want headers of printable ASCII: a condition must be percent-encoded")

        def attempt(deadline: float) -> Answer:
            token = self._credentials.token(deadline)
            reply = self._exchange(request, token, deadline)
            if reply.status == _UNAUTHORIZED and self._credentials.renew(token):
                reply = self._exchange(request, self._credentials.token(deadline), deadline)
            return answer(reply, who=self._who)

        return persistently(attempt, repeatable=repeatable, timeout_s=self._server.timeout_s, sleep=self._sleep)

    def close(self) -> None:
        """Close what is open; a later request opens nothing any more."""
        self._http.close()
        self._credentials.close()

    def _exchange(self, request: Request, token: str, deadline: float) -> Reply:
        headers = {"Accept": FHIR_JSON, **{name: value for name, value in request.headers.items() if value}}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        made = self._http.build_request(request.method, request.url, content=request.content, headers=headers)
        if not self._room.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise NotNow(f"{self._who} is asked too much at once: no room for another request in time")
        try:
            return exchange(self._http, made, who=self._who, deadline=deadline)
        finally:
            self._room.release()


def pool(server: FhirServer, url: str) -> httpx.Client:
    """Connections to a server, or to the token endpoint at `url`, that keep no cookie and follow no redirect."""
    nobody = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    return httpx.Client(
        verify=_trust(server, url),
        headers={"User-Agent": f"Sightline/{__version__}"},
        cookies=nobody,
        follow_redirects=False,
        limits=httpx.Limits(max_connections=server.parallel, max_keepalive_connections=server.parallel),
    )


def _trust(server: FhirServer, url: str) -> ssl.SSLContext:
    """Whom we believe: the CA of the server's table, and for a token endpoint elsewhere those of the machine too."""
    context = tls.peer(server.tls)
    if context is None:
        return _machines_trust()
    if not url or origin(httpx.URL(url)) != origin(httpx.URL(server.url)):
        context.load_default_certs()
    return context


@functools.cache
def _machines_trust() -> ssl.SSLContext:
    """Read once: it takes longer than a request, and a hook call opens a client of its own."""
    return ssl.create_default_context()


_ROOMS: weakref.WeakValueDictionary[tuple[str, int], threading.BoundedSemaphore] = weakref.WeakValueDictionary()
_ROOMS_LOCK = threading.Lock()


def _room(server: FhirServer) -> threading.BoundedSemaphore:
    """The room of one server, shared by its clients in this process: it may be source and destination."""
    with _ROOMS_LOCK:
        key = server.url, server.parallel
        room = _ROOMS.get(key)
        if room is None:
            room = _ROOMS[key] = threading.BoundedSemaphore(server.parallel)
        return room

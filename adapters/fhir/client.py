"""A FHIR R4 server that we are a client of: requests, pages, retries and versions, over one pool of connections."""

from __future__ import annotations

import re
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal
from urllib.parse import urlencode

import httpx
import orjson
from pydantic import ValidationError

from adapters.fhir import abilities, auth, pages
from adapters.fhir.abilities import Abilities
from adapters.fhir.connection import Connection, Request, pool
from adapters.fhir.discovery import is_loopback
from adapters.fhir.exchange import (
    FHIR_JSON,
    Answer,
    FhirRefused,
    Issue,
    NotAllowed,
    NotNow,
)
from adapters.fhir.keys import SmartKeys
from adapters.fhir.pages import Page
from adapters.fhir.retry import Sleep
from cds.destinations import FhirServer, PeerTls
from cds.errors import ConfigurationError, InvalidResource, NotFound, PeerFailed, Unavailable

__all__ = [
    "Answer", "FhirClient", "FhirRefused", "Issue", "NotAllowed", "NotNow", "Page", "Params", "Resource",
    "authorized", "open_client",
]  # fmt: skip

Resource = Mapping[str, object]
Params = Sequence[tuple[str, str]]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

_FORM = "application/x-www-form-urlencoded"
_JSON_PATCH = "application/json-patch+json"
#: Type/id, and a version of it; ids of some servers are longer than the 64 characters of R4.
_REFERENCE = re.compile(r"[A-Z][A-Za-z]{0,63}/(?!\.+(/|$))[A-Za-z0-9\-.]{1,128}(/_history/[A-Za-z0-9\-.]{1,128})?")
_PATH = re.compile(r"/?[A-Za-z0-9$_\-.~/]*(\?[\x21-\x7E]*)?")
_UNAUTHORIZED, _GONE = 401, frozenset({404, 410})
_CAPABLE_S = 3600.0
#: A search that never ends is no search.
_MOST_PAGES = 10_000


class FhirClient:
    """One FHIR R4 server. Thread-safe; at most `server.parallel` requests at once over all threads of the process.

    Errors of every method: Unavailable (send the same again later: what may be repeated was, for a while), PeerFailed
    (the server itself failed), FhirRefused (4xx). Texts carry the configured name, status and issue codes; no address,
    no diagnostic. Redirects are never followed, and the token goes to the server's own origin alone.
    """

    def __init__(
        self, name: str, server: FhirServer, credentials: auth.Credentials, *, sleep: Sleep = time.sleep
    ) -> None:
        self._name = name
        self._who = f"the FHIR server {name}"
        self._server = server
        self._connection = Connection(server, credentials, who=self._who, sleep=sleep)
        weakref.finalize(self, self._connection.close)  # a client that nobody holds any more leaves no socket open
        self._lock = threading.Lock()
        self._abilities: tuple[Abilities, float] | None = None

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self._name

    @property
    def base_url(self) -> str:
        """Its base URL, without a trailing slash."""
        return self._server.url

    def capability(self, *, fresh: bool = False) -> Abilities:
        """What its CapabilityStatement says, believed for an hour; Unavailable where it cannot be had."""
        with self._lock:
            known = self._abilities
        if known is not None and time.monotonic() < known[1] and not fresh:
            return known[0]
        try:
            said = self.get("metadata").body
        except FhirRefused as error:
            raise Unavailable(f"{self._who} shows no CapabilityStatement: {error.status}") from None
        if said.get("resourceType") != "CapabilityStatement":
            raise PeerFailed(f"{self._who} answers with something that is no CapabilityStatement")
        found = abilities.read(said)
        with self._lock:
            self._abilities = found, time.monotonic() + _CAPABLE_S
        return found

    def read(self, reference: str) -> dict[str, object]:
        """The resource at `Type/id` or `Type/id/_history/version`.

        NotFound where it is not there, was deleted, or the reference leads elsewhere, where nothing is asked.
        """
        if not _REFERENCE.fullmatch(reference):
            raise NotFound("want Type/id or Type/id/_history/version: a reference elsewhere is not followed")
        try:
            found = self.get(reference).body
        except FhirRefused as error:
            if error.status in _GONE:
                raise NotFound(f"{self._who} does not have it: {error.status}") from None
            raise
        resource_type, resource_id = reference.split("/")[:2]
        if (found.get("resourceType"), found.get("id")) != (resource_type, resource_id):
            raise PeerFailed(f"{self._who} answers a read with another resource")
        return found

    def search(self, resource_type: str, params: Params, *, most: int = 10_000) -> Iterator[dict[str, object]]:
        """The matches of all pages, in their order; an error in the middle says that these are not all.

        PeerFailed where there are more than `most`, or where the server says that it did not search everything.
        """
        count = 0
        for page in self.pages(resource_type, params):
            if pages.incomplete(page.outcomes):
                raise PeerFailed(f"{self._who} did not search everything: incomplete")
            count += len(page.matches)
            if count > most:
                raise PeerFailed(f"{self._who} finds more than {most} of {resource_type}: want a narrower search")
            yield from page.matches

    def pages(self, resource_type: str, params: Params, *, most: int = _MOST_PAGES) -> Iterator[Page]:
        """The pages of a search, each as it comes; PeerFailed after `most`, or where one comes again.

        The server is asked to refuse parameters that it does not know, not to ignore them (Prefer: handling=strict).
        """
        bundle = self._first_page(resource_type, params)
        seen: set[str] = set()
        while True:
            yield pages.read(bundle, resource_type, self._who)
            url = pages.next_url(bundle, self.base_url, resource_type, self._who)
            if not url:
                return
            if url in seen or len(seen) + 1 >= most:
                raise PeerFailed(f"{self._who} gives pages without end")
            seen.add(url)
            bundle = self._connection.ask(Request("GET", url), repeatable=True).body

    def get(self, path: str, params: Params = ()) -> Answer:
        """What is at a path below the base URL, such as Subscription/1/$events."""
        return self._connection.ask(Request("GET", self._url(path, params)), repeatable=True)

    def send(
        self,
        method: Method,
        path: str,
        body: Resource | bytes | None,
        *,
        if_match: str = "",
        if_none_exist: str = "",
        prefer: str = "",
        repeatable: bool | None = None,
    ) -> Answer:
        """POST, PUT, PATCH or DELETE below the base URL; path "" for a Bundle. `if_match` as in `Answer.etag`.

        `repeatable` says whether it may be sent again where no answer came; unsaid: PUT and DELETE without `if_match`,
        whose repeat would fail, and a conditional create. A PATCH in bytes is a JSON Patch (RFC 6902).
        """
        content = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        headers = {"If-Match": if_match, "If-None-Exist": if_none_exist, "Prefer": prefer}
        if content is not None:
            patch = method == "PATCH" and isinstance(body, bytes)
            headers["Content-Type"] = _JSON_PATCH if patch else FHIR_JSON
        if repeatable is None:
            repeatable = bool(if_none_exist) or (method in ("GET", "PUT", "DELETE") and not if_match)
        return self._connection.ask(Request(method, self._url(path), content, headers), repeatable=repeatable)

    def close(self) -> None:
        """Close its connections."""
        self._connection.close()

    def _first_page(self, resource_type: str, params: Params) -> dict[str, object]:
        strict = {"Prefer": "handling=strict"}
        request = Request("GET", self._url(resource_type, params), None, strict)
        if self._server.search == "post":
            form, headers = urlencode(list(params)).encode("ascii"), strict | {"Content-Type": _FORM}
            request = Request("POST", self._url(f"{resource_type}/_search"), form, headers)
        return self._connection.ask(request, repeatable=True).body

    def _url(self, path: str, params: Params = ()) -> str:
        if not _PATH.fullmatch(path) or ".." in path.partition("?")[0].split("/"):
            raise InvalidResource("want a path below the base URL of the FHIR server, percent-encoded")
        below = path.lstrip("/")
        url = f"{self.base_url}/{below}" if below and not below.startswith("?") else f"{self.base_url}{below}"
        return f"{url}?{urlencode(list(params))}" if params else url


def open_client(name: str, server: FhirServer, smart_keys: SmartKeys, *, sleep: Sleep = time.sleep) -> FhirClient:
    """The client of a configured server; nothing is asked yet. ConfigurationError where a URL is none."""
    try:
        for url in (server.url, server.token_url):
            httpx.URL(url or server.url)
    except httpx.InvalidURL:
        raise ConfigurationError(
            [f"{name}: want an http:// or https:// URL, with a host and a port that exist"]
        ) from None
    who = f"the FHIR server {name}"
    credentials = auth.credentials(server, smart_keys, who=who, http=lambda: pool(server, server.token_url or ""))
    return FhirClient(name, server, credentials, sleep=sleep)


def authorized(
    url: str,
    access_token: str,
    *,
    timeout_s: float,
    parallel: int = 8,
    tls: PeerTls | None = None,
    sleep: Sleep = time.sleep,
) -> FhirClient:
    """The FHIR server of one hook call with its fhirAuthorization token (CDS Hooks 2.0); it is never sent elsewhere.

    `parallel` is shared by all calls that name the same server, `tls` is what is configured for it. Close it when the
    call is answered. Raise InvalidResource where the URL is none, or would send the token in the clear to another
    machine.
    """
    try:
        server = FhirServer(url=url, timeout_s=timeout_s, parallel=parallel, tls=tls)
        base = httpx.URL(server.url)
    except (ValidationError, httpx.InvalidURL):
        raise InvalidResource("want fhirServer as an https:// URL without user and password") from None
    if base.scheme != "https" and not is_loopback(base.host):
        raise InvalidResource("want fhirServer as an https:// URL: its token is a secret")
    if not access_token.isascii() or not access_token.isprintable():
        raise InvalidResource("want fhirAuthorization.access_token of printable ASCII")
    credentials = auth.GivenToken(access_token) if access_token else auth.NoToken()
    return FhirClient("of the hook call", server, credentials, sleep=sleep)

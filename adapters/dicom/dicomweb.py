"""A DICOMweb origin server as its client sees it (PS3.18 section 8): requests, answers judged, bodies bounded.

http.client and not httpx: a series streams through it at a third of the processor time, and it follows no redirect,
reads no proxy or netrc from the environment and logs no URL, which names patients in a search.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from cds import tls
from cds.errors import PeerFailed, PeerRefused, Unavailable
from cds.imaging_peers import DicomwebServer

P = ParamSpec("P")
T = TypeVar("T")
DICOM_JSON = "application/dicom+json"

NO_CONTENT, NOT_FOUND, NOT_ACCEPTABLE, _NOT_IMPLEMENTED = 204, 404, 406, 501
_REDIRECTS, _CLIENT_ERRORS, _SERVER_ERRORS = range(300, 400), range(400, 500), range(500, 600)
#: Answers that say how busy the server is, not what it thinks of the request.
_NOT_NOW = frozenset({408, 423, 425, 429, 502, 503, 504})
_WHO_ARE_YOU = frozenset({401, 403, 407})
_SECONDS = re.compile(r"[0-9]{1,5}")
_LONGEST_JSON = 16 * 1024 * 1024
_PIECE = 256 * 1024
#: A peer that sends slower than this for long holds the thread for nothing; bytes per second.
_SLOWEST = 16 * 1024


def _nothing() -> bool:
    return False


class NotAllowed(PeerRefused):
    """The server does not let us in: it will not for the next request either."""


class Incoming:
    """An answer whose body is still to be read: `chunks` gives it as it comes."""

    def __init__(
        self, response: http.client.HTTPResponse, timeout_s: float, connection: socket.socket | None = None
    ) -> None:
        self._response = response
        self._connection = connection
        self._timeout_s = timeout_s
        self.status = response.status
        self.content_type = response.getheader("Content-Type") or ""
        self.retry_after = response.getheader("Retry-After") or ""
        self.warning = response.getheader("Warning") or ""
        self.is_whole = False

    def chunks(self, meanwhile: Callable[[], bool] = _nothing) -> Iterator[bytes]:
        """The body, nothing of it held; raise Unavailable where it breaks off or comes too slowly.

        `meanwhile` is a little work for the time in which nothing comes; False says that there is no more of it now.
        """
        left = self._response.length
        started, size = time.monotonic(), 0
        while left is None or left > 0:
            while self._is_silent() and meanwhile():
                pass
            piece = _or_unavailable(self._response.read1, _PIECE if left is None else min(_PIECE, left))
            if not piece:
                break
            size += len(piece)
            left = None if left is None else left - len(piece)
            if time.monotonic() - started > self._timeout_s + size / _SLOWEST:
                raise Unavailable("the DICOMweb server answers too slowly")
            yield piece
        if left:
            raise Unavailable("the DICOMweb server ends its answer too early")
        self.is_whole = True

    def _is_silent(self) -> bool:
        """True where a read would wait now."""
        connection = self._connection
        if connection is None or connection.fileno() < 0:
            return False
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return False
        watched = select.poll()
        watched.register(connection, select.POLLIN)
        return not watched.poll(0)

    def body(self, longest: int = _LONGEST_JSON) -> bytes:
        """The whole body; raise PeerRefused where it is longer than anybody wants."""
        found: list[bytes] = []
        size = 0
        for piece in self.chunks():
            found.append(piece)
            size += len(piece)
            if size > longest:
                raise PeerRefused("the DICOMweb server answers with too many bytes")
        return b"".join(found)


class Dicomweb:
    """One connection to a DICOMweb server, for one request after the other; not thread-safe.

    The token or the password is read anew for each request. Every method raises Unavailable where the server cannot be
    reached, is busy or failed (PeerFailed), and PeerRefused where it will say the same again. Texts have the status
    alone: a URL, and what a server says of it, may name a patient.
    """

    def __init__(self, server: DicomwebServer, timeout_s: float) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._base = urlsplit(server.url)
        self._connection: http.client.HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._used = False

    def __enter__(self) -> Dicomweb:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; a later request opens another."""
        connection, self._connection, self._socket = self._connection, None, None
        self._used = False
        if connection is not None:
            connection.close()

    def search(self, path: str, parameters: Sequence[tuple[str, str]]) -> tuple[list[Mapping[str, object]], bool]:
        """The data sets that a search finds (DICOM JSON), and whether the server says that there are more (299)."""
        query = urlencode(parameters, quote_via=quote)
        with self.send("GET", f"{path}?{query}" if query else path, {"Accept": DICOM_JSON}) as answer:
            if answer.status in (NO_CONTENT, NOT_FOUND):
                return [], False
            judge(answer)
            return data_sets(answer.body()), "299" in answer.warning

    @contextlib.contextmanager
    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: Iterable[bytes] | bytes | None = None
    ) -> Iterator[Incoming]:
        """Any request below the base URL, and its answer, whatever its status; what is not read of it is dropped."""
        every = {"User-Agent": "Sightline", "Accept-Encoding": "identity", **self._authorization(), **headers}
        response = self._exchange(method, f"{self._base.path}{target}", every, body)
        answer = Incoming(response, self._timeout_s, self._socket)
        try:
            if (response.getheader("Content-Encoding") or "identity").strip().lower() != "identity":
                raise PeerRefused("want answers that are not compressed: identity was asked for")
            yield answer
        finally:
            response.close()
            self._used = answer.is_whole and not response.will_close
            if not self._used:
                self.close()

    def _exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: Iterable[bytes] | bytes | None
    ) -> http.client.HTTPResponse:
        """A connection that was kept open may be closed meanwhile: then a GET is asked once more on a new one."""
        again = self._used and method == "GET"
        try:
            return self._ask(method, target, headers, body)
        except Unavailable:
            self.close()
            if not again:
                raise
        return self._ask(method, target, headers, body)

    def _ask(
        self, method: str, target: str, headers: Mapping[str, str], body: Iterable[bytes] | bytes | None
    ) -> http.client.HTTPResponse:
        return _or_unavailable(self._asked, method, target, headers, body)

    def _asked(
        self, method: str, target: str, headers: Mapping[str, str], body: Iterable[bytes] | bytes | None
    ) -> http.client.HTTPResponse:
        connection = self._connection = self._connection or self._new()
        connection.request(method, target, body=body, headers=dict(headers))
        self._socket = connection.sock  # an answer that ends the connection takes it away
        return connection.getresponse()

    def _new(self) -> http.client.HTTPConnection:
        host, port = self._base.hostname or "", self._base.port
        if self._base.scheme != "https":
            return http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        context = tls.peer(self._server.tls)
        return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=context)

    def _authorization(self) -> dict[str, str]:
        server = self._server
        if server.token_file is not None:
            token = _secret(server.token_file)
            if not token.isascii():
                raise _no_secret()
            return {"Authorization": f"Bearer {token}"}
        if server.password_file is not None:
            both = f"{server.user}:{_secret(server.password_file)}".encode()
            return {"Authorization": f"Basic {base64.b64encode(both).decode('ascii')}"}
        return {}


def judge(answer: Incoming) -> None:
    """Raise what a status means; return where it is a success."""
    status = answer.status
    if status in _NOT_NOW:
        wait = f", which asks to wait {answer.retry_after} s" if _SECONDS.fullmatch(answer.retry_after) else ""
        raise Unavailable(f"the DICOMweb server does not answer now: {status}{wait}")
    if status in _WHO_ARE_YOU:
        raise NotAllowed(f"the DICOMweb server does not let us in: {status}")
    if status in _REDIRECTS:
        raise PeerRefused(f"want the URL to which the DICOMweb server redirects: {status}")
    if status in _CLIENT_ERRORS or status == _NOT_IMPLEMENTED:
        raise PeerRefused(f"the DICOMweb server refuses the request: {status}")
    if status in _SERVER_ERRORS:
        raise PeerFailed(f"the DICOMweb server failed: {status}")


def data_sets(body: bytes) -> list[Mapping[str, object]]:
    """The data sets of a DICOM JSON answer (PS3.18 annex F), which may be one alone; raise PeerFailed for others."""
    try:
        found = json.loads(body or b"[]")
    except (ValueError, RecursionError):
        raise PeerFailed("the DICOMweb server answers with something that is not JSON") from None
    several = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) for one in several):
        raise PeerFailed("the DICOMweb server answers with something that is no DICOM JSON")
    return several


def _or_unavailable(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    try:
        return work(*arguments, **named)
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"the DICOMweb server does not answer: {type(error).__name__}") from None


def _secret(file: Path) -> str:
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"the credentials of the DICOMweb server cannot be read: {type(error).__name__}") from None
    if not secret or not secret.isprintable():
        raise _no_secret()
    return secret


def _no_secret() -> Unavailable:
    return Unavailable("want a token or a password in the credentials file of the DICOMweb server")

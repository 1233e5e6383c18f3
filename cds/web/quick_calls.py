"""The way of most CDS Hooks calls, past Flask, which takes as long as their answer: a POST of JSON to a known service.

Whatever is not plainly that goes to Flask, and so does every error: it is told there, as always.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, cast

import orjson
from flask import Flask, request
from werkzeug.exceptions import ClientDisconnected

from cds import metrics
from cds.services import Services
from cds.web import headers
from cds.web.answers import JSON
from cds.web.auth import bearer_of, is_this_machine
from cds.web.hook_callers import proven
from cds.web.hook_calls import Caller, HookCalls

Environ = dict[str, Any]
_Start = Callable[..., object]
_Wsgi = Callable[[Environ, _Start], Iterable[bytes]]

_BELOW = "/cds-services/"
_ROUTE = "/cds-services/<service_id>"
_RAISED = "sightline.raised"
#: What a plain call does not have: another site's page, a body whose length nobody knows, a mount point.
_NOT_PLAIN = ("HTTP_ORIGIN", "HTTP_TRANSFER_ENCODING", "SCRIPT_NAME")
#: Threads that compute at once only wait for the interpreter in turns of 5 ms; who waits for longer than this does not
#: wait for whom it may be that waits for something else.
_PATIENCE_S = 0.02


def install(app: Flask, services: Services, calls: HookCalls) -> None:
    """Put the quick way before Flask, where callers are known by tokens of their own, or nobody has to prove it."""

    def tell() -> None:
        if (error := request.environ.get(_RAISED)) is not None:
            raise error

    app.before_request(tell)
    known = proven(services)
    if known is None and not services.settings.insecure:
        return
    app.wsgi_app = QuickCalls(app, services, calls, known or _anybody)  # type: ignore[method-assign]  # Flask's own way


class QuickCalls:
    """A WSGI application (PEP 3333) before another one."""

    def __init__(
        self, app: Flask, services: Services, calls: HookCalls, known: Callable[[str, str, str], Caller]
    ) -> None:
        self._next: _Wsgi = cast("_Wsgi", app.wsgi_app)
        self._calls, self._known = calls, known
        self._largest = int(app.config["MAX_CONTENT_LENGTH"])
        settings = services.settings
        self._host = is_this_machine(settings.public_url) if settings.insecure else _any_host
        self._headers = [("Content-Type", JSON), *headers.always(insecure=settings.insecure).items()]
        self._turn = threading.Lock()

    def __call__(self, environ: Environ, start_response: _Start) -> Iterable[bytes]:
        """The answer, or what Flask says."""
        service = self._service(environ)
        if service is None:
            return self._next(environ, start_response)
        kept = _Kept()
        body = b""
        with kept:
            body = self._answered(service, environ)
        if kept.error is not None:
            environ[_RAISED] = kept.error
            return self._next(environ, start_response)
        metrics.HTTP_REQUESTS.inc(route=_ROUTE, method="POST", status="200")
        start_response("200 OK", [*self._headers, ("Content-Length", str(len(body)))])
        return [body]

    def _service(self, environ: Environ) -> str | None:
        """The service that is plainly called; None where it is something else."""
        path: str = environ["PATH_INFO"]
        service = path.removeprefix(_BELOW)
        if service not in self._calls.ids or service == path or environ["REQUEST_METHOD"] != "POST":
            return None
        length: str = environ.get("CONTENT_LENGTH", "")
        is_plain = (
            length.isascii()
            and length.isdecimal()
            and int(length) <= self._largest
            and environ.get("CONTENT_TYPE") == JSON
            and not any([environ.get(name) for name in _NOT_PLAIN])
        )
        return service if is_plain and self._host(environ.get("HTTP_HOST", "")) else None

    def _answered(self, service: str, environ: Environ) -> bytes:
        address = environ.get("REMOTE_ADDR", "")
        with self._in_turn():
            caller = self._known(bearer_of(environ.get("HTTP_AUTHORIZATION", "")), environ["PATH_INFO"], address)
            return orjson.dumps(self._calls.answered(service, caller, lambda: _body(environ)))

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        has_turn = self._turn.acquire(timeout=_PATIENCE_S)
        try:
            yield
        finally:
            if has_turn:
                self._turn.release()


class _Kept:
    """Keeps what was raised, for Flask to tell."""

    error: Exception | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        if isinstance(error, Exception):
            self.error = error
        return self.error is not None


def _body(environ: Mapping[str, Any]) -> bytes:
    """The whole body; raise ClientDisconnected where it is cut off."""
    length = int(environ["CONTENT_LENGTH"])
    raw: bytes = environ["wsgi.input"].read(length)
    if len(raw) != length:
        raise ClientDisconnected
    return raw


def _anybody(bearer: str, path: str, address: str) -> Caller:
    return Caller(address=address)


def _any_host(host: str) -> bool:
    return True

"""A FHIR server whose answers a test writes, over real sockets: what it was asked, and how it may misbehave."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

#: What a peer's diagnostics may quote, and nobody else may see.
PHI = "Unmistakable Quentina 12345"


@dataclass(frozen=True)
class Asked:
    """One request as it came; `path` is below the root of the server, headers are found in any case."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Message
    body: bytes
    #: The subject of the client's certificate, "" for none.
    client: str = ""
    #: The client's port: the same one, the same connection.
    port: int = 0

    @property
    def form(self) -> list[tuple[str, str]]:
        """The parameters of a form."""
        return parse_qsl(self.body.decode("ascii"), keep_blank_values=True)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def token(self) -> str:
        """The bearer token, "" for none."""
        return str(self.headers.get("Authorization", "")).removeprefix("Bearer ")


@dataclass(frozen=True)
class Reply:
    """What is answered: a body (bytes as they are, anything else as JSON, None for none), and the faults of it."""

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Seconds before the answer begins, between its bytes, and between those of its headers.
    pause_s: float = 0.0
    drip_s: float = 0.0
    header_drip_s: float = 0.0
    #: Half of the body, and the connection ends.
    cut: bool = False
    #: The connection ends without any answer.
    gone: bool = False
    #: A Content-Length other than the body's.
    length: int | None = None

    @property
    def content(self) -> bytes:
        """The bytes of the body."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body or b""
        return json.dumps(self.body).encode()


Answering = Callable[[Asked], Reply]


class FhirWire:
    """A running server: `url` is its FHIR base, `asked` what came, in the order in which it came."""

    def __init__(self, root: str, base: str = "/fhir") -> None:
        self.root = root
        self.url = f"{root}{base}"
        self.asked: list[Asked] = []

    @property
    def paths(self) -> list[str]:
        """Methods and paths of what came."""
        return [f"{one.method} {one.path}" for one in self.asked]


def outcome(*codes: str, severity: str = "error") -> dict[str, Any]:
    """An OperationOutcome that quotes a patient wherever it can."""
    issues = [{"severity": severity, "code": c, "diagnostics": PHI, "details": {"text": PHI}} for c in codes]
    return {"resourceType": "OperationOutcome", "issue": issues}


def searchset(*resources: Mapping[str, Any], next_url: str = "", **members: Any) -> dict[str, Any]:
    """A page of matches."""
    entries = [{"resource": resource, "search": {"mode": "match"}} for resource in resources]
    links = [{"relation": "next", "url": next_url}] if next_url else []
    return {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries, **members}


def capability_statement(*resources: Mapping[str, Any], **rest: Any) -> dict[str, Any]:
    """A CapabilityStatement of R4."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-03-05",
        "kind": "instance",
        "software": {"name": "Wire", "version": "1"},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{"mode": "server", "resource": list(resources), **rest}],
    }


@contextlib.contextmanager
def serving(answering: Answering, *, tls: ssl.SSLContext | None = None) -> Iterator[FhirWire]:
    """A real HTTP/1.1 server on a port of its own, on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        scheme = "http" if tls is None else "https"
        wire = FhirWire(f"{scheme}://{'127.0.0.1' if tls is None else 'localhost'}:{server.server_port}")
        server.RequestHandlerClass = _handler(wire, answering)
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield wire
        finally:
            server.shutdown()
            thread.join(5)


def _handler(wire: FhirWire, answering: Answering) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        #: So that a client that hangs up or keeps its connection does not keep the thread.
        timeout = 10

        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            query = parse_qsl(parts.query, keep_blank_values=True)
            client, port = _subject(self.connection), self.client_address[1]
            asked = Asked(self.command, parts.path, query, self.headers, body, client, port)
            wire.asked.append(asked)
            reply = answering(asked)
            with contextlib.suppress(OSError):  # the client may have hung up
                self._answer(reply)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _take

        def _answer(self, reply: Reply) -> None:
            time.sleep(reply.pause_s)
            self.close_connection |= reply.cut or reply.gone or reply.length is not None
            if reply.gone:
                return
            content = reply.content
            for part in _parts(self._head(reply), reply.header_drip_s):
                self.wfile.write(part)
            sent = content[: len(content) // 2] if reply.cut else content
            for part in _parts(sent, reply.drip_s):
                self.wfile.write(part)

        def _head(self, reply: Reply) -> bytes:
            length = len(reply.content) if reply.length is None else reply.length
            headers = {"Content-Type": "application/fhir+json", "Content-Length": str(length), **reply.headers}
            lines = [f"HTTP/1.1 {reply.status} Status", *(f"{name}: {value}" for name, value in headers.items())]
            return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

        def log_message(self, format: str, *args: object) -> None:
            """Tests are quiet."""

    return Handler


def _parts(content: bytes, drip_s: float) -> Iterator[bytes]:
    if not drip_s:
        yield content
        return
    for one in content:
        yield bytes([one])
        time.sleep(drip_s)


def _subject(connection: object) -> str:
    """The common name in the client's certificate."""
    certificate = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLSocket) else None
    if not certificate:
        return ""
    names = x509.load_der_x509_certificate(certificate).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""

"""A DICOMweb server of the tests' own on loopback: it answers what a test scripts, and remembers what it was asked."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from cds.imaging_peers import DicomwebServer

DICOM_JSON = "application/dicom+json"
RELATED = 'multipart/related; type="application/dicom"; boundary=the-end'


@dataclass(frozen=True)
class Request:
    """What came: its path below /dicom-web, its query, headers and body."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What goes back. `cut` closes the connection after so many bytes of the body; `chunked` sends it in chunks."""

    status: int = 200
    body: bytes = b""
    content_type: str = DICOM_JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    chunked: bool = False


@dataclass
class Peer:
    """The running server and its memory."""

    url: str
    asked: list[Request] = field(default_factory=list)
    connections: int = 0

    @property
    def server(self) -> DicomwebServer:
        return DicomwebServer(url=self.url)

    @property
    def paths(self) -> list[str]:
        return [one.path for one in self.asked]


def multipart(*instances: bytes) -> bytes:
    """The body of a retrieval."""
    begun = [b"--the-end\r\nContent-Type: application/dicom\r\n\r\n" + one + b"\r\n" for one in instances]
    return b"".join(begun) + b"--the-end--\r\n"


@contextmanager
def serving(answer: Callable[[Request], Reply], ssl_context: ssl.SSLContext | None = None) -> Iterator[Peer]:
    """Serve while the block runs; `answer` is called once for each request, from several threads."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5

        def setup(self) -> None:
            super().setup()
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.connections += 1

        def do_GET(self) -> None:
            _reply(self, answer(_remembered(self, peer)))

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that leaves early is what some tests want."""

    server = Server(("127.0.0.1", 0), Handler)
    if ssl_context is not None:
        server.socket = ssl_context.wrap_socket(server.socket, server_side=True)
    scheme, host = ("http", "127.0.0.1") if ssl_context is None else ("https", "localhost")
    peer = Peer(f"{scheme}://{host}:{server.server_address[1]}/dicom-web")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield peer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _remembered(handler: BaseHTTPRequestHandler, peer: Peer) -> Request:
    parts = urlsplit(handler.path)
    body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    path = unquote(parts.path).removeprefix("/dicom-web")
    headers = {name.lower(): value for name, value in handler.headers.items()}
    request = Request(handler.command, path, parse_qsl(parts.query), headers, body)
    peer.asked.append(request)
    return request


def _reply(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    handler.send_response(reply.status)
    handler.send_header("Content-Type", reply.content_type)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    if reply.chunked:
        handler.send_header("Transfer-Encoding", "chunked")
    else:
        handler.send_header("Content-Length", str(len(reply.body)))
    handler.end_headers()
    body = reply.body if reply.cut is None else reply.body[: reply.cut]
    if reply.chunked:
        body = b"".join(b"%x\r\n%s\r\n" % (len(body[i : i + 999]), body[i : i + 999]) for i in range(0, len(body), 999))
        body += b"0\r\n\r\n" if reply.cut is None else b""
    handler.wfile.write(body)
    handler.close_connection = handler.close_connection or reply.cut is not None

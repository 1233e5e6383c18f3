"""A small mail server and a small HTTP server on real sockets, which keep what they are given."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Mailbox:
    """What a mail server took, and what it answers to whom: "RCPT" or "DATA" to a line of its own."""

    port: int = 0
    answers: dict[str, str] = field(default_factory=dict)
    taken: list[bytes] = field(default_factory=list)
    to: list[str] = field(default_factory=list)


class _MailServer(socketserver.ThreadingTCPServer):
    box: Mailbox


class _Session(socketserver.StreamRequestHandler):
    """RFC 5321 as far as one message needs it."""

    def handle(self) -> None:
        assert isinstance(self.server, _MailServer)
        box = self.server.box
        self._say("220 test")
        while line := self.rfile.readline():
            verb = line.decode().split(" ")[0].strip().upper().partition(":")[0]
            if verb == "QUIT":
                return self._say("221 bye")
            if verb == "RCPT":
                box.to.append(line.decode().strip())
            self._say(box.answers.get(verb, "354 go on" if verb == "DATA" else "250 ok"))
            if verb == "DATA" and verb not in box.answers:
                box.taken.append(self._message())
                self._say(box.answers.get("END", "250 taken"))

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def _message(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return b"".join(lines)


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """A mail server on a free port."""
    with _MailServer(("127.0.0.1", 0), _Session) as server:
        server.box = Mailbox(server.server_address[1])
        with _serving(server):
            yield server.box


@dataclass
class Hook:
    """What an HTTP server was given, and how it answers."""

    url: str = ""
    status: int = 200
    answer: Callable[[bytes], bytes] = lambda _: b"{}"
    taken: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)


@contextmanager
def http_server() -> Iterator[Hook]:
    """An HTTP server that takes POST."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.taken.append((self.path, dict(self.headers), body))
            answer = hook.answer(body)
            self.send_response(hook.status)
            self.send_header("Content-Type", "application/fhir+json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.url = f"http://127.0.0.1:{server.server_address[1]}"
        with _serving(server):
            yield hook


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()

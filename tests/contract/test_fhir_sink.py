"""A FHIR server as a destination: an answer is read before it is believed, and its faults are told apart."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from adapters.fhir.sink import FhirSink
from cds.destinations import FhirDestination
from cds.errors import PeerFailed, PeerRefused, Unavailable
from tests.unit.fhir_samples import SYSTEMS, report

#: What a peer's diagnostics may quote, and nobody else may see.
PHI = "Unmistakable Quentina 12345"


def done(bundle: dict[str, Any], status: str = "201 Created") -> dict[str, object]:
    """The answer of a server that took everything."""
    entries = [{"response": {"status": status}} for _ in bundle["entry"]]
    return {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}


@dataclass
class Reply:
    """What the peer answers: a body by the Bundle that came, how slowly, and how much of it."""

    status: int = 200
    body: Callable[[dict[str, Any]], object] = done
    headers: dict[str, str] = field(default_factory=dict)
    pause_s: float = 0.0
    drip_s: float = 0.0
    cut: bool = False


@dataclass
class Peer:
    """A running server: its URL and what it received."""

    url: str
    requests: list[tuple[dict[str, str], bytes]]


def outcome(*codes: str) -> dict[str, object]:
    """An OperationOutcome that quotes a patient wherever it can."""
    issues = [{"severity": "error", "code": c, "diagnostics": PHI, "details": {"text": PHI}} for c in codes]
    return {"resourceType": "OperationOutcome", "issue": issues}


@contextlib.contextmanager
def peer(reply: Reply) -> Iterator[Peer]:
    """A real HTTP server on a port of its own."""
    requests: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((dict(self.headers), raw))
            body = reply.body(json.loads(raw))
            answer = body if isinstance(body, bytes) else json.dumps(body).encode()
            time.sleep(reply.pause_s)
            with contextlib.suppress(OSError):  # the client may have hung up
                self._answer(answer)

        def _answer(self, answer: bytes) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if reply.drip_s:
                for one in answer:
                    self.wfile.write(bytes([one]))
                    time.sleep(reply.drip_s)
            else:
                self.wfile.write(answer[: len(answer) // 2] if reply.cut else answer)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Peer(f"http://127.0.0.1:{server.server_port}/fhir", requests)
        finally:
            server.shutdown()
            thread.join(5)


def sink(url: str, *, timeout_s: float = 5.0, token_file: Path | None = None) -> FhirSink:
    """A sink to a URL."""
    to = FhirDestination(url=url, timeout_s=timeout_s, token_file=token_file)
    return FhirSink("ehr", to, identifier_systems=SYSTEMS, site_name="Sample Hospital")


def attempt(reply: Reply, **options: Any) -> str:
    """What one attempt came to."""
    with peer(reply) as server:
        one = sink(server.url, **options)
        return one.send(one.encode(report(), "delivery-1"))


def test_a_server_that_takes_everything_is_believed_and_gets_the_same_bytes_again() -> None:
    with peer(Reply()) as server:
        one = sink(server.url)
        payload = one.encode(report(), "delivery-1")
        assert one.send(payload) == "200 for 6 entries"
        assert one.send(payload) == one.send(payload)
        assert [raw for _, raw in server.requests] == [payload] * 3
        assert server.requests[0][0]["Content-Type"] == "application/fhir+json"
        assert "Authorization" not in server.requests[0][0]


def test_the_token_is_read_at_every_attempt(tmp_path: Path) -> None:
    token = tmp_path / "token"
    with peer(Reply()) as server:
        one = sink(server.url, token_file=token)
        payload = one.encode(report(), "delivery-1")
        for value in ("first", "second"):
            token.write_text(f"{value}\n")
            one.send(payload)
        assert [headers["Authorization"] for headers, _ in server.requests] == ["Bearer first", "Bearer second"]
        for useless in (b"", b"\xff", b"two\nlines"):
            token.write_bytes(useless)
            with pytest.raises(Unavailable, match="token"):
                one.send(payload)
        token.unlink()
        with pytest.raises(Unavailable, match="token"):
            one.send(payload)
        assert len(server.requests) == 2


@pytest.mark.parametrize("status", [301, 401, 403, 408, 429, 502, 503, 504])
def test_an_answer_that_says_nothing_of_the_report_means_again(status: int) -> None:
    with pytest.raises(Unavailable, match=str(status)) as caught:
        attempt(Reply(status, lambda _: outcome("throttled"), {"Retry-After": "120"}))
    assert not isinstance(caught.value, PeerFailed)
    assert "asks to wait 120 s" in str(caught.value)
    assert "(throttled)" in str(caught.value)


@pytest.mark.parametrize("status", [500, 501])
def test_a_server_that_failed_is_asked_again_but_not_for_ever(status: int) -> None:
    with pytest.raises(PeerFailed, match=str(status)):
        attempt(Reply(status, lambda _: b"<html>Unmistakable</html>"))


@pytest.mark.parametrize("status", [400, 404, 409, 412, 422])
def test_a_refusal_is_for_good_and_is_told_by_its_codes_alone(status: int) -> None:
    with pytest.raises(PeerRefused) as caught:
        attempt(Reply(status, lambda _: outcome("invariant", "Unmistakable", "invariant", "value")))
    assert str(caught.value) == f"the FHIR destination refuses it: {status} (invariant, value)"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"issue": 5}', b'{"issue": [5, {"code": ["invalid"]}]}'])
def test_a_refusal_without_a_readable_outcome_is_a_refusal(body: bytes) -> None:
    with pytest.raises(PeerRefused, match=r"refuses it: 422$"):
        attempt(Reply(422, lambda _: body))


@pytest.mark.parametrize(
    "body",
    [
        lambda _: b"",
        lambda _: b"<html/>",
        lambda _: b"[]",
        lambda _: outcome("informational"),
        lambda bundle: {**done(bundle), "type": "batch-response"},
        lambda bundle: {**done(bundle), "entry": done(bundle)["entry"][1:]},
        lambda bundle: {**done(bundle), "entry": [{} for _ in bundle["entry"]]},
        lambda bundle: {**done(bundle), "entry": [5 for _ in bundle["entry"]]},
        lambda bundle: done(bundle, "fine"),
    ],
)
def test_a_success_that_does_not_say_what_was_done_is_not_believed(body: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(PeerFailed):
        attempt(Reply(200, body))


@pytest.mark.parametrize(
    ("status", "wanted"), [("422 Unprocessable", PeerRefused), ("503", Unavailable), ("500", PeerFailed)]
)
def test_one_entry_that_failed_is_a_failure_of_all(status: str, wanted: type[Exception]) -> None:
    def body(bundle: dict[str, Any]) -> object:
        answer: dict[str, Any] = done(bundle)
        answer["entry"][2] = {"response": {"status": status, "outcome": outcome("business-rule")}}
        return answer

    with pytest.raises(wanted, match="business-rule") as caught:
        attempt(Reply(200, body))
    assert "Unmistakable" not in str(caught.value)


def test_half_an_answer_is_no_answer() -> None:
    with pytest.raises(Unavailable, match="RemoteProtocolError"):
        attempt(Reply(cut=True))


@pytest.mark.parametrize("reply", [Reply(pause_s=0.8), Reply(drip_s=0.02)])
def test_a_server_that_takes_too_long_is_not_waited_for(reply: Reply) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match="ReadTimeout"):
        attempt(reply, timeout_s=0.3)
    assert time.monotonic() - began < 3


def test_nobody_listening_means_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    one = sink(f"http://127.0.0.1:{port}/fhir")
    with pytest.raises(Unavailable, match="ConnectError"):
        one.send(one.encode(report(), "delivery-1"))


def test_no_error_quotes_what_the_peer_says_of_a_patient() -> None:
    for status in (400, 401, 422, 429, 500, 503):
        with pytest.raises((Unavailable, PeerRefused)) as caught:
            attempt(Reply(status, lambda _: outcome(PHI), {"Retry-After": PHI}))
        assert "Unmistakable" not in str(caught.value)
        assert caught.value.__cause__ is None

"""The web role's own server, as a process: it drains, and it writes nothing about requests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.contract.web_peer import CARD, SERVICE

NAME = "Unmistakable"
ROOT = Path(__file__).parents[2]
#: How long a peer of the server may stall; it has 8 threads, 4 of which take uploads.
IDLE_S = 1.0
THREADS, UPLOADS = 8, 4
UPLOAD = b"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/related\r\n"


class Running:
    """A server process and its address."""

    def __init__(self, port: int, process: subprocess.Popen[str]) -> None:
        self.port, self.process, self.url = port, process, f"http://127.0.0.1:{port}"

    def stop(self) -> tuple[int, str, str]:
        """SIGTERM, then the exit code, stdout and stderr."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ready, told = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.contract.web_peer", str(port)],
        cwd=ROOT,
        env={
            **os.environ,
            "READY_FD": str(told),
            "IDLE_S": str(IDLE_S),
            "HOME": str(tmp_path),
            "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        },
        pass_fds=(told,),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(told)
    with os.fdopen(ready, "rb") as pipe:
        assert pipe.read() == b""
    running = Running(port, process)
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=5)) as client:
            client.get(f"{running.url}/health/live")
        yield running
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_a_request_under_way_is_answered_before_the_server_ends(server: Running) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(
            httpx.post, f"{server.url}/cds-services/{SERVICE}", json={"hookInstance": "slow"}, timeout=15
        )
        wait_for_the_request(server)
        code, out, err = server.stop()
        assert slow.result().json() == {"cards": [CARD]}
    assert code == 0
    assert out == ""
    assert "the web server stops" in err
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0


def wait_for_the_request(server: Running) -> None:
    """Long enough for the slow request, which takes 1.5 s, to be under way: three others come and go."""
    for _ in range(3):
        httpx.get(f"{server.url}/cds-services")


def test_nothing_of_a_request_reaches_the_log_not_even_of_a_malformed_one(server: Running, tmp_path: Path) -> None:
    good = httpx.get(f"{server.url}/fhir/Patient", params={"identifier": NAME})
    assert good.status_code == 200
    httpx.post(f"{server.url}/cds-services/{SERVICE}", json={"hookInstance": "bug"})
    for raw in (
        f"GET /fhir/Patient?identifier={NAME} HTTP/9.9\r\n\r\n",
        f"{NAME}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{NAME}\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(raw.encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 4")
    assert NAME not in httpx.get(f"{server.url}/metrics").text
    code, out, err = server.stop()
    assert (code, out) == (0, "")
    assert NAME not in err
    lines = [json.loads(line) for line in err.splitlines()]
    assert any(line["event"] == "a request failed" and line["exception"] == "ValueError" for line in lines)
    assert any(line["event"] == "the web server warns, text withheld" for line in lines)
    assert not list(tmp_path.rglob("*.ctl"))


@pytest.mark.parametrize("header", ["SCRIPT_NAME", "PATH_INFO", "Script_Name"])
def test_no_header_says_which_address_was_asked_for(server: Running, header: str) -> None:
    """A proxy on this machine that opens some addresses alone hands on the headers of strangers."""
    asked = f"GET /cds-services/health/live HTTP/1.1\r\nHost: localhost\r\n{header}: /cds-services\r\n\r\n"
    with connected(server, asked.encode()) as connection:
        assert status(connection) == 404
    asked = f"GET /health/live HTTP/1.1\r\nHost: localhost\r\n{header}: /elsewhere\r\n\r\n"
    with connected(server, asked.encode()) as connection:
        assert status(connection) == 200
    server.stop()


def test_a_body_in_chunks_that_is_too_large_is_refused_as_such(server: Running) -> None:
    known = b'{"hookInstance": "1"}'

    def padded(size: int) -> Iterator[bytes]:
        yield known
        yield from (b" " * part for part in [65536] * ((size - len(known)) // 65536))

    headers = {"Content-Type": "application/json"}
    small, large = (
        httpx.post(f"{server.url}/cds-services/{SERVICE}", content=padded(size), headers=headers)
        for size in (1024 * 1024, 5 * 1024 * 1024)
    )
    assert (small.status_code, large.status_code) == (200, 413)
    server.stop()


def test_answers_do_not_name_a_version_of_the_server(server: Running) -> None:
    response = httpx.get(f"{server.url}/health/live")
    assert response.headers.get("Server", "") == "gunicorn"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    server.stop()


def test_metrics_are_those_of_all_processes_together(server: Running) -> None:
    for _ in range(20):
        httpx.get(f"{server.url}/health/live")
    counted = httpx.get(f"{server.url}/metrics").text
    line = next(
        x for x in counted.splitlines() if 'route="/health/live"' in x and x.startswith("sightline_http_requests")
    )
    assert float(line.rpartition(" ")[2]) == 21
    server.stop()


def connected(server: Running, said: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    connection.sendall(said)
    return connection


def status(connection: socket.socket) -> int:
    """Of the answer on this connection, 0 where it is closed without one."""
    with connection:
        answer = connection.recv(4096)
    return int(answer.split()[1]) if answer else 0


def test_an_upload_that_stalls_is_told_so_and_gives_its_slot_back(server: Running) -> None:
    stalled = [connected(server, UPLOAD + b"Content-Length: 1000\r\n\r\n--") for _ in range(2 * UPLOADS)]
    statuses = [status(connection) for connection in stalled]
    assert set(statuses) <= {408, 503}
    assert statuses.count(408) >= 2
    content = {"Content-Type": "multipart/related"}
    assert httpx.post(f"{server.url}/dicom-web/studies", content=b"all of it", headers=content).status_code == 200
    assert "its peer stalls" in server.stop()[2]


def test_a_sender_that_drips_is_as_slow_as_one_that_stalls(server: Running) -> None:
    with connected(server, UPLOAD + b"Content-Length: 1000\r\n\r\n") as connection:
        started, statuses = time.monotonic(), list[bytes]()
        connection.settimeout(IDLE_S / 5)
        while not statuses and time.monotonic() < started + 10 * IDLE_S:
            connection.sendall(b".")
            with contextlib.suppress(TimeoutError):
                statuses.append(connection.recv(4096).split()[1])
    assert statuses == [b"408"]


def test_connections_that_say_nothing_or_never_end_their_request_delay_nobody(server: Running) -> None:
    silent = [connected(server, b"") for _ in range(4 * THREADS)]
    half = [connected(server, b"GET /health/live HTTP/1.1\r\nHost: ") for _ in range(THREADS)]
    started = time.monotonic()
    assert httpx.get(f"{server.url}/health/live", timeout=10).status_code == 200
    assert time.monotonic() - started < 3 * IDLE_S
    assert [status(connection) for connection in half] == [0] * THREADS
    for connection in silent:
        connection.close()


def test_peers_that_do_not_close_their_side_delay_nobody(server: Running) -> None:
    asked = [connected(server, b"GET /health/live HTTP/1.0\r\n\r\n") for _ in range(2 * THREADS)]
    started = time.monotonic()
    assert httpx.get(f"{server.url}/health/live", timeout=10).status_code == 200
    assert time.monotonic() - started < 2.5
    assert [status(connection) for connection in asked] == [200] * len(asked)


@pytest.mark.parametrize("body", [b"5\r\n--", b"no size\r\n"], ids=["cut-off", "no-chunks"])
def test_a_body_that_breaks_off_is_its_senders_error(body: bytes, server: Running) -> None:
    connection = connected(server, UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    connection.shutdown(socket.SHUT_WR)
    assert status(connection) == 400
    assert "a request failed" not in server.stop()[2]

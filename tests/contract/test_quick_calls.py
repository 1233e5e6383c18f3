"""CDS Hooks calls are answered alike by the quick way and by Flask; a header only Flask reads tells them apart."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.contract.web_peer import SERVICE, services, serving

#: An origin that nobody has allowed: such a call goes the way past nothing.
FLASKS_WAY = {"Origin": "https://nobody.example"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(services()) as found:
        yield found


def both(url: str, content: bytes, **headers: str) -> tuple[httpx.Response, httpx.Response]:
    """The answers on both ways."""
    kind = {"Content-Type": "application/json"} | headers
    address = f"{url}/cds-services/{SERVICE}"
    quick = httpx.post(address, content=content, headers=kind)
    return quick, httpx.post(address, content=content, headers=kind | FLASKS_WAY)


def told(response: httpx.Response) -> tuple[object, ...]:
    """All that a client can see, but for what is of this moment."""
    ours = {name: value for name, value in response.headers.items() if name not in ("date", "server", "connection")}
    return response.status_code, ours, response.json()


@pytest.mark.parametrize(
    "content",
    [
        b'{"hookInstance": "fine"}',
        b'{"hookInstance": "malformed"}',
        b'{"hookInstance": "unknown-patient"}',
        b'{"hookInstance": "down"}',
        b"[]",
        b"{",
        b"",
        b'{"a": ' * 70 + b"1" + b"}" * 70,
    ],
    ids=["fine", "malformed", "unknown patient", "down", "a list", "no json", "nothing", "too deep"],
)
def test_both_ways_answer_the_same(url: str, content: bytes) -> None:
    quick, flasks = both(url, content)
    assert told(quick) == told(flasks)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Host": "stranger.example"}, 401),
    ],
)
def test_what_is_no_plain_call_is_answered_all_the_same(url: str, headers: dict[str, str], status: int) -> None:
    quick, flasks = both(url, b'{"hookInstance": "fine"}', **headers)
    assert (quick.status_code, flasks.status_code) == (status, status)


def test_a_body_that_breaks_off_is_a_bad_request(url: str) -> None:
    where = urlsplit(url)
    with socket.create_connection((str(where.hostname), where.port or 80), timeout=10) as connection:
        head = f"POST /cds-services/{SERVICE} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        connection.sendall(f'{head}Content-Length: 100\r\n\r\n{{"hook'.encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1024).split(b"\r\n")[0].split()[1] == b"400"


def test_where_a_token_of_all_of_http_is_asked_for_there_is_one_way() -> None:
    with serving(services(token="secret")) as url:
        quick, flasks = both(url, b'{"hookInstance": "fine"}')
        assert (quick.status_code, flasks.status_code) == (401, 401)
        quick, flasks = both(url, b'{"hookInstance": "fine"}', Authorization="Bearer secret")
        assert (quick.status_code, flasks.status_code) == (200, 200)

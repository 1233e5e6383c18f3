"""Who comes in at the MLLP door, how many, and what happens while the inbox is full."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cds.limits import Hl7Limits
from tests.contract.hl7_wire import Peer, certificate, order, receiving, wire

_OTHER, _THIRD = "127.0.0.2", "127.0.0.3"


def _is_answered(peer: Peer, number: int = 1) -> bool:
    peer.send(wire(order(number)))
    return peer.answer()[1][1:3] == ["AA", f"MSG-{number}"]


@pytest.mark.parametrize("allowed", [("127.0.0.2",), ("10.0.0.0/8", "127.0.0.2/31"), ("::1", "127.0.0.0/29")])
def test_only_allowed_addresses_come_in(allowed: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with receiving(allowed_peers=allowed) as (server, log):
        with Peer(server.port, source=_OTHER) as peer:
            assert _is_answered(peer)
        with Peer(server.port, source="127.0.0.9") as peer:
            assert peer.is_closed()
        assert len(log.committed) == 1
    assert '"connection closed at once", "peer": "127.0.0.9", "outcome": "not-allowed"' in capsys.readouterr().err


def test_nobody_may_take_all_places() -> None:
    limits = Hl7Limits(max_connections=3, max_connections_per_peer=2)
    with receiving(limits) as (server, _), contextlib.ExitStack() as stack:
        mine = [stack.enter_context(Peer(server.port)) for _ in range(2)]
        assert all(_is_answered(peer, number) for number, peer in enumerate(mine))
        assert stack.enter_context(Peer(server.port)).is_closed()
        assert _is_answered(stack.enter_context(Peer(server.port, source=_OTHER)))
        assert stack.enter_context(Peer(server.port, source=_THIRD)).is_closed()
        mine[0].socket.close()
        _wait(lambda: _may_enter(server.port))


def test_who_connects_and_leaves_takes_no_place() -> None:
    limits = Hl7Limits(max_connections=64, max_connections_per_peer=64)
    with receiving(limits) as (server, _):
        for _ in range(600):
            socket.create_connection(("127.0.0.1", server.port)).close()
        with Peer(server.port) as peer:
            assert _is_answered(peer)


def test_while_the_inbox_is_full_senders_wait_and_nothing_is_lost() -> None:
    full = threading.Event()
    limits = Hl7Limits(idle_timeout_s=0.8, in_frame_timeout_s=0.4, total_frame_timeout_s=0.8)
    with receiving(limits, crowded=full.is_set) as (server, log), Peer(server.port) as peer:
        assert _is_answered(peer, 1)
        peer.send(wire(order(2))[:50])
        full.set()
        time.sleep(0.3)  # the server looks every tenth of a second here
        peer.send(wire(order(2))[50:] + b"".join(wire(order(number)) for number in range(3, 20)))
        with Peer(server.port) as late:
            late.send(wire(order(20)))
            assert peer.is_silent(1.0)  # longer than any timeout: it is not the peer that is slow
            assert late.is_silent(0.1)
            assert [message.control_id for message in log.committed] == ["MSG-1"]
            full.clear()
            assert [peer.answer()[1][2] for _ in range(2, 20)] == [f"MSG-{number}" for number in range(2, 20)]
            assert late.answer()[1][2] == "MSG-20"
        assert len(log.committed) == 20


def test_a_full_inbox_holds_back_what_a_sender_pours_in() -> None:
    full = threading.Event()
    full.set()
    with receiving(crowded=full.is_set) as (server, log):
        time.sleep(0.1)
        with Peer(server.port) as peer:
            peer.socket.settimeout(0.5)
            with pytest.raises(TimeoutError):
                peer.send(200 * wire(order() + b"NTE|1||" + b"x" * 200_000 + b"\r"))
        assert log.committed == []


def _context(folder: Path, *, clients_ca: Path | None = None) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's side, and a client that trusts it."""
    ours = certificate(folder, "ours")
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain(*ours)
    if clients_ca is not None:
        inside.load_verify_locations(clients_ca)
        inside.verify_mode = ssl.CERT_REQUIRED
    return inside, ssl.create_default_context(cafile=str(ours[0]))


def _talk(outside: ssl.SSLContext, port: int, sent: bytes, answers: int) -> list[bytes]:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        outside.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.sendall(sent)
        got = b""
        while got.count(b"\x1c\r") < answers:
            data = secure.recv(65536)
            if not data:
                break
            got += data
        return [part for part in got.split(b"\x1c\r") if part]


def test_tls_without_client_certificates_takes_pipelined_and_large_frames(tmp_path: Path) -> None:
    inside, outside = _context(tmp_path)
    large = order(2) + b"OBX|1|ED|PDF^r^L||" + b"x" * 3_000_000 + b"\r"
    with receiving(ssl_context=inside) as (server, log):
        answers = _talk(outside, server.port, wire(order(1)) + wire(large) + wire(order(3)), 3)
        assert [b"\rMSA|AA|MSG-%d\r" % number in answer for number, answer in enumerate(answers, 1)] == [True] * 3
        assert log.committed[1].raw == large


def test_where_client_certificates_are_demanded_nobody_comes_in_without(tmp_path: Path) -> None:
    theirs = certificate(tmp_path, "theirs")
    inside, outside = _context(tmp_path, clients_ca=theirs[0])
    with receiving(ssl_context=inside) as (server, log):
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            assert _talk(outside, server.port, wire(order()), 1) == []
        assert log.committed == []
        outside.load_cert_chain(*theirs)
        assert len(_talk(outside, server.port, wire(order()), 1)) == 1


def test_a_stranger_of_tls_gets_no_byte_and_a_slow_handshake_is_ended(tmp_path: Path) -> None:
    inside, _ = _context(tmp_path)
    limits = Hl7Limits(in_frame_timeout_s=0.3, max_connections=1)
    with receiving(limits, ssl_context=inside) as (server, log):
        with Peer(server.port) as slow, Peer(server.port) as refused:
            assert refused.is_closed()  # the one place is taken, with no handshake yet
            assert slow.is_closed()
        with Peer(server.port) as plain:
            plain.send(wire(order()))
            assert plain.is_closed()
        assert log.committed == []


def test_tls_peers_outside_of_the_allowed_addresses_see_no_handshake(tmp_path: Path) -> None:
    inside, outside = _context(tmp_path)
    with (
        receiving(ssl_context=inside, allowed_peers=("10.0.0.0/8",)) as (server, _),
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        _talk(outside, server.port, wire(order()), 1)


def test_a_full_inbox_holds_tls_peers_too(tmp_path: Path) -> None:
    inside, outside = _context(tmp_path)
    full = threading.Event()
    with receiving(Hl7Limits(in_frame_timeout_s=0.4), ssl_context=inside, crowded=full.is_set) as (server, log):
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain,
            outside.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            secure.sendall(wire(order(1)))
            assert b"MSG-1" in secure.recv(65536)
            full.set()
            time.sleep(0.3)
            secure.sendall(wire(order(2)))
            secure.settimeout(0.6)
            with pytest.raises(TimeoutError):
                secure.recv(65536)
            full.clear()
            secure.settimeout(5)
            assert b"MSG-2" in secure.recv(65536)
        assert len(log.committed) == 2


def test_a_sender_may_close_its_side_before_it_is_answered() -> None:
    with receiving() as (server, log), Peer(server.port) as peer:
        peer.send(b"".join(wire(order(number)) for number in range(5)))
        peer.socket.shutdown(socket.SHUT_WR)
        assert [peer.answer()[1][2] for _ in range(5)] == [f"MSG-{number}" for number in range(5)]
        assert peer.is_closed()
        assert len(log.committed) == 5


def test_what_a_sender_without_answers_sent_is_kept_though_it_left() -> None:
    silent = [order(number).replace(b"|P|2.4\r", b"|P|2.4|||NE|NE\r") for number in range(20)]
    with receiving() as (server, log):
        with Peer(server.port) as peer:
            peer.send(b"".join(map(wire, silent)))
        _wait(lambda: len(log.committed) == 20)


def test_a_sender_that_takes_no_answers_is_closed_and_harms_nobody() -> None:
    """Its own long names come back in each answer, so that these fill every buffer on the way."""
    most = 3000
    with receiving(Hl7Limits(in_frame_timeout_s=0.4)) as (server, log), Peer(server.port) as deaf:
        pouring = threading.Thread(target=_pour, args=(deaf.socket, most))
        pouring.start()
        with Peer(server.port) as other:
            _wait(lambda: len(log.committed) > 100)
            assert _is_answered(other)
        pouring.join(20)
        assert not pouring.is_alive()
        _wait(lambda: server.server.in_work == 0)
        assert len(log.committed) < most


def _pour(to: socket.socket, count: int) -> None:
    with contextlib.suppress(OSError):
        for number in range(count):
            to.sendall(wire(order(number).replace(b"|RIS|", b"|" + b"R" * 7000 + b"|")))


def _may_enter(port: int) -> bool:
    with Peer(port) as peer, contextlib.suppress(ConnectionError):
        return _is_answered(peer, 9)
    return False


def _wait(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)

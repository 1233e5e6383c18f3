"""The MLLP server on real sockets: durable before AA, in order, and calm under abuse (reference/hl7, section 3)."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hl7.client import MLLPClient

from adapters.hl7.commit import GroupCommit
from adapters.hl7.receive import Receiver
from cds.clock import SystemClock
from cds.errors import OutOfResources, Unavailable
from cds.limits import Hl7Limits
from tests.contract.hl7_wire import Broken, Peer, ThreadLog, certificate, fields, order, receiving, served, wire

_QUICK = Hl7Limits(idle_timeout_s=0.4, in_frame_timeout_s=0.2, total_frame_timeout_s=0.6)


def test_a_message_is_acknowledged_once_it_is_committed() -> None:
    with receiving() as (server, log), Peer(server.port) as peer:
        log.open.clear()
        peer.send(wire(order()))
        peer.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            peer.answer()
        assert log.committed == []
        log.open.set()
        peer.socket.settimeout(10)
        assert peer.answer()[1] == ["MSA", "AA", "MSG-1"]
        assert [message.raw for message in log.committed] == [order()]


def test_pipelined_frames_are_all_answered_in_order() -> None:
    with receiving() as (server, log), Peer(server.port) as peer:
        peer.send(b"".join(wire(order(number)) for number in range(200)))
        assert [peer.answer()[1][2] for _ in range(200)] == [f"MSG-{number}" for number in range(200)]
        assert [message.control_id for message in log.committed] == [f"MSG-{number}" for number in range(200)]


def test_a_connection_stays_open_and_takes_single_bytes() -> None:
    with receiving() as (server, _), Peer(server.port) as peer:
        peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(3):
            for byte in wire(order(number)):
                peer.send(bytes([byte]))
            assert peer.answer()[1] == ["MSA", "AA", f"MSG-{number}"]


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n" + wire(order()),
        b"garbage" + wire(order()),
        b"\x0bhalf a mess" + wire(order()),
        wire(order().replace(b"\r", b"\r\r")),
        wire(order().replace(b"\r", b"\n")),
        wire(b"\xef\xbb\xbf" + order()),
        wire(order().replace(b"Probe", "Müller".encode("latin-1"))),
        wire(order().replace(b"Petra", b"Pe\x1ctra")),
        wire(order() + b"OBX|1|ED|PDF^r^L||^IM^PDF^Base64^" + b"QUJD" * 300_000 + b"||||||F\r"),
    ],
)
def test_odd_but_honest_senders_get_aa(sent: bytes) -> None:
    with receiving() as (server, log), Peer(server.port) as peer:
        peer.send(sent)
        assert peer.answer()[1] == ["MSA", "AA", "MSG-1"]
        assert len(log.committed) == 1


def test_five_megabytes_are_answered_at_once() -> None:
    block = order() + b"OBX|1|ED|PDF^r^L||" + b"x" * 5_000_000 + b"\r"
    with receiving() as (server, _), Peer(server.port) as peer:
        began = time.perf_counter()
        peer.send(wire(block))
        assert peer.answer()[1][1] == "AA"
        assert time.perf_counter() - began < 1.5  # 300 ms alone on two cores; other tests may share them


def test_an_order_without_a_patient_is_ae_and_kept_with_the_reason() -> None:
    with receiving() as (server, log), Peer(server.port) as peer:
        refused = order().replace(b"PID|", b"ZZZ|")
        peer.send(wire(refused) + wire(order(2)))
        refusal = peer.answer()
        assert refusal[1][1:3] == ["AE", "MSG-1"]
        assert refusal[2][1] == "PID^1^3^101&Required field missing&HL70357"
        assert peer.answer()[1][1] == "AA"
        assert [message.control_id for message in log.committed] == ["MSG-1", "MSG-2"]
        kept = log.committed[0]
        assert (kept.raw, kept.answered, kept.refusal) == (refused, "AE", "want a patient identifier in PID-3")
        assert [message.control_id for message in log.taken] == ["MSG-2"]


@pytest.mark.parametrize("block", [b"", b"hello", b"GET / HTTP/1.1", bytes(9), b"PID|1||4711\r"], ids=repr)
def test_what_is_not_hl7_is_ar_and_kept_and_the_connection_goes_on(block: bytes) -> None:
    with receiving() as (server, log), Peer(server.port) as peer:
        peer.send(wire(block))
        _, msa, err = peer.answer()
        assert msa[:3] == ["MSA", "AR", ""]
        assert err[0] == "ERR"
        peer.send(wire(order()))
        assert peer.answer()[1][1] == "AA"
        assert [(message.raw, message.answered) for message in log.committed] == [(block, "AR"), (order(), "AA")]
        assert log.committed[0].control_id == log.committed[0].message_type == ""
        assert "want" in log.committed[0].refusal


@pytest.mark.parametrize("error", [Unavailable("the log is locked"), OutOfResources("no space left")])
def test_a_log_that_fails_is_ae_and_never_aa(error: Exception) -> None:
    with receiving() as (server, log), Peer(server.port) as peer:
        log.error = error
        peer.send(wire(order()))
        _, msa, err = peer.answer()
        assert (msa[1], msa[2]) == ("AE", "MSG-1")
        assert msa[3].endswith("try again")
        assert "207" in err[1]
        log.error = None
        peer.send(wire(order()))
        assert peer.answer()[1][1] == "AA"


@pytest.mark.parametrize("error", [Broken("x"), ValueError("a bug"), OSError("disk")])
def test_a_bug_is_ae_and_the_connection_goes_on(error: Exception) -> None:
    with receiving() as (server, log), Peer(server.port) as peer:
        log.error = error
        peer.send(wire(order()))
        answer = peer.answer()
        assert answer[1][1:3] == ["AE", "MSG-1"]
        assert str(error) not in str(answer) or isinstance(error, Broken)
        log.error = None
        peer.send(wire(order(2)))
        assert peer.answer()[1] == ["MSA", "AA", "MSG-2"]


def test_an_oversize_frame_is_ar_and_closed_and_those_before_it_are_taken() -> None:
    with receiving(Hl7Limits(max_frame_bytes=2000)) as (server, log), Peer(server.port) as peer:
        peer.send(wire(order(1)) + b"\x0b" + order(2) + b"x" * 300_000)
        assert peer.answer()[1] == ["MSA", "AA", "MSG-1"]
        _, msa, _ = peer.answer()
        assert msa[:3] == ["MSA", "AR", "MSG-2"]
        assert "2000 bytes" in msa[3]
        peer.socket.shutdown(socket.SHUT_WR)
        assert peer.is_closed()
        assert len(log.committed) == 1


def test_an_endless_frame_without_header_is_closed_without_an_answer() -> None:
    with receiving(Hl7Limits(max_frame_bytes=2000)) as (server, _), Peer(server.port) as peer:
        peer.send(b"\x0b" + b"x" * 3000)
        assert peer.is_closed()


def test_endless_garbage_is_closed() -> None:
    with receiving(Hl7Limits(max_frame_bytes=2000)) as (server, _), Peer(server.port) as peer:
        with contextlib.suppress(ConnectionError):
            peer.send(b"x" * 100_000)
        assert peer.is_closed()


@pytest.mark.parametrize(("sent", "at_least"), [(b"", 0.4), (wire(b"x")[:-1], 0.2), (b"\x0bMSH|", 0.2)])
def test_a_silent_peer_is_closed_after_its_time(sent: bytes, at_least: float) -> None:
    with receiving(_QUICK) as (server, _), Peer(server.port) as peer:
        began = time.monotonic()
        peer.send(sent)
        assert peer.is_closed()
        assert at_least <= time.monotonic() - began + 0.05


def test_a_dripping_peer_is_closed_after_the_time_for_a_frame() -> None:
    with receiving(_QUICK) as (server, _), Peer(server.port) as peer:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            peer.send(b"\x0b")
            while time.monotonic() - began < 5:
                peer.send(b"x")
                time.sleep(0.05)
        assert 0.5 < time.monotonic() - began < 3


def test_three_hundred_idle_connections_do_not_stop_the_others() -> None:
    limits = Hl7Limits(idle_timeout_s=1.0, max_connections=310, max_connections_per_peer=310)
    with receiving(limits) as (server, _), contextlib.ExitStack() as stack:
        idle = [stack.enter_context(Peer(server.port)) for _ in range(300)]
        with Peer(server.port) as peer:
            peer.send(wire(order()))
            assert peer.answer()[1][1] == "AA"
        assert all(peer.is_closed() for peer in idle)


def test_connections_above_the_cap_are_closed_at_once_and_free_places_are_used() -> None:
    with receiving(Hl7Limits(max_connections=2)) as (server, _), contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(Peer(server.port)) for _ in range(2))
        for peer in (first, second):
            peer.send(wire(order()))
            assert peer.answer()[1][1] == "AA"
        assert stack.enter_context(Peer(server.port)).is_closed()
        first.socket.close()
        second.send(wire(order(2)))
        assert second.answer()[1][1] == "AA"
        _wait(lambda: _is_taken(server.port))


def test_a_peer_that_resets_harms_nobody() -> None:
    with receiving() as (server, log), Peer(server.port) as other:
        rude = Peer(server.port)
        rude.send(wire(order(1)) + b"\x0bMSH|half")
        rude.answer()
        rude.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        rude.socket.close()
        other.send(wire(order(2)))
        assert other.answer()[1][1] == "AA"
        assert len(log.committed) == 2


def test_a_commit_survives_the_peer_that_sent_it() -> None:
    with receiving() as (server, log):
        log.open.clear()
        with Peer(server.port) as peer:
            peer.send(wire(order()))
            _wait(lambda: server.server.in_work == 1)
        log.open.set()
        _wait(lambda: len(log.committed) == 1)


def test_draining_lets_the_message_in_work_get_its_answer() -> None:
    with receiving() as (server, log), Peer(server.port) as busy, Peer(server.port) as idle:
        log.open.clear()
        busy.send(wire(order(1)) + wire(order(2)))
        idle.send(b"\x0bhalf")
        assert log.waiting.acquire(timeout=5)
        opener = threading.Timer(0.3, log.open.set)
        opener.start()
        server.drain(5)
        assert busy.answer()[1] == ["MSA", "AA", "MSG-1"]
        assert busy.is_closed()
        assert idle.is_closed()
        with pytest.raises(ConnectionError):
            Peer(server.port)
        assert [message.control_id for message in log.committed] == ["MSG-1"]
        opener.join()


def test_draining_ends_in_time_where_the_log_hangs() -> None:
    with receiving() as (server, log), Peer(server.port) as peer:
        log.open.clear()
        peer.send(wire(order()))
        _wait(lambda: server.server.in_work == 1)
        began = time.monotonic()
        server.drain(0.3)
        assert time.monotonic() - began < 2
        assert peer.is_closed()


def test_a_slow_log_holds_the_sender_back() -> None:
    """Back-pressure: what is not read yet stays in the sender's socket."""
    with receiving() as (server, log), Peer(server.port) as peer:
        log.open.clear()
        peer.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            peer.send(200 * wire(order() + b"NTE|1||" + b"x" * 200_000 + b"\r"))
        assert log.waiting.acquire(timeout=5)
        assert not log.waiting.acquire(blocking=False)  # one message in work, the others not taken yet
        log.open.set()


def test_python_hl7s_client_is_answered() -> None:
    with receiving() as (server, log), MLLPClient("127.0.0.1", server.port) as client:
        for number in (1, 2):
            answer = client.send_message(order(number))
            assert fields(answer.strip(b"\x0b\x1c\r"))[1] == ["MSA", "AA", f"MSG-{number}"]
        assert len(log.committed) == 2


def test_tls_wants_a_clientcertificate(tmp_path: Path) -> None:
    ours, theirs = certificate(tmp_path, "ours"), certificate(tmp_path, "theirs")
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain(*ours)
    inside.load_verify_locations(theirs[0])
    inside.verify_mode = ssl.CERT_REQUIRED
    log = ThreadLog()
    with served(Receiver(GroupCommit(log), SystemClock()), ssl_context=inside) as server:
        outside = ssl.create_default_context(cafile=str(ours[0]))
        assert not _is_answered(outside, server.port)
        outside.load_cert_chain(*theirs)
        assert _is_answered(outside, server.port)
    log.close()
    assert len(log.committed) == 1


def _is_taken(port: int) -> bool:
    with Peer(port) as peer, contextlib.suppress(ConnectionError):
        peer.send(wire(order(3)))
        return peer.answer()[1][1] == "AA"
    return False


def _is_answered(context: ssl.SSLContext, port: int) -> bool:
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            secure.sendall(wire(order()))
            return b"MSA|AA" in secure.recv(65536)
    except (ssl.SSLError, ConnectionError):
        return False


def _wait(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)

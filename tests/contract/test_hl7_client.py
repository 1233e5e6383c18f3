"""Sending: an acknowledgment is read before it is believed; python-hl7's server is a peer."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import hl7
import hl7.mllp
import pytest

from adapters.hl7.client import send
from adapters.hl7.commit import GroupCommit
from adapters.hl7.message import Message
from adapters.hl7.receive import Receiver
from adapters.hl7.report import OruSink
from cds.clock import SystemClock
from cds.destinations import MllpDestination
from cds.errors import PeerFailed, PeerRefused, Unavailable
from cds.render.pdf import render
from tests.contract.hl7_reports import report
from tests.contract.hl7_wire import ThreadLog, certificate, order, receiving, served, wire


def _saying(msa: str, err: str = "") -> Callable[[bytes, str], Awaitable[bytes]]:
    async def receive(_block: bytes, _peer: str) -> bytes:
        return f"MSH|^~\\&|EHR|SITE|S|S|20261101||ACK|9|P|2.4\r{msa}\r{err}".encode()

    return receive


@contextlib.contextmanager
def _raw_peer(answer: bytes, *, hold_s: float = 0.0) -> Iterator[int]:
    """A listener that reads once, says these bytes, waits, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def work() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                time.sleep(hold_s)

        thread = threading.Thread(target=work)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


@pytest.mark.parametrize("code", ["AA", "CA"])
def test_an_accepting_answer_is_returned(code: str) -> None:
    with served(_saying(f"MSA|{code}|MSG-1|fine")) as peer:
        answer = send("127.0.0.1", peer.port, order(), 5)
        assert (answer.code, answer.control_id, answer.text) == (code, "MSG-1", "fine")


@pytest.mark.parametrize("code", ["AR", "CR"])
def test_a_refusal_is_for_good_and_tells_nothing_of_the_message(code: str) -> None:
    with (
        served(_saying(f"MSA|{code}|MSG-1|Probe^Petra", "ERR|||101^x\r")) as peer,
        pytest.raises(PeerRefused, match="condition 101") as caught,
    ):
        send("127.0.0.1", peer.port, order(), 5)
    assert "Petra" not in str(caught.value)


#: ERR from 2.5 on, before 2.5 and as MSA-6: the same condition in three places (HL7 v2.5.1 section 2.15.5, v2.3).
_PLACES = ["ERR||PID^1^3|{}^x^HL70357|E", "ERR|PID^1^3^{}&x&HL70357", "{}"]


def _finding_fault(code: str, condition: str, place: str) -> Callable[[bytes, str], Awaitable[bytes]]:
    if place == "{}":
        return _saying(f"MSA|{code}|MSG-1||||{condition}^x^HL70357")
    return _saying(f"MSA|{code}|MSG-1", place.format(condition) + "\r")


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("condition", ["100", "101", "102", "103", "200", "203", "204", "205"])
def test_an_error_that_lies_in_the_content_is_for_good(condition: str, place: str) -> None:
    with (
        served(_finding_fault("AE", condition, place)) as peer,
        pytest.raises(PeerRefused, match=f"AE, condition {condition}"),
    ):
        send("127.0.0.1", peer.port, order(), 5)


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("condition", ["0", "206", "207", "999", ""])
def test_an_error_that_may_pass_is_asked_again(condition: str, place: str) -> None:
    with served(_finding_fault("CE", condition, place)) as peer, pytest.raises(PeerFailed, match="CE"):
        send("127.0.0.1", peer.port, order(), 5)


@pytest.mark.parametrize(
    ("err", "told"),
    [
        ("ERR||PID^1^3|101^x^HL70357|E", "AE, condition 101 at PID^1^3"),
        ("ERR||PID^1^5^1^2^1|102|E", "AE, condition 102 at PID^1^5^1^2"),
        ("ERR||ZPI^1^|101|E", "AE, condition 101 at ZPI^1"),
        ("ERR|PID^1^3^101&x&HL70357", "AE, condition 101 at PID^1^3"),
        ("ERR||PID^1^8|103|W\rERR|||207|E\rERR||OBX^4^5|103|E", "AE, condition 103 at OBX^4^5"),
        ("ERR||PID^1^3^Probe|101|E", "AE, condition 101"),
        ("ERR||Probe^Petra|101|E", "AE, condition 101"),
        ("ERR||PID|101|E", "AE, condition 101"),
        ("ERR||PID^1^4711|101|E", "AE, condition 101"),
        ("ERR|Probe^1^3^101", "AE, condition 101"),
    ],
)
def test_the_place_of_a_fault_is_told_where_it_is_a_place_and_nothing_else(err: str, told: str) -> None:
    with served(_saying("MSA|AE|MSG-1|Petra", err + "\r")) as peer, pytest.raises(PeerRefused) as caught:
        send("127.0.0.1", peer.port, order(), 5)
    assert str(caught.value) == f"the HL7 destination finds fault with the message: {told}"


def test_a_refusal_tells_the_place_without_a_condition() -> None:
    with (
        served(_saying("MSA|AR|MSG-1", "ERR||PID^1^3||E\r")) as peer,
        pytest.raises(PeerRefused, match=r"with AR, at PID\^1\^3$"),
    ):
        send("127.0.0.1", peer.port, order(), 5)


def test_a_warning_beside_a_failure_is_no_fault_of_the_message() -> None:
    err = "ERR||PID^1^8|103^x^HL70357|W\rERR|||207^x^HL70357|E\r"
    with served(_saying("MSA|AE|MSG-1", err)) as peer, pytest.raises(PeerFailed, match="condition 207"):
        send("127.0.0.1", peer.port, order(), 5)


def test_a_commit_acknowledgment_is_enough_whatever_follows_on_the_connection() -> None:
    header = b"MSH|^~\\&|EHR|SITE|S|S|20261101||ACK|9|P|2.4\r"
    both = wire(header + b"MSA|CA|MSG-1\r") + wire(header + b"MSA|AE|MSG-1\r")
    with _raw_peer(both) as port:
        assert send("127.0.0.1", port, order(), 5).code == "CA"


@pytest.mark.parametrize(
    "answer",
    [
        b"FHS|^~\\&|EHR\rBHS|^~\\&|EHR\rMSH|^~\\&|EHR|SITE|S|S|1||ACK|9|P|2.4\rMSA|AA|MSG-1\rBTS|1\r",
        b"MSH|^~\\&|EHR|SITE|S|S|20261101||ACK|9|P|2.4\rERR|||207\r",
        b"MSH|^~\\&|EHR|SITE|S|S|20261101||ORU^R01|9|P|2.4\rPID|1\r",
    ],
)
def test_a_batch_an_error_alone_and_another_message_acknowledge_nothing(answer: bytes) -> None:
    with _raw_peer(wire(answer)) as port, pytest.raises(Unavailable, match=r"is no (HL7 v2 message|ack)") as e:
        send("127.0.0.1", port, order(), 5)
    assert type(e.value) is Unavailable


@pytest.mark.parametrize(
    "msa",
    [
        "MSA|AE|MSG-1",
        "MSA|CE|MSG-1",
        "MSA|AA|MSG-2",
        "MSA|AA|",
        "MSA||MSG-1",
        "MSA|YES|MSG-1",
        "ZZZ|AA|MSG-1",
        "MSA|AR",
    ],
)
def test_whatever_is_no_clear_answer_is_sent_again(msa: str) -> None:
    with served(_saying(msa)) as peer, pytest.raises(Unavailable):
        send("127.0.0.1", peer.port, order(), 5)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400\r\n", wire(b"nonsense"), b"\x0bMSH|^~", b"\x0b" + b"x" * 2**21])
def test_a_peer_that_says_nonsense_and_closes_is_unavailable(answer: bytes) -> None:
    with _raw_peer(answer) as port, pytest.raises(Unavailable):
        send("127.0.0.1", port, order(), 5)


def test_a_silent_peer_is_unavailable_after_the_timeout() -> None:
    began = time.monotonic()
    with _raw_peer(b"\x0bMSH", hold_s=0.8) as port, pytest.raises(Unavailable, match="TimeoutError"):
        send("127.0.0.1", port, order(), 0.3)
    assert time.monotonic() - began < 3


def test_nobody_listening_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unavailable, match="ConnectionRefusedError"):
        send("127.0.0.1", port, order(), 1)


def test_a_report_reaches_our_own_listener() -> None:
    with receiving() as (server, log):
        sink = OruSink(
            "ehr", MllpDestination(host="127.0.0.1", port=server.port), facility="CLINIC", time_zone="Europe/Berlin"
        )
        payload = sink.encode(report(), "delivery-1")
        assert sink.name == "ehr"
        assert sink.send(payload).startswith("AA for message ")
        assert sink.send(payload) == sink.send(payload)
        assert [message.raw for message in log.committed] == [payload] * 3


def test_a_report_and_its_document_reach_our_own_listener() -> None:
    with receiving() as (server, log):
        to = MllpDestination(host="127.0.0.1", port=server.port, pdf=True)
        document = partial(render, site_name="Clinic", time_zone="UTC")
        sink = OruSink("ehr", to, facility="CLINIC", time_zone="UTC", document=document)
        payload = sink.encode(report(), "delivery-1")
        assert payload == sink.encode(report(), "delivery-1")
        assert sink.send(payload).startswith("AA")
        (taken,) = log.committed
    last = Message(taken.raw).all("OBX")[-1]
    assert base64.b64decode(last.text(5, 5), validate=True) == document(report())


def test_a_destination_with_tls_is_believed_only_with_its_ca(tmp_path: Path) -> None:
    ours, other = certificate(tmp_path, "ours"), certificate(tmp_path, "other")
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain(*ours)

    def sink(ca: Path) -> OruSink:
        to = MllpDestination(host="127.0.0.1", port=server.port, tls_ca_file=ca)
        return OruSink("ehr", to, facility="CLINIC", time_zone="UTC")

    log = ThreadLog()
    with served(Receiver(GroupCommit(log), SystemClock()), ssl_context=inside) as server:
        payload = sink(ours[0]).encode(report(), "d")
        assert sink(ours[0]).send(payload).startswith("AA")
        with pytest.raises(Unavailable, match="SSLCertVerificationError"):
            sink(other[0]).send(payload)
    log.close()


def test_python_hl7s_server_takes_a_report() -> None:
    with _python_hl7() as (port, received):
        sink = OruSink("ehr", MllpDestination(host="127.0.0.1", port=port), facility="CLINIC", time_zone="UTC")
        assert sink.send(sink.encode(report(), "delivery-1")).startswith("AA for message ")
    assert [str(message.segment("OBR")(25)) for message in received] == ["P"]


@contextlib.contextmanager
def _python_hl7() -> Iterator[tuple[int, list[hl7.Message]]]:
    received: list[hl7.Message] = []

    async def take(reader: hl7.mllp.HL7StreamReader, writer: hl7.mllp.HL7StreamWriter) -> None:
        message = await reader.readmessage()
        received.append(message)
        writer.writemessage(message.create_ack())
        await writer.drain()
        writer.close()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    starting = hl7.mllp.start_hl7_server(take, host="127.0.0.1", port=0, encoding="utf-8")
    server = asyncio.run_coroutine_threadsafe(starting, loop).result(5)
    try:
        yield server.sockets[0].getsockname()[1], received
    finally:
        loop.call_soon_threadsafe(server.close)
        time.sleep(0.05)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()

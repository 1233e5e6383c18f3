"""`cds hl7 send`: messages of a file over one real connection, and every answer as it came."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from adapters.hl7.commit import GroupCommit
from adapters.hl7.mllp import Framer
from adapters.hl7.receive import Receiver
from adapters.hl7.sender import repeated
from cds.cli import app
from cds.clock import SystemClock
from cds.commands.hl7_load import address
from cds.errors import ConfigurationError, InvalidInput, SightlineError, Unavailable
from tests.contract.hl7_wire import ThreadLog, certificate, fields, order, receiving, served, wire

BHS = b"BHS|^~\\&|RIS|CLINIC|SIGHTLINE|CLINIC|20261101083000||||B-1\r"
ACK = b"MSH|^~\\&|A|B|RIS|CLINIC|20261101083000||ACK|77|P|2.4\rMSA|%s|%s|%s\r"

Send = Callable[..., Result]


@pytest.fixture
def send(tmp_path: Path) -> Send:
    """Run `cds hl7 send` on a file of these bytes."""

    def run(data: bytes, port: int, *options: str, host: str = "127.0.0.1") -> Result:
        file = tmp_path / "a.hl7"
        file.write_bytes(data)
        return CliRunner().invoke(app, ["hl7", "send", str(file), "--to", f"{host}:{port}", *options])

    return run


def failure(result: Result, kind: type[SightlineError]) -> str:
    assert isinstance(result.exception, kind), result.output
    return str(result.exception)


def ack(block: bytes, code: bytes = b"AA", text: bytes = b"") -> bytes:
    control_id = fields(block)[0][9].encode()
    return ACK % (code, control_id, text)


@contextmanager
def scripted(*answers: Callable[[bytes], bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """A peer that answers each block by the next of these, and closes after the last."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                framer, waiting = Framer(1 << 24), list(answers)
                while waiting and (data := connection.recv(65536)):
                    for block in framer.feed(data):
                        received.append(block)
                        connection.sendall(waiting.pop(0)(block))

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], received
        thread.join(10)


def test_each_message_is_sent_in_order_over_one_connection(send: Send) -> None:
    with receiving() as (running, log):
        result = send(order(1) + order(2) + wire(order(3)), running.port)
    assert result.exit_code == 0, result.output
    assert [message.raw for message in log.committed] == [order(1), order(2), order(3)]
    assert len({message.peer for message in log.committed}) == 1
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [[f"MSG-{n}", "AA"] for n in (1, 2, 3)]
    assert result.output.count(" ms") == 3


def test_it_is_sent_as_often_as_asked_each_time_with_control_ids_of_its_own(send: Send) -> None:
    with receiving() as (running, log):
        result = send(order(1) + order(2), running.port, "--repeat", "3")
    assert result.exit_code == 0
    first = [order(1), order(2)]
    later = [
        block.replace(b"|MSG-%d|" % n, b"|MSG-%d-%d|" % (n, turn))
        for turn in (2, 3)
        for n, block in enumerate(first, 1)
    ]
    assert [message.raw for message in log.committed] == first + later
    assert [line.split()[0] for line in result.stdout.splitlines()[2:4]] == ["MSG-1-2", "MSG-2-2"]


def test_a_batch_that_is_sent_again_has_other_control_ids_in_all_its_messages(send: Send) -> None:
    batch = BHS + order(1) + b"\r\n" + order(2) + b"BTS|2\r"
    with receiving() as (running, log):
        result = send(batch, running.port, "--batch", "--repeat", "2")
    assert result.exit_code == 0, result.output
    assert [message.control_id for message in log.committed] == ["MSG-1", "MSG-2", "MSG-1-2", "MSG-2-2"]
    assert repeated(batch, 2) == batch.replace(b"|MSG-1|", b"|MSG-1-2|").replace(b"|MSG-2|", b"|MSG-2-2|")


def test_a_control_id_for_another_time_is_not_longer_than_199_characters() -> None:
    long = order().replace(b"|MSG-1|", b"|" + b"x" * 199 + b"|")
    assert repeated(long, 12) == long.replace(b"x" * 199, b"x" * 196 + b"-12")
    for block in (order().replace(b"|MSG-1|", b"||"), b"MSH|^~\\&|A\rPID|1\r", b"no message", b""):
        assert repeated(block, 2) == block


def test_a_refusal_is_shown_with_its_reason_and_fails(send: Send) -> None:
    with receiving() as (running, _):
        result = send(order(1).replace(b"4711", b"") + order(2), running.port)
    assert result.exit_code == 1
    refused, taken = result.stdout.splitlines()
    assert refused.startswith("MSG-1  AE  ")
    assert "want a patient identifier" in refused
    assert taken.startswith("MSG-2  AA  ")


@pytest.mark.parametrize(("code", "exit_code"), [(b"CA", 0), (b"CE", 1), (b"CR", 1), (b"AR", 1), (b"", 1)])
def test_codes_of_enhanced_mode_are_understood(code: bytes, exit_code: int, send: Send) -> None:
    with scripted(lambda block: wire(ack(block, code, b"said so"))) as (port, _):
        result = send(order(), port, "--json")
    assert result.exit_code == exit_code
    (said,) = json.loads(result.output)
    assert (said["control_id"], said["code"], said["text"]) == ("MSG-1", code.decode(), "said so")
    assert said["ok"] is (exit_code == 0)
    assert said["round_trip_ms"] > 0


def test_an_application_acknowledgment_that_comes_later_is_not_taken_for_another(send: Send) -> None:
    late: list[bytes] = []

    def first(block: bytes) -> bytes:
        late.append(wire(ack(block)))
        return wire(ack(block, b"CA"))

    with scripted(first, lambda block: late[0] + wire(ack(block, b"CA"))) as (port, _):
        result = send(order(1) + order(2), port)
    assert result.exit_code == 0
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [["MSG-1", "CA"], ["MSG-2", "CA"]]


def test_an_answer_to_another_message_fails(send: Send) -> None:
    with scripted(lambda _: wire(ack(order(99)))) as (port, _):
        result = send(order(), port)
    assert result.exit_code == 1
    assert "MSG-1  AA" in result.output
    assert "another message" in result.output


def test_a_peer_that_goes_away_is_told_with_what_was_not_sent(send: Send) -> None:
    with scripted(lambda block: wire(ack(block)), lambda _: b"") as (port, _):
        result = send(order(1) + order(2) + order(3), port)
    assert result.exit_code == 1
    assert "MSG-2  no answer came: the peer closed the connection" in result.output
    assert "1 more were not sent" in result.output


def test_a_silent_peer_ends_the_wait(send: Send) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = send(order(), server.getsockname()[1], "--timeout", "0.2")
    assert result.exit_code == 1
    assert "MSG-1  no answer came" in result.output


def test_no_answer_is_right_where_none_was_asked_for(send: Send) -> None:
    quiet = order().replace(b"|P|2.4\r", b"|P|2.4|||NE|NE\r")
    with receiving() as (running, log):
        result = send(quiet + order(2), running.port, "--timeout", "0.3")
    assert result.exit_code == 0, result.output
    assert "MSG-1  no answer was wanted" in result.output
    assert len(log.committed) == 2


@pytest.mark.parametrize("answer", [b"not HL7 at all", b"", b"\xff\xfe"])
def test_an_answer_that_cannot_be_read_is_told(answer: bytes, send: Send) -> None:
    with scripted(lambda _: wire(answer)) as (port, _):
        result = send(order(), port)
    assert result.exit_code == 1
    assert "the answer cannot be read" in result.output


def test_a_batch_is_sent_as_one_block_and_its_answers_are_shown(send: Send) -> None:
    batch = BHS + order(1) + order(2).replace(b"4711", b"") + b"BTS|2\r"
    with receiving() as (running, log):
        result = send(batch, running.port, "--batch")
    assert result.exit_code == 1
    assert len(log.committed) == 2
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [["MSG-1", "AA"], ["MSG-2", "AE"]]
    with scripted(lambda _: wire(ACK % (b"AA", b"B-1", b""))) as (port, received):
        result = send(wire(batch), port, "--batch")
    assert received == [batch]
    assert result.exit_code == 0
    assert result.output.startswith("B-1  AA")


def test_a_file_that_is_no_batch_is_not_sent_as_one(send: Send) -> None:
    assert "FHS or BHS" in failure(send(order(), 9, "--batch"), InvalidInput)
    assert "BTS-1" in failure(send(BHS + order() + b"BTS|2\r", 9, "--batch"), InvalidInput)


def test_what_is_wrong_with_the_file_is_told_and_its_messages_are_sent(send: Send) -> None:
    with receiving() as (running, log):
        result = send(b"# a comment\r" + order(), running.port)
    assert result.exit_code == 1
    assert "found other text before the first message" in result.stderr
    assert len(log.committed) == 1


def test_a_file_without_messages_is_not_sent(send: Send) -> None:
    assert "a.hl7: want HL7 v2 messages" in failure(send(b"\r\n", 9), InvalidInput)


def test_a_refused_connection_is_told_in_words(send: Send) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    text = failure(send(order(), port), Unavailable)
    assert text == f"127.0.0.1 port {port} cannot be reached: Connection refused"


@pytest.mark.parametrize("to", ["ris", "ris:", "ris:0", "ris:65536", ":2575", "ris:25x", "::1:2575", "a b:1"])
def test_an_address_that_is_none_is_told(to: str, tmp_path: Path) -> None:
    (tmp_path / "a.hl7").write_bytes(order())
    result = CliRunner().invoke(app, ["hl7", "send", str(tmp_path / "a.hl7"), "--to", to])
    assert result.exit_code == 2
    assert "HOST:PORT" in result.output


def test_an_address_may_be_a_name_or_ipv6() -> None:
    assert address("ris.example.org:2575") == ("ris.example.org", 2575)
    assert address("[::1]:2575") == ("::1", 2575)


def test_tls_is_spoken_with_a_known_peer_alone(send: Send, tmp_path: Path) -> None:
    own, key = certificate(tmp_path, "server")
    other, _ = certificate(tmp_path, "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, key)
    log = ThreadLog()
    with served(Receiver(GroupCommit(log), SystemClock()), None, context) as running:
        assert send(order(), running.port, "--tls-ca", str(own), host="localhost").exit_code == 0
        text = failure(send(order(), running.port, "--tls-ca", str(other), host="localhost"), Unavailable)
        assert "self-signed certificate" in text
    assert len(log.committed) == 1
    with receiving() as (plain, _):
        refused = send(order(), plain.port, "--tls-ca", str(own), "--timeout", "0.5", host="localhost")
        assert "no TLS with localhost" in failure(refused, Unavailable)


def test_a_client_certificate_is_shown_where_one_is_given(send: Send, tmp_path: Path) -> None:
    own, key = certificate(tmp_path, "server")
    client, client_key = certificate(tmp_path, "client")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, key)
    context.load_verify_locations(client)
    context.verify_mode = ssl.CERT_REQUIRED
    shown = ("--tls-ca", str(own), "--tls-cert", str(client), "--tls-key", str(client_key))
    with served(Receiver(GroupCommit(ThreadLog()), SystemClock()), None, context) as running:
        assert send(order(), running.port, *shown, host="localhost").exit_code == 0
        assert send(order(), running.port, "--tls-ca", str(own), "--timeout", "0.5", host="localhost").exit_code == 1
    failure(send(order(), 9, "--tls-cert", str(client)), ConfigurationError)
    failure(send(order(), 9, "--tls-cert", str(client), "--tls-key", str(key)), ConfigurationError)

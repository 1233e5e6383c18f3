"""Associations as requestor: with peers that speak, that refuse, and that are hostile, over real sockets."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.events import Event

from adapters.dicom import dimse
from adapters.dicom.association import Proposal, associated
from adapters.dicom.sender import VERIFICATION, echo, send, store
from cds.destinations import PeerTls
from cds.errors import PeerFailed, PeerRefused, Unavailable
from cds.imaging_peers import DicomNode
from tests.contract.dimse_peers import accept, node_at, p_data, pacs, read_pdu, saying
from tests.contract.hl7_wire import certificate
from tests.peers.dicom_peers import noise, write_series

ECHO = [Proposal(VERIFICATION, (ExplicitVRLittleEndian,))]


def test_echo_is_answered() -> None:
    with pacs([], [VERIFICATION]) as node:
        echo(node, timeout_s=5)


def test_an_unknown_called_ae_title_is_refused_for_good() -> None:
    with pacs([], [VERIFICATION]) as node, pytest.raises(PeerRefused, match="AE title"):
        echo(node.model_copy(update={"ae_title": "SOMEBODY"}), timeout_s=5)


def test_a_peer_whose_associations_are_all_taken_is_unavailable() -> None:
    with (
        pacs([], [VERIFICATION], maximum_associations=1) as node,
        associated(node, ECHO, timeout_s=5),
        pytest.raises(Unavailable, match="for now"),
    ):
        echo(node, timeout_s=5)


def test_a_peer_without_the_service_is_refused() -> None:
    with pacs([], [CTImageStorage]) as node, pytest.raises(PeerRefused, match="no presentation context"):
        echo(node, timeout_s=5)


def test_nobody_listening_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable):
        echo(node_at(port), timeout_s=2)


def test_a_peer_that_accepts_and_is_silent_is_unavailable_within_the_timeout() -> None:
    started = time.monotonic()
    with saying(read_pdu_and_wait) as node, pytest.raises(Unavailable, match="within its timeout"):
        echo(node, timeout_s=0.3)
    assert time.monotonic() - started < 2


def read_pdu_and_wait(connection: socket.socket) -> None:
    read_pdu(connection)
    read_pdu(connection)


def trickle(connection: socket.socket) -> None:
    """One byte after the other: each is in time, the whole never comes."""
    read_pdu(connection)
    connection.sendall(b"\x02\0" + (100_000).to_bytes(4, "big"))
    try:
        for _ in range(100):
            connection.sendall(b"\0")
            time.sleep(0.02)
    except OSError:
        return


def test_a_peer_that_trickles_is_not_waited_for_longer_than_the_timeout() -> None:
    started = time.monotonic()
    with saying(trickle) as node, pytest.raises(Unavailable):
        echo(node, timeout_s=0.3)
    assert time.monotonic() - started < 1.9


def after_accept(data: bytes) -> Callable[[socket.socket], None]:
    """Accept, read the request, say these bytes, and let the other side release."""

    def script(connection: socket.socket) -> None:
        accept(connection)
        read_pdu(connection)
        connection.sendall(data)
        if read_pdu(connection)[:1] == b"\x05":
            connection.sendall(b"\x06\0\0\0\0\x04\0\0\0\0")

    return script


def command(**elements: int) -> bytes:
    known = {
        "field": dimse.COMMAND_FIELD,
        "to": dimse.RESPONDED_TO,
        "data": dimse.DATA_SET_TYPE,
        "status": dimse.STATUS,
    }
    return dimse.encode_command({known[name]: value for name, value in elements.items()})


HOSTILE = {
    "a PDU of gigabytes": b"\x04\0\xff\xff\xff\xff",
    "an unknown PDU": b"\x09\0\0\0\0\0",
    "an empty value": p_data(1, 3, b""),
    "a value longer than its PDU": b"\x04\0\0\0\0\x08" + b"\0\0\xff\xff\x01\x03\0\0",
    "a value of one byte": b"\x04\0\0\0\0\x05" + b"\0\0\0\x01\x01",
    "a command set that is cut off": p_data(1, 3, command(field=0x8030, to=1, data=0x0101, status=0)[:-3]),
    "a command set of another group": p_data(1, 3, struct.pack("<HHI", 8, 0x18, 2) + b"1\0"),
    "a command set without a command": p_data(1, 3, command(to=1, data=0x0101)),
    "a data set before its command set": p_data(1, 2, b"xx"),
    "an endless command set": b"".join(p_data(1, 1, bytes(60_000)) for _ in range(3)),
    "the answer to another request": p_data(1, 3, command(field=0x8030, to=77, data=0x0101, status=0)),
    "an association that is accepted again": b"\x02\0\0\0\0\0",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_peer_that_breaks_the_protocol_has_failed(data: bytes) -> None:
    with saying(after_accept(data)) as node, pytest.raises(PeerFailed):
        echo(node, timeout_s=5)


@pytest.mark.parametrize("data", [b"\x07\0\0\0\0\x04\0\0\0\0", b"\x05\0\0\0\0\x04\0\0\0\0"], ids=["abort", "release"])
def test_a_peer_that_ends_the_association_is_unavailable(data: bytes) -> None:
    with saying(after_accept(data)) as node, pytest.raises(Unavailable, match="ended the association"):
        echo(node, timeout_s=5)


@pytest.mark.parametrize(
    "body", [b"", bytes(10), bytes(68) + b"\x10\0\xff\xff", bytes(68) + b"\x21\0\0\x04\x01\0\0\0"], ids=range(4)
)
def test_an_acceptance_that_makes_no_sense_has_failed(body: bytes) -> None:
    def script(connection: socket.socket) -> None:
        read_pdu(connection)
        connection.sendall(b"\x02\0" + len(body).to_bytes(4, "big") + body)
        read_pdu(connection)

    with saying(script) as node, pytest.raises((PeerFailed, PeerRefused)):
        echo(node, timeout_s=5)


def test_a_message_in_many_fragments_and_two_values_in_one_pdu_are_understood() -> None:
    answer = command(field=0x8030, to=1, data=0x0101, status=0)
    first, second = p_data(1, 1, answer[:7]), p_data(1, 1, answer[7:20])
    both = first[6:] + second[6:]
    data = b"\x04\0" + len(both).to_bytes(4, "big") + both + p_data(1, 3, answer[20:])
    with saying(after_accept(data)) as node, associated(node, ECHO, timeout_s=5) as association:
        request = dimse.request(dimse.C_ECHO, VERIFICATION, association.next_message_id(), data=False)
        assert association.ask(1, request).number(dimse.STATUS) == 0


def test_a_data_set_above_the_bound_is_not_kept_and_the_association_goes_on() -> None:
    answer = p_data(1, 3, command(field=0x8030, to=1, data=1, status=0))
    data = (
        answer
        + b"".join(p_data(1, 0, bytes(50_000)) for _ in range(4))
        + p_data(1, 2, b"end")
        + answer
        + p_data(1, 2, b"ok")
    )
    with (
        saying(after_accept(data)) as node,
        associated(node, ECHO, timeout_s=5, max_message_bytes=100_000) as association,
    ):
        too_long = association.ask(1, dimse.request(dimse.C_ECHO, VERIFICATION, 1, data=False))
        assert (too_long.is_too_long, bytes(too_long.data)) == (True, b"")
        assert bytes(association.receive().data) == b"ok"


def test_a_data_set_without_end_ends_the_association() -> None:
    def script(connection: socket.socket) -> None:
        accept(connection)
        read_pdu(connection)
        connection.sendall(p_data(1, 3, command(field=0x8030, to=1, data=1, status=0)))
        for _ in range(10_000):
            connection.sendall(p_data(1, 0, bytes(60_000)))

    with (
        saying(script) as node,
        pytest.raises(PeerFailed, match="end"),
        associated(node, ECHO, timeout_s=5, max_message_bytes=100_000) as association,
    ):
        association.ask(1, dimse.request(dimse.C_ECHO, VERIFICATION, 1, data=False))


def test_a_peer_that_falls_silent_is_not_waited_for_again_at_the_end(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series")

    def script(connection: socket.socket) -> None:
        accept(connection)
        while read_pdu(connection):
            pass

    started = time.monotonic()
    with saying(script) as node:
        results = send(paths[:3], node, timeout_s=0.3)
    assert [result.comment for result in results] == ["no answer", "the association ended", "the association ended"]
    assert time.monotonic() - started < 0.9


def stored(seen: list[bytes]) -> list[object]:
    """The handler of a storage SCP that keeps what came in a list."""

    def on_store(event: Event) -> int:
        seen.append(event.request.DataSet.getvalue())
        return 0

    return [(evt.EVT_C_STORE, on_store)]


@pytest.mark.parametrize("maximum_pdu_size", [0, 4096, 16382, 1_000_001])
def test_a_series_arrives_byte_for_byte_whatever_the_peers_largest_pdu(maximum_pdu_size: int, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series", noise(2, 300, 300))
    seen: list[bytes] = []
    with pacs(stored(seen), [CTImageStorage], maximum_pdu_size=maximum_pdu_size) as node:
        results = send(paths, node, timeout_s=5)
    assert [result.status for result in results] == [0, 0]
    assert all(path.read_bytes().endswith(data) for path, data in zip(paths, seen, strict=True))
    assert all(len(data) > 2 * 300 * 300 for data in seen)


def test_a_peer_that_breaks_off_leaves_the_rest_unanswered(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series")

    def abort_second(event: Event) -> int:
        seen.append(1)
        if len(seen) == 2:
            event.assoc.abort()
        return 0

    seen: list[int] = []
    with pacs([(evt.EVT_C_STORE, abort_second)], [CTImageStorage]) as node:
        results = send(paths[:4], node, timeout_s=5)
    assert [result.status for result in results] == [0, None, None, None]
    assert results[-1].comment == "the association ended"


def test_a_warning_counts_as_stored_and_a_failure_has_its_comment(tmp_path: Path) -> None:
    def answer(event: Event) -> Dataset:
        status = Dataset()
        status.Status = statuses.pop(0)
        status.ErrorComment = "the disk is full"
        return status

    statuses = [0xB000, 0xA700]
    with pacs([(evt.EVT_C_STORE, answer)], [CTImageStorage]) as node:
        results = send(write_series(tmp_path / "series")[:2], node, timeout_s=5)
    assert [result.stored for result in results] == [True, False]
    assert (results[1].status, results[1].comment) == (0xA700, "the disk is full")


def test_instances_from_memory_of_a_class_that_is_not_taken_are_told_apart(tmp_path: Path) -> None:
    import pydicom

    dataset = pydicom.dcmread(write_series(tmp_path / "series")[0])
    other = pydicom.dcmread(write_series(tmp_path / "series")[0])
    other.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    seen: list[bytes] = []
    with pacs(stored(seen), [CTImageStorage]) as node:
        answers = store([other, dataset], node, timeout_s=5)
    assert [(answer.status, answer.accepted) for answer in answers] == [(None, False), (0, True)]
    assert len(seen) == 1


@pytest.fixture
def theirs(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context, and the certificate to know it by."""
    file, key = certificate(tmp_path, "theirs")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return context, file


def secured(node: DicomNode, ca_file: Path, **more: Path) -> DicomNode:
    return node.model_copy(update={"tls": PeerTls(ca_file=ca_file, **more)})


def test_a_series_is_sent_over_tls(theirs: tuple[ssl.SSLContext, Path], tmp_path: Path) -> None:
    context, ca_file = theirs
    paths = write_series(tmp_path / "series", noise(2, 400, 400))
    seen: list[bytes] = []
    with pacs(stored(seen), [CTImageStorage, VERIFICATION], ssl_context=context) as node:
        echo(secured(node, ca_file), timeout_s=5)
        assert all(result.stored for result in send(paths, secured(node, ca_file), timeout_s=5))
    assert all(path.read_bytes().endswith(data) for path, data in zip(paths, seen, strict=True))


def test_a_certificate_of_another_ca_is_not_believed(theirs: tuple[ssl.SSLContext, Path], tmp_path: Path) -> None:
    context, _ = theirs
    other, _ = certificate(tmp_path, "other")
    with pacs([], [VERIFICATION], ssl_context=context) as node, pytest.raises(Unavailable, match="certificate"):
        echo(secured(node, other), timeout_s=5)


def test_a_certificate_of_another_host_is_not_believed(theirs: tuple[ssl.SSLContext, Path]) -> None:
    context, ca_file = theirs
    with pacs([], [VERIFICATION], ssl_context=context) as node, pytest.raises(Unavailable, match="certificate"):
        echo(secured(node.model_copy(update={"host": "127.1"}), ca_file), timeout_s=5)


def test_where_the_peer_wants_our_certificate_it_gets_it(theirs: tuple[ssl.SSLContext, Path], tmp_path: Path) -> None:
    context, ca_file = theirs
    ours, key = certificate(tmp_path, "ours")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ours)
    with pacs([], [VERIFICATION], ssl_context=context) as node:
        echo(secured(node, ca_file, certificate_file=ours, key_file=key), timeout_s=5)
        with pytest.raises(Unavailable):
            echo(secured(node, ca_file), timeout_s=2)


def test_a_peer_without_tls_is_not_spoken_to_in_the_clear(theirs: tuple[ssl.SSLContext, Path]) -> None:
    _, ca_file = theirs
    with pacs([], [VERIFICATION]) as node, pytest.raises(Unavailable):
        echo(secured(node, ca_file), timeout_s=2)


def test_tls_files_that_are_no_certificates_are_told(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(Unavailable, match="TLS files"):
        echo(secured(node_at(1), file), timeout_s=2)

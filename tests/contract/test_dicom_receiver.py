"""The receiver over a real association: what is answered, what is on disk, what is in the index."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pynetdicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from adapters.dicom.phantom import Identity
from adapters.dicom.receiver import Receiver
from adapters.dicom.restamp import restamp
from adapters.dicom.sender import StoreResult, echo, send
from cds.domain.imaging import StoredInstance
from cds.errors import OutOfResources, PeerRefused, Unavailable
from cds.limits import DicomLimits
from tests.peers.dicom_peers import (
    AE_TITLE,
    STORY,
    MemoryIndex,
    build,
    edited,
    files_below,
    node_at,
    noise,
    receiving,
    write_series,
)
from tests.pynetdicom_requestor import attentive


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def series(tmp_path: Path) -> list[Path]:
    return write_series(tmp_path / "series")


def store(receiver: Receiver, paths: list[Path], called_ae: str = AE_TITLE) -> list[StoreResult]:
    return send(paths, node_at(receiver.port, called=called_ae, calling="TESTER"), timeout_s=10)


def test_a_series_arrives_whole_and_is_committed(series: list[Path], data_dir: Path) -> None:
    index = MemoryIndex()
    told: list[tuple[int, int]] = []
    with receiving(data_dir, index) as receiver:
        results = send(
            series,
            node_at(receiver.port),
            timeout_s=10,
            progress=lambda done, total: told.append((done, total)),
        )
    assert [result.status for result in results] == [0] * len(series)
    assert index.outcomes == ["new"] * len(series)
    assert index.consumed == [True] * len(series)
    assert told == [(n + 1, len(series)) for n in range(len(series))]
    stored = [data_dir / instance.path for instance in index.instances]
    assert files_below(data_dir) == sorted(stored)
    assert np.array_equal(np.load(build(stored, data_dir).path), noise())


def test_the_data_set_is_kept_byte_for_byte(series: list[Path], data_dir: Path) -> None:
    index = MemoryIndex()
    with receiving(data_dir, index) as receiver:
        store(receiver, series[:1])
    sent = series[0].read_bytes()
    start = sent.index(struct.pack("<HH", 0x0008, 0x0005))
    assert (data_dir / index.instances[0].path).read_bytes().endswith(sent[start:])


@pytest.mark.parametrize(
    ("told", "instead"),
    [
        (b"1.2.840.10008.5.1.4.1.1.2\0", b"1.2.840.10008.5.1.4.\xe9.1.2\0"),
        (b"1.2.840.10008.5.1.4.1.1.2\0", b"1.2.840.10008\\5.1.4.1.1.2\0"),
        (b"1.2.840.10008.1.2.1\0", b"                   \0"),
    ],
    ids=["no-ascii", "two-values", "no-syntax"],
)
def test_a_file_whose_uids_are_none_is_not_sent_and_stops_no_other(
    told: bytes, instead: bytes, series: list[Path], data_dir: Path
) -> None:
    content = series[1].read_bytes()
    assert told in content
    series[1].write_bytes(content.replace(told, instead, 1))
    with receiving(data_dir, MemoryIndex()) as receiver:
        results = store(receiver, series)
    assert [result.path for result in results if not result.stored] == [series[1]]
    assert results[1].comment == "no DICOM file with meta information (PS3.10)"


def test_sending_again_is_a_duplicate_and_leaves_one_file(series: list[Path], data_dir: Path) -> None:
    index = MemoryIndex()
    with receiving(data_dir, index) as receiver:
        store(receiver, series)
        again = store(receiver, series)
    assert all(result.stored for result in again)
    assert index.outcomes == ["new"] * 6 + ["duplicate"] * 6
    assert len(files_below(data_dir)) == len(series)


def test_the_same_instance_in_another_encoding_is_a_duplicate(series: list[Path], data_dir: Path) -> None:
    index = MemoryIndex()
    with receiving(data_dir, index) as receiver:
        store(receiver, series[:1])
        dataset = pydicom.dcmread(series[0])
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        dataset.save_as(series[0], implicit_vr=True)
        store(receiver, series[:1])
    assert index.outcomes == ["new", "duplicate"]


def test_other_content_under_the_same_uid_is_kept_as_a_conflict(series: list[Path], data_dir: Path) -> None:
    index = MemoryIndex()
    with receiving(data_dir, index) as receiver:
        store(receiver, series[:1])
        with edited(series[0]) as dataset:
            dataset.PixelData = dataset.PixelData[::-1]
        assert store(receiver, series[:1])[0].status == 0
    assert index.outcomes == ["new", "conflict"]
    assert len(files_below(data_dir)) == 2


def test_another_header_over_the_same_pixels_is_told_apart(series: list[Path], data_dir: Path) -> None:
    index = MemoryIndex()
    with receiving(data_dir, index) as receiver:
        store(receiver, series[:1])
        with edited(series[0]) as dataset:
            dataset.PatientID = "P-2"
        assert store(receiver, series[:1])[0].status == 0
    assert index.outcomes == ["new", "header"]


def test_echo_is_answered_and_another_ae_title_is_rejected(data_dir: Path) -> None:
    with receiving(data_dir, MemoryIndex()) as receiver:
        echo(node_at(receiver.port), timeout_s=5)
        with pytest.raises(PeerRefused):
            echo(node_at(receiver.port, called="SOMEONE", calling="TESTER"), timeout_s=5)


def test_nobody_listening_is_unavailable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(Unavailable):
            echo(node_at(port), timeout_s=2)


@contextmanager
def associated(receiver: Receiver, syntax: str = ExplicitVRLittleEndian) -> Iterator[Association]:
    entity = pynetdicom.AE("TESTER")
    entity.add_requested_context(CTImageStorage, syntax)
    entity.dimse_timeout = entity.acse_timeout = 10
    association = attentive(entity.associate("127.0.0.1", receiver.port, ae_title=AE_TITLE))
    assert association.is_established
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def raw_store(association: Association, uid: str, data: bytes, sop_class: str = CTImageStorage) -> Dataset:
    """A C-STORE below pynetdicom's own checks."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = pydicom.uid.UID(sop_class), pydicom.uid.UID(uid)
    request.DataSet = BytesIO(data)
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.001)
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id or 1)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    assert answer is not None
    status = Dataset()
    status.Status, status.ErrorComment = answer.Status, getattr(answer, "ErrorComment", None) or ""
    return status


def encoded(path: Path) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, pydicom.dcmread(path))
    return bytes(buffer.getvalue())


@pytest.mark.parametrize("uid", ["../../x", "1.2/../3", "1..2", "x" * 64, "1.2.3.", "1.2.\u00e9"])
def test_a_uid_that_is_none_is_refused_and_leaves_no_file(
    uid: str, series: list[Path], data_dir: Path, tmp_path: Path
) -> None:
    before = files_below(tmp_path)
    with receiving(data_dir, MemoryIndex()) as receiver, associated(receiver) as association:
        answer = raw_store(association, uid, encoded(series[0]))
        assert answer.Status == 0xC000
        assert "UID" in answer.ErrorComment
        assert uid not in answer.ErrorComment
    assert files_below(tmp_path) == before


def test_a_uid_of_a_traversal_in_the_data_set_is_refused(series: list[Path], data_dir: Path) -> None:
    with edited(series[0]) as dataset:
        dataset.SeriesInstanceUID = "../../x"
    with receiving(data_dir, MemoryIndex()) as receiver, associated(receiver) as association:
        uid = pydicom.dcmread(series[0]).SOPInstanceUID
        assert raw_store(association, uid, encoded(series[0])).Status == 0xC000
    assert files_below(data_dir) == []


def test_a_leading_zero_is_stored_and_flagged(series: list[Path], data_dir: Path) -> None:
    with edited(series[0]) as dataset:
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.03"
    index = MemoryIndex()
    with receiving(data_dir, index) as receiver:
        assert store(receiver, series[:1])[0].status == 0
    assert index.instances[0].header.flags == ("leading zero in UID",)


def test_a_request_that_names_another_instance_is_refused(series: list[Path], data_dir: Path) -> None:
    with receiving(data_dir, MemoryIndex()) as receiver, associated(receiver) as association:
        answer = raw_store(association, "1.2.3.4", encoded(series[0]))
    assert answer.Status == 0xA900
    assert files_below(data_dir) == []


@pytest.mark.parametrize("cut", [1, 40, 159, 300])
def test_a_truncated_data_set_is_refused_with_a_reason(cut: int, series: list[Path], data_dir: Path) -> None:
    with receiving(data_dir, MemoryIndex()) as receiver, associated(receiver) as association:
        uid = pydicom.dcmread(series[0]).SOPInstanceUID
        answer = raw_store(association, uid, encoded(series[0])[:-cut])
        assert (answer.Status, answer.ErrorComment) == (0xC000, "want a whole data set: it ends inside an element")
        assert raw_store(association, uid, encoded(series[0])).Status == 0
    assert len(files_below(data_dir)) == 1


def test_noise_instead_of_a_data_set_is_refused(data_dir: Path) -> None:
    with receiving(data_dir, MemoryIndex()) as receiver, associated(receiver) as association:
        for seed in range(20):
            answer = raw_store(association, "1.2.3", np.random.default_rng(seed).bytes(400))
            assert answer.Status in (0xC000, 0xA900)
    assert files_below(data_dir) == []


def test_deflated_data_sets_are_not_negotiated(data_dir: Path) -> None:
    entity = pynetdicom.AE("TESTER")
    entity.add_requested_context(CTImageStorage, DeflatedExplicitVRLittleEndian)
    with receiving(data_dir, MemoryIndex()) as receiver:
        association = attentive(entity.associate("127.0.0.1", receiver.port, ae_title=AE_TITLE))
        assert association.accepted_contexts == []
        association.abort()


def test_of_several_syntaxes_the_one_that_needs_no_decoder_is_chosen(data_dir: Path) -> None:
    entity = pynetdicom.AE("TESTER")
    entity.add_requested_context(
        CTImageStorage, ["1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2", ExplicitVRLittleEndian]
    )
    with receiving(data_dir, MemoryIndex()) as receiver:
        association = attentive(entity.associate("127.0.0.1", receiver.port, ae_title=AE_TITLE))
        (context,) = association.accepted_contexts
        association.release()
    assert context.transfer_syntax == [ExplicitVRLittleEndian]


def test_a_disk_without_room_is_out_of_resources(series: list[Path], data_dir: Path) -> None:
    index = MemoryIndex()
    with receiving(data_dir, index, minimum_free_bytes=1 << 60) as receiver:
        result = store(receiver, series[:1])[0]
    assert (result.status, result.comment) == (0xA700, "want more free space on the disk that holds the images")
    assert (index.instances, files_below(data_dir)) == ([], [])


class FullIndex(MemoryIndex):
    """An index whose disk is full."""

    def add(self, instance: StoredInstance, **_: object) -> str:
        raise OutOfResources("want more free space for the database")


class BrokenIndex(MemoryIndex):
    """An index with an error that nobody foresaw, whose text holds what it must not."""

    def add(self, instance: StoredInstance, **_: object) -> str:
        raise RuntimeError(instance.header.patient_name.family)


def test_an_index_without_room_leaves_no_file(series: list[Path], data_dir: Path) -> None:
    with receiving(data_dir, FullIndex()) as receiver:
        assert store(receiver, series[:1])[0].status == 0xA700
    assert files_below(data_dir) == []


def test_an_unforeseen_error_is_a_processing_failure_without_details(
    series: list[Path], data_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with receiving(data_dir, BrokenIndex()) as receiver:
        result = store(receiver, series[:1])[0]
    assert result.status == 0x0110
    output = "".join(capfd.readouterr()) + result.comment
    assert "instance failed" in output
    assert "Musterfrau" not in output


def test_nothing_of_the_patient_is_logged(
    series: list[Path], data_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with receiving(data_dir, MemoryIndex()) as receiver:
        store(receiver, series)
        with associated(receiver) as association:
            raw_store(association, "1.2.3.4", encoded(series[0]))
            raw_store(association, "../../x", encoded(series[0])[:-9])
    output = "".join(capfd.readouterr())
    assert output.count("instances stored") == len(series)
    assert output.count("instance refused") == 2
    for secret in ("Musterfrau", "nne", "P-1", "ACC-7", "1958", pydicom.dcmread(series[0]).StudyInstanceUID):
        assert secret not in output


def test_an_instance_above_the_limit_is_refused_and_not_kept_in_memory(tmp_path: Path, data_dir: Path) -> None:
    paths = write_series(tmp_path / "big", noise(1, 512, 512))
    limits = DicomLimits(max_instance_bytes=100_000, network_timeout_s=5)
    with receiving(data_dir, MemoryIndex(), limits) as receiver:
        results = store(receiver, [*paths, *write_series(tmp_path / "small")[:1]])
    assert [result.status for result in results] == [0xA700, 0]


def test_a_pdu_that_claims_gigabytes_ends_the_connection(data_dir: Path, series: list[Path]) -> None:
    with receiving(data_dir, MemoryIndex()) as receiver:
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as peer:
            peer.sendall(struct.pack(">BBI", 1, 0, 0xFFFFFFF0) + bytes(1000))
            assert peer.recv(100) == b""
        assert store(receiver, series[:1])[0].status == 0


def test_peers_that_connect_and_go_do_not_fill_the_listener(data_dir: Path, series: list[Path]) -> None:
    limits = DicomLimits(max_associations=2, network_timeout_s=30)
    with receiving(data_dir, MemoryIndex(), limits) as receiver:
        for _ in range(30):
            socket.create_connection(("127.0.0.1", receiver.port), timeout=5).close()
        deadline = time.monotonic() + 10
        while receiver._server.active_associations and time.monotonic() < deadline:
            time.sleep(0.02)
        assert store(receiver, series[:1])[0].status == 0


def test_too_many_associations_are_rejected_and_the_rest_goes_on(data_dir: Path, series: list[Path]) -> None:
    limits = DicomLimits(max_associations=2, network_timeout_s=5)
    with receiving(data_dir, MemoryIndex(), limits) as receiver:
        with associated(receiver), associated(receiver), pytest.raises((PeerRefused, Unavailable)):
            echo(node_at(receiver.port), timeout_s=5)
        time.sleep(0.3)
        assert store(receiver, series[:1])[0].status == 0


def test_draining_ends_the_listener_and_the_associations(data_dir: Path) -> None:
    with receiving(data_dir, MemoryIndex()) as receiver:
        port = receiver.port
        with associated(receiver) as association:
            receiver.drain(0.2)
            deadline = time.monotonic() + 5
            while association.is_established and time.monotonic() < deadline:
                time.sleep(0.01)
            assert not association.is_established
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=2)


def test_accepted_sockets_do_not_wait_for_more(data_dir: Path, series: list[Path]) -> None:
    with receiving(data_dir, MemoryIndex()) as receiver, associated(receiver):
        (accepted,) = receiver._server.active_associations
        assert accepted.dul.socket is not None
        assert accepted.dul.socket.socket is not None
        assert accepted.dul.socket.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_instance_is_on_disk_before_its_answer_even_if_the_process_is_killed_then(
    series: list[Path], tmp_path: Path
) -> None:
    script = f"""
import sys, time
from pathlib import Path
from tests.peers.dicom_peers import MemoryIndex, receiving
with receiving(Path({str(tmp_path / "data")!r}), MemoryIndex()) as receiver:
    print(receiver.port, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        results = send(series[:3], node_at(port), timeout_s=10)
        os.kill(child.pid, signal.SIGKILL)
    assert [result.status for result in results] == [0, 0, 0]
    kept = {pydicom.dcmread(path).SOPInstanceUID for path in files_below(tmp_path / "data")}
    assert kept == {pydicom.dcmread(path).SOPInstanceUID for path in series[:3]}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate, and is not installed")
def test_tls_is_spoken_and_a_silent_peer_holds_nobody_up(series: list[Path], tmp_path: Path, data_dir: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-keyout", key, "-out", certificate], check=True, capture_output=True)  # fmt: skip
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(certificate, key)
    client.load_verify_locations(certificate)
    entity = pynetdicom.AE("TESTER")
    entity.add_requested_context(CTImageStorage)
    with receiving(data_dir, MemoryIndex(), ssl_context=server) as receiver:
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=5):
            association = attentive(
                entity.associate("127.0.0.1", receiver.port, ae_title=AE_TITLE, tls_args=(client, "localhost"))
            )
            assert association.is_established
            assert association.send_c_store(pydicom.dcmread(series[0])).Status == 0
            association.release()
        with pytest.raises(Unavailable):
            echo(node_at(receiver.port), timeout_s=2)


def test_less_pixel_data_than_the_header_states_is_refused_and_the_whole_image_taken(
    series: list[Path], data_dir: Path
) -> None:
    whole = series[0].read_bytes()
    with edited(series[0]) as dataset:
        dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2]
    index = MemoryIndex()
    with receiving(data_dir, index) as receiver:
        [short] = store(receiver, series[:1])
        assert (short.status, "pixel data" in short.comment) == (0xC000, True)
        series[0].write_bytes(whole)
        assert [result.status for result in store(receiver, series[:1])] == [0]
    assert len(index.instances) == 1


def test_files_that_are_no_dicom_have_no_status(tmp_path: Path, data_dir: Path, series: list[Path]) -> None:
    other = tmp_path / "readme.txt"
    other.write_text("not an image")
    with receiving(data_dir, MemoryIndex()) as receiver:
        results = store(receiver, [other, series[0]])
    assert [(result.status, result.stored) for result in results] == [(None, False), (0, True)]


def test_more_kinds_than_contexts_take_several_associations(tmp_path: Path, data_dir: Path) -> None:
    contexts = [str(c.abstract_syntax) for c in pynetdicom.AllStoragePresentationContexts][:140]
    paths = write_series(tmp_path / "many", noise(len(contexts), 4, 4))
    for path, sop_class in zip(paths, contexts, strict=True):
        with edited(path) as dataset:
            dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    index = MemoryIndex()
    with receiving(data_dir, index) as receiver:
        results = store(receiver, paths)
    assert [result.status for result in results] == [0] * len(contexts)
    assert len(index.instances) == len(contexts)


def test_a_real_series_is_taken_as_it_is_and_decoded(reference_dir: Path, tmp_path: Path, data_dir: Path) -> None:
    source = sorted((reference_dir / "images" / "totalseg_ct_dicom" / "example_ct_dicom").iterdir())
    index = MemoryIndex()
    with receiving(data_dir, index) as receiver:
        assert {result.status for result in store(receiver, source[:2])} == {0xC000}
        copies = restamp(source, tmp_path / "copies", Identity(**STORY))
        assert {result.status for result in store(receiver, copies)} == {0}
    headers = [instance.header for instance in index.instances]
    assert {header.transfer_syntax_uid for header in headers} == {str(JPEG2000Lossless)}
    assert len({header.series_instance_uid for header in headers}) == 1
    assert {header.accession_number for header in headers} == {"ACC-7"}
    ours = np.load(build([data_dir / instance.path for instance in index.instances], tmp_path / "one").path)
    assert np.array_equal(ours, np.load(build(source, tmp_path / "other").path))


def test_every_tricky_file_is_answered(reference_dir: Path, data_dir: Path) -> None:
    files = [p for p in sorted((reference_dir / "reference" / "dicom").rglob("*")) if p.is_file()]
    index = MemoryIndex()
    with receiving(data_dir, index) as receiver:
        results = store(receiver, files)
    assert len(results) == len(files)
    assert {result.comment for result in results if result.status is None} <= {
        "no DICOM file with meta information (PS3.10)",
        "the peer does not take this SOP class in this transfer syntax",
    }
    stored = sum(result.stored for result in results)
    assert stored == len(index.outcomes) > 100
    assert len(files_below(data_dir)) == len(index.instances)

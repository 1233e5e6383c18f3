"""The one way in: what is checked, what is on disk, what is in the index, and what is left where something fails."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import UID, CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from adapters.dicom.arrival import Arrivals, Arriving, MismatchedInstance, Pending, TooBig, UnsupportedSyntax
from cds.domain.imaging import StoredInstance
from cds.errors import InvalidInstance, OutOfResources, Unavailable
from cds.limits import DicomLimits
from tests.peers.dicom_peers import MemoryIndex, arrivals_into, edited, element, files_below, noise, write_series


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def series(tmp_path: Path) -> list[Path]:
    return write_series(tmp_path / "series")


def received(arrivals: Arrivals, content: bytes, piece: int = 1000) -> Arriving:
    arriving = arrivals.begin()
    for at in range(0, len(content), piece):
        arriving.write(memoryview(content)[at : at + piece])
    return arriving


def pending(arrivals: Arrivals, path: Path, piece: int = 1000) -> Pending:
    return arrivals.prepare_file(received(arrivals, path.read_bytes(), piece))


@pytest.mark.parametrize("piece", [1, 133, 65536, 1 << 20])
def test_a_file_in_pieces_is_kept_as_it_is_but_for_its_preamble(piece: int, tmp_path: Path, data_dir: Path) -> None:
    [path] = write_series(tmp_path / "one", noise(1, 64, 64))
    content = b"MZ" + bytes(range(126)) + path.read_bytes()[128:]
    index = MemoryIndex()
    arrivals = arrivals_into(data_dir, index)
    one = arrivals.prepare_file(received(arrivals, content, piece))
    [outcome] = arrivals.commit([one], source="stow")
    header = pydicom.dcmread(path)
    assert (outcome.sop_instance_uid, outcome.sop_class_uid, outcome.what, outcome.error) == (
        header.SOPInstanceUID, CTImageStorage, "new", None)  # fmt: skip
    [stored] = index.instances
    assert (data_dir / stored.path).read_bytes() == bytes(128) + content[128:]
    assert stored.size == len(content)
    assert index.consumed == [True]


def test_a_file_and_a_data_set_of_the_same_instance_have_the_same_digests(series: list[Path], data_dir: Path) -> None:
    index = MemoryIndex()
    arrivals = arrivals_into(data_dir, index)
    content = series[0].read_bytes()
    encoded = content[content.index(struct.pack("<HH", 0x0008, 0x0005)) :]
    uid = pydicom.dcmread(series[0]).SOPInstanceUID
    by_dimse = arrivals.prepare(
        encoded, ExplicitVRLittleEndian, sop_class_uid=CTImageStorage, sop_instance_uid=str(uid)
    )
    outcomes = arrivals.commit([pending(arrivals, series[0]), by_dimse], source="dicom")
    assert [outcome.what for outcome in outcomes] == ["new", "duplicate"]
    assert len(files_below(data_dir)) == 1


def test_a_group_is_committed_in_its_order_and_nothing_is_promised_before(series: list[Path], data_dir: Path) -> None:
    index = MemoryIndex()
    arrivals = arrivals_into(data_dir, index)
    group = [pending(arrivals, path) for path in (*series, series[0])]
    assert (index.instances, len(files_below(data_dir))) == ([], 7)
    outcomes = arrivals.commit(group, source="pacs:ARCHIVE")
    assert [outcome.what for outcome in outcomes] == ["new"] * 6 + ["duplicate"]
    assert [one.header.sop_instance_uid for one in index.instances] == [one.sop_instance_uid for one in outcomes[:6]]
    assert files_below(data_dir) == sorted(data_dir / one.path for one in index.instances)


def test_what_is_forgotten_before_it_is_committed_leaves_no_file(series: list[Path], data_dir: Path) -> None:
    arrivals = arrivals_into(data_dir, MemoryIndex())
    one = pending(arrivals, series[0])
    assert len(files_below(data_dir)) == 1
    del one
    arriving = received(arrivals, b"half")
    arriving.discard()
    deadline = time.monotonic() + 5
    while files_below(data_dir) and time.monotonic() < deadline:  # what is being written is forgotten afterwards
        time.sleep(0.01)
    assert files_below(data_dir) == []


def test_committing_nothing_is_nothing(data_dir: Path) -> None:
    assert list(arrivals_into(data_dir, MemoryIndex()).commit([], source="dicom")) == []


def replaced(path: Path, old: bytes, new: bytes) -> bytes:
    content = path.read_bytes()
    assert content.count(old) >= 1
    return content.replace(old, new, 1)


def test_a_file_whose_meta_information_names_another_instance_is_refused(series: list[Path], data_dir: Path) -> None:
    arrivals = arrivals_into(data_dir, MemoryIndex())
    uid = str(pydicom.dcmread(series[0]).SOPInstanceUID)
    other = (uid[:-1] + ("1" if uid[-1] != "1" else "2")).encode()
    arriving = received(arrivals, replaced(series[0], uid.encode(), other))
    with pytest.raises(MismatchedInstance):
        arrivals.prepare_file(arriving)
    assert arriving.stated == (CTImageStorage, other.decode())
    assert files_below(data_dir) == []


def test_a_file_whose_meta_information_names_another_class_is_refused(series: list[Path], data_dir: Path) -> None:
    arrivals = arrivals_into(data_dir, MemoryIndex())
    content = replaced(series[0], b"1.2.840.10008.5.1.4.1.1.2\0", b"1.2.840.10008.5.1.4.1.1.4\0")
    with pytest.raises(MismatchedInstance):
        arrivals.prepare_file(received(arrivals, content))


def test_a_deflated_file_is_refused_before_it_is_inflated(series: list[Path], data_dir: Path) -> None:
    with edited(series[0]) as dataset:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    arrivals = arrivals_into(data_dir, MemoryIndex())
    with pytest.raises(InvalidInstance, match="deflated"):
        pending(arrivals, series[0])


def test_an_unknown_transfer_syntax_is_refused_by_its_own_reason(series: list[Path], data_dir: Path) -> None:
    content = replaced(series[0], b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0")
    arrivals = arrivals_into(data_dir, MemoryIndex())
    with pytest.raises(UnsupportedSyntax) as refused:
        arrivals.prepare_file(received(arrivals, content))
    assert refused.value.dimse_status == 0xC122


def meta(*elements: bytes) -> bytes:
    return bytes(128) + b"DICM" + b"".join(elements)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a file",
        bytes(200),
        meta(element(0x00020010, b"UI", b"1.2.840.10008.1.2.1\0")),
        meta(element(0x00020102, b"OB", bytes(70_000)), element(0x00020010, b"UI", b"1.2.840.10008.1.2.1\0")),
        meta(element(0x00020010, b"UI", b"1.2.840.10008.1.2.1\0", 60_000)),
        meta(element(0x00020002, b"UI", b"1.2.3\0"), element(0x00080018, b"UI", b"1.2.3\0")),
    ],
    ids=["empty", "text", "zeros", "no data set", "header bomb", "cut off", "no syntax"],
)
def test_what_is_no_file_of_an_instance_is_refused_and_leaves_nothing(content: bytes, data_dir: Path) -> None:
    arrivals = arrivals_into(data_dir, MemoryIndex())
    with pytest.raises(InvalidInstance):
        arrivals.prepare_file(received(arrivals, content))
    assert files_below(data_dir) == []


def test_a_deep_sequence_in_a_file_is_refused(series: list[Path], data_dir: Path) -> None:
    opening = element(0x00400275, b"SQ", b"", 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    closing = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    arrivals = arrivals_into(data_dir, MemoryIndex())
    arriving = received(arrivals, series[0].read_bytes() + opening * 3000 + closing * 3000)
    with pytest.raises(InvalidInstance, match="deep"):
        arrivals.prepare_file(arriving)


def test_a_traversal_in_a_file_is_refused_and_is_not_what_it_is_called(series: list[Path], data_dir: Path) -> None:
    with edited(series[0]) as dataset:
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID("../../x")
    arrivals = arrivals_into(data_dir, MemoryIndex())
    arriving = received(arrivals, series[0].read_bytes())
    with pytest.raises(InvalidInstance):
        arrivals.prepare_file(arriving)
    assert arriving.stated == ("", "")


def test_a_file_above_the_limit_stops_being_written(data_dir: Path) -> None:
    arrivals = arrivals_into(data_dir, MemoryIndex(), DicomLimits(max_instance_bytes=100_000))
    arriving = arrivals.begin()
    arriving.write(bytes(100_000))
    with pytest.raises(TooBig):
        arriving.write(bytes(100_000))
    arriving.discard()
    assert files_below(data_dir) == []


def test_a_disk_without_room_refuses_while_it_is_written(data_dir: Path) -> None:
    arriving = arrivals_into(data_dir, MemoryIndex(), minimum_free_bytes=1 << 60).begin()
    with pytest.raises(OutOfResources):
        arriving.write(bytes(100_000))
    arriving.discard()
    assert files_below(data_dir) == []


class HalfFullIndex(MemoryIndex):
    """The disk of the index is full after two instances."""

    def add_all(
        self, instances: Sequence[tuple[StoredInstance, bool]], *, received_at: datetime, source: str
    ) -> Sequence[str]:
        super().add_all(instances[:2], received_at=received_at, source=source)
        raise OutOfResources("want more free space for the database")


class LostIndex(MemoryIndex):
    """The answer of the index is lost: nobody knows whether it committed."""

    def add_all(
        self, instances: Sequence[tuple[StoredInstance, bool]], *, received_at: datetime, source: str
    ) -> Sequence[str]:
        raise Unavailable("want a database that answers")


def test_of_a_group_that_ended_half_way_only_what_the_index_knows_is_kept(series: list[Path], data_dir: Path) -> None:
    index = HalfFullIndex()
    arrivals = arrivals_into(data_dir, index)
    with pytest.raises(OutOfResources):
        arrivals.commit([pending(arrivals, path) for path in series], source="stow")
    assert files_below(data_dir) == sorted(data_dir / one.path for one in index.instances)
    assert len(index.instances) == 2


def test_where_nobody_knows_whether_it_was_committed_the_files_stay(series: list[Path], data_dir: Path) -> None:
    arrivals = arrivals_into(data_dir, LostIndex())
    with pytest.raises(Unavailable):
        arrivals.commit([pending(arrivals, path) for path in series], source="stow")
    assert len(files_below(data_dir)) == len(series)


def test_many_threads_may_let_instances_in(tmp_path: Path, data_dir: Path) -> None:
    index = MemoryIndex()
    arrivals = arrivals_into(data_dir, index)
    groups = [write_series(tmp_path / f"series-{number}") for number in range(8)]

    def let_in(paths: list[Path]) -> None:
        for path in paths:
            arrivals.commit([pending(arrivals, path)], source="stow")

    threads = [threading.Thread(target=let_in, args=(paths,)) for paths in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert index.outcomes == ["new"] * 48
    assert len(files_below(data_dir)) == 48


def test_every_reference_file_has_a_verdict_by_this_door_too(reference_dir: Path, data_dir: Path) -> None:
    index = MemoryIndex()
    arrivals = arrivals_into(data_dir, index)
    files = [path for path in sorted((reference_dir / "reference" / "dicom").rglob("*")) if path.is_file()]
    refused = 0
    for path in files:
        try:
            arrivals.commit([pending(arrivals, path, 1 << 20)], source="stow")
        except InvalidInstance:
            refused += 1
    assert refused + len(index.outcomes) == len(files)
    assert len(index.outcomes) > 100
    assert len(files_below(data_dir)) == len(index.instances)

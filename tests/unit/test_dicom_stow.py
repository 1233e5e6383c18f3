"""STOW-RS, the server's side: what is stored, what is answered, and what hostile bodies can do."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from adapters.dicom import stow_server
from adapters.dicom.arrival import Arrivals
from adapters.dicom.stow_server import CutOff, StowAnswer, TooManyParts, UnsupportedMediaType
from cds.domain.imaging import StoredInstance
from cds.errors import InvalidInput, InvalidInstance, OutOfResources, Unavailable
from cds.limits import DicomLimits
from tests.peers.dicom_peers import MemoryIndex, arrivals_into, edited, files_below, noise, write_series

TYPE = 'multipart/related; type="application/dicom"; boundary=B0'


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def series(tmp_path: Path) -> list[Path]:
    return write_series(tmp_path / "series")


def body(parts: Sequence[bytes], headers: str = "Content-Type: application/dicom\r\n") -> bytes:
    return b"".join(f"--B0\r\n{headers}\r\n".encode() + part + b"\r\n" for part in parts) + b"--B0--\r\n"


def stow(arrivals: Arrivals, content: bytes, study: str = "", content_type: str = TYPE) -> StowAnswer:
    return stow_server.store(BytesIO(content), content_type, study, arrivals)


def items(answer: StowAnswer, keyword: str) -> list[Dataset]:
    """A sequence of the answer, as pydicom reads DICOM JSON."""
    return list(Dataset.from_json(answer.dataset).get(keyword) or [])


def uids(answer: StowAnswer, keyword: str) -> list[str]:
    return [str(item.ReferencedSOPInstanceUID) for item in items(answer, keyword)]


def test_a_series_is_stored_and_said_so(series: list[Path], data_dir: Path) -> None:
    index = MemoryIndex()
    answer = stow(arrivals_into(data_dir, index), body([path.read_bytes() for path in series]))
    assert answer.status == 200
    assert uids(answer, "ReferencedSOPSequence") == [str(pydicom.dcmread(path).SOPInstanceUID) for path in series]
    assert {item.ReferencedSOPClassUID for item in items(answer, "ReferencedSOPSequence")} == {CTImageStorage}
    assert list(answer.dataset) == ["00081199"]
    assert index.outcomes == ["new"] * len(series)
    assert len(files_below(data_dir)) == len(series)


def test_sending_again_is_a_success_and_leaves_one_file_each(series: list[Path], data_dir: Path) -> None:
    index = MemoryIndex()
    arrivals = arrivals_into(data_dir, index)
    for _ in range(2):
        assert stow(arrivals, body([path.read_bytes() for path in series])).status == 200
    assert index.outcomes == ["new"] * 6 + ["duplicate"] * 6
    assert len(files_below(data_dir)) == 6


def test_an_instance_that_is_refused_does_not_stop_the_others(series: list[Path], data_dir: Path) -> None:
    parts = [path.read_bytes() for path in series]
    parts[2] = parts[2][:-100]
    parts.append(b"no instance at all")
    index = MemoryIndex()
    answer = stow(arrivals_into(data_dir, index), body(parts))
    assert (answer.status, len(index.instances)) == (202, 5)
    [failed] = items(answer, "FailedSOPSequence")
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == (
        pydicom.dcmread(series[2]).SOPInstanceUID,
        0xC000,
    )
    assert [item.FailureReason for item in items(answer, "OtherFailuresSequence")] == [0xC000]


def test_where_none_is_stored_the_answer_is_a_conflict(series: list[Path], data_dir: Path) -> None:
    answer = stow(arrivals_into(data_dir, MemoryIndex()), body([series[0].read_bytes()[:-100]]))
    assert (answer.status, len(uids(answer, "FailedSOPSequence"))) == (409, 1)
    assert "00081199" not in answer.dataset
    assert files_below(data_dir) == []


def test_an_instance_of_another_study_than_the_url_names_fails(
    series: list[Path], tmp_path: Path, data_dir: Path
) -> None:
    study = str(pydicom.dcmread(series[0]).StudyInstanceUID)
    others = write_series(tmp_path / "other", noise(1))
    index = MemoryIndex()
    answer = stow(arrivals_into(data_dir, index), body([series[0].read_bytes(), others[0].read_bytes()]), study)
    assert answer.status == 202
    assert [item.FailureReason for item in items(answer, "FailedSOPSequence")] == [0xA900]
    assert uids(answer, "FailedSOPSequence") == [str(pydicom.dcmread(others[0]).SOPInstanceUID)]
    assert len(files_below(data_dir)) == 1


def test_a_url_with_a_study_that_is_no_uid_is_refused(data_dir: Path) -> None:
    with pytest.raises(InvalidInstance):
        stow(arrivals_into(data_dir, MemoryIndex()), body([]), "../../x")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/dicom", 415),
        ("multipart/form-data; boundary=B0", 415),
        ('multipart/related; type="application/dicom+json"; boundary=B0', 415),
        ("", 415),
        ('multipart/related; type="application/dicom"', 400),
        ('multipart/related; type="application/dicom"; boundary=' + "x" * 71, 400),
        ("multipart/related; boundary=B0\r\nX: y", 415),
    ],
)
def test_a_content_type_that_is_not_taken_is_refused_with_a_reason(
    content_type: str, status: int, series: list[Path], data_dir: Path
) -> None:
    with pytest.raises(InvalidInput) as refused:
        stow(arrivals_into(data_dir, MemoryIndex()), body([series[0].read_bytes()]), content_type=content_type)
    assert refused.value.http_status == status
    assert files_below(data_dir) == []


@pytest.mark.parametrize("content_type", ["multipart/related; boundary=B0", TYPE.upper().replace("=B0", '="B0"')])
def test_content_types_are_read_as_mime_says(content_type: str, series: list[Path], data_dir: Path) -> None:
    content = body([series[0].read_bytes()], "CONTENT-type: Application/DICOM; transfer-syntax=1.2.840.10008.1.2.1\r\n")
    assert stow(arrivals_into(data_dir, MemoryIndex()), content, content_type=content_type).status == 200


def test_metadata_and_bulk_data_in_parts_of_their_own_are_refused(data_dir: Path) -> None:
    content = body([b"[]"], "Content-Type: application/dicom+json\r\n")
    with pytest.raises(UnsupportedMediaType):
        stow(arrivals_into(data_dir, MemoryIndex()), content)


@pytest.mark.parametrize("cut", [1, 9, 500])
def test_a_body_that_is_cut_off_is_an_error_and_leaves_no_part_of_a_file(
    cut: int, series: list[Path], data_dir: Path
) -> None:
    content = body([path.read_bytes() for path in series[:2]]).removesuffix(b"--\r\n")
    with pytest.raises(CutOff):
        stow(arrivals_into(data_dir, MemoryIndex()), content[:-cut])
    settle(data_dir)
    assert files_below(data_dir) == []


def settle(data_dir: Path) -> None:
    """What is being written when it is forgotten is removed afterwards."""
    deadline = time.monotonic() + 5
    while any(path.suffix == ".part" for path in files_below(data_dir)) and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.parametrize("content", [b"", b"no multipart", b"--B0--\r\n", b"--B0\r\n", b"--B0\r\nno header\r\n\r\n"])
def test_a_body_without_a_part_is_an_error(content: bytes, data_dir: Path) -> None:
    with pytest.raises(InvalidInput):
        stow(arrivals_into(data_dir, MemoryIndex()), content)


def test_an_instance_above_the_limit_is_too_big_and_the_next_one_is_stored(tmp_path: Path, data_dir: Path) -> None:
    big, small = write_series(tmp_path / "big", noise(1, 512, 512)), write_series(tmp_path / "small", noise(1))
    arrivals = arrivals_into(data_dir, MemoryIndex(), DicomLimits(max_instance_bytes=100_000))
    answer = stow(arrivals, body([big[0].read_bytes(), small[0].read_bytes()]))
    assert (answer.status, [item.FailureReason for item in items(answer, "FailedSOPSequence")]) == (202, [0xA700])
    with pytest.raises(OutOfResources) as refused:
        stow(arrivals, body([big[0].read_bytes()]))
    assert refused.value.http_status == 413
    assert len(files_below(data_dir)) == 1


def test_a_full_disk_is_insufficient_storage(series: list[Path], data_dir: Path) -> None:
    with pytest.raises(OutOfResources) as refused:
        stow(arrivals_into(data_dir, MemoryIndex(), minimum_free_bytes=1 << 60), body([series[0].read_bytes()]))
    assert refused.value.http_status == 507
    assert files_below(data_dir) == []


class ForgetfulIndex(MemoryIndex):
    """Takes one group and is gone then."""

    groups = 0

    def add_all(
        self, instances: Sequence[tuple[StoredInstance, bool]], *, received_at: datetime, source: str
    ) -> Sequence[str]:
        self.groups += 1
        if self.groups > 1:
            raise Unavailable("want a database that answers")
        return super().add_all(instances, received_at=received_at, source=source)


def test_a_group_that_the_index_could_not_take_failed_and_the_one_before_is_stored(
    tmp_path: Path, data_dir: Path
) -> None:
    paths = write_series(tmp_path / "long", noise(40, 4, 4))
    answer = stow(arrivals_into(data_dir, ForgetfulIndex()), body([path.read_bytes() for path in paths]))
    assert (answer.status, len(uids(answer, "ReferencedSOPSequence"))) == (202, 32)
    assert {item.FailureReason for item in items(answer, "FailedSOPSequence")} == {0x0110}
    assert len(uids(answer, "FailedSOPSequence")) == 8


class Endless:
    """A body that never ends, and counts what was read of it."""

    def __init__(self, begin: bytes, piece: bytes) -> None:
        self.pieces = self._pieces(begin, piece)
        self.read_bytes = 0

    def _pieces(self, begin: bytes, piece: bytes) -> Iterator[bytes]:
        yield begin
        while True:
            yield piece

    def read(self, _size: int = -1) -> bytes:
        piece = next(self.pieces)
        self.read_bytes += len(piece)
        return piece


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"--B0\r\n", b"X: y\r\n" * 1000),
        (b"--B0\r\n", b"X" * 10_000),
        (b"\r\n", b"\r\n" * 5000),
        (b"x", b"x" * 10_000),
    ],
    ids=["headers", "a header", "lines before", "preamble"],
)
def test_a_body_that_never_comes_to_the_point_is_refused_soon(begin: bytes, piece: bytes, data_dir: Path) -> None:
    endless = Endless(begin, piece)
    with pytest.raises(InvalidInput):
        stow_server.store(cast("IO[bytes]", endless), TYPE, "", arrivals_into(data_dir, MemoryIndex()))
    assert endless.read_bytes < 1_000_000


def test_a_million_tiny_parts_are_not_waited_for(data_dir: Path) -> None:
    parts = b"--B0\r\nContent-Type: application/dicom\r\n\r\nx\r\n" * 50
    endless: Any = Endless(parts, parts)
    with pytest.raises(TooManyParts):
        stow_server.store(endless, TYPE, "", arrivals_into(data_dir, MemoryIndex()), most_parts=200)
    assert endless.read_bytes < 100_000
    assert files_below(data_dir) == []


def test_a_boundary_inside_an_instance_that_is_none_is_content(series: list[Path], data_dir: Path) -> None:
    with edited(series[0]) as dataset:
        dataset.PatientComments = "\r\n--B0x\r\n--B\r\n--"
    index = MemoryIndex()
    assert stow(arrivals_into(data_dir, index), body([series[0].read_bytes()])).status == 200
    assert (data_dir / index.instances[0].path).read_bytes()[128:] == series[0].read_bytes()[128:]


def test_nothing_of_the_patient_or_of_uids_is_logged(
    series: list[Path], data_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    parts = [series[0].read_bytes(), series[1].read_bytes()[:-50], b"nothing"]
    stow(arrivals_into(data_dir, MemoryIndex()), body(parts))
    output = "".join(capfd.readouterr())
    assert "instances refused" in output
    for secret in ("Musterfrau", "P-1", "ACC-7", str(pydicom.dcmread(series[0]).StudyInstanceUID)):
        assert secret not in output

"""The walk over an encoded data set: whole or not, bounded, and the same digest for the same content."""

from __future__ import annotations

import resource
import time
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.filewriter import write_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from adapters.dicom.instance import read_instance
from adapters.dicom.scan import PIXEL_DATA, parse, scan
from cds.errors import InvalidInstance, NotEvaluable
from tests.peers.dicom_peers import build, element, implicit, write_series

EXPLICIT, IMPLICIT = str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)
ITEM, ITEM_END, SEQUENCE_END, UNDEFINED = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0xFFFFFFFF
NAME = element(0x00100010, b"PN", b"A^B ")


def encoded(path: Path, *, implicit_vr: bool = False) -> bytes:
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, implicit_vr
    dataset = pydicom.dcmread(path)
    write_dataset(buffer, dataset)
    return bytes(buffer.getvalue())


def test_wanted_elements_are_found_and_parsed() -> None:
    data = NAME + element(0x00100020, b"LO", b"1234")
    found = scan(data, EXPLICIT, {0x00100020})
    assert list(found.spans) == [0x00100020]
    assert parse(data, EXPLICIT, found).PatientID == "1234"


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_data_set_that_ends_inside_its_pixels_is_refused(cut: int, tmp_path: Path) -> None:
    data = encoded(write_series(tmp_path)[0])
    scan(data, EXPLICIT, ())
    with pytest.raises(InvalidInstance, match="ends inside an element"):
        scan(data[:-cut], EXPLICIT, ())


def test_a_cut_anywhere_is_refused_or_falls_between_elements(tmp_path: Path) -> None:
    data = encoded(write_series(tmp_path)[0])
    whole = 0
    for end in range(0, 900):
        try:
            scan(data[:end], EXPLICIT, ())
        except InvalidInstance:
            continue
        whole += 1
    assert 10 < whole < 60


def test_a_compressed_image_without_its_last_delimiter_is_refused() -> None:
    fragments = implicit(ITEM, b"") + implicit(ITEM, b"\xff\xd8\xff\xd9")
    whole = element(PIXEL_DATA, b"OB", fragments + implicit(SEQUENCE_END, b""), UNDEFINED)
    scan(whole, EXPLICIT, ())
    with pytest.raises(InvalidInstance):
        scan(whole[:-8], EXPLICIT, ())


def test_implicit_and_explicit_encoding_of_one_content_have_one_digest(tmp_path: Path) -> None:
    path = write_series(tmp_path)[0]
    one = scan(encoded(path), EXPLICIT, ()).sha256
    assert scan(encoded(path, implicit_vr=True), IMPLICIT, ()).sha256 == one


def test_delimited_and_counted_sequences_of_one_content_have_one_digest() -> None:
    counted = element(0x00081140, b"SQ", implicit(ITEM, NAME) + implicit(ITEM, NAME))
    items = implicit(ITEM, NAME + implicit(ITEM_END, b""), UNDEFINED) + implicit(ITEM, NAME)
    delimited = element(0x00081140, b"SQ", items + implicit(SEQUENCE_END, b""), UNDEFINED)
    assert scan(counted, EXPLICIT, ()).sha256 == scan(delimited, EXPLICIT, ()).sha256


def test_group_lengths_and_padding_do_not_change_the_digest() -> None:
    padded = element(0x00100000, b"UL", b"\x0c\0\0\0") + NAME + element(0xFFFCFFFC, b"OB", bytes(10))
    assert scan(padded, EXPLICIT, ()).sha256 == scan(NAME, EXPLICIT, ()).sha256


def test_one_changed_byte_changes_the_digest(tmp_path: Path) -> None:
    data = encoded(write_series(tmp_path)[0])
    assert scan(data, EXPLICIT, ()).sha256 != scan(data[:-1] + b"\xaa", EXPLICIT, ()).sha256


def test_a_counted_sequence_that_cannot_be_read_is_stepped_over() -> None:
    data = element(0x00081140, b"SQ", b"nonsense") + NAME
    assert parse(data, EXPLICIT, scan(data, EXPLICIT, {0x00100010})).PatientName == "A^B"


def test_nesting_without_end_is_refused() -> None:
    data = b"".join(element(0x00081140, b"SQ", implicit(ITEM, b"", UNDEFINED), UNDEFINED) for _ in range(5000))
    with pytest.raises(InvalidInstance, match="nest"):
        scan(data, EXPLICIT, ())


def test_items_by_the_million_are_refused_soon() -> None:
    data = element(0x00081140, b"SQ", implicit(ITEM, b"") * 4_000_000, UNDEFINED)
    started = time.monotonic()
    with pytest.raises(InvalidInstance, match="at most"):
        scan(data, EXPLICIT, {0x00081140})
    assert time.monotonic() - started < 20


def test_items_cost_no_memory() -> None:
    data = element(0x00081140, b"SQ", implicit(ITEM, b"") * 50_000)
    tracemalloc.start()
    scan(data, EXPLICIT, {0x00081140})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


def test_a_sequence_of_too_many_items_is_not_parsed() -> None:
    data = element(0x00081140, b"SQ", implicit(ITEM, b"") * 500_000) + NAME
    assert list(scan(data, EXPLICIT, {0x00081140, 0x00100010}).spans) == [0x00100010]


def test_a_deflated_data_set_is_refused_before_it_grows() -> None:
    bomb = zlib.compress(bytes(50_000_000))[2:-4]
    with pytest.raises(InvalidInstance, match="deflated"):
        scan(bomb, str(DeflatedExplicitVRLittleEndian), ())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([EXPLICIT, IMPLICIT, "1.2.840.10008.1.2.2"]))
def test_random_bytes_are_walked_or_refused(data: bytes, syntax: str) -> None:
    try:
        found = scan(data, syntax, range(0x00080000, 0x00090000))
        parse(data, syntax, found)
    except InvalidInstance:
        return


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, 1200), value=st.integers(0, 255))
def test_one_wrong_byte_in_a_file_is_no_other_error(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "wrong-byte"
    paths = sorted(folder.glob("*.dcm")) or write_series(folder)[:3]
    broken = bytearray(paths[1].read_bytes())
    broken[132 + position % (len(broken) - 132)] = value
    target = folder / "broken.bin"
    target.write_bytes(broken)
    try:
        build([paths[0], target, paths[2]], folder / "scratch")
    except NotEvaluable:
        return


def test_a_header_that_claims_more_pixels_than_the_limit_is_refused_before_decoding(tmp_path: Path) -> None:
    path = write_series(tmp_path)[0]
    dataset = pydicom.dcmread(path)
    dataset.Rows = dataset.Columns = 65535
    dataset.save_as(path)
    with pytest.raises(NotEvaluable) as refused:
        build([path], tmp_path)
    assert refused.value.gate == "size"


def test_the_tricky_files_need_little_memory(reference_dir: Path, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    volumes = []
    for path in sorted((reference_dir / "reference" / "dicom").rglob("*")):
        if path.is_file():
            with suppress(NotEvaluable):
                volumes.append((path.name, build([path], tmp_path).shape))
    assert volumes == [("CT0012.fragmented_no_bot_jpeg_baseline.51.dcm", (2, 512, 512))]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_a_file_is_read_the_same_with_and_without_a_wrong_group_length(tmp_path: Path) -> None:
    path = write_series(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[140:144] = b"\xff\xff\0\0"
    other = tmp_path / "other.bin"
    other.write_bytes(data)
    tags = {0x00100020}
    assert [read_instance(p, tags, max_bytes=1 << 20).dataset.PatientID for p in (path, other)] == ["P-1", "P-1"]

"""One file: a verdict, its pixels, its place, and every doubt, whatever somebody wrote into it."""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from adapters.dicom.inspect import inspect, inspect_file
from adapters.dicom.pool import DecodePool
from adapters.dicom.projection import InPlace
from cds.domain.instance_inspection import InspectedInstance, Verdict
from cds.errors import Unavailable
from cds.limits import DicomLimits
from tests.peers.dicom_peers import edited, element, noise, write_series
from tests.unit.test_dicom_projection import GRADIENT, write
from tests.unit.test_dicom_volume import enhanced

LIMIT = 1 << 24


def look(path: Path, max_bytes: int = LIMIT) -> InspectedInstance:
    return inspect_file(path, path.name, max_bytes)


def ct(tmp_path: Path) -> Path:
    return write_series(tmp_path / "ct")[0]


def test_a_slice_is_described_and_its_pixels_are_counted(tmp_path: Path) -> None:
    found = look(ct(tmp_path))
    stored = (noise()[0].astype(np.int32) + 1024).astype("<i2")
    assert (found.verdict, found.reason, found.decoded, found.problems) == (Verdict.IMAGE, "", True, ())
    assert (found.sop_class, found.transfer_syntax) == ("CT Image Storage", "Explicit VR Little Endian")
    assert (found.rows, found.columns, found.frames, found.samples) == (8, 10, 1, 1)
    assert (found.dtype, found.minimum, found.maximum) == ("int16", stored.min(), stored.max())
    assert found.mean == pytest.approx(stored.mean())
    assert found.pixel_sha256 == hashlib.sha256(stored.tobytes()).hexdigest()
    assert (found.slope, found.intercept, found.slice_thickness) == (1, -1024, 2.5)
    assert (found.pixel_spacing, found.spacing_source) == ((0.7, 0.8), "pixel")
    assert (found.position, found.orientation) == ((0, 0, 0), (1, 0, 0, 0, 1, 0))
    assert (found.patient_id, found.character_set, found.signed, found.own) == ("P-1", "ISO_IR 192", True, False)


def test_frames_of_one_file_are_stacks(tmp_path: Path) -> None:
    found = look(enhanced(tmp_path))
    assert found.geometry is not None
    (stack,) = found.geometry.stacks
    assert (stack.slices, stack.orientation, stack.refusal) == (6, "axial", "")
    assert (found.frames, found.slope, found.intercept, found.pixel_spacing) == (6, 1, -1024, (0.7, 0.8))


def test_a_radiograph_has_view_and_doubts(tmp_path: Path) -> None:
    found = look(write(tmp_path / "a.dcm", ViewPosition="PA", Laterality="R", PhotometricInterpretation="MONOCHROME1"))
    assert (found.view, found.laterality, found.geometry) == ("PA", "R", None)
    assert found.problems == (
        "MONOCHROME1: high values are dark; models see it inverted",
        "the size of a pixel is not known",
    )


def test_a_report_is_no_image(tmp_path: Path) -> None:
    path = ct(tmp_path)
    with edited(path) as dataset:
        for keyword in ("PixelData", "Rows", "Columns"):
            del dataset[keyword]
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    found = look(path)
    assert (found.verdict, found.reason) == (Verdict.NOT_AN_IMAGE, "no image: Comprehensive SR Storage")
    assert found.decoded is None


def test_what_sightline_made_is_said(tmp_path: Path) -> None:
    path = ct(tmp_path)
    with edited(path) as dataset:
        dataset.Manufacturer = dataset.ManufacturerModelName = "Sightline"
    assert look(path).own


@pytest.mark.parametrize(
    "data", [b"", b"a", b"plain text, longer than an element", bytes(200), b"\x89PNG" + bytes(200)]
)
def test_other_files_are_unreadable(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(data)
    found = look(tmp_path / "x")
    assert (found.verdict, bool(found.reason)) == (Verdict.UNREADABLE, True)


def test_a_truncated_file_is_refused_and_still_says_whose_it_is(tmp_path: Path) -> None:
    path = ct(tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    found = look(path)
    assert (found.verdict, found.modality, found.patient_id, found.rows) == (Verdict.REFUSED, "CT", "P-1", 8)
    assert found.reason == "want a whole data set: it ends inside an element"


@pytest.mark.parametrize("syntax", [pydicom.uid.ExplicitVRLittleEndian, pydicom.uid.ImplicitVRLittleEndian])
@pytest.mark.parametrize("meta", [False, True])
def test_a_file_without_preamble_is_understood_with_a_doubt(syntax: str, meta: bool, tmp_path: Path) -> None:
    path = ct(tmp_path)
    expected = look(path).pixel_sha256
    dataset = pydicom.dcmread(path)
    buffer = pydicom.filebase.DicomBytesIO()
    if meta:
        dataset.file_meta.TransferSyntaxUID = syntax
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_file_meta_info(buffer, dataset.file_meta)
    implicit = syntax == pydicom.uid.ImplicitVRLittleEndian
    del dataset.file_meta
    dataset.save_as(tmp_path / "body", implicit_vr=implicit, little_endian=True)
    path.write_bytes(buffer.getvalue() + (tmp_path / "body").read_bytes().removeprefix(bytes(128) + b"DICM"))
    found = look(path)
    assert (found.verdict, found.pixel_sha256, found.transfer_syntax_uid) == (Verdict.IMAGE, expected, syntax)
    assert "without preamble" in found.problems[0]
    assert any("guessed" in problem for problem in found.problems) is not meta


def deflated(path: Path, body: bytes) -> Path:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    meta = element(0x00020010, b"UI", DeflatedExplicitVRLittleEndian.encode())
    path.write_bytes(bytes(128) + b"DICM" + meta + deflater.compress(body) + deflater.flush())
    return path


def test_a_deflated_file_is_read_within_a_bound_though_the_receiver_refuses_it(tmp_path: Path) -> None:
    path = ct(tmp_path)
    expected = look(path).pixel_sha256
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    found = look(path)
    assert (found.verdict, found.pixel_sha256, found.transfer_syntax) == (
        Verdict.IMAGE,
        expected,
        "Deflated Explicit VR Little Endian",
    )
    assert "deflated" in found.problems[0]


def test_a_deflate_bomb_is_refused_before_it_grows(tmp_path: Path) -> None:
    body = element(0x00080060, b"CS", b"CT") + element(0x7FE00010, b"OW", bytes(LIMIT * 2))
    found = look(deflated(tmp_path / "bomb", body))
    assert (found.verdict, found.reason) == (
        Verdict.REFUSED,
        "want a deflated data set that stays within the limit",
    )


def test_a_header_that_claims_terabytes_is_refused_before_decoding(tmp_path: Path) -> None:
    found = look(write(tmp_path / "a.dcm", Rows=65535, Columns=65535, NumberOfFrames=1000))
    assert (found.verdict, found.decoded) == (Verdict.REFUSED, False)
    assert "larger than the limit" in found.decode_reason


def test_sequences_that_nest_without_end_are_refused(tmp_path: Path) -> None:
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    deep = (struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + item) * 3000
    meta = element(0x00020010, b"UI", pydicom.uid.ExplicitVRLittleEndian.encode() + b"\0")
    (tmp_path / "deep").write_bytes(bytes(128) + b"DICM" + meta + deep)
    found = look(tmp_path / "deep")
    assert (found.verdict, "nest" in found.reason) == (Verdict.REFUSED, True)


def test_a_file_above_the_limit_is_refused_not_called_unreadable(tmp_path: Path) -> None:
    large = write(tmp_path / "large.dcm", pixels=np.zeros((400, 400), np.uint16))
    found = look(large, max_bytes=1)
    assert (found.verdict, found.reason) == (Verdict.REFUSED, "want a DICOM file within the size limit")
    found = look(ct(tmp_path), max_bytes=1)
    assert (found.verdict, found.rows, "larger than the limit" in found.reason) == (Verdict.REFUSED, 8, True)


def test_a_data_set_without_vrs_under_a_compressed_syntax_is_read_with_a_doubt(
    reference_dir: Path, tmp_path: Path
) -> None:
    found = look(reference_dir / "reference" / "dicom" / "dicom-pydicom" / "SC_rgb_jpeg.dcm")
    assert (found.verdict, found.photometric, found.dtype) == (Verdict.IMAGE, "RGB", "uint8")
    assert "implicit VR" in found.problems[0]


def test_a_codestream_that_is_cut_off_is_refused_with_the_reason(reference_dir: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", pixels=GRADIENT)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.save_as(path)
    found = look(path)
    assert (found.verdict, found.decoded, found.decode_reason) == (Verdict.REFUSED, False, "it is cut off or broken")


def crash(_path: Path, _name: str, _max_bytes: int) -> InspectedInstance:
    os.abort()


class Crashing:
    """A caller whose process dies of every file."""

    def __init__(self, pool: DecodePool) -> None:
        self.pool = pool

    def call(self, _function: object, *args: object) -> InspectedInstance:
        return self.pool.call(crash, *args)


def test_a_crash_of_a_codec_costs_one_verdict(tmp_path: Path) -> None:
    limits = DicomLimits()
    path = ct(tmp_path)
    with DecodePool(limits, processes=1) as pool:
        assert inspect(path, "a", limits, Crashing(pool)).reason.endswith("the decoder crashed on it")
        assert inspect(path, "a", limits, pool).verdict is Verdict.IMAGE


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        inspect(tmp_path / "gone", "gone", DicomLimits(), InPlace())


PIECES = st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=12)), min_size=1, max_size=6)


@settings(max_examples=150)
@given(pieces=PIECES, cut=st.booleans())
def test_no_change_of_bytes_is_more_than_a_verdict(
    pieces: list[tuple[int, bytes]], cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "changed"
    source = folder / "ct" / "0000.dcm"
    if not source.exists():
        write_series(folder / "ct")
    data = bytearray(source.read_bytes())
    for at, piece in pieces:
        place = at % len(data)
        data[place : place + len(piece)] = piece
    (folder / "x").write_bytes(bytes(data[: len(data) // 2] if cut else data))
    found = look(folder / "x")
    assert bool(found.reason) == (found.verdict is not Verdict.IMAGE)

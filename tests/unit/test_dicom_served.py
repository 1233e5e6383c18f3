"""Stored instances as WADO-RS hands them out: metadata with bulk data at any depth, frames of all kinds."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, RLELossless

from adapters.dicom.served import bulk, frames, metadata, plain
from cds.errors import NotEvaluable, NotFound
from tests.unit.test_dicom_projection import write

MOST = 64 * 1024 * 1024
HERE = "http://here/instances/1"
GREY = np.arange(12, dtype=np.uint16).reshape(3, 4)


def rewritten(path: Path, syntax: str) -> Path:
    dataset = pydicom.dcmread(path)
    if syntax == RLELossless:
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path)
        return path
    swapped = dataset.pixel_array.astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = swapped
    pydicom.dcmwrite(path, dataset, implicit_vr=False, little_endian=False, force_encoding=True)
    return path


def only(path: Path) -> dict[str, Any]:
    (found,) = metadata((path,), (HERE,))
    assert found is not None
    return found


def body(path: Path, *indices: int, as_stored: bool = False) -> list[bytes]:
    return [one.body for one in frames(path, indices, as_stored, MOST)]


def test_bulk_data_stands_by_its_address_at_whatever_depth_it_lies(tmp_path: Path) -> None:
    item, inner = Dataset(), Dataset()
    inner.add_new(0x00420011, "OB", b"A" * 2000)
    item.add_new(0x00081140, "SQ", [Dataset(), inner])
    path = write(tmp_path / "a.dcm", "2", GREY, ReferencedSeriesSequence=[item])
    told = only(path)
    deep = told["00081115"]["Value"][0]["00081140"]["Value"][1]["00420011"]
    assert deep == {"vr": "OB", "BulkDataURI": f"{HERE}/bulkdata/00081115/0/00081140/1/00420011"}
    assert bulk(path, "00081115/0/00081140/1/00420011", MOST) == b"A" * 2000
    assert told["7FE00010"] == {"vr": "OW", "BulkDataURI": f"{HERE}/bulkdata/7FE00010"}


def test_short_values_stand_in_the_metadata_themselves(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", "2", GREY, PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 100")
    told = only(path)
    assert told["00100010"]["Value"] == [{"Alphabetic": "Müller^Jörg"}]
    assert told["00080005"]["Value"] == ["ISO_IR 192"]
    assert list(told) == sorted(told)


def test_a_file_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"nothing")
    assert metadata((broken, write(tmp_path / "a.dcm", "2", GREY)), (HERE, HERE))[0] is None


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_a_decoded_frame_is_little_endian_whatever_it_is_stored_in(tmp_path: Path, syntax: str) -> None:
    path = write(tmp_path / "a.dcm", "2", GREY)
    if syntax != ExplicitVRLittleEndian:
        rewritten(path, syntax)
    assert body(path, 0) == [GREY.astype("<u2").tobytes()]
    assert bulk(path, "7FE00010", MOST) == GREY.astype("<u2").tobytes()


def test_frames_come_in_the_order_in_which_they_are_asked_for(tmp_path: Path) -> None:
    several = np.stack([GREY, GREY + 100, GREY + 200])
    path = rewritten(write(tmp_path / "a.dcm", "2", several), RLELossless)
    assert body(path, 2, 0) == [several[2].astype("<u2").tobytes(), several[0].astype("<u2").tobytes()]
    stored = frames(path, (1,), True, MOST)[0]
    assert (stored.syntax, stored.body[:4]) == (str(RLELossless), (2).to_bytes(4, "little"))


def test_frames_of_single_bits_are_packed_each_for_itself(tmp_path: Path) -> None:
    """3 x 5 bits: the second frame begins inside the second byte (PS3.5 section 8.1.1)."""
    bits = (np.arange(30) % 7 < 3).astype(np.uint8).reshape(2, 3, 5)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    path = write(tmp_path / "a.dcm", "66.4", bits, BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=packed)
    assert body(path, 1) == [np.packbits(bits[1].ravel(), bitorder="little").tobytes()]


def test_colour_comes_by_pixel(tmp_path: Path) -> None:
    colour: npt.NDArray[np.uint8] = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    path = rewritten(write(tmp_path / "a.dcm", "6.1", colour), RLELossless)
    assert body(path, 0) == [colour.tobytes()]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_an_instance_is_written_uncompressed_under_its_own_uid(tmp_path: Path, syntax: str) -> None:
    path = write(tmp_path / "a.dcm", "2", GREY, PatientID="P-1")
    if syntax != ExplicitVRLittleEndian:
        rewritten(path, syntax)
    told = pydicom.dcmread(io.BytesIO(plain(path, MOST)))
    assert told.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (told.SOPInstanceUID, told.PatientID) == (pydicom.dcmread(path).SOPInstanceUID, "P-1")
    assert np.array_equal(told.pixel_array, GREY)


def test_colour_of_several_frames_is_written_as_rgb(tmp_path: Path) -> None:
    colour: npt.NDArray[np.uint8] = np.arange(72, dtype=np.uint8).reshape(3, 2, 4, 3)
    told = pydicom.dcmread(io.BytesIO(plain(rewritten(write(tmp_path / "a.dcm", "6.1", colour), RLELossless), MOST)))
    assert (told.PhotometricInterpretation, told.PlanarConfiguration) == ("RGB", 0)
    assert np.array_equal(told.pixel_array, colour)


def test_an_instance_without_pixels_is_written_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", "88.11", GREY)
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    assert pydicom.dcmread(io.BytesIO(plain(path, MOST))).SOPInstanceUID == dataset.SOPInstanceUID


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", "2", GREY)
    for missing in ("00990099", "00081115/0/00081140", "00100020/0/00081140"):
        with pytest.raises(NotFound):
            bulk(path, missing, MOST)
    for index in (-1, 1):
        with pytest.raises(NotFound):
            frames(path, (index,), False, MOST)


def test_pixels_that_are_cut_off_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotEvaluable):
        body(write(tmp_path / "a.dcm", "2", GREY, Rows=400), 0)
    cut = write(tmp_path / "b.dcm", "2", GREY)
    cut.write_bytes(cut.read_bytes()[:-4])
    with pytest.raises(NotEvaluable):
        body(cut, 0)

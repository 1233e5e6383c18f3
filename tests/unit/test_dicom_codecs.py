"""Each transfer syntax by the codec that is meant for it, value for value; what no codec should see is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from adapters.dicom.codecs import decoded_frame
from adapters.dicom.decode import stored_values
from adapters.dicom.frames import FRAME_TAGS
from adapters.dicom.instance import Instance, read_instance
from adapters.dicom.slices import PIXEL_TAGS
from cds.errors import NotEvaluable
from tests.peers.dicom_peers import edited, noise, write_series

TWELVE_BIT = [
    "dicom-cornerstone/CTImage.dcm_JPEGProcess10_12TransferSyntax_1.2.840.10008.1.2.4.55.dcm",
    "dicom-cornerstone/CTImage.dcm_JPEGProcess2_4TransferSyntax_1.2.840.10008.1.2.4.51.dcm",
    "dicom-cornerstone/CTImage.dcm_JPEGProcess6_8TransferSyntax_1.2.840.10008.1.2.4.53.dcm",
    "dicom-cornerstone/CT0012.fragmented_no_bot_jpeg_baseline.51.dcm",
    "dicom-pydicom/JPGExtended.dcm",
    "dicom-pydicom/JPEG-lossy.dcm",
]
ONE_SAMPLE = [
    "liver_1frame.dcm",
    "liver_expb_1frame.dcm",
    "rtdose_1frame.dcm",
    "rtdose_expb_1frame.dcm",
    "rtdose_rle_1frame.dcm",
    "rtdose.dcm",
    "rtdose_rle.dcm",
    "693_J2KI.dcm",
    "JPEG2000.dcm",
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_bigendian.dcm",
    "examples_palette.dcm",
    "J2K_pixelrep_mismatch.dcm",
]


def read(path: Path, tags: frozenset[int] = FRAME_TAGS) -> Instance:
    return read_instance(path, tags, max_bytes=1 << 26)


@pytest.mark.parametrize("name", TWELVE_BIT)
def test_jpeg_of_twelve_bits_is_that_of_simpleitk(name: str, reference_dir: Path) -> None:
    path = reference_dir / "reference" / "dicom" / name
    header = pydicom.dcmread(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("GDCMImageIO")
    theirs = SimpleITK.GetArrayFromImage(reader.Execute())[0].astype(np.float64)
    said = {element.keyword: element.value for element in header.iterall() if element.keyword.startswith("Rescale")}
    slope, intercept = float(said.get("RescaleSlope", 1)), float(said.get("RescaleIntercept", 0))
    assert np.array_equal(stored_values(read(path), 0), np.rint((theirs - intercept) / slope))


@pytest.mark.parametrize("name", ONE_SAMPLE)
def test_every_frame_is_that_of_pydicom(name: str, reference_dir: Path) -> None:
    path = reference_dir / "reference" / "dicom" / "dicom-pydicom" / name
    theirs = pydicom.dcmread(path).pixel_array
    frames = theirs if theirs.ndim == 3 else theirs[np.newaxis]
    instance = read(path, PIXEL_TAGS)
    assert all(np.array_equal(stored_values(instance, index), frame) for index, frame in enumerate(frames))


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("table", ["basic", "none", "extended"])
def test_frames_are_found_by_whichever_offset_table_there_is(syntax: str, table: str, tmp_path: Path) -> None:
    """Three slices as one multi-frame image."""
    coded = []
    for path in write_series(tmp_path / "s", noise(3, 64, 48)):
        dataset = pydicom.dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False)
        coded.append(next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)))
    dataset.NumberOfFrames = 3
    if table == "extended":
        dataset.PixelData, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = encapsulate_extended(coded)
    else:
        dataset.PixelData = encapsulate(coded, has_bot=table == "basic")
    dataset.save_as(tmp_path / "whole.dcm")
    instance = read(tmp_path / "whole.dcm", PIXEL_TAGS)
    assert all(np.array_equal(stored_values(instance, index), noise(3, 64, 48)[index] + 1024) for index in (2, 0, 1))
    with pytest.raises(NotEvaluable, match="cut off or broken"):
        stored_values(instance, 3)


def test_frames_of_one_bit_need_not_begin_with_a_byte(tmp_path: Path) -> None:
    truth = np.random.default_rng(5).integers(0, 2, (3, 5, 5)).astype(np.uint8)
    path = write_series(tmp_path, noise(1))[0]
    with edited(path) as dataset:
        dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 5, 5, 3
        dataset.BitsAllocated = dataset.BitsStored = 1
        dataset.HighBit = dataset.PixelRepresentation = 0
        dataset.PixelData = np.packbits(truth.ravel(), bitorder="little").tobytes()
    instance = read(path, PIXEL_TAGS)
    assert all(np.array_equal(stored_values(instance, index), truth[index]) for index in range(3))
    with pytest.raises(NotEvaluable):
        stored_values(instance, 3)


@pytest.mark.parametrize("vr", ["OB", "OW"])
def test_bytes_in_big_endian_are_swapped_where_they_are_words(vr: str, tmp_path: Path) -> None:
    """Frames of an odd number of bytes, so that words lie across them."""
    truth = np.arange(1, 19, dtype=np.uint8).reshape(2, 3, 3)
    path = write_series(tmp_path, noise(1))[0]
    dataset = Dataset()
    for known in pydicom.dcmread(path):
        dataset.add(known)
    dataset.file_meta = pydicom.dcmread(path).file_meta
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 3, 3, 2
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    data = truth.tobytes()
    swapped = np.frombuffer(data, "<u2").byteswap().tobytes()
    dataset.add_new(0x7FE00010, vr, data if vr == "OB" else swapped)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset.save_as(path, implicit_vr=False, little_endian=False, enforce_file_format=True)
    instance = read(path, PIXEL_TAGS)
    assert instance.pixel_vr == vr
    assert all(np.array_equal(stored_values(instance, index), truth[index]) for index in range(2))


def test_an_instance_in_implicit_vr_says_nothing_of_the_vr_of_its_pixels(tmp_path: Path) -> None:
    path = write_series(tmp_path, noise(1))[0]
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(path, implicit_vr=True)
    instance = read(path)
    assert instance.pixel_vr == ""
    assert np.array_equal(stored_values(instance, 0), noise(1)[0] + 1024)


@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
def test_floating_point_pixels_are_refused_in_words(keyword: str, tmp_path: Path) -> None:
    path = write_series(tmp_path, noise(1))[0]
    with edited(path) as dataset:
        setattr(dataset, keyword, bytes(8 * 80))
        del dataset.PixelData
    with pytest.raises(NotEvaluable, match="no pixels of whole numbers"):
        stored_values(read(path), 0)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("BitsAllocated", 64), ("BitsAllocated", 12), ("BitsStored", 17), ("BitsStored", 0), ("HighBit", 3), ("Rows", 0)],
)
def test_a_description_of_pixels_that_makes_no_sense_is_refused(keyword: str, value: int, tmp_path: Path) -> None:
    path = write_series(tmp_path, noise(1))[0]
    with edited(path) as dataset:
        dataset[keyword].value = value
    with pytest.raises(NotEvaluable) as refused:
        stored_values(read(path), 0)
    assert refused.value.gate == "decode"


def test_frames_that_are_deflated_are_refused_by_name(tmp_path: Path) -> None:
    instance = replace(read(write_series(tmp_path, noise(1))[0]), syntax="1.2.840.10008.1.2.8.1")
    with pytest.raises(NotEvaluable, match="no decoder for Deflated Image Frame Compression"):
        decoded_frame(instance, 0)


def test_a_codec_that_panics_is_an_error_like_others(tmp_path: Path) -> None:
    """The RLE codec, in Rust, panics at a header whose segments lie nowhere."""
    path = write_series(tmp_path, noise(1))[0]
    with edited(path) as dataset:
        dataset.file_meta.TransferSyntaxUID = RLELossless
        dataset.PixelData = encapsulate([bytes([2, 0, 0, 0]) + b"\xff" * 60 + bytes(8)])
        dataset["PixelData"].is_undefined_length = True
    with pytest.raises(NotEvaluable, match="cut off or broken"):
        stored_values(read(path), 0)

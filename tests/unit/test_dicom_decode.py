"""Pixels: value for value what SimpleITK reads, in every syntax that both decode."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from adapters.dicom.codestream import declared_size, is_whole
from adapters.dicom.decode import hounsfield, stored_values
from adapters.dicom.frames import FRAME_TAGS, Frame, frames_of
from adapters.dicom.instance import Instance, read_instance
from cds.errors import NotEvaluable
from tests.peers.dicom_peers import edited, noise, write_series

DECODED = [
    "CTImage.dcm",
    "CTImage.dcm_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm",
    "CTImage.dcm_JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90.dcm",
    "CTImage.dcm_JPEG2000TransferSyntax_1.2.840.10008.1.2.4.91.dcm",
    "CTImage.dcm_JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80.dcm",
    "CTImage.dcm_JPEGLSLossyTransferSyntax_1.2.840.10008.1.2.4.81.dcm",
    "CTImage.dcm_LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1.dcm",
    "CTImage.dcm_LittleEndianImplicitTransferSyntax_1.2.840.10008.1.2.dcm",
    "CTImage.dcm_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm",
]


def read(path: Path) -> Instance:
    return read_instance(path, FRAME_TAGS, max_bytes=1 << 24)


def only_frame(instance: Instance) -> Frame:
    frames = frames_of(instance)
    assert not isinstance(frames, str)
    return frames[0]


def values(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    instance = read(path)
    return hounsfield(stored_values(instance, 0), only_frame(instance), instance.dataset)


@pytest.mark.parametrize("name", DECODED)
def test_hounsfield_units_are_those_of_simpleitk(name: str, reference_dir: Path) -> None:
    path = reference_dir / "reference" / "dicom" / "dicom-cornerstone" / name
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("GDCMImageIO")
    assert np.array_equal(values(path), SimpleITK.GetArrayFromImage(reader.Execute())[0])


def test_a_codestream_whose_sign_contradicts_the_header_is_read_as_simpleitk_does(reference_dir: Path) -> None:
    path = reference_dir / "reference" / "dicom" / "dicom-pydicom" / "J2K_pixelrep_mismatch.dcm"
    ours = stored_values(read(path), 0)
    theirs = pydicom.dcmread(path).pixel_array
    assert np.array_equal(ours, theirs)
    assert ours.min() == -2000


def test_a_truncated_codestream_is_no_half_image(reference_dir: Path, tmp_path: Path) -> None:
    source = reference_dir / "reference" / "dicom" / "dicom-cornerstone" / DECODED[2]
    dataset = pydicom.dcmread(source)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    dataset.PixelData = encapsulate([frame[: len(frame) // 2]])
    dataset.save_as(tmp_path / "cut.dcm")
    with pytest.raises(NotEvaluable) as refused:
        stored_values(read(tmp_path / "cut.dcm"), 0)
    assert refused.value.gate == "decode"


@pytest.mark.parametrize("index", [2, 4])
def test_a_codestream_declares_its_size(index: int, reference_dir: Path) -> None:
    dataset = pydicom.dcmread(reference_dir / "reference" / "dicom" / "dicom-cornerstone" / DECODED[index])
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    assert declared_size(frame) == (512, 512)
    assert is_whole(frame)
    assert not is_whole(frame[:-1000])


def test_a_codestream_larger_than_its_header_is_not_decoded(reference_dir: Path, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(reference_dir / "reference" / "dicom" / "dicom-cornerstone" / DECODED[2])
    dataset.Rows = 256
    dataset.save_as(tmp_path / "lie.dcm")
    with pytest.raises(NotEvaluable, match="another size"):
        stored_values(read(tmp_path / "lie.dcm"), 0)


def test_too_few_bytes_of_plain_pixels_are_refused(tmp_path: Path) -> None:
    path = write_series(tmp_path)[0]
    with edited(path) as dataset:
        dataset.PixelData = dataset.PixelData[:-2]
    with pytest.raises(NotEvaluable) as refused:
        values(path)
    assert refused.value.gate == "decode"


def test_a_truncated_rle_frame_is_refused(tmp_path: Path) -> None:
    path = write_series(tmp_path)[0]
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    dataset.PixelData = encapsulate([frame[:100]])
    dataset.save_as(path)
    with pytest.raises(NotEvaluable):
        values(path)


@pytest.mark.parametrize(("stored_bits", "signed"), [(12, 0), (12, 1), (10, 1), (16, 0)])
def test_bits_above_high_bit_do_not_count(stored_bits: int, signed: int, tmp_path: Path) -> None:
    path = write_series(tmp_path)[0]
    rng = np.random.default_rng(3)
    low, high = (-(1 << stored_bits - 1), 1 << stored_bits - 1) if signed else (0, 1 << stored_bits)
    truth = rng.integers(low, high, (8, 10))
    garbage = rng.integers(0, 1 << 16, (8, 10)) & ~((1 << stored_bits) - 1)
    with edited(path) as dataset:
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = stored_bits, stored_bits - 1, signed
        dataset.PixelData = ((truth & ((1 << stored_bits) - 1)) | garbage).astype("<u2").tobytes()
    assert np.array_equal(stored_values(read(path), 0), truth)


def frame_with(slope: float | None, intercept: float | None, folder: Path) -> Frame:
    frame = only_frame(read(write_series(folder)[0]))
    return Frame(**{f: getattr(frame, f) for f in Frame.__slots__} | {"slope": slope, "intercept": intercept})


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"),
    [(1, -1024, np.int16), (2, 0, np.int16), (0.5, 0, np.float32), (1, 0.25, np.float32), (40, 0, np.float32)],
)
def test_values_are_int16_where_that_is_exact(slope: float, intercept: float, dtype: type, tmp_path: Path) -> None:
    stored = np.array([[1, 2], [3, 1001]], dtype=np.int16)
    rescaled = hounsfield(stored, frame_with(slope, intercept, tmp_path), Dataset())
    assert rescaled.dtype == dtype
    assert np.array_equal(rescaled, stored.astype(float) * slope + intercept)


def test_padding_becomes_the_smallest_measured_value(tmp_path: Path) -> None:
    header = Dataset()
    header.PixelPaddingValue = -2000
    stored = np.array([[-2000, 24], [100, -2000]], dtype=np.int16)
    rescaled = hounsfield(stored, frame_with(1, -1024, tmp_path), header)
    assert rescaled.tolist() == [[-1000, -1000], [-924, -1000]]


def test_a_padding_value_of_the_wrong_sign_means_the_same_bits(tmp_path: Path) -> None:
    header = Dataset()
    header.PixelPaddingValue = 0xF830  # -2000 written as US
    stored = np.array([[-2000, 24]], dtype=np.int16)
    assert hounsfield(stored, frame_with(1, 0, tmp_path), header).tolist() == [[24, 24]]


def test_a_range_of_padding_is_padding(tmp_path: Path) -> None:
    header = Dataset()
    header.PixelPaddingValue, header.PixelPaddingRangeLimit = -2000, -1500
    stored = np.array([[-2000, -1500, -1499]], dtype=np.int16)
    assert hounsfield(stored, frame_with(1, 0, tmp_path), header).tolist() == [[-1499, -1499, -1499]]


@pytest.mark.parametrize(
    "syntax",
    [
        "JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90",
        "JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80",
        "JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70",
        "JPEGProcess14TransferSyntax_1.2.840.10008.1.2.4.57",
        "RLELosslessTransferSyntax_1.2.840.10008.1.2.5",
        "BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2",
    ],
)
def test_one_image_has_the_same_values_in_every_lossless_syntax(syntax: str, reference_dir: Path) -> None:
    folder = reference_dir / "reference" / "dicom" / "dicom-cornerstone"
    plain = stored_values(read(folder / "CTImage.dcm_LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1.dcm"), 0)
    assert np.array_equal(stored_values(read(folder / f"CTImage.dcm_{syntax}.dcm"), 0), plain)


def test_a_syntax_without_decoder_says_so(tmp_path: Path) -> None:
    instance = read(write_series(tmp_path, noise())[0])
    video = replace(instance, syntax="1.2.840.10008.1.2.4.100")
    with pytest.raises(NotEvaluable, match="no decoder for MPEG2"):
        stored_values(video, 0)


def test_phantom_pixels_survive_the_file(tmp_path: Path) -> None:
    hu = noise()
    path = write_series(tmp_path, hu)[3]
    assert np.array_equal(values(path), hu[3])
    assert read(path).syntax == ExplicitVRLittleEndian

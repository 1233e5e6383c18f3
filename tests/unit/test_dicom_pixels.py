"""What belongs to the pixels, what is only said beside them, and whether two copies are one image."""

from __future__ import annotations

import shutil
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from adapters.dicom.pixels import read_stored, same_pixels
from adapters.dicom.scan import PIXEL_DATA, scan
from tests.peers.dicom_peers import edited, element, implicit, write_series

EXPLICIT, IMPLICIT = str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)
ITEM, SEQUENCE_END, UNDEFINED = 0xFFFEE000, 0xFFFEE0DD, 0xFFFFFFFF
MAX = 1 << 24


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_series(tmp_path / "series")[0]


def copied(image: Path) -> Path:
    return Path(shutil.copy(image, image.with_suffix(".copy")))


def pixels(image: Path) -> str:
    return read_stored(image.parent, image.name, max_bytes=MAX).pixels_sha256


def compressed(image: Path) -> Path:
    copy = copied(image)
    with edited(copy) as dataset:
        dataset.compress(RLELossless, generate_instance_uid=False)
    return copy


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PatientID", "P-2"),
        ("AccessionNumber", "ACC-8"),
        ("StudyInstanceUID", "1.2.3"),
        ("SeriesInstanceUID", "1.2.4"),
        ("SeriesDescription", "Thorax"),
        ("BodyPartExamined", "THORAX"),
        ("WindowCenter", "40"),
    ],
)
def test_what_is_said_beside_the_pixels_leaves_their_digest(name: str, value: object, image: Path) -> None:
    copy = copied(image)
    with edited(copy) as dataset:
        setattr(dataset, name, value)
    one, other = (read_stored(p.parent, p.name, max_bytes=MAX) for p in (image, copy))
    assert one.sha256 != other.sha256
    assert one.pixels_sha256 == other.pixels_sha256


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RescaleSlope", "2"),
        ("RescaleIntercept", "0"),
        ("PixelSpacing", [1.5, 1.5]),
        ("ImagePositionPatient", [1, 2, 3]),
        ("ImageOrientationPatient", [0, 1, 0, 1, 0, 0]),
        ("SliceThickness", "9"),
        ("PixelRepresentation", 0),
        ("BitsStored", 8),
        ("PhotometricInterpretation", "MONOCHROME1"),
        ("ConvolutionKernel", "B70f"),
        ("KVP", "80"),
        ("ContrastBolusAgent", "IODINE"),
    ],
)
def test_what_makes_a_measurement_of_the_values_is_one_with_them(name: str, value: object, image: Path) -> None:
    copy = copied(image)
    with edited(copy) as dataset:
        setattr(dataset, name, value)
    assert pixels(copy) != pixels(image)
    assert not same_pixels(image, copy, max_bytes=MAX)


def test_an_intercept_that_is_gone_is_not_an_intercept_of_nought(image: Path) -> None:
    copy = copied(image)
    with edited(image) as dataset:
        dataset.RescaleIntercept = "0"
    with edited(copy) as dataset:
        del dataset.RescaleIntercept
    assert not same_pixels(image, copy, max_bytes=MAX)


def test_one_changed_value_makes_other_pixels(image: Path) -> None:
    copy = copied(image)
    with edited(copy) as dataset:
        dataset.PixelData = bytes([dataset.PixelData[0] ^ 1]) + dataset.PixelData[1:]
    assert pixels(copy) != pixels(image)
    assert not same_pixels(image, copy, max_bytes=MAX)


def test_implicit_and_explicit_encoding_have_one_digest(image: Path) -> None:
    copy = copied(image)
    dataset = pydicom.dcmread(copy)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(copy, implicit_vr=True)
    assert pixels(copy) == pixels(image)


def test_a_copy_that_was_compressed_without_loss_is_the_same_image(image: Path) -> None:
    copy = compressed(image)
    assert pixels(copy) != pixels(image)
    assert same_pixels(image, copy, max_bytes=MAX)
    assert same_pixels(copy, image, max_bytes=MAX)


def test_a_compressed_copy_of_another_image_is_another_image(image: Path, tmp_path: Path) -> None:
    assert not same_pixels(compressed(image), write_series(tmp_path / "series")[1], max_bytes=MAX)


def test_numbers_that_are_written_in_another_way_are_the_same(image: Path) -> None:
    copy = copied(image)
    with edited(image) as dataset:
        dataset.RescaleSlope = "1"
    with edited(copy) as dataset:
        dataset.RescaleSlope = "1.000"
    assert pixels(copy) != pixels(image)
    assert same_pixels(image, copy, max_bytes=MAX)


def test_what_cannot_be_decoded_or_is_too_large_is_not_the_same(image: Path) -> None:
    copy = compressed(image)
    assert not same_pixels(image, copy, max_bytes=100)
    with edited(copy) as dataset:
        dataset.PixelData = dataset.PixelData[:-20] + bytes(20)
    assert not same_pixels(image, copy, max_bytes=MAX)


@pytest.mark.parametrize("tag", [PIXEL_DATA, 0x7FE00008, 0x7FE00009])
def test_every_kind_of_pixel_data_counts_and_nothing_else_does(tag: int) -> None:
    name = element(0x00100010, b"PN", b"A^B ")
    assert scan(name, EXPLICIT, ()).pixels_sha256 == ""
    one, other = (scan(name + element(tag, b"OW", value), EXPLICIT, ()).pixels_sha256 for value in (b"ab", b"cd"))
    assert one
    assert one != other


def test_offset_table_and_boundaries_of_fragments_are_no_pixels() -> None:
    def encapsulated(*fragments: bytes) -> str:
        items = b"".join(implicit(ITEM, fragment) for fragment in fragments) + implicit(SEQUENCE_END, b"")
        return scan(element(PIXEL_DATA, b"OB", items, UNDEFINED), EXPLICIT, ()).pixels_sha256

    assert encapsulated(b"", b"abcd") == encapsulated(bytes(4), b"ab", b"cd")
    assert encapsulated(b"", b"abcd") != encapsulated(b"", b"abce")
    assert encapsulated(b"abcd", b"") != encapsulated(b"", b"abcd")


def test_functional_groups_belong_to_the_pixels(image: Path) -> None:
    def grouped(slope: str) -> str:
        copy = copied(image)
        with edited(copy) as dataset:
            inner, outer = Dataset(), Dataset()
            inner.RescaleSlope = slope
            outer.PixelValueTransformationSequence = Sequence([inner])
            dataset.SharedFunctionalGroupsSequence = Sequence([outer])
        return pixels(copy)

    assert grouped("1") != grouped("2")
    assert grouped("1") == grouped("1")


def test_an_icon_inside_is_not_the_image() -> None:
    def iconed(value: bytes) -> str:
        icon = implicit(0xFFFEE000, element(PIXEL_DATA, b"OW", value))
        data = element(0x00880200, b"SQ", icon) + element(PIXEL_DATA, b"OW", b"abcd")
        return scan(data, EXPLICIT, ()).pixels_sha256

    assert iconed(b"ab") == iconed(b"cd")

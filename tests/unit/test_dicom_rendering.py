"""Pictures of images for a browser: shades worked by hand from PS3.3 C.11.1 and C.11.2, and what cannot be shown."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from adapters.dicom.gallery import Gallery
from adapters.dicom.grey import Grey, decoded
from adapters.dicom.pool import DecodePool
from adapters.dicom.projection import InPlace
from adapters.dicom.rendering import Decoded, raw, rendered, tile, windowed
from adapters.dicom.rendering_headers import described
from cds.errors import NotEvaluable
from cds.limits import DicomLimits
from cds.ui.pictures import FrameSaid, Look, Window
from tests.unit.test_dicom_projection import write

MOST = 64 * 1024 * 1024
CT = "2"
ROW = np.array([[0, 100, 200, 1000]], dtype=np.uint16)


def grey(tmp_path: Path, pixels: npt.NDArray[Any], index: int = 0, **elements: object) -> Grey:
    found = decoded(write(tmp_path / "a.dcm", CT, pixels, **elements), index, MOST)
    assert isinstance(found, Grey)
    return found


def shades(tmp_path: Path, pixels: npt.NDArray[Any], window: Window | None = None, **elements: object) -> list[int]:
    return [int(one) for one in windowed(grey(tmp_path, pixels, **elements), window).ravel()]


def sequence(**elements: object) -> list[Dataset]:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return [item]


def test_a_window_is_linear_between_its_ends(tmp_path: Path) -> None:
    """Centre 100, width 201: 0 at or below -0, 255 at 200; 100 is (100 - 99.5) / 200 + 0.5 = 0.5025 → 128."""
    assert shades(tmp_path, ROW, Window(100, 201)) == [1, 128, 255, 255]


def test_hounsfield_units_are_what_a_window_is_told_in(tmp_path: Path) -> None:
    """Stored 1000 is -24 HU after intercept -1024, 1064 is 40 HU: lung is white, brain at its centre."""
    pixels = np.array([[1000, 1064, 1104]], dtype=np.uint16)
    rescale = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    # (40 - 39.5) / 79 + 0.5 = 0.5063 → 129; (-24 - 39.5) / 79 + 0.5 < 0; (80 - 39.5) / 79 + 0.5 = 1.013
    assert shades(tmp_path, pixels, Window(40, 80), **rescale) == [0, 129, 255]


def test_signed_values_stay_signed(tmp_path: Path) -> None:
    pixels = np.array([[-1000, 0, 1000]], dtype=np.int16)
    assert shades(tmp_path, pixels, Window(0.5, 2001)) == [0, 128, 255]


def test_monochrome1_is_white_where_values_are_low(tmp_path: Path) -> None:
    assert shades(tmp_path, ROW, Window(100, 201), PhotometricInterpretation="MONOCHROME1") == [254, 127, 0, 0]


def test_bits_above_those_stored_are_no_part_of_a_value(tmp_path: Path) -> None:
    """Old overlays lie in the upper four bits of a 12 bit image (PS3.5 section 8.1.2)."""
    pixels = np.array([[0xF000, 0xF064]], dtype=np.uint16)
    bits = {"BitsStored": 12, "HighBit": 11}
    assert shades(tmp_path, pixels, Window(50.5, 101), **bits) == [0, 255]


def test_the_image_own_window_is_the_first_that_it_names(tmp_path: Path) -> None:
    own = {"WindowCenter": [100, 5], "WindowWidth": [201, 10], "WindowCenterWidthExplanation": ["WIDE", "NARROW"]}
    assert grey(tmp_path, ROW, **own).windows == (Window(100, 201, "WIDE"), Window(5, 10, "NARROW"))
    assert shades(tmp_path, ROW, **own) == [1, 128, 255, 255]


def test_a_window_of_no_width_is_none(tmp_path: Path) -> None:
    assert grey(tmp_path, ROW, WindowCenter=100, WindowWidth=0).windows == ()


def test_a_sigmoid_is_a_sigmoid(tmp_path: Path) -> None:
    """C.11.2.1.3.1: 1 / (1 + exp(-4 (x - c) / w)); at the centre a half, at c + w / 4 1 / (1 + 1 / e) = 0.731."""
    own = {"WindowCenter": 100, "WindowWidth": 400, "VOILUTFunction": "SIGMOID"}
    assert shades(tmp_path, ROW, **own)[1:3] == [128, 186]


def test_a_linear_exact_window_has_no_half_values(tmp_path: Path) -> None:
    own = {"WindowCenter": 100, "WindowWidth": 200, "VOILUTFunction": "LINEAR_EXACT"}
    assert shades(tmp_path, ROW, **own) == [0, 128, 255, 255]


def test_a_voi_table_shows_the_image_unless_a_window_is_asked_for(tmp_path: Path) -> None:
    """C.11.2.1.1: entries from 100 on; values before the first take it, those after the last take that."""
    table = sequence(LUTDescriptor=[3, 100, 8], LUTData=b"\x0a\0\x14\0\x1e\0")
    pixels = np.array([[0, 100, 101, 500]], dtype=np.uint16)
    assert shades(tmp_path, pixels, VOILUTSequence=table) == [10, 10, 20, 30]
    assert shades(tmp_path, pixels, Window(100, 201), VOILUTSequence=table)[1] == 128


def test_a_voi_table_of_bytes_is_read_too(tmp_path: Path) -> None:
    table = sequence(LUTDescriptor=[4, 100, 8], LUTData=b"\x0a\x14\x1e\x28")
    pixels = np.array([[100, 103]], dtype=np.uint16)
    assert shades(tmp_path, pixels, VOILUTSequence=table) == [10, 40]


def test_a_broken_voi_table_leaves_the_window(tmp_path: Path) -> None:
    table = sequence(LUTDescriptor=[300, 0, 8], LUTData=b"\x0a\0\x14\0\x1e\0")
    assert grey(tmp_path, ROW, VOILUTSequence=table).table is None


def test_a_modality_table_is_applied_before_a_window(tmp_path: Path) -> None:
    """C.11.1.1.1: stored 0, 1, 2 → 0, 50, 100."""
    table = sequence(LUTDescriptor=[3, 0, 16], LUTData=b"\0\0\x32\0\x64\0", ModalityLUTType="US")
    pixels = np.array([[0, 1, 2]], dtype=np.uint16)
    assert shades(tmp_path, pixels, Window(50.5, 101), ModalityLUTSequence=table) == [0, 128, 255]


def test_padding_is_as_dark_as_the_darkest_that_was_measured(tmp_path: Path) -> None:
    pixels = np.array([[-2000, 0, 100]], dtype=np.int16)
    found = grey(tmp_path, pixels, PixelPaddingValue=-2000)
    assert found.values.ravel().tolist() == [0, 0, 100]
    inverted = grey(tmp_path, pixels, PixelPaddingValue=-2000, PhotometricInterpretation="MONOCHROME1")
    assert inverted.values.ravel().tolist() == [100, 0, 100]


def test_frames_of_an_enhanced_image_have_windows_and_rescale_of_their_own(tmp_path: Path) -> None:
    """PS3.3 C.7.6.16.2.9 and C.7.6.16.2.10: what stands per frame overrides what is shared."""
    groups = []
    for intercept, center in ((0, 10), (-1000, 20)):
        group = Dataset()
        group.PixelValueTransformationSequence = sequence(RescaleSlope=1, RescaleIntercept=intercept)
        group.FrameVOILUTSequence = sequence(WindowCenter=center, WindowWidth=50)
        groups.append(group)
    pixels = np.stack([ROW, ROW])
    second = grey(tmp_path, pixels, 1, PerFrameFunctionalGroupsSequence=groups, WindowCenter=1, WindowWidth=2)
    assert (second.slope, second.intercept, second.windows) == (1.0, -1000.0, (Window(20, 50),))


def test_without_any_window_nearly_all_values_are_seen(tmp_path: Path) -> None:
    pixels = np.arange(10_000, dtype=np.uint16).reshape(100, 100)
    seen = shades(tmp_path, pixels)
    assert (seen[0], seen[5000], seen[-1]) == (0, 128, 255)


def test_colour_is_shown_as_it_is(tmp_path: Path) -> None:
    pixels = np.array([[[255, 0, 0], [0, 0, 255]]], dtype=np.uint8)
    found = decoded(write(tmp_path / "a.dcm", "6.1", pixels, Modality="US"), 0, MOST)
    assert isinstance(found, np.ndarray)
    picture = Image.open(io.BytesIO(rendered(Decoded(None, found), Look(Window(1, 1))).body))
    assert [picture.getpixel((n, 0)) for n in (0, 1)] == [(255, 0, 0), (0, 0, 255)]


def test_a_picture_is_a_lossless_png_of_the_whole_image(tmp_path: Path) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = rendered(Decoded(grey(tmp_path, pixels), None), Look(Window(128, 256)))
    assert found.content_type == "image/png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(found.body))), pixels)


def test_a_picture_comes_smaller_and_as_jpeg_where_that_is_asked_for(tmp_path: Path) -> None:
    pixels = np.zeros((40, 80), dtype=np.uint8)
    found = rendered(Decoded(grey(tmp_path, pixels), None), Look(form="jpeg", longest=20))
    picture = Image.open(io.BytesIO(found.body))
    assert (found.content_type, picture.format, picture.size) == ("image/jpeg", "JPEG", (20, 10))


def test_a_browser_gets_the_stored_values_in_little_endian(tmp_path: Path) -> None:
    pixels = np.array([[-1024, 3071]], dtype=np.int16)
    found = raw(Decoded(grey(tmp_path, pixels, RescaleSlope=2, RescaleIntercept=-5), None))
    assert gzip.decompress(found.body) == b"\x00\xfc\xff\x0b"
    assert (found.dtype, found.rows, found.columns, found.slope, found.intercept) == ("int16", 1, 2, 2.0, -5.0)


def test_values_of_32_bits_come_as_what_they_mean(tmp_path: Path) -> None:
    pixels = np.array([[100_000]], dtype=np.uint32)
    found = raw(Decoded(grey(tmp_path, pixels, RescaleSlope=0.5, RescaleIntercept=1), None))
    assert (found.dtype, np.frombuffer(gzip.decompress(found.body), "<f4").tolist()) == ("float32", [50_001.0])


def test_a_tile_is_a_picture_that_nobody_takes_for_an_image() -> None:
    picture = Image.open(io.BytesIO(tile("its pixels are cut off", 16, 9000).body))
    assert picture.size == (1024, 256)
    assert len(np.unique(np.asarray(picture))) > 2


@pytest.mark.parametrize("index", [-1, 1, 10**6])
def test_a_frame_that_is_not_there_cannot_be_shown(tmp_path: Path, index: int) -> None:
    with pytest.raises(NotEvaluable, match="no such frame"):
        grey(tmp_path, ROW, index)


def test_pixels_that_are_cut_off_cannot_be_shown(tmp_path: Path) -> None:
    with pytest.raises(NotEvaluable, match="cut off"):
        grey(tmp_path, ROW, Rows=100)


def test_a_file_that_is_no_image_says_so(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.dcm"
    nothing.write_bytes(b"no DICOM" * 100)
    with pytest.raises(NotEvaluable, match="cannot be read"):
        decoded(nothing, 0, MOST)
    assert described((nothing,), MOST)[0] == "it cannot be read: want a file with the DICM prefix (PS3.10 section 7.1)"


def test_an_image_larger_than_the_installation_allows_is_not_decoded(tmp_path: Path) -> None:
    with pytest.raises(NotEvaluable, match="larger than the limit"):
        grey(tmp_path, ROW, Rows=60_000, Columns=60_000)


def test_a_header_says_what_a_viewer_needs(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.dcm", CT, ROW, ImagePositionPatient=[1, 2, 3], ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        PixelSpacing=[0.5, 0.25], InstanceNumber=7, AcquisitionNumber=2, Laterality="R", WindowCenter=1, WindowWidth=2,
    )  # fmt: skip
    (frames,) = described((path,), MOST)
    assert not isinstance(frames, str)
    (said,) = frames
    assert (said.position, said.spacing_mm, said.number, said.acquisition) == ((1.0, 2.0, 3.0), (0.5, 0.25), 7, 2)
    assert (said.laterality, said.windows, said.rows, said.columns) == ("R", (Window(1, 2),), 1, 4)


def test_the_side_of_a_mammogram_and_the_way_it_lies_are_told(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.dcm", "1.2", ROW, ImageLaterality="L", ViewPosition="MLO", PatientOrientation=["A", "FR"]
    )
    (frames,) = described((path,), MOST)
    assert isinstance(frames[0], FrameSaid)
    assert (frames[0].laterality, frames[0].view, frames[0].directions) == ("L", "MLO", ("A", "FR"))


def test_a_view_is_not_made_of_an_orientation_that_is_none(tmp_path: Path) -> None:
    """Films that were scanned have CC there."""
    (frames,) = described((write(tmp_path / "a.dcm", "7", ROW, PatientOrientation="CC", Laterality="L"),), MOST)
    assert isinstance(frames[0], FrameSaid)
    assert (frames[0].view, frames[0].directions, frames[0].laterality) == ("", (), "L")


def test_a_frame_is_decoded_once_while_there_is_room(tmp_path: Path) -> None:
    calls: list[str] = []

    class Counting(InPlace):
        def call(self, function: Any, *args: Any) -> Any:
            calls.append(function.__name__)
            return super().call(function, *args)

    write(tmp_path / "a.dcm", CT, ROW)
    gallery = Gallery(tmp_path, DicomLimits(), Counting(), cache_bytes=1_000_000)
    first = gallery.picture("a.dcm", "digest", 0, Look(Window(100, 201)))
    assert gallery.picture("a.dcm", "digest", 0, Look(Window(100, 201))) is first
    gallery.picture("a.dcm", "digest", 0, Look(Window(5, 5)))
    gallery.raw("a.dcm", "digest", 0)
    assert calls == ["decoded"]
    gallery.picture("a.dcm", "another digest", 0, Look())
    assert calls == ["decoded", "decoded"]


def test_memory_is_given_up_where_there_is_no_room(tmp_path: Path) -> None:
    calls: list[str] = []

    class Counting(InPlace):
        def call(self, function: Any, *args: Any) -> Any:
            calls.append(function.__name__)
            return super().call(function, *args)

    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.dcm", CT, np.zeros((64, 64), np.uint16))
    gallery = Gallery(tmp_path, DicomLimits(), Counting(), cache_bytes=2 * 64 * 64 * 2)
    for name in ("a", "b", "c", "a"):
        gallery.raw(f"{name}.dcm", name, 0)
        gallery.picture(f"{name}.dcm", name, 0, Look(Window(len(calls) + 1, 2)))
    assert len(calls) == 4


def test_a_decoding_process_decodes_for_the_viewer(tmp_path: Path) -> None:
    write(tmp_path / "a.dcm", CT, ROW, WindowCenter=100, WindowWidth=201)
    (tmp_path / "b.dcm").write_bytes((tmp_path / "a.dcm").read_bytes()[:-6])
    with DecodePool(DicomLimits(), processes=1) as pool:
        gallery = Gallery(tmp_path, DicomLimits(), pool, cache_bytes=1_000_000)
        picture = Image.open(io.BytesIO(gallery.picture("a.dcm", "a", 0, Look()).body))
        assert np.asarray(picture).ravel().tolist() == [1, 128, 255, 255]
        with pytest.raises(NotEvaluable):
            gallery.picture("b.dcm", "b", 0, Look())
        assert [isinstance(one, str) for one in gallery.described([("a.dcm", "a"), ("b.dcm", "b")])] == [False, True]


def _corpus() -> list[Path]:
    root = Path(os.environ.get("CDS_REFERENCE_DIR", "/nowhere")) / "dicom"
    return sorted(path for path in root.rglob("*") if path.is_file()) if root.exists() else []


@pytest.mark.skipif(not _corpus(), reason="the reference images are not here: set CDS_REFERENCE_DIR")
def test_every_reference_image_is_shown_or_refused_in_words() -> None:
    """Compressed, signed, odd and broken ones: never another exception, and whatever is described can be asked for."""
    shown = refused = 0
    for path in _corpus():
        (frames,) = described((path,), MOST)
        if isinstance(frames, str):
            refused += 1
            continue
        try:
            found = decoded(path, frames[0].index, MOST)
        except NotEvaluable:
            refused += 1
            continue
        picture = rendered(Decoded(found, None) if isinstance(found, Grey) else Decoded(None, found), Look())
        size = Image.open(io.BytesIO(picture.body)).size
        assert size == (frames[0].columns, frames[0].rows), path.name
        shown += 1
    assert shown > refused

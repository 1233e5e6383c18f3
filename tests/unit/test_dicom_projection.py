"""Projection and ultrasound images: from dark to bright, with view, side and size of a pixel, or refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset
from pydicom.uid import UID, JPEGBaseline8Bit, RLELossless

from adapters.dicom.files import IMPLEMENTATION_CLASS_UID
from adapters.dicom.pool import DecodePool
from adapters.dicom.projection import images
from cds.domain.imaging import ImageRef
from cds.errors import NotEvaluable, Unavailable
from cds.limits import DicomLimits
from tests.peers.dicom_peers import edited, files_below, summary
from tests.unit.test_dicom_volume import macro

STORAGE = "1.2.840.10008.5.1.4.1.1."
CR, DX, MG, US, CINE = "1", "1.1", "1.2", "6.1", "3.1"
GRADIENT = np.arange(20, dtype=np.uint16).reshape(4, 5) * 100


def write(path: Path, sop_class: str = DX, pixels: npt.NDArray[Any] = GRADIENT, **elements: object) -> Path:
    """One image; its bits are those of the array unless elements say otherwise. None leaves an element out."""
    dataset = Dataset()
    colour = pixels.ndim > 2 and pixels.shape[-1] == 3
    frames = pixels.shape[0] if pixels.ndim - colour == 3 else None
    bits = pixels.dtype.itemsize * 8
    described: dict[str, object] = {
        "SOPClassUID": f"{STORAGE}{sop_class}",
        "SOPInstanceUID": f"1.2.3.4.{int.from_bytes(path.stem.encode()[:8], 'big')}",
        "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "Modality": "DX", "InstanceNumber": 1,
        "SamplesPerPixel": 3 if colour else 1, "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "PlanarConfiguration": 0 if colour else None, "NumberOfFrames": frames,
        "Rows": pixels.shape[-3 if colour else -2], "Columns": pixels.shape[-2 if colour else -1],
        "BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"), "PixelData": pixels.tobytes(),
    }  # fmt: skip
    for keyword, value in (described | elements).items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def read(*paths: Path, pool: DecodePool | None = None) -> tuple[ImageRef, ...]:
    return images(summary(paths), Path("/"), paths[0].parent / "scratch", DicomLimits(), pool)


def only(tmp_path: Path, *arguments: Any, **elements: Any) -> tuple[ImageRef, npt.NDArray[Any]]:
    (image,) = read(write(tmp_path / "a.dcm", *arguments, **elements))
    values = np.load(image.path)
    assert values.shape == image.shape
    assert values.dtype == image.dtype
    return image, values


def refused(*paths: Path) -> NotEvaluable:
    with pytest.raises(NotEvaluable) as caught:
        read(*paths)
    assert files_below(paths[0].parent / "scratch") == []
    return caught.value


def test_a_radiograph_is_one_frame_as_stored(tmp_path: Path) -> None:
    image, values = only(tmp_path, BitsStored=12, HighBit=11)
    assert (image.shape, image.dtype, image.photometric) == ((1, 4, 5), "uint16", "MONOCHROME2")
    assert np.array_equal(values[0], GRADIENT)
    assert image.frame_time_ms is None


def test_images_without_a_uid_are_two_arrays(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.dcm", pixels=GRADIENT + n, InstanceNumber=n) for n in (1, 2)]
    for path in paths:
        with edited(path) as dataset:
            dataset.SOPInstanceUID = ""
    one, other = read(*paths)
    assert one.path != other.path
    assert (np.load(other.path) == np.load(one.path) + 1).all()


def test_monochrome1_is_turned_by_the_range_of_its_bits(tmp_path: Path) -> None:
    _, values = only(tmp_path, BitsStored=12, HighBit=11, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(values[0], 4095 - GRADIENT)
    signed = (GRADIENT.astype(np.int16) - 1000).astype(np.int16)
    image, values = only(tmp_path, CR, signed, PhotometricInterpretation="MONOCHROME1")
    assert image.dtype == "int16"
    assert np.array_equal(values[0], -1 - signed)


def test_monochrome1_with_a_rescale_is_that_of_simpleitk(tmp_path: Path) -> None:
    image, values = only(
        tmp_path,
        CR,
        BitsStored=12,
        HighBit=11,
        PhotometricInterpretation="MONOCHROME1",
        RescaleSlope="0.5",
        RescaleIntercept="-10",
        RescaleType="OD",
    )
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(tmp_path / "a.dcm"))
    reader.SetImageIO("GDCMImageIO")
    assert np.allclose(values, SimpleITK.GetArrayFromImage(reader.Execute()), rtol=1e-6)
    assert (image.dtype, image.attributes["rescale_type"]) == ("float32", "OD")


def lut(entries: list[int], descriptor: list[int], vr: str = "US") -> Dataset:
    item = macro(LUTDescriptor=descriptor, ModalityLUTType="US")
    item.add_new("LUTData", vr, entries if vr == "US" else np.array(entries, dtype="<u2").tobytes())
    return item


@pytest.mark.parametrize("vr", ["US", "OW"])
def test_a_modality_lut_maps_and_clamps(vr: str, tmp_path: Path) -> None:
    stored = np.array([[0, 10, 11, 12, 13, 500]], dtype=np.uint16)
    item = lut([7, 8, 4000], [3, 11, 12], vr)
    _, values = only(tmp_path, DX, stored, ModalityLUTSequence=[item])
    assert values[0].tolist() == [[7, 7, 7, 8, 4000, 4000]]
    _, values = only(tmp_path, DX, stored, ModalityLUTSequence=[item], PhotometricInterpretation="MONOCHROME1")
    assert values[0].tolist() == [[4088, 4088, 4088, 4087, 95, 95]]


def test_a_modality_lut_that_is_too_short_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", ModalityLUTSequence=[lut([1, 2], [4, 0, 16])])
    assert refused(path).gate == "decode"


def test_padding_is_the_darkest_of_what_was_measured(tmp_path: Path) -> None:
    pixels = GRADIENT.copy()
    pixels[0] = 4000
    for photometric, darkest in (("MONOCHROME2", 500), ("MONOCHROME1", 4095 - 1900)):
        _, values = only(tmp_path, DX, pixels, BitsStored=12, HighBit=11, PixelPaddingValue=4000,
                         PhotometricInterpretation=photometric)  # fmt: skip
        assert set(values[0, 0].tolist()) == {darkest}
        assert values[0, 1:].min() == darkest


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"ViewPosition": "PA"}, ("PA", "")),
        ({"ViewCodeSequence": [macro(CodeValue="399348003", CodingSchemeDesignator="SCT", CodeMeaning="AP")]},
         ("AP", "")),
        ({"ViewCodeSequence": [macro(CodeValue="R-10226", CodingSchemeDesignator="SRT", CodeMeaning="x")],
          "ImageLaterality": "R"}, ("MLO", "R")),
        ({"ViewPosition": "CC", "Laterality": "L"}, ("CC", "L")),
        ({"PatientOrientation": ["A", "F"]}, ("lateral", "")),
        ({"PatientOrientation": ["L", "F"]}, ("frontal", "")),
        ({"ImageLaterality": "left?"}, ("", "")),
    ],
)  # fmt: skip
def test_view_and_side(elements: dict[str, object], expected: tuple[str, str], tmp_path: Path) -> None:
    image, _ = only(tmp_path, **elements)
    assert (image.view, image.laterality) == expected


def test_a_view_that_contradicts_its_code_is_said(tmp_path: Path) -> None:
    image, _ = only(tmp_path, ViewPosition="PA", ViewCodeSequence=[macro(CodeValue="399348003")])
    assert (image.view, "contradict" in " ".join(image.warnings)) == ("PA", True)


def region(delta_cm: float, units: int = 3, spatial: int = 1) -> Dataset:
    return macro(RegionSpatialFormat=spatial, PhysicalUnitsXDirection=units, PhysicalUnitsYDirection=units,
                 PhysicalDeltaX=delta_cm, PhysicalDeltaY=2 * delta_cm)  # fmt: skip


@pytest.mark.parametrize(
    ("elements", "mm", "source"),
    [
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "imager"),
        ({"ImagerPixelSpacing": [0.3, 0.3], "EstimatedRadiographicMagnificationFactor": "1.5"}, (0.2, 0.2),
         "imager/magnification"),
        ({"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.2, 0.2]}, (0.2, 0.2), "imager"),
        ({"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.15, 0.15]}, (0.15, 0.15), "calibrated"),
        ({"PixelSpacing": [0.15, 0.15], "PixelSpacingCalibrationType": "FIDUCIAL"}, (0.15, 0.15), "calibrated"),
        ({"PixelSpacing": [0.15, 0.15]}, (0.15, 0.15), "pixel"),
        ({"NominalScannedPixelSpacing": [0.1, 0.1]}, (0.1, 0.1), "scanned"),
        ({"SequenceOfUltrasoundRegions": [region(0.01)]}, (0.2, 0.1), "region"),
        ({"SequenceOfUltrasoundRegions": [region(0.01), region(0.02)]}, None, ""),
        ({"SequenceOfUltrasoundRegions": [region(0.01), region(5, units=4, spatial=3)]}, (0.2, 0.1), "region"),
        ({"PixelSpacing": [0, 0.1]}, None, ""),
        ({}, None, ""),
    ],
)  # fmt: skip
def test_the_size_of_a_pixel_and_where_it_comes_from(
    elements: dict[str, object], mm: tuple[float, float] | None, source: str, tmp_path: Path
) -> None:
    image, _ = only(tmp_path, **elements)
    assert image.pixel_spacing_mm == (None if mm is None else pytest.approx(mm))
    assert image.spacing_source == source
    assert bool(image.warnings) == (source in ("imager", ""))


@pytest.mark.parametrize(
    ("sop_class", "elements", "words"),
    [
        ("7", {}, "a secondary capture"),
        ("7.4", {}, "a secondary capture"),
        ("12.1", {}, "angiography or fluoroscopy"),
        ("13.1.3", {}, "tomosynthesis"),
        ("1.1.1", {}, "raw data for processing"),
        (MG, {"PresentationIntentType": "FOR PROCESSING"}, "raw data for processing"),
        ("2", {}, "a slice of a volume"),
        ("88.33", {}, "no projection or ultrasound image"),
    ],
)
def test_what_is_no_projection_is_refused_in_words(
    sop_class: str, elements: dict[str, Any], words: str, tmp_path: Path
) -> None:
    refusal = refused(write(tmp_path / "a.dcm", sop_class, **elements))
    assert (refusal.gate, words in str(refusal)) == ("no-images", True)


def test_a_cine_has_its_frames_and_the_time_between_them(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 255, (6, 4, 5), dtype=np.uint8)
    image, values = only(tmp_path, CINE, pixels, FrameTime="33.3", Modality="US")
    assert np.array_equal(values, pixels)
    assert image.frame_time_ms == pytest.approx(33.3)
    image, _ = only(tmp_path, CINE, pixels, FrameTimeVector=["0", "30", "30", "30", "60", "30"])
    assert (image.frame_time_ms, image.warnings[-1]) == (30.0, "the time between frames varies")
    image, _ = only(tmp_path, CINE, pixels, CineRate="25")
    assert image.frame_time_ms == 40.0


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_is_rgb_whatever_the_planes(planar: int, tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 255, (2, 4, 5, 3), dtype=np.uint8)
    laid = pixels if planar == 0 else np.moveaxis(pixels, -1, 1)
    image, values = only(tmp_path, CINE, pixels, PlanarConfiguration=planar, PixelData=laid.tobytes())
    assert (image.photometric, image.shape) == ("RGB", (2, 4, 5, 3))
    assert np.array_equal(values, pixels)


def palette(red: list[int], bits: int, segmented: bool = False) -> dict[str, object]:
    name = "Segmented{}PaletteColorLookupTableData" if segmented else "{}PaletteColorLookupTableData"
    count = 4 if segmented else len(red)
    data = np.array(red, dtype="<u2").tobytes()
    found: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        found[f"{colour}PaletteColorLookupTableDescriptor"] = [count, 1, bits]
        found[name.format(colour)] = data
    return found


def test_a_palette_becomes_rgb(tmp_path: Path) -> None:
    indices = np.array([[0, 1, 2, 3, 4, 200]], dtype=np.uint8)
    expected = [10, 10, 20, 30, 255, 255]
    _, values = only(tmp_path, US, indices, **palette([10 << 8, 20 << 8, 30 << 8, 0xFFFF], 16))
    assert values[0, 0, :, 0].tolist() == expected
    _, values = only(tmp_path, US, indices, **palette([10, 20, 30, 255], 8))
    assert values[0, 0, :, 2].tolist() == expected
    segments = [0, 1, 10 << 8, 1, 3, 40 << 8]
    _, values = only(tmp_path, US, indices, **palette(segments, 16, segmented=True))
    assert values[0, 0, :, 1].tolist() == [10, 10, 20, 30, 40, 40]


@pytest.mark.parametrize("segments", [[0, 1, 5, 2, 1, 0, 0], [0, 1, 5, *([1, 65535, 9] * 100)], [7, 1, 1], [0, 1, 5]])
def test_a_palette_that_could_grow_without_end_or_is_broken_is_refused(segments: list[int], tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", US, GRADIENT.astype(np.uint8), **palette(segments, 16, segmented=True))
    assert (refused(path).gate, "palette" in str(refused(path))) == ("decode", True)


@pytest.mark.parametrize("name", ["examples_palette.dcm", "examples_ybr_color.dcm", "examples_rgb_color.dcm",
                                  "examples_jpeg2k.dcm", "ExplVR_BigEnd.dcm"])  # fmt: skip
def test_real_ultrasound_is_that_of_simpleitk(name: str, reference_dir: Path, tmp_path: Path) -> None:
    source = reference_dir / "reference" / "dicom" / "dicom-pydicom" / name
    (image,) = images(summary([source]), Path("/"), tmp_path, DicomLimits())
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(source))
    reader.SetImageIO("GDCMImageIO")
    assert np.array_equal(np.load(image.path), SimpleITK.GetArrayFromImage(reader.Execute()))
    assert (image.modality, image.photometric, image.dtype) == ("US", "RGB", "uint8")


def test_images_come_by_instance_number_and_say_what_was_left_out(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "b.dcm", InstanceNumber=2, ViewPosition="LL"),
        write(tmp_path / "c.dcm", "7", InstanceNumber=3),
        write(tmp_path / "a.dcm", InstanceNumber=1, ViewPosition="PA"),
    ]
    found = read(*paths)
    assert [image.view for image in found] == ["PA", "LL"]
    assert all(image.warnings[-1] == "1 images left out: a secondary capture" for image in found)
    assert len(files_below(tmp_path / "scratch")) == 2


def test_rows_of_one_frame_that_break_off_cost_the_image_and_leave_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", Rows=400)
    assert refused(path).gate == "decode"


def test_an_image_above_the_limit_is_refused_before_decoding(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", Rows=60000, Columns=60000)
    assert refused(path).gate == "size"


def test_a_compressed_image_says_that_it_is_lossy(tmp_path: Path, reference_dir: Path) -> None:
    source = reference_dir / "reference" / "dicom" / "dicom-pydicom" / "examples_ybr_color.dcm"
    assert pydicom.dcmread(source).file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    (image,) = images(summary([source]), Path("/"), tmp_path, DicomLimits())
    assert (image.attributes["lossy"], image.shape) == ("yes", (30, 240, 320, 3))


def test_a_run_length_encoded_image_is_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm")
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    dataset.save_as(path)
    (image,) = read(path)
    assert np.array_equal(np.load(image.path)[0], GRADIENT)


def test_the_pool_writes_what_this_process_writes(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.dcm", InstanceNumber=n, RescaleSlope="2", RescaleIntercept="1") for n in (1, 2)]
    here = [np.load(image.path) for image in read(*paths)]
    with DecodePool(DicomLimits(), processes=1) as pool:
        there = read(*paths, pool=pool)
        assert all(np.array_equal(np.load(one.path), other) for one, other in zip(there, here, strict=True))
        with pytest.raises(NotEvaluable, match="a secondary capture"):
            read(write(tmp_path / "c.dcm", "7"), pool=pool)


def test_files_that_are_gone_are_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        read(tmp_path / "gone.dcm")

"""Volumes: voxel for voxel and millimetre for millimetre what SimpleITK builds, or the reason why there is none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

from cds.domain.imaging import VolumeRef
from cds.errors import NotEvaluable, Unavailable
from cds.limits import DicomLimits
from tests.peers.dicom_peers import build, edited, files_below, noise, write_series

#: Row and column directions of a plane that is tilted about two axes.
OBLIQUE = (0.8660254038, 0.0, -0.5, 0.17101007166, 0.93969262079, 0.29619813273)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def by_simpleitk(paths: Sequence[Path]) -> SimpleITK.Image:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(paths[0].parent)))
    return reader.Execute()


def assert_same(volume: VolumeRef, image: SimpleITK.Image) -> None:
    voxels = np.load(volume.path)
    assert voxels.shape == volume.shape
    assert voxels.dtype == volume.dtype
    assert np.array_equal(voxels, SimpleITK.GetArrayFromImage(image))
    assert volume.spacing_mm == pytest.approx(tuple(reversed(image.GetSpacing())), abs=1e-6)
    affine = np.array(volume.affine).reshape(4, 4)
    for corner in ((0, 0, 0), tuple(n - 1 for n in volume.shape), (0, volume.shape[1] - 1, 3)):
        expected = image.TransformIndexToPhysicalPoint([int(i) for i in reversed(corner)])
        assert (affine @ [*corner, 1])[:3] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("orientation", "name"),
    [((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), "axial"), (CORONAL, "coronal"), (SAGITTAL, "sagittal"), (OBLIQUE, "oblique")],
)
def test_a_phantom_is_the_volume_of_simpleitk(orientation: tuple[float, ...], name: str, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s", orientation=orientation, origin_mm=(-120.5, 33.25, 700.125))
    volume = build(paths[::-1], tmp_path)
    assert_same(volume, by_simpleitk(paths))
    assert np.array_equal(np.load(volume.path), noise())
    assert volume.orientation == name
    assert volume.warnings == ()
    assert volume.sop_instance_uids == tuple(pydicom.dcmread(path).SOPInstanceUID for path in paths)


def test_the_order_of_arrival_and_instance_numbers_do_not_matter(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    for number, path in enumerate(paths):
        with edited(path) as dataset:
            dataset.InstanceNumber = 100 - number
    shuffled = [paths[i] for i in (3, 0, 5, 1, 4, 2)]
    assert np.array_equal(np.load(build(shuffled, tmp_path).path), noise())


def test_a_real_series_in_jpeg_2000_is_the_volume_of_simpleitk(reference_dir: Path, tmp_path: Path) -> None:
    paths = sorted((reference_dir / "images" / "totalseg_ct_dicom" / "example_ct_dicom").iterdir())
    volume = build(paths, tmp_path)
    assert_same(volume, by_simpleitk(paths))
    assert (volume.shape, volume.dtype, volume.orientation) == ((20, 512, 512), "int16", "axial")
    assert volume.spacing_mm == (2.0, 0.9765625, 0.9765625)
    assert {k: volume.attributes[k] for k in ("kernel", "kvp", "slice_thickness_mm", "contrast", "manufacturer")} == {
        "kernel": "Br38f\\3",
        "kvp": "120",
        "slice_thickness_mm": "3",
        "contrast": "yes",
        "manufacturer": "SIEMENS",
    }


def test_a_plane_within_ten_degrees_of_an_axis_is_named_after_it(tmp_path: Path) -> None:
    for degrees, name in ((9, "axial"), (11, "oblique")):
        c, s = float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))
        paths = write_series(tmp_path / f"{degrees}", orientation=(1.0, 0.0, 0.0, 0.0, c, s))
        assert build(paths, tmp_path).orientation == name


def test_spacing_comes_from_positions_not_from_thickness(tmp_path: Path) -> None:
    volume = build(write_series(tmp_path / "s", slice_thickness_mm=5.0), tmp_path)
    assert volume.spacing_mm == pytest.approx((2.5, 0.7, 0.8))
    assert volume.attributes["slice_thickness_mm"] == "5"


def refused(paths: Sequence[Path], scratch: Path, modality: str = "CT") -> NotEvaluable:
    with pytest.raises(NotEvaluable) as caught:
        build(paths, scratch, modality=modality)
    assert not list(scratch.glob("*.npy")) + list(scratch.glob("*.part"))
    return caught.value


def test_one_slice_is_no_volume(tmp_path: Path) -> None:
    refusal = refused(write_series(tmp_path / "s")[:1], tmp_path)
    assert (refusal.gate, str(refusal)) == ("too-few-slices", "a volume needs at least two slices")


def test_a_missing_slice_is_named_by_its_place(tmp_path: Path) -> None:
    refusal = refused(write_series(tmp_path / "s", noise(12), skip={7}), tmp_path)
    assert refusal.gate == "missing-slices"
    assert "between 15.0 mm and 20.0 mm" in str(refusal)


def test_a_sheared_stack_is_gantry_tilt(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    for number, path in enumerate(paths):
        with edited(path) as dataset:
            x, y, z = dataset.ImagePositionPatient
            dataset.ImagePositionPatient = [x, y + 0.5 * number, z]
    assert refused(paths, tmp_path).gate == "gantry-tilt"


def test_one_slice_shifted_in_its_plane_is_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    with edited(paths[2]) as dataset:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x + 5, y, z]
    assert refused(paths, tmp_path).gate == "geometry"


def test_the_same_slice_twice_counts_once(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    twin = tmp_path / "s" / "twin.dcm"
    twin.write_bytes(paths[2].read_bytes())
    assert np.array_equal(np.load(build([*paths, twin], tmp_path).path), noise())


def test_two_different_images_at_one_position_are_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    other = tmp_path / "s" / "other.dcm"
    other.write_bytes(paths[2].read_bytes())
    with edited(other) as dataset:
        dataset.PixelData = bytes(len(dataset.PixelData))
    refusal = refused([*paths, other], tmp_path)
    assert (refusal.gate, str(refusal)) == ("geometry", "two different images claim the same position")


def test_images_beside_each_other_in_one_plane_are_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    other = tmp_path / "s" / "other.dcm"
    other.write_bytes(paths[2].read_bytes())
    with edited(other) as dataset:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x + 40, y, z]
    assert refused([*paths, other], tmp_path).gate == "geometry"


def test_mixed_kernels_are_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    with edited(paths[0]) as dataset:
        dataset.ConvolutionKernel = "B70f"
    assert refused(paths, tmp_path).gate == "kernel"


def test_ct_without_rescale_is_no_hounsfield(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    with edited(paths[0]) as dataset:
        del dataset.RescaleSlope
    assert refused(paths, tmp_path).gate == "rescale"


def test_other_units_than_hounsfield_are_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    for path in paths:
        with edited(path) as dataset:
            dataset.RescaleType = "Z_EFF"
    assert refused(paths, tmp_path).gate == "rescale"


def test_localizers_and_other_stacks_are_left_out_and_mentioned(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    scouts = write_series(tmp_path / "scout", noise(1, 20, 20), image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    coronal = write_series(tmp_path / "coronal", noise(2), orientation=CORONAL)
    volume = build([*scouts, *paths, *coronal], tmp_path)
    assert np.array_equal(np.load(volume.path), noise())
    assert volume.warnings == (
        "1 images left out: localizers",
        "2 images of another orientation, size or frame of reference were left out",
    )


def test_two_stacks_of_equal_size_are_refused(tmp_path: Path) -> None:
    both = [*write_series(tmp_path / "s"), *write_series(tmp_path / "coronal", orientation=CORONAL)]
    assert refused(both, tmp_path).gate == "geometry"


def test_a_series_of_localizers_alone_has_no_slices(tmp_path: Path) -> None:
    refusal = refused(write_series(tmp_path / "s", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")), tmp_path)
    assert (refusal.gate, "localizers" in str(refusal)) == ("no-images", True)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    paths[1].write_bytes(paths[1].read_bytes()[:-40])
    assert refused(paths, tmp_path).gate == "decode"


def test_files_that_are_gone_are_unavailable_not_unevaluable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        build([tmp_path / "gone.bin"], tmp_path)


def test_a_series_above_the_limit_is_refused_before_decoding(tmp_path: Path) -> None:
    with pytest.raises(NotEvaluable) as caught:
        build(write_series(tmp_path / "s"), tmp_path, DicomLimits(max_series_bytes=1024))
    assert caught.value.gate == "size"


def test_a_slope_per_slice_makes_float_voxels(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    with edited(paths[4]) as dataset:
        dataset.RescaleSlope = "0.75"
    volume = build(paths, tmp_path)
    expected = noise().astype(np.float32)
    expected[4] = (noise()[4].astype(np.float32) + 1024) * 0.75 - 1024
    assert volume.dtype == "float32"
    assert np.array_equal(np.load(volume.path), expected)


def test_what_differs_between_slices_is_empty_and_mentioned(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    with edited(paths[0]) as dataset:
        dataset.KVP = "100"
    volume = build(paths, tmp_path)
    assert volume.attributes["kvp"] == ""
    assert volume.warnings == ("kvp differs between slices",)


@pytest.mark.parametrize(
    ("agent", "expected"), [(None, "unknown"), ("", "unknown"), ("NONE", "no"), ("APPLIED", "yes"), ("Iohexol", "yes")]
)
def test_contrast_is_known_only_where_a_text_says_it(agent: str | None, expected: str, tmp_path: Path) -> None:
    volume = build(write_series(tmp_path / "s", contrast=agent), tmp_path)
    assert volume.attributes["contrast"] == expected


def test_building_again_replaces_the_file(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    scratch = tmp_path / "work"
    assert build(paths, scratch) == build(paths, scratch)
    assert len(files_below(scratch)) == 1
    assert "1.2.3" not in files_below(scratch)[0].name


def test_a_full_scratch_disk_is_out_of_resources_and_leaves_nothing(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s", noise(40, 64, 64))
    script = f"""
import resource
from pathlib import Path
from cds.errors import OutOfResources
from tests.peers.dicom_peers import build
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    build({[str(p) for p in paths]!r}, Path({str(tmp_path / "work")!r}))
except OutOfResources:
    raise SystemExit(7)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 7
    assert files_below(tmp_path / "work") == []


def enhanced(folder: Path) -> Path:
    """The phantom as one Enhanced CT instance: geometry per frame, orientation and rescale shared, frames shuffled."""
    paths = write_series(folder / "single")
    order = [4, 0, 2, 5, 1, 3]
    whole = pydicom.dcmread(paths[0])
    slices = [pydicom.dcmread(paths[i]) for i in order]
    shared = Dataset()
    shared.PlaneOrientationSequence = [macro(ImageOrientationPatient=whole.ImageOrientationPatient)]
    shared.PixelMeasuresSequence = [macro(PixelSpacing=whole.PixelSpacing, SliceThickness=whole.SliceThickness)]
    rescale = macro(RescaleSlope="1", RescaleIntercept=whole.RescaleIntercept, RescaleType="HU")
    shared.PixelValueTransformationSequence = [rescale]
    shared.CTReconstructionSequence = [macro(ConvolutionKernel="B30f")]
    whole.SharedFunctionalGroupsSequence = [shared]
    whole.PerFrameFunctionalGroupsSequence = [positioned(one.ImagePositionPatient) for one in slices]
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "ConvolutionKernel",
    ):
        del whole[keyword]
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    whole.NumberOfFrames = len(slices)
    whole.PixelData = b"".join(one.PixelData for one in slices)
    whole.save_as(folder / "enhanced.dcm")
    return folder / "enhanced.dcm"


def macro(**elements: object) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def positioned(position: object) -> Dataset:
    return macro(
        PlanePositionSequence=[macro(ImagePositionPatient=position)],
        CTImageFrameTypeSequence=[macro(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])],
    )


def test_an_enhanced_multi_frame_ct_is_the_same_volume(tmp_path: Path) -> None:
    volume = build([enhanced(tmp_path)], tmp_path)
    assert np.array_equal(np.load(volume.path), noise())
    assert volume.spacing_mm == pytest.approx((2.5, 0.7, 0.8))
    assert (volume.attributes["kernel"], volume.attributes["image_type"]) == ("B30f", "ORIGINAL\\PRIMARY\\VOLUME\\NONE")


def test_a_multi_frame_image_with_too_few_functional_groups_is_refused(tmp_path: Path) -> None:
    path = enhanced(tmp_path)
    with edited(path) as dataset:
        dataset.PerFrameFunctionalGroupsSequence = list(dataset.PerFrameFunctionalGroupsSequence)[:-1]
    assert refused([path], tmp_path).gate == "geometry"

"""The segmentation: read back with highdicom, voxel for voxel, on the images that it was made from."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import highdicom as hd
import numpy as np
import pydicom
import pytest

from adapters.dicom.ahead import KeyImages
from adapters.dicom.one_frame import frame_values
from adapters.dicom.volume import LocalImages
from cds.domain.finding import Findings
from cds.domain.imaging import MaskRef
from cds.limits import DicomLimits
from tests.peers.dicom_peers import edited, noise, summary, write_series
from tests.unit.pacs_reports import Images, findings, images, multi_frame, report, sink
from tests.unit.test_dicom_sr import document, texts

#: (orientation, spacing): head first, feet first, and a tilted plane whose normal is no axis.
PLANES: dict[str, dict[str, Any]] = {
    "axial": {},
    "turned over": {"orientation": (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), "origin_mm": (-20.0, 31.5, 88.0)},
    "oblique": {"orientation": (0.8, 0.6, 0.0, 0.0, 0.0, -1.0), "origin_mm": (3.0, -7.0, 9.0)},
}


def segmentations(of: Images, **changes: Any) -> list[Any]:
    with ZipFile(BytesIO(sink(of).encode(report(of, **changes), "d1"))) as archive:
        return [
            hd.seg.Segmentation.from_dataset(pydicom.dcmread(BytesIO(archive.read(name))))
            for name in archive.namelist()
            if "seg" in name
        ]


@pytest.mark.parametrize("plane", PLANES)
def test_every_voxel_is_on_the_slice_that_it_was_found_on(tmp_path: Path, plane: str) -> None:
    of = images(tmp_path, **PLANES[plane])
    [dataset] = segmentations(of)
    by_image = dataset.get_pixels_by_source_instance(list(of.volume.sop_instance_uids))
    assert np.array_equal(by_image[..., 0], of.mask)


@pytest.mark.parametrize("plane", PLANES)
def test_every_voxel_is_where_the_volume_has_it_in_space(tmp_path: Path, plane: str) -> None:
    of = images(tmp_path, **PLANES[plane])
    [dataset] = segmentations(of)
    affine = np.array(of.volume.affine).reshape(4, 4)
    for number, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        position = [float(x) for x in frame.PlanePositionSequence[0].ImagePositionPatient]
        slice_index = np.linalg.solve(affine, [*position, 1.0])[0]
        assert slice_index == pytest.approx(round(slice_index), abs=1e-4)
        assert np.array_equal(dataset.pixel_array[number], of.mask[round(slice_index)])
    shared = dataset.SharedFunctionalGroupsSequence[0]
    spacing = [float(x) for x in shared.PixelMeasuresSequence[0].PixelSpacing]
    assert spacing == pytest.approx(of.volume.spacing_mm[1:])
    columns = [float(x) for x in shared.PlaneOrientationSequence[0].ImageOrientationPatient][:3]
    assert columns == pytest.approx(list(affine[:3, 2] / of.volume.spacing_mm[2]))


def test_several_labels_are_several_segments_in_the_order_of_their_values(tmp_path: Path) -> None:
    of = images(tmp_path, labels={5: "left lung", 2: "right lung", 9: "never seen"})
    of.mask[of.mask == 9] = 0
    np.save(of.mask_ref.path, of.mask)
    [dataset] = segmentations(of)
    assert [(s.SegmentNumber, s.SegmentLabel) for s in dataset.SegmentSequence] == [
        (1, "right lung"),
        (2, "left lung"),
        (3, "never seen"),
    ]
    read = dataset.get_pixels_by_source_instance(
        list(of.volume.sop_instance_uids), assert_missing_frames_are_empty=True
    )
    for channel, value in enumerate((2, 5, 9)):
        assert np.array_equal(read[..., channel] == 1, of.mask == value)


def test_a_mask_without_any_voxel_is_a_segmentation_all_the_same(tmp_path: Path) -> None:
    of = images(tmp_path)
    np.save(of.mask_ref.path, np.zeros_like(of.mask))
    [dataset] = segmentations(of)
    assert not dataset.pixel_array.any()


def test_frames_without_a_voxel_are_left_out_and_read_as_empty(tmp_path: Path) -> None:
    of = images(tmp_path)
    of.mask[[0, 4]] = 0
    np.save(of.mask_ref.path, of.mask)
    [dataset] = segmentations(of)
    assert dataset.NumberOfFrames == 4
    read = dataset.get_pixels_by_source_instance(
        list(of.volume.sop_instance_uids), assert_missing_frames_are_empty=True
    )
    assert np.array_equal(read[..., 0], of.mask)


def test_it_names_the_model_the_source_images_and_the_frame_of_reference(tmp_path: Path) -> None:
    of = images(tmp_path)
    [dataset] = segmentations(of)
    image = pydicom.dcmread(of.paths[0], stop_before_pixels=True)
    [segment] = dataset.SegmentSequence
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert (segment.SegmentAlgorithmType, algorithm.AlgorithmName, algorithm.AlgorithmVersion) == (
        "AUTOMATIC",
        "ct_lung",
        "1.2.0",
    )
    assert segment.AnatomicRegionSequence[0].CodeValue == "39607008"
    assert dataset.FrameOfReferenceUID == image.FrameOfReferenceUID
    assert dataset.StudyInstanceUID == image.StudyInstanceUID
    assert str(dataset.PatientName) == str(image.PatientName)
    assert "preliminary" in dataset.SeriesDescription
    [series] = dataset.ReferencedSeriesSequence
    named = {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence}
    assert named == set(of.volume.sop_instance_uids)


def test_the_report_names_the_segment_that_a_value_was_measured_in(tmp_path: Path) -> None:
    of = images(tmp_path)
    [dataset] = segmentations(of)
    content = hd.sr.ComprehensiveSR.from_dataset(document(of)).content
    [group] = content.get_volumetric_roi_measurement_groups()
    segment = group.referenced_segment
    assert (segment.referenced_sop_instance_uid, list(segment.referenced_segment_numbers)) == (
        dataset.SOPInstanceUID,
        [1],
    )


def test_a_value_of_a_model_with_several_labels_names_no_segment(tmp_path: Path) -> None:
    of = images(tmp_path, labels={1: "left lung", 2: "right lung"})
    content = hd.sr.ComprehensiveSR.from_dataset(document(of)).content
    assert not content.get_volumetric_roi_measurement_groups()
    assert len(content.get_image_measurement_groups()) == 2


def gone(of: Images) -> Findings:
    Path(of.mask_ref.path).unlink()
    return findings(of)


def of_another_size(of: Images) -> Findings:
    np.save(of.mask_ref.path, of.mask[1:])
    return findings(of)


def without_label(of: Images) -> Findings:
    np.save(of.mask_ref.path, of.mask * 7)
    return findings(of)


def of_another_series(of: Images) -> Findings:
    ref: MaskRef = replace(of.mask_ref, series_instance_uid="1.2.3")
    return replace(findings(of), masks=(ref,))


def of_images_that_are_gone(of: Images) -> Findings:
    of.paths.remove(next(p for p in of.paths if pydicom.dcmread(p).InstanceNumber == 3))
    return findings(of)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (gone, "its mask is not kept any more"),
        (of_another_size, "its mask does not fit the images that are here now"),
        (without_label, "its mask has values without a label"),
        (of_another_series, "the images are not here any more"),
        (of_images_that_are_gone, "slices are missing"),
    ],
)
def test_a_segmentation_that_cannot_be_made_is_missing_in_words(tmp_path: Path, spoil: Any, reason: str) -> None:
    of = images(tmp_path)
    said = spoil(of)
    assert segmentations(of, outcomes=(said,)) == []
    told = texts(document(of, report(of, outcomes=(said,))))
    [note] = [text for text in told if text.startswith("No segmentation")]
    assert note.startswith(f"No segmentation (lung) by ct_lung 1.2.0 goes with this version: {reason}")


def test_a_site_that_wants_no_segmentations_gets_none(tmp_path: Path) -> None:
    of = images(tmp_path)
    with ZipFile(BytesIO(sink(of, segmentations=False).encode(report(of), "d1"))) as archive:
        assert archive.namelist() == ["1-sr.dcm"]


def test_a_mask_on_a_multi_frame_image_follows_its_frames(tmp_path: Path) -> None:
    of = images(tmp_path, hu=noise(6, 9, 7))
    slices = sorted(of.paths, key=lambda path: pydicom.dcmread(path, stop_before_pixels=True).InstanceNumber)
    order = [2, 0, 5, 1, 4, 3]
    path = multi_frame([slices[i] for i in order], tmp_path / "enhanced.dcm")
    of.paths[:] = [path]
    [dataset] = segmentations(of)
    uid = str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
    frames = dataset.get_pixels_by_source_frame(uid, [1, 2, 3, 4, 5, 6])
    assert np.array_equal(frames[..., 0], of.mask[order])


def test_what_was_prepared_is_the_same_bytes_and_is_not_believed_once_its_mask_is_gone(tmp_path: Path) -> None:
    of = images(tmp_path)
    expected = sink(of).encode(report(of, version=2), "d1")
    prepared = sink(of)
    for _ in range(2):
        prepared.prepare(report(of))
    assert [prepared.encode(report(of, version=2), "d1") for _ in range(2)] == [expected] * 2
    prepared.prepare(report(of))
    Path(of.mask_ref.path).unlink()
    with ZipFile(BytesIO(prepared.encode(report(of), "d1"))) as archive:
        assert archive.namelist() == ["1-sr.dcm"]
    prepared.prepare(report(of))


def test_a_mask_of_a_smaller_stack_lies_on_the_images_of_that_stack(tmp_path: Path) -> None:
    large = write_series(tmp_path / "large", noise(6, 4, 5), modality="MR", seed="one")
    small = write_series(tmp_path / "small", noise(4, 4, 5), modality="MR", seed="two")
    header = pydicom.dcmread(large[0], stop_before_pixels=True)
    for number, path in enumerate([*large, *small]):
        with edited(path) as dataset:
            dataset.SeriesInstanceUID, dataset.StudyInstanceUID = header.SeriesInstanceUID, header.StudyInstanceUID
            dataset.FrameOfReferenceUID = header.FrameOfReferenceUID
            dataset.DiffusionBValue = 0.0 if number < len(large) else 1000.0
    of_series = replace(summary([*large, *small], "MR"), series_instance_uid=str(header.SeriesInstanceUID))
    local = LocalImages(Path("/"), DicomLimits())
    volume = local.volume(of_series, tmp_path, local.stacks(of_series)[1].key)
    assert volume.shape == (4, 4, 5)
    mask = np.random.default_rng(7).integers(0, 2, volume.shape).astype(np.uint8)
    np.save(tmp_path / "mask.npy", mask)
    uid = volume.series_instance_uid
    ref = MaskRef(str(tmp_path / "mask.npy"), volume.shape, {1: "lesion"}, uid, volume.stack)
    of = Images([*large, *small], volume, mask, ref, str(header.StudyInstanceUID))
    [dataset] = segmentations(of)
    by_image = dataset.get_pixels_by_source_instance(list(volume.sop_instance_uids))
    assert np.array_equal(by_image[..., 0], mask)
    shown, missing = KeyImages(of.sources, 1 << 24, frame_values).take(report(of))
    assert missing == []
    assert {str(place.image.SOPInstanceUID) for place in shown} <= set(volume.sop_instance_uids)

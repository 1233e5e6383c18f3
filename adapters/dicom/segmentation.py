"""A model's mask as a DICOM Segmentation (PS3.3 A.51) on the images that it was made from, voxel for voxel."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from adapters.dicom.frames import FRAME_TAGS, Frame, frames_of
from adapters.dicom.geometry import stack
from adapters.dicom.header import UNREADABLE
from adapters.dicom.instance import Instance, read_instance
from adapters.dicom.own import CHARACTER_SET, MANUFACTURER, Edition, finish, lo, nobody
from adapters.dicom.quiet import quiet
from adapters.dicom.stacks import choose
from adapters.dicom.structured_report import OUR_CODES, concept, mask_uid
from cds import __version__
from cds.codes import SNOMED
from cds.domain.coding import Coding
from cds.domain.finding import Findings
from cds.domain.imaging import MaskRef
from cds.errors import InvalidInstance, NotEvaluable

SERIES_NUMBER = 9902
_GATE = "segmentation"
#: Stands for every UID that depends on the edition.
_LATER = "2.25.0"
#: What is read of an image that something of ours refers to.
IMAGE_TAGS = FRAME_TAGS | {
    tag_for_keyword(keyword) or 0
    for keyword in (
        "StudyInstanceUID", "SeriesInstanceUID", "SpacingBetweenSlices", "NumberOfFrames", "PositionReferenceIndicator",
        "InstanceNumber", "WindowCenter", "WindowWidth", "PixelAspectRatio", "ImagerPixelSpacing",
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Slices:
    """The images of a series in the order of the volume that models see, or the one image that holds them all.

    `frames` tells for each slice which frame of a multi-frame image it is.
    """

    images: tuple[Dataset, ...]
    frames: tuple[int, ...]
    shape: tuple[int, int, int]
    #: The files of `images`.
    paths: tuple[Path, ...] = ()


def read_slices(paths: Sequence[Path], stack_key: str = "", *, max_bytes: int) -> Slices:
    """The images behind each slice of a stack (the largest without a key), ordered as `LocalImages.volume` orders them.

    Raise NotEvaluable with the reason where they are no volume any more, Unavailable where the disk cannot be read.
    """
    instances: dict[Path, Instance] = {}
    frames: list[Frame] = []
    for path in paths:
        try:
            instance = read_instance(path, IMAGE_TAGS, max_bytes=max_bytes)
        except InvalidInstance as error:
            raise NotEvaluable("an image of the series cannot be read", gate=_GATE) from error
        found = frames_of(instance)
        if not isinstance(found, str):
            instances[path] = instance
            frames += found
    if not frames:
        raise NotEvaluable("the images are not here any more", gate=_GATE)
    places = [place[0] for place in stack(choose(frames, stack_key).frames).places]
    files = list(dict.fromkeys(frame.path for frame in places))
    if len(files) > 1 and len(files) != len(places):
        raise NotEvaluable("the series mixes images of one and of several frames", gate=_GATE)
    return Slices(
        tuple(nobody(instances[path].dataset) for path in files),
        tuple(frame.index for frame in places),
        (len(places), places[0].rows, places[0].columns),
        tuple(files),
    )


def build(outcome: Findings, number: int, slices: Slices) -> Dataset:
    """The segmentation of the outcome's mask `number`, of no edition yet; the slow part, seconds for 300 slices.

    BINARY, one segment per label; labels that no voxel has are described all the same. Raise NotEvaluable with the
    reason where there can be none.
    """
    quiet()
    mask = outcome.masks[number]
    voxels = _numbered(voxels_of(mask, slices), sorted(mask.labels))
    try:
        return hd.seg.Segmentation(
            source_images=list(slices.images),
            pixel_array=_in_frame_order(voxels, slices),
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=_segments(outcome, mask),
            series_instance_uid=_LATER,
            series_number=SERIES_NUMBER,
            sop_instance_uid=_LATER,
            instance_number=number + 1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=MANUFACTURER,
            software_versions=__version__,
            device_serial_number=__version__,
            content_label="SIGHTLINE",
            content_description=lo(f"{outcome.model} {outcome.version}: AI, preliminary"),
            specific_character_set=CHARACTER_SET,
            omit_empty_frames=bool(voxels.any()),
        )
    except UNREADABLE as error:
        raise NotEvaluable("the images lack what a segmentation on them needs", gate=_GATE) from error


def of_edition(built: Dataset, edition: Edition, outcome: Findings, number: int, header: Dataset) -> Dataset:
    """Make what was built, in place, the segmentation of an edition; the same edition is the same bytes.

    highdicom draws the Dimension Organization UID at random, so it is written here too.
    """
    mask = outcome.masks[number]
    built.SOPInstanceUID = mask_uid(edition, outcome, number)
    built.SeriesInstanceUID = edition.mask_series(edition.report.version)
    built.SeriesDescription = lo(f"Sightline AI segmentation v{edition.report.version} (preliminary)")
    for segment, value in zip(built.SegmentSequence, sorted(mask.labels), strict=True):
        segment.TrackingUID = edition.uid("tracking", f"{outcome.model}/{mask.series_instance_uid}/{value}")
    for item in (*built.DimensionOrganizationSequence, *built.DimensionIndexSequence):
        item.DimensionOrganizationUID = edition.uid("SEG", "dimensions")
    return finish(built, header, edition.report.issued, edition)


def voxels_of(mask: MaskRef, slices: Slices) -> NDArray[np.uint8]:
    """The labels of a mask on its slices; raise NotEvaluable where it is gone or is not theirs."""
    packed = Path(mask.path + ".gz")
    try:
        with gzip.open(packed) if packed.exists() else open(mask.path, "rb") as file:
            voxels: NDArray[np.uint8] = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise NotEvaluable("its mask is not kept any more", gate=_GATE) from error
    if voxels.shape != slices.shape or voxels.dtype != np.uint8:
        raise NotEvaluable("its mask does not fit the images that are here now", gate=_GATE)
    return voxels


def _numbered(voxels: NDArray[np.uint8], labels: Sequence[int]) -> NDArray[np.uint8]:
    """Segments count from 1 without a gap (PS3.3 C.8.20.4); a value without a label is the model's mistake."""
    numbers = np.zeros(256, dtype=np.uint8)
    numbers[labels] = np.arange(1, len(labels) + 1)
    if not labels or set(np.flatnonzero(np.bincount(voxels.ravel(), minlength=256)).tolist()) - {0, *labels}:
        raise NotEvaluable("its mask has values without a label", gate=_GATE)
    return voxels if list(labels) == [1] else numbers[voxels]


def _in_frame_order(voxels: NDArray[np.uint8], slices: Slices) -> NDArray[np.uint8]:
    """A multi-frame image is referred to by frame, in the order of its frames."""
    count = int(slices.images[0].get("NumberOfFrames", 1) or 1)
    if len(slices.images) > 1 or count == 1:
        return voxels
    ordered = np.zeros((count, *slices.shape[1:]), dtype=np.uint8)
    ordered[list(slices.frames)] = voxels
    return ordered


def _segments(outcome: Findings, mask: MaskRef) -> list[hd.seg.SegmentDescription]:
    """A label is text: its type is our own code, and its category says no more than that it lies in space."""
    algorithm = hd.AlgorithmIdentificationSequence(
        outcome.model, codes.DCM.ArtificialIntelligence, outcome.version, source=MANUFACTURER
    )
    sites = {f.body_site for f in outcome.findings if f.body_site and f.body_site.system == SNOMED}
    region = [concept(sites.pop())] if len(sites) == 1 else None
    return [
        hd.seg.SegmentDescription(
            segment_number=place,
            segment_label=lo(mask.labels[value]),
            segmented_property_category=codes.SCT.SpatialAndRelationalConcept,
            segmented_property_type=concept(Coding(OUR_CODES, f"label-{value}", mask.labels[value])),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            tracking_uid=_LATER,
            tracking_id=lo(f"{outcome.model}.{mask.labels[value]}"),
            anatomic_regions=region,
        )
        for place, value in enumerate(sorted(mask.labels), 1)
    ]

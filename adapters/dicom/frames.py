"""Frames of a series as geometry and rescale see them, whether one file holds one (CT) or many (Enhanced CT)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from adapters.dicom.instance import Instance
from adapters.dicom.terms import contrast
from adapters.dicom.traits import TRAIT_KEYWORDS, TRAIT_TAGS, traits_of
from adapters.dicom.values import floats, integer, items, one, text, words
from cds.errors import NotEvaluable

Vector = tuple[float, float, float]

#: Image plane, functional groups, acquisition, rescale and pixel description.
FRAME_TAGS = frozenset(
    {
        0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x00080060, 0x00080070, 0x0008103E, 0x00081090, 0x00089209,
        0x00180010, 0x00180012, 0x00180015, 0x00180020, 0x00180022, 0x00180023, 0x00180050, 0x00180060, 0x00180080,
        0x00180081, 0x00180082, 0x00180087, 0x00181030, 0x00181100, 0x00181120, 0x00181210, 0x00185100, 0x00200032,
        0x00200037, 0x00200052, 0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011, 0x00280030,
        0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280120, 0x00280121, 0x00281052, 0x00281053, 0x00281054,
        0x00283000, 0x00189037, 0x52009229, 0x52009230, 0x7FE00001, 0x7FE00002,
    }
) | TRAIT_TAGS  # fmt: skip

#: Attribute of VolumeRef → DICOM keyword. Values are text as sent, several joined with a backslash, "" where absent.
_ATTRIBUTES = {
    "kernel": "ConvolutionKernel",
    "kvp": "KVP",
    "slice_thickness_mm": "SliceThickness",
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "reconstruction_diameter_mm": "ReconstructionDiameter",
    "patient_position": "PatientPosition",
    "scan_options": "ScanOptions",
    "body_part": "BodyPartExamined",
    "gantry_tilt": "GantryDetectorTilt",
    "image_type": "ImageType",
    "rescale_type": "RescaleType",
    "description": "SeriesDescription",
    "protocol": "ProtocolName",
    "acquisition_contrast": "AcquisitionContrast",
    "acquisition_dimension": "MRAcquisitionType",
    "scanning_sequence": "ScanningSequence",
    "repetition_time_ms": "RepetitionTime",
    "echo_time_ms": "EchoTime",
    "effective_echo_time_ms": "EffectiveEchoTime",
    "inversion_time_ms": "InversionTime",
    "magnetic_field_t": "MagneticFieldStrength",
    "cardiac_synchronization": "CardiacSynchronizationTechnique",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One slice: where it lies (LPS, mm), how its stored values become HU, and what is said of its acquisition.

    `orientation` is Image Orientation (Patient): direction of increasing column, then of increasing row index;
    `pixel_spacing` is the distance between rows, then between columns. `slope` is None where none is given.
    """

    path: Path
    index: int
    sop_instance_uid: str
    rows: int
    columns: int
    position: Vector
    orientation: tuple[float, ...]
    pixel_spacing: tuple[float, float]
    frame_of_reference: str
    slope: float | None
    intercept: float | None
    attributes: dict[str, str]
    #: What may tell it from another slice at the same place, see `traits`: b-value, echo, phase ...
    traits: dict[str, str] = field(default_factory=dict)


def frames_of(instance: Instance) -> tuple[Frame, ...] | str:
    """The frames that may be slices, or why there are none: not an image, in colour, a localizer, without position."""
    dataset = instance.dataset
    if instance.pixels is None:
        return "without an image"
    if integer(dataset, "SamplesPerPixel", 1) != 1:
        return "in colour"
    if "MOSAIC" in words(dataset, "ImageType"):
        return "a mosaic: its slices lie beside each other in one image"
    views = _views(dataset)
    if not views:
        return "of several frames without functional groups"
    frames = [_frame(instance, view, index) for index, view in enumerate(views) if not _is_localizer(view)]
    placed = tuple(frame for frame in frames if frame is not None)
    if not frames:
        return "localizers"
    return placed if placed else "without a position in space"


def claimed_bytes(dataset: Dataset) -> int:
    """What the pixels will need once decoded, as the header says, before anything is decoded."""
    sizes = [
        max(integer(dataset, keyword, default), default)
        for keyword, default in (("Rows", 0), ("Columns", 0), ("NumberOfFrames", 1), ("SamplesPerPixel", 1))
    ]
    return math.prod(sizes) * max(integer(dataset, "BitsAllocated", 16), 8) // 8


def _views(dataset: Dataset) -> Sequence[Dataset]:
    """One flat data set per frame: functional groups (PS3.3 C.7.6.16) override each other, shared then per frame."""
    per_frame = items(dataset, "PerFrameFunctionalGroupsSequence")
    if not per_frame:
        return [dataset] if integer(dataset, "NumberOfFrames", 1) == 1 else []
    if len(per_frame) != integer(dataset, "NumberOfFrames", 1):
        raise NotEvaluable("the functional groups do not describe every frame of the image", gate="geometry")
    shared = items(dataset, "SharedFunctionalGroupsSequence")[:1]
    return [_flat(dataset, [*shared, group]) for group in per_frame]


def _flat(dataset: Dataset, groups: list[Dataset]) -> Dataset:
    flat = Dataset()
    for keyword in (*_ATTRIBUTES.values(), *TRAIT_KEYWORDS, "Rows", "Columns", "SOPInstanceUID", "FrameOfReferenceUID"):
        if keyword in dataset:
            flat[keyword] = dataset[keyword]
    for group in groups:
        for macro in group:
            if macro.VR == "SQ" and macro.value:
                flat.update(macro.value[0])
    if "FrameType" in flat:
        flat.ImageType = flat.FrameType
    return flat


def _frame(instance: Instance, view: Dataset, index: int) -> Frame | None:
    position, orientation = floats(view, "ImagePositionPatient", 3), floats(view, "ImageOrientationPatient", 6)
    spacing = floats(view, "PixelSpacing", 2)
    if position is None or orientation is None or spacing is None:
        return None
    meta = instance.dataset.file_meta
    return Frame(
        path=instance.path,
        index=index,
        sop_instance_uid=text(instance.dataset, "SOPInstanceUID") or str(meta.MediaStorageSOPInstanceUID),
        rows=integer(view, "Rows", 0),
        columns=integer(view, "Columns", 0),
        position=(position[0], position[1], position[2]),
        orientation=orientation,
        pixel_spacing=(spacing[0], spacing[1]),
        frame_of_reference=text(view, "FrameOfReferenceUID"),
        slope=one(view, "RescaleSlope"),
        intercept=one(view, "RescaleIntercept"),
        attributes={name: text(view, keyword) for name, keyword in _ATTRIBUTES.items()}
        | {"contrast": _contrast(instance.dataset)},
        traits=traits_of(view),
    )


def _contrast(dataset: Dataset) -> str:
    return contrast(text(dataset, "ContrastBolusAgent"), len(items(dataset, "ContrastBolusAgentSequence")))


def _is_localizer(view: Dataset) -> bool:
    return "LOCALIZER" in text(view, "ImageType").upper()


def require_size(dataset: Dataset, max_bytes: int) -> int:
    """The claimed bytes; raise NotEvaluable where decoding would need more than `max_bytes`."""
    claimed = claimed_bytes(dataset)
    if claimed > max_bytes:
        raise NotEvaluable("an image is larger than the limit of this installation", gate="size")
    return claimed

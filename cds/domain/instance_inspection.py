"""What was understood of a DICOM file, for the person who holds it: `cds dicom inspect`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """An image that was decoded; DICOM without an image; DICOM that is not taken, with the reason; no DICOM at all."""

    IMAGE = "image"
    NOT_AN_IMAGE = "not-an-image"
    REFUSED = "refused"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class InspectedStack:
    """A stack that the frames of one file make, see `StackSummary`; `refusal` says why it is no volume by itself."""

    label: str
    orientation: str
    slices: int
    shape: tuple[int, int]
    spacing_mm: tuple[float, float, float] | None
    refusal: str


@dataclass(frozen=True, slots=True)
class InspectedGeometry:
    """The slices of one file in patient coordinates, largest stack first."""

    stacks: tuple[InspectedStack, ...]


@dataclass(frozen=True, slots=True)
class InspectedInstance:
    """One file. The names are those of the JSON and stay; what is absent or not known is "" or None.

    `decoded` is None where nobody tried. `dtype`, `minimum`, `maximum`, `mean` and `pixel_sha256` (C order, little
    endian) are of the stored values of all frames, of RGB for an image in colour, of indices for a palette. Lengths in
    mm, `position` and `orientation` (LPS) of the first frame. `own`: Sightline made it. `problems` are all doubts.
    """

    file: str
    verdict: Verdict
    reason: str = ""
    sop_class_uid: str = ""
    sop_class: str = ""
    transfer_syntax_uid: str = ""
    transfer_syntax: str = ""
    modality: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    patient_id: str = ""
    rows: int | None = None
    columns: int | None = None
    frames: int | None = None
    samples: int | None = None
    bits_allocated: int | None = None
    bits_stored: int | None = None
    signed: bool | None = None
    photometric: str = ""
    decoded: bool | None = None
    decode_reason: str = ""
    dtype: str = ""
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    pixel_sha256: str = ""
    slope: float | None = None
    intercept: float | None = None
    pixel_spacing: tuple[float, float] | None = None
    spacing_source: str = ""
    position: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    slice_thickness: float | None = None
    view: str = ""
    laterality: str = ""
    character_set: str = ""
    geometry: InspectedGeometry | None = None
    problems: tuple[str, ...] = ()
    own: bool = False

"""What Sightline understands of one DICOM file: verdict, identity, pixels, geometry, and every doubt.

Runs in the pool. Nothing is stored; values of the file stand in the answer, because the operator asked for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from adapters.dicom.codecs import Pixels
from adapters.dicom.colour import rgb_values
from adapters.dicom.container import Opened, open_file
from adapters.dicom.decode import stored_values
from adapters.dicom.frames import FRAME_TAGS, Frame, frames_of, require_size
from adapters.dicom.header import HEADER_TAGS, UNREADABLE, read_header
from adapters.dicom.instance import Instance
from adapters.dicom.own import MANUFACTURER
from adapters.dicom.projection import IMAGE_TAGS, Caller, lossy, why_not
from adapters.dicom.stacks import summaries
from adapters.dicom.values import floats, integer, one, text
from adapters.dicom.views import laterality, pixel_spacing, view
from cds.domain.imaging import InstanceHeader
from cds.domain.instance_inspection import InspectedGeometry, InspectedInstance, InspectedStack, Verdict
from cds.errors import InvalidInstance, NotEvaluable
from cds.limits import DicomLimits

#: Everything that is looked at.
TAGS = HEADER_TAGS | FRAME_TAGS | IMAGE_TAGS | {0x00080005, 0x00020010, 0x7FE00008, 0x7FE00009, 0x00041220}
_DICOMDIR = "1.2.840.10008.1.3.10"
_FLOATS = (0x7FE00008, 0x7FE00009)
_DIRECTORY = 0x00041220
_LONGEST_TEXT = 256


def inspect(path: Path, name: str, limits: DicomLimits, caller: Caller) -> InspectedInstance:
    """The verdict on a file, whatever becomes of the process that reads it; `name` is what the answer calls it.

    Raise Unavailable where the file cannot be opened, or processes for decoding cannot be had.
    """
    try:
        return caller.call(inspect_file, path, name, limits.max_instance_bytes)
    except (NotEvaluable, InvalidInstance) as error:
        return InspectedInstance(name, Verdict.REFUSED, str(error), decoded=False, decode_reason=str(error))


def inspect_file(path: Path, name: str, max_bytes: int) -> InspectedInstance:
    """The same in this process; only broken memory or a crash of a codec gets past it."""
    try:
        opened = open_file(path, TAGS, max_bytes)
    except InvalidInstance as error:
        too_large = "size limit" in str(error)
        return InspectedInstance(name, Verdict.REFUSED if too_large else Verdict.UNREADABLE, str(error))
    found = _described(InspectedInstance(name, Verdict.NOT_AN_IMAGE), opened)
    if opened.instance is None:
        return _judged(found, opened, Verdict.REFUSED, opened.broken)
    if not _has_pixels(opened.instance):
        return _judged(found, opened, Verdict.NOT_AN_IMAGE, _what_else(opened))
    return _with_pixels(found, opened, opened.instance, max_bytes)


def _judged(found: InspectedInstance, opened: Opened, verdict: Verdict, reason: str) -> InspectedInstance:
    problems = tuple(dict.fromkeys((*found.problems, *opened.problems)))
    return replace(found, verdict=verdict, reason=reason, problems=problems)


def _has_pixels(instance: Instance) -> bool:
    """Pixel Data, or the two kinds of floating point numbers, or a header that promises pixels."""
    return instance.pixels is not None or any(tag in instance.dataset for tag in _FLOATS)


def _what_else(opened: Opened) -> str:
    if _is_directory(opened):
        return "a media directory (DICOMDIR): it names files and holds no image"
    if integer(opened.dataset, "Rows", 0):
        return "an image without its pixel data"
    return f"no image: {_name_of(_sop_class(opened)) or 'it names no SOP class'}"


def _with_pixels(found: InspectedInstance, opened: Opened, instance: Instance, max_bytes: int) -> InspectedInstance:
    found = _in_space(found, opened, instance)
    try:
        require_size(instance.dataset, max_bytes)
        numbers = _Numbers.of(arrays(instance))
    except NotEvaluable as error:
        told = str(error).removeprefix("an image of the series cannot be decoded: ")
        return _judged(
            replace(found, decoded=False, decode_reason=told), opened, Verdict.REFUSED, f"it cannot be decoded: {told}"
        )
    return _judged(
        replace(
            found,
            decoded=True,
            dtype=numbers.dtype,
            minimum=numbers.minimum,
            maximum=numbers.maximum,
            mean=numbers.mean,
            pixel_sha256=numbers.sha256,
        ),
        opened,
        Verdict.IMAGE,
        "",
    )


def arrays(instance: Instance) -> Iterator[Pixels]:
    """Each frame as the verdict counts it, stored values or RGB; raise NotEvaluable where one cannot be decoded."""
    colour = integer(instance.dataset, "SamplesPerPixel", 1) > 1
    for index in range(_frame_count(instance.dataset)):
        yield rgb_values(instance, index) if colour else stored_values(instance, index)


def _frame_count(dataset: Dataset) -> int:
    try:
        return max(1, int(dataset.get("NumberOfFrames") or 1))
    except UNREADABLE as error:
        raise NotEvaluable("its number of frames is no number", gate="decode") from error


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What is said of the values of all frames, which are never in memory together."""

    dtype: str
    minimum: float
    maximum: float
    mean: float
    sha256: str

    @classmethod
    def of(cls, frames: Iterator[Pixels]) -> _Numbers:
        digest = hashlib.sha256()
        lows, highs, total, count, dtype = [], [], 0.0, 0, ""
        for values in frames:
            dtype = values.dtype.newbyteorder("=").name
            digest.update(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).data)
            lows.append(values.min().item())
            highs.append(values.max().item())
            total += float(values.sum(dtype=np.float64))
            count += values.size
        return cls(dtype, min(lows), max(highs), total / count, digest.hexdigest())


def _described(found: InspectedInstance, opened: Opened) -> InspectedInstance:
    dataset = opened.dataset
    told: dict[str, Any] = {
        "sop_class_uid": _sop_class(opened),
        "sop_class": _name_of(_sop_class(opened)),
        "transfer_syntax_uid": _short(opened.syntax),
        "transfer_syntax": _name_of(opened.syntax),
        "modality": _of(dataset, "Modality"),
        "study_instance_uid": _of(dataset, "StudyInstanceUID"),
        "series_instance_uid": _of(dataset, "SeriesInstanceUID"),
        "sop_instance_uid": _of(dataset, "SOPInstanceUID"),
        "patient_id": _of(dataset, "PatientID"),
        "rows": _whole(dataset, "Rows"),
        "columns": _whole(dataset, "Columns"),
        "samples": _whole(dataset, "SamplesPerPixel"),
        "bits_allocated": _whole(dataset, "BitsAllocated"),
        "bits_stored": _whole(dataset, "BitsStored"),
        "photometric": _of(dataset, "PhotometricInterpretation"),
        "slope": one(dataset, "RescaleSlope"),
        "intercept": one(dataset, "RescaleIntercept"),
        "slice_thickness": one(dataset, "SliceThickness"),
        "character_set": _of(dataset, "SpecificCharacterSet"),
        "own": text(dataset, "Manufacturer") == text(dataset, "ManufacturerModelName") == MANUFACTURER,
        "decoded": None,
    }
    signed = _whole(dataset, "PixelRepresentation")
    return _placed(replace(found, **told, signed=None if signed is None else signed == 1), opened)


def _placed(found: InspectedInstance, opened: Opened) -> InspectedInstance:
    """What is said of the image's place and view; header flags and refusals of the receiver are problems."""
    dataset = opened.dataset
    header = _header(opened)
    if found.rows is None:
        return found
    spacing = pixel_spacing(dataset)
    opened.problems += _doubts(found, opened)
    frames = _whole(dataset, "NumberOfFrames")
    return replace(
        found,
        frames=1 if frames is None and "NumberOfFrames" not in dataset else frames,
        pixel_spacing=spacing.mm,
        spacing_source=spacing.source,
        position=(header.image_position if header else floats(dataset, "ImagePositionPatient", 3)) or None,
        orientation=(header.image_orientation if header else floats(dataset, "ImageOrientationPatient", 6)) or None,
    )


def _header(opened: Opened) -> InstanceHeader | None:
    """As the receiver reads it; a DICOMDIR has no series, and nobody sends one."""
    if _is_directory(opened):
        return None
    try:
        header = read_header(opened.dataset)
    except InvalidInstance as error:
        opened.problems.append(f"the receiver refuses it: {error}")
        return None
    opened.problems += header.flags
    return header


def _is_directory(opened: Opened) -> bool:
    return _sop_class(opened) == _DICOMDIR or _DIRECTORY in opened.dataset


def _doubts(found: InspectedInstance, opened: Opened) -> Iterator[str]:
    if found.photometric == "MONOCHROME1":
        yield "MONOCHROME1: high values are dark; models see it inverted"
    if found.bits_stored and found.bits_allocated and found.bits_stored > found.bits_allocated:
        yield "more bits stored than allocated"
    if opened.instance is not None and lossy(opened.instance) == "yes":
        yield "lossy compression"


def _in_space(found: InspectedInstance, opened: Opened, instance: Instance) -> InspectedInstance:
    """As slices, else as a projection; where it is neither, both reasons are problems."""
    frames: tuple[Frame, ...] | str
    try:
        frames = frames_of(instance)
    except NotEvaluable as error:
        frames = str(error)
    if not isinstance(frames, str):
        return _as_slices(found, frames)
    refusal = why_not(instance)
    if not refusal:
        seen = view(instance.dataset)
        opened.problems += filter(None, (seen.doubt, pixel_spacing(instance.dataset).doubt))
        return replace(found, view=seen.name, laterality=laterality(instance.dataset))
    opened.problems += [f"not read as slices: {frames}", f"not read as a projection or ultrasound image: {refusal}"]
    return found


def _as_slices(found: InspectedInstance, frames: tuple[Frame, ...]) -> InspectedInstance:
    """What functional groups say of the first frame counts as the image's own."""
    first = frames[0]
    stacks = tuple(
        InspectedStack(one.label, one.orientation, one.slices, one.shape, one.spacing_mm, one.refusal)
        for one in summaries(frames)
    )
    return replace(
        found,
        geometry=InspectedGeometry(stacks),
        slope=first.slope,
        intercept=first.intercept,
        pixel_spacing=first.pixel_spacing,
        spacing_source=found.spacing_source or "pixel",
        position=first.position,
        orientation=first.orientation,
        slice_thickness=_number(first.attributes["slice_thickness_mm"]),
    )


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _sop_class(opened: Opened) -> str:
    return _of(opened.dataset, "SOPClassUID") or _of(opened.meta, "MediaStorageSOPClassUID")


def _name_of(uid: str) -> str:
    """The standard's name of a UID, "" where it is none of the standard's."""
    name = UID(uid).name if uid else ""
    return name if name != uid else ""


def _of(dataset: Dataset, keyword: str) -> str:
    return _short(text(dataset, keyword))


def _short(value: str) -> str:
    return value.strip(" \0")[:_LONGEST_TEXT]


def _whole(dataset: Dataset, keyword: str) -> int | None:
    number = one(dataset, keyword)
    return None if number is None else int(number)


def unopened(name: str, why: str) -> InspectedInstance:
    """The entry of a file that cannot be opened at all."""
    return InspectedInstance(name, Verdict.UNREADABLE, f"it cannot be opened: {why}")

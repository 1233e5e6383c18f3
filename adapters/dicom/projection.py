"""Projection and ultrasound images: radiographs, mammograms, stills, cines, each as one array with what is said of it.

What is no such image (a secondary capture, an angiography run, raw data for processing) is refused in words.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import UID

from adapters.dicom.array_file import ArrayFile
from adapters.dicom.codecs import Pixels, undecodable
from adapters.dicom.colour import rgb_values
from adapters.dicom.decode import stored_values
from adapters.dicom.frames import require_size
from adapters.dicom.instance import Instance, read_instance
from adapters.dicom.lut import Transform, is_palette, modality_transform, padded
from adapters.dicom.slices import disk_errors
from adapters.dicom.values import floats, integer, one, text, words
from adapters.dicom.views import LATERALITY_TAGS, VIEW_TAGS, laterality, pixel_spacing, view
from cds.domain.imaging import ImageRef, SeriesSummary
from cds.errors import InvalidInstance, NotEvaluable
from cds.limits import DicomLimits

T = TypeVar("T")

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_RADIOGRAPHS = frozenset(f"{_STORAGE}{n}" for n in ("1", "1.1", "1.2", "1.3"))
_FOR_PROCESSING = frozenset(f"{_STORAGE}{n}" for n in ("1.1.1", "1.2.1", "1.3.1"))
_ULTRASOUND = frozenset(f"{_STORAGE}{n}" for n in ("3", "3.1", "6", "6.1"))
#: SOP classes that are no projection, and what they are called; a name that ends with a dot stands for all below it.
_REFUSED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("7", "7."), "a secondary capture"),
    (("12.1", "12.1.", "12.2", "12.2.", "12.3", "12.77"), "an angiography or fluoroscopy run"),
    (("13.1.3", "13.1.4", "13.1.5"), "a tomosynthesis: planes of a volume"),
    (("6.2",), "an ultrasound volume"),
    (("2", "2.", "4", "4.", "20", "128", "128.", "130"), "a slice of a volume"),
    (("66.4", "66.7"), "a segmentation"),
)

#: What is looked at: how pixels are coded and shown, where they come from, how large they are.
IMAGE_TAGS = (
    frozenset(
        tag_for_keyword(keyword) or 0
        for keyword in (
            "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality",
            "Manufacturer", "ManufacturerModelName", "PresentationIntentType", "BodyPartExamined", "KVP",
            "PatientPosition", "InstanceNumber", "FrameTime", "FrameTimeVector", "CineRate",
            "RecommendedDisplayFrameRate", "DetectorType", "BurnedInAnnotation", "LossyImageCompression",
            "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns",
            "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue",
            "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence",
            "PresentationLUTShape", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
        )
    )
    | {0x00281101, 0x00281102, 0x00281103, 0x00281201, 0x00281202, 0x00281203, 0x00281221, 0x00281222, 0x00281223}
    | VIEW_TAGS
    | LATERALITY_TAGS
)  # fmt: skip
_ATTRIBUTES = {
    "body_part": "BodyPartExamined",
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "kvp": "KVP",
    "image_type": "ImageType",
    "patient_position": "PatientPosition",
    "presentation_intent": "PresentationIntentType",
    "detector": "DetectorType",
    "burned_in_annotation": "BurnedInAnnotation",
    "rescale_type": "RescaleType",
}
_LONGEST_TEXT = 128


class Caller(Protocol):
    """Runs a function on what strangers sent, elsewhere or here: `DecodePool` is one."""

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """`function(*args)`; raise what it raises of `cds.errors`."""
        ...


class InPlace:
    """Runs in this process: for tests, and for files whose sender is trusted."""

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """See `Caller`."""
        return function(*args)


class _Written(NamedTuple):
    """An image on disk with the number that orders it."""

    number: int
    image: ImageRef


def images(
    series: SeriesSummary, data_dir: Path, scratch: Path, limits: DicomLimits, caller: Caller | None = None
) -> tuple[ImageRef, ...]:
    """The projection or ultrasound images of a series, in order of Instance Number, as .npy below `scratch`.

    Raise NotEvaluable (gate "no-images", or "decode" and "size" where only that was in the way) with the reasons where
    there is none, Unavailable where a file cannot be read, OutOfResources where scratch is full.
    """
    run = caller or InPlace()
    written: list[_Written] = []
    refusals: list[NotEvaluable] = []
    for path in series.paths:
        try:
            written.append(run.call(write_image, data_dir / path, scratch, limits.max_instance_bytes))
        except NotEvaluable as refusal:
            refusals.append(refusal)
    reasons = Counter(str(refusal) for refusal in refusals)
    told = tuple(f"{count} images left out: {reason}" for reason, count in sorted(reasons.items()))
    if not written:
        gates = {refusal.gate for refusal in refusals}
        gate = gates.pop() if len(gates) == 1 else "no-images"
        raise NotEvaluable("; ".join(("the series has no projection or ultrasound image", *told)), gate=gate)
    ordered = sorted(written, key=lambda one: (one.number, one.image.sop_instance_uid))
    return tuple(_warned(one.image, told) for one in ordered)


def write_image(path: Path, scratch: Path, max_bytes: int) -> _Written:
    """Decode one file and write its .npy; NotEvaluable with the reason where it is no such image or not decodable."""
    try:
        instance = read_instance(path, IMAGE_TAGS, max_bytes=max_bytes)
    except InvalidInstance as error:
        raise NotEvaluable(f"an image of the series cannot be read: {error}", gate="decode") from error
    refusal = why_not(instance)
    if refusal:
        raise NotEvaluable(refusal, gate="no-images")
    dataset = instance.dataset
    require_size(dataset, max_bytes)
    colour = integer(dataset, "SamplesPerPixel", 1) > 1 or is_palette(dataset)
    name = hashlib.sha256((text(dataset, "SOPInstanceUID") or str(path)).encode()).hexdigest()[:32]
    target = scratch / f"{name}.npy"
    shape, dtype = _write(instance, target, colour=colour)
    return _Written(integer(dataset, "InstanceNumber", 0), _reference(instance, target, shape, dtype, colour=colour))


def why_not(instance: Instance) -> str:
    """Why an instance is no projection or ultrasound image, "" where it is one."""
    dataset = instance.dataset
    sop_class = str(dataset.get("SOPClassUID", ""))
    named = next((name for uids, name in _REFUSED if _is_of(sop_class, uids)), "")
    if named:
        return named
    if sop_class in _FOR_PROCESSING or "FOR PROCESSING" in words(dataset, "PresentationIntentType"):
        return "raw data for processing, not for presentation"
    if sop_class not in _RADIOGRAPHS | _ULTRASOUND:
        return "no projection or ultrasound image"
    if instance.pixels is None:
        return "without an image"
    if integer(dataset, "NumberOfFrames", 1) > 1 and sop_class in _RADIOGRAPHS:
        return "a radiograph of several frames"
    return ""


def presented(instance: Instance, index: int) -> Pixels:
    """Frame `index` from dark to bright: modality LUT or rescale, MONOCHROME1 inverted, padding as the darkest."""
    stored = stored_values(instance, index)
    header = instance.dataset
    transform = modality_transform(header, stored.dtype)
    shown = transform.apply(stored)
    if text(header, "PhotometricInterpretation").upper() == "MONOCHROME1":
        shown = _inverted(shown, transform)
    padding = padded(stored, header)
    if padding is None or padding.all():
        return shown
    return np.where(padding, shown[~padding].min(), shown)


def _inverted(shown: Pixels, transform: Transform) -> Pixels:
    """By the range that can be, not by what this image happens to have: two of them stay comparable."""
    low, high = transform.span
    if shown.dtype == np.float32:
        return (np.float64(low + high) - shown).astype(np.float32)
    return (int(low + high) - shown.astype(np.int64)).astype(shown.dtype)


def _is_of(sop_class: str, uids: tuple[str, ...]) -> bool:
    own = sop_class.removeprefix(_STORAGE)
    return own != sop_class and any(own == uid or (uid.endswith(".") and own.startswith(uid)) for uid in uids)


def _write(instance: Instance, target: Path, *, colour: bool) -> tuple[tuple[int, ...], str]:
    """One frame after the other; the first says of what type all are."""
    count = integer(instance.dataset, "NumberOfFrames", 1)
    read = rgb_values if colour else presented
    first = read(instance, 0)
    file = ArrayFile(target.parent, (count, *first.shape), first.dtype.name)
    try:
        for index, values in enumerate(_frames(instance, read, first, count)):
            _put(file, index, values)
        file.commit(target)
    finally:
        file.discard()
    return file.shape, file.dtype.name


def _frames(instance: Instance, read: Callable[[Instance, int], Pixels], first: Pixels, count: int) -> Iterator[Pixels]:
    yield first
    for index in range(1, count):
        values = read(instance, index)
        if (values.shape, values.dtype) != (first.shape, first.dtype):
            raise undecodable("its frames differ in size or type")
        yield values


def _put(file: ArrayFile, index: int, values: Pixels) -> None:
    target = file.target(index)
    data = np.ascontiguousarray(values).data.cast("B")
    with disk_errors(), Path(target.path).open("r+b", buffering=0) as opened:
        written = 0
        while written < len(data):
            written += os.pwrite(opened.fileno(), data[written:], target.offset + written)


def _reference(
    instance: Instance, target: Path, shape: tuple[int, ...], dtype: str, *, colour: bool
) -> ImageRef:  # fmt: skip
    dataset = instance.dataset
    spacing = pixel_spacing(dataset)
    seen = view(dataset)
    cine, cine_doubt = frame_time_ms(dataset)
    return ImageRef(
        path=str(target),
        dtype=dtype,
        shape=shape,
        photometric="RGB" if colour else "MONOCHROME2",
        pixel_spacing_mm=spacing.mm,
        spacing_source=spacing.source,
        sop_instance_uid=text(dataset, "SOPInstanceUID"),
        series_instance_uid=text(dataset, "SeriesInstanceUID"),
        modality=text(dataset, "Modality"),
        view=seen.name,
        laterality=laterality(dataset),
        frame_time_ms=cine if shape[0] > 1 else None,
        attributes={name: text(dataset, keyword)[:_LONGEST_TEXT] for name, keyword in _ATTRIBUTES.items()}
        | {"lossy": lossy(instance)},
        warnings=tuple(filter(None, (spacing.doubt, seen.doubt, cine_doubt if shape[0] > 1 else "", _shape(dataset)))),
    )


def lossy(instance: Instance) -> str:
    """ "yes" where the image says so or its transfer syntax is lossy by nature, "no" where it says so, else ""."""
    told = text(instance.dataset, "LossyImageCompression")
    if told == "01" or UID(instance.syntax).name.startswith(("JPEG Baseline", "JPEG Extended", "JPEG-LS Lossy")):
        return "yes"
    return "no" if told == "00" else ""


def frame_time_ms(dataset: Dataset) -> tuple[float | None, str]:
    """Frame Time (0018,1063), the middle of Frame Time Vector, else the frame rate; None where nobody says it."""
    told = one(dataset, "FrameTime")
    if told is not None and told > 0:
        return told, ""
    count = integer(dataset, "NumberOfFrames", 1)
    vector = floats(dataset, "FrameTimeVector", count) if count > 1 else None
    if vector:
        steps = sorted(vector[1:])
        uneven = "the time between frames varies" if steps[-1] > 1.1 * steps[0] else ""
        return (steps[len(steps) // 2] or None), uneven
    rate = one(dataset, "CineRate") or one(dataset, "RecommendedDisplayFrameRate")
    return (1000 / rate if rate and rate > 0 else None), ""


def _shape(dataset: Dataset) -> str:
    """PS3.3 C.11.6: a MONOCHROME1 image is shown by INVERSE, a MONOCHROME2 image by IDENTITY."""
    shape, photometric = text(dataset, "PresentationLUTShape"), text(dataset, "PhotometricInterpretation")
    if (shape, photometric) in (("INVERSE", "MONOCHROME2"), ("IDENTITY", "MONOCHROME1")):
        return "the presentation LUT contradicts the photometric interpretation"
    return ""


def _warned(image: ImageRef, told: tuple[str, ...]) -> ImageRef:
    return replace(image, warnings=(*image.warnings, *told)) if told else image

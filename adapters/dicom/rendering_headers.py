"""What a viewer needs to know of the frames of an image before any pixel is decoded. Runs in the decoding processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from adapters.dicom.frames import FRAME_TAGS
from adapters.dicom.header import UNREADABLE
from adapters.dicom.instance import Instance, read_instance
from adapters.dicom.lut import is_palette
from adapters.dicom.projection import IMAGE_TAGS, frame_time_ms, lossy
from adapters.dicom.values import first_item, floats, integer, items, text, value, words
from adapters.dicom.views import laterality, pixel_spacing, view
from cds.errors import InvalidInstance
from cds.ui.pictures import FrameSaid, Window

#: What rendering looks at: how pixels are coded, where they lie and how they are meant to be seen.
RENDERING_TAGS = (
    FRAME_TAGS
    | IMAGE_TAGS
    | {
        tag_for_keyword(keyword) or 0
        for keyword in (
            "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction", "VOILUTSequence",
            "AcquisitionNumber", "PerFrameFunctionalGroupsSequence", "InstanceNumber", "SmallestImagePixelValue",
        )
    }
)  # fmt: skip
#: A viewer that is told of more frames than this of one image would choke on the list.
_MOST_FRAMES = 10_000
_DIRECTIONS = frozenset("LRAPHF")
_FUNCTIONS = frozenset({"LINEAR", "LINEAR_EXACT", "SIGMOID"})
_LONGEST = 64


def described(paths: tuple[Path, ...], max_bytes: int) -> tuple[tuple[FrameSaid, ...] | str, ...]:
    """The frames of some files in their order, or in words why a file has none; raise Unavailable for a broken disk."""
    return tuple(_described(path, max_bytes) for path in paths)


def _described(path: Path, max_bytes: int) -> tuple[FrameSaid, ...] | str:
    try:
        instance = read_instance(path, RENDERING_TAGS, max_bytes=max_bytes)
    except InvalidInstance as error:
        return f"it cannot be read: {error}"
    try:
        if instance.pixels is None:
            return "it has no pixels of whole numbers"
        return tuple(_frames(instance))
    except UNREADABLE:
        return "its header cannot be read"


def _frames(instance: Instance) -> Iterator[FrameSaid]:
    header = instance.dataset
    spacing, side, seen = pixel_spacing(header), laterality(header), _view(header)
    count = min(max(integer(header, "NumberOfFrames", 1), 1), _MOST_FRAMES)
    time_ms = frame_time_ms(header)[0] if count > 1 else None
    for index, flat in enumerate(flat_frames(header, count)):
        pair = floats(flat, "PixelSpacing", 2)
        yield FrameSaid(
            sop_instance_uid=text(header, "SOPInstanceUID") or str(header.file_meta.MediaStorageSOPInstanceUID),
            index=index,
            rows=integer(header, "Rows", 0),
            columns=integer(header, "Columns", 0),
            number=_number(header, "InstanceNumber"),
            acquisition=_number(header, "AcquisitionNumber"),
            position=floats(flat, "ImagePositionPatient", 3) or (),
            orientation=floats(flat, "ImageOrientationPatient", 6) or (),
            directions=_directions(header),
            spacing_mm=spacing.mm or ((pair[0], pair[1]) if pair and min(pair) > 0 else None),
            spacing_source=spacing.source or ("pixel" if pair else ""),
            frame_of_reference=text(header, "FrameOfReferenceUID"),
            laterality=side,
            view=seen,
            is_colour=is_colour(header),
            is_lossy=lossy(instance) == "yes",
            windows=windows_of(flat),
            has_table=bool(items(flat, "VOILUTSequence")),
            time_ms=time_ms,
            transfer_syntax=instance.syntax,
        )


def flat_frames(header: Dataset, count: int) -> Iterator[Dataset]:
    """One flat data set per frame: functional groups override each other, shared then per frame (PS3.3 C.7.6.16)."""
    per_frame, shared = items(header, "PerFrameFunctionalGroupsSequence"), first_item(
        header, "SharedFunctionalGroupsSequence"
    )  # fmt: skip
    for index in range(count):
        yield flat_frame(header, [shared, *per_frame[index : index + 1]])


def flat_frame(header: Dataset, groups: Sequence[Dataset]) -> Dataset:
    """The header with what functional groups say beside it; the header itself where there are none."""
    found = [macro for group in groups for macro in group if macro.VR == "SQ" and macro.value]
    if not found:
        return header
    flat = Dataset()
    flat.update({element.tag: element for element in header if element.VR != "SQ"})
    for macro in found:
        flat.update(macro.value[0])
    return flat


def is_colour(header: Dataset) -> bool:
    """Whether a frame is decoded as colour, palettes included."""
    return integer(header, "SamplesPerPixel", 1) > 1 or is_palette(header)


def windows_of(flat: Dataset) -> tuple[Window, ...]:
    """The windows that the image names (PS3.3 C.11.2.1.2), those that make no sense left out."""
    centers, widths = _numbers(flat, "WindowCenter"), _numbers(flat, "WindowWidth")
    names = text(flat, "WindowCenterWidthExplanation").split("\\")
    told = text(flat, "VOILUTFunction").upper()
    function = told if told in _FUNCTIONS else "LINEAR"
    least = 1.0 if function == "LINEAR" else 0.0
    pairs = zip(centers, widths, strict=False)
    return tuple(
        Window(center, width, names[n][:_LONGEST] if n < len(names) else "", function)
        for n, (center, width) in enumerate(pairs)
        if width >= least and width > 0
    )


def _numbers(flat: Dataset, keyword: str) -> tuple[float, ...]:
    found = value(flat, keyword)
    count = 0 if found is None or found == "" else 1 if isinstance(found, str | float | int) else len(found)
    return (floats(flat, keyword, count) or ()) if count else ()


def _number(header: Dataset, keyword: str) -> int | None:
    return integer(header, keyword, 0) if value(header, keyword) not in (None, "") else None


def _view(header: Dataset) -> str:
    """The view as it is named; one that is told by the patient orientation alone, in small letters, if that is one."""
    seen = view(header).name
    return seen if _directions(header) or not seen.islower() else ""


def _directions(header: Dataset) -> tuple[str, ...]:
    told = words(header, "PatientOrientation")
    return told if len(told) == len(("row", "column")) and all(t and set(t) <= _DIRECTIONS for t in told) else ()

"""A key image as Secondary Capture (PS3.3 A.8.1): the slice with the outline of the finding and its words burnt in.

For a PACS that shows nothing else. It is a picture, not something to measure in: it has no pixel spacing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes
from pydicom.uid import SecondaryCaptureImageStorage

from adapters.dicom.header import UNREADABLE
from adapters.dicom.key_slice import KeySlice
from adapters.dicom.outline import outlines
from adapters.dicom.own import CHARACTER_SET, MANUFACTURER, Edition, finish, lo, reference
from cds.codes import SNOMED
from cds.domain.coding import Coding
from cds.domain.conclusion import amount, incomplete

SERIES_NUMBER = 9905
#: What every picture says first.
NOTICE = "AI - preliminary, not for diagnosis"
_SMALLEST, _LARGEST = 512, 1024
_TEXT, _TITLE, _MARGIN = 15, 18, 8
#: Pixels longer than this in one direction are a mistake of the header.
_STRETCH = 10.0
#: One colour per label, which tell apart for the colour-blind (Okabe and Ito 2008).
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0))


@dataclass(frozen=True, slots=True)
class Window:
    """What is shown from black to white (PS3.3 C.11.2.1.2): in HU for CT."""

    center: float
    width: float
    name: str = ""


#: Customary display settings, chosen by this project: what a reader sees first, no measurement hangs on them.
_SOFT_TISSUE, _BONE = Window(40, 400, "soft tissue"), Window(400, 1800, "bone")
#: By body site (SNOMED CT); everything else on CT is seen as soft tissue.
_WINDOWS = {
    "39607008": Window(-600, 1500, "lung"),
    "12738006": Window(40, 80, "brain"),
    "272673000": _BONE,
}


def secondary_capture(edition: Edition, place: KeySlice, number: int, header: Dataset) -> Dataset:
    """The picture of a place as one version of a report has it, in a series of its own, filed by `header`."""
    report = edition.report
    dataset = reference(
        SecondaryCaptureImageStorage,
        key_uid(edition, place),
        edition.key_series(report.version),
        report.study.study_instance_uid,
    )
    dataset.SpecificCharacterSet = CHARACTER_SET
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "OT", SERIES_NUMBER, number
    dataset.SeriesDescription = lo(f"Sightline AI key images v{report.version} (preliminary)")
    dataset.ConversionType = "WSD"
    dataset.SecondaryCaptureDeviceManufacturer = MANUFACTURER
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.PatientOrientation, dataset.Laterality = "", ""
    dataset.DerivationDescription = "One image with the outline of an AI finding and text burnt in"
    dataset.SourceImageSequence = [source_image(place)]
    dataset.ImageComments = NOTICE
    dataset.BurnedInAnnotation = "YES"  # text is in the pixels; there is no name and no number of the patient in it
    dataset.LossyImageCompression = "00"
    _write_pixels(dataset, picture(place, words(edition, place)))
    finish(dataset, header, report.issued, edition)
    dataset.DateOfSecondaryCapture, dataset.TimeOfSecondaryCapture = dataset.ContentDate, dataset.ContentTime
    return dataset


def key_uid(edition: Edition, place: KeySlice) -> str:
    """The SOP Instance UID of what shows a place in one version."""
    where = f"{place.outcome.model}/{place.image.SOPInstanceUID}/{place.frame}"
    return edition.uid("key image", f"version {edition.report.version}/{where}")


def source_image(place: KeySlice) -> Dataset:
    """The original image, as what a picture of it was made from (PS3.3 C.7.6.1.1.4)."""
    source, purpose = Dataset(), Dataset()
    source.ReferencedSOPClassUID = place.image.SOPClassUID
    source.ReferencedSOPInstanceUID = place.image.SOPInstanceUID
    if place.frames > 1:
        source.ReferencedFrameNumber = place.frame + 1
    code = codes.DCM.SourceImageForImageProcessingOperation
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = code.value, "DCM", code.meaning
    source.PurposeOfReferenceCodeSequence = [purpose]
    return source


def lines(place: KeySlice) -> list[str]:
    """What a picture says: that it is AI, what was found, by whom, and on which image."""
    outcome = place.outcome
    said = [_sentence(finding.code, amount(finding.value) if finding.value else "") for finding in place.findings]
    shown = window(place)
    where = f"Image {place.image.InstanceNumber}" if place.image.get("InstanceNumber") else "Image without a number"
    frame = f", frame {place.frame + 1}" if place.frames > 1 else ""
    view = f", window {shown.name} {shown.center:g}/{shown.width:g}" if shown.name else ""
    return [NOTICE, *said, f"by {outcome.model} {outcome.version}", f"{where}{frame}{view}"]


def words(edition: Edition, place: KeySlice) -> list[str]:
    """The `lines` of a place as a report shows it: that its images are not all comes second."""
    notice, *said = lines(place)
    return [notice, *incomplete(edition.report), *said]


def marked(place: KeySlice) -> list[tuple[str, list[NDArray[np.float64]]]]:
    """The labels that are on the slice, each with its name and its outlines."""
    if place.mask is None:
        return []
    series = {finding.series_instance_uid or place.outcome.series_instance_uid for finding in place.findings}
    named = {v: name for m in place.outcome.masks if m.series_instance_uid in series for v, name in m.labels.items()}
    there = [value for value in sorted(named) if (place.mask == value).any()]
    return [(named[value], outlines(place.mask == value)) for value in there]


def window(place: KeySlice) -> Window:
    """On CT by the findings' body site; else the image's own window, or nearly all of its values where it has none."""
    if place.image.get("Modality") == "CT":
        sites = [f.body_site.code for f in place.findings if f.body_site and f.body_site.system == SNOMED]
        return next((_WINDOWS[site] for site in sites if site in _WINDOWS), _SOFT_TISSUE)
    try:
        center, width = (_first(place.image.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    except UNREADABLE:
        center, width = None, None
    if center is not None and width is not None and width >= 1:
        return Window(center, width, "of the image")
    low, high = np.percentile(place.values, [1, 99])
    return Window(float(low + high) / 2, max(float(high - low), 1.0))


def picture(place: KeySlice, texts: Sequence[str]) -> NDArray[np.uint8]:
    """The slice in colour (rows, columns, 3), enlarged where it is small, its words in a band of their own below."""
    grey = _windowed(place.values, window(place))
    if place.image.get("PhotometricInterpretation") == "MONOCHROME1":
        grey = 255 - grey
    image = Image.fromarray(grey).convert("RGB")
    across, down = _scales(place.image, *grey.shape)
    image = image.resize((max(1, round(grey.shape[1] * across)), max(1, round(grey.shape[0] * down))))
    legend, pen = [], ImageDraw.Draw(image)
    for number, (name, found) in enumerate(marked(place)):
        colour = COLOURS[number % len(COLOURS)]
        legend.append((colour, name))
        for outline in found:
            pen.line([(x * across, y * down) for x, y in outline.tolist()], colour, 1)
    return np.asarray(_with_band(image, texts, legend))


def _with_band(
    image: Image.Image, texts: Sequence[str], legend: Sequence[tuple[tuple[int, int, int], str]]
) -> Image.Image:
    """The image above, and below it the words; nothing of the image is covered."""
    title, plain = ImageFont.load_default(_TITLE), ImageFont.load_default(_TEXT)
    rows = [(text, title if n == 0 else plain, (255, 255, 255)) for n, text in enumerate(texts)]
    rows += [(f"outlined: {name}", plain, colour) for colour, name in legend]
    step = _TITLE + _MARGIN // 2
    width = max(image.width, _SMALLEST)
    whole = Image.new("RGB", (width, image.height + step * len(rows) + 2 * _MARGIN))
    whole.paste(image, ((width - image.width) // 2, 0))
    pen = ImageDraw.Draw(whole)
    for number, (text, font, colour) in enumerate(rows):
        pen.text((_MARGIN, image.height + _MARGIN + step * number), _fitting(text, font, width), colour, font)
    return whole


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """One line, cut where the picture ends."""
    line = "".join(c if c.isprintable() else " " for c in text)
    if font.getlength(line) <= width - 2 * _MARGIN:
        return line
    room = width - 2 * _MARGIN
    shortest_too_long = bisect_left(range(len(line)), True, key=lambda n: font.getlength(f"{line[:n]}...") > room)
    return f"{line[: max(shortest_too_long - 1, 0)]}..."


def _sentence(code: Coding, value: str) -> str:
    return ": ".join(filter(None, (code.display or code.code, value)))


def _windowed(values: NDArray[np.float32], shown: Window) -> NDArray[np.uint8]:
    """PS3.3 C.11.2.1.2.1, linear."""
    scaled = ((values - (shown.center - 0.5)) / max(shown.width - 1, 1) + 0.5) * 255
    grey: NDArray[np.uint8] = np.clip(np.nan_to_num(scaled), 0, 255).astype(np.uint8)
    return grey


def _scales(image: Dataset, rows: int, columns: int) -> tuple[float, float]:
    """How much larger columns and rows are drawn: small images enlarged, large ones reduced."""
    try:
        down, across = (float(spacing) for spacing in image.get("PixelSpacing") or (1, 1))
        aspect = min(max(down / across, 1 / _STRETCH), _STRETCH)
    except UNREADABLE:
        aspect = 1.0
    longest = max(rows * aspect, columns)
    scale = _SMALLEST / longest if longest < _SMALLEST else min(1.0, _LARGEST / longest)
    return scale, scale * aspect


def _first(value: object) -> float | None:
    """The first of what may be several values (VM 1-n)."""
    several = list(value) if isinstance(value, MultiValue) else [value]
    return float(str(several[0])) if several and several[0] not in (None, "") else None


def _write_pixels(dataset: Dataset, pixels: NDArray[np.uint8]) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    content = np.ascontiguousarray(pixels).tobytes()
    dataset.add_new(0x7FE00010, "OB", content + bytes(len(content) % 2))

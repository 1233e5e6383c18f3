"""From which side a projection was taken, of which side of the body, and how large its pixels are, if that is said."""

from __future__ import annotations

import math
from typing import NamedTuple

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from adapters.dicom.terms import VIEWS
from adapters.dicom.values import first_item, floats, integer, items, one, text, words

VIEW_TAGS = frozenset(
    tag_for_keyword(keyword) or 0
    for keyword in (
        "ViewPosition", "ViewCodeSequence", "PatientOrientation", "PixelSpacing", "PixelSpacingCalibrationType",
        "ImagerPixelSpacing", "NominalScannedPixelSpacing", "EstimatedRadiographicMagnificationFactor",
        "SequenceOfUltrasoundRegions", "SharedFunctionalGroupsSequence",
    )
)  # fmt: skip
LATERALITY_TAGS = frozenset(tag_for_keyword(keyword) or 0 for keyword in ("ImageLaterality", "Laterality"))

_LATERALITIES = frozenset({"L", "R", "B", "U"})
#: Above this relative difference two spacings are two statements (decimals of DS apart).
_SAME = 1e-3
_CENTIMETRE, _TWO_DIMENSIONAL = 3, 1
_MM_PER_CM = 10.0
_LONGEST = 16


class Spacing(NamedTuple):
    """Distance between rows, then columns, in mm at the place that `source` names; None where nobody says it.

    Sources: "calibrated" (corrected to the patient, PS3.3 10.7.1), "pixel" (Pixel Spacing, of what plane is not said),
    "imager" (at the detector), "imager/magnification" (that, divided by the estimated magnification), "scanned" (of
    the film), "region" (ultrasound calibration), "" (unknown).
    """

    mm: tuple[float, float] | None
    source: str
    doubt: str = ""


class View(NamedTuple):
    """The view as (0018,5101) names it, "lateral" or "frontal" by the patient orientation alone, "" where unknown."""

    name: str
    doubt: str = ""


def view(dataset: Dataset) -> View:
    """View Position, else View Code Sequence, else what Patient Orientation tells."""
    code = first_item(dataset, "ViewCodeSequence")
    coded = VIEWS.get(text(code, "CodeValue"), "")
    stated = _stated(text(dataset, "ViewPosition"))
    if stated:
        return View(stated, "View Position and View Code contradict each other" if coded not in ("", stated) else "")
    if coded:
        return View(coded)
    if text(code, "CodeMeaning"):
        return View(_stated(text(code, "CodeMeaning")), "the view is given by a code that is not known here")
    sides = set("".join(words(dataset, "PatientOrientation")[:2]))
    if not sides:
        return View("")
    return View("lateral" if sides & {"A", "P"} else "frontal", "the view is known from the patient orientation alone")


def laterality(dataset: Dataset) -> str:
    """Image Laterality, else Laterality of the series, else of the shared frame anatomy: L, R, B, U or ""."""
    shared = first_item(dataset, "SharedFunctionalGroupsSequence")
    anatomy = text(first_item(shared, "FrameAnatomySequence"), "FrameLaterality")
    for told in (text(dataset, "ImageLaterality"), text(dataset, "Laterality"), anatomy):
        if told.upper() in _LATERALITIES:
            return told.upper()
    return ""


def pixel_spacing(dataset: Dataset) -> Spacing:
    """The spacing and where it comes from; for ultrasound that of its two-dimensional regions where they agree."""
    if items(dataset, "SequenceOfUltrasoundRegions"):
        return _of_regions(dataset)
    pixel, imager = _pair(dataset, "PixelSpacing"), _pair(dataset, "ImagerPixelSpacing")
    calibrated = text(dataset, "PixelSpacingCalibrationType").upper() in ("GEOMETRY", "FIDUCIAL")
    if pixel and (calibrated or (imager and not _alike(pixel, imager))):
        return Spacing(pixel, "calibrated")
    if imager:  # PS3.3 10.7.1.3: where Pixel Spacing equals it, nothing was corrected
        return _at_imager(dataset, imager)
    shared = first_item(dataset, "SharedFunctionalGroupsSequence")
    pixel = pixel or _pair(first_item(shared, "PixelMeasuresSequence"), "PixelSpacing")
    if pixel:
        return Spacing(pixel, "pixel")
    scanned = _pair(dataset, "NominalScannedPixelSpacing")
    return Spacing(scanned, "scanned") if scanned else Spacing(None, "", "the size of a pixel is not known")


def _at_imager(dataset: Dataset, imager: tuple[float, float]) -> Spacing:
    """(0018,1114) is the distance to the detector over that to the patient; below 1 it is none."""
    factor = one(dataset, "EstimatedRadiographicMagnificationFactor")
    if factor is None or factor < 1:
        return Spacing(imager, "imager", "the size of a pixel is that at the detector, not in the patient")
    return Spacing((imager[0] / factor, imager[1] / factor), "imager/magnification")


def _of_regions(dataset: Dataset) -> Spacing:
    """PS3.3 C.8.5.5: regions in centimetres per pixel; several that differ leave no one spacing."""
    flat = [r for r in items(dataset, "SequenceOfUltrasoundRegions") if _is_flat(r)]
    found = {pair for region in flat if (pair := _deltas(region))}
    if not found:
        return Spacing(None, "", "no region of the ultrasound image has a spacing in centimetres")
    first = next(iter(found))
    if any(not _alike(first, other) for other in found):
        return Spacing(None, "", "the regions of the ultrasound image have different spacings")
    return Spacing(first, "region")


def _is_flat(region: Dataset) -> bool:
    return integer(region, "RegionSpatialFormat", 0) == _TWO_DIMENSIONAL


def _deltas(region: Dataset) -> tuple[float, float] | None:
    units = {integer(region, f"PhysicalUnits{axis}Direction", 0) for axis in "XY"}
    across, down = one(region, "PhysicalDeltaX"), one(region, "PhysicalDeltaY")
    if units != {_CENTIMETRE} or not across or not down:
        return None
    return abs(down) * _MM_PER_CM, abs(across) * _MM_PER_CM


def _pair(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    found = floats(dataset, keyword, 2)
    return (found[0], found[1]) if found and min(found) > 0 else None


def _alike(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(math.isclose(a, b, rel_tol=_SAME) for a, b in zip(one, other, strict=True))


def _stated(value: str) -> str:
    clean = "".join(c if c.isalnum() or c in " -" else " " for c in value.upper())
    return " ".join(clean.split())[:_LONGEST]

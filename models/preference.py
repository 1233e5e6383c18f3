"""Which of several series that a model may read is tried first: by headers alone, before anything is decoded."""

from __future__ import annotations

import math
import re

from cds.domain.imaging import SeriesSummary
from models.ct_gates import kernel_name
from models.manifest import Manifest

#: Enhanced CT, Legacy Converted Enhanced CT: what their headers leave out stands in the functional groups.
_ENHANCED = frozenset({"1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})

Rank = tuple[int, int, float, int, str]


def rank(manifest: Manifest, series: SeriesSummary) -> Rank:
    """What sorts before others is tried first, and the Series Instance UID makes the order always the same.

    Few gates that its headers already fail, many images, thin slices, the first kernel of the manifest's list.
    """
    thickness = series.slice_thickness_mm
    return (
        len(shortcomings(manifest, series)),
        -len(series.paths),
        math.inf if thickness is None else thickness,
        _kernel_place(manifest, series),
        series.series_instance_uid,
    )


def shortcomings(manifest: Manifest, series: SeriesSummary) -> tuple[str, ...]:
    """The gates that the model will refuse this series at, as far as its headers tell.

    It is tried all the same, after the others: where there is no better one, the reader is told the gate's reason.
    """
    return tuple(
        name
        for name, is_short in (
            ("orientation", _is_oriented_otherwise(manifest, series)),
            ("kernel", _has_another_kernel(manifest, series)),
            ("slice thickness", _is_thick(manifest, series)),
            ("contrast", _has_other_contrast(manifest, series)),
            ("slices", _has_few_images(manifest, series)),
        )
        if is_short
    )


def standing(manifest: Manifest, series: SeriesSummary) -> str:
    """What the rank of a series comes from, in words."""
    facts = [f"{len(series.paths)} images"]
    if series.slice_thickness_mm is not None:
        facts.append(f"slices of {series.slice_thickness_mm:g} mm")
    short = shortcomings(manifest, series)
    if short:
        facts.append(f"its headers fail the model's gates: {', '.join(short)}")
    return "; ".join(facts)


def plane(orientation: tuple[float, ...]) -> str:
    """The nearest of axial, coronal and sagittal by the normal of Image Orientation (Patient), PS3.3 C.7.6.2.1.1."""
    (a, b, c), (d, e, f) = orientation[:3], orientation[3:]
    normal = {"sagittal": abs(b * f - c * e), "coronal": abs(c * d - a * f), "axial": abs(a * e - b * d)}
    return max(normal, key=lambda name: normal[name])


def _is_oriented_otherwise(manifest: Manifest, series: SeriesSummary) -> bool:
    wanted = manifest.inputs.orientation
    return bool(wanted and wanted != "any" and series.orientations) and wanted not in {
        plane(one) for one in series.orientations
    }


def _has_another_kernel(manifest: Manifest, series: SeriesSummary) -> bool:
    """Also where no kernel is stated: the gate wants to know it."""
    kernels = manifest.inputs.ct.kernels if manifest.inputs.ct else None
    if kernels is None or (not series.kernels and _ENHANCED.intersection(series.sop_class_uids)):
        return False
    return _kernel_place(manifest, series) == len(kernels.smooth)


def _kernel_place(manifest: Manifest, series: SeriesSummary) -> int:
    """The place of the series' kernel in the manifest's list; behind the last where it is not on it."""
    kernels = manifest.inputs.ct.kernels if manifest.inputs.ct else None
    if kernels is None:
        return 0
    names = [kernel_name(kernel) for kernel in series.kernels]
    for place, pattern in enumerate(kernels.smooth):
        if names and all(re.fullmatch(pattern, name, re.IGNORECASE) for name in names):
            return place
    return len(kernels.smooth)


def _is_thick(manifest: Manifest, series: SeriesSummary) -> bool:
    wanted, thickness = manifest.inputs.ct, series.slice_thickness_mm
    return wanted is not None and thickness is not None and thickness > wanted.max_slice_thickness_mm + 0.01


def _has_other_contrast(manifest: Manifest, series: SeriesSummary) -> bool:
    wanted = manifest.inputs.ct or manifest.inputs.mr
    return wanted is not None and bool(series.contrasts) and not set(series.contrasts).issubset(wanted.contrast)


def _has_few_images(manifest: Manifest, series: SeriesSummary) -> bool:
    """Of several files; one file alone may hold a whole volume."""
    wanted = manifest.inputs.ct or manifest.inputs.mr
    return wanted is not None and 1 < len(series.paths) < wanted.min_slices

"""The gates of brain volumetry that voxels and labels answer: is this a whole adult head, and is that its brain?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from cds.domain.imaging import VolumeRef
from models.brain_regions import BRAIN, CORTEX, STRUCTURES, VENTRICLE, WHITE_MATTER, Labels, Measured
from models.conform import Floats
from models.hemispheres import Midplane
from models.image import Voxels
from models.manifest import Manifest

Box = tuple[slice, slice, slice]
_MM3_PER_ML = 1000.0
#: The part of each axis that a corner takes, and how many of the eight must hold noise for it to be measured.
_CORNER = 12
_CORNERS_WANTED = 3
#: From here on the reader is told that the images are noisy.
_CLEAR_SNR = 20.0
#: A quantile of the whole volume that lies in the head and not in its brightest fat.
_SIGNAL = 0.95


class Verdict(NamedTuple):
    """A gate, the value it looked at in words, and the reason why it refuses; "" where it is passed."""

    gate: str
    value: str
    reason: str


def of_image(manifest: Manifest, voxels: Voxels, box: Box) -> list[Verdict]:
    """Before the network: is there a head, and does it stand out of the noise?"""
    sides = [part.stop - part.start for part in box]
    least = manifest.threshold("min_head")
    size = " x ".join(str(side) for side in sides) + " mm"
    head = f"what stands out in the images measures {size}: a head is at least {least:.0f} mm each way"
    return [Verdict("head", size, head if min(sides) < least else ""), _noise(manifest, voxels)]


def of_labels(manifest: Manifest, labels: Labels, image: Floats, stray_percent: float) -> list[Verdict]:
    """After the network: is it one brain of an adult's size, with the grey values of T1 weighting?"""
    count = np.bincount(labels.ravel(), minlength=max(STRUCTURES) + 1)
    volume = float(count[list(BRAIN)].sum()) / _MM3_PER_ML
    low, high = manifest.threshold("min_brain_volume"), manifest.threshold("max_brain_volume")
    most = manifest.threshold("max_stray_share")
    missing = [name for label, name in STRUCTURES.items() if not count[label]]
    return [
        Verdict("brain volume", f"{volume:.0f} mL", "" if low <= volume <= high else (
            f"the brain found measures {volume:.0f} mL; {low:.0f} to {high:.0f} mL are plausible")),
        Verdict("structures", f"{len(STRUCTURES) - len(missing)} found", "" if not missing else (
            f"not found: {', '.join(missing)}")),
        Verdict("one piece", f"{stray_percent:.1f} % apart", "" if stray_percent <= most else (
            f"{stray_percent:.1f} % of what was taken for brain lies apart from it")),
        _tissues(labels, image),
    ]  # fmt: skip


def of_sides(manifest: Manifest, plane: Midplane | None, measured: Measured | None) -> list[Verdict]:
    """Are the halves each other's mirror image, as far as brains are?"""
    if plane is None or measured is None:
        return [Verdict("halves", "", "the two halves of the brain could not be told from each other")]
    apart, tilt = manifest.threshold("max_midline_deviation"), manifest.threshold("max_tilt")
    most, least = manifest.threshold("max_half_difference"), manifest.threshold("min_hippocampus")
    halves = [measured.value("hippocampus", side) for side in ("left", "right")]
    difference = _difference(measured)
    return [
        Verdict("midline", f"{plane.apart_mm:.1f} mm", "" if plane.apart_mm <= apart else (
            "paired structures do not lie opposite each other: a shift, a mass or a failed segmentation")),
        Verdict("tilt", f"{plane.tilt_degrees:.0f} deg", "" if plane.tilt_degrees <= tilt else (
            f"the head is turned by {plane.tilt_degrees:.0f} degrees, at most {tilt:.0f} are accepted")),
        Verdict("halves", f"{difference:.0f} % difference", "" if difference <= most else (
            f"deep grey matter differs by {difference:.0f} % between the sides: a lesion or a failed segmentation")),
        Verdict("hippocampi", f"{min(halves):.1f} mL the smaller", "" if min(halves) >= least else (
            f"a hippocampus measures {min(halves):.1f} mL: it was not found whole")),
    ]  # fmt: skip


def of_edges(manifest: Manifest, native: Labels, volume: VolumeRef) -> Verdict:
    """Does the brain reach an outer face of the volume, so that it is cut off?"""
    deep, high, wide = volume.spacing_mm
    areas = (high * wide, deep * wide, deep * high)
    cut = max(
        area * float(np.count_nonzero(np.take(native, end, axis=axis)))
        for axis, area in enumerate(areas)
        for end in (0, -1)
    )
    most = manifest.threshold("max_edge_area")
    reason = "" if cut <= most else "the brain reaches the edge of the images: it is not wholly in the field of view"
    return Verdict("brain coverage", f"{cut:.0f} mm2 at an edge", reason)


def cautions(gates: Iterable[tuple[str, str]]) -> Iterator[str]:
    """What the reader is told of this run beside the manifest's limits."""
    values = dict(gates)
    if values.get("contrast") == "unknown":
        yield "It is not known whether contrast medium was given; it brightens vessels and meninges."
    noise = values.get("noise", "")
    if noise.startswith("SNR ") and float(noise.removeprefix("SNR ")) < _CLEAR_SNR:
        yield f"The images are noisy ({noise}); small structures are measured less surely."
    if not noise.startswith("SNR "):
        yield "The background of the images is blank, so their noise is not known."


def _noise(manifest: Manifest, voxels: Voxels) -> Verdict:
    """Signal over noise: noise from the corners, where the magnitude of noise alone has a mean square of 2 sigma2."""
    blocks = [max(size // _CORNER, 1) for size in voxels.shape]
    ends = [(slice(0, block), slice(-block, None)) for block in blocks]
    squares = [
        float(np.square(np.asarray(voxels[a, b, c], dtype=np.float64)).mean())
        for a in ends[0] for b in ends[1] for c in ends[2]
    ]  # fmt: skip
    noisy = sorted(square for square in squares if square > 0.0)
    if len(noisy) < _CORNERS_WANTED:
        return Verdict("noise", "not known, the background is blank", "")
    # The lower corners may hold the neck: the darker half of them is air.
    sigma = float(np.sqrt(np.median(noisy[: max(len(noisy) // 2, 1)]) / 2.0))
    ratio = float(np.quantile(voxels[:: max(len(voxels) // 64, 1)], _SIGNAL)) / sigma
    least = manifest.threshold("min_snr")
    reason = "" if ratio >= least else f"the images are too noisy: signal is {ratio:.0f} times the noise"
    return Verdict("noise", f"SNR {ratio:.0f}", reason)


def _tissues(labels: Labels, image: Floats) -> Verdict:
    """White matter is brighter than cortex and cortex than fluid where an image is T1-weighted, and only there."""
    levels = [float(np.median(image[labels == label])) if (labels == label).any() else float("nan")
              for label in (WHITE_MATTER, CORTEX, VENTRICLE)]  # fmt: skip
    white, grey, fluid = levels
    value = f"white matter {white:.2f}, cortex {grey:.2f}, ventricles {fluid:.2f}"
    reason = "" if white > grey > fluid else "white matter, cortex and fluid do not have the brightness of T1 weighting"
    return Verdict("tissue contrast", value, reason)


def _difference(measured: Measured) -> float:
    """Of thalami, caudate nuclei, putamina and pallida together, percent of the mean of both sides."""
    keys = ("thalamus", "caudate", "putamen", "pallidum")
    left, right = (sum(measured.value(key, side) for key in keys) for side in ("left", "right"))
    return 200.0 * abs(left - right) / (left + right) if left + right else 0.0

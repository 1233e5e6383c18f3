"""Lesions of a mask: their parts, volumes, sides, diameters and ABC/2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, spatial

from models.image import Mask

#: A slice counts wholly, or half, by its section as a share of the largest (Kothari 1996).
_WHOLE, _HALF = 0.75, 0.25
#: Fewer points have no hull.
_TRIANGLE = 3
#: This share of a lesion on one side of the midline is on that side; less is on both.
_ONE_SIDE = 0.9
_TOUCHING = np.ones((3, 3, 3), dtype=np.bool_)


@dataclass(frozen=True)
class Lesion:
    """One part of a mask: where it lies in the volume, its own mask there, and its volume."""

    box: tuple[slice, ...]
    mask: Mask
    volume_ml: float

    def within(self, shape: tuple[int, ...]) -> Mask:
        """Its mask in a whole volume of this shape."""
        whole = np.zeros(shape, dtype=np.bool_)
        whole[self.box] = self.mask
        return whole


def lesions(mask: Mask, voxel_ml: float, least_ml: float) -> list[Lesion]:
    """The parts (joined by faces, edges or corners) of at least `least_ml`, the largest first."""
    labels, count = ndimage.label(mask, structure=_TOUCHING)
    found = []
    for number, box in enumerate(ndimage.find_objects(labels, count), start=1):
        part = np.asarray(labels[box] == number)
        volume = float(part.sum()) * voxel_ml
        if volume >= least_ml:
            found.append(Lesion(box, part, volume))
    return sorted(found, key=lambda one: -one.volume_ml)


def side(mask: Mask, midline: NDArray[np.float64]) -> str:
    """ "left", "right" or "both" by the midline's column in each slice; columns run to the patient's left."""
    slices, _, columns = np.nonzero(mask)
    if len(slices) == 0:
        return ""
    left = float((columns > midline[slices]).mean())
    if left >= _ONE_SIDE:
        return "left"
    return "right" if left <= 1.0 - _ONE_SIDE else "both"


def midline(enclosed: Mask) -> NDArray[np.float64]:
    """The middle column of what the skull encloses in each slice: a straight line through all slices."""
    columns = np.arange(enclosed.shape[2])
    filled: Mask = np.asarray(enclosed.any(axis=1))
    levels = np.flatnonzero(np.any(filled, axis=1))
    middle = np.full(len(enclosed), (enclosed.shape[2] - 1) / 2.0)
    if len(levels) == 0:
        return middle
    ends = np.array([(columns[row][0], columns[row][-1]) for row in filled[levels]], dtype=np.float64)
    weight = ends[:, 1] - ends[:, 0] + 1.0
    if len(levels) == 1:
        return np.full(len(enclosed), float(ends.mean()))
    slope, start = np.polyfit(levels, ends.mean(axis=1), 1, w=weight)
    return np.asarray(slope * np.arange(len(enclosed)) + start)


def by_area(mask: Mask) -> list[int]:
    """The slices that hold any of it, the largest section first."""
    areas = mask.sum(axis=(1, 2))
    return [int(index) for index in np.argsort(-areas, kind="stable") if areas[index]]


def diameter_mm(section: Mask, spacing_mm: tuple[float, float]) -> float:
    """The largest diameter of one section, mm, from edge to edge of its pixels; spacing is (rows, columns)."""
    return _diameters(section, spacing_mm)[0]


def abc2_ml(mask: Mask, spacing_mm: tuple[float, float, float]) -> float:
    """Half of A x B x C: largest diameter, the diameter across it, and the height of the slices, as volume.

    C counts a slice wholly where its section is more than 75 % of the largest, half from 25 % on, else not at all
    (Kothari 1996, doi:10.1161/01.STR.27.8.1304). `mask` is (slices, rows, columns) as acquired, spacing in mm.
    """
    areas = mask.sum(axis=(1, 2))
    if not areas.any():
        return 0.0
    share = areas / areas.max()
    slices = np.count_nonzero(share > _WHOLE) + 0.5 * np.count_nonzero((share >= _HALF) & (share <= _WHOLE))
    height = float(slices) * spacing_mm[0]
    longest, across = _diameters(mask[int(np.argmax(areas))], spacing_mm[1:])
    return longest * across * height / 2.0 / 1000.0


def _diameters(section: Mask, spacing_mm: tuple[float, float]) -> tuple[float, float]:
    """The largest diameter and the extent across it, mm; a pixel reaches half its width beyond its centre."""
    points = np.argwhere(section) * np.array(spacing_mm)
    pixel = float(np.sqrt(spacing_mm[0] * spacing_mm[1]))
    if len(points) == 0:
        return 0.0, 0.0
    corners = _corners(points)
    apart = np.linalg.norm(corners[:, None] - corners[None], axis=-1)
    first, second = np.unravel_index(int(np.argmax(apart)), apart.shape)
    longest = float(apart[first, second])
    if longest == 0.0:
        return pixel, pixel
    along = (corners[second] - corners[first]) / longest
    across = corners @ np.array([-along[1], along[0]])
    return longest + pixel, float(np.ptp(across)) + pixel


def _corners(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners of the convex hull; the points themselves where they have none (a line)."""
    if len(points) <= _TRIANGLE or np.any(np.ptp(points, axis=0) == 0.0):
        return points
    try:
        return np.asarray(points[spatial.ConvexHull(points).vertices])
    except spatial.QhullError:
        return points

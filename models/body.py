"""The air inside the body on a chest CT: not the room around it, not the table's filling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.image import Mask, Voxels

#: Grid on which the body is told from the table, mm; what is thinner than twice that is dropped as table or cloth.
_COARSE_MM = 4.0


@dataclass(frozen=True)
class BodyAir:
    """Air inside the body by voxel; the column of the body's midline and its half width in columns, by slice."""

    inside: Mask
    midline: NDArray[np.float64]
    half_width: NDArray[np.float64]


def body_air(
    voxels: Voxels, spacing_mm: tuple[float, float, float], air_hu: float, check: Callable[[], None]
) -> BodyAir:
    """Air (strictly below `air_hu`) that no slice's border reaches and that lies between the body's front and back."""
    steps = tuple(max(1, round(_COARSE_MM / spacing)) for spacing in spacing_mm)
    hull = _hull(voxels[:: steps[0], :: steps[1], :: steps[2]], air_hu)
    rows, columns = np.arange(voxels.shape[1]) // steps[1], np.arange(voxels.shape[2]) // steps[2]
    inside = np.zeros(voxels.shape, dtype=np.bool_)
    middle, half = np.zeros(len(voxels)), np.zeros(len(voxels))
    for index in range(len(voxels)):
        check()
        fine = hull[index // steps[0]][np.ix_(rows, columns)]
        inside[index] = _enclosed(voxels[index] < air_hu, fine)
        middle[index], half[index] = _extent(fine)
    return BodyAir(inside, middle, half)


def _hull(voxels: Voxels, air_hu: float) -> Mask:
    """All rows between the first and the last row of the body, column by column: lungs inside, table outside."""
    cross = ndimage.generate_binary_structure(3, 1)
    labels, count = ndimage.label(ndimage.binary_erosion(voxels >= air_hu, cross))
    if count == 0:
        return np.zeros(voxels.shape, dtype=np.bool_)
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    body = ndimage.binary_dilation(largest, cross, iterations=2)
    from_front = np.logical_or.accumulate(body, axis=1)
    from_back = np.logical_or.accumulate(body[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(from_front & from_back, dtype=np.bool_)


def _enclosed(air: Mask, hull: Mask) -> Mask:
    """Pieces of air in one slice that do not reach its border and lie, by more than half, in the hull."""
    labels, count = ndimage.label(air)
    if count == 0:
        return air
    size = np.bincount(labels.ravel(), minlength=count + 1)
    keep = 2 * np.bincount(labels[hull], minlength=count + 1) > size
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        keep[edge] = False
    keep[0] = False
    return np.asarray(keep[labels], dtype=np.bool_)


def _extent(hull: Mask) -> tuple[float, float]:
    columns = np.flatnonzero(hull.any(axis=0))
    if len(columns) == 0:
        return hull.shape[1] / 2.0, hull.shape[1] / 2.0
    return float(columns[0] + columns[-1]) / 2.0, float(columns[-1] - columns[0]) / 2.0

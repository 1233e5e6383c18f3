"""The spine laid straight: densities along the line of the vertebral bodies, in planes at right angles to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.image import Voxels
from models.spine import Line, Spine

Triple = tuple[float, float, float]

#: Steps of the straight volume along the spine and across it, mm.
STEP_MM, ACROSS_MM = 1.0, 1.5
#: How far it reaches in front of the line, behind it and to each side, mm.
FRONT_MM, BEHIND_MM, SIDE_MM = 27.0, 45.0, 42.0
#: The direction of the line is taken over this length, mm.
TURN_MM = 8.0


@dataclass(frozen=True)
class Straight:
    """HU as (along, behind, aside): along from head to foot, behind to the back, aside to the left.

    `points` and the three unit directions are in mm along the axes of the volume (slice, row, column), one per step.
    """

    hu: NDArray[np.float32]
    points: Line
    along: Line
    behind: Line
    aside: Line
    canal_mm: Line

    @property
    def behind_mm(self) -> Line:
        """The places along the second axis, 0 in the middle of the body."""
        return np.arange(-FRONT_MM, BEHIND_MM + 0.1, ACROSS_MM)

    @property
    def aside_mm(self) -> Line:
        """The places along the third axis, 0 in the middle of the body."""
        return np.arange(-SIDE_MM, SIDE_MM + 0.1, ACROSS_MM)


def straighten(voxels: Voxels, spacing_mm: Triple, spine: Spine) -> Straight:
    """Densities by line between voxels; what lies outside of the images reads as air, -1024 HU."""
    spacing = np.array(spacing_mm)
    places = np.column_stack([np.arange(len(voxels)), spine.body]) * spacing
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(places, axis=0), axis=1))])
    steps = np.arange(0.0, length[-1] + 1e-6, STEP_MM)
    points = np.column_stack([np.interp(steps, length, places[:, axis]) for axis in range(3)])
    points[:, 1:] = ndimage.gaussian_filter1d(points[:, 1:], 4.0 / STEP_MM, axis=0, mode="nearest")
    smooth = ndimage.gaussian_filter1d(points, TURN_MM / STEP_MM, axis=0, mode="nearest")
    along = _unit(np.gradient(smooth, axis=0))
    behind = _unit(np.array([0.0, 1.0, 0.0]) - along[:, 1:2] * along)
    aside = np.cross(along, behind)
    aside *= np.sign(aside[:, 2:3])
    canal = np.column_stack([np.arange(len(voxels)), spine.canal]) * spacing
    apart = np.linalg.norm(canal - places, axis=1) * np.sign(canal[:, 1] - places[:, 1])
    empty = Straight(np.zeros((0, 0, 0), np.float32), points, along, behind, aside, np.interp(steps, length, apart))
    hu = _sampled(voxels, spacing, empty)
    return Straight(hu, points, along, behind, aside, empty.canal_mm)


def _sampled(voxels: Voxels, spacing: Line, line: Straight) -> NDArray[np.float32]:
    reach = np.array([0.0, max(FRONT_MM, BEHIND_MM), SIDE_MM]) * 1.3 / spacing
    low = np.maximum(0, np.floor((line.points / spacing).min(axis=0) - reach)).astype(int)
    high = np.ceil((line.points / spacing).max(axis=0) + reach).astype(int) + 1
    box = voxels[:, low[1] : high[1], low[2] : high[2]].astype(np.float32)
    back, side = line.behind_mm, line.aside_mm
    hu = np.empty((len(line.points), len(back), len(side)), dtype=np.float32)
    for index, point in enumerate(line.points):
        plane = (
            point[:, None, None]
            + line.behind[index][:, None, None] * back[None, :, None]
            + line.aside[index][:, None, None] * side[None, None, :]
        )
        where = plane / spacing[:, None, None] - np.array([0, low[1], low[2]])[:, None, None]
        ndimage.map_coordinates(box, where, output=hu[index], order=1, mode="constant", cval=-1024.0)
    return hu


def _unit(vectors: Line) -> Line:
    length: Line = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-9))

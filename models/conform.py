"""A head on the grid that networks trained after FreeSurfer's preparation expect, and labels back on the scanner's.

The grid is 256 x 256 x 256 voxels of 1 mm; its indices grow to the patient's left, feet and front ("LIA"). It is placed
by the volume's affine alone, so that any orientation of the slices, oblique ones too, is read alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cds.domain.imaging import VolumeRef
from cds.errors import NotEvaluable
from models.image import Voxels

SIDE = 256
Floats = NDArray[np.float32]
Labels = NDArray[np.uint8]
Matrix = NDArray[np.float64]

#: Steps of the grid in patient coordinates (LPS), columns are its three indices: +x, -z, -y.
AXES: Matrix = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]])
#: A voxel smaller than this is none: two axes point the same way.
_LEAST_MM3 = 1e-6
#: Planes that are resampled between two looks at the cancel token.
_PLANES = 32


@dataclass(frozen=True)
class Grid:
    """Where the conformed grid lies: 4 x 4 from its indices (l, i, a, 1) to the volume's (slice, row, column, 1)."""

    to_native: Matrix
    native_shape: tuple[int, int, int]

    @property
    def from_native(self) -> Matrix:
        """4 x 4 from the volume's indices to the grid's."""
        return np.asarray(np.linalg.inv(self.to_native), dtype=np.float64)


def grid_of(volume: VolumeRef) -> Grid:
    """Place the grid around the volume's middle; where the volume is taller than the grid, at its top.

    A voxel of the volume falls on one of the grid, so that 1 mm images in straight slices are not blurred. Raise
    NotEvaluable where the volume has no extent in space.
    """
    affine = np.array(volume.affine, dtype=np.float64).reshape(4, 4)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < _LEAST_MM3:
        raise NotEvaluable("the position of the slices in space is not stated as a volume's", gate="geometry")
    ends = np.array(np.meshgrid(*[(0.0, size - 1.0) for size in volume.shape], indexing="ij")).reshape(3, -1)
    corners = AXES.T @ (affine[:3, :3] @ ends + affine[:3, 3:])
    low, high = corners.min(axis=1), corners.max(axis=1)
    first = (low + high) / 2.0 - (SIDE - 1) / 2.0
    if high[1] - low[1] > SIDE - 1:
        first[1] = low[1]
    voxel = AXES.T @ affine[:3, 3]
    first = voxel - np.ceil(voxel - first - 0.5)
    to_patient = np.eye(4)
    to_patient[:3, :3], to_patient[:3, 3] = AXES, AXES @ first
    return Grid(np.linalg.inv(affine) @ to_patient, volume.shape)


def extent_mm(volume: VolumeRef) -> tuple[float, float, float]:
    """What the volume covers from side to side, head to feet and back to front, mm."""
    steps = np.abs(AXES.T @ np.array(volume.affine, dtype=np.float64).reshape(4, 4)[:3, :3])
    across, down, deep = steps @ np.array(volume.shape, dtype=np.float64)
    return float(across), float(down), float(deep)


def conform(voxels: Voxels, grid: Grid, check: Callable[[], None]) -> Floats:
    """The volume on the grid by linear interpolation, the volume's least value where the volume does not reach.

    `voxels` are (slices, rows, columns) in the order of the file, which is the order of the affine.
    """
    source = np.ascontiguousarray(voxels, dtype=np.float32)
    least = float(source.min())
    out = np.full((SIDE, SIDE, SIDE), least, dtype=np.float32)
    matrix, offset = grid.to_native[:3, :3], grid.to_native[:3, 3]
    left, down, front = _reached(grid)
    for start in range(left.start, left.stop, _PLANES):
        check()
        part = out[start : min(start + _PLANES, left.stop), down, front]
        first = np.array([start, down.start, front.start], dtype=np.float64)
        part[...] = ndimage.affine_transform(
            source, matrix, offset + matrix @ first, output_shape=part.shape, output=np.float32, order=1, cval=least
        )
    return out


def _reached(grid: Grid) -> tuple[slice, slice, slice]:
    """The part of the grid that the volume may reach."""
    ends = np.array(np.meshgrid(*[(-1.0, float(size)) for size in grid.native_shape], indexing="ij")).reshape(3, -1)
    corners = grid.from_native[:3, :3] @ ends + grid.from_native[:3, 3:]
    low = np.clip(np.floor(corners.min(axis=1)), 0, SIDE).astype(int).tolist()
    high = np.clip(np.ceil(corners.max(axis=1)) + 1, 0, SIDE).astype(int).tolist()
    left, down, front = (slice(start, stop) for start, stop in zip(low, high, strict=True))
    return left, down, front


def to_native(labels: Labels, grid: Grid, check: Callable[[], None]) -> Labels:
    """The label of the nearest voxel of the grid for every voxel of the volume, in the order of the file."""
    out = np.empty(grid.native_shape, dtype=np.uint8)
    matrix, offset = grid.from_native[:3, :3], grid.from_native[:3, 3]
    for start in range(0, len(out), _PLANES):
        check()
        part = out[start : start + _PLANES]
        ndimage.affine_transform(
            labels,
            matrix,
            offset + matrix[:, 0] * start,
            output=part,
            output_shape=part.shape,
            order=0,
            prefilter=False,
        )
    return out


def scaled(conformed: Floats, low: float, high: float) -> Floats:
    """Intensities so that the `low` and `high` quantiles (0 to 1) of all voxels become 0 and 1; none is cut off.

    Raise NotEvaluable where both are the same: there is no image.
    """
    bottom, top = np.quantile(conformed, [low, high])
    if not top > bottom:
        raise NotEvaluable("the images are empty: nearly all of their values are the same", gate="intensity")
    scaled_: Floats = ((conformed - bottom) / (top - bottom)).astype(np.float32)
    return scaled_

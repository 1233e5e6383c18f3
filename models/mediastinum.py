"""What lies between the lungs on axial CT, and its landmarks: the division of the trachea and the dome of the liver.

The images may show the heart alone, with lungs that the field of view cuts. Rows must grow to the patient's back and
columns to the left; slice 0 is the most cranial. The search runs on a grid of 3 mm; every length is the project's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from cds.errors import NotEvaluable
from models.image import Mask, Voxels
from models.spine import Line, Spine

Triple = tuple[float, float, float]
Field = NDArray[np.float32]

GRID_MM = 3.0
#: Mean densities of lung on the grid, HU: room air and gas lie below, vessels and walls above.
LUNG_HU = (-972.0, -400.0)
#: A lung is no smaller than this, and no smaller than this part of the larger one, mL and share.
MIN_LUNG_ML, MIN_SHARE = 60.0, 0.1
#: A lung's middle is no further behind the canal (else: the table), and no further from it to any side, mm.
BEHIND_MM, AWAY_MM = 35.0, 220.0
#: Lumen of the airway on the grid, HU; area of the trachea and of a main bronchus, mm2; distance from the spine, mm.
LUMEN_HU, TRACHEA_MM2, BRONCHUS_MM2, OFF_SPINE_MM = -600.0, (45.0, 800.0), 25.0, 35.0
#: Open air, not the rim of a lung, HU on the grid.
DARK_HU = -900.0
#: The trachea is followed over this height at least before it divides, mm.
MIN_TRACHEA_MM = 9.0
#: The dome is looked for this far right of the spine and within the lung's outline less this margin, mm.
DOME_FROM_MM, DOME_MARGIN_MM = 45.0, 12.0
#: So much must be seen below the dome, or its highest point is not known, mm.
BELOW_DOME_MM = 9.0
#: A hull needs a surface; what lies on it belongs to it.
_PIXELS, _ON_EDGE = 3, 1e-6
_CROSS = ndimage.generate_binary_structure(3, 1)


@dataclass(frozen=True)
class Mediastinum:
    """Masks and mean densities on the grid (see `step`: voxels per step); landmarks as slices, None where not seen.

    `between` is the `hull` of both lungs less the lungs; `airway` open air in it, near the spine. `bronchi_at_top`: the
    first slices show two main bronchi, so that the trachea divides not far above. Volumes in mL.
    """

    step: tuple[int, int, int]
    grid_mm: Triple
    shape: tuple[int, ...]
    soft: Field
    lungs: Mask
    hull: Mask
    between: Mask
    airway: Mask
    carina: int | None
    bronchi_at_top: bool
    dome: int | None
    right_ml: float
    left_ml: float

    def full(self, mask: Mask) -> Mask:
        """A mask of the grid on the voxels of the volume."""
        zyx = [
            np.minimum(np.arange(count) // step, size - 1)
            for count, step, size in zip(self.shape, self.step, mask.shape, strict=True)
        ]
        return np.asarray(mask[np.ix_(*zyx)])


def find_mediastinum(voxels: Voxels, spacing_mm: Triple, spine: Spine, check: Callable[[], None]) -> Mediastinum:
    """Lungs, what lies between them and the landmarks; raise NotEvaluable(gate="lungs") without two lungs."""
    soft, step = coarse(voxels, spacing_mm, check)
    grid = (step[0] * spacing_mm[0], step[1] * spacing_mm[1], step[2] * spacing_mm[2])
    centre = _on_grid(spine.body, step)
    lungs = _lungs(soft, grid, centre)
    check()
    side = np.arange(soft.shape[2])[None, :] < centre[:, 1, None]
    by_side = lungs.sum(axis=1)
    voxel_ml = math.prod(grid) / 1000.0
    right, left = float(by_side[side].sum()) * voxel_ml, float(by_side[~side].sum()) * voxel_ml
    if min(right, left) < MIN_LUNG_ML:
        raise NotEvaluable("lung was not found on both sides of the chest, so the heart is not known", gate="lungs")
    filled = np.asarray(ndimage.binary_closing(np.pad(lungs, 3), _CROSS, iterations=2)[3:-3, 3:-3, 3:-3])
    hull = np.stack([_hull(one, centre[index, 1]) for index, one in enumerate(lungs)])
    check()
    off = np.abs(np.arange(soft.shape[2])[None, :] - centre[:, 1, None]) * grid[2]
    airway = np.asarray(hull & ~filled & (soft < DARK_HU) & (off <= OFF_SPINE_MM)[:, None, :])
    carina, bronchi = _carina(soft, lungs, grid, centre)
    return Mediastinum(
        step=step,
        grid_mm=grid,
        shape=voxels.shape,
        soft=soft,
        lungs=lungs,
        hull=hull,
        between=np.asarray(hull & ~filled),
        airway=airway,
        carina=None if carina is None else carina * step[0],
        bronchi_at_top=bronchi,
        dome=_dome(filled, grid, centre, step[0]),
        right_ml=right,
        left_ml=left,
    )


def coarse(voxels: Voxels, spacing_mm: Triple, check: Callable[[], None]) -> tuple[Field, tuple[int, int, int]]:
    """Means over blocks of about 3 mm, and voxels per block; what is left over at the far ends is dropped."""
    z, y, x = (max(1, round(GRID_MM / spacing)) for spacing in spacing_mm)
    shape = (len(voxels) // z, voxels.shape[1] // y, voxels.shape[2] // x)
    soft = np.empty(shape, dtype=np.float32)
    for index in range(shape[0]):
        check()
        block = voxels[index * z : (index + 1) * z, : shape[1] * y, : shape[2] * x].astype(np.float32)
        soft[index] = block.reshape(z, shape[1], y, shape[2], x).mean(axis=(0, 2, 4))
    return soft, (z, y, x)


def _on_grid(places: Line, step: tuple[int, int, int]) -> Line:
    """(row, column) on the grid, one for each of its slices."""
    middle = places[step[0] // 2 :: step[0]][: len(places) // step[0]]
    return np.asarray((middle - (np.array(step[1:]) - 1.0) / 2.0) / np.array(step[1:]))


def _lungs(soft: Field, grid: Triple, centre: Line) -> Mask:
    """Pieces of lung's density beside and in front of the spine that are no smaller than a tenth of the largest."""
    dense = (soft > LUNG_HU[0]) & (soft < LUNG_HU[1])
    labels, count = ndimage.label(ndimage.binary_opening(dense, _CROSS))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    wanted = [label + 1 for label in np.flatnonzero(sizes * math.prod(grid) / 1000.0 >= MIN_LUNG_ML)]
    kept = []
    for label, place in zip(wanted, ndimage.center_of_mass(labels > 0, labels, wanted), strict=True):
        row, column = centre[min(len(centre) - 1, round(place[0]))]
        behind, aside = (place[1] - row) * grid[1], abs(place[2] - column) * grid[2]
        if -AWAY_MM < behind < BEHIND_MM and aside < AWAY_MM:
            kept.append(label)
    largest = max((sizes[label - 1] for label in kept), default=0)
    return np.isin(labels, [label for label in kept if sizes[label - 1] >= MIN_SHARE * largest])


def _hull(lungs: Mask, middle: float) -> Mask:
    """The convex hull of the lungs in one slice; nothing where lung lies on one side alone."""
    rows, columns = np.nonzero(lungs)
    nothing = np.zeros(lungs.shape, dtype=np.bool_)
    left = columns > middle
    if min(int(left.sum()), int((~left).sum())) < _PIXELS or np.ptp(rows) <= 1 or np.ptp(columns) <= 1:
        return nothing
    hull = ConvexHull(np.stack([rows, columns], axis=1).astype(np.float64))
    grid = np.moveaxis(np.indices(lungs.shape), 0, -1)
    return np.asarray((grid @ hull.equations[:, :2].T + hull.equations[:, 2] <= _ON_EDGE).all(axis=-1))


def _carina(soft: Field, lungs: Mask, grid: Triple, centre: Line) -> tuple[int | None, bool]:
    """The slice of the grid from which on the airway is two, and whether the first slices show two bronchi already."""
    followed = 0.0
    above: Mask | None = None
    for index in range(len(soft)):
        pieces = _lumens(soft[index], lungs[index], grid, centre[index])
        if above is not None:
            near = ndimage.binary_dilation(above)
            pieces = [piece for piece in pieces if (piece & near).any()]
        area = grid[1] * grid[2]
        if _apart(pieces) and followed >= MIN_TRACHEA_MM:
            return index, False
        if _apart(pieces) and index * grid[0] <= MIN_TRACHEA_MM:
            return None, True
        single = [piece for piece in pieces if TRACHEA_MM2[0] <= piece.sum() * area <= TRACHEA_MM2[1]]
        if len(single) == 1:
            above, followed = single[0], followed + grid[0]
        else:
            above, followed = None, 0.0
    return None, False


def _lumens(soft: Field, lungs: Mask, grid: Triple, centre: Line) -> list[Mask]:
    """Pieces of air in one slice that are no lung, in front of the spine and near it."""
    lumen = (soft < LUMEN_HU) & ~lungs
    row, column = round(centre[0]), centre[1]
    lumen[row:] = False
    lumen[: max(0, row - round(100.0 / grid[1]))] = False
    labels, count = ndimage.label(lumen)
    pieces = []
    for label in range(1, count + 1):
        piece = labels == label
        if float(soft[piece].min()) > DARK_HU:
            continue
        place = float(np.nonzero(piece)[1].mean())
        if piece.sum() * grid[1] * grid[2] >= BRONCHUS_MM2 and abs(place - column) * grid[2] <= OFF_SPINE_MM:
            pieces.append(piece)
    return pieces


def _apart(pieces: list[Mask]) -> bool:
    """Whether there are two that lie side by side: a bronchus to each side, and no gas in the gullet behind."""
    if len(pieces) <= 1:
        return False
    first, second = sorted(pieces, key=lambda piece: int(piece.sum()))[-2:]
    (rows, columns), (other_rows, other_columns) = np.nonzero(first), np.nonzero(second)
    across = abs(float(columns.mean() - other_columns.mean()))
    return across > abs(float(rows.mean() - other_rows.mean()))


def _dome(lungs: Mask, grid: Triple, centre: Line, step: int) -> int | None:
    """The slice of the volume at which the right half of the diaphragm stands highest; None where it is not seen."""
    column = round(float(np.median(centre[:, 1])) - DOME_FROM_MM / grid[2])
    right = lungs[:, :, : max(0, column)]
    margin = max(1, round(DOME_MARGIN_MM / grid[1]))
    inner = ndimage.binary_erosion(right.any(axis=0), iterations=margin)
    if not inner.any():
        return None
    last = len(right) - 1 - np.argmax(right[::-1], axis=0)
    dome = int(np.percentile(last[inner], 5.0))
    return None if (len(lungs) - 1 - dome) * grid[0] < BELOW_DOME_MM else (dome + 1) * step

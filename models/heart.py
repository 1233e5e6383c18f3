"""Where the coronary arteries run on axial CT: between the lungs, in front of the spine, from below the division of the
trachea to below the dome of the diaphragm. Found by place alone, so that it is the same with and without disease.

Great vessels' roots, valves and pericardium lie in the region too; their calcium cannot be told from the arteries'.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cds.errors import NotEvaluable
from models.image import Mask
from models.mediastinum import Mediastinum, Triple
from models.spine import Spine

#: From so far below the tracheal division to so far below the dome: the right coronary artery runs under the heart.
BELOW_CARINA_MM, BELOW_DOME_MM = 10.0, 35.0
#: In front of the vertebral bodies by this; to the right of the spine by this where the liver lies beside the heart.
IN_FRONT_MM, RIGHT_BELOW_DOME_MM = 12.0, 30.0
#: Around the airways nothing counts: calcified lymph nodes lie there.
AIRWAY_MM = 9.0


@dataclass(frozen=True)
class Heart:
    """The region by voxel, its first and last slice, its volume (mL), and what the gates look at (mm).

    `edge_mm` is the distance from the region to the nearest edge of the images within the slice; `below_mm` how much
    is seen below the dome.
    """

    region: Mask
    first: int
    last: int
    volume_ml: float
    edge_mm: float
    below_mm: float


def find_heart(mediastinum: Mediastinum, spine: Spine, spacing_mm: Triple, check: Callable[[], None]) -> Heart:
    """The region; raise NotEvaluable with the gate where its upper or lower end is not in the images."""
    first, last = _ends(mediastinum, spacing_mm)
    here = _place(mediastinum, spine, spacing_mm, first, last)
    check()
    opened = ndimage.binary_opening(here, ndimage.generate_binary_structure(3, 1))
    labels, count = ndimage.label(opened)
    if count == 0:
        raise NotEvaluable("no heart was found between the lungs", gate="heart")
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    grid = mediastinum.grid_mm
    grown = ndimage.binary_dilation(largest, ndimage.generate_binary_structure(3, 1))
    airway = ndimage.binary_dilation(mediastinum.airway, iterations=max(1, round(AIRWAY_MM / grid[1])))
    region = mediastinum.full(np.asarray(grown & ~airway))
    region[:first] = False
    region[last + 1 :] = False
    rows, columns = np.flatnonzero(region.any(axis=(0, 2))), np.flatnonzero(region.any(axis=(0, 1)))
    ahead = min(rows[0], region.shape[1] - 1 - rows[-1]) * spacing_mm[1]
    aside = min(columns[0], region.shape[2] - 1 - columns[-1]) * spacing_mm[2]
    return Heart(
        region=region,
        first=first,
        last=last,
        volume_ml=float(largest.sum()) * math.prod(grid) / 1000.0,
        edge_mm=float(min(ahead, aside)),
        below_mm=(len(region) - 1 - (mediastinum.dome or 0)) * spacing_mm[0],
    )


def _ends(mediastinum: Mediastinum, spacing_mm: Triple) -> tuple[int, int]:
    if mediastinum.dome is None:
        raise NotEvaluable(
            "the dome of the diaphragm is not in the images, so the lower part of the heart is not covered",
            gate="heart coverage",
        )
    if mediastinum.carina is None and not mediastinum.bronchi_at_top:
        raise NotEvaluable(
            "neither the division of the trachea nor two main bronchi were found, so it is not known that the images "
            "begin above the coronary arteries",
            gate="heart coverage",
        )
    first = 0 if mediastinum.carina is None else mediastinum.carina + round(BELOW_CARINA_MM / spacing_mm[0])
    last = min(mediastinum.shape[0] - 1, mediastinum.dome + round(BELOW_DOME_MM / spacing_mm[0]))
    if first >= last:
        raise NotEvaluable("no heart was found between the trachea's division and the diaphragm", gate="heart")
    return first, last


def _place(mediastinum: Mediastinum, spine: Spine, spacing_mm: Triple, first: int, last: int) -> Mask:
    """On the grid: between the lungs, in front of the spine, and beside the liver no further right than the heart."""
    step, grid = mediastinum.step, mediastinum.grid_mm
    here = mediastinum.between.copy()
    for index in range(len(here)):
        whole = min(index * step[0] + step[0] // 2, len(spine.front) - 1)
        row = round((spine.front[whole] - IN_FRONT_MM / spacing_mm[1]) / step[1])
        here[index, max(0, row) :] = False
        if mediastinum.dome is not None and whole >= mediastinum.dome:
            column = round(spine.body[whole, 1] / step[2] - RIGHT_BELOW_DOME_MM / grid[2])
            here[index, :, : max(0, column)] = False
    here[: first // step[0]] = False
    here[last // step[0] + 1 :] = False
    return here

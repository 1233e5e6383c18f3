"""Tissue that is as bright as blood with contrast medium and no bone: in the heart and the vessels, in the kidneys.

A vessel that was followed may be the wrong one, and contrast medium may have reached some chambers alone. So what lies
deep inside anything bright is counted, wherever it is; bone is left out by its place and because it is thin. Rows must
grow to the patient's back and columns to the left, slice 0 the most cranial. Lengths in mm, the project's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from models.image import Mask, Voxels
from models.mediastinum import Field, Mediastinum, Triple, coarse
from models.spine import Line, Spine

#: What counts lies this deep inside of what is bright: calcified walls and arteries have no such inside, nor have ribs.
INSIDE_MM, INSIDE_AMONG_RIBS_MM = 3.5, 6.5
#: One piece of this volume is no calcification but a chamber, a vessel or an organ, mL.
LEAST_ML = 1.0
#: Vertebral bodies: to their sides as a part of their depth and further, and so far in front of them.
_SIDE, _SIDE_MM, _FRONT_MM = 0.75, 4.0, 4.0
#: Large vessels of the abdomen: in front of the bodies and to the sides.
_VESSELS_MM = (45.0, 45.0)
#: Kidneys: in front of the bodies' front wall, behind the canal's middle, and from and to so far to the sides.
_KIDNEYS_MM = (30.0, 35.0, 32.0, 95.0)
Span = tuple[float, float]


class _Around:
    """Places of a grid, mm: rows behind the front wall and behind the canal's middle, columns aside of the bodies."""

    def __init__(self, spine: Spine, shape: tuple[int, ...], step: tuple[int, int, int], spacing_mm: Triple) -> None:
        at = np.minimum(step[0] * np.arange(shape[0]) + step[0] // 2, len(spine.front) - 1)
        rows = (np.arange(shape[1]) + 0.5) * step[1] - 0.5
        columns = (np.arange(shape[2]) + 0.5) * step[2] - 0.5
        self.front: Line = ((rows - spine.front[at, None]) * spacing_mm[1])[:, :, None]
        self.canal: Line = ((rows - spine.canal[at, :1]) * spacing_mm[1])[:, :, None]
        self.aside: Line = (np.abs(columns - spine.body[at, 1:]) * spacing_mm[2])[:, None, :]
        self.width: Line = (_SIDE * spine.depth_mm[at] + _SIDE_MM)[:, None, None]

    def before(self) -> Mask:
        """In front of the bodies, or beside them and in front of the canal."""
        return np.asarray((self.front < -_FRONT_MM) | ((self.canal < 0.0) & (self.aside > self.width)))

    def vessels(self) -> Mask:
        """Where the large vessels of the abdomen lie."""
        ahead, wide = _VESSELS_MM
        return np.asarray((self.front < -_FRONT_MM) & (self.front > -ahead) & (self.aside < wide))

    def kidneys(self) -> Mask:
        """Where the kidneys lie, and ribs with them."""
        front, behind, first, last = _KIDNEYS_MM
        return np.asarray((self.front > -front) & (self.canal < behind) & (self.aside > first) & (self.aside < last))


def chest_ml(middle: Mediastinum, spine: Spine, spacing_mm: Triple, at_least_hu: float) -> float:
    """The largest bright piece between the lungs, from the tracheal division to the dome as far as they are known.

    Vessels that the lungs embrace too, which are left out of `middle.between`.
    """
    here = middle.hull & _Around(spine, middle.hull.shape, middle.step, spacing_mm).before()
    here[: (middle.carina or 0) // middle.step[0]] = False
    if middle.dome is not None:
        here[middle.dome // middle.step[0] :] = False
    return _largest_ml(middle.soft, here, middle.grid_mm, at_least_hu, INSIDE_MM)


def abdomen_ml(
    voxels: Voxels,
    spacing_mm: Triple,
    spine: Spine,
    levels: tuple[int, int],
    at_least_hu: float,
    *,
    spared_hu: Span | None = None,
    check: Callable[[], None],
) -> float:
    """The largest bright piece among vessels and kidneys between two slices; what reads within `spared_hu` is none."""
    part = slice(levels[0], levels[1] + 1)
    soft, step = coarse(voxels[part], spacing_mm, check)
    grid = (step[0] * spacing_mm[0], step[1] * spacing_mm[1], step[2] * spacing_mm[2])
    near = Spine(spine.canal[part], spine.body[part], spine.front[part], spine.depth_mm[part], spine.surrounded[part])
    around = _Around(near, soft.shape, step, spacing_mm)
    return max(
        _largest_ml(soft, here, grid, at_least_hu, inside_mm, spared_hu=spared_hu)
        for here, inside_mm in ((around.vessels(), INSIDE_MM), (around.kidneys(), INSIDE_AMONG_RIBS_MM))
    )


def _largest_ml(
    soft: Field, here: Mask, grid_mm: Triple, at_least_hu: float, inside_mm: float, *, spared_hu: Span | None = None
) -> float:
    """Of what lies deep inside; the median along the body takes noise and short calcium away, vessels stay as wide."""
    if not here.any():
        return 0.0
    box = ndimage.find_objects(here.astype(np.uint8))[0]
    calm = ndimage.median_filter(soft[box], size=(3, 1, 1))
    dense = (calm > at_least_hu) & here[box]
    if spared_hu is not None:
        dense &= (calm < spared_hu[0]) | (calm > spared_hu[1])
    # What leaves the box at its ends goes on there, what leaves it at its sides does not.
    padded = np.pad(dense, ((0, 0), (1, 1), (1, 1)))
    depth = ndimage.distance_transform_edt(padded, sampling=grid_mm) - max(grid_mm) / 2.0
    pieces, count = ndimage.label((depth >= inside_mm) & padded)
    if count == 0:
        return 0.0
    return float(np.bincount(pieces.ravel())[1:].max()) * math.prod(grid_mm) / 1000.0

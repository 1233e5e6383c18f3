"""Metal on CT: leads, valves, stents, wires. What is denser than calcium and bone is taken for it."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from models.image import Mask, Voxels


def metal_mm3(
    voxels: Voxels, region: Mask, spacing_mm: tuple[float, float, float], at_least_hu: float, margin_mm: float
) -> float:
    """Volume at or above `at_least_hu` in the region and in a box of `margin_mm` around it: streaks reach that far."""
    dense = np.zeros(region.shape, dtype=np.bool_)
    for index, one in enumerate(voxels):
        dense[index] = one >= at_least_hu
    if not dense.any():
        return 0.0
    reach = [math.ceil(margin_mm / spacing) for spacing in spacing_mm]
    found = ndimage.find_objects(dense.astype(np.uint8))[0]
    box = tuple(slice(max(0, part.start - one), part.stop + one) for part, one in zip(found, reach, strict=True))
    near = ndimage.maximum_filter(region[box], size=[2 * one + 1 for one in reach], mode="constant", cval=0)
    return float((dense[box] & near).sum()) * math.prod(spacing_mm)

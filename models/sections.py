"""A part of a volume in sections as thick as calcium scores are defined on, and the way back to the volume."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.agatston import SLICE_MM
from models.image import Mask, Voxels

Triple = tuple[float, float, float]

#: Sections thinner than this are averaged: they are noisier, and more of them reach 130 HU. The project's own.
THIN_MM = 2.0
#: Bone is followed so far out of the region, to tell it from calcium in it, mm.
MARGIN_MM = 18.0
#: Calcium is taken to belong to bone where more than this part of its piece lies outside the region.
MAX_OUTSIDE = 0.5
_FULL = ndimage.generate_binary_structure(3, 3)


@dataclass(frozen=True)
class Sections:
    """The region with a margin; `origin` is its first voxel, `thick` how many slices of the volume make one section."""

    voxels: Voxels
    region: Mask
    spacing_mm: Triple
    origin: tuple[int, int, int]
    thick: int

    def slice_of(self, section: int) -> int:
        """The slice of the volume in the middle of a section."""
        return self.origin[0] + section * self.thick + self.thick // 2

    def candidates(self, at_least_hu: float) -> Mask:
        """Voxels of the region at or above a density, less pieces that mostly lie outside: ribs, breastbone, spine."""
        labels, count = ndimage.label(np.asarray(self.voxels >= at_least_hu), _FULL)
        total = np.bincount(labels.ravel(), minlength=count + 1)
        inside = np.bincount(labels[self.region], minlength=count + 1)
        keep = inside >= (1.0 - MAX_OUTSIDE) * total
        keep[0] = False
        return np.asarray(keep[labels] & self.region)

    def on_volume(self, mask: Mask, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """A mask of the sections on the voxels of the volume: 1 where it is true."""
        whole = np.zeros(shape, dtype=np.uint8)
        part = np.repeat(mask, self.thick, axis=0)
        z, y, x = self.origin
        whole[z : z + part.shape[0], y : y + part.shape[1], x : x + part.shape[2]] = part
        return whole


def cut(voxels: Voxels, region: Mask, spacing_mm: Triple, thickness_mm: float) -> Sections:
    """The region and a margin around it; slices of less than 2 mm are averaged to sections of about 3 mm."""
    thick = max(1, round(SLICE_MM / spacing_mm[0])) if thickness_mm < THIN_MM else 1
    slices, rows, columns = (
        _span(region, axes, spacing) for axes, spacing in zip(((1, 2), (0, 2), (0, 1)), spacing_mm, strict=True)
    )
    count = (slices.stop - slices.start) // thick
    slices = slice(slices.start, slices.start + count * thick)
    part = voxels[slices, rows, columns]
    if thick > 1:
        part = part.reshape(count, thick, *part.shape[1:]).mean(axis=1, dtype=np.float32)
    return Sections(
        voxels=part,
        region=region[slices, rows, columns][thick // 2 :: thick],
        spacing_mm=(thick * spacing_mm[0], spacing_mm[1], spacing_mm[2]),
        origin=(slices.start, rows.start, columns.start),
        thick=thick,
    )


def _span(region: Mask, across: tuple[int, int], spacing_mm: float) -> slice:
    present = region.any(axis=across).ravel()
    places, margin = np.flatnonzero(present), math.ceil(MARGIN_MM / spacing_mm)
    return slice(max(0, int(places[0]) - margin), min(len(present), int(places[-1]) + 1 + margin))

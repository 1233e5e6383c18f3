"""The trabecular bone of a vertebral body: an oval in its front half at mid height, its attenuation and its gates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.image import Mask, Voxels
from models.spine import BONE_HU, Line, Spine
from models.straight import ACROSS_MM, STEP_MM, Straight
from models.vertebrae import Vertebra

#: The oval: half its depth and half its width as parts of the body's depth, at most in mm; its middle lies in front of
#: the body's by that part of the depth, away from the veins that leave the body behind.
HALF_DEPTH, HALF_WIDTH, FORWARD = (0.26, 8.0), (0.34, 11.0), 0.1
#: The middle part of the body's height, to each side of its middle, that is measured; and where a dense spot lies in
#: it, how far the region moves to the foot or to the head, and its part then.
HALF_HEIGHT, MOVED, HALF_HEIGHT_MOVED = 0.2, 0.2, 0.12
#: Rays from the middle of the region that should meet the body's wall, and how far beyond half the depth, mm.
RAYS, BEYOND_MM = 32, 9.0
#: A wall is denser than the trabecular bone by so much, HU.
WALL_HU = 30.0


@dataclass(frozen=True)
class Region:
    """Where the region lies in the volume: a box of slices, rows and columns, and the voxels of it that count."""

    box: tuple[slice, slice, slice]
    inside: Mask

    def mask(self, shape: tuple[int, ...]) -> Mask:
        """The region on the whole volume."""
        whole = np.zeros(shape, dtype=np.bool_)
        whole[self.box] = self.inside
        return whole

    @property
    def slices(self) -> list[int]:
        """The slices that it meets, those with most of it first."""
        count = self.inside.sum(axis=(1, 2))
        order = np.argsort(-count, kind="stable")
        return [int(self.box[0].start + index) for index in order if count[index]]


@dataclass(frozen=True)
class Trabecular:
    """Mean and standard deviation in HU, number of voxels, share of them above `dense_hu` (%) and of the wall seen (%).

    `middle` is the region's middle as (slice, row, column) in voxels.
    """

    mean_hu: float
    deviation_hu: float
    voxels: int
    dense_percent: float
    wall_percent: float
    middle: tuple[float, float, float]
    region: Region


def measure(
    voxels: Voxels,
    spacing_mm: tuple[float, float, float],
    spine: Spine,
    straight: Straight,
    vertebra: Vertebra,
    *,
    dense_hu: float,
    moved: float = 0.0,
) -> Trabecular:
    """The region of one vertebra, in planes parallel to its plates; the voxels are those of the images.

    `moved` shifts it along the spine by that part of the body's height, to the foot where it is above 0.
    """
    at = min(len(straight.points) - 1, round((vertebra.middle_mm + moved * vertebra.height_mm) / STEP_MM))
    slice_ = round(straight.points[at, 0] / spacing_mm[0])
    depth = float(spine.depth_mm[slice_])
    middle = straight.points[at] - FORWARD * depth * straight.behind[at]
    half = (
        max((HALF_HEIGHT_MOVED if moved else HALF_HEIGHT) * vertebra.height_mm, 0.5 * spacing_mm[0]),
        min(HALF_DEPTH[0] * depth, HALF_DEPTH[1]),
        min(HALF_WIDTH[0] * depth, HALF_WIDTH[1]),
    )
    axes = np.stack([straight.along[at], straight.behind[at], straight.aside[at]])
    region = _region(voxels.shape, spacing_mm, middle, axes, half)
    values = voxels[region.box][region.inside].astype(np.float64)
    mean = float(values.mean()) if len(values) else float("nan")
    z, y, x = middle / np.array(spacing_mm)
    return Trabecular(
        mean_hu=mean,
        deviation_hu=float(values.std()) if len(values) else float("nan"),
        voxels=len(values),
        dense_percent=100.0 * float((values > dense_hu).mean()) if len(values) else float("nan"),
        wall_percent=_wall_percent(straight, at, depth, max(BONE_HU, mean + WALL_HU)),
        middle=(float(z), float(y), float(x)),
        region=region,
    )


def _region(
    shape: tuple[int, ...],
    spacing_mm: tuple[float, float, float],
    middle: Line,
    axes: Line,
    half: tuple[float, float, float],
) -> Region:
    """Voxels whose centre lies in the oval cylinder; `half` is along, behind and aside, mm."""
    spacing = np.array(spacing_mm)
    reach = np.abs(axes).T @ np.array(half)
    low = np.maximum(0, np.floor((middle - reach) / spacing)).astype(int)
    high = np.minimum(shape, np.ceil((middle + reach) / spacing).astype(int) + 1)
    box = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2])))
    grid = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), axis=-1)
    along, behind, aside = np.moveaxis((grid * spacing - middle) @ axes.T, -1, 0)
    inside = (np.abs(along) <= half[0]) & ((behind / half[1]) ** 2 + (aside / half[2]) ** 2 <= 1.0)
    return Region(box, np.asarray(inside, dtype=np.bool_))


def _wall_percent(straight: Straight, at: int, depth_mm: float, wall_hu: float) -> float:
    """How much of the body's circumference shows a wall, in the middle of its height; a disc has none."""
    reach = round(3.0 / STEP_MM)
    plane = straight.hu[max(0, at - reach) : at + reach + 1].mean(axis=0)
    distances = np.arange(0.3 * depth_mm, 0.5 * depth_mm + BEYOND_MM, ACROSS_MM / 2.0)
    angles = 2.0 * np.pi * np.arange(RAYS) / RAYS
    rows = np.rint((np.outer(np.sin(angles), distances) - straight.behind_mm[0]) / ACROSS_MM).astype(int)
    columns = np.rint((np.outer(np.cos(angles), distances) - straight.aside_mm[0]) / ACROSS_MM).astype(int)
    met = plane[rows.clip(0, plane.shape[0] - 1), columns.clip(0, plane.shape[1] - 1)] > wall_hu
    return 100.0 * float(met.any(axis=1).mean())

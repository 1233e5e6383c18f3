"""Liver and spleen on axial CT without contrast medium, by place and density; nothing is learned.

Both are large and even. The liver is what is largest of that kind on the right in front of the spine; the spleen lies
far to the left and behind. Their outlines are not needed: regions are placed well inside, away from edges and vessels.

Rows must grow to the patient's back and columns to the left; slice 0 is the most cranial. Lengths in mm, the project's
own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cds.errors import NotEvaluable
from models.image import Mask, Voxels
from models.spine import Line, Spine

Triple = tuple[float, float, float]
Field = NDArray[np.float32]

#: Grid on which organs are looked for, mm; what is above is the body or what it lies on, HU.
GRID_MM, BODY_HU = 4.0, -300.0
#: An edge or a vessel: the mean density changes by so much within a step of the grid, HU per mm.
EVEN_HU_PER_MM = 4.0
#: Half the height of a region, mm.
HALF_HEIGHT_MM = 4.0
#: No organ's core reaches further behind the vertebral bodies' middle, mm.
BEHIND_MM = 60.0


@dataclass(frozen=True)
class Kind:
    """What an organ looks like.

    `densities` are those of its places (HU), its core begins `depth_mm` inside and measures `least_ml` and
    `least_mm` of height. `aside` is how far from the spine its middle lies, as a part of half the body's width,
    `front_mm` how far in front of the vertebral bodies' middle at most; nothing of it is nearer to the spine than
    `from_mm` on its `side` (-1 right, 1 left). It gets `regions` of `radius_mm`.
    """

    name: str
    side: float
    from_mm: float
    densities: tuple[float, float]
    depth_mm: float
    least_ml: float
    least_mm: float
    aside: float
    front_mm: float
    regions: int
    radius_mm: float


#: Fat-laden liver reads below water, iron above blood; heart, stomach and vena cava are nearer to the spine.
LIVER = Kind(
    name="liver", side=-1.0, from_mm=25.0, densities=(-35.0, 135.0), depth_mm=12.0, least_ml=60.0, least_mm=30.0,
    aside=0.2, front_mm=120.0, regions=3, radius_mm=10.0,
)  # fmt: skip
#: A kidney lies nearer to the spine, the stomach further in front and is often less dense.
SPLEEN = Kind(
    name="spleen", side=1.0, from_mm=25.0, densities=(20.0, 75.0), depth_mm=7.0, least_ml=5.0, least_mm=8.0,
    aside=0.5, front_mm=30.0, regions=3, radius_mm=6.0,
)  # fmt: skip


@dataclass(frozen=True)
class Body:
    """The body on the grid: mean densities, those less noise, what is even, and half the width by slice, mm."""

    soft: Field
    calm: Field
    even: Mask
    body: Mask
    step: tuple[int, int, int]
    grid_mm: Triple
    half_width_mm: Line
    spine: Spine

    def aside_mm(self) -> Line:
        """How far left of the spine each column of the grid is, by slice of the grid, (slices, columns)."""
        columns = (np.arange(self.soft.shape[2]) + 0.5) * self.step[2] - 0.5
        middle = self.spine.body[:: self.step[0], 1][: len(self.soft)]
        return np.asarray((columns[None, :] - middle[:, None]) * self.grid_mm[2] / self.step[2])

    def behind_mm(self) -> Line:
        """How far behind the vertebral bodies' middle each row of the grid is, (slices, rows)."""
        rows = (np.arange(self.soft.shape[1]) + 0.5) * self.step[1] - 0.5
        middle = self.spine.body[:: self.step[0], 0][: len(self.soft)]
        return np.asarray((rows[None, :] - middle[:, None]) * self.grid_mm[1] / self.step[1])


@dataclass(frozen=True)
class Sample:
    """One round region: middle (slice, row, column) in voxels, mean and standard deviation (HU), number of voxels."""

    middle: tuple[int, int, int]
    mean_hu: float
    deviation_hu: float
    voxels: int


@dataclass(frozen=True)
class Organ:
    """An organ's core and its regions; `inside` is the regions by voxel, `first` and `last` the core's slices.

    `cut_mm` is how much of the body one side of the images cuts there: densities are wrong where part of it is missing.
    """

    samples: tuple[Sample, ...]
    core_ml: float
    core_median_hu: float
    first: int
    last: int
    inside: Mask
    cut_mm: float

    @property
    def mean_hu(self) -> float:
        """The mean of the regions' means."""
        return float(np.mean([one.mean_hu for one in self.samples]))

    @property
    def deviation_hu(self) -> float:
        """The regions' standard deviation, its mean."""
        return float(np.mean([one.deviation_hu for one in self.samples]))

    @property
    def spread_hu(self) -> float:
        """Between the highest and the lowest of the regions' means."""
        means = [one.mean_hu for one in self.samples]
        return max(means) - min(means)


def find_body(voxels: Voxels, spacing_mm: Triple, spine: Spine, check: Callable[[], None]) -> Body:
    """The body without arms and table, on the grid."""
    step = tuple(max(1, round(GRID_MM / one)) for one in spacing_mm)
    shape = [count // one for count, one in zip(voxels.shape, step, strict=True)]
    soft: Field = np.empty(shape, dtype=np.float32)
    for index in range(shape[0]):
        check()
        part = voxels[index * step[0] : (index + 1) * step[0], : shape[1] * step[1], : shape[2] * step[2]]
        blocks = part.reshape(step[0], shape[1], step[1], shape[2], step[2]).astype(np.float32)
        soft[index] = blocks.mean(axis=(0, 2, 4))
    body = np.stack([_trunk(one) for one in soft > BODY_HU])
    if not body.any():
        raise NotEvaluable("no body was found in the images", gate="body")
    grid = (step[0] * spacing_mm[0], step[1] * spacing_mm[1], step[2] * spacing_mm[2])
    width = body.any(axis=1).sum(axis=1) * grid[2] / 2.0
    calm: Field = ndimage.median_filter(soft, size=3)
    check()
    slope = np.sqrt(sum(one**2 for one in np.gradient(calm, *grid)))
    return Body(
        soft=soft,
        calm=calm,
        even=np.asarray((slope < EVEN_HU_PER_MM) & body),
        body=body,
        step=(step[0], step[1], step[2]),
        grid_mm=grid,
        half_width_mm=width.astype(np.float64),
        spine=spine,
    )


def _trunk(image: Mask) -> Mask:
    """The largest piece of a slice, cut where it is thin: arms lie beside it, the table under it."""
    labels, count = ndimage.label(ndimage.binary_opening(image, np.ones((3, 3)), iterations=2))
    if count == 0:
        return np.zeros_like(image)
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])))


def find_liver(voxels: Voxels, spacing_mm: Triple, body: Body, check: Callable[[], None]) -> Organ:
    """The liver's regions; raise NotEvaluable(gate="liver") where nothing is it beyond doubt."""
    return _find(voxels, spacing_mm, body, LIVER, check)


def find_spleen(voxels: Voxels, spacing_mm: Triple, body: Body, check: Callable[[], None]) -> Organ:
    """The spleen's regions; raise NotEvaluable(gate="spleen") where nothing is it beyond doubt."""
    return _find(voxels, spacing_mm, body, SPLEEN, check)


def _find(voxels: Voxels, spacing_mm: Triple, body: Body, kind: Kind, check: Callable[[], None]) -> Organ:
    """The largest core that lies where the organ lies."""
    for core, volume in _cores(body, kind):
        check()
        behind, aside = _middle(core, body)
        height = float(core.any(axis=(1, 2)).sum()) * body.grid_mm[0]
        large = volume >= kind.least_ml and height >= kind.least_mm
        if large and aside >= kind.aside and behind >= -kind.front_mm:
            return _organ(voxels, spacing_mm, body, core, kind)
    raise NotEvaluable(f"no {kind.name} was found beyond doubt, or too little of it is in the images", gate=kind.name)


def _cores(body: Body, kind: Kind) -> list[tuple[Mask, float]]:
    """Pieces of even tissue of that density, at least so deep inside; with their volumes in mL, largest first."""
    aside = (body.aside_mm() * kind.side > kind.from_mm)[:, None, :]
    where = aside & (body.behind_mm() < BEHIND_MM)[:, :, None]
    tissue = (body.calm > kind.densities[0]) & (body.calm < kind.densities[1]) & body.even
    depth = ndimage.distance_transform_edt(np.pad(tissue, ((0, 0), (1, 1), (1, 1))), sampling=body.grid_mm)
    core = (depth[:, 1:-1, 1:-1] >= kind.depth_mm) & where
    labels, _ = ndimage.label(core)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    voxel_ml = float(np.prod(body.grid_mm)) / 1000.0
    order = [int(label) for label in np.argsort(-sizes, kind="stable")[:5] if sizes[label] > 0]
    return [(np.asarray(labels == label), float(sizes[label]) * voxel_ml) for label in order]


def _middle(core: Mask, body: Body) -> tuple[float, float]:
    """A core's middle: mm behind the vertebral bodies, and aside of them as a part of half the body's width."""
    z, y, x = np.nonzero(core)
    aside = np.abs(body.aside_mm()[z, x]) / np.maximum(body.half_width_mm[z], 1.0)
    return float(body.behind_mm()[z, y].mean()), float(aside.mean())


def _organ(voxels: Voxels, spacing_mm: Triple, body: Body, core: Mask, kind: Kind) -> Organ:
    """Regions in the deepest places of equal parts of the core's height."""
    depth = ndimage.distance_transform_edt(core, sampling=body.grid_mm)
    slices = np.flatnonzero(core.any(axis=(1, 2)))
    inside = np.zeros(voxels.shape, dtype=np.bool_)
    samples = []
    for part in np.array_split(slices, kind.regions):
        if len(part):
            z, y, x = np.unravel_index(int(np.argmax(depth[part])), depth[part].shape)
            middle = [(at + 0.5) * one - 0.5 for at, one in zip((part[0] + z, y, x), body.step, strict=True)]
            samples.append(_sample(voxels, spacing_mm, middle, kind.radius_mm, inside))
    return Organ(
        samples=tuple(samples),
        core_ml=float(core.sum()) * float(np.prod(body.grid_mm)) / 1000.0,
        core_median_hu=float(np.median(body.soft[core])),
        first=int(slices[0] * body.step[0]),
        last=int((slices[-1] + 1) * body.step[0] - 1),
        inside=inside,
        cut_mm=_cut(body, slices),
    )


def _sample(voxels: Voxels, spacing_mm: Triple, middle: list[float], radius_mm: float, inside: Mask) -> Sample:
    """A flat cylinder around the middle, marked in `inside`."""
    half = (HALF_HEIGHT_MM, radius_mm, radius_mm)
    low = [max(0, int(np.ceil(at - one / mm))) for at, one, mm in zip(middle, half, spacing_mm, strict=True)]
    high = [
        min(count, int(at + one / mm) + 1)
        for at, one, mm, count in zip(middle, half, spacing_mm, voxels.shape, strict=True)
    ]
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    rows = (np.arange(low[1], high[1]) - middle[1]) * spacing_mm[1]
    columns = (np.arange(low[2], high[2]) - middle[2]) * spacing_mm[2]
    disc = rows[:, None] ** 2 + columns**2 <= radius_mm**2
    part = np.broadcast_to(disc, voxels[box].shape)
    values = voxels[box][part].astype(np.float64)
    inside[box] |= part
    at = (round(middle[0]), round(middle[1]), round(middle[2]))
    return Sample(at, float(values.mean()), float(values.std()), len(values))


def _cut(body: Body, slices: NDArray[np.int64]) -> float:
    """How much of the body one side of the images cuts in one of these slices, the most, mm."""
    part = body.body[slices]
    rows = max(part[:, :, 0].sum(axis=1).max(), part[:, :, -1].sum(axis=1).max()) * body.grid_mm[1]
    columns = max(part[:, 0].sum(axis=1).max(), part[:, -1].sum(axis=1).max()) * body.grid_mm[2]
    return float(max(rows, columns))

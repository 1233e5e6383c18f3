"""The descending and the ascending thoracic aorta on axial CT without contrast medium, followed slice by slice.

From a point inside, rays run to where the blood ends: at fat or lung, through a calcified wall too. Rays that meet
bone or soft tissue find no edge. A circle through the edges is a section; its roundness, the share of rays that found
an edge and the smooth course from slice to slice say whether it is the aorta. Where the vessel is tilted, the edges
are first seen along its axis, so that the diameter is the one across it, outer wall to outer wall.

Rows must grow to the patient's back and columns to the left; slice 0 is the most cranial. Lengths in mm; what is not
cited is the project's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cds.errors import NotEvaluable
from models.image import Mask, Voxels
from models.spine import Spine

Triple = tuple[float, float, float]
Line = NDArray[np.float64]

RAYS, RAY_MM, RAY_STEP_MM = 72, 45.0, 0.5
#: Slices are averaged to about this; what is thinner is only noisier.
SLAB_MM = 3.0
SMOOTH_MM = 1.0
#: Blood is the median within this of the middle; it ends where the density falls so far below it, or rises above it
#: (calcium, bone). A calcified wall is no thicker than WALL_MM.
INNER_MM, FALL_HU, RISE_HU, WALL_MM = 5.0, 45.0, 90.0, 5.0
#: A section: share of rays with an edge on the circle, and how far they lie off it (root mean square).
MIN_COVERAGE, MAX_RESIDUAL_MM = 0.5, 1.3
#: From slice to slice, per mm: how far the middle moves; how much the radius changes in all, as a share.
MAX_SHIFT, MAX_CHANGE = 1.0, 0.15
#: So many slabs may fail in a row without the vessel being lost.
MAX_GAP = 2
#: No vessel's edge comes nearer to the middle of a vertebral body.
SPINE_MM = 10.0
#: The axis is a line through the middles within this to each side.
COURSE_MM = 15.0
MAX_TILT_DEGREES = 40.0
#: The start is looked for in so many slabs, at places so far apart, mm.
START_SLABS, START_MM = 5, 5.0
#: Fewer slabs are no vessel.
FEWEST = 4
#: A vessel may leave the place where its start was looked for by this, mm.
SLACK_MM = 20.0
#: What may be blood, with contrast medium too, and how uneven smoothed blood may be, HU.
BLOOD_HU, MAX_CORE_HU = (5.0, 700.0), 25.0
#: Beyond the edge the lowest density within this is what the vessel lies in, in steps.
_OUTSIDE = round(5.0 / RAY_STEP_MM)
_ANGLES = 2.0 * math.pi * np.arange(RAYS) / RAYS
_UNIT = np.stack([np.sin(_ANGLES), np.cos(_ANGLES)], axis=1)
_RADII = np.arange(0.0, RAY_MM, RAY_STEP_MM)


@dataclass(frozen=True)
class Search:
    """Where a vessel starts, relative to the vertebral body's middle: (from, to) to the back and to the left, mm."""

    name: str
    back_mm: tuple[float, float]
    left_mm: tuple[float, float]
    diameter_mm: tuple[float, float]


DESCENDING = Search("descending aorta", (-40.0, 8.0), (8.0, 60.0), (15.0, 65.0))
#: In front of the lower thoracic and upper lumbar bodies, a little to the left: psoas and kidney are round too, but lie
#: beside or behind, and DESCENDING would take a psoas there where the aorta is not seen.
ABDOMINAL = Search("aorta", (-55.0, -6.0), (-8.0, 30.0), (12.0, 65.0))
ASCENDING = Search("ascending aorta", (-125.0, -50.0), (-45.0, 10.0), (24.0, 65.0))


@dataclass(frozen=True)
class Section:
    """One slice of the vessel: its middle in voxels, its diameter across the axis (mm), the axis' tilt (degrees)."""

    index: int
    row: float
    column: float
    diameter_mm: float
    tilt_degrees: float
    coverage: float
    residual_mm: float
    blood_hu: float
    noise_hu: float


@dataclass(frozen=True)
class Vessel:
    """The sections, the most cranial first; `height_mm` from the first to the last."""

    sections: tuple[Section, ...]
    height_mm: float

    def widest(self) -> Section:
        """The widest section, its diameter the median of itself and its neighbours: one outlier is no aneurysm."""
        calm = ndimage.median_filter([one.diameter_mm for one in self.sections], size=3, mode="nearest")
        index = int(np.argmax(calm))
        return replace(self.sections[index], diameter_mm=float(calm[index]))

    def at(self, index: int) -> Section:
        """The section nearest to a slice."""
        return min(self.sections, key=lambda one: abs(one.index - index))


@dataclass(frozen=True)
class _Fit:
    """A circle in one slab: middle (y, x) and radius in mm, see Section for the rest."""

    y: float
    x: float
    radius: float
    coverage: float
    residual: float
    blood: float
    noise: float


class _Slabs:
    """The slices from `first` to `last` near the spine, averaged and smoothed, in mm from the volume's first voxel."""

    def __init__(self, voxels: Voxels, spacing_mm: Triple, spine: Spine, first: int, last: int) -> None:
        self.thick = max(1, round(SLAB_MM / spacing_mm[0]))
        self.mm = (self.thick * spacing_mm[0], spacing_mm[1], spacing_mm[2])
        self.first = first
        count = (last + 1 - first) // self.thick
        row, column = np.median(spine.body, axis=0)
        top, side = row - 190.0 / spacing_mm[1], 110.0 / spacing_mm[2]
        self.corner = (max(0, int(top)), max(0, int(column - side)))
        part = voxels[
            first : first + count * self.thick,
            self.corner[0] : int(row + 60.0 / spacing_mm[1]),
            self.corner[1] : int(column + side),
        ]
        averaged = part.reshape(count, self.thick, *part.shape[1:]).astype(np.float32).mean(axis=1)
        self.sharp = averaged
        self.images = ndimage.gaussian_filter(averaged, [0.0, SMOOTH_MM / spacing_mm[1], SMOOTH_MM / spacing_mm[2]])
        middles = np.minimum(first + self.thick * np.arange(count) + self.thick // 2, len(spine.body) - 1)
        self.spine = spine.body[middles] * np.array(spacing_mm[1:])

    def __len__(self) -> int:
        return len(self.images)

    def sample(self, index: int, y: Line, x: Line, *, sharp: bool = False) -> Line:
        """Densities at places in mm; outside the images air."""
        rows, columns = y / self.mm[1] - self.corner[0], x / self.mm[2] - self.corner[1]
        image = self.sharp[index] if sharp else self.images[index]
        return np.asarray(ndimage.map_coordinates(image, [rows, columns], order=1, cval=-1000.0), dtype=np.float64)


def find_vessel(
    voxels: Voxels,
    spacing_mm: Triple,
    spine: Spine,
    search: Search,
    *,
    levels: tuple[int, int],
    check: Callable[[], None],
) -> Vessel:
    """Follow the vessel between two slices, both included; raise NotEvaluable(gate=its name) where none is round."""
    first, last = max(0, levels[0]), min(len(voxels) - 1, levels[1])
    slabs = _Slabs(voxels, spacing_mm, spine, first, last) if last > first else None
    if slabs is None or len(slabs) < FEWEST:
        raise NotEvaluable(f"too little of the {search.name} is in the images", gate=search.name)
    start, fit = _start(slabs, search, check)
    found = (
        {start: fit}
        | _follow(slabs, search, start, fit, way=-1, check=check)
        | _follow(slabs, search, start, fit, way=1, check=check)
    )
    sections = _sections(slabs, {index: found[index] for index in sorted(found)}, search)
    if len(sections) < FEWEST:
        raise NotEvaluable(f"the {search.name} could not be followed as a round vessel", gate=search.name)
    return Vessel(sections, (sections[-1].index - sections[0].index) * spacing_mm[0])


def _start(slabs: _Slabs, search: Search, check: Callable[[], None]) -> tuple[int, _Fit]:
    """The best circle among a grid of places in a few slabs; places in a circle that was found lead to it again."""
    found: list[tuple[float, int, _Fit]] = []
    for index in np.linspace(0, len(slabs) - 1, min(START_SLABS, len(slabs))).astype(int):
        here: list[_Fit] = []
        for back in np.arange(search.back_mm[0], search.back_mm[1] + 0.1, START_MM):
            check()
            for left in np.arange(search.left_mm[0], search.left_mm[1] + 0.1, START_MM):
                y, x = slabs.spine[index] + np.array([back, left])
                if any(math.hypot(y - fit.y, x - fit.x) < fit.radius for fit in here):
                    continue
                if fit := _circle_at(slabs, int(index), float(y), float(x), search):
                    here.append(fit)
        found += [(fit.coverage - fit.residual / MAX_RESIDUAL_MM / 4.0, int(index), fit) for fit in here]
    if not found:
        raise NotEvaluable(f"no round vessel was found where the {search.name} lies", gate=search.name)
    return max(found, key=lambda one: one[0])[1:]


def _follow(
    slabs: _Slabs, search: Search, start: int, fit: _Fit, *, way: int, check: Callable[[], None]
) -> dict[int, _Fit]:
    found: dict[int, _Fit] = {}
    last, before, shift, gap = fit, start, (0.0, 0.0), 0
    index = start + way
    while 0 <= index < len(slabs) and gap <= MAX_GAP:
        check()
        steps = abs(index - before)
        fit_ = _circle_at(slabs, index, last.y + steps * shift[0], last.x + steps * shift[1], search)
        if fit_ is None or not _continues(last, fit_, steps * slabs.mm[0]):
            gap += 1
        else:
            shift = ((fit_.y - last.y) / steps / 2.0, (fit_.x - last.x) / steps / 2.0)
            found[index], last, before, gap = fit_, fit_, index, 0
        index += way
    return found


def _continues(last: _Fit, here: _Fit, distance_mm: float) -> bool:
    moved = math.hypot(here.y - last.y, here.x - last.x)
    return moved <= max(2.0, MAX_SHIFT * distance_mm) and abs(here.radius - last.radius) <= MAX_CHANGE * last.radius


def _circle_at(slabs: _Slabs, index: int, y: float, x: float, search: Search) -> _Fit | None:
    """The circle that rays from a place, and then from its own middle, end on; None where there is none."""
    fit: _Fit | None = None
    for _ in range(3):
        edges, blood, noise = _edges(slabs, index, y, x)
        if edges is None:
            return None
        fit = _circle(edges, blood, noise)
        if fit is None or not search.diameter_mm[0] <= 2.0 * fit.radius <= search.diameter_mm[1]:
            return None
        if math.hypot(fit.y - y, fit.x - x) <= RAY_STEP_MM:
            break
        y, x = fit.y, fit.x
    if fit is None or fit.coverage < MIN_COVERAGE or fit.residual > MAX_RESIDUAL_MM:
        return None
    away = math.hypot(*(np.array([fit.y, fit.x]) - slabs.spine[index]))
    low = np.array([search.back_mm[0], search.left_mm[0]]) - SLACK_MM
    high = np.array([search.back_mm[1], search.left_mm[1]]) + SLACK_MM
    place = np.array([fit.y, fit.x]) - slabs.spine[index]
    inside = bool(((place >= low) & (place <= high)).all())
    return fit if inside and away >= fit.radius + SPINE_MM else None


def _edges(slabs: _Slabs, index: int, y: float, x: float) -> tuple[Line | None, float, float]:
    """(y, x) of the edge on each ray that has one, and the blood's density and noise; None where there is no blood."""
    middle = float(slabs.sample(index, np.array([y]), np.array([x]))[0])
    if not BLOOD_HU[0] - 3.0 * MAX_CORE_HU <= middle <= BLOOD_HU[1]:
        return None, middle, 0.0
    values = slabs.sample(index, y + _UNIT[:, :1] * _RADII, x + _UNIT[:, 1:] * _RADII)
    core = values[:, INNER_MM >= _RADII]
    blood, noise = float(np.median(core)), float(np.std(core))
    if not BLOOD_HU[0] <= blood <= BLOOD_HU[1] or noise > MAX_CORE_HU + 0.1 * abs(blood):
        return None, blood, noise
    falls, rises = values < blood - FALL_HU, values > blood + RISE_HU
    end = np.argmax(falls, axis=1)
    wall = np.where(rises.any(axis=1), np.argmax(rises, axis=1), len(_RADII))
    seen = falls.any(axis=1) & (end - wall <= WALL_MM / RAY_STEP_MM)
    return np.array([y, x]) + _UNIT[seen] * _crossings(values[seen], end[seen], blood)[:, None], blood, noise


def _crossings(values: Line, end: NDArray[np.int64], blood: float) -> Line:
    """Where the density passes half way from blood to what lies outside, mm along each ray; 0 where noise hides it."""
    steps = np.arange(values.shape[1])
    beyond = end[:, None] + np.arange(_OUTSIDE)
    near = np.where(beyond < len(steps), np.take_along_axis(values, beyond.clip(max=len(steps) - 1), axis=1), np.inf)
    half = (blood + near.min(axis=1, initial=np.inf)) / 2.0
    first = end + np.where(near[:, 0] >= half, np.argmax(near < half[:, None], axis=1), 0)
    # Back to the last place on the way that is above half.
    above = (values >= half[:, None]) & (steps < first[:, None])
    blood_seen = above.any(axis=1)
    below = np.where(blood_seen, len(steps) - np.argmax(above[:, ::-1], axis=1), 1)
    rays = np.arange(len(values))
    inner, outer = values[rays, below - 1], values[rays, below]
    there = _RADII[below - 1] + RAY_STEP_MM * (inner - half) / np.maximum(inner - outer, 1e-6)
    return np.where(blood_seen, there, 0.0)


def _circle(edges: Line, blood: float, noise: float) -> _Fit | None:
    """Least squares with the worst edges dropped in turn; None where too few are left."""
    good = np.ones(len(edges), dtype=np.bool_)
    for _ in range(4):
        if good.sum() < RAYS * MIN_COVERAGE / 2.0:
            return None
        middle, radius = _linear(edges[good])
        off = np.abs(np.hypot(*(edges - middle).T) - radius)
        before, good = good, off <= max(1.5, 2.5 * float(np.median(off)))
        if np.array_equal(before, good):
            break
    if good.sum() < RAYS * MIN_COVERAGE / 2.0:
        return None
    middle, radius = _least_squares(edges[good])
    off = np.hypot(*(edges[good] - middle).T) - radius
    # Rays from outside the middle crowd on one side: the share is of the circle's own angles.
    angles = np.arctan2(*(edges[good] - middle).T)
    coverage = len(np.unique(np.floor((angles + math.pi) / (2.0 * math.pi) * RAYS / 2.0))) / (RAYS / 2.0)
    return _Fit(float(middle[0]), float(middle[1]), radius, coverage, float(np.sqrt(np.mean(off**2))), blood, noise)


def _linear(points: Line) -> tuple[Line, float]:
    """Middle and radius of a circle, from the linear equations of its squared distances."""
    mean = points.mean(axis=0)
    p = points - mean
    system = np.column_stack([2.0 * p, np.ones(len(p))])
    solution = np.linalg.lstsq(system, (p**2).sum(axis=1), rcond=None)[0]
    middle = solution[:2]
    return mean + middle, math.sqrt(max(float(solution[2] + middle @ middle), 1e-6))


def _least_squares(points: Line) -> tuple[Line, float]:
    """The same, then Gauss-Newton on the distances: the linear solution is biased where an arc is missing."""
    middle, radius = _linear(points)
    for _ in range(3):
        away = points - middle
        distance = np.maximum(np.hypot(*away.T), 1e-6)
        jacobian = np.column_stack([-away / distance[:, None], -np.ones(len(points))])
        step = np.linalg.lstsq(jacobian, radius - distance, rcond=None)[0]
        middle, radius = middle + step[:2], radius + float(step[2])
    return middle, radius


def _sections(slabs: _Slabs, found: dict[int, _Fit], search: Search) -> tuple[Section, ...]:
    """Each section again, its edges seen along the axis."""
    indices = np.array(list(found))
    middles = np.array([(fit.y, fit.x) for fit in found.values()])
    sections = []
    for index, fit in found.items():
        near = np.abs(indices - index) * slabs.mm[0] <= COURSE_MM
        if near.sum() < FEWEST - 1:
            continue
        slope = np.polyfit(indices[near] * slabs.mm[0], middles[near], 1)[0]
        again = _across(slabs, index, fit, slope)
        tilt = math.degrees(math.atan(float(np.hypot(*slope))))
        if again is None or tilt > MAX_TILT_DEGREES:
            continue
        if again.coverage < MIN_COVERAGE or again.residual > MAX_RESIDUAL_MM:
            continue
        blood, noise = _blood(slabs, index, fit)
        sections.append(
            Section(
                index=slabs.first + index * slabs.thick + slabs.thick // 2,
                row=fit.y / slabs.mm[1],
                column=fit.x / slabs.mm[2],
                diameter_mm=2.0 * again.radius,
                tilt_degrees=tilt,
                coverage=again.coverage,
                residual_mm=again.residual,
                blood_hu=blood,
                noise_hu=noise,
            )
        )
    return tuple(sections)


def _across(slabs: _Slabs, index: int, fit: _Fit, slope: Line) -> _Fit | None:
    """The circle once the slice is seen along the axis: lengths along the tilt shrink by its cosine."""
    edges, blood, noise = _edges(slabs, index, fit.y, fit.x)
    if edges is None:
        return None
    away = edges - np.array([fit.y, fit.x])
    steep = float(np.hypot(*slope))
    if steep > 0.0:
        along = slope / steep
        away = away - np.outer(away @ along, along) * (1.0 - 1.0 / math.hypot(1.0, steep))
    return _circle(away, blood, noise)


def _blood(slabs: _Slabs, index: int, fit: _Fit) -> tuple[float, float]:
    """Median and standard deviation of the blood well inside the wall, in the slab before smoothing."""
    reach = 0.6 * fit.radius
    step = min(slabs.mm[1:])
    side = np.arange(-reach, reach + step / 2.0, step)
    y, x = np.meshgrid(side, side, indexing="ij")
    inside = np.hypot(y, x) <= reach
    values = slabs.sample(index, fit.y + y[inside], fit.x + x[inside], sharp=True)
    return float(np.median(values)), float(np.std(values))


def tube(vessel: Vessel, shape: tuple[int, ...], spacing_mm: Triple, margin_mm: float) -> Mask:
    """The vessel and `margin_mm` around it, slice by slice between its first and last section."""
    mask = np.zeros(shape, dtype=np.bool_)
    known = [one.index for one in vessel.sections]
    rows, columns = np.ogrid[: shape[1], : shape[2]]
    for index in range(known[0], known[-1] + 1):
        row = float(np.interp(index, known, [one.row for one in vessel.sections]))
        column = float(np.interp(index, known, [one.column for one in vessel.sections]))
        radius = float(np.interp(index, known, [one.diameter_mm / 2.0 for one in vessel.sections])) + margin_mm
        away = ((rows - row) * spacing_mm[1]) ** 2 + ((columns - column) * spacing_mm[2]) ** 2
        mask[index] = away <= radius**2
    return mask

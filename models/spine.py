"""The spinal canal and the vertebral bodies on axial CT, slice by slice, by bone and place; nothing is learned.

Rows must grow to the patient's back and columns to the left (`models.upright`); slice 0 is the most cranial. The canal
is soft tissue that bone surrounds closely; the body is in front of it. Both run smoothly along the back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cds.errors import NotEvaluable
from models.image import Mask, Voxels

Line = NDArray[np.float64]

#: Cortical bone after smoothing over 1.5 mm, and the most that the middle of the canal measures, HU.
BONE_HU, CANAL_HU = 160.0, 110.0
#: Grid of the search, mm, and the reach of a ray from the canal's middle to its wall, mm.
GRID_MM, NEAR_MM, FAR_MM = 2.0, 4.0, 15.0
#: Where the search looks: to both sides of the body's midline, mm.
SIDE_MM = 50.0
#: Rays around the canal, and along the back the length over which walls are collected, mm: a foramen is no gap.
RAYS, COLLECT_MM = 16, 12.0
#: How far the canal may move from a slice to the next, mm per mm.
STEEP = 1.0
#: A slice's canal is seen where so large a part of the rays ends at bone.
MIN_SURROUNDED, POSSIBLE = 0.75, 0.5
#: The part of the slices in which the canal, and the body's walls, must be seen.
MIN_CANAL, MIN_WALLS = 0.5, 0.3
#: What is above is the body or what it lies on, and what is below this is fat or air, HU: neither canal nor bone.
BODY_HU, FAT_HU = -300.0, -20.0
#: A vertebral body's depth lies between these, mm; the canal's middle is so far behind its back wall at least.
MIN_DEPTH_MM, MAX_DEPTH_MM = 16.0, 46.0
#: An adult's bodies are deeper than this (median of the slices): who is smaller was not what these models are made for.
ADULT_DEPTH_MM = 20.0


@dataclass(frozen=True)
class Spine:
    """Centres by slice as (slices, 2) of (row, column) in voxels, and the body's depth (front to back) in mm.

    `surrounded` is the share of the canal's circumference at which bone was met (0 to 1); below `MIN_SURROUNDED` the
    place comes from the neighbours. `front` is the row of the body's front wall.
    """

    canal: Line
    body: Line
    front: Line
    depth_mm: Line
    surrounded: Line


def find_spine(voxels: Voxels, spacing_mm: tuple[float, float, float], check: Callable[[], None]) -> Spine:
    """Canal and bodies; raise NotEvaluable(gate="spine") where no canal runs through most of the slices."""
    soft, bone, origin, step = _searched(voxels, spacing_mm, check)
    grid = (spacing_mm[0], step[0] * spacing_mm[1], step[1] * spacing_mm[2])
    surrounded, score = _surrounded(soft, bone, grid)
    check()
    path = _path(score, max(1, math.ceil(STEEP * grid[0] / min(grid[1:]))))
    index = np.arange(len(path))
    seen = surrounded[index, path[:, 0], path[:, 1]]
    if float((seen >= MIN_SURROUNDED).mean()) < MIN_CANAL:
        raise NotEvaluable("the spinal canal was not found, so the vertebrae are not known", gate="spine")
    canal = _smooth(path.astype(np.float64), seen >= MIN_SURROUNDED, spacing_mm[0])
    canal = canal * np.array(step) + np.array(origin) + (np.array(step) - 1.0) / 2.0
    check()
    front, back, column = _walls(voxels, spacing_mm, canal)
    body = np.stack([(front + back) / 2.0, column], axis=1)
    return Spine(canal, body, front, (back - front) * spacing_mm[1], seen)


def find_adult_spine(voxels: Voxels, spacing_mm: tuple[float, float, float], check: Callable[[], None]) -> Spine:
    """The same; raise NotEvaluable(gate="body size") where the bodies are a child's, whatever is said of age."""
    spine = find_spine(voxels, spacing_mm, check)
    if float(np.median(spine.depth_mm)) < ADULT_DEPTH_MM:
        raise NotEvaluable("the vertebral bodies are smaller than an adult's", gate="body size")
    return spine


def _searched(
    voxels: Voxels, spacing_mm: tuple[float, float, float], check: Callable[[], None]
) -> tuple[NDArray[np.float32], Mask, tuple[int, int], tuple[int, int]]:
    """Mean densities and bone on the grid of the search, its first voxel's (row, column) and voxels per step."""
    step = (max(1, round(GRID_MM / spacing_mm[1])), max(1, round(GRID_MM / spacing_mm[2])))
    middle = _midline(voxels, spacing_mm)
    side = round(SIDE_MM / spacing_mm[2])
    first = max(0, round(middle) - side)
    last = min(voxels.shape[2], round(middle) + side)
    shape = (len(voxels), voxels.shape[1] // step[0], (last - first) // step[1])
    soft = np.empty(shape, dtype=np.float32)
    bone = np.empty(shape, dtype=np.bool_)
    for index in range(len(voxels)):
        check()
        part = voxels[index, : shape[1] * step[0], first : first + shape[2] * step[1]].astype(np.float32)
        blocks = part.reshape(shape[1], step[0], shape[2], step[1])
        soft[index] = blocks.mean(axis=(1, 3))
        bone[index] = soft[index] > BONE_HU
    return soft, bone, (0, first), step


def _midline(voxels: Voxels, spacing_mm: tuple[float, float, float]) -> float:
    """The column of the body's middle: the largest piece that is no air, over a few slices (arms lie apart)."""
    steps = tuple(max(1, round(4.0 / one)) for one in spacing_mm[1:])
    middles = []
    for index in np.linspace(0, len(voxels) - 1, min(len(voxels), 9)).astype(int):
        body = ndimage.binary_opening(voxels[index, :: steps[0], :: steps[1]] > BODY_HU, iterations=2)
        labels, count = ndimage.label(body)
        if count:
            largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
            columns = np.flatnonzero(largest.any(axis=0))
            middles.append(steps[1] * (columns[0] + columns[-1]) / 2.0)
    if not middles:
        raise NotEvaluable("no body was found in the images", gate="spine")
    return float(np.median(middles))


def _surrounded(soft: NDArray[np.float32], bone: Mask, grid: tuple[float, float, float]) -> tuple[Line, Line]:
    """By place: the share of rays that end at bone between NEAR and FAR, and the score that the path collects.

    Walls are collected over some slices, so that the canal is closed at a foramen too.
    """
    reach = max(1, round(COLLECT_MM / grid[0]))
    walls = ndimage.maximum_filter1d(bone.view(np.uint8), 2 * reach + 1, axis=0).view(np.bool_)
    pad = math.ceil(FAR_MM / min(grid[1:])) + 1
    padded = np.pad(walls, ((0, 0), (pad, pad), (pad, pad)))
    rows, columns = soft.shape[1:]
    hits = np.zeros(soft.shape)
    for ray in range(RAYS):
        angle = 2.0 * math.pi * ray / RAYS
        met = np.zeros(soft.shape, dtype=np.bool_)
        for distance in np.arange(NEAR_MM, FAR_MM + 0.1, min(grid[1:])):
            row = pad + round(distance * math.sin(angle) / grid[1])
            column = pad + round(distance * math.cos(angle) / grid[2])
            met |= padded[:, row : row + rows, column : column + columns]
        hits += met
    surrounded = hits / RAYS
    middle = ndimage.uniform_filter(soft, (1, 3, 3))
    inside = (middle < CANAL_HU) & (middle > BODY_HU / 2.0) & ~bone
    free = ndimage.distance_transform_edt(~bone, sampling=(1e3, *grid[1:])).clip(0.0, 8.0) / 8.0
    behind = np.linspace(0.0, 0.3, rows, dtype=np.float32)[None, :, None]
    score = np.where(inside & (surrounded >= POSSIBLE), surrounded**2 * (0.5 + 0.5 * free) + behind, 0.0)
    return surrounded, score


def _path(score: Line, moves: int) -> NDArray[np.int64]:
    """(row, column) on the grid by slice: the path of most score whose steps are at most `moves` to each side."""
    total = score[0]
    size = 2 * moves + 1
    totals = [total]
    for one in score[1:]:
        total = ndimage.maximum_filter(total, size, mode="constant", cval=-1.0) + one
        totals.append(total)
    path = np.zeros((len(score), 2), dtype=np.int64)
    row, column = np.unravel_index(int(np.argmax(totals[-1])), totals[-1].shape)
    path[-1] = row, column
    for index in range(len(score) - 2, -1, -1):
        first, second = max(0, path[index + 1, 0] - moves), max(0, path[index + 1, 1] - moves)
        near = totals[index][first : path[index + 1, 0] + moves + 1, second : path[index + 1, 1] + moves + 1]
        # Among equals the nearest: the tiny cost keeps the path from wandering.
        rows = np.arange(near.shape[0])[:, None] + first - path[index + 1, 0]
        columns = np.arange(near.shape[1]) + second - path[index + 1, 1]
        row, column = np.unravel_index(int(np.argmax(near - 1e-3 * np.hypot(rows, columns))), near.shape)
        path[index] = first + row, second + column
    return path


def _smooth(values: Line, good: NDArray[np.bool_], spacing_mm: float, *, over_mm: float = 8.0) -> Line:
    """Each column between the good slices by line, then a median and a mean over `over_mm` to each side."""
    index = np.arange(len(values))
    width = 2 * max(1, round(over_mm / spacing_mm)) + 1
    result = np.empty_like(values)
    for axis in range(values.shape[1]):
        filled = np.interp(index, index[good], values[good, axis])
        calm = ndimage.median_filter(filled, size=width, mode="nearest")
        result[:, axis] = ndimage.gaussian_filter1d(calm, over_mm / 2.0 / spacing_mm, mode="nearest")
    return result


def _walls(voxels: Voxels, spacing_mm: tuple[float, float, float], canal: Line) -> tuple[Line, Line, Line]:
    """Rows of the body's front and back wall and the column of its middle, by slice, smooth along the back."""
    found = np.array([_wall(voxels[index], spacing_mm[1:], canal[index]) for index in range(len(voxels))])
    good = np.isfinite(found).all(axis=1)
    if float(good.mean()) < MIN_WALLS:
        raise NotEvaluable("no vertebral bodies were found in front of the spinal canal", gate="spine")
    # Offsets from the canal are smoother than places.
    offsets = found - canal[:, [0, 0, 1]]
    smooth = _smooth(offsets, good, spacing_mm[0], over_mm=16.0) + canal[:, [0, 0, 1]]
    return smooth[:, 0], smooth[:, 1], smooth[:, 2]


def _wall(image: Voxels, spacing_mm: tuple[float, ...], canal: Line) -> Line:
    """(front row, back row, middle column) of the body in one slice; NaN where its walls are not seen."""
    row, column = round(canal[0]), round(canal[1])
    side, reach = round(6.0 / spacing_mm[1]), round((MAX_DEPTH_MM + FAR_MM) / spacing_mm[0])
    first = max(0, row - reach)
    strip = image[first : row + 1, max(0, column - side) : column + side + 1].astype(np.float32)
    nothing = np.full(3, np.nan)
    if strip.size == 0:
        return nothing
    bone = np.percentile(strip, 70.0, axis=1)
    rows = first + np.flatnonzero(bone > BONE_HU)
    back = rows[rows < row - NEAR_MM / 2.0 / spacing_mm[0]]
    if len(back) == 0 or (row - back[-1]) * spacing_mm[0] > FAR_MM:
        return nothing
    wall = float(back[-1])
    # What lies in front of a layer of fat, as a vessel's calcium, is no wall of the body.
    fat = first + np.flatnonzero(np.median(strip, axis=1) < FAT_HU)
    end = max([wall - MAX_DEPTH_MM / spacing_mm[0], *(float(one) for one in fat if one < wall)])
    front = float(back[back >= end][0])
    if (wall - front) * spacing_mm[0] < MIN_DEPTH_MM:
        return nothing
    return np.array([front, wall, _middle(image, spacing_mm, (front + wall) / 2.0, canal[1])])


def _middle(image: Voxels, spacing_mm: tuple[float, ...], row: float, column: float) -> float:
    """The column half way between the side walls at this row; the canal's where they are not seen."""
    near, far = 10.0 / spacing_mm[1], 32.0 / spacing_mm[1]
    band = round(4.0 / spacing_mm[0])
    rows = image[max(0, round(row) - band) : round(row) + band + 1].astype(np.float32).mean(axis=0)
    columns = np.flatnonzero(rows > BONE_HU)
    left = columns[(columns > column + near) & (columns < column + far)]
    right = columns[(columns < column - near) & (columns > column - far)]
    if len(left) == 0 or len(right) == 0:
        return column
    return float(left[-1] + right[0]) / 2.0

"""Sliding windows over a volume: every voxel is covered, overlaps are blended, memory holds one window's depth.

The answer comes in slabs from the first slice on, so that nobody needs the probabilities of a whole volume at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from models.image import Mask
from models.network import Network
from models.task import Task

Triple = tuple[int, int, int]
#: (slices, rows, columns), or with channels before them; may be mapped from a file.
Array = NDArray[Any]

#: Width of the Gaussian as a share of the window's side, and its least weight, so that corners count at all.
_SIGMA, _LEAST = 0.125, 1e-3


@dataclass(frozen=True)
class Plan:
    """How a volume is cut. Sides are (slices, rows, columns) in voxels of the network's output.

    `overlap` is the share of a side that the next window covers again; `margin` is what the network reads around its
    output on every side (convolutions without padding); `fill` lies outside of the volume, in the volume's unit;
    `outputs` are the channels of the answer; `chunk` windows are given to the network at once.
    """

    size: Triple
    outputs: int
    overlap: float = 0.0
    margin: Triple = (0, 0, 0)
    blending: Literal["constant", "gaussian"] = "constant"
    fill: float = 0.0
    chunk: int = 8

    def __post_init__(self) -> None:
        if min(self.size) < 1 or min(self.margin) < 0 or self.chunk < 1 or not 0.0 <= self.overlap < 1.0:
            raise ValueError("a plan wants sides and a chunk of at least 1, margins of at least 0, overlap from 0 to 1")


@dataclass(frozen=True)
class Slab:
    """Finished slices: `values` are (outputs, slices, rows, columns), the first of them is slice `start`."""

    start: int
    values: torch.Tensor


def starts(length: int, side: int, overlap: float) -> list[int]:
    """Where windows begin along one axis so that all of it is covered; the last one ends flush, or covers all."""
    if length <= side:
        return [0]
    step = max(1, math.floor(side * (1.0 - overlap)))
    return [*range(0, length - side, step), length - side]


def windows(shape: Triple, size: Triple, overlap: float = 0.0) -> list[Triple]:
    """The first voxel of every window, slice by slice."""
    axes = (starts(length, side, overlap) for length, side in zip(shape, size, strict=True))
    return [(z, y, x) for z, y, x in itertools.product(*axes)]


def blend(size: Triple, blending: Literal["constant", "gaussian"]) -> torch.Tensor:
    """How much each voxel of a window counts where windows overlap; float32 of that size."""
    if blending == "constant":
        return torch.ones(size)
    weight = torch.ones(size)
    for axis, side in enumerate(size):
        distance = torch.arange(side) - (side - 1) / 2.0
        bell = torch.exp(-0.5 * (distance / max(_SIGMA * side, 1e-6)) ** 2)
        weight *= bell.reshape([-1 if axis == own else 1 for own in range(3)])
    return weight.clamp_(min=_LEAST * float(weight.max()))


def slabs(
    network: Network,
    volume: Array,
    plan: Plan,
    task: Task,
    *,
    as_input: Callable[[torch.Tensor], torch.Tensor] | None = None,
    where: Mask | None = None,
) -> Iterator[Slab]:
    """The network's first output over the whole volume, slab by slab, in order.

    `as_input` makes float32 input of a window (channels, slices, rows, columns), as it lies in the volume. Windows that
    hold nothing of `where` are left out: 0 in every output there. Raise ValueError where the network answers with other
    sides than the plan's, and what `network` and `task.progress` raise.
    """
    shape = _shape(volume)
    chosen = [start for start in windows(shape, plan.size, plan.overlap) if _holds(where, start, plan.size)]
    rows = {z: [start for start in chosen if start[0] == z] for z in starts(shape[0], plan.size[0], plan.overlap)}
    gathered = _Gathered(plan, shape)
    done = 0
    for z, row in rows.items():
        yield from gathered.finish(z)
        for at in range(0, len(row), plan.chunk):
            part = row[at : at + plan.chunk]
            items = torch.stack([_cut(volume, start, plan, as_input) for start in part])
            for start, values in zip(part, network(items)[0], strict=True):
                gathered.add(start, values)
            done += len(part)
            task.progress(done, len(chosen))
    yield from gathered.finish(shape[0])


def whole(
    network: Network,
    volume: Array,
    plan: Plan,
    task: Task,
    *,
    as_input: Callable[[torch.Tensor], torch.Tensor] | None = None,
    where: Mask | None = None,
) -> torch.Tensor:
    """All slabs together, (outputs, slices, rows, columns): for volumes whose every output fits into memory."""
    return torch.cat([slab.values for slab in slabs(network, volume, plan, task, as_input=as_input, where=where)], 1)


class _Gathered:
    """The sum of what overlapping windows say, for the slices that are not finished yet."""

    def __init__(self, plan: Plan, shape: Triple) -> None:
        self._plan = plan
        self._shape = shape
        self._weight = blend(plan.size, plan.blending)
        self._base = 0
        self._weights = torch.zeros(min(plan.size[0], shape[0]), *shape[1:])
        self._values = torch.zeros(plan.outputs, *self._weights.shape)

    def add(self, start: Triple, values: torch.Tensor) -> None:
        """One window's (outputs, slices, rows, columns); what lies outside of the volume is cut off."""
        wanted = (self._plan.outputs, *self._plan.size)
        if tuple(values.shape) != wanted:
            raise ValueError(f"the network answers windows of {tuple(values.shape)}, want {wanted}")
        ends = [min(at + side, length) for at, side, length in zip(start, self._plan.size, self._shape, strict=True)]
        kept = [end - at for at, end in zip(start, ends, strict=True)]
        inside = (
            slice(start[0] - self._base, ends[0] - self._base),
            slice(start[1], ends[1]),
            slice(start[2], ends[2]),
        )
        weight = self._weight[: kept[0], : kept[1], : kept[2]]
        self._values[(slice(None), *inside)] += values[:, : kept[0], : kept[1], : kept[2]] * weight
        self._weights[inside] += weight

    def finish(self, below: int) -> Iterator[Slab]:
        """The slices below `below`, which no later window covers."""
        count = below - self._base
        if count == 0:
            return
        weights = self._weights[:count]
        yield Slab(self._base, self._values[:, :count] / torch.where(weights > 0, weights, 1.0))
        self._values = _moved_up(self._values, 1, count)
        self._weights = _moved_up(self._weights, 0, count)
        self._base = below


def _moved_up(values: torch.Tensor, axis: int, count: int) -> torch.Tensor:
    """The slices from `count` on, and as many empty ones after them."""
    kept = values.narrow(axis, count, values.shape[axis] - count)
    gone = list(values.shape)
    gone[axis] = count
    return torch.cat([kept, torch.zeros(gone)], axis)


def _shape(volume: Array) -> Triple:
    slices, rows, columns = volume.shape[-3:]
    return slices, rows, columns


def _holds(where: Mask | None, start: Triple, size: Triple) -> bool:
    if where is None:
        return True
    return bool(where[tuple(slice(at, at + side) for at, side in zip(start, size, strict=True))].any())


def _cut(
    volume: Array, start: Triple, plan: Plan, as_input: Callable[[torch.Tensor], torch.Tensor] | None
) -> torch.Tensor:
    """One window with its margin as (channels, slices, rows, columns), filled where it leaves the volume."""
    inside: list[slice] = []
    padding = [(0, 0)]
    for at, side, margin, length in zip(start, plan.size, plan.margin, _shape(volume), strict=True):
        low, high = at - margin, at + side + margin
        inside.append(slice(max(low, 0), min(high, length)))
        padding.append((max(-low, 0), max(high - length, 0)))
    z, y, x = inside
    cut = volume[..., z, y, x]
    channels = cut.reshape(-1, *cut.shape[-3:])
    window = torch.from_numpy(np.pad(channels, padding, constant_values=plan.fill))
    return as_input(window) if as_input is not None else window.to(torch.float32)

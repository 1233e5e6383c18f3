"""Tiles for a network without padding whose answer depends on where its coarse grids start.

Tiles begin at whole multiples of a step, so that any size gives the answer of the smallest, and lie only where a region
is. What they read beyond the volume is its edge, repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import torch
from numpy.typing import NDArray

from models.image import Mask

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Tile:
    """Where an answer lies: first voxel and sides, multiples of the step; the far end may lie beyond the volume."""

    start: Triple
    size: Triple

    def field(self, volume: NDArray[np.float32], margin: int) -> torch.Tensor:
        """(1, 1, sides + 2 margins): what the network reads, the volume's edge repeated outside of it."""
        places = [
            np.clip(np.arange(first - margin, first + side + margin), 0, length - 1)
            for first, side, length in zip(self.start, self.size, volume.shape, strict=True)
        ]
        return torch.from_numpy(volume[np.ix_(*places)])[None, None]

    def put(self, target: NDArray[np.uint8], answer: NDArray[np.uint8]) -> None:
        """Write the part of the answer that lies in the volume."""
        ends = [
            min(first + side, length) for first, side, length in zip(self.start, self.size, target.shape, strict=True)
        ]
        place = tuple(slice(first, end) for first, end in zip(self.start, ends, strict=True))
        target[place] = answer[tuple(slice(0, end - first) for first, end in zip(self.start, ends, strict=True))]


def tiles(region: Mask, step: int, largest: int) -> list[Tile]:
    """Tiles of at most `largest` voxels a side that cover every voxel of the region; none where it is empty."""
    cells = _cells(region, step)
    if not cells.any():
        return []
    found = []
    for box in product(*(_cuts(cells, axis, max(1, largest // step)) for axis in range(3))):
        part = np.argwhere(cells[tuple(slice(first, end) for first, end in box)])
        if len(part) == 0:
            continue
        low = part.min(axis=0) + np.array([first for first, _ in box])
        size = np.ptp(part, axis=0) + 1
        found.append(Tile(_triple(low * step), _triple(size * step)))
    return found


def _cells(region: Mask, step: int) -> Mask:
    padded = np.pad(region, [(0, -side % step) for side in region.shape])
    z, y, x = (side // step for side in padded.shape)
    return np.asarray(padded.reshape(z, step, y, step, x, step).any(axis=(1, 3, 5)))


def _cuts(cells: Mask, axis: int, most: int) -> list[tuple[int, int]]:
    """The extent of the cells along one axis in as few and as equal parts as `most` allows."""
    filled = np.flatnonzero(cells.any(axis=tuple(other for other in range(3) if other != axis)))
    first, end = int(filled[0]), int(filled[-1]) + 1
    parts = -(-(end - first) // most)
    edges = [first + round(number * (end - first) / parts) for number in range(parts + 1)]
    return list(pairwise(edges))


def _triple(values: NDArray[np.intp]) -> Triple:
    z, y, x = (int(value) for value in values)
    return z, y, x

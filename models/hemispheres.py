"""Left and right in a label map that does not tell them: by the plane midway between paired structures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]
Vector = NDArray[np.float64]
_MOST_ROUNDS = 50


@dataclass(frozen=True)
class Midplane:
    """Voxels whose index (1 mm, first axis to the left) has `normal` . index > `offset` are the patient's left.

    `apart_mm` is the largest distance from the plane to the middle of a pair, `tilt_degrees` how far its normal is from
    the first axis.
    """

    normal: tuple[float, float, float]
    offset: float
    apart_mm: float
    tilt_degrees: float

    def left(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """True on the patient's left, for an array of that shape whose first voxel has the index 0."""
        across, down, deep = (np.arange(size, dtype=np.float32) for size in shape)
        a, b, c = (np.float32(part) for part in self.normal)
        return np.asarray(
            a * across[:, None, None] + b * down[None, :, None] + c * deep[None, None, :] > np.float32(self.offset)
        )


def find_midplane(labels: Labels, paired: Sequence[int]) -> Midplane | None:
    """The plane midway between the two halves of each of the `paired` labels; None where one has no two halves.

    Starts with the sagittal plane through the middle of all of them, and turns it until the halves stay the same.
    """
    places = [np.argwhere(labels == label).astype(np.float64) for label in paired]
    if any(len(place) == 0 for place in places):
        return None
    normal: Vector = np.array([1.0, 0.0, 0.0])
    offset = float(np.mean([place[:, 0].mean() for place in places]))
    for _ in range(_MOST_ROUNDS):
        halves = [_halves(place, normal, offset) for place in places]
        pairs = [pair for pair in halves if pair is not None]
        if len(pairs) < len(halves):
            return None
        across = np.array([(left - right) / np.linalg.norm(left - right) for left, right in pairs])
        middles = np.array([(left + right) / 2.0 for left, right in pairs])
        turned: Vector = across.mean(axis=0) / np.linalg.norm(across.mean(axis=0))
        moved = float(np.median(middles @ turned))
        if np.allclose(turned, normal, atol=1e-6) and abs(moved - offset) < 1e-6:  # noqa: PLR2004 - voxels
            break
        normal, offset = turned, moved
    apart = float(np.abs(middles @ normal - offset).max())
    a, b, c = normal.tolist()
    return Midplane((a, b, c), offset, apart, float(np.degrees(np.arccos(min(1.0, abs(a))))))


def _halves(place: Vector, normal: Vector, offset: float) -> tuple[Vector, Vector] | None:
    left = place @ normal > offset
    if left.all() or not left.any():
        return None
    return place[left].mean(axis=0), place[~left].mean(axis=0)

"""Voxel work that any model may need: open a volume, count densities on the device, label and pick components."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from cds.domain.imaging import VolumeRef
from cds.errors import NotFound, OutOfResources

Voxels = NDArray[np.int16] | NDArray[np.int32] | NDArray[np.float32] | NDArray[np.float64]
Mask = NDArray[np.bool_]


def open_volume(volume: VolumeRef) -> Voxels:
    """Map the volume into memory, slice 0 the most cranial; raise NotFound where the file is gone or another one.

    Copy-on-write, so that torch may share the memory and nothing reaches the file.
    """
    try:
        voxels: Voxels = np.load(volume.path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError):
        raise NotFound("the volume's file is not there or is no array") from None
    if voxels.shape != volume.shape or voxels.dtype.kind not in "if":
        raise NotFound("the volume's file is not the one that was described")
    return voxels[::-1] if rises(volume) else voxels


def rises(volume: VolumeRef) -> bool:
    """True where the slice index grows towards the head (+z in LPS, PS3.3 C.7.6.2.1.1)."""
    return volume.affine[8] > 0


def save_mask(mask: NDArray[np.uint8], path: Path) -> None:
    """Write a .npy so that a reader sees the whole file or none; raise OutOfResources where it cannot be written."""
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            np.save(file, mask, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise OutOfResources(f"a mask cannot be written: {error.strerror}") from None


class DensityCounter(torch.nn.Module):
    """Counts the voxels of a mask by density on the device.

    The histogram has one bin per HU from `lowest` to `highest`, both included; what lies outside goes to the ends.
    """

    def __init__(self, *, lowest: int, highest: int, below: float) -> None:
        super().__init__()
        self.lowest = lowest
        self.highest = highest
        self.below = below

    def forward(self, voxels: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The histogram of the masked voxels, and how many of them are strictly below `below` in each slice."""
        low = ((voxels < self.below) & mask).sum(dim=(1, 2))
        chosen = voxels[mask].to(torch.float32).round().clamp(self.lowest, self.highest).to(torch.int64)
        return torch.bincount(chosen - self.lowest, minlength=self.highest - self.lowest + 1), low


def by_slabs(
    counter: DensityCounter,
    voxels: Voxels,
    mask: Mask,
    device: torch.device,
    check: Callable[[], None],
    *,
    slices: int = 32,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Histogram and counts per slice of a whole volume, `slices` at a time; halved where memory is short."""
    histogram = np.zeros(counter.highest - counter.lowest + 1, dtype=np.int64)
    low = np.zeros(len(voxels), dtype=np.int64)
    start = 0
    while start < len(voxels):
        check()
        part = slice(start, start + slices)
        try:
            counted, below = counter(_on(device, voxels[part]), _on(device, mask[part]))
        except torch.OutOfMemoryError:
            if slices == 1:
                raise
            slices //= 2
            continue
        histogram += counted.cpu().numpy()
        low[part] = below.cpu().numpy()
        start += slices
    return histogram, low


def _on(device: torch.device, array: Voxels | Mask) -> torch.Tensor:
    return torch.from_numpy(array.copy()).to(device)


def percentile(histogram: NDArray[np.int64], lowest: int, share: float) -> int:
    """The smallest density at or below which at least `share` (0 to 1) of the voxels lie; exact for whole HU."""
    reached = np.cumsum(histogram)
    return lowest + int(np.searchsorted(reached, share * reached[-1], side="left"))


def components(mask: Mask, min_voxels: int, check: Callable[[], None]) -> tuple[NDArray[np.int32], list[int]]:
    """Label by faces (6-neighbourhood); the labels of components of at least `min_voxels`, the largest first."""
    labels, count = ndimage.label(mask, output=np.int32)
    check()
    sizes = np.zeros(count + 1, dtype=np.int64)
    for one in labels:
        sizes += np.bincount(one.ravel(), minlength=count + 1)
    sizes[0] = 0
    large = np.flatnonzero(sizes >= max(min_voxels, 1))
    return labels, sorted(large.tolist(), key=lambda label: (-int(sizes[label]), label))

"""Pixels as a declared network wants them: scaled, fitted, laid along its axes; and labels back on the file's grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from cds.domain.imaging import VolumeRef
from cds.errors import NotEvaluable
from models.declaration import ImageGrid, Scale, VolumeGrid
from models.image import Voxels, open_volume, rises

#: Letters of the directions of x, y, z in LPS (PS3.3 C.7.6.2.1.1), each as it grows and as it falls.
_LETTERS = ("LR", "PA", "SI")


@dataclass(frozen=True)
class Laid:
    """How a volume was laid along the network's axes: enough to bring labels back.

    `order` is the axis of the file for each axis of the network, `flipped` which of the network's axes were turned,
    `shape` the volume's size after that and before it was resampled.
    """

    order: tuple[int, int, int]
    flipped: tuple[int, ...]
    shape: tuple[int, int, int]


def scaled(pixels: torch.Tensor, scale: Scale) -> torch.Tensor:
    """The numbers that the network was trained on; NotEvaluable where the image has no contrast or is no number."""
    values = pixels.to(torch.float32)
    if not torch.isfinite(values).all():
        raise NotEvaluable("the image holds values that are no numbers", gate="pixels")
    if scale.by == "zscore":
        low, high = float(values.mean()), float(values.mean() + values.std())
    else:
        low, high = _bounds(values, scale)
    if not high > low:
        raise NotEvaluable("the image is of one brightness", gate="pixels")
    share = (values - low) / (high - low)
    return share if scale.by == "zscore" else share.clamp(0.0, 1.0) * (scale.to_high - scale.to_low) + scale.to_low


def _bounds(values: torch.Tensor, scale: Scale) -> tuple[float, float]:
    if scale.by == "percentile":
        low, high = np.percentile(values.numpy(), (scale.low or 0.0, 100.0 if scale.high is None else scale.high))
        return float(low), float(high)
    if scale.by == "minmax" or scale.low is None or scale.high is None:
        return float(values.min()), float(values.max())
    return scale.low, scale.high


def normalised(values: torch.Tensor, scale: Scale, channels: int) -> torch.Tensor:
    """(…) to (channels, …), then mean and standard deviation by channel."""
    stacked = values.unsqueeze(0).expand(channels, *values.shape)
    if not scale.mean:
        return stacked.contiguous()
    form = (-1, *(1 for _ in values.shape))
    return (stacked - torch.tensor(scale.mean).view(form)) / torch.tensor(scale.std).view(form)


def fitted(image: torch.Tensor, grid: ImageGrid) -> torch.Tensor:
    """(rows, columns) to the grid's, its proportions kept: filled with the darkest value, or cut, around the middle."""
    rows, columns = image.shape
    choose = min if grid.fit == "pad" else max
    by = choose(grid.rows / rows, grid.columns / columns)
    size = (max(1, round(rows * by)), max(1, round(columns * by)))
    darkest = float(image.min())
    resized = functional.interpolate(image[None, None], size=size, mode="bilinear", antialias=True)[0, 0]
    return framed(resized, (grid.rows, grid.columns), darkest)


def framed(values: torch.Tensor, size: tuple[int, ...], fill: float) -> torch.Tensor:
    """The middle of `size`: what is larger is cut, what is smaller is filled."""
    for axis, wanted in enumerate(size):
        have = values.shape[axis]
        if have > wanted:
            values = values.narrow(axis, (have - wanted) // 2, wanted)
        elif have < wanted:
            before = (wanted - have) // 2
            pads = [0] * (2 * values.dim())  # the last axis comes first
            pads[2 * (values.dim() - 1 - axis) : 2 * (values.dim() - axis)] = (before, wanted - have - before)
            values = functional.pad(values, pads, value=fill)
    return values


def laid(volume: VolumeRef, grid: VolumeGrid) -> tuple[torch.Tensor, Laid]:
    """The volume along the network's axes at its spacing, by trilinear interpolation; and how it got there."""
    voxels: Voxels = open_volume(volume)
    order, flipped = axes(volume, grid.orientation)
    turned = np.flip(voxels.transpose(order), flipped)
    shape = (turned.shape[0], turned.shape[1], turned.shape[2])
    spacing = [volume.spacing_mm[axis] for axis in order]
    size = [max(1, round(n * have / want)) for n, have, want in zip(shape, spacing, grid.spacing_mm, strict=True)]
    values = torch.from_numpy(np.ascontiguousarray(turned, dtype=np.float32))
    if tuple(size) != shape:
        values = functional.interpolate(values[None, None], size=size, mode="trilinear", align_corners=False)[0, 0]
    return values, Laid(order, flipped, shape)


def axes(volume: VolumeRef, orientation: str) -> tuple[tuple[int, int, int], tuple[int, ...]]:
    """The file's axis for each of the network's, and which of the network's are turned; slice 0 is the most cranial.

    NotEvaluable where two axes of the volume point nearly the same way of the patient.
    """
    directions = np.array(volume.affine, dtype=np.float64).reshape(4, 4)[:3, :3].copy()
    if rises(volume):
        directions[:, 0] *= -1.0
    nearest = np.abs(directions / np.maximum(np.linalg.norm(directions, axis=0), 1e-9)).argmax(axis=0)
    if sorted(nearest.tolist()) != [0, 1, 2]:
        raise NotEvaluable("the images are too oblique to say which way the patient lies", gate="orientation")
    letters = [_LETTERS[way][0 if directions[way, axis] > 0 else 1] for axis, way in enumerate(nearest)]
    order = [next(a for a, way in enumerate(nearest) if letter in _LETTERS[way]) for letter in orientation]
    flipped = tuple(at for at, axis in enumerate(order) if letters[axis] != orientation[at])
    return (order[0], order[1], order[2]), flipped


def on_file(labels: torch.Tensor, how: Laid, volume: VolumeRef) -> NDArray[np.uint8]:
    """Labels of the network's grid on the file's own, by the nearest voxel, slice 0 the most cranial."""
    if tuple(labels.shape) != how.shape:
        labels = functional.interpolate(labels[None, None], size=how.shape, mode="nearest-exact")[0, 0]
    turned: NDArray[np.uint8] = np.flip(labels.numpy(), how.flipped)
    back: NDArray[np.uint8] = np.ascontiguousarray(turned.transpose(np.argsort(how.order)))
    if back.shape != volume.shape:
        raise ValueError(f"labels are {back.shape}, want {volume.shape}")
    return back

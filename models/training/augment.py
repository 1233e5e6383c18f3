"""Altered copies of radiographs: what a detector, a technologist or a display may change without changing the finding.

Corners and borders are blanked now and then, because text markers there tell the hospital or the view, not the disease.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

_DEGREES, _SHIFT, _LOG_SCALE, _LOG_GAMMA = 6.0, 0.06, 0.15, 0.35
_BLANKED, _BORDERED, _BLURRED, _MIRRORED = 0.5, 0.3, 0.4, 0.5


def altered(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Copies (items, 1, rows, columns) from 0 to 1, each altered in its own way, drawn from `generator`."""
    images = _moved(images, generator)
    images = _blurred(images, generator)
    gamma = torch.exp(_uniform(len(images), generator) * _LOG_GAMMA)[:, None, None, None]
    images = images.clamp(0.0, 1.0) ** gamma
    stretch = 1.0 + 0.15 * _uniform(len(images), generator)[:, None, None, None]
    images = (images - 0.5) * stretch + 0.5
    sigma = 0.03 * _share(len(images), generator)[:, None, None, None]
    images = images + sigma * torch.randn(images.shape, generator=generator)
    for image in images:
        _blank(image[0], generator)
    return images.clamp(0.0, 1.0)


def _moved(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    count = len(images)
    angle = torch.randn(count, generator=generator).clamp(-2, 2) * math.radians(_DEGREES)
    scale = torch.exp(_uniform(count, generator) * _LOG_SCALE)
    mirror = torch.where(_share(count, generator) < _MIRRORED, -1.0, 1.0)
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0] = angle.cos() * scale * mirror
    matrix[:, 0, 1] = -angle.sin() * scale
    matrix[:, 1, 0] = angle.sin() * scale * mirror
    matrix[:, 1, 1] = angle.cos() * scale
    matrix[:, :, 2] = 2 * _SHIFT * torch.stack([_uniform(count, generator), _uniform(count, generator)], dim=1)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _blurred(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Half as fine and back, mixed in by a share: sources differ in how sharp their copies are."""
    coarse = functional.interpolate(functional.avg_pool2d(images, 2), scale_factor=2.0, mode="bilinear")
    chosen = _share(len(images), generator) < _BLURRED
    weight = torch.where(chosen, _share(len(images), generator), torch.zeros(len(images)))[:, None, None, None]
    return images + weight * (coarse - images)


def _blank(image: torch.Tensor, generator: torch.Generator) -> None:
    """Write over corners and borders of one image (rows, columns)."""
    rows, columns = image.shape
    draw = torch.rand(12, generator=generator).tolist()
    if draw[0] < _BLANKED:
        for corner in range(4):
            height, width = round(rows * 0.22 * draw[1 + corner]), round(columns * 0.3 * draw[5 + corner])
            top, left = slice(0, height), slice(0, width)
            below, right = slice(rows - height, rows), slice(columns - width, columns)
            image[(top, below)[corner // 2], (left, right)[corner % 2]] = draw[9]
    if draw[10] < _BORDERED:
        margin = round(rows * 0.06 * draw[11])
        image[:margin], image[rows - margin :], image[:, :margin], image[:, columns - margin :] = 0.0, 0.0, 0.0, 0.0


def _uniform(count: int, generator: torch.Generator) -> torch.Tensor:
    return 2.0 * torch.rand(count, generator=generator) - 1.0


def _share(count: int, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(count, generator=generator)

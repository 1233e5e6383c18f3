"""What a chest radiograph may look like when it must not be read, made from radiographs and from other pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from models.chest_network import KINDS
from models.radiograph import SIDE, squared

#: Side of a crop as a share of the image's: the smaller ones show no more than a part of one lung.
_CROP_LOW, _CROP_HIGH = 0.3, 0.6
_TURNS = {"turned left": 1, "upside down": 2, "turned right": 3}


def spoiled(images: torch.Tensor, kind: str, generator: torch.Generator) -> torch.Tensor:
    """Images (items, 1, 256, 256) from 0 to 1 as this kind of `KINDS`: inverted, turned or cropped."""
    if kind == "inverted":
        return 1.0 - images
    if kind in _TURNS:
        return torch.rot90(images, _TURNS[kind], dims=(2, 3))
    if kind == "cropped":
        return torch.stack([_crop(image, _CROP_LOW, _CROP_HIGH, generator) for image in images])
    raise ValueError(f"want one of {', '.join(KINDS[1:-1])}")


def others(pictures: Sequence[torch.Tensor], count: int, generator: torch.Generator) -> torch.Tensor:
    """`count` images that are no chest: parts of pictures (1, rows, columns), mirrored and turned by chance."""
    made = []
    for index in range(count):
        picture = pictures[index % len(pictures)]
        if index >= len(pictures):
            picture = torch.rot90(picture, int(torch.randint(4, (1,), generator=generator)), dims=(1, 2))
            picture = _crop(picture, 0.4, 1.0, generator)
        if float(picture.max()) > float(picture.min()):
            made.append(squared(picture[0].numpy()))
    return torch.stack(made)


def noise(count: int, generator: torch.Generator) -> torch.Tensor:
    """`count` images (items, 1, 256, 256) of noise, from fine to coarse, and of even gradients."""
    made = []
    for index in range(count):
        grain = 2 ** int(torch.randint(1, 9, (1,), generator=generator))
        field = torch.randn(1, 1, grain, grain, generator=generator)
        if index % 4 == 0:
            slope = torch.randn(2, generator=generator)
            axis = torch.linspace(-1, 1, SIDE)
            field = (slope[0] * axis[:, None] + slope[1] * axis[None, :])[None, None]
        field = functional.interpolate(field, (SIDE, SIDE), mode="bilinear", align_corners=False)[0, 0]
        made.append(squared(field.numpy()))
    return torch.stack(made)


def _crop(image: torch.Tensor, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    """A square part of (1, rows, columns), enlarged to 256 x 256."""
    rows, columns = image.shape[-2:]
    share = low + (high - low) * float(torch.rand(1, generator=generator))
    side = max(16, round(share * min(rows, columns)))
    top = int(torch.randint(rows - side + 1, (1,), generator=generator)) if rows > side else 0
    left = int(torch.randint(columns - side + 1, (1,), generator=generator)) if columns > side else 0
    part = image[:, top : top + side, left : left + side]
    return functional.interpolate(part[None], (SIDE, SIDE), mode="bilinear", align_corners=False)[0]

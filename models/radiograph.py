"""A projection radiograph as a network reads it: one size, one range, whatever detector and bit depth it came from.

Training, evaluation and the clinic go through this one function; its constants are part of the weights.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from cds.errors import NotEvaluable

#: Rows and columns of the network's input.
SIDE = 256
#: Darkest and brightest of these percentiles become 0 and 1: text markers, collimator and dead pixels lie outside.
_DARK, _BRIGHT = 0.005, 0.995
#: Less between them, as a share of the values, is rounding and no picture.
_LEAST = 1e-4


def squared(pixels: NDArray[np.generic]) -> torch.Tensor:
    """Grey values, dark to bright, (rows, columns), to float32 (1, 256, 256) from 0 to 1.

    The longer side becomes 256, averaged over the area of a pixel, and the image is centred on black. Raise
    NotEvaluable where all its pixels are alike.
    """
    image = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))[None, None]
    rows, columns = image.shape[-2:]
    top, left, *size = framed(rows, columns)
    if size != [rows, columns]:
        image = functional.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
    dark, bright = torch.quantile(image, torch.tensor([_DARK, _BRIGHT])).tolist()
    if not bright - dark > _LEAST * max(abs(dark), abs(bright)):
        raise NotEvaluable("the image has no contrast: it is blank or saturated", gate="image quality")
    image = ((image - dark) / (bright - dark)).clamp(0.0, 1.0)
    return functional.pad(image, (left, SIDE - size[1] - left, top, SIDE - size[0] - top))[0]


def framed(rows: int, columns: int) -> tuple[int, int, int, int]:
    """Where an image of that size lies in the square: top, left, rows, columns."""
    scale = SIDE / max(rows, columns)
    height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
    return (SIDE - height) // 2, (SIDE - width) // 2, height, width

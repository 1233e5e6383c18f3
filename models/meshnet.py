"""MeshNet: 3 x 3 x 3 convolutions whose dilation grows and shrinks again, exact on a whole head in bounded memory.

The network is that of arXiv:1711.00457, as brainchop (doi:10.21105/joss.05098) runs it: zero padding
keeps the size, batch norms are folded into the convolutions, ELU, and a 1 x 1 x 1 convolution into classes. Each layer
is worked slab by slab, so what is needed beside a layer's input and output is one slab.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

DILATIONS = (1, 2, 4, 8, 16, 8, 4, 2, 1)
#: How far a voxel's label can depend on its surroundings, voxels.
REACH = sum(DILATIONS)
_SLAB = 16


def _nothing() -> None:
    return None


class MeshNet(nn.Module):
    """One convolution per dilation with `channels` features, then one label of `classes` for each voxel."""

    def __init__(self, channels: int, classes: int, dilations: tuple[int, ...] = DILATIONS) -> None:
        super().__init__()
        widths = (1, *(channels for _ in dilations))
        self.convs = nn.ModuleList(
            nn.Conv3d(width, channels, 3, dilation=dilation) for width, dilation in zip(widths, dilations, strict=False)
        )
        self.head = nn.Conv3d(channels, classes, 1)

    @property
    def steps(self) -> int:
        """How many calls of `step` make labels of an image: the convolutions and the head."""
        return len(self.convs) + 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(items, 1, d, h, w), 0 to 1, to labels (items, 1, d, h, w), float32."""
        for number in range(self.steps):
            x = self.step(number, x)
        return x.to(torch.float32)

    def step(self, number: int, x: torch.Tensor, check: Callable[[], None] = _nothing) -> torch.Tensor:
        """One layer: features (items, channels, d, h, w), or labels (items, 1, ...) as uint8 from the last.

        `x` stays as it was, so that a step can be repeated elsewhere. `check` is called between slabs and may raise.
        """
        with torch.inference_mode():
            if number == len(self.convs):
                return self._by_slab(x, lambda start, end: self._labels(x[:, :, start:end]), torch.uint8, 1, check)
            conv = self.convs.get_submodule(str(number))
            if not isinstance(conv, nn.Conv3d):
                raise TypeError(f"layer {number} is no convolution")
            channels = conv.out_channels
            return self._by_slab(x, lambda start, end: _layer(conv, x, start, end), x.dtype, channels, check)

    def _labels(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(x)
        return scores.argmax(1, keepdim=True)

    @staticmethod
    def _by_slab(
        x: torch.Tensor,
        work: Callable[[int, int], torch.Tensor],
        dtype: torch.dtype,
        channels: int,
        check: Callable[[], None],
    ) -> torch.Tensor:
        items, _, depth, height, width = x.shape
        # Channels last: the CPU's convolutions are up to three times as fast, and a slab is one piece of memory.
        out = torch.empty(
            (items, channels, depth, height, width),
            dtype=dtype,
            device=x.device,
            memory_format=torch.channels_last_3d,
        )
        for start in range(0, depth, _SLAB):
            check()
            end = min(start + _SLAB, depth)
            out[:, :, start:end] = work(start, end)
        return out


def _layer(conv: nn.Conv3d, x: torch.Tensor, start: int, end: int) -> torch.Tensor:
    """Planes `start` to `end` of ELU(conv(x)); planes outside the image are zero, as padding "same" has it."""
    reach = conv.dilation[0]
    low, high = max(start - reach, 0), min(end + reach, x.shape[2])
    planes = x[:, :, low:high]
    missing = (low - (start - reach), end + reach - high)
    if any(missing):
        planes = functional.pad(planes, (0, 0, 0, 0, *missing))
    weight = conv.weight.contiguous(memory_format=torch.channels_last_3d)
    planes = planes.contiguous(memory_format=torch.channels_last_3d)
    return functional.elu_(
        functional.conv3d(planes, weight, conv.bias, padding=(0, reach, reach), dilation=conv.dilation)
    )

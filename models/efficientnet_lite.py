"""EfficientNet-Lite, written from its published description, with the heat map of a linear head.

EfficientNet: Tan and Le 2019, arXiv:1905.11946. Lite: no squeeze-and-excitation, ReLU6 for swish, stem and head of one
width, first and last stage of one depth (tensorflow/tpu, efficientnet/lite). Stride-2 convolutions pad as TensorFlow's
SAME does, because the published weights were trained so. Names of parameters are those of the published weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

_STEM, _HEAD = 32, 1280
_EPS, _MOMENTUM = 1e-3, 0.01


@dataclass(frozen=True)
class Stage:
    """One row of the table of the paper: blocks of one kernel, stride of the first, expansion and width."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    width: int


_STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
#: (width, depth) of Lite0, Lite1 and Lite2.
SCALES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2))


class SameConv(nn.Conv2d):
    """A convolution without bias that pads like TensorFlow's SAME: what is odd goes below and to the right."""

    def __init__(self, width_in: int, width_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        symmetric = kernel // 2 if stride == 1 else 0
        super().__init__(width_in, width_out, kernel, stride, symmetric, groups=groups, bias=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(items, width_in, rows, columns) to (items, width_out, rows / stride, columns / stride), rounded up."""
        stride, kernel = self.stride[0], self.kernel_size[0]
        if stride == 1:
            return super().forward(input)
        below, right = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in input.shape[-2:])
        padded = functional.pad(input, (right // 2, right - right // 2, below // 2, below - below // 2))
        if not torch.is_grad_enabled() or input.dtype == torch.float32:
            return super().forward(padded)
        # In half precision the CPU computes the gradient of a strided filter ten times slower than in single.
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(padded.float()).to(input.dtype)


class Block(nn.Module):
    """Inverted residual: expand, filter each channel, project; added to its input where the shapes agree."""

    def __init__(self, width_in: int, stage: Stage, stride: int, width_out: int) -> None:
        super().__init__()
        wide = width_in * stage.expand
        if stage.expand > 1:
            self._expand_conv = SameConv(width_in, wide, 1)
            self._bn0 = _norm(wide)
        self._expands = stage.expand > 1
        self._depthwise_conv = SameConv(wide, wide, stage.kernel, stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv = SameConv(wide, width_out, 1)
        self._bn2 = _norm(width_out)
        self._residual = stride == 1 and width_in == width_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(items, width_in, rows, columns) to (items, width_out, rows / stride, columns / stride)."""
        y: torch.Tensor = functional.relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self._residual else y


class EfficientNetLite(nn.Module):
    """The network. `scale` 0 to 2, `channels` of the images (1: grey), `classes` of the linear head."""

    def __init__(self, classes: int, *, scale: int = 0, channels: int = 3) -> None:
        super().__init__()
        width, depth = SCALES[scale]
        self._conv_stem = SameConv(channels, _STEM, 3, 2)
        self._bn0 = _norm(_STEM)
        self._blocks = nn.ModuleList(_blocks(width, depth))
        self._conv_head = SameConv(_rounded(_STAGES[-1].width * width), _HEAD, 1)
        self._bn1 = _norm(_HEAD)
        self._fc = nn.Linear(_HEAD, classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(items, channels, rows, columns) from -1 to 1, to (items, 1280, rows / 32, columns / 32)."""
        return self.top(0).features(self.trunk(0)(x)[-1])

    def trunk(self, blocks: int, taps: Sequence[int] = ()) -> Trunk:
        """The stem and the first `blocks` blocks, as a module that shares the weights."""
        return Trunk(self._conv_stem, self._bn0, self._blocks[:blocks], taps or (blocks,))

    def top(self, blocks: int) -> Top:
        """What comes after the first `blocks` blocks, as a module that shares the weights."""
        return Top(self._blocks[blocks:], self._conv_head, self._bn1, self._fc)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (items, classes)."""
        logits: torch.Tensor = self._fc(self.features(x).mean(dim=(2, 3)))
        return logits


class Trunk(nn.Module):
    """The lower part of the network."""

    def __init__(self, stem: SameConv, norm: nn.BatchNorm2d, blocks: nn.ModuleList, taps: Sequence[int]) -> None:
        super().__init__()
        self.stem, self.norm, self.blocks, self._taps = stem, norm, blocks, tuple(taps)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(items, channels, rows, columns) from -1 to 1, to the outputs after so many blocks as `taps` names."""
        x = functional.relu6(self.norm(self.stem(x)))
        found = {0: x} if 0 in self._taps else {}
        for count, block in enumerate(self.blocks, start=1):
            x = block(x)
            if count in self._taps:
                found[count] = x
        return [found[tap] for tap in self._taps]


class Top(nn.Module):
    """The upper part of the network with its linear head."""

    def __init__(self, blocks: nn.ModuleList, conv: SameConv, norm: nn.BatchNorm2d, head: nn.Linear) -> None:
        super().__init__()
        self.blocks, self.conv, self.norm, self.head = blocks, conv, norm, head

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the trunk answers, to (items, 1280, rows / 32, columns / 32)."""
        for block in self.blocks:
            x = block(x)
        return functional.relu6(self.norm(self.conv(x)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class activation maps (arXiv:1512.04150), one grid for each class; the mean of a map is the logit."""
        return functional.conv2d(self.features(x), self.head.weight[:, :, None, None], self.head.bias)


def load_backbone(network: EfficientNetLite, published: Mapping[str, torch.Tensor]) -> None:
    """Take every weight but the head's from the published ones; raise RuntimeError where one is missing or misshapen.

    A network of grey images takes the sum of the stem over the colours, which is exact for three equal channels.
    """
    state = dict(published)
    if network._conv_stem.in_channels == 1:
        state["_conv_stem.weight"] = state["_conv_stem.weight"].sum(dim=1, keepdim=True)
    own = network.state_dict()
    state["_fc.weight"], state["_fc.bias"] = own["_fc.weight"], own["_fc.bias"]
    network.load_state_dict(state, strict=True)


def _blocks(width: float, depth: float) -> list[Block]:
    blocks = []
    width_in = _STEM
    for index, stage in enumerate(_STAGES):
        fixed = index in {0, len(_STAGES) - 1}
        repeats = stage.repeats if fixed else math.ceil(stage.repeats * depth)
        width_out = _rounded(stage.width * width)
        for repeat in range(repeats):
            blocks.append(Block(width_in, stage, stage.stride if repeat == 0 else 1, width_out))
            width_in = width_out
    return blocks


def _rounded(width: float, divisor: int = 8) -> int:
    """To the next multiple of eight, but never below nine tenths of the width."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * width else rounded


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=_EPS, momentum=_MOMENTUM)

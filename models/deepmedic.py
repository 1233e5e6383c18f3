"""DeepMedic with three paths, as BLAST-CT trained it: convolutions without padding at scales 5, 3 and 1.

The network is described in doi:10.1016/j.media.2016.10.004 and doi:10.1016/S2589-7500(20)30085-6. What papers leave
open was settled by the trained weights and the authors' public program: blocks are batch norm, PReLU, convolution,
with a shortcut where the number of channels stays; coarse paths take every fifth and third voxel, not their mean.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

SCALES = (5, 3, 1)
#: Channels after each of the eight 3 x 3 x 3 convolutions of a path, and of the classifier's hidden layers.
_WIDTHS = (30, 30, 40, 40, 40, 40, 50, 50)
_HIDDEN = (250, 250)
_SHRINK = 2 * len(_WIDTHS)
#: What an output of n voxels needs around it on both sides together: the coarsest path's context.
CONTEXT = _SHRINK * max(SCALES)
#: Outputs are whole multiples of this: all scales start anew there.
STEP = 15
#: Planes of the output that the classifier works on at once: its 250 channels would fill the memory.
_SLAB = 15
#: Channels are filled up with zeros to multiples of this: the fast kernels of CPUs and GPUs want it (50 has none).
_FAST = 16
#: Weight decay left thousands of weights near 1e-40; CPUs are a hundred times slower on such numbers (subnormal), and
#: a weight below this changes no answer that a float32 can tell.
_NOTHING = 1e-20


def cost(size: tuple[int, int, int]) -> float:
    """About how much work an output of this size is, in multiplications: what is read around it counts too."""
    kernels = sum(27 * a * b for a, b in pairwise((1, *_WIDTHS)))
    layers = sum(a * b for a, b in pairwise((_WIDTHS[-1] * len(SCALES), *_HIDDEN)))
    paths = sum(kernels * math.prod(side / scale + _SHRINK / 2 for side in size) for scale in SCALES)
    return paths + layers * math.prod(size)


class Block(nn.Module):
    """Batch norm, PReLU, convolution without padding; the input is added where it has as many channels.

    A kernel of one voxel is a matrix product over the channels: no device needs a convolution for that.
    """

    def __init__(self, channels: int, width: int, kernel: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm3d(channels)
        self.prelu = nn.PReLU()
        self.conv = nn.Conv3d(channels, width, kernel, bias=False)
        self.margin = kernel // 2 if channels == width else None
        #: The PReLU's one weight, once it will not change: the same function in place, without another array.
        self.slope = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(items, channels, d, h, w) to (items, width, ...), smaller by the kernel less one."""
        out: torch.Tensor = nn.functional.leaky_relu_(self.bn(x), self.slope) if self.slope else self.prelu(self.bn(x))
        if self.conv.kernel_size == (1, 1, 1):
            out = nn.functional.linear(out.movedim(1, -1), self.conv.weight.flatten(1)).movedim(-1, 1)
        else:
            out = self.conv(out)
        if self.margin is None:
            return out
        return out.add_(_inner(x, self.margin))


class Path(nn.Module):
    """One scale: every `scale`th voxel, eight convolutions. Its answer is still coarse."""

    def __init__(self, scale: int, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.scale = scale
        # Numbered from 1: position 0 of the trained network is the down-sampling, which has no weights.
        self.path = nn.Sequential(
            OrderedDict(
                (str(number), Block(a, b, 3)) for number, (a, b) in enumerate(pairwise((channels, *widths)), start=1)
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(items, 1, n + CONTEXT, ...) to (items, 50, n / scale, ...) for an output of n voxels."""
        field = _inner(x, _SHRINK * (max(SCALES) - self.scale) // 2)
        first, step = self.scale // 2, self.scale
        out: torch.Tensor = self.path(field[:, :, first::step, first::step, first::step].contiguous())
        return out


class DeepMedic(nn.Module):
    """Input (items, 1, n + 80, ...), output logits (items, classes, n, ...); each n a multiple of 15."""

    def __init__(self, classes: int = 5, widths: Sequence[int] = _WIDTHS, hidden: Sequence[int] = _HIDDEN) -> None:
        super().__init__()
        self.names = tuple(f"path({scale}, {scale}, {scale}){number}" for number, scale in enumerate(SCALES))
        for name, scale in zip(self.names, SCALES, strict=True):
            self.add_module(name, Path(scale, 1, widths))
        layers = (widths[-1] * len(SCALES), *hidden, classes)
        self.fully_connected = nn.Sequential(*(Block(a, b, 1) for a, b in pairwise(layers)))
        self.classes, self.widths, self.hidden = classes, tuple(widths), tuple(hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits; raise ValueError where a side is no multiple of 15 and 80 more."""
        if any(side <= CONTEXT or (side - CONTEXT) % STEP for side in x.shape[2:]):
            raise ValueError(f"sides are {tuple(x.shape[2:])}, want multiples of {STEP} and {CONTEXT} more")
        coarse = [self.get_submodule(name)(x) for name in self.names]
        depth = x.shape[2] - CONTEXT
        return torch.cat(
            [self._classify(coarse, start, min(start + _SLAB, depth)) for start in range(0, depth, _SLAB)], 2
        )

    def _classify(self, coarse: list[torch.Tensor], start: int, end: int) -> torch.Tensor:
        parts = [
            _repeat(out[:, :, start // scale : end // scale], scale) for out, scale in zip(coarse, SCALES, strict=True)
        ]
        logits: torch.Tensor = self.fully_connected(torch.cat(parts, 1))
        return logits


def widened(network: DeepMedic) -> DeepMedic:
    """The same function with channels filled up and vanishing weights set to zero, in evaluation mode.

    The answers agree to rounding; a CPU gives them a hundred times faster.
    """
    wide = DeepMedic(network.classes, _round_up(network.widths), _round_up(network.hidden))
    each, every = network.widths[-1], wide.widths[-1]
    joined = torch.cat([torch.arange(each) + scale * every for scale in range(len(SCALES))])
    pairs = zip(_blocks(network), _blocks(wide), strict=True)
    with torch.no_grad():
        for old, new in pairs:
            first = old is network.fully_connected[0]
            _fill(new, old, joined if first else torch.arange(old.bn.num_features))
    return wide.eval().requires_grad_(False)


def _round_up(widths: Sequence[int]) -> list[int]:
    return [-(-width // _FAST) * _FAST for width in widths]


def _blocks(network: DeepMedic) -> list[Block]:
    return [module for module in network.modules() if isinstance(module, Block)]


def _fill(new: Block, old: Block, places: torch.Tensor) -> None:
    """Put the weights of `old` at those input channels; all others answer nothing."""
    for name in ("weight", "bias", "running_mean"):
        target, source = getattr(new.bn, name), getattr(old.bn, name)
        target.zero_()
        target[places] = source
    new.bn.get_buffer("running_var").fill_(1.0)[places] = old.bn.get_buffer("running_var")
    new.prelu.weight.copy_(old.prelu.weight)
    new.slope = float(old.prelu.weight)
    new.conv.weight.zero_()
    weight = old.conv.weight
    new.conv.weight[: len(weight), places] = torch.where(weight.abs() < _NOTHING, 0.0, weight)


class Ensemble(nn.Module):
    """Several networks that were trained alike; answers the mean of their probabilities."""

    def __init__(self, members: Sequence[DeepMedic]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: torch.Tensor, members: torch.Tensor) -> torch.Tensor:
        """Mean probabilities (items, classes, n, ...) of those `members` (items, count) that each item names."""
        return torch.cat([self._mean(x[one : one + 1], members[one].tolist()) for one in range(len(x))])

    def _mean(self, x: torch.Tensor, numbers: list[float]) -> torch.Tensor:
        total = torch.softmax(self.members[int(numbers[0])](x).float(), 1)
        for number in numbers[1:]:
            total += torch.softmax(self.members[int(number)](x).float(), 1)
        return total / len(numbers)


def _inner(x: torch.Tensor, margin: int) -> torch.Tensor:
    """Without `margin` voxels on every side."""
    if margin == 0:
        return x
    inside = slice(margin, -margin)
    return x[:, :, inside, inside, inside]


def _repeat(x: torch.Tensor, times: int) -> torch.Tensor:
    if times == 1:
        return x
    return nn.functional.interpolate(x, scale_factor=times, mode="nearest")

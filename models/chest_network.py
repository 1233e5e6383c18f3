"""The network of `chest_xray`: a frozen trunk that runs once, and three readers of what it sees.

Members are fine-tuned copies of the upper blocks, read by a class activation map each. The plain reader is a linear map
of the frozen features of every place: it cannot overfit as deeply, and both together rank better than either. The gate
reads frozen features of each sixteenth of the image and says whether this is an upright frontal chest at all.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from models.efficientnet_lite import EfficientNetLite

#: After so many blocks the trunk is read: members and gate read the first, the plain reader all of them.
TAPS = (8, 11, 14)
_CHANNELS = (80, 112, 192)
#: Rows and columns of the heat map, and of what the gate looks at.
CELLS, _GATE_CELLS = 8, 4
_COMPONENTS = 64
#: What the gate tells apart; the first is what the model may look at.
KINDS = ("frontal chest", "inverted", "turned left", "turned right", "upside down", "cropped", "not a chest")


class ChestNetwork(nn.Module):
    """`members` fine-tuned networks for `labels` labels, the plain reader, their calibration, and the gate."""

    def __init__(self, labels: int, members: int) -> None:
        super().__init__()
        whole = [EfficientNetLite(labels, channels=1) for _ in range(members)]
        self.trunk = EfficientNetLite(labels, channels=1).trunk(TAPS[-1], TAPS)
        self.members = nn.ModuleList(one.top(TAPS[0]) for one in whole)
        self.plain = nn.Parameter(torch.zeros(labels, sum(_CHANNELS), CELLS, CELLS))
        self.plain_bias = nn.Parameter(torch.zeros(labels))
        #: How much of the mean of the members, and of the plain reader, goes into the logit, and what is added.
        self.shares = nn.Parameter(torch.ones(2, labels))
        self.offset = nn.Parameter(torch.zeros(labels))
        self.gate = Gate()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Images (items, 1, 256, 256) from 0 to 1.

        Answers calibrated logits (items, labels); what each cell adds to them (items, labels, 8, 8); logits of the
        gate's kinds (items, kinds); and how unlike the images of the training it is (items, 1).
        """
        taps = self.trunk(2.0 * x - 1.0)
        maps = torch.stack([member(taps[0]).float() for member in self.members]).mean(dim=0) / CELLS**2
        plain = plain_features(taps)[:, None] * self.plain
        cells = self.shares[0][:, None, None] * maps + self.shares[1][:, None, None] * plain.sum(dim=2)
        constant = self.offset + self.shares[1] * self.plain_bias
        kinds, distance = self.gate(gate_features(taps[0]))
        return cells.sum(dim=(2, 3)) + constant, cells, kinds, distance


class Gate(nn.Module):
    """Whether an image is an upright frontal chest: one of the kinds, and a distance from the images of the training.

    The distance is Mahalanobis' in the leading components plus what they leave unexplained, each as a share of what
    the training's images have.
    """

    def __init__(self) -> None:
        super().__init__()
        size = 2 * _CHANNELS[0] * _GATE_CELLS**2
        self.kinds = nn.Linear(size, len(KINDS))
        self.mean = nn.Parameter(torch.zeros(size))
        self.scale = nn.Parameter(torch.ones(size))
        self.components = nn.Parameter(torch.zeros(_COMPONENTS, size))
        self.spread = nn.Parameter(torch.ones(_COMPONENTS))
        self.unexplained = nn.Parameter(torch.ones(1))

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (items, size) to logits (items, kinds) and distances (items, 1)."""
        whitened = (features - self.mean) / self.scale
        scores = whitened @ self.components.T
        rest = whitened.square().sum(dim=1) - scores.square().sum(dim=1)
        inside = (scores / self.spread).square().mean(dim=1)
        distance = inside + rest / self.unexplained
        return self.kinds(whitened), distance[:, None]


def plain_features(taps: list[torch.Tensor]) -> torch.Tensor:
    """The taps on one grid: (items, 384, 8, 8)."""
    return torch.cat([functional.adaptive_avg_pool2d(tap.float(), CELLS) for tap in taps], dim=1)


def gate_features(tap: torch.Tensor) -> torch.Tensor:
    """Mean and largest value of each channel in each of 4 x 4 parts: (items, 2560)."""
    mean = functional.adaptive_avg_pool2d(tap.float(), _GATE_CELLS)
    largest = functional.adaptive_max_pool2d(tap.float(), _GATE_CELLS)
    return torch.cat([mean, largest], dim=1).flatten(1)


def load(labels: int, state: Mapping[str, torch.Tensor]) -> ChestNetwork:
    """The network of stored weights, half or single precision; RuntimeError where they are not exactly its own."""
    members = len({name.split(".")[1] for name in state if name.startswith("members.")})
    network = ChestNetwork(labels, members)
    single = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    network.load_state_dict(single, strict=True)
    return network.eval()

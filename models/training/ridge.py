"""The plain reader: ridge regression from frozen features of every place in the image to the labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from models.chest_network import CELLS

#: Weight of the penalty, for features scaled so that a row of each kind of feature has a norm near one.
PENALTY = 20.0
#: Channels of the taps: the first and last are read in every cell, and all of them as means over the image.
_PARTS = (slice(0, 80), slice(80, 192), slice(192, 384))
_PLACED = (0, 2)


@dataclass(frozen=True)
class Plain:
    """Weights (labels, 384, 8, 8) and biases (labels) on the features of `chest_network.plain_features`."""

    weight: torch.Tensor
    bias: torch.Tensor

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        """(items, 384, 8, 8) to (items, labels): near 0 for a negative, near 1 for a positive."""
        return features.flatten(1) @ self.weight.flatten(1).T + self.bias


def fit(features: torch.Tensor, targets: torch.Tensor, penalty: float = PENALTY) -> Plain:
    """Fit on features (items, 384, 8, 8) and targets (items, labels); solved in the space of the items."""
    blocks = [features[:, _PARTS[part]].flatten(1) for part in _PLACED]
    blocks += [features[:, part].mean(dim=(2, 3)) for part in _PARTS]
    means = [block.mean(dim=0) for block in blocks]
    scales = [_scale(block) * block.shape[1] ** 0.5 for block in blocks]
    rows = torch.cat([(b - m) / s for b, m, s in zip(blocks, means, scales, strict=True)], dim=1)
    middle = targets.mean(dim=0)
    gram = (rows @ rows.T).double()
    solved = torch.linalg.solve(gram + penalty * torch.eye(len(rows), dtype=torch.float64), (targets - middle).double())
    weights = (rows.T @ solved.float()).split([block.shape[1] for block in blocks])
    weights = tuple(weight / scale[:, None] for weight, scale in zip(weights, scales, strict=True))
    bias = middle - sum((mean @ weight for mean, weight in zip(means, weights, strict=True)), torch.zeros_like(middle))
    return Plain(_placed(weights, features.shape[1]), bias)


def _scale(block: torch.Tensor) -> torch.Tensor:
    return block.std(dim=0) + 1e-3 * block.std()


def _placed(weights: tuple[torch.Tensor, ...], channels: int) -> torch.Tensor:
    """The weights of all blocks as one map: a mean over the image is a little of every cell."""
    labels = weights[0].shape[1]
    placed = torch.zeros(labels, channels, CELLS, CELLS)
    for index, block in enumerate(_PLACED):
        placed[:, _PARTS[block]] += weights[index].T.reshape(labels, -1, CELLS, CELLS)
    for part, weight in zip(_PARTS, weights[len(_PLACED) :], strict=True):
        placed[:, part] += weight.T[:, :, None, None] / CELLS**2
    return placed

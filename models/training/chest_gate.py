"""Train the gate of `chest_xray`: which kind of picture it is, and how far from the radiographs of the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from models.chest_network import KINDS, Gate, gate_features
from models.efficientnet_lite import Trunk
from models.training import kinds, trunk
from models.training.augment import altered

#: Pictures (1, rows, columns) from 0 to 1, by their sort.
Pictures: TypeAlias = Mapping[str, Sequence[torch.Tensor]]
_STEPS, _RATE, _DECAY = 120, 0.01, 0.1
#: Which altered copies are looked at; seeds of the spoiled radiographs and of the fit.
_ALTERED, _SPOILED, _SEED = (1, 4, 7), 5, 11
_SPOILED_EACH, _MORE, _NOISE = 500, 60, 80
#: Operating points; `chest_xray.toml` states them and what they give.
MIN_FRONTAL_CHEST, MAX_DISTANCE = 0.1, 4.0
_FRONTAL, _OTHER = 0, len(KINDS) - 1


@dataclass(frozen=True)
class Group:
    """Features of pictures of one kind: of which radiograph each was made (-1: of none), and a name."""

    name: str
    kind: int
    features: torch.Tensor
    rows: NDArray[np.int64]


def train(
    frozen: Trunk, images: torch.Tensor, copies: Sequence[torch.Tensor], *, fold: NDArray[np.int64], pictures: Pictures
) -> tuple[Gate, dict[str, object]]:
    """The gate fitted on everything, and what it does to pictures that it was not fitted on.

    `images` (items, 1, 256, 256) from 0 to 1; `copies` what the trunk made of them, and then of altered ones.

    Radiographs are judged by a gate fitted without their patient's fold, other pictures by one fitted without any of
    their sort.
    """
    groups = collect(frozen, images, copies, pictures)
    refused: dict[str, list[bool]] = {}
    for out in range(int(fold.max()) + 1):
        gate = fit([_without(group, fold == out) for group in groups])
        for group in groups:
            if group.kind != _OTHER:
                refused.setdefault(group.name, []).extend(_refuses(gate, group.features[_of(group, fold == out)]))
    for group in groups:
        if group.kind == _OTHER:
            gate = fit([other for other in groups if other is not group])
            refused[group.name] = _refuses(gate, group.features)
    shares = {name: {"refused": sum(found), "of": len(found)} for name, found in refused.items()}
    return fit(groups), {"refusals": shares, "min_frontal_chest": MIN_FRONTAL_CHEST, "max_distance": MAX_DISTANCE}


def collect(frozen: Trunk, images: torch.Tensor, copies: Sequence[torch.Tensor], pictures: Pictures) -> list[Group]:
    """Features of the radiographs, altered and spoiled, and of what is no radiograph of a chest."""
    everyone = np.arange(len(images))
    names = ["frontal chest", *(["frontal chest, altered"] * len(_ALTERED))]
    groups = [
        Group(name, _FRONTAL, gate_features(copies[index]), everyone)
        for name, index in zip(names, (0, *_ALTERED), strict=True)
    ]
    generator = torch.Generator().manual_seed(_SPOILED)
    for kind in range(1, _OTHER):
        rows = torch.randperm(len(images), generator=generator)[:_SPOILED_EACH]
        half = len(rows) // 2
        plain = kinds.spoiled(images[rows[:half]], KINDS[kind], generator)
        changed = altered(kinds.spoiled(images[rows[half:]], KINDS[kind], generator), generator)
        groups.append(Group(KINDS[kind], kind, trunk.parts(frozen, plain), rows[:half].numpy()))
        groups.append(Group(f"{KINDS[kind]}, altered", kind, trunk.parts(frozen, changed), rows[half:].numpy()))
    sorts = {name: kinds.others(found, len(found) + _MORE, generator) for name, found in pictures.items()}
    sorts["noise"] = kinds.noise(_NOISE, generator)
    for name, made in sorts.items():
        groups.append(Group(f"not a chest: {name}", _OTHER, trunk.parts(frozen, made), np.full(len(made), -1)))
    return groups


def fit(groups: list[Group]) -> Gate:
    """Every kind weighs alike; the distance is fitted on the frontal chests alone."""
    features = torch.cat([group.features for group in groups])
    labels = torch.cat([torch.full((len(group.features),), group.kind) for group in groups])
    gate = Gate()
    frontal = features[labels == _FRONTAL]
    mean = frontal.mean(dim=0)
    scale = frontal.std(dim=0) + 1e-2 * frontal.std()
    whitened = (frontal - mean) / scale
    torch.manual_seed(_SEED)
    _, spread, directions = torch.pca_lowrank(whitened, q=gate.components.shape[0], center=False, niter=3)
    rest = whitened.square().sum(dim=1) - (whitened @ directions).square().sum(dim=1)
    with torch.no_grad():
        gate.mean.copy_(mean)
        gate.scale.copy_(scale)
        gate.components.copy_(directions.T)
        gate.spread.copy_(spread / len(frontal) ** 0.5)
        gate.unexplained.copy_(rest.mean())
    _fit_kinds(gate.kinds, (features - mean) / scale, labels)
    return gate.eval()


def _fit_kinds(linear: nn.Linear, features: torch.Tensor, labels: torch.Tensor) -> None:
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    weight = 1.0 / torch.bincount(labels, minlength=len(KINDS)).clamp(min=1)
    # Frontal chests lie around zero, so that their bias alone can raise them: it learns faster.
    groups = [
        {"params": [linear.weight], "lr": _RATE},
        {"params": [linear.bias], "lr": 10 * _RATE, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / _STEPS)
    for _ in range(_STEPS):
        loss = functional.cross_entropy(linear(features), labels, weight=weight)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()


def _refuses(gate: Gate, features: torch.Tensor) -> list[bool]:
    with torch.inference_mode():
        logits, distance = gate(features)
    passed = (torch.softmax(logits, dim=1)[:, _FRONTAL] >= MIN_FRONTAL_CHEST) & (distance[:, 0] <= MAX_DISTANCE)
    refused: list[bool] = (~passed).tolist()
    return refused


def _of(group: Group, out: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of its pictures were made of a radiograph of that fold."""
    return np.array([row >= 0 and bool(out[row]) for row in group.rows], dtype=np.bool_)


def _without(group: Group, out: NDArray[np.bool_]) -> Group:
    kept = ~_of(group, out)
    return Group(group.name, group.kind, group.features[kept], group.rows[kept])

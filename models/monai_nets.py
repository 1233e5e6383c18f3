"""Builds the networks of `models.architectures` with MONAI, from literals alone."""

from __future__ import annotations

import torch

from cds.errors import ConfigurationError
from models.architectures import mistakes
from models.declaration import Architecture, Literals

#: Those that can fetch weights from elsewhere are told not to.
_FETCHING = ("EfficientNetBN", "DenseNet", "resnet", "SERes")


def build(wanted: Architecture) -> torch.nn.Module:
    """The network with random weights; ConfigurationError where the list or MONAI refuses the arguments."""
    if wrong := mistakes(wanted):
        raise ConfigurationError(wrong)
    from monai.networks import nets

    arguments: dict[str, Literals] = dict(wanted.arguments)
    if wanted.name.startswith(_FETCHING):
        arguments["pretrained"] = False
    try:
        network: torch.nn.Module = getattr(nets, wanted.name)(**arguments)
    except (TypeError, ValueError, AssertionError, LookupError, RuntimeError, NotImplementedError) as error:
        raise ConfigurationError([f"declared.network.arguments: {wanted.name} refuses them: {error}"]) from None
    return network

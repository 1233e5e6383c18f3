"""The networks of MONAI that a manifest may name: a closed list, and the arguments that each takes.

A bundle of MONAI describes its network in a configuration that imports and runs what it names (`_target_`, `$`). That
file is never opened: the manifest says the architecture in words, and the bundle gives nothing but its weights.
Everything here is convolutional; networks that fetch weights or need further packages are not on the list.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from models.declaration import Architecture

_COMMON = frozenset({"spatial_dims", "in_channels", "out_channels"})
_UNET = _COMMON | {"channels", "strides", "kernel_size", "up_kernel_size", "dropout"}
_BASIC = _COMMON | {"features", "act", "norm", "bias", "dropout", "upsample"}
_SEGRES = _COMMON | {"init_filters", "act", "norm", "blocks_down", "blocks_up", "upsample_mode"}
_DENSE = _COMMON | {"init_features", "growth_rate", "block_config", "bn_size", "act", "norm", "dropout_prob"}
_RESNET = frozenset(
    {"spatial_dims", "n_input_channels", "num_classes", "conv1_t_size", "conv1_t_stride", "no_max_pool",
     "shortcut_type", "widen_factor", "bias_downsample", "act", "norm"}
)  # fmt: skip
_SERES = frozenset({"spatial_dims", "in_channels", "num_classes"})

#: Constructor → arguments that it may be given. Classes of `monai.networks.nets`, as their weights were saved.
ARCHITECTURES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "UNet": _UNET | {"num_res_units", "act", "norm", "bias", "adn_ordering"},
        "AttentionUnet": _UNET,
        "BasicUNet": _BASIC,
        "BasicUNetPlusPlus": _BASIC,
        "SegResNet": _SEGRES | {"dropout_prob", "norm_name", "num_groups", "use_conv_final"},
        "SegResNetDS": _SEGRES,
        "DynUNet": _COMMON
        | {"kernel_size", "strides", "upsample_kernel_size", "filters", "dropout", "norm_name", "act_name",
           "deep_supervision", "deep_supr_num", "res_block", "trans_bias"},
        "VNet": _COMMON | {"act", "dropout_prob_down", "dropout_prob_up", "dropout_dim", "bias"},
        "HighResNet": _COMMON | {"norm_type", "acti_type", "dropout_prob", "bias", "layer_params", "channel_matching"},
        "Classifier": frozenset({"in_shape", "classes", "channels", "strides", "kernel_size", "num_res_units", "act",
                                 "norm", "dropout", "bias", "last_act"}),
        "EfficientNetBN": frozenset({"model_name", "spatial_dims", "in_channels", "num_classes", "norm"}),
        **{f"DenseNet{layers}": _DENSE for layers in (121, 169, 201, 264)},
        **{f"resnet{layers}": _RESNET for layers in (10, 18, 34, 50, 101, 152, 200)},
        **{name: _SERES for name in ("SEResNet50", "SEResNet101", "SEResNet152", "SEResNext50", "SEResNext101")},
    }
)  # fmt: skip


def mistakes(wanted: Architecture) -> list[str]:
    """What of an architecture is not on the list, each as "key: what was wanted"; nothing of MONAI is loaded."""
    allowed = ARCHITECTURES.get(wanted.name)
    if allowed is None:
        return [f"declared.network.name: {wanted.name} is none of {', '.join(sorted(ARCHITECTURES))}"]
    return [
        f"declared.network.arguments.{name}: is no argument of {wanted.name}; there are {', '.join(sorted(allowed))}"
        for name in sorted(set(wanted.arguments) - allowed)
    ]

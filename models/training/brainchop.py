"""Convert a MeshNet of brainchop (a tf.js layers model: model.json and one file of floats) to safetensors.

python -m models.training.brainchop MODEL_FOLDER OUT.safetensors

The same folder always gives the same bytes, so that a manifest can state their digest. Nothing is executed.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from cds.errors import InvalidInput

Tensors = dict[str, NDArray[np.float32]]

_USAGE = "usage: python -m models.training.brainchop MODEL_FOLDER OUT.safetensors"
#: tf.js keeps kernels as (depth, height, width, in, out), torch as (out, in, depth, height, width).
_TO_TORCH = (4, 3, 0, 1, 2)


def convert(folder: Path) -> tuple[Tensors, tuple[int, ...]]:
    """The tensors by the names of `models.meshnet.MeshNet`, and the dilations of its convolutions.

    Raise InvalidInput where the folder holds no such model or one that MeshNet does not compute.
    """
    try:
        model = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        manifest = model["weightsManifest"][0]
        (file,) = manifest["paths"]
        stored = _tensors((folder / Path(file).name).read_bytes(), manifest["weights"])
        topology = model["modelTopology"]
        layers = topology.get("model_config", topology)["config"]["layers"]
        return _renamed(layers, stored)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise InvalidInput(f"want a folder with a tf.js layers model of MeshNet: {error}") from None


def _tensors(content: bytes, entries: list[dict[str, Any]]) -> Tensors:
    found: Tensors = {}
    at = 0
    for entry in entries:
        if entry["dtype"] != "float32" or "quantization" in entry:
            raise ValueError("weights are not plain float32")
        count = int(np.prod(entry["shape"]))
        found[entry["name"]] = np.frombuffer(content, "<f4", count, at).reshape(entry["shape"])
        at += 4 * count
    if at != len(content):
        raise ValueError("the file of weights has another length than its description")
    return found


def _renamed(layers: list[dict[str, Any]], stored: Tensors) -> tuple[Tensors, tuple[int, ...]]:
    convs = [layer["config"] for layer in layers if layer["class_name"] == "Conv3D"]
    activations = [layer["config"]["activation"] for layer in layers if layer["class_name"] == "Activation"]
    if len(layers) != 2 * len(convs) or activations != ["elu"] * (len(convs) - 1):
        raise ValueError("the layers are not convolutions with ELU between them")
    tensors: Tensors = {}
    dilations = []
    for number, config in enumerate(convs):
        last = number == len(convs) - 1
        if config["padding"] != "same" or set(config["strides"]) != {1} or config["data_format"] != "channels_last":
            raise ValueError(f"convolution {number} is strided, unpadded or channels first")
        if set(config["kernel_size"]) != {1 if last else 3} or len(set(config["dilation_rate"])) != 1:
            raise ValueError(f"convolution {number} has another kernel than MeshNet's")
        name = "head" if last else f"convs.{number}"
        tensors[f"{name}.weight"] = np.ascontiguousarray(stored[f"{config['name']}/kernel"].transpose(_TO_TORCH))
        tensors[f"{name}.bias"] = np.ascontiguousarray(stored[f"{config['name']}/bias"])
        dilations.append(int(config["dilation_rate"][0]))
    return tensors, tuple(dilations[:-1])


def main(arguments: list[str]) -> int:
    """Write the file and print its SHA-256; 1 with the reason where it cannot be done, 2 for wrong arguments."""
    try:
        folder, out = arguments
    except ValueError:
        sys.stderr.write(f"{_USAGE}\n")
        return 2
    try:
        tensors, dilations = convert(Path(folder))
        content = save(tensors)
        Path(out).write_bytes(content)
    except (InvalidInput, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{hashlib.sha256(content).hexdigest()}  {len(tensors)} tensors, dilations {dilations}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Models that a site might bring: a manifest and a file of weights, made here, with answers that are known."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import torch

from cds.domain.imaging import ImageRef, Projections, VolumeRef

MANIFEST = """
id = "{id}"
version = "{version}"
title = "A model of the tests"
task = "{task}"
intended_use = "Shows that a model is run by its manifest alone."
not_for = ["Patients."]
limits = ["It knows one thing."]
licence = "As the project"
source = ["Made in the tests."]
body_site = {{ system = "http://snomed.info/sct", code = "39607008", display = "Lung structure" }}

[[performance]]
statement = "Not evaluated."
dataset = "none"
{inputs}
{outputs}
[runtime]
network = "{network}"
max_batch = 4

[[weights]]
file = "{file}"
sha256 = "{sha256}"
format = "{format}"
source = "Made in the tests"
licence = "As the project"
{declared}
"""

PROJECTION_INPUTS = """
[inputs]
modality = "DX"
modalities = ["CR"]
sop_class_uids = ["1.2.840.10008.5.1.4.1.1.1.1"]
body_parts = ["CHEST"]
kind = "projection"

[inputs.projection]
views = ["PA", "AP"]
min_rows = 16
min_columns = 16
"""
VOLUME_INPUTS = """
[inputs]
modality = "CT"
sop_class_uids = ["1.2.840.10008.5.1.4.1.1.2"]
body_parts = ["CHEST"]
orientation = "axial"
"""
CLASSES = """
[[outputs]]
key = "left"
unit = ""
code = { system = "urn:sightline:observation", code = "left", display = "Brighter on the left" }

[[outputs]]
key = "right"
unit = ""
code = { system = "urn:sightline:observation", code = "right", display = "Brighter on the right" }

[[thresholds]]
name = "half"
value = 0.5
unit = "1"
chosen = "The project's own."
"""
CLASSIFIES = """
[declared]
way = "projection-classification"
answers = 2
activation = "sigmoid"
scale = { by = "minmax" }
image = { rows = 32, columns = 32 }
readings = [
  { output = "left", channel = 0, threshold = "half" },
  { output = "right", channel = 1, threshold = "half" },
]
"""
VOLUMES = """
[[outputs]]
key = "dense"
unit = "mL"
code = { system = "urn:sightline:observation", code = "dense", display = "Dense tissue" }

[[thresholds]]
name = "least"
value = 0.1
unit = "mL"
chosen = "The project's own."
"""
SEGMENTS = """
[declared]
way = "volume-segmentation"
answers = 2
activation = "softmax"
scale = { by = "window", low = -1000, high = 1000 }
volume = { orientation = "RAS", spacing_mm = [2.0, 2.0, 2.0], size = [24, 24, 24], overlap = 0.25 }
readings = [{ output = "dense", channel = 1, minimum = "least" }]
"""


class Sides(torch.nn.Module):
    """Two logits: how much brighter the left half of the image is than the right, and the other way round."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        half = x.shape[3] // 2
        more = x[:, 0, :, :half].mean((1, 2)) - x[:, 0, :, half:].mean((1, 2))
        return torch.stack([20.0 * more, -20.0 * more], dim=1)


class Dense(torch.nn.Module):
    """Two logits for each voxel: label 1 above half of the scale."""

    def __init__(self) -> None:
        super().__init__()
        self.steep = torch.nn.Parameter(torch.tensor(50.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        above = self.steep * (x - 0.5)
        return torch.cat([-above, above], dim=1)


@cache
def _packed(network: type[torch.nn.Module], *shape: int) -> bytes:
    """Exporting takes long: once for each network of this file."""
    return exported(network(), *shape)


def exported(network: torch.nn.Module, *shape: int) -> bytes:
    """The network as a .pt2 package for any number of items."""
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(network.eval(), (torch.zeros(2, *shape),), dynamic_shapes=({0: batch},))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def scripted(network: torch.nn.Module) -> bytes:
    """The network as TorchScript, which this torch no longer likes to make."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(network.eval()), buffer)
    return buffer.getvalue()


def saved(network: torch.nn.Module) -> bytes:
    """Its state dict."""
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    return buffer.getvalue()


def manifest(content: bytes, **parts: str) -> str:
    """The text of a manifest for this file of weights: by default a .pt2 classifier of projections."""
    given = {
        "id": "sides",
        "version": "1.0.0",
        "task": "classification",
        "inputs": PROJECTION_INPUTS,
        "outputs": CLASSES,
        "network": "pt2",
        "file": "sides.pt2",
        "format": "pt2",
        "declared": CLASSIFIES,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return MANIFEST.format(**{**given, **parts})


def classifier(folder: Path, network: torch.nn.Module | None = None, **parts: str) -> Path:
    """A folder with a .pt2 classifier of projections, by default `Sides`."""
    content = exported(network, 1, 32, 32) if network else _packed(Sides, 1, 32, 32)
    return _written(folder, manifest(content, **parts), parts.get("id", "sides"), {"sides.pt2": content})


SEGMENTER = {
    "id": "dense",
    "task": "segmentation",
    "inputs": VOLUME_INPUTS,
    "outputs": VOLUMES,
    "file": "dense.pt2",
    "declared": SEGMENTS,
}


def segmenter(folder: Path, network: torch.nn.Module | None = None, **parts: str) -> Path:
    """A folder with a .pt2 segmentation of CT volumes, by default `Dense`."""
    content = exported(network, 1, 24, 24, 24) if network else _packed(Dense, 1, 24, 24, 24)
    given = {**SEGMENTER, **parts}
    return _written(folder, manifest(content, **given), given["id"], {"dense.pt2": content})


UNET = {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2]}
ARCHITECTURE = 'network = { name = "UNet", arguments = { ' + ", ".join(f"{k} = {v}" for k, v in UNET.items()) + " } }\n"


def bundle(folder: Path, state: bytes, touched: Path, **parts: str) -> Path:
    """A MONAI-style bundle whose configuration would run a command that makes `touched`, with a manifest beside it."""
    hostile = {
        "imports": ["$import os", f"$os.system('touch {touched}')"],
        "network_def": {"_target_": "os.system", "command": f"touch {touched}"},
        "evaluator": f"$__import__('pathlib').Path('{touched}').touch()",
    }
    given = {
        **SEGMENTER,
        "id": "small_unet",
        "network": "monai",
        "file": "model.pt",
        "format": "state-dict",
        "declared": SEGMENTS + ARCHITECTURE,
        **parts,
    }
    files = {
        "configs/inference.json": json.dumps(hostile).encode(),
        "configs/metadata.json": json.dumps(hostile).encode(),
        "scripts/__init__.py": f"import pathlib; pathlib.Path({str(touched)!r}).touch()".encode(),
        "models/model.pt": state,
    }
    return _written(folder, manifest(state, **given), given["id"], files)


def _written(folder: Path, text: str, model_id: str, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    (folder / f"{model_id}.toml").write_text(text)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def projections(folder: Path, *images: np.ndarray, view: str = "PA") -> Projections:
    """Images as the reader of DICOM gives them."""
    refs = []
    for number, image in enumerate(images):
        path = folder / f"{number}.npy"
        np.save(path, image[None])
        refs.append(
            ImageRef(
                str(path),
                str(image.dtype),
                (1, *image.shape),
                "MONOCHROME2",
                None,
                "",
                f"1.2.{number}",
                "1.2",
                "DX",
                view,
            )
        )
    return Projections(tuple(refs))


def volume(folder: Path, hu: np.ndarray, spacing_mm: tuple[float, float, float], affine: np.ndarray) -> VolumeRef:
    """A CT volume as the reader of DICOM gives it."""
    path = folder / "volume.npy"
    np.save(path, hu)
    uids = tuple(f"1.2.3.{index}" for index in range(len(hu)))
    shape = (hu.shape[0], hu.shape[1], hu.shape[2])
    flat = tuple(float(x) for x in affine.ravel())
    return VolumeRef(str(path), str(hu.dtype), shape, spacing_mm, flat, "1.2.3", "CT", "axial", {}, (), uids)

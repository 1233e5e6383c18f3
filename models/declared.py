"""Runs a model that has a manifest and no code: a .pt2 package, a network of MONAI, or TorchScript where it is allowed.

What happens before and after the network stands in `[declared]` (`models.declaration`); the network is built from a
file of weights alone, and whatever else lies beside it is not read.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from cds.domain.finding import Findings
from cds.domain.imaging import ImageRef, ModelInput, Projections, VolumeRef
from cds.errors import ConfigurationError, NotEvaluable, NotFound
from models import ct_gates, declared_findings, monai_nets, mr_gates, pt2, sliding, weights
from models.declaration import Declaration, VolumeGrid
from models.declared_pixels import Laid, fitted, framed, laid, normalised, scaled
from models.manifest import Manifest
from models.network import Network
from models.task import Refused, Task

T = TypeVar("T")
#: Lines of torch's mistake that are told: it names every tensor in one of its own.
_TOLD = 4


@dataclass(frozen=True)
class Prepared:
    """What goes through the network: items of projections or of one volume, or a volume to be looked through.

    `images` are those that passed the gates, in the order of the items; `how` brings labels back to the file's grid,
    `cuts` are the thresholds of its readings.
    """

    declared: Declaration
    items: torch.Tensor
    gates: tuple[str, ...]
    images: tuple[ImageRef, ...] = ()
    how: Laid | None = None
    cuts: tuple[float, ...] = ()


def prepare(manifest: Manifest, given: ModelInput, task: Task) -> Prepared:
    """Ask the gates, then scale and lay the pixels as declared; raise Refused with the reasons."""
    declared = _declaration(manifest)
    if isinstance(given, Projections):
        return _projections(manifest, declared, given, task)
    return _volume(manifest, declared, given, task)


def build(manifest: Manifest, device: torch.device) -> torch.nn.Module:
    """The network from its one file; NotInstalled where it is not there, ConfigurationError where it does not fit."""
    declared = _declaration(manifest)
    file = manifest.weights[0].file
    if manifest.runtime.network == "pt2":
        return pt2.network(weights.content(manifest, file), f"{manifest.id}: {file}", device)
    if manifest.runtime.network == "torchscript":
        return _torchscript(manifest, file, device)
    if declared.network is None:
        raise ConfigurationError([f"{manifest.id}.toml: declared.network: is wanted for runtime.network monai"])
    state = weights.load(manifest, file)
    network = monai_nets.build(declared.network)
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ConfigurationError([_misfit(manifest, f"{file} does not fit {declared.network.name}", error)]) from None
    return network.eval().to(device)


def _misfit(manifest: Manifest, what: str, error: RuntimeError) -> str:
    """The first few of torch's lines, which are one per tensor."""
    lines = [line.strip() for line in str(error).splitlines()]
    more = f" (and {len(lines) - _TOLD} lines more)" if len(lines) > _TOLD else ""
    return f"{manifest.id}: {what}: {' '.join(lines[:_TOLD])}{more}"


def warm(manifest: Manifest) -> tuple[torch.Tensor, ...]:
    """An input of the declared size, for the first forward before anybody waits for it."""
    declared = _declaration(manifest)
    if declared.image is not None:
        return (torch.zeros(1, declared.channels, declared.image.rows, declared.image.columns),)
    return (torch.zeros(1, declared.channels, *_grid(declared).size),)


def infer(network: Network, prepared: Prepared, task: Task) -> torch.Tensor:
    """What the network answers, before the activation: (items, answers); of a segmentation its labels.

    Labels are (readings, *volume), uint8. Raise ConfigurationError where the answers are not as many as declared,
    NotEvaluable where they are no numbers.
    """
    declared = prepared.declared
    asked = _Checked(network, declared)
    if not declared.segments:
        return asked(prepared.items)[0]
    grid = _grid(declared)
    fill = float(prepared.items.min())
    plan = sliding.Plan(grid.size, declared.answers, grid.overlap, blending=grid.blending, fill=fill, chunk=4)
    slabs = sliding.slabs(asked, prepared.items.numpy(), plan, task)
    return torch.cat([declared_findings.labels(slab.values, declared, prepared.cuts) for slab in slabs], dim=1)


class _Checked:
    """The network, whose every answer is looked at before it is used."""

    def __init__(self, network: Network, declared: Declaration) -> None:
        self._network = network
        self._declared = declared

    @property
    def device(self) -> torch.device:
        return self._network.device

    def __call__(self, *items: torch.Tensor) -> tuple[torch.Tensor, ...]:
        answered = self._network(*items)
        check_answer(answered[0], items[0], self._declared)
        return answered

    def alone(self, work: Callable[[torch.nn.Module, torch.device], T]) -> T:
        return self._network.alone(work)


def check_answer(answered: torch.Tensor, items: torch.Tensor, declared: Declaration) -> None:
    """Raise ConfigurationError for an answer of another shape than declared, NotEvaluable for one of no numbers."""
    wanted = (len(items), declared.answers, *(items.shape[2:] if declared.segments else ()))
    if tuple(answered.shape) != wanted:
        got, want = ("x".join(map(str, shape)) for shape in (answered.shape, wanted))
        raise ConfigurationError([f"the network answers {got} to {len(items)} items, want {want}"])
    if not torch.isfinite(answered).all():
        raise NotEvaluable("the network answered with values that are no numbers", gate="answer")


def interpret(manifest: Manifest, given: ModelInput, prepared: Prepared, raw: torch.Tensor, task: Task) -> Findings:
    """Probabilities to findings at their thresholds, or labels to volumes in mL and masks."""
    if isinstance(given, VolumeRef) and prepared.how is not None:
        return declared_findings.segmented(manifest, given, raw, task, how=prepared.how, gates=prepared.gates)
    return declared_findings.classified(manifest, given, raw, task, images=prepared.images, gates=prepared.gates)


def _declaration(manifest: Manifest) -> Declaration:
    if manifest.declared is None:
        raise ConfigurationError([f"{manifest.id}.toml: declared: is wanted for a model without code"])
    return manifest.declared


def _grid(declared: Declaration) -> VolumeGrid:
    if declared.volume is None:
        raise ConfigurationError(["declared.volume: is wanted for a model that reads a volume"])
    return declared.volume


def _torchscript(manifest: Manifest, file: str, device: torch.device) -> torch.nn.Module:
    """The one place where TorchScript is loaded: deprecated in PyTorch 2.13, and executable code."""
    if not manifest.may_execute:
        why = f"{file} is TorchScript, which is executable code; CDS_ALLOW_TORCHSCRIPT lets it run"
        raise weights.NotInstalled(manifest, why)
    raw = io.BytesIO(weights.content(manifest, file))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        try:
            loaded: torch.nn.Module = torch.jit.load(raw, map_location=device)  # type: ignore[no-untyped-call]  # torch's
        except (RuntimeError, ValueError):
            raise ConfigurationError([f"{manifest.id}: {file} is no TorchScript that this torch reads"]) from None
        return pt2.sealed(loaded.eval())


def _projections(manifest: Manifest, declared: Declaration, given: Projections, task: Task) -> Prepared:
    """One item for each image that passes; refused where none does."""
    if declared.image is None:
        raise ConfigurationError([f"{manifest.id}.toml: declared.image: is wanted for projections"])
    items, images, gates, refused = [], [], [], []
    with task.step("pixels"):
        for image in given.images:
            wrong = _image_gates(manifest, image)
            if wrong:
                refused += wrong
                continue
            try:
                values = scaled(_pixels(image), declared.scale)
            except NotEvaluable as error:
                refused.append((error.gate, str(error)))
                continue
            items.append(normalised(fitted(values, declared.image), declared.scale, declared.channels))
            images.append(image)
            gates.append(f"view: {image.view or 'not stated'}")
    if not items:
        raise Refused(list(dict.fromkeys(refused)))
    return Prepared(declared, torch.stack(items), tuple(dict.fromkeys(gates)), tuple(images))


def _image_gates(manifest: Manifest, image: ImageRef) -> list[tuple[str, str]]:
    wanted = manifest.inputs.projection
    if image.modality not in manifest.inputs.all_modalities:
        return [("modality", f"the image is not {manifest.inputs.modality}")]
    if len(image.shape) != len(("frames", "rows", "columns")) or image.shape[0] != 1:
        return [("image", "the image is in colour or has several frames")]
    if wanted is None:
        return []
    refused: list[tuple[str, str]] = []
    if image.view not in wanted.views:
        stated = "is not one that the model reads" if image.view else "is not stated"
        refused.append(("view", f"the view of the image {stated}"))
    if image.shape[1] < wanted.min_rows or image.shape[2] < wanted.min_columns:
        refused.append(("size", f"the image is smaller than {wanted.min_rows} by {wanted.min_columns} pixels"))
    return refused


def _pixels(image: ImageRef) -> torch.Tensor:
    try:
        pixels = np.load(image.path, allow_pickle=False)
    except (OSError, ValueError):
        raise NotFound("the image's file is not there or is no array") from None
    if pixels.shape != image.shape:
        raise NotFound("the image's file is not the one that was described")
    return torch.from_numpy(pixels[0].astype(np.float32))


def _volume(manifest: Manifest, declared: Declaration, volume: VolumeRef, task: Task) -> Prepared:
    passed, refused = (mr_gates if manifest.inputs.mr is not None else ct_gates).check(manifest, volume)
    if refused:
        raise Refused(refused)
    grid = _grid(declared)
    with task.step("volume"):
        values, how = laid(volume, grid)
    with task.step("scale"):
        values = scaled(values, declared.scale)
        if not declared.segments:
            values = framed(values, grid.size, float(values.min()))
        items = normalised(values, declared.scale, 1)
    gates = tuple(f"{gate}: {value}" for gate, value in passed)
    if declared.segments:
        cuts = tuple(manifest.threshold(one.threshold) if one.threshold else 0.0 for one in declared.readings)
        return Prepared(declared, items, gates, how=how, cuts=cuts)
    return Prepared(declared, items[None], gates)

"""Volumes of the brain's parts on T1-weighted MR: a MeshNet labels 17 structures, sides by the plane between them.

The network and its weights are brainchop's "model30chan18cls" (MIT), run on the whole head at once, layer by layer.
Limits, thresholds and sources stand in `brain_volumetry.toml`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from cds.domain.coding import Quantity
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.imaging import MaskRef, VolumeRef
from models import brain_quality, mr_gates, weights
from models.brain_quality import Verdict
from models.brain_regions import PAIRED, Measured, Measurement, measure, sided, sided_names
from models.conform import SIDE, Floats, Grid, Labels, conform, grid_of, scaled, to_native
from models.hemispheres import find_midplane
from models.image import Voxels, open_volume, rises, save_mask
from models.manifest import Manifest
from models.meshnet import MeshNet
from models.network import Network
from models.task import Refused, Task

CHANNELS, CLASSES = 30, 18
WEIGHTS = "brainchop_model30chan18cls.safetensors"
#: What of the head is looked at below its top, mm: a brain and the network's reach below it.
_TALL = 224
#: A plane that holds less of the head than this, mm2, is air with noise.
_LEAST_MM2 = 200
_MOST_KEY_SLICES = 10
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Prepared:
    """The head on the conformed grid, cut out; `image` is (1, 1, left, feet, front) and lies at `box` of the grid."""

    image: Floats
    box: Box
    grid: Grid
    gates: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Raw:
    """The network's label of each voxel of the image that was prepared, and the device that gave it."""

    labels: Labels
    device: str


def prepare(manifest: Manifest, volume: VolumeRef, task: Task) -> Prepared:
    """Ask the gates, cheapest first, and bring the head to the network's grid; raise Refused with the reasons."""
    passed, refused = mr_gates.check(manifest, volume)
    if refused:
        raise Refused(refused)
    with task.step("open"):
        voxels = _as_filed(volume)
    with task.step("conform"):
        grid = grid_of(volume)
        image = scaled(
            conform(voxels, grid, task.check), manifest.threshold("low_quantile"), manifest.threshold("high_quantile")
        )
        box = _head_box(image, manifest.threshold("head"))
    verdicts = brain_quality.of_image(manifest, voxels, box)
    _refuse(verdicts)
    cut = np.ascontiguousarray(image[box])[None, None]
    return Prepared(cut, box, grid, (*passed, *((one.gate, one.value) for one in verdicts)))


def build(manifest: Manifest, device: torch.device) -> MeshNet:
    """The network with its weights; raise NotInstalled where they are not there."""
    network = MeshNet(CHANNELS, CLASSES)
    network.load_state_dict(weights.load(manifest, WEIGHTS), strict=True)
    return network.to(device).eval()


def infer(network: Network, prepared: Prepared, task: Task) -> Raw:
    """Layer by layer; other models have the device between two layers. A layer that ran out of memory is repeated."""
    x = torch.from_numpy(prepared.image)
    with task.step("network"):
        steps = network.alone(lambda module, _device: _meshnet(module).steps)
        for number in range(steps):
            x = network.alone(_step(number, x, task.check))
            task.progress(number + 1, steps)
    return Raw(x[0, 0].cpu().numpy(), str(network.device))


def interpret(manifest: Manifest, volume: VolumeRef, prepared: Prepared, raw: Raw, task: Task) -> Findings:
    """Volumes with their sides, shares, asymmetries, and the mask on disk; raise Refused where they are no brain's."""
    with task.step("sides"):
        labels, stray = _largest(raw.labels)
        plane = find_midplane(labels, PAIRED)
        task.check()
        measured = None if plane is None else measure(labels, plane.left(labels.shape))
    with task.step("mask"):
        native = _native(labels if plane is None else sided(labels, plane.left(labels.shape)), prepared, task)
    verdicts = [
        *brain_quality.of_labels(manifest, labels, prepared.image[0, 0], stray),
        *brain_quality.of_sides(manifest, plane, measured),
        brain_quality.of_edges(manifest, native, volume),
    ]
    _refuse(verdicts)
    if measured is None:
        raise Refused([("halves", "the two halves of the brain could not be told from each other")])
    gates = (*prepared.gates, *((one.gate, one.value) for one in verdicts))
    path = task.scratch / f"{manifest.id}.mask.npy"
    save_mask(native, path)
    return Findings(
        model=manifest.id,
        version=manifest.version,
        series_instance_uid=volume.series_instance_uid,
        findings=tuple(
            _findings(manifest, volume, measured, native, tuple(f"{gate}: {value}" for gate, value in gates))
        ),
        limits=(*manifest.limits, *brain_quality.cautions(gates)),
        masks=(MaskRef(str(path), volume.shape, sided_names(), volume.series_instance_uid, volume.stack),),
        timings_ms=dict(task.timings_ms),
        device=task.device or raw.device,
    )


def warm(manifest: Manifest) -> tuple[torch.Tensor, ...]:
    """A small image, so that the device is ready before the first head."""
    return (torch.zeros(1, 1, 16, 16, 16),)


def _as_filed(volume: VolumeRef) -> Voxels:
    """The voxels in the order of the file, which is the affine's."""
    voxels = open_volume(volume)
    return voxels[::-1] if rises(volume) else voxels


def _head_box(image: Floats, threshold: float) -> Box:
    """Around all planes that hold more of the head than noise does, not far below the brain; empty where none does."""
    inside = image > threshold
    ranges = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        planes = np.flatnonzero(inside.sum(axis=others) > _LEAST_MM2)
        ranges.append((int(planes[0]), int(planes[-1]) + 1) if planes.size else (0, 0))
    top, bottom = ranges[1]
    ranges[1] = (top, min(bottom, top + _TALL, SIDE))
    left, down, front = (slice(*one) for one in ranges)
    return left, down, front


def _refuse(verdicts: list[Verdict]) -> None:
    refused = [(one.gate, one.reason) for one in verdicts if one.reason]
    if refused:
        raise Refused(refused)


def _meshnet(module: torch.nn.Module) -> MeshNet:
    if not isinstance(module, MeshNet):
        raise TypeError("the runtime gave another network than build made")
    return module


def _step(
    number: int, x: torch.Tensor, check: Callable[[], None]
) -> Callable[[torch.nn.Module, torch.device], torch.Tensor]:
    return lambda module, device: _meshnet(module).step(number, x.to(device), check)


def _largest(labels: Labels) -> tuple[Labels, float]:
    """The largest piece of all that has a label (26-neighbourhood), and the percentage that was left out."""
    pieces, count = ndimage.label(labels, structure=np.ones((3, 3, 3)), output=np.int32)
    if count == 0:
        return labels, 0.0
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept: Labels = np.where(pieces == int(sizes.argmax()), labels, np.uint8(0))
    return kept, 100.0 * (1.0 - float(sizes.max()) / float(sizes.sum()))


def _native(labels: Labels, prepared: Prepared, task: Task) -> Labels:
    whole = np.zeros((SIDE, SIDE, SIDE), dtype=np.uint8)
    whole[prepared.box] = labels
    return to_native(whole, prepared.grid, task.check)


def _findings(
    manifest: Manifest, volume: VolumeRef, measured: Measured, native: Labels, gates: tuple[str, ...]
) -> list[Finding]:
    by_slice = np.stack([np.bincount(one.ravel(), minlength=256) for one in native])
    return [_finding(manifest, volume, one, by_slice, gates) for one in measured.measurements]


def _finding(
    manifest: Manifest, volume: VolumeRef, one: Measurement, by_slice: NDArray[np.int64], gates: tuple[str, ...]
) -> Finding:
    output = manifest.output(one.key)
    slices = _key_slices(volume, by_slice[:, list(one.labels)].sum(axis=1))
    return Finding(
        key=f"{one.key}-{one.side}" if one.side in ("left", "right") else one.key,
        code=output.code,
        presence=Presence.MEASURED,
        value=Quantity(round(one.value, one.digits), output.unit),
        body_site=output.body_site or manifest.body_site,
        series_instance_uid=volume.series_instance_uid,
        key_sop_instance_uid=slices[0] if slices else "",
        gates=gates,
        laterality=one.side,
        key_slices=slices,
    )


def _key_slices(volume: VolumeRef, voxels: NDArray[np.int64]) -> tuple[str, ...]:
    """The slices with most of the structure, the fullest first; none where slices are no instances of their own."""
    if len(volume.sop_instance_uids) != len(voxels) or len(set(volume.sop_instance_uids)) != len(voxels):
        return ()
    order = np.argsort(-voxels, kind="stable")[:_MOST_KEY_SLICES]
    return tuple(volume.sop_instance_uids[index] for index in order.tolist() if voxels[index])

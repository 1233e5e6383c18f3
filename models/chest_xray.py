"""Frontal chest radiographs: thirteen of the findings that the labels of NIH ChestX-ray14 name, with a heat map.

How it was trained is in `training/chest_xray.py`; limits, thresholds and what was measured stand in `chest_xray.toml`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from cds.domain.coding import Quantity
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.imaging import HeatMapRef, ImageRef, Projections
from cds.errors import ConfigurationError, NotEvaluable, NotFound, OutOfResources
from models import weights
from models.chest_network import KINDS, ChestNetwork, load
from models.manifest import Manifest, Output
from models.network import Network
from models.radiograph import SIDE, framed, squared
from models.task import Refused, Task

FILE = "chest_xray.safetensors"
#: The labels of the data set, in the order of the answers. Hernia and No Finding helped to train and are not told.
LABELS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia",
    "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax", "No Finding",
)  # fmt: skip
_REASONS = {
    "inverted": "the picture is inverted: what should be bright is dark",
    "turned left": "the picture is turned by 90 degrees",
    "turned right": "the picture is turned by 90 degrees",
    "upside down": "the picture is upside down",
    "cropped": "the picture shows only a part of the chest",
    "not a chest": "the picture does not look like a frontal radiograph of a chest",
}
_UNLIKE = "the picture is unlike the chest radiographs that the model was trained on"


@dataclass(frozen=True)
class Prepared:
    """Images that passed the gates of their headers: (items, 1, 256, 256) from 0 to 1, and what refused the others."""

    items: torch.Tensor
    images: tuple[ImageRef, ...]
    gates: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answered:
    """What the network said of each item: probabilities (items, labels), evidence (items, labels, 8, 8), the gate."""

    probabilities: torch.Tensor
    cells: torch.Tensor
    kinds: torch.Tensor
    distance: torch.Tensor
    device: str


def prepare(manifest: Manifest, given: Projections, task: Task) -> Prepared:
    """Ask the gates of the headers, then scale the pixels; raise Refused where no image is left."""
    items, images, refused = [], [], []
    with task.step("pixels"):
        for image in given.images:
            wrong = _header_gates(manifest, image)
            try:
                pixels = None if wrong else squared(_pixels(image))
            except NotEvaluable as error:
                pixels, wrong = None, [(error.gate, str(error))]
            if pixels is None:
                refused += wrong
                continue
            items.append(pixels)
            images.append(image)
    if not items:
        raise Refused(list(dict.fromkeys(refused)))
    gates = [f"view: {', '.join(dict.fromkeys(image.view for image in images))}"]
    return Prepared(torch.stack(items), tuple(images), tuple(gates), tuple(refused))


def build(manifest: Manifest, device: torch.device) -> ChestNetwork:
    """The network with its weights; ConfigurationError where they do not fit."""
    state = weights.load(manifest, FILE)
    try:
        network = load(len(LABELS), state)
    except RuntimeError as error:
        raise ConfigurationError([f"{manifest.id}: {FILE} does not fit the network: {error}"]) from None
    return network.to(device)


def warm(manifest: Manifest) -> tuple[torch.Tensor, ...]:
    """An input for the first forward before anybody waits for it."""
    return (torch.zeros(1, 1, SIDE, SIDE),)


def infer(network: Network, prepared: Prepared, task: Task) -> Answered:
    """One pass; raise NotEvaluable where the network answers with values that are no numbers."""
    with task.step("network"):
        logits, cells, kinds, distance = network(prepared.items)
    if not all(bool(torch.isfinite(answer).all()) for answer in (logits, cells, kinds, distance)):
        raise NotEvaluable("the network answered with values that are no numbers", gate="answer")
    return Answered(
        torch.sigmoid(logits.float()),
        cells.float(),
        torch.softmax(kinds.float(), dim=1),
        distance.float()[:, 0],
        task.device or str(network.device),
    )


def interpret(manifest: Manifest, given: Projections, prepared: Prepared, answered: Answered, task: Task) -> Findings:
    """One finding for each output, from the image where it is most probable; Refused where no image is a chest."""
    verdicts = [
        picture_gate(manifest, kinds, distance)
        for kinds, distance in zip(answered.kinds, answered.distance, strict=True)
    ]
    good = [index for index, verdict in enumerate(verdicts) if verdict is None]
    refused = [*prepared.refused, *(verdict for verdict in verdicts if verdict is not None)]
    if not good:
        raise Refused(list(dict.fromkeys(refused)))
    gates = (*prepared.gates, "image quality: upright frontal chest")
    findings, heat_maps = [], []
    with task.step("heat maps"):
        for output in manifest.outputs:
            label = LABELS.index(output.labels[0])
            best = max(good, key=lambda index: float(answered.probabilities[index, label]))
            finding = _finding(
                manifest, output, prepared.images[best], float(answered.probabilities[best, label]), gates
            )
            findings.append(finding)
            if finding.presence is Presence.PRESENT:
                heat_maps.append(_heat_map(output, prepared.images[best], answered.cells[best, label], task))
    return Findings(
        model=manifest.id,
        version=manifest.version,
        series_instance_uid=prepared.images[good[0]].series_instance_uid,
        findings=tuple(findings),
        limits=(*manifest.limits, *_special_limits(prepared, good, refused)),
        heat_maps=tuple(heat_maps),
        timings_ms=dict(task.timings_ms),
        device=answered.device,
    )


def picture_gate(manifest: Manifest, kinds: torch.Tensor, distance: torch.Tensor) -> tuple[str, str] | None:
    """(gate, reason) where the picture is no upright frontal chest; None where it passes."""
    if float(kinds[0]) < manifest.threshold("min_frontal_chest"):
        return "image quality", _REASONS[KINDS[1 + int(kinds[1:].argmax())]]
    if float(distance) > manifest.threshold("max_distance"):
        return "image quality", _UNLIKE
    return None


def _header_gates(manifest: Manifest, image: ImageRef) -> list[tuple[str, str]]:
    wanted = manifest.inputs.projection
    if wanted is None:
        raise ConfigurationError([f"{manifest.id}.toml: inputs.projection: is wanted"])
    if image.modality not in manifest.inputs.all_modalities:
        return [("modality", "the image is no digital or computed radiograph")]
    if len(image.shape) != len(("frames", "rows", "columns")) or image.shape[0] != 1:
        return [("image", "the image is in colour or has several frames")]
    refused = []
    if image.view not in wanted.views:
        stated = "is no frontal one" if image.view else "is not stated, so it may be a lateral one"
        refused.append(("view", f"the view of the image {stated}"))
    if image.shape[1] < wanted.min_rows or image.shape[2] < wanted.min_columns:
        refused.append(("size", f"the image is smaller than {wanted.min_rows} by {wanted.min_columns} pixels"))
    return refused


def _pixels(image: ImageRef) -> NDArray[np.generic]:
    try:
        pixels: NDArray[np.generic] = np.load(image.path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        raise NotFound("the image's file is not there or is no array") from None
    if pixels.shape != image.shape:
        raise NotFound("the image's file is not the one that was described")
    frame: NDArray[np.generic] = pixels[0]
    return frame


def _finding(
    manifest: Manifest, output: Output, image: ImageRef, probability: float, gates: tuple[str, ...]
) -> Finding:
    threshold = manifest.threshold(output.key)
    return Finding(
        key=output.key,
        code=output.code,
        presence=Presence.PRESENT if probability >= threshold else Presence.NOT_DETECTED,
        threshold=Quantity(threshold, "1"),
        confidence=probability,
        body_site=output.body_site or manifest.body_site,
        series_instance_uid=image.series_instance_uid,
        key_sop_instance_uid=image.sop_instance_uid,
        key_slices=(image.sop_instance_uid,),
        gates=gates,
    )


def _heat_map(output: Output, image: ImageRef, cells: torch.Tensor, task: Task) -> HeatMapRef:
    """What speaks for the finding more than the mean cell does, as a share of the most; at most 256 cells a side."""
    evidence = (cells - cells.mean()).clamp(min=0.0)
    evidence = evidence / evidence.max().clamp(min=1e-6)
    whole = functional.interpolate(evidence[None, None], (SIDE, SIDE), mode="bilinear", align_corners=False)[0, 0]
    top, left, rows, columns = framed(image.shape[1], image.shape[2])
    shown = whole[top : top + rows, left : left + columns].numpy()
    path = task.scratch / f"{output.key}.{image.sop_instance_uid}.heat.npy"
    try:
        np.save(path, np.ascontiguousarray(shown, dtype=np.float32), allow_pickle=False)
    except OSError as error:
        raise OutOfResources(f"a heat map cannot be written: {error.strerror}") from None
    return HeatMapRef(str(path), (rows, columns), output.key, image.sop_instance_uid, image.series_instance_uid)


def _special_limits(prepared: Prepared, good: list[int], refused: list[tuple[str, str]]) -> list[str]:
    told = [f"An image of the study was not evaluated: {reason}." for _, reason in dict.fromkeys(refused)]
    if len(good) > 1:
        told.append(f"The highest probability of {len(good)} images is told.")
    if any(prepared.images[index].view == "AP" for index in good):
        told.append("The view is AP: the heart looks larger, and pneumonia and AP view go together in the training.")
    return told

"""What a declared network answered, as findings: probabilities at their thresholds, labels as volumes and masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cds.domain.coding import Quantity
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.imaging import ImageRef, MaskRef, ModelInput, VolumeRef
from cds.errors import ConfigurationError, NotEvaluable
from models.declaration import Declaration, Reading
from models.declared_pixels import Laid, on_file
from models.image import components, rises, save_mask
from models.manifest import Manifest
from models.task import Task

#: Slices that are named as worth a look, at most.
_KEY_SLICES = 10
_SEVERAL = "The highest probability of {} images is told."
_CHANCE = 1e-3


def classified(
    manifest: Manifest,
    given: ModelInput,
    raw: torch.Tensor,
    task: Task,
    *,
    images: tuple[ImageRef, ...],
    gates: tuple[str, ...],
) -> Findings:
    """One finding for each output: present where the probability of any image reaches the threshold."""
    declared = _of(manifest)
    chances = probabilities(raw, declared)
    findings = []
    for reading in declared.readings:
        output, threshold = manifest.output(reading.output), manifest.threshold(reading.threshold)
        best = int(chances[:, reading.channel].argmax())
        chance = float(chances[best, reading.channel])
        image = images[best] if images else None
        findings.append(
            Finding(
                key=reading.output,
                code=output.code,
                presence=Presence.PRESENT if chance >= threshold else Presence.NOT_DETECTED,
                threshold=Quantity(threshold, "1"),
                confidence=chance,
                body_site=output.body_site or manifest.body_site,
                series_instance_uid=image.series_instance_uid if image else given.series_instance_uid,
                key_sop_instance_uid=image.sop_instance_uid if image else "",
                key_slices=(image.sop_instance_uid,) if image else (),
                gates=gates,
            )
        )
    limits = (*manifest.limits, _SEVERAL.format(len(images))) if len(images) > 1 else manifest.limits
    return _findings(manifest, given, tuple(findings), task, limits=limits)


def segmented(
    manifest: Manifest, volume: VolumeRef, raw: torch.Tensor, task: Task, *, how: Laid, gates: tuple[str, ...]
) -> Findings:
    """One measured volume for each output, 0 mL where no voxel has its label, with masks on the file's grid.

    `raw` is what `labels` made of the answers.
    """
    declared = _of(manifest)
    findings: list[Finding] = []
    marks: list[tuple[int, NDArray[np.bool_]]] = []
    with task.step("labels"):
        for number, (reading, label) in enumerate(zip(declared.readings, raw, strict=True), start=1):
            mark = _kept(on_file(label, how, volume) > 0, reading, manifest, volume, task)
            findings.append(_measured(manifest, volume, reading, mark, gates))
            marks.append((number, mark))
    masks = (
        _together(manifest, volume, marks, task)
        if declared.activation == "softmax"
        else _apart(manifest, volume, marks, task)
    )
    return _findings(manifest, volume, tuple(findings), task, limits=manifest.limits, masks=masks)


def probabilities(raw: torch.Tensor, declared: Declaration) -> torch.Tensor:
    """Answers (items, answers) as 0 to 1; NotEvaluable where the network was to give probabilities and does not."""
    if declared.activation == "sigmoid":
        return raw.sigmoid()
    if declared.activation == "softmax":
        return raw.softmax(dim=1)
    if float(raw.min()) < -_CHANCE or float(raw.max()) > 1.0 + _CHANCE:
        raise NotEvaluable("the network answered with values that are no probabilities", gate="answer")
    return raw.clamp(0.0, 1.0)


def labels(answered: torch.Tensor, declared: Declaration, cuts: tuple[float, ...]) -> torch.Tensor:
    """Answers (answers, *volume) as (readings, *volume), uint8: 1 where the label is; `cuts` are the thresholds."""
    if declared.activation == "softmax":
        largest = answered.argmax(dim=0)
        return torch.stack([largest == reading.channel for reading in declared.readings]).to(torch.uint8)
    chances = probabilities(answered, declared)
    readings = zip(declared.readings, cuts, strict=True)
    return torch.stack([chances[reading.channel] >= cut for reading, cut in readings]).to(torch.uint8)


def _kept(
    mark: NDArray[np.bool_], reading: Reading, manifest: Manifest, volume: VolumeRef, task: Task
) -> NDArray[np.bool_]:
    """The parts that are large enough, or the largest alone."""
    if not (reading.minimum or reading.largest) or not mark.any():
        return mark
    least_ml = manifest.threshold(reading.minimum) if reading.minimum else 0.0
    labels, large = components(mark, int(np.ceil(least_ml / _voxel_ml(volume))), task.check)
    return np.isin(labels, large[:1] if reading.largest else large)


def _measured(
    manifest: Manifest, volume: VolumeRef, reading: Reading, mark: NDArray[np.bool_], gates: tuple[str, ...]
) -> Finding:
    output = manifest.output(reading.output)
    slices = _key_slices(volume, mark)
    return Finding(
        key=reading.output,
        code=output.code,
        presence=Presence.MEASURED,
        value=Quantity(int(mark.sum()) * _voxel_ml(volume), output.unit),
        threshold=Quantity(manifest.threshold(reading.threshold), "1") if reading.threshold else None,
        body_site=output.body_site or manifest.body_site,
        series_instance_uid=volume.series_instance_uid,
        key_sop_instance_uid=slices[0] if slices else "",
        key_slices=slices,
        gates=gates,
    )


def _key_slices(volume: VolumeRef, mark: NDArray[np.bool_]) -> tuple[str, ...]:
    """The slices with most of the label, best first; () where slices are no instances."""
    areas = mark.sum(axis=(1, 2))
    if len(volume.sop_instance_uids) != len(areas):
        return ()
    uids = volume.sop_instance_uids[::-1] if rises(volume) else volume.sop_instance_uids
    best = np.argsort(-areas, kind="stable")[:_KEY_SLICES]
    return tuple(uids[index] for index in best if areas[index] > 0)


def _voxel_ml(volume: VolumeRef) -> float:
    return float(np.prod(volume.spacing_mm)) / 1000.0


def _together(
    manifest: Manifest, volume: VolumeRef, marks: list[tuple[int, NDArray[np.bool_]]], task: Task
) -> tuple[MaskRef, ...]:
    """One mask: labels that exclude each other."""
    labels = np.zeros(volume.shape, dtype=np.uint8)
    for number, mark in marks:
        labels[mark] = number
    names = {number: _name(manifest, number) for number, _ in marks}
    return (_saved(volume, labels, names, task.scratch / f"{manifest.id}.mask.npy"),)


def _apart(
    manifest: Manifest, volume: VolumeRef, marks: list[tuple[int, NDArray[np.bool_]]], task: Task
) -> tuple[MaskRef, ...]:
    """A mask for each label: they may overlap."""
    return tuple(
        _saved(
            volume,
            mark.astype(np.uint8),
            {1: _name(manifest, number)},
            task.scratch / f"{manifest.id}.{number}.mask.npy",
        )
        for number, mark in marks
    )


def _saved(volume: VolumeRef, labels: NDArray[np.uint8], names: dict[int, str], path: Path) -> MaskRef:
    save_mask(np.ascontiguousarray(labels[::-1]) if rises(volume) else labels, path)
    return MaskRef(str(path), volume.shape, names, volume.series_instance_uid, volume.stack)


def _name(manifest: Manifest, number: int) -> str:
    return manifest.output(_of(manifest).readings[number - 1].output).code.display


def _of(manifest: Manifest) -> Declaration:
    if manifest.declared is None:
        raise ConfigurationError([f"{manifest.id}.toml: declared: is wanted for a model without code"])
    return manifest.declared


def _findings(
    manifest: Manifest,
    given: ModelInput,
    findings: tuple[Finding, ...],
    task: Task,
    *,
    limits: tuple[str, ...],
    masks: tuple[MaskRef, ...] = (),
) -> Findings:
    return Findings(
        model=manifest.id,
        version=manifest.version,
        series_instance_uid=given.series_instance_uid,
        findings=findings,
        limits=limits,
        masks=masks,
        timings_ms=dict(task.timings_ms),
        device=task.device or "cpu",
    )

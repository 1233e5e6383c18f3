"""Attenuation of liver and spleen on CT without contrast medium, their difference and their ratio.

Nothing is learned: both organs are found by place and density (`abdomen.py`), and measured in round regions well inside
them. Without a spleen beyond doubt the liver is measured alone. No grade is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from cds.domain.coding import Quantity
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.imaging import MaskRef, VolumeRef
from cds.errors import NotEvaluable
from models import ct_gates, unenhanced
from models.abdomen import Body, Organ, find_body, find_liver, find_spleen
from models.image import save_mask
from models.manifest import Manifest
from models.network import Network
from models.spine import Spine, find_adult_spine
from models.task import Refused, Task
from models.unenhanced import Verdict
from models.upright import Upright, upright_ct

_LIVER, _SPLEEN = 1, 2
_LABELS = {_LIVER: "liver, measured regions", _SPLEEN: "spleen, measured regions"}


@dataclass(frozen=True)
class Prepared:
    """The organs' regions, why the spleen is missing where it is, and the gates."""

    upright: Upright
    liver: Organ
    spleen: Organ | None
    no_spleen: str
    gates: tuple[tuple[str, str], ...]


def prepare(manifest: Manifest, volume: VolumeRef, task: Task) -> Prepared:
    """Ask the gates, cheapest first, and find the organs; raise Refused or NotEvaluable with the reasons."""
    passed, refused = ct_gates.check(manifest, volume)
    if refused:
        raise Refused(refused)
    with task.step("open"):
        turned = upright_ct(volume)
    with task.step("organs"):
        spine = find_adult_spine(turned.voxels, volume.spacing_mm, task.check)
        body = find_body(turned.voxels, volume.spacing_mm, spine, task.check)
        liver = find_liver(turned.voxels, volume.spacing_mm, body, task.check)
    with task.step("gates"):
        verdicts = _organ_gates(manifest, turned, "liver", liver)
        near = manifest.threshold("max_median_difference")
        spared = (liver.mean_hu - near, liver.mean_hu + near)
        verdicts += unenhanced.blood(manifest, turned, spine, _levels(spine, liver), task.check, spared_hu=spared)
    refused = [(gate, reason) for gate, _, reason in verdicts if reason]
    if refused:
        raise Refused(refused)
    with task.step("spleen"):
        spleen, no_spleen, more = _spleen(manifest, turned, body, task.check)
    gates = (*passed, *((gate, value) for gate, value, _ in (*verdicts, *more)))
    return Prepared(turned, liver, spleen, no_spleen, gates)


def build(_manifest: Manifest, device: torch.device) -> torch.nn.Module:
    """Nothing runs on the device: a few hundred voxels are averaged."""
    return torch.nn.Identity().to(device)


def infer(_network: Network, prepared: Prepared, _task: Task) -> dict[str, float]:
    """The values by output; the measurement itself was made with the gates, which look at the same voxels."""
    liver = prepared.liver.mean_hu
    values = {"liver_attenuation": liver}
    if prepared.spleen is not None:
        spleen = prepared.spleen.mean_hu
        values |= {
            "spleen_attenuation": spleen,
            "liver_spleen_difference": liver - spleen,
            "liver_spleen_ratio": liver / spleen,
        }
    return values


def interpret(
    manifest: Manifest, volume: VolumeRef, prepared: Prepared, values: dict[str, float], task: Task
) -> Findings:
    """The measurements, the regions as a mask and what the reader must know."""
    with task.step("mask"):
        mask = _write_mask(manifest, volume, prepared, task)
    return Findings(
        model=manifest.id,
        version=manifest.version,
        series_instance_uid=volume.series_instance_uid,
        findings=tuple(_finding(manifest, volume, prepared, key, value) for key, value in values.items()),
        limits=_limits(manifest, volume, prepared),
        masks=(mask,),
        timings_ms=dict(task.timings_ms),
        device="cpu",
    )


def _organ_gates(manifest: Manifest, turned: Upright, name: str, organ: Organ) -> list[Verdict]:
    """(gate, value, reason) of one organ; reason is "" where the gate is passed."""
    limit = manifest.threshold
    low, high = limit(f"min_{name}"), limit(f"max_{name}")
    voxels = sum(one.voxels for one in organ.samples)
    off = abs(organ.mean_hu - organ.core_median_hu)
    checks = [
        (f"field of view at the {name}", f"{organ.cut_mm:.0f} mm cut", organ.cut_mm <= limit("max_cut"),
         f"the images cut the body at the {name}, which makes densities wrong"),
        (f"{name} regions", f"{voxels} voxels in {len(organ.samples)}", voxels >= limit("min_voxels"),
         f"the regions in the {name} have too few voxels"),
        (f"{name} regions agree", f"within {organ.spread_hu:.0f} HU", organ.spread_hu <= limit("max_spread"),
         f"the regions in the {name} differ: they may lie in different tissues"),
        (f"{name} core", f"{off:.0f} HU from its regions", off <= limit("max_median_difference"),
         f"the regions do not read as the rest of the {name}"),
        (f"{name} noise", f"{organ.deviation_hu:.0f} HU", organ.deviation_hu <= limit("max_deviation"),
         f"the regions in the {name} are not even, or too noisy"),
        (f"plausible {name}", f"{low:.0f} to {high:.0f} HU", low <= organ.mean_hu <= high,
         f"what was taken for the {name} does not read {low:.0f} to {high:.0f} HU"),
    ]  # fmt: skip
    slices = [one.middle[0] for one in organ.samples]
    return [
        *((gate, value, "" if passed else reason) for gate, value, passed, reason in checks),
        unenhanced.metal(manifest, turned, organ.inside, (min(slices), max(slices)), name),
    ]


def _levels(spine: Spine, liver: Organ) -> tuple[int, int]:
    """The slices in which the aorta is looked at: those of the liver."""
    return max(0, liver.first), min(len(spine.body) - 1, liver.last)


def _spleen(
    manifest: Manifest, turned: Upright, body: Body, check: Callable[[], None]
) -> tuple[Organ | None, str, list[Verdict]]:
    """The spleen and its gates, or None and why it is not measured."""
    try:
        spleen = find_spleen(turned.voxels, turned.volume.spacing_mm, body, check)
    except NotEvaluable as error:
        return None, str(error), []
    verdicts = _organ_gates(manifest, turned, "spleen", spleen)
    reasons = "; ".join(reason for _, _, reason in verdicts if reason)
    return (None, reasons, []) if reasons else (spleen, "", verdicts)


def _finding(manifest: Manifest, volume: VolumeRef, prepared: Prepared, key: str, value: float) -> Finding:
    output = manifest.output(key)
    organ = prepared.spleen if key == "spleen_attenuation" and prepared.spleen is not None else prepared.liver
    regions = sorted(organ.samples, key=lambda one: (one.deviation_hu, one.middle))
    uids = dict.fromkeys(prepared.upright.instance(one.middle[0]) for one in regions)
    keys = tuple(uid for uid in uids if uid)
    return Finding(
        key=key,
        code=output.code,
        presence=Presence.MEASURED,
        value=Quantity(round(value, 2 if output.unit == "1" else 1), output.unit),
        body_site=output.body_site or manifest.body_site,
        series_instance_uid=volume.series_instance_uid,
        key_sop_instance_uid=keys[0] if keys else "",
        key_slices=keys,
        gates=tuple(f"{gate}: {words}" for gate, words in prepared.gates),
        note=_note(manifest, key, organ),
    )


def _note(manifest: Manifest, key: str, organ: Organ) -> str:
    """The regions by number; what raises a liver's attenuation where it is high."""
    if not key.endswith("_attenuation"):
        return ""
    means = ", ".join(f"{one.mean_hu:.0f} HU" for one in organ.samples)
    note = f"Regions from above: {means}; standard deviation {organ.deviation_hu:.0f} HU."
    if key == "liver_attenuation" and organ.mean_hu >= manifest.threshold("high_liver"):
        note += " Iron, copper, glycogen, amiodarone or gold raise the attenuation of the liver and hide fat in it."
    return note


def _limits(manifest: Manifest, volume: VolumeRef, prepared: Prepared) -> tuple[str, ...]:
    special = []
    if volume.attributes.get("contrast", "unknown") == "unknown":
        special.append("It is not stated whether contrast medium was given; the blood in the aorta reads as without.")
    if prepared.no_spleen:
        special.append(f"The spleen is not measured: {prepared.no_spleen}.")
    return (*manifest.limits, *special)


def _write_mask(manifest: Manifest, volume: VolumeRef, prepared: Prepared, task: Task) -> MaskRef:
    path = task.scratch / f"{manifest.id}.mask.npy"
    mask = np.where(prepared.liver.inside, _LIVER, 0).astype(np.uint8)
    if prepared.spleen is not None:
        mask[prepared.spleen.inside] = _SPLEEN
    save_mask(prepared.upright.as_stored(mask), path)
    labels = {number: name for number, name in _LABELS.items() if number == _LIVER or prepared.spleen is not None}
    return MaskRef(str(path), volume.shape, labels, volume.series_instance_uid, volume.stack)

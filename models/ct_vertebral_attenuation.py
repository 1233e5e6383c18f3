"""Attenuation of the trabecular bone of L1, or of the nearest vertebra that can be measured, with its place.

Nothing is learned: the spine is found by bone and place (`spine.py`), its vertebrae by their plates and ribs
(`vertebrae.py`), the region by the body's own axes (`trabecular.py`). A level that is not certain is not named.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import torch

from cds.domain.coding import Quantity
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.imaging import MaskRef, VolumeRef
from cds.errors import NotEvaluable
from models import ct_gates, trabecular, unenhanced
from models.image import save_mask
from models.manifest import Manifest
from models.network import Network
from models.spine import Spine, find_adult_spine
from models.straight import Straight, straighten
from models.task import Refused, Task
from models.trabecular import Trabecular
from models.unenhanced import Verdict
from models.upright import Upright, upright_ct
from models.vertebrae import Levels, Vertebra, find_vertebrae

#: L1 first; where it cannot be measured its neighbours.
_NAMED = ("L1", "T12", "L2")
_UNNUMBERED = "lowest thoracic"
_MOST_SLICES, _FEWEST_RIBBED = 10, 2
#: The aorta is looked at so far above and below the region, mm.
_AORTA_MM = 60.0


@dataclass(frozen=True)
class Prepared:
    """The vertebra that was measured, why the better ones were not, and the gates."""

    upright: Upright
    key: str
    level: str
    vertebra: Vertebra
    bone: Trabecular
    cautions: tuple[str, ...]
    gates: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Found:
    upright: Upright
    spine: Spine
    straight: Straight
    levels: Levels


def prepare(manifest: Manifest, volume: VolumeRef, task: Task) -> Prepared:
    """Ask the gates, cheapest first, find the vertebra and measure it; raise Refused or NotEvaluable with reasons."""
    passed, refused = ct_gates.check(manifest, volume)
    if refused:
        raise Refused(refused)
    with task.step("open"):
        turned = upright_ct(volume)
    with task.step("spine"):
        spine = find_adult_spine(turned.voxels, volume.spacing_mm, task.check)
        straight = straighten(turned.voxels, volume.spacing_mm, spine)
        levels = find_vertebrae(turned.voxels, volume.spacing_mm, spine, straight, task.check)
    found = _Found(turned, spine, straight, levels)
    with task.step("region"):
        level, vertebra, bone, verdicts, cautions = _chosen(manifest, found)
    with task.step("gates"):
        verdicts += _blood(manifest, found, bone, task)
    refused = [(gate, reason) for gate, _, reason in verdicts if reason]
    if refused:
        raise Refused(refused)
    gates = (*passed, ("level", level), *((gate, value) for gate, value, _ in verdicts))
    return Prepared(turned, _key(level), level, vertebra, bone, tuple(cautions), gates)


def build(_manifest: Manifest, device: torch.device) -> torch.nn.Module:
    """Nothing runs on the device: a few hundred voxels are averaged."""
    return torch.nn.Identity().to(device)


def infer(_network: Network, prepared: Prepared, _task: Task) -> Trabecular:
    """The measurement was made with the gates, which look at the same voxels."""
    return prepared.bone


def interpret(manifest: Manifest, volume: VolumeRef, prepared: Prepared, bone: Trabecular, task: Task) -> Findings:
    """One finding, the region as a mask, and what the reader must know."""
    with task.step("mask"):
        mask = _write_mask(manifest, volume, prepared, task)
    output = manifest.output(prepared.key)
    keys = [uid for uid in map(prepared.upright.instance, bone.region.slices) if uid][:_MOST_SLICES]
    finding = Finding(
        key=output.key,
        code=output.code,
        presence=Presence.MEASURED,
        value=Quantity(round(bone.mean_hu, 1), output.unit),
        body_site=output.body_site or manifest.body_site,
        series_instance_uid=volume.series_instance_uid,
        key_sop_instance_uid=keys[0] if keys else "",
        key_slices=tuple(keys),
        gates=tuple(f"{gate}: {value}" for gate, value in prepared.gates),
        note=_note(prepared),
    )
    return Findings(
        model=manifest.id,
        version=manifest.version,
        series_instance_uid=volume.series_instance_uid,
        findings=(finding,),
        limits=_limits(manifest, volume, prepared),
        masks=(mask,),
        timings_ms=dict(task.timings_ms),
        device="cpu",
    )


def _chosen(manifest: Manifest, found: _Found) -> tuple[str, Vertebra, Trabecular, list[Verdict], list[str]]:
    """The first vertebra that can be measured, and why those before it cannot; raise Refused where none can."""
    candidates = _candidates(found.levels)
    if not candidates:
        reason = found.levels.doubt or "neither L1 nor one of its neighbours is whole in the images"
        raise NotEvaluable(reason, gate="level")
    cautions, refused = [], []
    if found.levels.doubt:
        cautions.append(f"The level has no certain number: {found.levels.doubt}.")
    for level, vertebra in candidates:
        bone, verdicts = _measured(manifest, found, vertebra)
        failed = [(gate, f"{level}: {reason}") for gate, _, reason in verdicts if reason]
        if not failed:
            return level, vertebra, bone, verdicts, cautions
        refused += failed
        cautions.append(f"{level} was not measured: {'; '.join(reason for _, _, reason in verdicts if reason)}.")
    raise Refused(refused)


def _candidates(levels: Levels) -> list[tuple[str, Vertebra]]:
    """Level and vertebra in the order in which they are tried."""
    if not levels.doubt:
        by_name = {one.name: one for one in levels.vertebrae}
        return [(name, by_name[name]) for name in _NAMED if name in by_name]
    # Two at least that follow each other: a single one may be a sacrum, whose wings look like ribs.
    ribbed = list(takewhile(lambda one: one.has_ribs and one.whole, levels.vertebrae))
    return [(_UNNUMBERED, ribbed[-1])] if len(ribbed) >= _FEWEST_RIBBED else []


def _measured(manifest: Manifest, found: _Found, vertebra: Vertebra) -> tuple[Trabecular, list[Verdict]]:
    """The region in the middle of the height, or moved to the foot or the head where a dense spot lies in it."""
    tried = []
    for moved in (0.0, trabecular.MOVED, -trabecular.MOVED):
        bone = trabecular.measure(
            found.upright.voxels,
            found.upright.volume.spacing_mm,
            found.spine,
            found.straight,
            vertebra,
            dense_hu=manifest.threshold("dense_bone"),
            moved=moved,
        )
        verdicts = _vertebra_gates(manifest, found, vertebra, bone)
        tried.append((bone, verdicts))
        if not any(reason for _, _, reason in verdicts):
            return bone, verdicts
    return tried[0]


def _vertebra_gates(manifest: Manifest, found: _Found, vertebra: Vertebra, bone: Trabecular) -> list[Verdict]:
    """(gate, value, reason) of one vertebra; reason is "" where the gate is passed."""
    limit = manifest.threshold
    shape, neighbours = _height_ratios(found.levels, vertebra)
    low, high = limit("min_bone"), limit("max_bone")
    slices = bone.region.slices
    region = bone.region.mask(found.upright.voxels.shape)
    checks = [
        ("height", f"{vertebra.height_mm:.0f} mm", limit("min_height") <= vertebra.height_mm <= limit("max_height"),
         "the distance between its plates is not that of an adult's vertebra"),
        ("shape", f"{100.0 * shape:.0f} % of its height at the lowest place", shape >= limit("min_height_ratio"),
         "its front, middle and back differ in height: it may be broken or its plates are not even"),
        ("neighbours", f"{100.0 * neighbours:.0f} % of its neighbours' height",
         neighbours >= limit("min_height_ratio"), "it is lower than its neighbours: it may be broken"),
        ("wall", f"{bone.wall_percent:.0f} % seen", bone.wall_percent >= limit("min_wall"),
         "the wall of the vertebral body is not seen around the region"),
        ("dense bone", f"{bone.dense_percent:.1f} % of the region", bone.dense_percent <= limit("max_dense_share"),
         "dense bone, cement or metal lies in the region"),
        ("evenness", f"{bone.deviation_hu:.0f} HU standard deviation",
         bone.deviation_hu <= limit("max_deviation"), "the region is not even, or too noisy"),
        ("plausible bone", f"{low:.0f} to {high:.0f} HU", low <= bone.mean_hu <= high,
         f"the region does not read {low:.0f} to {high:.0f} HU, as trabecular bone does"),
        ("region", f"{bone.voxels} voxels", bone.voxels >= limit("min_voxels"), "the region has too few voxels"),
    ]  # fmt: skip
    verdicts = [(gate, value, "" if passed else reason) for gate, value, passed, reason in checks]
    if not slices:
        return verdicts
    return [*verdicts, unenhanced.metal(manifest, found.upright, region, (min(slices), max(slices)), "vertebra")]


def _height_ratios(levels: Levels, vertebra: Vertebra) -> tuple[float, float]:
    """The lowest of front, middle and back against the highest; the middle against the median of the neighbours'."""
    index = levels.vertebrae.index(vertebra)
    near = [
        one.height_mm for one in levels.vertebrae[max(0, index - 2) : index + 3] if one is not vertebra and one.whole
    ]
    heights = vertebra.heights_mm
    shape = min(heights) / max(*heights, 1e-6)
    return shape, vertebra.height_mm / float(np.median(near)) if near else 1.0


def _blood(manifest: Manifest, found: _Found, bone: Trabecular, task: Task) -> list[Verdict]:
    turned = found.upright
    reach = round(_AORTA_MM / turned.volume.spacing_mm[0])
    middle = round(bone.middle[0])
    levels = (max(0, middle - reach), min(len(turned.voxels) - 1, middle + reach))
    return unenhanced.blood(manifest, turned, found.spine, levels, task.check)


def _key(level: str) -> str:
    return "thoracic_attenuation" if level == _UNNUMBERED else f"{level.lower()}_attenuation"


def _note(prepared: Prepared) -> str:
    """Level, place, spread and what was passed over."""
    bone = prepared.bone
    x, y, z = prepared.upright.place_mm(bone.middle)
    name = prepared.level if prepared.level in _NAMED else "the lowest thoracic vertebra that is whole in the images"
    place = f"Measured in {name}, its region's middle at x {x:.0f}, y {y:.0f}, z {z:.0f} mm (patient coordinates)."
    spread = f"Standard deviation {bone.deviation_hu:.0f} HU in {bone.voxels} voxels."
    return " ".join([place, spread, *prepared.cautions])


def _limits(manifest: Manifest, volume: VolumeRef, prepared: Prepared) -> tuple[str, ...]:
    special = []
    if volume.attributes.get("contrast", "unknown") == "unknown":
        special.append("It is not stated whether contrast medium was given; the blood in the aorta reads as without.")
    if prepared.level != _NAMED[0]:
        special.append("It is not L1 that was measured: values of other levels differ from those published for L1.")
    return (*manifest.limits, *special)


def _write_mask(manifest: Manifest, volume: VolumeRef, prepared: Prepared, task: Task) -> MaskRef:
    path = task.scratch / f"{manifest.id}.mask.npy"
    mask = prepared.bone.region.mask(prepared.upright.voxels.shape).astype(np.uint8)
    save_mask(prepared.upright.as_stored(mask), path)
    name = f"trabecular bone, {prepared.level}"
    return MaskRef(str(path), volume.shape, {1: name}, volume.series_instance_uid, volume.stack)

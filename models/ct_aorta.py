"""Thoracic aorta on CT without contrast medium: diameters across the axis, and calcium of the descending part.

Nothing is learned: the vessel is followed from slice to slice as a circle (`aorta.py`), calcium is scored in its wall
(`agatston.py`). What cannot be followed is not measured, and the reader is told why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from cds.domain.coding import Quantity
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.imaging import MaskRef, VolumeRef
from cds.errors import NotEvaluable
from models import ct_gates
from models.agatston import THRESHOLD_HU, Calcium, score
from models.aorta import ASCENDING, DESCENDING, Search, Section, Vessel, find_vessel, tube
from models.bright import chest_ml
from models.contrast import BloodPool, blood_gates, blood_pool, bright_gate
from models.image import Mask, save_mask
from models.manifest import Manifest
from models.mediastinum import Mediastinum, find_mediastinum
from models.metal import metal_mm3
from models.network import Network
from models.sections import Sections, cut
from models.spine import Spine, find_adult_spine
from models.task import Refused, Task
from models.upright import Upright, upright_ct

_MOST_SLICES = 10
#: The section of a level is no further from it than this, mm.
_APART_MM = 9.0
#: From this tilt on the reader is told of it.
_TOLD_DEGREES = 10.0


@dataclass(frozen=True)
class _Chest:
    """The images, turned, and what was found in them before the aorta."""

    turned: Upright
    volume: VolumeRef
    spine: Spine
    middle: Mediastinum

    def vessel(self, search: Search, levels: tuple[int, int], task: Task) -> Vessel:
        last = min(levels[1], len(self.turned.voxels) - 1)
        voxels, spacing = self.turned.voxels, self.volume.spacing_mm
        return find_vessel(voxels, spacing, self.spine, search, levels=(levels[0], last), check=task.check)


@dataclass(frozen=True)
class Prepared:
    """The vessels that were followed, the descending one's wall in sections, and why something was not measured.

    `level` is the slice of the diameter below the tracheal division, None where it is not in the images.
    """

    descending: Vessel
    ascending: Vessel | None
    why_no_ascending: str
    level: int | None
    wall: Sections
    why_no_calcium: str
    upright: Upright
    pool: BloodPool
    gates: tuple[tuple[str, str], ...]


def prepare(manifest: Manifest, volume: VolumeRef, task: Task) -> Prepared:
    """Ask the gates, cheapest first, and follow the aorta; raise Refused with the reasons."""
    passed, refused = ct_gates.check(manifest, volume)
    if refused:
        raise Refused(refused)
    with task.step("open"):
        turned = upright_ct(volume)
    with task.step("mediastinum"):
        spine = find_adult_spine(turned.voxels, volume.spacing_mm, task.check)
        middle = find_mediastinum(turned.voxels, volume.spacing_mm, spine, task.check)
    with task.step("aorta"):
        chest = _Chest(turned, volume, spine, middle)
        descending = _descending(manifest, chest, task)
        ascending, why_no_ascending = _ascending(manifest, chest, task)
    pool = blood_pool(descending)
    stated = volume.attributes.get("contrast", "unknown")
    bright = chest_ml(middle, spine, volume.spacing_mm, manifest.threshold("contrast_blood"))
    verdicts = [*blood_gates(manifest, pool, stated), bright_gate(manifest, bright, "between the lungs", stated)]
    verdicts.append(_height(manifest, descending))
    refused = [(gate, reason) for gate, _, reason in verdicts if reason]
    if refused:
        raise Refused(refused)
    with task.step("wall"):
        region = tube(descending, volume.shape, volume.spacing_mm, manifest.threshold("wall"))
        why_no_calcium = _why_no_calcium(manifest, chest, region)
        thickness = ct_gates.number(volume, "slice_thickness_mm") or volume.spacing_mm[0]
        wall = cut(turned.voxels, region, volume.spacing_mm, thickness)
    return Prepared(
        descending=descending,
        ascending=ascending,
        why_no_ascending=why_no_ascending,
        level=_level(manifest, chest),
        wall=wall,
        why_no_calcium=why_no_calcium,
        upright=turned,
        pool=pool,
        gates=(*passed, *((gate, value) for gate, value, _ in verdicts)),
    )


def build(_manifest: Manifest, device: torch.device) -> torch.nn.Module:
    """Nothing runs on the device: a few thousand rays are faster followed than moved."""
    return torch.nn.Identity().to(device)


def infer(_network: Network, prepared: Prepared, task: Task) -> Calcium | None:
    """Score the calcium of the wall; None where the acquisition does not allow it."""
    if prepared.why_no_calcium:
        return None
    wall = prepared.wall
    with task.step("score"):
        return score(wall.voxels, wall.candidates(THRESHOLD_HU), wall.spacing_mm, task.check)


def interpret(
    manifest: Manifest, volume: VolumeRef, prepared: Prepared, calcium: Calcium | None, task: Task
) -> Findings:
    """Diameters with their slices, calcium, the mask on disk and what the reader must know."""
    with task.step("mask"):
        mask = _write_mask(manifest, prepared, calcium, task)
    return Findings(
        model=manifest.id,
        version=manifest.version,
        series_instance_uid=volume.series_instance_uid,
        findings=(*_diameters(manifest, prepared), *_calcium(manifest, prepared, calcium)),
        limits=_limits(manifest, prepared),
        masks=(mask,),
        timings_ms=dict(task.timings_ms),
        device="cpu",
    )


def _descending(manifest: Manifest, chest: _Chest, task: Task) -> Vessel:
    """From the tracheal division to the diaphragm, as far as both are in the images."""
    middle, slices = chest.middle, len(chest.turned.voxels)
    below = round(manifest.threshold("below_dome") / chest.volume.spacing_mm[0])
    last = slices - 1 if middle.dome is None else middle.dome + below
    return chest.vessel(DESCENDING, (middle.carina or 0, last), task)


def _ascending(manifest: Manifest, chest: _Chest, task: Task) -> tuple[Vessel | None, str]:
    """Below the tracheal division, and why it is not measured where it is not seen apart from its neighbours."""
    if chest.middle.carina is None:
        return (
            None,
            "the division of the trachea is not in the images, so the level of the ascending aorta is not known",
        )
    millimetres = chest.volume.spacing_mm[0]
    least = manifest.threshold("min_ascending")
    end = chest.middle.carina + round(manifest.threshold("ascending_reach") / millimetres)
    try:
        vessel = chest.vessel(ASCENDING, (chest.middle.carina, end), task)
    except NotEvaluable as error:
        return None, str(error)
    coverage = float(np.median([one.coverage for one in vessel.sections]))
    if vessel.height_mm < least:
        return (
            None,
            f"the ascending aorta was followed over {vessel.height_mm:.0f} mm, at least {least:.0f} mm are needed",
        )
    if coverage < manifest.threshold("ascending_coverage") / 100.0:
        return None, "the ascending aorta is not seen apart from its neighbours on most of its circumference"
    return vessel, ""


def _height(manifest: Manifest, descending: Vessel) -> tuple[str, str, str]:
    least = manifest.threshold("min_descending")
    reason = f"the descending aorta was followed over {descending.height_mm:.0f} mm, at least {least:.0f} mm are needed"
    return (
        "descending aorta",
        f"followed over {descending.height_mm:.0f} mm",
        reason if descending.height_mm < least else "",
    )


def _level(manifest: Manifest, chest: _Chest) -> int | None:
    """The slice of the level where the pulmonary trunk divides, told by its distance from the tracheal division."""
    if chest.middle.carina is None:
        return None
    return chest.middle.carina + round(manifest.threshold("level_below_carina") / chest.volume.spacing_mm[0])


def _why_no_calcium(manifest: Manifest, chest: _Chest, region: Mask) -> str:
    """Why the wall is not scored; "" where it is."""
    limit, spacing = manifest.threshold, chest.volume.spacing_mm
    kvp = ct_gates.number(chest.volume, "kvp")
    if kvp is None:
        return "the tube voltage is not stated, and calcium is scored at 120 kV alone"
    if kvp != limit("calcium_kvp"):
        return f"the tube voltage is {kvp:.0f} kV, and calcium is scored at {limit('calcium_kvp'):.0f} kV alone"
    metal = metal_mm3(chest.turned.voxels, region, spacing, limit("metal"), limit("metal_margin"))
    if metal > limit("max_metal"):
        return "there is metal in or near the descending aorta (a stent graft, lead or wire): it reads as calcium"
    return ""


def _diameters(manifest: Manifest, prepared: Prepared) -> list[Finding]:
    descending = prepared.descending
    widest = descending.widest()
    found = [_diameter(manifest, prepared, "descending_aorta_diameter", widest)]
    section = None if prepared.level is None else descending.at(prepared.level)
    if section is None:
        why = "the division of the trachea is not in the images"
    else:
        away = abs(section.index - (prepared.level or 0)) * prepared.upright.volume.spacing_mm[0]
        why = "" if away <= _APART_MM else "the descending aorta could not be followed at this level"
    found.append(_diameter(manifest, prepared, "descending_aorta_diameter_carina", section, why))
    ascending = None if prepared.ascending is None else prepared.ascending.widest()
    found.append(_diameter(manifest, prepared, "ascending_aorta_diameter", ascending, prepared.why_no_ascending))
    return found


def _diameter(manifest: Manifest, prepared: Prepared, key: str, section: Section | None, why: str = "") -> Finding:
    """A diameter with its slice; not evaluated, and why, where there is no section."""
    finding = _finding(manifest, prepared, key)
    if section is None or why:
        return replace(finding, presence=Presence.NOT_EVALUATED, reason=why)
    uid = prepared.upright.instance(section.index)
    tilt = f"The vessel is tilted by {section.tilt_degrees:.0f} degrees here; the diameter is the one across its axis."
    return replace(
        finding,
        value=Quantity(round(section.diameter_mm, 1), manifest.output(key).unit),
        key_sop_instance_uid=uid,
        key_slices=(uid,) if uid else (),
        note=tilt if section.tilt_degrees >= _TOLD_DEGREES else "",
    )


def _calcium(manifest: Manifest, prepared: Prepared, calcium: Calcium | None) -> list[Finding]:
    keys = ("descending_aorta_calcium_score", "descending_aorta_calcium_volume")
    blank = [_finding(manifest, prepared, key) for key in keys]
    if calcium is None:
        return [replace(one, presence=Presence.NOT_EVALUATED, reason=prepared.why_no_calcium) for one in blank]
    order = np.argsort(-calcium.by_slice, kind="stable")[:_MOST_SLICES]
    slices = [prepared.wall.slice_of(int(index)) for index in order if calcium.by_slice[index] > 0.0]
    uids = tuple(uid for index in slices if (uid := prepared.upright.instance(index)))
    values = (calcium.agatston, calcium.volume_mm3)
    return [
        replace(
            one,
            value=Quantity(round(value, 1), manifest.output(one.key).unit),
            threshold=Quantity(THRESHOLD_HU, "[hnsf'U]"),
            key_sop_instance_uid=uids[0] if uids else "",
            key_slices=uids,
            note=f"Counted over {prepared.descending.height_mm:.0f} mm of the descending aorta.",
        )
        for one, value in zip(blank, values, strict=True)
    ]


def _finding(manifest: Manifest, prepared: Prepared, key: str) -> Finding:
    output = manifest.output(key)
    return Finding(
        key=key,
        code=output.code,
        presence=Presence.MEASURED,
        body_site=output.body_site or manifest.body_site,
        series_instance_uid=prepared.upright.volume.series_instance_uid,
        gates=tuple(f"{gate}: {said}" for gate, said in prepared.gates),
    )


def _limits(manifest: Manifest, prepared: Prepared) -> tuple[str, ...]:
    sections = prepared.descending.sections
    off = float(np.median([one.residual_mm for one in sections]))
    special = [
        f"The descending aorta was followed over {prepared.descending.height_mm:.0f} mm; "
        f"its edge lies {off:.1f} mm off a circle (median)."
    ]
    volume = prepared.upright.volume
    if ct_gates.cardiac_gating(volume) != "gated":
        special.append("The images are not known to be synchronised with the heart: motion blurs the ascending aorta.")
    if volume.attributes.get("contrast", "unknown") == "unknown":
        special.append("The header does not say whether contrast medium was given; the blood reads as if none was.")
    return (*manifest.limits, *special)


def _write_mask(manifest: Manifest, prepared: Prepared, calcium: Calcium | None, task: Task) -> MaskRef:
    """The vessels as the circles that were measured, and the calcium that was counted."""
    path = task.scratch / f"{manifest.id}.mask.npy"
    volume = prepared.upright.volume
    whole = np.zeros(volume.shape, dtype=np.uint8)
    labels = {1: "descending aorta"}
    whole[tube(prepared.descending, volume.shape, volume.spacing_mm, 0.0)] = 1
    if prepared.ascending is not None:
        labels[2] = "ascending aorta"
        whole[tube(prepared.ascending, volume.shape, volume.spacing_mm, 0.0)] = 2
    if calcium is not None:
        labels[3] = "calcium of the descending aorta"
        whole[prepared.wall.on_volume(calcium.mask, volume.shape) == 1] = 3
    save_mask(prepared.upright.as_stored(whole), path)
    return MaskRef(str(path), volume.shape, labels, volume.series_instance_uid, volume.stack)

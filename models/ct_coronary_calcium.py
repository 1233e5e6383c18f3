"""Coronary artery calcium on CT without contrast medium: Agatston score, volume and category.

Nothing is learned: the region of the coronary arteries is found by place (`heart.py`), the calcium by its density
(`agatston.py`). A number is given only where the acquisition is the one that the score is defined on: synchronised
with the heart, sections of 2.5 to 3 mm, 120 kV. Of other chest CT a category is told, and no number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.imaging import MaskRef, VolumeRef
from cds.errors import NotEvaluable
from models import ct_gates
from models.agatston import THRESHOLD_HU, Calcium, score
from models.aorta import ASCENDING, DESCENDING, Vessel, find_vessel, tube
from models.bright import chest_ml
from models.contrast import BloodPool, blood_gates, blood_pool, bright_gate
from models.heart import Heart, find_heart
from models.image import Voxels, save_mask
from models.manifest import Manifest
from models.mediastinum import Mediastinum, Triple, find_mediastinum
from models.metal import metal_mm3
from models.network import Network
from models.sections import Sections, cut
from models.spine import Spine, find_adult_spine
from models.task import Refused, Task
from models.upright import Upright, upright_ct

#: The ascending aorta is looked for this far below the tracheal division, and its wall left out down to there, mm: the
#: coronary arteries arise lower.
_ASCENDING_MM = 30.0
#: The descending aorta is followed so far below the dome, mm.
_BELOW_DOME_MM = 20.0
#: A vessel that is followed over less may be none, mm.
_FOLLOWED_MM = 40.0
#: Around the lumen the wall and its calcium, mm.
_WALL_MM = 3.0
_MOST_SLICES = 10
_SYSTEM = "urn:sightline:observation"
#: From the least calcium on: how the class is called. CAC-DRS, doi:10.1016/j.jcct.2018.03.008.
_CLASSES = (("none", "0"), ("mild", "1 to 99"), ("moderate", "100 to 299"), ("severe", "300 or more"))


@dataclass(frozen=True)
class Prepared:
    """The heart's region in sections of about 3 mm, and what the reader is told of the images."""

    sections: Sections
    upright: Upright
    pool: BloodPool
    ascending_known: bool
    gates: tuple[tuple[str, str], ...]


def prepare(manifest: Manifest, volume: VolumeRef, task: Task) -> Prepared:
    """Ask the gates, cheapest first, and find the heart and the aorta; raise Refused with the reasons."""
    passed, refused = ct_gates.check(manifest, volume)
    if refused:
        raise Refused(refused)
    with task.step("open"):
        turned = upright_ct(volume)
    voxels, spacing = turned.voxels, volume.spacing_mm
    with task.step("heart"):
        spine = find_adult_spine(voxels, spacing, task.check)
        middle = find_mediastinum(voxels, spacing, spine, task.check)
        heart = find_heart(middle, spine, spacing, task.check)
    with task.step("aorta"):
        aorta = _descending(voxels, spacing, spine, middle, task)
        ascending = _ascending(voxels, spacing, spine, middle, task)
    with task.step("gates"):
        pool = blood_pool(aorta)
        metal = metal_mm3(
            voxels, heart.region, spacing, manifest.threshold("metal"), manifest.threshold("metal_margin")
        )
        stated = volume.attributes.get("contrast", "unknown")
        bright = chest_ml(middle, spine, spacing, manifest.threshold("contrast_blood"))
        verdicts = [
            *blood_gates(manifest, pool, stated),
            bright_gate(manifest, bright, "between the lungs", stated),
        ]
        verdicts += _heart_gates(manifest, heart, metal)
    refused = [(gate, reason) for gate, _, reason in verdicts if reason]
    if refused:
        raise Refused(refused)
    for vessel in (aorta, ascending):
        if vessel is not None:
            heart.region[tube(vessel, heart.region.shape, spacing, _WALL_MM)] = False
    passed += [("cardiac gating", ct_gates.cardiac_gating(volume))]
    passed += [(gate, value) for gate, value, _ in verdicts]
    thickness = ct_gates.number(volume, "slice_thickness_mm") or spacing[0]
    with task.step("sections"):
        sections = cut(voxels, heart.region, spacing, thickness)
    return Prepared(sections, turned, pool, ascending is not None, tuple(passed))


def build(_manifest: Manifest, device: torch.device) -> torch.nn.Module:
    """Nothing runs on the device: counting a few thousand voxels is faster than moving them."""
    return torch.nn.Identity().to(device)


def infer(_network: Network, prepared: Prepared, task: Task) -> Calcium:
    """Score the calcium of the region."""
    sections = prepared.sections
    with task.step("score"):
        return score(sections.voxels, sections.candidates(THRESHOLD_HU), sections.spacing_mm, task.check)


def interpret(manifest: Manifest, volume: VolumeRef, prepared: Prepared, calcium: Calcium, task: Task) -> Findings:
    """Presence and category; score and volume where the acquisition is the one that they are defined on."""
    with task.step("mask"):
        mask = _write_mask(manifest, volume, prepared, calcium, task)
    values: list[tuple[str, float | None]] = [("coronary_calcification", None)]
    if not why_no_number(manifest, volume):
        values += [
            ("coronary_calcium_score", round(calcium.agatston, 1)),
            ("coronary_calcium_volume", round(calcium.volume_mm3, 1)),
        ]
    one = _finding(manifest, volume, prepared, calcium)
    return Findings(
        model=manifest.id,
        version=manifest.version,
        series_instance_uid=volume.series_instance_uid,
        findings=tuple(_valued(manifest, one, key, value) for key, value in values),
        limits=_limits(manifest, volume, prepared),
        masks=(mask,),
        timings_ms=dict(task.timings_ms),
        device="cpu",
    )


def _descending(voxels: Voxels, spacing_mm: Triple, spine: Spine, middle: Mediastinum, task: Task) -> Vessel:
    last = (middle.dome or len(voxels)) + round(_BELOW_DOME_MM / spacing_mm[0])
    levels = (middle.carina or 0, last)
    try:
        vessel = find_vessel(voxels, spacing_mm, spine, DESCENDING, levels=levels, check=task.check)
        if vessel.height_mm < _FOLLOWED_MM:
            reason = f"the descending aorta was followed over {vessel.height_mm:.0f} mm alone"
            raise NotEvaluable(reason, gate="blood pool")
        return vessel
    except NotEvaluable as error:
        raise Refused(
            [("blood pool", f"{error}, so neither contrast medium nor noise can be judged in its blood")]
        ) from None


def _ascending(voxels: Voxels, spacing_mm: Triple, spine: Spine, middle: Mediastinum, task: Task) -> Vessel | None:
    """None where it is not seen apart from its neighbours; the reader is told then."""
    first = middle.carina or 0
    last = first + round(_ASCENDING_MM / spacing_mm[0])
    try:
        return find_vessel(voxels, spacing_mm, spine, ASCENDING, levels=(first, last), check=task.check)
    except NotEvaluable:
        return None


def _heart_gates(manifest: Manifest, heart: Heart, metal: float) -> list[tuple[str, str, str]]:
    """(gate, value, reason) of what is seen of the heart; reason is "" where the gate is passed."""
    limit = manifest.threshold
    low, high = limit("min_heart_volume"), limit("max_heart_volume")
    checks = [
        ("metal", f"{metal:.0f} mm3 near the heart", metal <= limit("max_metal"),
         "there is metal in or near the heart (a lead, valve, stent or wire): it reads as calcium and casts streaks"),
        ("field of view", f"heart {heart.edge_mm:.0f} mm from the edge", heart.edge_mm >= limit("min_edge"),
         "the heart reaches the edge of the images: it is not wholly in the field of view"),
        ("heart", f"{heart.volume_ml:.0f} mL between the lungs", low <= heart.volume_ml <= high,
         f"what lies between the lungs measures {heart.volume_ml:.0f} mL; {low:.0f} to {high:.0f} mL are plausible"),
    ]  # fmt: skip
    return [(gate, value, "" if passed else reason) for gate, value, passed, reason in checks]


def why_no_number(manifest: Manifest, volume: VolumeRef) -> str:
    """Why the acquisition allows a category alone; "" where it is the one that the score is defined on."""
    gating = ct_gates.cardiac_gating(volume)
    if gating != "gated":
        words = {"not gated": "The images were not synchronised with the heart"}
        return words.get(gating, "It is not known that the images were synchronised with the heart")
    thickness = ct_gates.number(volume, "slice_thickness_mm") or 0.0
    low, high = manifest.threshold("min_section"), manifest.threshold("max_section")
    if not low - 0.01 <= thickness <= high + 0.01:
        return f"Sections are {thickness:.2f} mm thick, and the score is defined on {low:g} to {high:g} mm"
    return ""


def category(agatston: float, manifest: Manifest, *, exact: bool) -> Coding:
    """The class of a score, as CAC-DRS bounds it; of a score that is none, in words that say so."""
    bounds = [manifest.threshold(name) for name in ("cac_mild", "cac_moderate", "cac_severe")]
    index = int(agatston > bounds[0]) + sum(agatston >= bound for bound in bounds[1:])
    name, span = _CLASSES[index]
    if exact:
        return Coding(_SYSTEM, f"cac-drs-a{index}", f"CAC-DRS A{index}: Agatston score {span}")
    return Coding(
        _SYSTEM,
        f"coronary-calcium-{name}",
        f"Coronary calcium {name} (Agatston score {span} expected), from images that are no calcium scan",
    )


def _finding(manifest: Manifest, volume: VolumeRef, prepared: Prepared, calcium: Calcium) -> Finding:
    """Whether there is calcium, and how much of it by class."""
    output = manifest.output("coronary_calcification")
    slices = _key_slices(prepared, calcium)
    reason = why_no_number(manifest, volume)
    return Finding(
        key=output.key,
        code=output.code,
        presence=Presence.PRESENT if calcium.lesions else Presence.NOT_DETECTED,
        threshold=Quantity(THRESHOLD_HU, "[hnsf'U]"),
        body_site=manifest.body_site,
        series_instance_uid=volume.series_instance_uid,
        key_sop_instance_uid=slices[0] if slices else "",
        key_slices=slices,
        gates=tuple(f"{gate}: {said}" for gate, said in prepared.gates),
        category=category(calcium.agatston, manifest, exact=not reason),
        note=f"{reason}: a category alone, no score." if reason else "",
    )


def _valued(manifest: Manifest, finding: Finding, key: str, value: float | None) -> Finding:
    """The same as a measurement; the volume has no class."""
    if value is None:
        return finding
    output = manifest.output(key)
    category_ = finding.category if key == "coronary_calcium_score" else None
    return replace(
        finding,
        key=key,
        code=output.code,
        presence=Presence.MEASURED,
        value=Quantity(value, output.unit),
        category=category_,
    )


def _key_slices(prepared: Prepared, calcium: Calcium) -> tuple[str, ...]:
    """The SOP Instances with most calcium, most first."""
    order = np.argsort(-calcium.by_slice, kind="stable")[:_MOST_SLICES]
    slices = [prepared.sections.slice_of(int(index)) for index in order if calcium.by_slice[index] > 0.0]
    return tuple(uid for index in slices if (uid := prepared.upright.instance(index)))


def _limits(manifest: Manifest, volume: VolumeRef, prepared: Prepared) -> tuple[str, ...]:
    special = [f"Noise in the aorta is {prepared.pool.noise_hu:.0f} HU in sections of about 3 mm."]
    if why_no_number(manifest, volume):
        special.append(
            "Without synchronisation with the heart small calcifications are blurred away or doubled: none is no score "
            "of 0, and 4 of 10 patients fall into another class than on a calcium scan (doi:10.4329/wjr.v6.i6.381)."
        )
    if volume.attributes.get("contrast", "unknown") == "unknown":
        special.append("The header does not say whether contrast medium was given; the blood reads as if none was.")
    if not prepared.ascending_known:
        special.append("The ascending aorta was not told from its neighbours: calcium of its wall is counted too.")
    if prepared.sections.thick > 1:
        special.append(f"{prepared.sections.thick} slices at a time were averaged to sections of about 3 mm.")
    return (*manifest.limits, *special)


def _write_mask(manifest: Manifest, volume: VolumeRef, prepared: Prepared, calcium: Calcium, task: Task) -> MaskRef:
    path = task.scratch / f"{manifest.id}.mask.npy"
    whole = prepared.sections.on_volume(calcium.mask, volume.shape)
    save_mask(prepared.upright.as_stored(whole), path)
    return MaskRef(str(path), volume.shape, {1: "coronary calcium"}, volume.series_instance_uid, volume.stack)

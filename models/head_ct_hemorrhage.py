"""Blood and oedema on a head CT without contrast medium, by the twelve networks of BLAST-CT v1.

The networks see the head on a grid of 1 mm, -15 to 100 HU (doi:10.1016/S2589-7500(20)30085-6). What they answer is
counted inside the skull, and shown on the slices as they were acquired. Limits and thresholds: the manifest.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from cds.domain.coding import Quantity
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.imaging import MaskRef, VolumeRef
from models import ct_gates, weights
from models.deepmedic import CONTEXT, STEP, DeepMedic, Ensemble, cost, widened
from models.head import SOFT_HU, Head, Labels, Quality, find_head, quality
from models.image import Mask, save_mask
from models.lesions import Lesion, abc2_ml, by_area, diameter_mm, lesions, midline, side
from models.manifest import Manifest
from models.network import Network
from models.task import Refused, Task
from models.tiling import Tile, tiles

IPH, EAH, OEDEMA, IVH = 1, 2, 3, 4
LABELS = {
    IPH: "intraparenchymal haemorrhage",
    EAH: "extra-axial haemorrhage",
    OEDEMA: "perilesional oedema",
    IVH: "intraventricular haemorrhage",
}
_VOLUMES = {IPH: "iph_volume", EAH: "eah_volume", OEDEMA: "oedema_volume", IVH: "ivh_volume"}
_LESIONS = {IPH: "iph_lesion", EAH: "eah_lesion", IVH: "ivh_lesion"}
#: At most so many lesions of a kind have a finding of their own, and so many slices are named.
_MOST_LESIONS, _MOST_SLICES = 5, 10
_VOXEL_ML = 0.001
#: Sides of a tile that are tried, the largest first, multiples of the network's step.
_SIDES = (240, 180, 150, 120, 105, 90, 75, 60, 45, 30)
#: Memory that a network needs at its peak for each voxel of a tile, bytes: an estimate, held against 1.1 GB for 90 mm.
_BYTES_PER_VOXEL = 3000
#: From here on the reader is told that sections are thick, mm, and of metal, mL.
_THIN_MM, _SOME_METAL_ML = 2.5, 0.1


@dataclass(frozen=True)
class Prepared:
    """A head that passed the gates; `x` is what the networks see of it, (slices to the top, rows, columns)."""

    head: Head
    x: NDArray[np.float32]
    gates: tuple[tuple[str, str], ...]
    quality: Quality
    members: int
    members_on_cpu: int
    tile_mb: float


@dataclass(frozen=True)
class Raw:
    """The label of each voxel on the grid of 1 mm, how many networks were asked, and on what device."""

    labels: Labels
    members: int
    device: str


def prepare(manifest: Manifest, volume: VolumeRef, task: Task) -> Prepared:
    """Ask the gates, the header's first, find the skull and bring the head to the networks' grid."""
    passed, refused = ct_gates.check(manifest, volume)
    if refused:
        raise Refused(refused)
    with task.step("head"):
        head = find_head(volume, manifest.threshold("bone"), manifest.threshold("max_lean"), task.check)
        found = quality(head)
    verdicts = _image_gates(manifest, found, volume.attributes.get("contrast", "unknown"))
    refused = [(gate, reason) for gate, _, reason in verdicts if reason]
    if refused:
        raise Refused(refused)
    low, high = SOFT_HU
    x = (2.0 * np.clip(head.hu, low, high) - (low + high)) / (high - low)
    gates = (*passed, *((gate, value) for gate, value, _ in verdicts))
    limit = manifest.threshold
    return Prepared(
        head, np.asarray(x, dtype=np.float32), gates, found,
        members=_members(manifest, "members"), members_on_cpu=_members(manifest, "members_on_cpu"),
        tile_mb=limit("tile_memory"),
    )  # fmt: skip


def _members(manifest: Manifest, name: str) -> int:
    return max(1, min(round(manifest.threshold(name)), len(manifest.weights)))


def build(manifest: Manifest, device: torch.device) -> Ensemble:
    """All networks of the manifest, in its order; raise NotInstalled where a file of weights is missing."""
    members = []
    for file in manifest.weights:
        network = DeepMedic(len(LABELS) + 1)
        network.load_state_dict(weights.load(manifest, file.file), strict=True)
        members.append(widened(network.eval()))
    return Ensemble(members).eval().to(device)


def warm(manifest: Manifest) -> tuple[torch.Tensor, ...]:
    """The smallest tile, for the first network."""
    length = CONTEXT + STEP
    return torch.zeros(1, 1, length, length, length), torch.zeros(1, 1, dtype=torch.int64)


def infer(network: Network, prepared: Prepared, task: Task) -> Raw:
    """The most probable label of each voxel inside the skull, tile by tile; 0 elsewhere."""
    on_cpu = network.device.type == "cpu"
    side = _side(network.device, prepared.tile_mb)
    members = prepared.members_on_cpu if on_cpu else prepared.members
    with task.step("network"):
        labels = labelled(network, prepared, task, members=members, side=side)
    return Raw(labels, members, str(network.device))


def labelled(network: Network, prepared: Prepared, task: Task, *, members: int, side: int) -> Labels:
    """Labels by the first `members` networks with tiles of at most `side` voxels; the same for every `side`.

    A CPU is given one network at a time, so that work can be cancelled and urgent work overtake.
    """
    skull = prepared.head.skull
    labels = np.zeros(skull.shape, dtype=np.uint8)
    parts = [[one] for one in range(members)] if network.device.type == "cpu" else [list(range(members))]
    wanted = cut(skull, side)
    done, total = 0, len(wanted) * len(parts)
    for tile in wanted:
        field = tile.field(prepared.x, CONTEXT // 2)
        mean: torch.Tensor | None = None
        for part in parts:
            (answer,) = network(field, torch.tensor([part]))
            mean = answer if mean is None else mean.add_(answer)
            done += 1
            task.progress(done, total)
        if mean is not None:
            tile.put(labels, mean[0].argmax(0).to(torch.uint8).numpy())
    labels[~skull] = 0
    return labels


def cut(skull: Mask, largest: int) -> list[Tile]:
    """The tiles of at most `largest` voxels a side that are the least work in all."""
    choices = [tiles(skull, STEP, side) for side in _SIDES if side <= largest]
    return min(choices, key=lambda some: sum(cost(tile.size) for tile in some))


def _side(device: torch.device, most_mb: float) -> int:
    """The largest tile that half of the free memory holds, and on a CPU no more than `most_mb`."""
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0] / 2.0
    else:
        free = min(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2.0, most_mb * 1e6)
    return next((side for side in _SIDES if _BYTES_PER_VOXEL * side**3 <= free), _SIDES[-1])


def interpret(manifest: Manifest, volume: VolumeRef, prepared: Prepared, raw: Raw, task: Task) -> Findings:
    """Volumes, lesions, ABC/2, sides and key slices; the mask on the grid of the file."""
    with task.step("lesions"):
        seen = _Seen(manifest, prepared.head, raw.labels)
        findings = _findings(seen, manifest, prepared)
    with task.step("mask"):
        path = task.scratch / f"{manifest.id}.mask.npy"
        save_mask(prepared.head.turned.as_stored(seen.native), path)
    return Findings(
        model=manifest.id,
        version=manifest.version,
        series_instance_uid=volume.series_instance_uid,
        findings=findings,
        limits=_limits(manifest, volume, prepared, raw),
        masks=(MaskRef(str(path), volume.shape, dict(LABELS), volume.series_instance_uid, volume.stack),),
        timings_ms=dict(task.timings_ms),
        device=task.device or raw.device,
    )


class _Seen:
    """The lesions that count, on both grids: 1 mm for volumes, the file's slices (head first) for what readers see."""

    def __init__(self, manifest: Manifest, head: Head, labels: Labels) -> None:
        least = manifest.threshold("min_lesion")
        self.head = head
        self.found = {label: lesions(labels == label, _VOXEL_ML, least) for label in LABELS}
        kept = np.zeros_like(labels)
        for label, parts in self.found.items():
            for lesion in parts:
                kept[lesion.box][lesion.mask] = label
        self.kept = kept
        self.native = head.on_file(kept)
        self.midline = midline(head.skull)

    def volume_ml(self, *kinds: int) -> float:
        return round(sum(lesion.volume_ml for kind in kinds for lesion in self.found[kind]), 2)

    def side(self, mask: Mask) -> str:
        return side(mask, self.midline)

    def slices(self, native: Mask) -> tuple[str, ...]:
        """SOP Instances with the largest sections, the largest first."""
        named = (self.head.turned.instance(index) for index in by_area(native)[:_MOST_SLICES])
        return tuple(uid for uid in named if uid)

    def native_of(self, lesion: Lesion) -> Mask:
        return self.head.on_file(lesion.within(self.kept.shape).astype(np.uint8)).astype(np.bool_)


def _findings(seen: _Seen, manifest: Manifest, prepared: Prepared) -> tuple[Finding, ...]:
    gates = tuple(f"{gate}: {value}" for gate, value in prepared.gates)
    every = [_presence(seen, manifest)]
    every += [_volume(seen, manifest, label, key) for label, key in _VOLUMES.items()]
    for label, key in _LESIONS.items():
        every += [
            _lesion(seen, manifest, key, number, one) for number, one in enumerate(seen.found[label][:_MOST_LESIONS], 1)
        ]
    every += _largest(seen, manifest)
    uid = prepared.head.turned.volume.series_instance_uid
    return tuple(replace(one, gates=gates, series_instance_uid=uid, body_site=manifest.body_site) for one in every)


def _presence(seen: _Seen, manifest: Manifest) -> Finding:
    """Whether there is blood inside the skull: enough of it to be told from specks."""
    output, least = manifest.output("hemorrhage"), manifest.threshold("min_hemorrhage")
    total = seen.volume_ml(IPH, EAH, IVH)
    present = total >= least
    blood = np.isin(seen.native, (IPH, EAH, IVH))
    slices = seen.slices(blood) if present else ()
    return Finding(
        key="hemorrhage",
        code=output.code,
        presence=Presence.PRESENT if present else Presence.NOT_DETECTED,
        value=Quantity(total, output.unit),
        threshold=Quantity(least, output.unit),
        laterality=seen.side(np.isin(seen.kept, (IPH, EAH, IVH))) if present else "",
        key_sop_instance_uid=slices[0] if slices else "",
        key_slices=slices,
        note=""
        if present
        else "Not detected does not exclude a haemorrhage, least of all a small or a subarachnoid one.",
    )


def _volume(seen: _Seen, manifest: Manifest, label: int, key: str) -> Finding:
    slices = seen.slices(seen.native == label)
    output = manifest.output(key)
    return Finding(
        key=key,
        code=output.code,
        presence=Presence.MEASURED,
        value=Quantity(seen.volume_ml(label), output.unit),
        laterality=seen.side(seen.kept == label),
        key_sop_instance_uid=slices[0] if slices else "",
        key_slices=slices,
    )


def _lesion(seen: _Seen, manifest: Manifest, key: str, number: int, lesion: Lesion) -> Finding:
    output, slices = manifest.output(key), seen.slices(seen.native_of(lesion))
    return Finding(
        key=f"{key}-{number}",
        code=output.code,
        presence=Presence.MEASURED,
        value=Quantity(round(lesion.volume_ml, 2), output.unit),
        laterality=seen.side(lesion.within(seen.kept.shape)),
        key_sop_instance_uid=slices[0] if slices else "",
        key_slices=slices,
        tracking_id=f"{key}-{number}",
    )


def _largest(seen: _Seen, manifest: Manifest) -> list[Finding]:
    """ABC/2 and the largest diameter of the largest intraparenchymal haemorrhage, as a reader measures on slices."""
    if not seen.found[IPH]:
        return []
    lesion = seen.found[IPH][0]
    native, spacing = seen.native_of(lesion), seen.head.turned.volume.spacing_mm
    slices = seen.slices(native)
    values = {
        "iph_abc2": round(abc2_ml(native, spacing), 2),
        "iph_diameter": round(max((diameter_mm(one, spacing[1:]) for one in native if one.any()), default=0.0), 1),
    }
    return [
        Finding(
            key=key,
            code=manifest.output(key).code,
            presence=Presence.MEASURED,
            value=Quantity(value, manifest.output(key).unit),
            laterality=seen.side(lesion.within(seen.kept.shape)),
            key_sop_instance_uid=slices[0] if slices else "",
            key_slices=slices,
            tracking_id="iph_lesion-1",
        )
        for key, value in values.items()
    ]


def _image_gates(manifest: Manifest, found: Quality, contrast: str) -> list[tuple[str, str, str]]:
    """(gate, value, reason) of what only the voxels tell; reason is "" where the gate is passed."""
    limit = manifest.threshold
    least, most = limit("min_brain"), limit("max_brain")
    unknown = "; whether contrast medium was given is not known" if contrast == "unknown" else ""
    checks = [
        ("head", f"{found.area_cm2:.0f} cm2, {found.cavity_ml:.0f} mL",
         limit("min_area") <= found.area_cm2 <= limit("max_area")
         and limit("min_cavity") <= found.cavity_ml <= limit("max_cavity"),
         "what bone encloses has not the size of an adult's head"),
        ("vertex", f"{found.top_area_cm2:.0f} cm2 in the top slice", found.top_area_cm2 <= limit("max_top_area"),
         "the top of the skull is not in the images: the head is not wholly covered"),
        ("skull base", f"{found.below_top_mm:.0f} mm below the top", found.below_top_mm >= limit("min_below_top"),
         f"the images end {found.below_top_mm:.0f} mm below the top of the skull, "
         f"at least {limit('min_below_top'):.0f} mm are needed to cover the brain"),
        ("field of view", f"{found.edge_cm2:.1f} cm2 at the edge", found.edge_cm2 <= limit("max_edge"),
         "the skull reaches the edge of the images: it is not wholly in the field of view"),
        ("metal", f"{found.metal_ml:.2f} mL", found.metal_ml <= limit("max_metal"),
         "there is so much metal in the head that its streaks may look like blood or hide it"),
        ("brain density", f"{found.brain_hu:.0f} HU", least <= found.brain_hu <= most,
         f"the brain does not read {least:.0f} to {most:.0f} HU, so that densities cannot be trusted"),
        ("noise", f"{found.noise_hu:.0f} HU", found.noise_hu <= limit("max_noise"),
         f"the images are too noisy or their kernel too sharp: more than {limit('max_noise'):.0f} HU of noise"),
        ("enhancement", f"{found.bright_ml:.1f} mL brighter than blood", found.bright_ml <= limit("max_bright"),
         f"much inside the skull is brighter than clotted blood, as after contrast medium{unknown}"),
    ]  # fmt: skip
    return [(gate, value, "" if passed else reason) for gate, value, passed, reason in checks]


def _limits(manifest: Manifest, volume: VolumeRef, prepared: Prepared, raw: Raw) -> tuple[str, ...]:
    special = [f"{raw.members} of {len(manifest.weights)} networks were asked."]
    if volume.attributes.get("contrast", "unknown") == "unknown":
        special.append("It is not known whether contrast medium was given; it can look like blood.")
    if ct_gates.number(volume, "kvp") is None:
        special.append("The tube voltage is not known.")
    thickness = ct_gates.number(volume, "slice_thickness_mm") or 0.0
    if thickness > _THIN_MM:
        special.append(f"Sections are {thickness:.1f} mm thick; small lesions are averaged away in thick sections.")
    if prepared.quality.metal_ml > _SOME_METAL_ML:
        special.append("There is metal in the head; streaks beside it may look like blood.")
    return (*manifest.limits, *special)

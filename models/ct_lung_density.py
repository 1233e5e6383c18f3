"""Quantitative CT of the lung: volume, share of voxels below -950 HU, 15th percentile of density.

Nothing here is learned: the lungs are found by their density and place (`lungs.py`), the densities are counted on the
device. Limits, thresholds and their sources stand in `ct_lung_density.toml`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from cds.domain.coding import Quantity
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.imaging import MaskRef, VolumeRef
from models import ct_gates
from models.image import DensityCounter, Voxels, by_slabs, open_volume, percentile, rises, save_mask
from models.lungs import LungMask, find_lungs
from models.manifest import Manifest
from models.network import Network
from models.task import Refused, Task

#: Histogram of the lung, HU: nothing lies above the threshold that made it, and what is below air is air.
_LOWEST_HU = -1100
#: From here on the reader is told that thick sections lower the low-attenuation area, mm.
_THIN_MM = 1.5


@dataclass(frozen=True)
class Prepared:
    """A volume that passed the gates; slice 0 of `voxels` and `lungs` is the most cranial."""

    voxels: Voxels
    lungs: LungMask
    gates: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Measured:
    """The counts: voxels by HU, voxels below the threshold by slice, and the device that counted them."""

    histogram: NDArray[np.int64]
    low_by_slice: NDArray[np.int64]
    device: str


def prepare(manifest: Manifest, volume: VolumeRef, task: Task) -> Prepared:
    """Ask the gates, cheapest first, and find the lungs; raise NotEvaluable with the reasons."""
    passed, refused = ct_gates.check(manifest, volume)
    if refused:
        raise Refused(refused)
    with task.step("open"):
        voxels = open_volume(volume)
    with task.step("lungs"):
        lungs = find_lungs(voxels, volume.spacing_mm, manifest.threshold("lung_air"), task.check)
    verdicts = _image_gates(manifest, lungs)
    refused = [(gate, reason) for gate, _, reason in verdicts if reason]
    if refused:
        raise Refused(refused)
    return Prepared(voxels, lungs, (*passed, *((gate, value) for gate, value, _ in verdicts)))


def build(manifest: Manifest, device: torch.device) -> DensityCounter:
    """The counter that runs on the device."""
    return DensityCounter(
        lowest=_LOWEST_HU,
        highest=round(manifest.threshold("lung_air")),
        below=manifest.threshold("low_attenuation"),
    ).to(device)


def infer(network: Network, prepared: Prepared, task: Task) -> Measured:
    """Count on the device, slab by slab."""

    def count(counter: torch.nn.Module, device: torch.device) -> Measured:
        histogram, low = by_slabs(
            cast(DensityCounter, counter), prepared.voxels, prepared.lungs.lung, device, task.check
        )
        return Measured(histogram, low, str(device))

    with task.step("count"):
        return network.alone(count)


def interpret(manifest: Manifest, volume: VolumeRef, prepared: Prepared, measured: Measured, task: Task) -> Findings:
    """The three measurements, the mask on disk and what the reader must know."""
    with task.step("mask"):
        mask = _write_mask(manifest, volume, prepared.lungs, task)
    total = int(measured.histogram.sum())
    values = {
        "lung_volume": round(prepared.lungs.volume_ml, 1),
        "laa_950": round(100.0 * float(measured.low_by_slice.sum()) / total, 2),
        "perc15": float(percentile(measured.histogram, _LOWEST_HU, 0.15)),
    }
    worst = _worst_slice(volume, measured.low_by_slice)
    gates = tuple(f"{gate}: {value}" for gate, value in prepared.gates)
    findings = tuple(_finding(manifest, volume, key, value, gates) for key, value in values.items())
    return Findings(
        model=manifest.id,
        version=manifest.version,
        series_instance_uid=volume.series_instance_uid,
        findings=tuple(replace(one, key_sop_instance_uid=worst) if one.key == "laa_950" else one for one in findings),
        limits=_limits(manifest, volume, prepared.lungs),
        masks=(mask,),
        timings_ms=dict(task.timings_ms),
        device=measured.device,
    )


def _image_gates(manifest: Manifest, lungs: LungMask) -> list[tuple[str, str, str]]:
    """(gate, value, reason) of what only the voxels tell; reason is "" where the gate is passed."""
    limit = manifest.threshold
    low, high = limit("min_lung_volume"), limit("max_lung_volume")
    air_low, air_high = limit("min_air"), limit("max_air")
    checks = [
        ("airway", f"{lungs.airway_ml:.0f} mL left out", lungs.airway_ml <= limit("max_airway_volume"),
         "what was taken for the airway is larger than a trachea and its main bronchi"),
        ("lung coverage", f"{lungs.end_slice_area_mm2:.0f} mm2 in an end slice",
         lungs.end_slice_area_mm2 <= limit("max_end_slice_area"),
         "the lungs reach the first or last slice: they are not wholly covered"),
        ("field of view", f"{lungs.edge_area_mm2:.0f} mm2 open to the edge",
         lungs.edge_area_mm2 <= limit("max_edge_area"),
         "the lungs reach the edge of the images: they are not wholly in the field of view"),
        ("lung volume", f"{lungs.volume_ml:.0f} mL", low <= lungs.volume_ml <= high,
         f"the air found measures {lungs.volume_ml:.0f} mL; {low:.0f} to {high:.0f} mL are plausible"),
        ("both lungs", f"{lungs.smaller_side_percent:.0f} % on the smaller side",
         lungs.smaller_side_percent >= limit("min_side_share"),
         "air-containing lung was found on one side of the chest only: the other is absent, airless or cut off"),
        ("segmentation", f"{lungs.unassigned_percent:.1f} % unassigned",
         lungs.unassigned_percent <= limit("max_unassigned_share"),
         "there is air in the chest that is neither clearly lung nor clearly gas"),
        ("air calibration", f"{lungs.air_hu:.0f} HU in the trachea", air_low <= lungs.air_hu <= air_high,
         f"air in the trachea does not read {air_low:.0f} to {air_high:.0f} HU, so the densities cannot be trusted"),
        ("noise", f"{lungs.noise_hu:.0f} HU in the trachea", lungs.noise_hu <= limit("max_noise"),
         f"the images are too noisy: more than {limit('max_noise'):.0f} HU in the trachea"),
    ]  # fmt: skip
    return [(gate, value, "" if passed else reason) for gate, value, passed, reason in checks]


def _finding(manifest: Manifest, volume: VolumeRef, key: str, value: float, gates: tuple[str, ...]) -> Finding:
    output = manifest.output(key)
    return Finding(
        key=key,
        code=output.code,
        presence=Presence.MEASURED,
        value=Quantity(value, output.unit),
        body_site=manifest.body_site,
        series_instance_uid=volume.series_instance_uid,
        gates=gates,
    )


def _limits(manifest: Manifest, volume: VolumeRef, lungs: LungMask) -> tuple[str, ...]:
    thickness = ct_gates.number(volume, "slice_thickness_mm") or 0.0
    special = [f"Noise in the trachea is {lungs.noise_hu:.0f} HU; noise raises the low-attenuation area."]
    if volume.attributes.get("contrast", "unknown") == "unknown":
        special.append("It is not known whether contrast medium was given; it lowers the low-attenuation area.")
    if ct_gates.number(volume, "kvp") is None:
        special.append("The tube voltage is not known.")
    if thickness > _THIN_MM:
        special.append(f"Sections are {thickness:.1f} mm thick; thick sections lower the low-attenuation area.")
    return (*manifest.limits, *special)


def _worst_slice(volume: VolumeRef, low_by_slice: NDArray[np.int64]) -> str:
    """The SOP Instance with most low-attenuation area; "" where none has any or slices are no instances."""
    if len(volume.sop_instance_uids) != len(low_by_slice) or not low_by_slice.any():
        return ""
    index = int(np.argmax(low_by_slice))
    return volume.sop_instance_uids[len(low_by_slice) - 1 - index if rises(volume) else index]


def _write_mask(manifest: Manifest, volume: VolumeRef, lungs: LungMask, task: Task) -> MaskRef:
    path = task.scratch / f"{manifest.id}.mask.npy"
    lung = lungs.lung.view(np.uint8)
    save_mask(lung[::-1] if rises(volume) else lung, path)
    return MaskRef(str(path), volume.shape, {1: "lung"}, volume.series_instance_uid, volume.stack)

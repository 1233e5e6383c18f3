"""The gates that any quantitative CT model asks before it looks at a voxel: is this acquisition fit to be measured?"""

from __future__ import annotations

import math
import re
from typing import Literal

from cds.domain.imaging import VolumeRef
from models import grid_gates
from models.manifest import CtAcquisition, Kernels, Manifest

#: (gate, value in words) for what was passed, (gate, reason) for what was not.
Verdicts = list[tuple[str, str]]
_GATED = frozenset({"REALTIME", "PROSPECTIVE", "RETROSPECTIVE", "PACED"})


def check(manifest: Manifest, volume: VolumeRef) -> tuple[Verdicts, Verdicts]:
    """What passed and what was refused, cheapest first, each as (gate, words); lengths in mm."""
    if volume.modality != manifest.inputs.modality:
        return [], [("modality", f"the images are not {manifest.inputs.modality}")]
    if volume.orientation.lower() != manifest.inputs.orientation:
        return [], [("orientation", f"the slices are not {manifest.inputs.orientation}")]
    wanted = manifest.inputs.ct
    if wanted is None:
        return [("modality", volume.modality), ("orientation", volume.orientation)], []
    passed: Verdicts = [("modality", volume.modality), ("orientation", volume.orientation)]
    refused: Verdicts = []
    for gate, value, reason in _acquisition(wanted, volume):
        if reason:
            refused.append((gate, reason))
        else:
            passed.append((gate, value))
    return passed, refused


def _acquisition(wanted: CtAcquisition, volume: VolumeRef) -> list[tuple[str, str, str]]:
    """(gate, value, reason) of each; reason is "" where the gate is passed."""
    return [
        grid_gates.slices(volume, wanted.min_slices),
        _coverage(wanted, volume),
        grid_gates.slice_spacing(volume, wanted.max_slice_spacing_mm),
        _thickness(wanted, volume),
        grid_gates.pixel_spacing(volume, wanted.max_pixel_spacing_mm),
        *((_kernel(wanted.kernels, volume),) if wanted.kernels is not None else ()),
        _contrast(wanted, volume),
        _kvp(wanted, volume),
    ]


def _coverage(wanted: CtAcquisition, volume: VolumeRef) -> tuple[str, str, str]:
    height = volume.shape[0] * volume.spacing_mm[0]
    reason = f"the images cover {height:.0f} mm along the body, at least {wanted.min_coverage_mm:.0f} mm are needed"
    return "coverage", f"{height:.0f} mm", reason if height < wanted.min_coverage_mm else ""


def _thickness(wanted: CtAcquisition, volume: VolumeRef) -> tuple[str, str, str]:
    thickness = number(volume, "slice_thickness_mm")
    if thickness is None:
        return "slice thickness", "", "the slice thickness is not stated"
    reason = f"slices are {thickness:.2f} mm thick, at most {wanted.max_slice_thickness_mm:g} mm are accepted"
    return "slice thickness", f"{thickness:.2f} mm", reason if thickness > wanted.max_slice_thickness_mm + 0.01 else ""


def _kernel(kernels: Kernels, volume: VolumeRef) -> tuple[str, str, str]:
    name = kernel_name(volume.attributes.get("kernel", ""))
    if not name:
        return "kernel", "", "the reconstruction kernel is not stated, so it is not known to be smooth"
    if _matches(kernels.smooth, name):
        return "kernel", name, ""
    if _matches(kernels.sharp, name):
        return "kernel", "", f"the kernel {name} is sharp; a smooth one is needed"
    return "kernel", "", "the reconstruction kernel is not on the list of smooth kernels"


def _contrast(wanted: CtAcquisition, volume: VolumeRef) -> tuple[str, str, str]:
    contrast = volume.attributes.get("contrast", "unknown")
    if contrast in wanted.contrast:
        return "contrast", contrast, ""
    words = {"yes": "contrast medium was given", "unknown": "it is not known whether contrast medium was given"}
    return (
        "contrast",
        "",
        words.get(contrast, "what is said of contrast medium differs between slices or is not understood"),
    )


def _kvp(wanted: CtAcquisition, volume: VolumeRef) -> tuple[str, str, str]:
    kvp = number(volume, "kvp")
    if kvp is None:
        return "tube voltage", "unknown", "" if wanted.unknown_kvp else "the tube voltage is not stated"
    span = f"{wanted.min_kvp:.0f} to {wanted.max_kvp:.0f} kV are"
    if wanted.min_kvp == wanted.max_kvp:
        span = f"only {wanted.min_kvp:.0f} kV is"
    reason = f"the tube voltage is {kvp:.0f} kV, {span} accepted"
    return "tube voltage", f"{kvp:.0f} kV", "" if wanted.min_kvp <= kvp <= wanted.max_kvp else reason


def cardiac_gating(volume: VolumeRef) -> Literal["gated", "not gated", "unknown"]:
    """What Cardiac Synchronization Technique (0018,9037) says (PS3.3, Cardiac Synchronization); many do not send it."""
    said = volume.attributes.get("cardiac_synchronization", "").strip().upper()
    if said in _GATED:
        return "gated"
    return "not gated" if said == "NONE" else "unknown"


def number(volume: VolumeRef, name: str) -> float | None:
    """An acquisition attribute as a number; None where it is not stated or is none."""
    try:
        value = float(volume.attributes[name])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) and value > 0.0 else None


def kernel_name(text: str) -> str:
    """The name alone: the first value of (0018,1210), without the strength that some makers add as a second one."""
    return re.split(r"[\\,;]", text.strip(" []'\""), maxsplit=1)[0].strip(" '\"")


def _matches(patterns: tuple[str, ...], name: str) -> bool:
    return any(re.fullmatch(pattern, name, re.IGNORECASE) for pattern in patterns)

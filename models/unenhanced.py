"""What any measurement of densities in the trunk without contrast medium asks of the voxels: blood, noise, metal."""

from __future__ import annotations

import math
from collections.abc import Callable

from cds.errors import NotEvaluable
from models.aorta import Search, find_vessel
from models.contrast import blood_gates, blood_pool
from models.image import Mask
from models.manifest import Manifest
from models.metal import metal_mm3
from models.spine import Spine
from models.upright import Upright

#: In front of the lower thoracic and upper lumbar bodies, a little to the left: psoas and kidney are round too, but lie
#: beside or behind. See `aorta.Search`; lengths are the project's own.
_AORTA = Search("aorta", (-55.0, -6.0), (-8.0, 30.0), (12.0, 65.0))
#: (gate, value, reason); reason is "" where the gate is passed.
Verdict = tuple[str, str, str]


def blood(
    manifest: Manifest, turned: Upright, spine: Spine, levels: tuple[int, int], check: Callable[[], None]
) -> list[Verdict]:
    """Contrast medium and noise in the aorta between two slices; see `contrast.blood_gates` for the thresholds.

    Where no aorta is found, the header's word decides: no contrast medium is believed, anything else is refused.
    """
    volume = turned.volume
    stated = volume.attributes.get("contrast", "unknown")
    try:
        vessel = find_vessel(turned.voxels, volume.spacing_mm, spine, _AORTA, levels=levels, check=check)
    except NotEvaluable as error:
        if stated == "no":
            return [("contrast in the blood", f"not judged, {error}; the header says that none was given", "")]
        reason = f"it is not known whether contrast medium was given, and {error}"
        return [("contrast in the blood", "not judged", reason)]
    return blood_gates(manifest, blood_pool(vessel), stated)


def metal(manifest: Manifest, turned: Upright, region: Mask, slices: tuple[int, int], where: str) -> Verdict:
    """Metal near a region between two slices, in the organ `where`.

    Thresholds are the manifest's `metal`, `metal_margin` and `max_metal`.
    """
    margin = manifest.threshold("metal_margin")
    spacing = turned.volume.spacing_mm
    reach = math.ceil(margin / spacing[0]) + 1
    part = slice(max(0, slices[0] - reach), slices[1] + reach + 1)
    found = metal_mm3(turned.voxels[part], region[part], spacing, manifest.threshold("metal"), margin)
    reason = f"metal lies near the {where}, and its streaks make the densities wrong"
    return f"metal near the {where}", f"{found:.0f} mm3", reason if found > manifest.threshold("max_metal") else ""

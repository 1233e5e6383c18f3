"""What any measurement of densities in the trunk without contrast medium asks of the voxels: blood, noise, metal."""

from __future__ import annotations

import math
from collections.abc import Callable

from cds.errors import NotEvaluable
from models.aorta import ABDOMINAL, find_vessel
from models.bright import Span, abdomen_ml
from models.contrast import blood_gates, blood_pool, bright_gate
from models.image import Mask
from models.manifest import Manifest
from models.metal import metal_mm3
from models.spine import Spine
from models.upright import Upright

#: A vessel that is followed over less may be a bowel loop or a muscle. The project's own, mm.
_FOLLOWED_MM = 15.0
_WHERE = "in front of the spine or where the kidneys lie"
#: (gate, value, reason); reason is "" where the gate is passed.
Verdict = tuple[str, str, str]


def blood(
    manifest: Manifest,
    turned: Upright,
    spine: Spine,
    levels: tuple[int, int],
    check: Callable[[], None],
    *,
    spared_hu: Span | None = None,
) -> list[Verdict]:
    """Contrast medium and noise in the aorta between two slices, and bright tissue around; see `models.contrast`.

    Where no aorta is found, the header's word that none was given is believed if nothing is bright, and anything else
    is refused. What reads within `spared_hu`, a liver with iron, is not bright if the aorta reads as blood.
    """
    volume = turned.volume
    stated = volume.attributes.get("contrast", "unknown")
    verdicts, judged = _aorta(manifest, turned, spine, levels, check)
    bright = abdomen_ml(
        turned.voxels,
        volume.spacing_mm,
        spine,
        levels,
        manifest.threshold("contrast_blood"),
        spared_hu=spared_hu if judged else None,
        check=check,
    )
    return [*verdicts, bright_gate(manifest, bright, _WHERE, stated)]


def _aorta(
    manifest: Manifest, turned: Upright, spine: Spine, levels: tuple[int, int], check: Callable[[], None]
) -> tuple[list[Verdict], bool]:
    """The verdicts on the aorta's blood, and whether it was seen at all."""
    volume = turned.volume
    stated = volume.attributes.get("contrast", "unknown")
    try:
        vessel = find_vessel(turned.voxels, volume.spacing_mm, spine, ABDOMINAL, levels=levels, check=check)
        if vessel.height_mm < _FOLLOWED_MM:
            raise NotEvaluable(f"the aorta was followed over {vessel.height_mm:.0f} mm alone", gate="aorta")
    except NotEvaluable as error:
        if stated == "no":
            return [("contrast in the blood", f"not judged, {error}; the header says that none was given", "")], False
        reason = f"it is not known whether contrast medium was given, and {error}"
        return [("contrast in the blood", "not judged", reason)], False
    return blood_gates(manifest, blood_pool(vessel), stated), True


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

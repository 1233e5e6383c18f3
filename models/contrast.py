"""Whether contrast medium is in the blood: what a header leaves unsaid or says wrongly, the aorta shows.

Blood without contrast medium reads 30 to 60 HU at 120 kV (plasma and haematocrit); what reads far more was enhanced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.aorta import DESCENDING, Vessel, find_vessel
from models.image import Voxels
from models.manifest import Manifest
from models.spine import Spine


@dataclass(frozen=True)
class BloodPool:
    """Blood in the aorta: median and standard deviation (HU) in sections of about 3 mm, and how many they were."""

    hu: float
    noise_hu: float
    sections: int


def blood_pool(vessel: Vessel) -> BloodPool:
    """Blood well inside the wall of a vessel that was followed: medians over its sections."""
    return BloodPool(
        float(np.median([one.blood_hu for one in vessel.sections])),
        float(np.median([one.noise_hu for one in vessel.sections])),
        len(vessel.sections),
    )


def find_blood_pool(
    voxels: Voxels,
    spacing_mm: tuple[float, float, float],
    spine: Spine,
    levels: tuple[int, int],
    check: Callable[[], None],
) -> BloodPool:
    """The blood of the descending aorta, thoracic or abdominal, between two slices (both included).

    Rows to the back, columns to the left, slice 0 cranial. Raise NotEvaluable(gate="descending aorta") without one.
    """
    return blood_pool(find_vessel(voxels, spacing_mm, spine, DESCENDING, levels=levels, check=check))


def blood_gates(manifest: Manifest, pool: BloodPool, stated: str) -> list[tuple[str, str, str]]:
    """(gate, value, reason) of contrast medium, calibration and noise; reason is "" where the gate is passed.

    `stated` is what the header says of contrast medium. Limits are the manifest's `contrast_blood`, `min_blood` and
    `max_noise`.
    """
    least, most = manifest.threshold("min_blood"), manifest.threshold("contrast_blood")
    noise = manifest.threshold("max_noise")
    said = ", although the header says that none was given" if stated == "no" else ""
    checks = [
        ("contrast in the blood", f"{pool.hu:.0f} HU in the aorta", pool.hu <= most,
         f"the blood in the aorta reads {pool.hu:.0f} HU, more than {most:.0f} HU: contrast medium was given{said}"),
        ("blood", f"at least {least:.0f} HU", pool.hu >= least,
         f"the blood in the aorta reads {pool.hu:.0f} HU, less than blood does: the densities cannot be trusted"),
        ("noise", f"{pool.noise_hu:.0f} HU in the aorta", pool.noise_hu <= noise,
         f"the images are too noisy: {pool.noise_hu:.0f} HU in the aorta, at most {noise:.0f} HU are accepted"),
    ]  # fmt: skip
    return [(gate, value, "" if passed else reason) for gate, value, passed, reason in checks]

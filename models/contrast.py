"""Whether contrast medium is in the blood: what a header leaves unsaid or says wrongly, the aorta shows.

Blood without contrast medium reads 30 to 60 HU at 120 kV (plasma and haematocrit); what reads far more was enhanced.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.aorta import Vessel
from models.bright import LEAST_ML
from models.manifest import Manifest


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


def bright_gate(manifest: Manifest, bright_ml: float, where: str, stated: str) -> tuple[str, str, str]:
    """(gate, value, reason) of tissue that is brighter than blood and no bone; see `models.bright`.

    A vessel that reads as blood is not enough: it may be the wrong one, or contrast medium not yet have reached it.
    """
    most = manifest.threshold("contrast_blood")
    said = ", although the header says that none was given" if stated == "no" else ""
    reason = (
        f"{bright_ml:.0f} mL of tissue that is no bone read more than {most:.0f} HU {where}, as with contrast medium"
        f"{said}"
    )
    value = f"{bright_ml:.0f} mL of more than {most:.0f} HU {where}"
    return "bright tissue", value, reason if bright_ml >= LEAST_ML else ""

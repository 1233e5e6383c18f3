"""What the tests of the heart and the aorta share: a computed chest on disk, and two real CT of the upper abdomen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cds.domain.finding import Finding, Findings
from cds.domain.imaging import VolumeRef
from models.phantom_thorax import Thorax

Voxels = NDArray[np.int16]

ATTRIBUTES = {
    "kernel": "B35f",
    "contrast": "no",
    "slice_thickness_mm": "3",
    "kvp": "120",
    "cardiac_synchronization": "PROSPECTIVE",
}


def go_on() -> None:
    """The work is still wanted."""


def stored(thorax: Thorax, folder: Path, hu: Voxels | None = None, **attributes: str) -> VolumeRef:
    """The chest as a model is given it: slices rise, as the phantom's do."""
    voxels = thorax.hu if hu is None else hu
    path = folder / "volume.npy"
    np.save(path, voxels)
    slices, rows, columns = voxels.shape
    return VolumeRef(
        path=str(path),
        dtype=voxels.dtype.name,
        shape=(slices, rows, columns),
        spacing_mm=thorax.spacing_mm,
        affine=thorax.affine,
        series_instance_uid="1.2.3",
        modality="CT",
        orientation="axial",
        attributes=ATTRIBUTES | attributes,
        sop_instance_uids=tuple(f"1.2.3.{index}" for index in range(slices)),
    )


def finding(findings: Findings, key: str) -> Finding:
    return next(one for one in findings.findings if one.key == key)


def value(findings: Findings, key: str) -> float:
    quantity = finding(findings, key).value
    assert quantity is not None
    return quantity.value


def hand_scored(hu: Voxels, lesions: list[NDArray[np.bool_]], spacing_mm: tuple[float, float, float]) -> float:
    """Agatston's score of lesions that are known voxel by voxel and touch nobody: slice by slice, by the definition."""
    total = 0.0
    for lesion in lesions:
        for one, here in zip(hu, lesion, strict=True):
            dense = one[here & (one >= 130)]
            area = len(dense) * spacing_mm[1] * spacing_mm[2]
            if area >= 1.0:
                total += area * min(4, int(dense.max()) // 100) * spacing_mm[0] / 3.0
    return total

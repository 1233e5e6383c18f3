"""A computed torso as a model is given it, and the real CT of the reference folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch

from cds.domain.finding import Findings
from cds.domain.imaging import VolumeRef
from models.phantom_abdomen import Torso
from models.task import Task

T = TypeVar("T")
Voxels = np.ndarray[tuple[int, ...], np.dtype[np.int16]]
Triple = tuple[float, float, float]
ATTRIBUTES = {"kernel": "B30f", "contrast": "no", "slice_thickness_mm": "3.0", "kvp": "120"}


class NoNetwork:
    """What a model without a network is given as one: it must not be used."""

    device = torch.device("cpu")

    def __call__(self, *items: torch.Tensor) -> tuple[torch.Tensor, ...]:
        raise AssertionError("nothing runs on the device")

    def alone(self, work: Callable[[torch.nn.Module, torch.device], T]) -> T:
        raise AssertionError("nothing runs on the device")


def volume_of(
    voxels: Voxels, spacing_mm: Triple, affine: tuple[float, ...], folder: Path, **attributes: str
) -> VolumeRef:
    path = folder / "volume.npy"
    np.save(path, voxels)
    slices, rows, columns = voxels.shape
    return VolumeRef(
        path=str(path),
        dtype=voxels.dtype.name,
        shape=(slices, rows, columns),
        spacing_mm=spacing_mm,
        affine=affine,
        series_instance_uid="1.2.3",
        modality="CT",
        orientation="axial",
        attributes={name: value for name, value in (ATTRIBUTES | attributes).items() if value},
        sop_instance_uids=tuple(f"1.2.3.{index}" for index in range(slices)),
    )


def stored(torso: Torso, voxels: Voxels, folder: Path, **attributes: str) -> VolumeRef:
    return volume_of(voxels, torso.spacing_mm, torso.affine, folder, **attributes)


def task(folder: Path) -> Task:
    return Task(folder, lambda: False)


def value(findings: Findings, key: str) -> float:
    quantity = next(one for one in findings.findings if one.key == key).value
    assert quantity is not None
    return quantity.value


def real(name: str) -> Path:
    """A file or folder of the real body CT; skipped where the reference folder is not here."""
    folder = os.environ.get("CDS_REFERENCE_DIR")
    if folder is None:
        pytest.skip("CDS_REFERENCE_DIR is not set: the real images are not in this repository")
    path = Path(folder) / "images" / "totalseg_ct_dicom" / name
    if not path.exists():
        pytest.skip("the real body CT is not in the reference folder")
    return path


def unenhanced_ct() -> tuple[Voxels, Triple, tuple[float, ...]]:
    """A real upper abdomen without contrast medium, on a grid of 3 mm: voxels as stored, spacing and affine."""
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK reads NIfTI and is not installed")
    image = sitk.ReadImage(str(real("example_ct_sm.nii.gz")))
    voxels = np.asarray(sitk.GetArrayFromImage(image), dtype=np.int16)
    (x, y, z), (dx, dy, dz) = image.GetOrigin(), image.GetSpacing()
    direction = np.array(image.GetDirection()).reshape(3, 3)
    assert np.allclose(np.abs(direction), np.eye(3))
    sx, sy, sz = (float(one) for one in np.diag(direction))
    affine = (0.0, 0.0, sx * dx, x, 0.0, sy * dy, 0.0, y, sz * dz, 0.0, 0.0, z, 0.0, 0.0, 0.0, 1.0)
    return voxels, (dz, dy, dx), affine

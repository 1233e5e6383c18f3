"""What the tests of the head share: phantoms as stored volumes, the published weights, a part of the work."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cds.domain.imaging import VolumeRef
from models.head_ct_hemorrhage import Prepared
from models.image import Mask
from models.manifest import Manifest, read
from models.phantom_head import HeadPhantom
from models.registry import SHIPPED

ATTRIBUTES = {"kernel": "H30s", "contrast": "no", "slice_thickness_mm": "2.5", "kvp": "120"}
_FOLDER = Path(os.environ.get("CDS_REFERENCE_DIR", "")) / "weights" / "blast_ct_v1"
with_weights = pytest.mark.skipif(
    "CDS_REFERENCE_DIR" not in os.environ or not _FOLDER.is_dir(),
    reason="CDS_REFERENCE_DIR names no folder with weights/blast_ct_v1",
)


def manifest(members: int = 12) -> Manifest:
    """The manifest with the first `members` networks, all of which are asked."""
    full = read(SHIPPED / "head_ct_hemorrhage.toml")
    thresholds = tuple(
        replace(one, value=float(members)) if one.name == "members_on_cpu" else one for one in full.thresholds
    )
    return replace(full, weights=full.weights[:members], thresholds=thresholds, folders=(_FOLDER,))


def stored(phantom: HeadPhantom, folder: Path, **attributes: str) -> VolumeRef:
    """The phantom as the pipeline would give it."""
    path = folder / "volume.npy"
    np.save(path, phantom.hu)
    slices, rows, columns = phantom.hu.shape
    return VolumeRef(
        path=str(path),
        dtype=phantom.hu.dtype.name,
        shape=(slices, rows, columns),
        spacing_mm=phantom.spacing_mm,
        affine=phantom.affine,
        series_instance_uid="1.2.3",
        modality="CT",
        orientation="axial",
        attributes=ATTRIBUTES | attributes,
        sop_instance_uids=tuple(f"1.2.3.{index}" for index in range(slices)),
    )


def box_around(prepared: Prepared, place_mm: tuple[float, float, float], half: int) -> Mask:
    """A cube of the networks' grid around a place of the phantom (z, y, x; mm)."""
    affine = prepared.head.turned.volume.affine
    origin = (affine[11], affine[7], affine[3])
    box = np.zeros_like(prepared.head.skull)
    middle = [round(place - first) for place, first in zip(place_mm, origin, strict=True)]
    box[tuple(slice(max(0, one - half), one + half) for one in middle)] = True
    return box


def only(prepared: Prepared, part: Mask) -> Prepared:
    """The same head, of which only a part is looked at: a whole head takes minutes on a CPU."""
    return replace(prepared, head=replace(prepared.head, skull=part))

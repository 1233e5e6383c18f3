"""A volume turned so that every model sees the same patient: head first, rows to the back, columns to the left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cds.domain.imaging import VolumeRef
from cds.errors import NotEvaluable
from models.image import Mask, Voxels, open_volume, rises

#: Axes may lean this far from the patient's, as a cosine: 2 degrees, the project's own.
_MAX_LEAN = 0.035
#: Steps of the affine and the spacing that is told may differ by this part. The project's own.
_MAX_STRETCH = 0.01
#: In Hounsfield units room air or lung lies below the first, tissue that is no fat between the others, HU; so many
#: slices are looked at, and each kind makes up this part of their voxels at least. The project's own.
_AIR_HU, _TISSUE_HU = -500.0, (-20.0, 120.0)
_LOOKED_AT, _LEAST = 24, 0.01


@dataclass(frozen=True)
class Upright:
    """The voxels as (slices to the foot, rows to the back, columns to the left) and how they were turned."""

    voxels: Voxels
    volume: VolumeRef
    flipped: tuple[int, ...]

    def as_stored(self, mask: NDArray[np.uint8] | Mask) -> NDArray[np.uint8]:
        """A mask of these voxels, on the grid of the file."""
        return np.ascontiguousarray(np.flip(mask, self.flipped), dtype=np.uint8)

    def place_mm(self, point: tuple[float, float, float]) -> tuple[float, float, float]:
        """(slice, row, column) of these voxels in patient coordinates (LPS, mm; PS3.3 C.7.6.2.1.1)."""
        stored = [
            size - 1 - one if axis in self.flipped else one
            for axis, (size, one) in enumerate(zip(self.volume.shape, point, strict=True))
        ]
        x, y, z = np.array(self.volume.affine).reshape(4, 4)[:3] @ np.array([*stored, 1.0])
        return float(x), float(y), float(z)

    def instance(self, index: int) -> str:
        """The SOP Instance of this slice; "" where slices are no instances."""
        uids = self.volume.sop_instance_uids
        if len(uids) != len(self.voxels):
            return ""
        return uids[len(uids) - 1 - index if 0 in self.flipped else index]


def upright_ct(volume: VolumeRef) -> Upright:
    """The same for CT in Hounsfield units.

    Raise NotEvaluable(gate="densities") where voxels are no numbers, or where air or soft tissue is missing, as in
    values that were not rescaled or in padding alone.
    """
    turned = upright(volume)
    voxels = turned.voxels
    if voxels.dtype.kind == "f" and not all(bool(np.isfinite(one).all()) for one in voxels):
        raise NotEvaluable("some voxels hold no number", gate="densities")
    seen = voxels[np.linspace(0, len(voxels) - 1, min(len(voxels), _LOOKED_AT)).astype(int)]
    air = float((seen < _AIR_HU).mean())
    tissue = float(((seen > _TISSUE_HU[0]) & (seen < _TISSUE_HU[1])).mean())
    if min(air, tissue) < _LEAST:
        missing = "air" if air < tissue else "soft tissue"
        raise NotEvaluable(
            f"next to no {missing} is in the images, so they are not known to be in Hounsfield units", gate="densities"
        )
    return turned


def upright(volume: VolumeRef) -> Upright:
    """Open the volume and turn it.

    Raise NotEvaluable(gate="orientation") where its axes are not the patient's, as with a tilted gantry, or contradict
    the spacing, NotFound where the file is gone.
    """
    affine = np.array(volume.affine).reshape(4, 4)[:3, :3]
    # Columns of the affine are the steps of slice, row and column; the patient's axes are z, y and x.
    steps = np.array([affine[2, 0], affine[1, 1], affine[0, 2]])
    length = np.linalg.norm(affine, axis=0)
    if np.any(length <= 0.0) or np.any(np.abs(steps) < length * np.sqrt(1.0 - _MAX_LEAN**2)):
        raise NotEvaluable("the slices are tilted against the patient's axes", gate="orientation")
    if not (np.isfinite(affine).all() and np.allclose(length, volume.spacing_mm, rtol=_MAX_STRETCH, atol=0.0)):
        raise NotEvaluable("the distance of the voxels and their places contradict each other", gate="orientation")
    # `open_volume` has turned the slices already.
    across = tuple(axis for axis in (1, 2) if steps[axis] < 0.0)
    voxels = open_volume(volume)
    flipped = ((0,) if rises(volume) else ()) + across
    return Upright(np.flip(voxels, across) if across else voxels, volume, flipped)

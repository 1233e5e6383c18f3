"""The head on a CT: on a grid of 1 mm as networks want it, and the inside of the skull, found from bone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, spatial

from cds.domain.imaging import VolumeRef
from cds.errors import NotEvaluable
from models.image import Mask, open_volume, rises
from models.upright import Upright

Field = NDArray[np.float32]
Labels = NDArray[np.uint8]

#: Bone is sought on cells of this many mm; the hull of a skull needs no finer ones.
_CELL = 3
#: The cranial cavity of an adult ends this far below the top of the skull, mm; what lies lower is face and neck.
_DEEPEST_MM = 165
#: Brain, blood and fluid lie between these, HU: what the network was shown.
SOFT_HU = (-15.0, 100.0)
#: What saturates a 12-bit scanner is metal, HU.
_METAL_HU = 3000.0
#: Brighter than clotted blood and darker than the skull, HU: contrast medium or calcium.
_BRIGHT_HU = (110.0, 400.0)
#: Bone of fewer cells one way encloses nothing; what is as near as this to a side of a hull lies on it.
_FLAT, _ON_THE_LINE = 2, 1e-6
#: As far from bone as partial volume and beam hardening reach, mm.
_FROM_BONE_MM = 12


@dataclass(frozen=True)
class Head:
    """`hu` is (slices to the head's top, rows to the back, columns to the left), 1 mm; `skull` what bone encloses.

    `turned` are the voxels of the file, `top` the highest slice with bone, `area_cm2` the skull's largest section.
    """

    turned: Upright
    hu: Field
    skull: Mask
    top: int
    area_cm2: float
    bone_hu: float

    @cached_property
    def inside(self) -> Mask:
        """Soft tissue and fluid that the skull encloses."""
        low, high = SOFT_HU
        return np.asarray(self.skull & (self.hu > low) & (self.hu < high))

    @cached_property
    def deep(self) -> Mask:
        """What the skull encloses, far from bone."""
        cells = _pooled(self.hu > self.bone_hu) | ~_pooled(self.skull)
        far = ~ndimage.binary_dilation(cells, iterations=_FROM_BONE_MM // _CELL, border_value=0)
        return _fine(far, self.hu.shape) & self.skull

    def on_file(self, labels: Labels) -> Labels:
        """Labels of the 1 mm grid on the slices as they are turned here (head first): the nearest of each voxel."""
        falling = labels[::-1]
        shape, spacing = self.turned.voxels.shape, self.turned.volume.spacing_mm
        places = [_nearest(*one) for one in zip(shape, spacing, falling.shape, strict=True)]
        return np.ascontiguousarray(falling[np.ix_(*places)])


def find_head(volume: VolumeRef, bone_hu: float, max_lean: float, check: Callable[[], None]) -> Head:
    """Open, turn and resample the volume, and find the skull.

    Raise NotEvaluable where the axes lean further than `max_lean` (a sine) from the patient's ("orientation") or
    where there is no skull ("head").
    """
    turned = _turn(volume, max_lean)
    hu = resampled(turned.voxels, volume.spacing_mm, check)[::-1]
    bone = _largest(_pooled(hu > bone_hu))
    check()
    levels = np.flatnonzero(bone.any(axis=(1, 2)))
    if len(levels) == 0:
        raise NotEvaluable("no skull was found", gate="head")
    top = int(levels[-1])
    hull = np.zeros_like(bone)
    for level in levels[levels >= top - _DEEPEST_MM // _CELL]:
        hull[level] = _hull(bone[level])
    area = float(hull.sum(axis=(1, 2)).max()) * _CELL**2 / 100.0
    skull = _fine(hull, hu.shape)
    return Head(turned, np.ascontiguousarray(hu), skull, min(top * _CELL + _CELL - 1, len(hu) - 1), area, bone_hu)


def _turn(volume: VolumeRef, max_lean: float) -> Upright:
    """Slices to the foot, rows to the back, columns to the left. The network saw heads at many angles."""
    affine = np.array(volume.affine).reshape(4, 4)[:3, :3]
    steps = np.array([affine[2, 0], affine[1, 1], affine[0, 2]])
    length = np.linalg.norm(affine, axis=0)
    if np.any(length <= 0.0) or np.any(np.abs(steps) < length * np.sqrt(1.0 - max_lean**2)):
        raise NotEvaluable("the slices are tilted too far against the patient's axes", gate="orientation")
    across = tuple(axis for axis in (1, 2) if steps[axis] < 0.0)
    voxels = open_volume(volume)
    return Upright(np.flip(voxels, across) if across else voxels, volume, ((0,) if rises(volume) else ()) + across)


def resampled(voxels: NDArray[np.generic], spacing_mm: tuple[float, float, float], check: Callable[[], None]) -> Field:
    """The volume on a grid of 1 mm from the centre of the first voxel on, linear between voxels."""
    dz, dy, dx = spacing_mm
    planes = []
    for one in voxels:
        check()
        planes.append(_line(_line(np.asarray(one, dtype=np.float32), dy, 0), dx, 1))
    return _line(np.stack(planes), dz, 0)


def _line(values: Field, spacing: float, axis: int) -> Field:
    """Linear interpolation to steps of 1 mm along one axis."""
    count = values.shape[axis]
    place = np.arange(round((count - 1) * spacing) + 1) / spacing
    below = np.clip(np.floor(place).astype(np.intp), 0, max(count - 2, 0))
    share = np.clip(place - below, 0.0, 1.0).astype(np.float32)
    share = share.reshape([-1 if one == axis else 1 for one in range(values.ndim)])
    first = np.take(values, below, axis=axis)
    second = np.take(values, np.minimum(below + 1, count - 1), axis=axis)
    return np.asarray(first + (second - first) * share, dtype=np.float32)


def _nearest(count: int, spacing: float, length: int) -> NDArray[np.intp]:
    return np.asarray(np.clip(np.rint(np.arange(count) * spacing), 0, length - 1), dtype=np.intp)


def _pooled(mask: Mask) -> Mask:
    """Cells with any such voxel."""
    padded = np.pad(mask, [(0, -side % _CELL) for side in mask.shape])
    z, y, x = (side // _CELL for side in padded.shape)
    return np.asarray(padded.reshape(z, _CELL, y, _CELL, x, _CELL).any(axis=(1, 3, 5)))


def _fine(cells: Mask, shape: tuple[int, ...]) -> Mask:
    fine = cells.repeat(_CELL, 0).repeat(_CELL, 1).repeat(_CELL, 2)
    return np.ascontiguousarray(fine[: shape[0], : shape[1], : shape[2]])


def _largest(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    if count == 0:
        return mask
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])))


def _hull(bone: Mask) -> Mask:
    """The convex hull of the bone of one slice: closed also where the skull was opened."""
    points = np.argwhere(bone)
    if len(points) == 0 or np.any(np.ptp(points, axis=0) < _FLAT):
        return bone
    try:
        sides = spatial.ConvexHull(points).equations
    except spatial.QhullError:
        # All on one line: it encloses nothing.
        return bone
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in bone.shape), indexing="ij"), axis=-1)
    return np.asarray((grid @ sides[:, :2].T + sides[:, 2] <= _ON_THE_LINE).all(axis=-1))


@dataclass(frozen=True)
class Quality:
    """What the images say of themselves: densities in HU, volumes in mL, lengths in mm."""

    cavity_ml: float
    area_cm2: float
    below_top_mm: float
    top_area_cm2: float
    edge_cm2: float
    brain_hu: float
    noise_hu: float
    metal_ml: float
    bright_ml: float


def quality(head: Head) -> Quality:
    """Measure what the gates ask."""
    edge = head.skull[:, [0, -1], :].sum() + head.skull[:, 1:-1][:, :, [0, -1]].sum()
    deep = head.hu[head.deep & head.inside]
    low, high = _BRIGHT_HU
    return Quality(
        cavity_ml=float(head.inside.sum()) / 1000.0,
        area_cm2=head.area_cm2,
        below_top_mm=float(head.top + 1),
        top_area_cm2=float(head.skull[-1].sum()) / 100.0,
        edge_cm2=float(edge) / 100.0,
        brain_hu=float(np.median(deep)) if deep.size else 0.0,
        noise_hu=_noise(head),
        metal_ml=float((head.skull & (head.hu > _METAL_HU)).sum()) / 1000.0,
        bright_ml=float((head.deep & (head.hu > low) & (head.hu < high)).sum()) / 1000.0,
    )


def _noise(head: Head) -> float:
    """Standard deviation of the file's own pixels, HU, from differences of neighbours in deep brain (robust)."""
    deep = head.turned.voxels[:: max(1, len(head.turned.voxels) // 12)]
    differences = []
    for one in deep:
        plane = np.asarray(one, dtype=np.float32)
        soft = (plane > SOFT_HU[0]) & (plane < SOFT_HU[1])
        both = soft[:, :-1] & soft[:, 1:]
        differences.append((plane[:, 1:] - plane[:, :-1])[both])
    every = np.concatenate(differences)
    return float(np.median(np.abs(every)) * 1.4826 / np.sqrt(2.0)) if every.size else 0.0

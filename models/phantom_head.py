"""A computed head CT without contrast medium, with lesions of known volume: for tests and the demo. Not a patient.

Coordinates are DICOM's (LPS, mm) around the middle of the cranial cavity: slices rise towards the head's top, rows run
to the back, columns to the patient's left. Shapes are ellipsoids; a voxel belongs to what its centre lies in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import pi, prod

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Triple = tuple[float, float, float]
Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

AIR_HU, SCALP_HU, BONE_HU, FLUID_HU, WHITE_HU, GREY_HU = -1000.0, 20.0, 1000.0, 6.0, 29.0, 37.0
BLOOD_HU = 65.0
_MIDDLE: Triple = (0.0, 0.0, 0.0)
#: Fluid over the brain, and how deep folds of grey matter begin and end, mm; the blur of the images.
_SULCI_MM, _FOLDS_MM, _FOLDED, _BLUR_MM, _TEXTURE_MM = 3.0, (14.0, 24.0), 0.4, 0.5, 4.0
#: Half the width of the fissure; where the hemispheres are joined (height, length); the crescent's half extents, mm.
_FISSURE_MM, _CALLOSUM_MM, _CRESCENT_MM = 1.2, (25.0, 45.0), (40.0, 60.0)
#: Half axes (z, y, x) of scalp, outer and inner table, mm: a cavity of 1.4 L, longer than wide.
_SCALP, _OUTER, _INNER = (84.0, 98.0, 79.0), (79.0, 93.0, 74.0), (73.0, 87.0, 68.0)
#: Below this there is no cavity: bone of the skull base, then soft tissue; the images end at `_LOWEST`.
_BASE_MM, _BASE_THICK_MM, _LOWEST, _HIGHEST = -45.0, 6.0, -75.0, 100.0
_ACROSS_MM = 224.0
#: The two lateral ventricles and the third: centre and half axes; the right one is smaller, so that sides can be told.
VENTRICLES: tuple[tuple[Triple, Triple], ...] = (
    ((10.0, 0.0, 11.0), (9.0, 34.0, 6.0)),
    ((10.0, 0.0, -11.0), (8.0, 30.0, 5.0)),
    ((-6.0, 2.0, 0.0), (9.0, 12.0, 2.5)),
)


@dataclass(frozen=True)
class Lesion:
    """An ellipsoid of blood or oedema: centre and half axes (z, y, x) in mm, density in HU."""

    centre: Triple
    half: Triple
    hu: float = BLOOD_HU

    @property
    def volume_ml(self) -> float:
        """By formula."""
        return 4.0 / 3.0 * pi * prod(self.half) / 1000.0


@dataclass(frozen=True)
class Head:
    """What to compute; `crescent_mm` is how thick blood lies under the left inner table (0: none), over the brain."""

    spacing_mm: Triple = (2.5, 1.0, 1.0)
    lesions: tuple[Lesion, ...] = ()
    crescent_mm: float = 0.0
    blood_in_ventricle: bool = False
    noise_hu: float = 4.0
    seed: int = 11
    bone_hu: float = BONE_HU


@dataclass(frozen=True)
class HeadPhantom:
    """The images (slices, rows, columns), slice 0 the most caudal, and the masks of what was put in."""

    hu: NDArray[np.int16]
    spacing_mm: Triple
    affine: tuple[float, ...]
    cavity: Mask
    lesions: tuple[Mask, ...] = field(default=())
    crescent: Mask | None = None
    ventricles: Mask | None = None

    def millilitres(self, mask: Mask) -> float:
        """The volume of the voxels of a mask."""
        return float(mask.sum()) * prod(self.spacing_mm) / 1000.0


def head_phantom(head: Head | None = None) -> HeadPhantom:
    """Scalp, skull, cavity with fluid, cortex, white matter and ventricles, then lesions, blur and noise."""
    head = head or Head()
    axes = _axes(head.spacing_mm)
    random = np.random.default_rng(head.seed)
    hu, cavity = _skull(axes, head)
    brain = cavity & _inside(axes, _MIDDLE, _less(_INNER, _SULCI_MM)) & ~_fissure(axes)
    texture = random.standard_normal(hu.shape).astype(np.float32)
    texture = ndimage.gaussian_filter(texture, _TEXTURE_MM / np.array(head.spacing_mm))
    _paint_brain(axes, hu, cavity, brain, texture / texture.std())
    ventricles = [_inside(axes, *place) & brain for place in VENTRICLES]
    for one in ventricles:
        hu[one] = FLUID_HU
    if head.blood_in_ventricle:
        hu[ventricles[0]] = BLOOD_HU
    masks = tuple(_inside(axes, lesion.centre, lesion.half) & cavity for lesion in head.lesions)
    for mask, lesion in zip(masks, head.lesions, strict=True):
        hu[mask] = lesion.hu
    crescent = _crescent(axes, cavity, head.crescent_mm)
    hu[crescent] = BLOOD_HU
    hu = ndimage.gaussian_filter(hu, _BLUR_MM / np.array(head.spacing_mm))
    hu += random.normal(0.0, head.noise_hu, hu.shape).astype(np.float32)
    z, y, x = (float(axis[0]) for axis in axes)
    dz, dy, dx = head.spacing_mm
    affine = (0.0, 0.0, dx, x, 0.0, dy, 0.0, y, dz, 0.0, 0.0, z, 0.0, 0.0, 0.0, 1.0)
    voxels = np.clip(np.rint(hu), -1024, 3071).astype(np.int16)
    return HeadPhantom(voxels, head.spacing_mm, affine, cavity, masks, crescent, ventricles[0])


def _paint_brain(axes: tuple[Field, Field, Field], hu: Field, cavity: Mask, brain: Mask, texture: Field) -> None:
    """Fluid, then grey matter with folds that reach into white matter, and texture that is no noise."""
    core = _inside(axes, _MIDDLE, _less(_INNER, _FOLDS_MM[1]))
    white = brain & _inside(axes, _MIDDLE, _less(_INNER, _FOLDS_MM[0])) & ((texture < _FOLDED) | core)
    hu[cavity] = FLUID_HU
    hu[brain] = GREY_HU
    hu[white] = WHITE_HU
    hu[brain] += texture[brain]


def _axes(spacing_mm: Triple) -> tuple[Field, Field, Field]:
    dz, dy, dx = spacing_mm
    z = np.arange(_LOWEST, _HIGHEST, dz, dtype=np.float32)
    y, x = (np.arange(-_ACROSS_MM / 2, _ACROSS_MM / 2, step, dtype=np.float32) for step in (dy, dx))
    return z, y, x


def _inside(axes: tuple[Field, Field, Field], centre: Triple, half: Triple) -> Mask:
    z, y, x = (((axis - c) / h) ** 2 for axis, c, h in zip(axes, centre, half, strict=True))
    return np.asarray(z[:, None, None] + y[:, None] + x < 1.0)


def _less(half: Triple, by_mm: float) -> Triple:
    z, y, x = half
    return z - by_mm, y - by_mm, x - by_mm


def _skull(axes: tuple[Field, Field, Field], head: Head) -> tuple[Field, Mask]:
    z = axes[0][:, None, None]
    scalp, outer, inner = (_inside(axes, _MIDDLE, half) for half in (_SCALP, _OUTER, _INNER))
    column = _inside((np.zeros_like(axes[0]), axes[1], axes[2]), _MIDDLE, (1.0, 80.0, 60.0)) & (z < _BASE_MM)
    hu = np.full(scalp.shape, AIR_HU, dtype=np.float32)
    hu[scalp | column] = SCALP_HU
    hu[outer & (z >= _BASE_MM - _BASE_THICK_MM)] = head.bone_hu
    return hu, np.asarray(inner & (z >= _BASE_MM))


def _fissure(axes: tuple[Field, Field, Field]) -> Mask:
    """Fluid between the hemispheres: above the corpus callosum, in front of and behind it."""
    z, y, x = axes
    apart = (z[:, None, None] > _CALLOSUM_MM[0]) | (np.abs(y)[:, None] > _CALLOSUM_MM[1])
    return np.asarray(apart & (np.abs(x) < _FISSURE_MM))


def _crescent(axes: tuple[Field, Field, Field], cavity: Mask, thick_mm: float) -> Mask:
    """Blood between the left inner table and the brain, thickest over the middle of the convexity."""
    if thick_mm <= 0.0:
        return np.zeros_like(cavity)
    z, y, x = axes
    # What lies between the skull and the same skull shifted to the right.
    brain = _inside(axes, (0.0, 0.0, -thick_mm), (_INNER[0] + 7.0, _INNER[1] + 3.0, _INNER[2]))
    height, length = _CRESCENT_MM
    place = (np.abs(z)[:, None, None] < height) & (np.abs(y)[:, None] < length) & (x > 0.0)
    return np.asarray(cavity & ~brain & place)

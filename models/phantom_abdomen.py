"""A computed torso from T8 to L5 with known densities: for the tests. Not a patient.

Coordinates are DICOM's (LPS, mm): slices rise towards the head, rows run to the back, columns to the patient's left.
Shapes are painted as labels first; densities follow by label, so that what is true of each tissue is known by its name.
z = 0 is the middle of L1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Labels = NDArray[np.uint8]
Line = NDArray[np.float32]
Triple = tuple[float, float, float]

#: The first voxel's place and the extent of the field: 290 mm along the body, 400 x 300 mm across it.
ORIGIN_MM: Triple = (-150.0, -150.0, -200.0)
EXTENT_MM: Triple = (290.0, 300.0, 400.0)


class Tissue(IntEnum):
    """What a voxel is."""

    ROOM, SKIN_FAT, MUSCLE, FAT, LUNG, LIVER, LIVER_VEIN, SPLEEN, KIDNEY, AORTA, VENA_CAVA, HEART, STOMACH = range(13)
    GAS, CORTEX, TRABECULAR, DISC, CANAL, RIB, RIB_MARROW, TABLE, VEIN, METAL, CEMENT, EFFUSION = range(13, 25)


#: Densities without contrast medium, HU.
DENSITIES: Mapping[Tissue, float] = {
    Tissue.ROOM: -1000.0, Tissue.SKIN_FAT: -105.0, Tissue.MUSCLE: 52.0, Tissue.FAT: -100.0, Tissue.LUNG: -860.0,
    Tissue.LIVER: 58.0, Tissue.LIVER_VEIN: 40.0, Tissue.SPLEEN: 49.0, Tissue.KIDNEY: 32.0, Tissue.AORTA: 42.0,
    Tissue.VENA_CAVA: 40.0, Tissue.HEART: 43.0, Tissue.STOMACH: 25.0, Tissue.GAS: -950.0, Tissue.CORTEX: 480.0,
    Tissue.TRABECULAR: 160.0, Tissue.DISC: 85.0, Tissue.CANAL: 18.0, Tissue.RIB: 650.0, Tissue.RIB_MARROW: 150.0,
    Tissue.TABLE: -200.0, Tissue.VEIN: 45.0, Tissue.METAL: 3071.0, Tissue.CEMENT: 1500.0, Tissue.EFFUSION: 8.0,
}  # fmt: skip

#: What contrast medium adds in the portal venous phase, HU.
ENHANCEMENT: Mapping[Tissue, float] = {
    Tissue.AORTA: 110.0, Tissue.VENA_CAVA: 100.0, Tissue.LIVER: 50.0, Tissue.LIVER_VEIN: 120.0, Tissue.SPLEEN: 70.0,
    Tissue.KIDNEY: 130.0, Tissue.HEART: 105.0, Tissue.TRABECULAR: 12.0, Tissue.VEIN: 70.0,
}  # fmt: skip


@dataclass(frozen=True)
class Vertebra:
    """One vertebra: middle and height of its body along the spine in mm, and the reach of its ribs in mm (0: none)."""

    name: str
    middle_mm: float
    height_mm: float
    rib_mm: float = 0.0


#: A lumbar body is wedge-free and 26 mm high; discs are 5 to 8 mm.
VERTEBRAE = (
    Vertebra("T8", 141.0, 21.0, 300.0), Vertebra("T9", 114.0, 22.0, 300.0), Vertebra("T10", 87.0, 22.0, 300.0),
    Vertebra("T11", 59.5, 23.0, 220.0), Vertebra("T12", 30.5, 24.0, 130.0), Vertebra("L1", 0.0, 25.0),
    Vertebra("L2", -32.5, 26.0), Vertebra("L3", -66.0, 26.0), Vertebra("L4", -100.0, 26.0),
    Vertebra("L5", -134.0, 26.0),
)  # fmt: skip


@dataclass(frozen=True)
class Anatomy:
    """What can differ from torso to torso; `lordosis` is the slope of the spine at its steepest (0.35: 19 degrees)."""

    vertebrae: tuple[Vertebra, ...] = VERTEBRAE
    lordosis: float = 0.22
    spleen: bool = True
    cement: str = ""
    rods: bool = False
    effusion: bool = False
    left_ribs: bool = True

    def changed(self, name: str, height_mm: float | None = None, rib_mm: float | None = None) -> Anatomy:
        """The same with one vertebra lower, or with other ribs."""
        changed = [
            one
            if one.name != name
            else replace(
                one,
                height_mm=one.height_mm if height_mm is None else height_mm,
                rib_mm=one.rib_mm if rib_mm is None else rib_mm,
            )
            for one in self.vertebrae
        ]
        return replace(self, vertebrae=tuple(changed))


@dataclass(frozen=True)
class Torso:
    """The tissues by voxel, (slices, rows, columns), slice 0 the most caudal; `layers` of them make one section."""

    labels: Labels
    layer_mm: Triple
    layers: int = 2
    origin_mm: Triple = ORIGIN_MM
    anatomy: Anatomy = field(default_factory=Anatomy)

    @property
    def spacing_mm(self) -> Triple:
        """Of the images, (slices, rows, columns); a section is as thick as its distance to the next."""
        return (self.layer_mm[0] * self.layers, *self.layer_mm[1:])

    @property
    def affine(self) -> tuple[float, ...]:
        """(slice, row, column, 1) to LPS in mm, row-major 4 x 4."""
        slices, rows, columns = self.spacing_mm
        z, y, x = self.origin_mm
        z += (self.layers - 1) / 2.0 * self.layer_mm[0]
        return (0.0, 0.0, columns, x, 0.0, rows, 0.0, y, slices, 0.0, 0.0, z, 0.0, 0.0, 0.0, 1.0)

    def between(self, low_mm: float, high_mm: float) -> Torso:
        """The part whose slices lie between two heights."""
        z = self.origin_mm[0] + self.layer_mm[0] * np.arange(len(self.labels))
        kept = np.flatnonzero((z >= low_mm) & (z <= high_mm))
        kept = kept[: len(kept) // self.layers * self.layers]
        origin = (float(z[kept[0]]), *self.origin_mm[1:])
        return replace(self, labels=self.labels[kept[0] : kept[-1] + 1], origin_mm=origin)

    def images(
        self,
        densities: Mapping[Tissue, float] | None = None,
        *,
        enhanced: bool = False,
        noise_hu: float = 12.0,
        blur_mm: float = 0.6,
        seed: int = 5,
    ) -> NDArray[np.int16]:
        """Whole HU: `densities` replace the usual ones, contrast medium adds to all of them; blur and white noise."""
        table = np.zeros(len(Tissue), dtype=np.float32)
        for tissue in Tissue:
            usual = (densities or {}).get(tissue, DENSITIES[tissue])
            table[tissue] = usual + (ENHANCEMENT.get(tissue, 0.0) if enhanced else 0.0)
        layers = table[self.labels]
        hu = layers.reshape(-1, self.layers, *layers.shape[1:]).mean(axis=1)
        if blur_mm > 0.0:
            hu = ndimage.gaussian_filter(
                hu, [0.0, *(blur_mm / one for one in self.layer_mm[1:])], mode="nearest", truncate=3.0
            )
        random = np.random.default_rng(seed)
        hu += np.float32(noise_hu) * random.standard_normal(hu.shape, dtype=np.float32)
        image: NDArray[np.int16] = np.clip(np.rint(hu), -1024, 3071).astype(np.int16)
        return image


class _Canvas:
    def __init__(self, spacing_mm: Triple, anatomy: Anatomy) -> None:
        shape = [round(extent / spacing) for extent, spacing in zip(EXTENT_MM, spacing_mm, strict=True)]
        z, y, x = (
            (start + spacing * np.arange(count)).astype(np.float32)
            for start, spacing, count in zip(ORIGIN_MM, spacing_mm, shape, strict=True)
        )
        self.z, self.y, self.x = z[:, None, None], y[None, :, None], x[None, None, :]
        self.labels: Labels = np.full(shape, Tissue.ROOM, dtype=np.uint8)
        self.anatomy = anatomy

    def paint(self, tissue: Tissue, inside: NDArray[np.bool_], *, over: Tissue | None = None) -> None:
        where = np.broadcast_to(inside, self.labels.shape)
        self.labels[where if over is None else where & (self.labels == over)] = tissue

    def ellipsoid(self, centre: Triple, half: Triple) -> NDArray[np.bool_]:
        (z, y, x), (c, b, a) = centre, half
        return np.asarray(((self.z - z) / c) ** 2 + ((self.y - y) / b) ** 2 + ((self.x - x) / a) ** 2 < 1.0)

    def ball(self, tissue: Tissue, centre: Triple, radius: float, *, over: Tissue | None = None) -> None:
        """A small ball, painted in its box alone."""
        box = tuple(
            slice(*np.searchsorted(axis.ravel(), (at - radius, at + radius)))
            for axis, at in zip((self.z, self.y, self.x), centre, strict=True)
        )
        z, y, x = (
            axis.ravel()[part] - at for axis, part, at in zip((self.z, self.y, self.x), box, centre, strict=True)
        )
        inside = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 < radius**2
        part = self.labels[box[0], box[1], box[2]]
        part[inside if over is None else inside & (part == over)] = tissue

    def spine_row(self, z: float) -> float:
        """Where the middle of the vertebral bodies is at a height: kyphosis above, lordosis below."""
        return 28.0 + 60.0 * self.anatomy.lordosis * math.sin(z / 60.0)


def _within(values: Line, low: float, high: float) -> NDArray[np.bool_]:
    return np.asarray((values > low) & (values < high))


def torso(anatomy: Anatomy | None = None, *, layer_mm: Triple = (1.5, 1.6, 1.6), layers: int = 2) -> Torso:
    """A man on his back, 340 mm wide; every shape in his own place."""
    canvas = _Canvas(layer_mm, anatomy or Anatomy())
    _paint_trunk(canvas)
    _paint_organs(canvas)
    _paint_ribs(canvas)
    for vertebra in canvas.anatomy.vertebrae:
        _paint_vertebra(canvas, vertebra)
    _paint_discs(canvas)
    if canvas.anatomy.rods:
        for side in (-1.0, 1.0):
            for z in np.arange(-60.0, 40.0, 2.0):
                canvas.ball(Tissue.METAL, (z, canvas.spine_row(z) + 38.0, 18.0 * side), 3.5)
    kept = len(canvas.labels) // layers * layers
    return Torso(canvas.labels[:kept], layer_mm, layers, ORIGIN_MM, canvas.anatomy)


def _paint_trunk(canvas: _Canvas) -> None:
    y, x = canvas.y, canvas.x
    canvas.paint(Tissue.TABLE, _within(y, 122.0, 134.0) & _within(x, -190.0, 190.0))
    for tissue, depth, width in (
        (Tissue.SKIN_FAT, 112.0, 170.0), (Tissue.MUSCLE, 98.0, 154.0), (Tissue.FAT, 82.0, 138.0),
    ):  # fmt: skip
        canvas.paint(tissue, (y / depth) ** 2 + (x / width) ** 2 < 1.0)
    # Muscles of the back and the psoas.
    for side in (-1.0, 1.0):
        canvas.paint(Tissue.MUSCLE, ((y - 72.0) / 24.0) ** 2 + ((x - side * 34.0) / 32.0) ** 2 < 1.0, over=Tissue.FAT)
        psoas = ((y - 30.0) / 18.0) ** 2 + ((x - side * 42.0) / 16.0) ** 2 < 1.0
        canvas.paint(Tissue.MUSCLE, psoas & _within(canvas.z, -500.0, -15.0), over=Tissue.FAT)


def _paint_organs(canvas: _Canvas) -> None:
    z, y, x = canvas.z, canvas.y, canvas.x
    cavity = (y / 84.0) ** 2 + (x / 140.0) ** 2 < 1.0
    dome = 75.0 - 70.0 * (((y + 5.0) / 80.0) ** 2 + ((abs(x) - 75.0) / 65.0) ** 2)
    canvas.paint(Tissue.LUNG, cavity & (z > dome) & _within(abs(x), 22.0, 200.0))
    canvas.paint(Tissue.HEART, canvas.ellipsoid((110.0, -30.0, 25.0), (45.0, 42.0, 50.0)))
    liver = canvas.ellipsoid((5.0, -8.0, -72.0), (85.0, 76.0, 66.0)) | canvas.ellipsoid(
        (40.0, -40.0, -5.0), (28.0, 30.0, 70.0)
    )
    canvas.paint(Tissue.LIVER, liver & cavity & (z <= dome + 1.0))
    for start, end, radius in (
        ((45.0, 10.0, -20.0), (10.0, -20.0, -110.0), 5.0),
        ((5.0, 0.0, -30.0), (-25.0, -10.0, -95.0), 6.0),
        ((40.0, 5.0, -20.0), (35.0, -45.0, -60.0), 4.5),
    ):
        _tube(canvas, Tissue.LIVER_VEIN, start, end, radius, over=Tissue.LIVER)
    if canvas.anatomy.spleen:
        canvas.paint(
            Tissue.SPLEEN, canvas.ellipsoid((22.0, 22.0, 100.0), (48.0, 42.0, 26.0)) & cavity & (z <= dome + 1.0)
        )
    for side in (-1.0, 1.0):
        canvas.paint(Tissue.FAT, canvas.ellipsoid((-35.0, 38.0, side * 70.0), (56.0, 31.0, 29.0)))
        canvas.paint(Tissue.KIDNEY, canvas.ellipsoid((-35.0, 38.0, side * 70.0), (50.0, 26.0, 24.0)))
        canvas.paint(Tissue.FAT, canvas.ellipsoid((-35.0, 34.0, side * 62.0), (22.0, 10.0, 10.0)))
    canvas.paint(Tissue.STOMACH, canvas.ellipsoid((15.0, -35.0, 75.0), (40.0, 32.0, 40.0)), over=Tissue.FAT)
    canvas.paint(Tissue.GAS, canvas.ellipsoid((15.0, -48.0, 75.0), (30.0, 14.0, 30.0)), over=Tissue.STOMACH)
    canvas.paint(Tissue.GAS, canvas.ellipsoid((-70.0, -40.0, 40.0), (20.0, 18.0, 35.0)), over=Tissue.FAT)
    if canvas.anatomy.effusion:
        canvas.paint(Tissue.EFFUSION, _within(y, 10.0, 100.0) & (x < 0.0), over=Tissue.LUNG)
    for height in np.arange(ORIGIN_MM[0], ORIGIN_MM[0] + EXTENT_MM[0], 2.0):
        row = canvas.spine_row(float(height))
        canvas.ball(Tissue.AORTA, (float(height), row - 32.0, 10.0), 11.5)
        canvas.ball(Tissue.VENA_CAVA, (float(height), row - 30.0, -16.0), 10.0, over=Tissue.FAT)


def _tube(
    canvas: _Canvas, tissue: Tissue, start: Triple, end: Triple, radius: float, *, over: Tissue | None = None
) -> None:
    a, b = np.array(start), np.array(end)
    for part in np.linspace(0.0, 1.0, max(2, int(np.linalg.norm(b - a) / 1.5))):
        z, y, x = (float(one) for one in a + part * (b - a))
        canvas.ball(tissue, (z, y, x), radius, over=over)


def _paint_ribs(canvas: _Canvas) -> None:
    """From beside the vertebra backwards and outwards, then around the chest, falling; the marrow after the bone."""
    for tissue, radius in ((Tissue.RIB, 5.5), (Tissue.RIB_MARROW, 3.0)):
        for vertebra in canvas.anatomy.vertebrae:
            for side in (-1.0, 1.0) if canvas.anatomy.left_ribs else (-1.0,):
                for z, y, x in _rib(canvas, vertebra, side):
                    canvas.ball(tissue, (z, y, x), radius)


def _rib(canvas: _Canvas, vertebra: Vertebra, side: float) -> list[Triple]:
    """The middle of a rib from its head outwards, every 2 mm, as long as its reach."""
    if vertebra.rib_mm <= 0.0:
        return []
    row = canvas.spine_row(vertebra.middle_mm)
    corners = [(vertebra.middle_mm + 6.0, row + 12.0, side * 23.0), (vertebra.middle_mm + 3.0, row + 30.0, side * 42.0)]
    for angle in np.arange(58.0, -80.0, -3.0):
        y, x = 92.0 * math.sin(math.radians(angle)), side * 148.0 * math.cos(math.radians(angle))
        corners.append((vertebra.middle_mm + 3.0 - 0.45 * (58.0 - angle), y, x))
    points: list[Triple] = []
    length = 0.0
    for a, b in pairwise(corners):
        step = math.dist(a, b)
        for part in np.arange(0.0, step, 2.0) / step:
            if length + part * step > vertebra.rib_mm:
                return points
            points.append((a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1]), a[2] + part * (b[2] - a[2])))
        length += step
    return points


def _along(canvas: _Canvas, vertebra: Vertebra) -> tuple[tuple[slice, slice, slice], Line, Line, Line]:
    """The box around a vertebra; in it the place along the spine, behind the middle of its body and aside, mm."""
    row = canvas.spine_row(vertebra.middle_mm)
    slope = (canvas.spine_row(vertebra.middle_mm + 1.0) - canvas.spine_row(vertebra.middle_mm - 1.0)) / 2.0
    angle = math.atan(slope)
    ends = [np.searchsorted(canvas.z.ravel(), vertebra.middle_mm + np.array([-45.0, 45.0])),
            np.searchsorted(canvas.y.ravel(), row + np.array([-40.0, 80.0])),
            np.searchsorted(canvas.x.ravel(), (-60.0, 60.0))]  # fmt: skip
    box = (slice(*ends[0]), slice(*ends[1]), slice(*ends[2]))
    z, y = canvas.z[box[0]] - vertebra.middle_mm, canvas.y[:, box[1]] - row
    along = z * math.cos(angle) + y * math.sin(angle)
    behind = y * math.cos(angle) - z * math.sin(angle)
    return box, along.astype(np.float32), behind.astype(np.float32), canvas.x[:, :, box[2]]


def _paint_vertebra(canvas: _Canvas, vertebra: Vertebra) -> None:
    box, along, behind, aside = _along(canvas, vertebra)
    part = canvas.labels[box]
    half = vertebra.height_mm / 2.0
    level, ring = abs(along) < half, (behind / 16.0) ** 2 + (aside / 22.0) ** 2
    part[(ring < 1.0) & level] = Tissue.CORTEX
    inner = ((behind / 14.4) ** 2 + (aside / 20.4) ** 2 < 1.0) & (abs(along) < half - 1.6)
    part[inner] = Tissue.CEMENT if canvas.anatomy.cement == vertebra.name else Tissue.TRABECULAR
    part[inner & (behind > 0.4 * 16.0) & _within(aside, -3.0, 3.0) & _within(along, -2.0, 2.0)] = Tissue.VEIN
    back = behind - 25.0
    canal = (back / 8.5) ** 2 + (aside / 11.5) ** 2
    upper, arch = _within(along, -2.0, half), abs(along) < half + 1.0
    outer = (back / 14.0) ** 2 + (aside / 19.0) ** 2 < 1.0
    pedicles = outer & _within(abs(aside), 11.0, 30.0) & _within(behind, 10.0, 60.0) & upper
    laminae = outer & _within(back, 2.0, 60.0) & (along < half - 4.0) & arch
    spinous = _within(aside, -3.5, 3.5) & _within(back, 8.0, 38.0) & _within(along, -half, 4.0)
    reach = 26.0 if vertebra.rib_mm > 0.0 else 38.0
    transverse = _within(abs(aside), 15.0, reach) & _within(back, -2.0, 6.0) & _within(along, -1.0, 9.0)
    bone = (pedicles | laminae | spinous | transverse) & (canal >= 1.0) & (ring >= 1.0)
    part[bone] = Tissue.CORTEX
    part[(canal < 1.0) & (ring >= 1.0) & _within(along, -18.0, 18.0)] = Tissue.CANAL


def _paint_discs(canvas: _Canvas) -> None:
    """Between two bodies, each half from its own vertebra; the ring is a little smaller than the body."""
    bodies = canvas.anatomy.vertebrae
    for upper, lower in pairwise(bodies):
        gap = upper.middle_mm - upper.height_mm / 2.0 - lower.middle_mm - lower.height_mm / 2.0
        for vertebra, sign in ((upper, -1.0), (lower, 1.0)):
            box, along, behind, aside = _along(canvas, vertebra)
            beyond = sign * along - vertebra.height_mm / 2.0
            inside = ((behind / 15.0) ** 2 + (aside / 21.0) ** 2 < 1.0) & (beyond >= 0.0) & (beyond < 0.5 * gap + 2.5)
            part = canvas.labels[box]
            soft = (part == Tissue.FAT) | (part == Tissue.MUSCLE) | (part == Tissue.LUNG) | (part == Tissue.CANAL)
            part[inside & (soft | (part == Tissue.HEART))] = Tissue.DISC

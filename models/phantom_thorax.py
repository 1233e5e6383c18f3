"""A computed chest CT with a heart, great vessels and inserts of known density and size. Not a patient.

Coordinates are DICOM's (LPS, mm), written (z, y, x): z rises towards the head, y runs to the back, x to the left.
Slices rise towards the head. A voxel belongs to what its centre lies in; later shapes replace earlier ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Triple = tuple[float, float, float]
Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: The first voxel's place and the extent: 300 mm along the body, 240 mm by 352 mm across it.
ORIGIN_MM: Triple = (-160.0, -120.0, -176.0)
EXTENT_MM: Triple = (300.0, 240.0, 352.0)
CARINA_MM: Triple = (50.0, 22.0, 0.0)
#: Height of the domes of the right and the left half of the diaphragm.
RIGHT_DOME_MM, LEFT_DOME_MM = -70.0, -85.0
FAT_HU, MUSCLE_HU, LUNG_HU, AIR_HU = -100.0, 50.0, -850.0, -1000.0
HEART_CENTRE_MM: Triple = (-45.0, -28.0, 22.0)
HEART_HALF_MM: Triple = (55.0, 44.0, 58.0)
#: Vertebral body: centre and radius; the descending aorta lies beside it in this direction (y, x).
SPINE_MM, SPINE_RADIUS_MM = (62.0, 0.0), 17.0
_BESIDE_SPINE = (-14.0 / 31.3, 28.0 / 31.3)
_ARCH_MM = 72.0
#: Below this there is no fat of the mediastinum.
_FAT_FROM_MM = -120.0
#: What the kernel blurs by, one standard deviation in mm.
_BLUR_MM = 0.7
_ARCH_OF_ASCENDING: Triple = (72.0, -26.0, -16.0)
ASCENDING_BOTTOM_MM: Triple = (-2.0, -26.0, -16.0)


@dataclass(frozen=True)
class Insert:
    """A cylinder along z of known density: what a calibration phantom holds, and what a calcification is taken for."""

    centre_mm: Triple
    radius_mm: float
    length_mm: float
    hu: float


@dataclass(frozen=True)
class Thorax:
    """The images and what is known of them; arrays are (slices, rows, columns), slice 0 the most caudal."""

    hu: NDArray[np.int16]
    spacing_mm: Triple
    origin_mm: Triple
    heart: Mask
    lungs: Mask
    descending: Mask
    inserts: Mask

    @property
    def affine(self) -> tuple[float, ...]:
        """(slice, row, column, 1) to LPS in mm, row-major 4 x 4."""
        slices, rows, columns = self.spacing_mm
        z, y, x = self.origin_mm
        return (0.0, 0.0, columns, x, 0.0, rows, 0.0, y, slices, 0.0, 0.0, z, 0.0, 0.0, 0.0, 1.0)

    def index(self, place_mm: Triple) -> tuple[int, int, int]:
        """The voxel nearest to a place."""
        z, y, x = (round((p - o) / s) for p, o, s in zip(place_mm, self.origin_mm, self.spacing_mm, strict=True))
        return z, y, x


class _Canvas:
    """One volume of densities that shapes are painted on."""

    def __init__(self, spacing_mm: Triple) -> None:
        self.axes = [
            (start + spacing * np.arange(round(extent / spacing))).astype(np.float32)
            for start, spacing, extent in zip(ORIGIN_MM, spacing_mm, EXTENT_MM, strict=True)
        ]
        self.z, self.y, self.x = self.axes[0][:, None, None], self.axes[1][None, :, None], self.axes[2][None, None, :]
        self.hu: Field = np.full([len(axis) for axis in self.axes], AIR_HU, dtype=np.float32)

    def paint(self, inside: Mask, hu: float) -> Mask:
        whole = np.broadcast_to(inside, self.hu.shape)
        self.hu[whole] = hu
        return np.asarray(whole)

    def part(self, low: Triple, high: Triple) -> tuple[slice, slice, slice]:
        """The voxels between two corners: shapes are computed there alone."""
        ends = [np.searchsorted(axis, (a, b)) for axis, a, b in zip(self.axes, low, high, strict=True)]
        first, second, third = (slice(int(a), int(b)) for a, b in ends)
        return first, second, third

    def ellipsoid(self, centre: Triple, half: Triple) -> Mask:
        low, high = ([c + sign * h for c, h in zip(centre, half, strict=True)] for sign in (-1.0, 1.0))
        part = self.part((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        z, y, x = (((axis[p] - c) / h) ** 2 for axis, p, c, h in zip(self.axes, part, centre, half, strict=True))
        inside = np.zeros(self.hu.shape, dtype=np.bool_)
        inside[part] = z[:, None, None] + y[:, None] + x < 1.0
        return inside

    def tube(self, start: Triple, end: Triple, radius: float) -> Mask:
        """A cylinder with round ends; `radius` is across its own axis, whatever its tilt."""
        a, b = np.array(start), np.array(end)
        axis = b - a
        low, high = np.minimum(a, b) - radius, np.maximum(a, b) + radius
        part = self.part((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        z, y, x = (line[p] - from_ for line, p, from_ in zip(self.axes, part, a, strict=True))
        offset = [z[:, None, None], y[:, None], x]
        along = np.clip(sum(o * c for o, c in zip(offset, axis, strict=True)) / (axis @ axis), 0.0, 1.0)
        inside = np.zeros(self.hu.shape, dtype=np.bool_)
        inside[part] = sum((o - along * c) ** 2 for o, c in zip(offset, axis, strict=True)) < radius**2
        return inside

    def box(self, low: Triple, high: Triple) -> Mask:
        parts = [(axis >= a) & (axis < b) for axis, a, b in zip((self.z, self.y, self.x), low, high, strict=True)]
        return np.asarray(parts[0] & parts[1] & parts[2])


def thorax_phantom(
    *,
    spacing_mm: Triple = (3.0, 2.0, 2.0),
    aorta_mm: float = 26.0,
    ascending_mm: float = 32.0,
    tilt: tuple[float, float] = (0.0, 0.0),
    blood_hu: float = 40.0,
    inserts: tuple[Insert, ...] = (),
    noise_hu: float = 8.0,
    blur: bool = True,
    seed: int = 5,
) -> Thorax:
    """A chest whose descending aorta measures `aorta_mm` across its axis, tilted by `tilt` (dy, dx per mm of z)."""
    canvas, random = _Canvas(spacing_mm), np.random.default_rng(seed)
    _paint_body(canvas)
    lungs = _paint_lungs(canvas)
    heart = _paint_heart(canvas, blood_hu)
    _paint_airway(canvas)
    _paint_great_vessels(canvas, blood_hu, ascending_mm)
    descending = _paint_descending(canvas, aorta_mm, tilt, blood_hu)
    _paint_bones(canvas)
    painted = np.zeros(canvas.hu.shape, dtype=np.bool_)
    for one in inserts:
        painted |= canvas.paint(_cylinder(canvas, one), one.hu)
    lungs &= canvas.hu == LUNG_HU
    return Thorax(
        hu=_image(canvas.hu, spacing_mm, noise_hu, blur, random),
        spacing_mm=spacing_mm,
        origin_mm=ORIGIN_MM,
        heart=heart,
        lungs=lungs,
        descending=descending,
        inserts=painted,
    )


def descending_centre(z_mm: float, aorta_mm: float, tilt: tuple[float, float] = (0.0, 0.0)) -> tuple[float, float]:
    """(y, x) of the descending aorta's axis at height z; a tilted one passes its place at the carina's height."""
    away = SPINE_RADIUS_MM + aorta_mm / 2.0 + 2.0
    y, x = (s + away * d for s, d in zip(SPINE_MM, _BESIDE_SPINE, strict=True))
    return y + tilt[0] * (z_mm - CARINA_MM[0]), x + tilt[1] * (z_mm - CARINA_MM[0])


def _paint_body(canvas: _Canvas) -> None:
    radius = np.sqrt((canvas.y / 112.0) ** 2 + (canvas.x / 168.0) ** 2)
    canvas.paint(_within(radius, 1.0), FAT_HU)
    canvas.paint(_within(radius, 0.92), MUSCLE_HU)
    ribs = _within(np.mod(canvas.z, 26.0), 9.0) & _within(np.abs(radius - 0.89), 0.025)
    canvas.paint(np.asarray(ribs), 500.0)


def _paint_lungs(canvas: _Canvas) -> Mask:
    """A cavity that the mediastinum divides and the spine dents; liver and stomach rise into it from below."""
    y, x = SPINE_MM
    middle = ((canvas.y + 18.0) / 76.0) ** 2 + (canvas.x / 32.0) ** 2 < 1.0
    back = (canvas.y - y) ** 2 + (canvas.x - x) ** 2 < (SPINE_RADIUS_MM + 4.0) ** 2
    seam = _within(np.abs(canvas.x - x), 3.0) & _within(canvas.y, -80.0)
    behind = (np.abs(canvas.x - x) < SPINE_RADIUS_MM + 4.0) & (canvas.y > y)
    cavity = canvas.ellipsoid((0.0, -5.0, 0.0), (128.0, 88.0, 146.0))
    lungs = canvas.paint(np.asarray(cavity & ~(middle | back | seam | behind)), LUNG_HU).copy()
    canvas.paint(canvas.ellipsoid((-150.0, -10.0, -75.0), (80.0, 95.0, 80.0)), 60.0)
    canvas.paint(canvas.ellipsoid((-160.0, -5.0, 80.0), (75.0, 90.0, 70.0)), 50.0)
    canvas.paint(canvas.ellipsoid((-130.0, -30.0, 70.0), (25.0, 25.0, 30.0)), AIR_HU)
    canvas.paint(np.asarray((middle | back) & (canvas.z > _FAT_FROM_MM)), FAT_HU)
    return lungs


def _paint_heart(canvas: _Canvas, blood_hu: float) -> Mask:
    z, y, x = HEART_HALF_MM
    canvas.paint(canvas.ellipsoid(HEART_CENTRE_MM, (z + 6.0, y + 6.0, x + 6.0)), FAT_HU)
    canvas.paint(canvas.ellipsoid(HEART_CENTRE_MM, HEART_HALF_MM), 45.0)
    heart = canvas.ellipsoid(HEART_CENTRE_MM, (z + 6.0, y + 6.0, x + 6.0))
    canvas.paint(canvas.ellipsoid(HEART_CENTRE_MM, (z - 10.0, y - 10.0, x - 10.0)), blood_hu)
    return np.asarray(np.broadcast_to(heart, canvas.hu.shape))


def _paint_airway(canvas: _Canvas) -> None:
    z, y, x = CARINA_MM
    canvas.paint(canvas.tube((z, y, x), (200.0, y, x), 9.0), AIR_HU)
    for end in ((15.0, y, -45.0), (8.0, y, 48.0)):
        canvas.paint(canvas.tube(CARINA_MM, end, 6.0), AIR_HU)


def _paint_great_vessels(canvas: _Canvas, blood_hu: float, ascending_mm: float) -> None:
    radius = ascending_mm / 2.0
    for start, end, half in (
        (ASCENDING_BOTTOM_MM, _ARCH_OF_ASCENDING, radius),
        ((5.0, -48.0, 22.0), (28.0, -30.0, 28.0), 12.0),
        ((28.0, -30.0, 28.0), (30.0, -12.0, 45.0), 10.0),
        ((-10.0, -10.0, -40.0), (130.0, -10.0, -42.0), 9.0),
        ((-160.0, 37.0, 2.0), (140.0, 37.0, 2.0), 5.0),
    ):
        canvas.paint(canvas.tube(start, end, half), blood_hu)


def _paint_descending(canvas: _Canvas, aorta_mm: float, tilt: tuple[float, float], blood_hu: float) -> Mask:
    radius = aorta_mm / 2.0
    low, high = ((z, *descending_centre(z, aorta_mm, tilt)) for z in (-170.0, _ARCH_MM))
    top = (97.0, 15.0, 30.0)
    canvas.paint(canvas.tube(high, top, min(radius, 13.0)), blood_hu)
    canvas.paint(canvas.tube(top, _ARCH_OF_ASCENDING, min(radius, 13.0)), blood_hu)
    return canvas.paint(canvas.tube(low, high, radius), blood_hu).copy()


def _paint_bones(canvas: _Canvas) -> None:
    """Vertebral bodies with a cortical shell, discs between them, the canal and its arch, the breastbone."""
    y, x = SPINE_MM
    distance = np.sqrt((canvas.y - y) ** 2 + (canvas.x - x) ** 2)
    disc = _within(np.mod(canvas.z, 26.0), 6.0)
    canvas.paint(np.asarray(distance < SPINE_RADIUS_MM), 400.0)
    canvas.paint(np.broadcast_to(_within(distance, SPINE_RADIUS_MM - 2.5), canvas.hu.shape), 150.0)
    canvas.paint(np.asarray((distance < SPINE_RADIUS_MM) & disc), 80.0)
    around = np.sqrt((canvas.y - y - 25.0) ** 2 + (canvas.x - x) ** 2)
    canvas.paint(
        np.asarray(_within(around, 13.0) & (distance > SPINE_RADIUS_MM) & ~(disc & ~_within(around, 10.0))), 450.0
    )
    canvas.paint(np.asarray(_within(around, 8.5) & (distance > SPINE_RADIUS_MM)), 20.0)
    canvas.paint(canvas.box((-50.0, -103.0, -15.0), (110.0, -92.0, 15.0)), 250.0)


def _within(field: Field, limit: float) -> Mask:
    return np.asarray(field < limit)


def _cylinder(canvas: _Canvas, insert: Insert) -> Mask:
    z, y, x = insert.centre_mm
    across = (canvas.y - y) ** 2 + (canvas.x - x) ** 2 < insert.radius_mm**2
    return np.asarray(across & (np.abs(canvas.z - z) < insert.length_mm / 2.0))


def _image(
    hu: Field, spacing_mm: Triple, noise_hu: float, blur: bool, random: np.random.Generator
) -> NDArray[np.int16]:
    """What a scanner makes of it: blurred, with noise of that grain and deviation, in whole HU."""
    noise: Field = random.standard_normal(hu.shape, dtype=np.float32)
    if blur:
        sigma = [0.0, *(_BLUR_MM / spacing for spacing in spacing_mm[1:])]
        hu, noise = ndimage.gaussian_filter(hu, sigma), ndimage.gaussian_filter(noise, sigma)
    image = hu + noise * np.float32(noise_hu / float(noise.std()))
    return np.asarray(np.clip(np.rint(image), -1024, 3071), dtype=np.int16)

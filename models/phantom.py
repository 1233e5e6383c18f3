"""A computed chest CT with known lungs: for the tests and for the demo. Not a patient, and shaped so that it shows.

Coordinates are DICOM's (LPS, mm): slices rise towards the head, rows run to the back, columns to the patient's left.
Shapes are ellipsoids and cylinders; a voxel belongs to what its centre lies in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]
Field = NDArray[np.float32]
Kernel = Literal["none", "smooth", "sharp"]
Triple = tuple[float, float, float]

ROOM, TISSUE, LUNG, EMPHYSEMA, AIRWAY, BOWEL = range(6)
#: The first voxel's place and the extent of the field: 300 mm along the body, 384 mm square across it.
ORIGIN_MM: Triple = (-160.0, -192.0, -192.0)
EXTENT_MM: Triple = (300.0, 384.0, 384.0)

LUNG_HU, EMPHYSEMA_HU, AIR_HU = -885.0, -1000.0, -1000.0
LOW_HU = -950.0
#: Blood pools by gravity: HU per mm towards the back, for a patient on the back.
_GRADIENT_HU_PER_MM = 0.2
#: (z, y, x) centre and half axes of the two lungs, mm; they do not touch.
_RIGHT: tuple[Triple, Triple] = ((0.0, 0.0, -82.0), (115.0, 85.0, 62.0))
_LEFT: tuple[Triple, Triple] = ((0.0, 0.0, 86.0), (115.0, 85.0, 56.0))
#: Lung in front of the mediastinum that joins the two.
_JUNCTION: tuple[Triple, Triple] = ((30.0, -55.0, 2.0), (40.0, 8.0, 50.0))
_CARINA: Triple = (60.0, 5.0, 0.0)
#: Every 26 mm a rib of 9 mm; its depth in parts of the body's radius.
_RIB_PITCH_MM, _RIB_MM, _RIB_HALF_DEPTH = 26.0, 9.0, 0.025
_TRACHEA_RADIUS_MM, _BRONCHUS_RADIUS_MM = 10.5, 6.5


@dataclass(frozen=True)
class Truth:
    """What a perfect reader would measure: volume in mL, share of lung below -950 HU in %, 15th percentile in HU."""

    lung_volume_ml: float
    laa_950_percent: float
    perc15_hu: float


@dataclass(frozen=True)
class Phantom:
    """The images and what is known of them; arrays are (slices, rows, columns), slice 0 the most caudal.

    `truth` holds for the object, before blur and noise; `imaged` for the same lung voxels in the images as they are:
    kernel and noise change densities, and no reader can undo that. `ellipsoid_ml` is the lungs' volume by formula,
    None where they overlap.
    """

    hu: NDArray[np.int16]
    labels: Labels
    spacing_mm: Triple
    truth: Truth
    imaged: Truth
    ellipsoid_ml: float | None

    @property
    def lung(self) -> NDArray[np.bool_]:
        """The voxels that are lung, diseased or not."""
        return np.asarray((self.labels == LUNG) | (self.labels == EMPHYSEMA))

    @property
    def affine(self) -> tuple[float, ...]:
        """(slice, row, column, 1) to LPS in mm, row-major 4 x 4."""
        slices, rows, columns = self.spacing_mm
        z, y, x = ORIGIN_MM
        return (0.0, 0.0, columns, x, 0.0, rows, 0.0, y, slices, 0.0, 0.0, z, 0.0, 0.0, 0.0, 1.0)


class _Canvas:
    """Two volumes, densities and labels, that shapes are painted on."""

    def __init__(self, spacing_mm: Triple) -> None:
        shape = [round(extent / spacing) for extent, spacing in zip(EXTENT_MM, spacing_mm, strict=True)]
        self.axes = [
            (start + spacing * np.arange(count)).astype(np.float32)
            for start, spacing, count in zip(ORIGIN_MM, spacing_mm, shape, strict=True)
        ]
        self.hu: Field = np.full(shape, AIR_HU, dtype=np.float32)
        self.labels: Labels = np.zeros(shape, dtype=np.uint8)

    def box(self, low: Triple, high: Triple) -> tuple[slice, slice, slice]:
        ends = [np.searchsorted(axis, (a, b)) for axis, a, b in zip(self.axes, low, high, strict=True)]
        first, second, third = (slice(int(a), int(b)) for a, b in ends)
        return first, second, third

    def ellipsoid(self, centre: Triple, half: Triple) -> tuple[tuple[slice, slice, slice], NDArray[np.bool_]]:
        """The box around it and which voxels of the box are inside."""
        low, high = (tuple(c + sign * h for c, h in zip(centre, half, strict=True)) for sign in (-1.0, 1.0))
        box = self.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        z, y, x = (((axis[part] - c) / h) ** 2 for axis, part, c, h in zip(self.axes, box, centre, half, strict=True))
        return box, np.asarray(z[:, None, None] + y[:, None] + x < 1.0)

    def paint(self, box: tuple[slice, slice, slice], inside: NDArray[np.bool_], hu: float, label: int) -> None:
        self.hu[box][inside] = hu
        self.labels[box][inside] = label


def chest_phantom(
    *,
    spacing_mm: Triple = (2.5, 1.5, 1.5),
    laa_fraction: float = 0.12,
    seed: int = 7,
    noise_hu: float = 12.0,
    kernel: Kernel = "smooth",
    lungs: Literal["both", "right"] = "both",
    touching: bool = False,
    contrast: bool = False,
    pattern: Literal["balls", "core"] = "balls",
) -> Phantom:
    """A chest of 360 mm width with lungs of 4.8 L, of which `laa_fraction` (0 to 0.6) is destroyed.

    In `balls` many places are destroyed, as in the disease; in `core` the middle of each lung, an ellipsoid whose share
    is known by formula.
    """
    canvas, random = _Canvas(spacing_mm), np.random.default_rng(seed)
    _paint_body(canvas, 250.0 if contrast else 40.0)
    _paint_airway(canvas)
    shapes = [_RIGHT] + ([_LEFT] if lungs == "both" else []) + ([_JUNCTION] if touching else [])
    for centre, half in shapes:
        box, inside = canvas.ellipsoid(centre, half)
        canvas.paint(box, inside, LUNG_HU, LUNG)
    if pattern == "core":
        _paint_core(canvas, shapes, laa_fraction)
    else:
        _paint_balls(canvas, shapes, laa_fraction, random)
    healthy = canvas.labels == LUNG
    slope = np.broadcast_to(_GRADIENT_HU_PER_MM * canvas.axes[1][:, None], canvas.hu.shape)
    canvas.hu[healthy] += slope[healthy] + (15.0 if contrast else 0.0)
    lung = healthy | (canvas.labels == EMPHYSEMA)
    truth = _truth(canvas.hu[lung], spacing_mm)
    imaged = _image(canvas.hu, spacing_mm, kernel, noise_hu, random)
    volume = None if touching else sum(4.0 / 3.0 * math.pi * math.prod(half) / 1000.0 for _, half in shapes)
    return Phantom(imaged, canvas.labels, spacing_mm, truth, _truth(imaged[lung], spacing_mm), volume)


def _paint_body(canvas: _Canvas, blood_hu: float) -> None:
    z, y, x = canvas.axes
    everything = tuple(slice(0, len(axis)) for axis in canvas.axes)
    box = (everything[0], everything[1], everything[2])
    radius = np.sqrt((y[:, None] / 120.0) ** 2 + (x / 180.0) ** 2)
    for outline, hu in ((1.0, -100.0), (0.92, 45.0)):
        canvas.paint(box, np.broadcast_to(radius < outline, canvas.hu.shape), hu, TISSUE)
    in_rib = (np.mod(z, _RIB_PITCH_MM) < _RIB_MM)[:, None, None] & (np.abs(radius - 0.885) < _RIB_HALF_DEPTH)
    canvas.paint(box, in_rib, 500.0, TISSUE)
    spine = (y[:, None] - 78.0) ** 2 + x**2 < 20.0**2
    canvas.paint(box, np.broadcast_to(spine, canvas.hu.shape), 350.0, TISSUE)
    canvas.paint(*canvas.ellipsoid((-40.0, -45.0, 15.0), (45.0, 35.0, 30.0)), blood_hu, TISSUE)
    for low, high, hu, label in (
        ((120.0, -150.0), (152.0, 150.0), -50.0, ROOM),
        ((124.0, -146.0), (148.0, 146.0), -940.0, ROOM),
    ):
        table = canvas.box((z[0], low[0], low[1]), (z[-1] + 1.0, high[0], high[1]))
        canvas.paint(table, np.ones(canvas.hu[table].shape, dtype=np.bool_), hu, label)
    canvas.paint(*canvas.ellipsoid((-118.0, -40.0, 40.0), (28.0, 30.0, 30.0)), AIR_HU, BOWEL)
    canvas.paint(*canvas.ellipsoid((-135.0, -50.0, -60.0), (18.0, 25.0, 35.0)), -700.0, BOWEL)


def _paint_airway(canvas: _Canvas) -> None:
    above = canvas.box((_CARINA[0], -30.0, -30.0), (1e3, 40.0, 30.0))
    y, x = canvas.axes[1][above[1]], canvas.axes[2][above[2]]
    round_ = (y[:, None] - _CARINA[1]) ** 2 + (x - _CARINA[2]) ** 2 < _TRACHEA_RADIUS_MM**2
    canvas.paint(above, np.broadcast_to(round_, canvas.hu[above].shape), AIR_HU, AIRWAY)
    for end in ((20.0, 5.0, -32.0), (12.0, 5.0, 40.0)):
        _paint_tube(canvas, _CARINA, end, _BRONCHUS_RADIUS_MM)


def _paint_tube(canvas: _Canvas, start: Triple, end: Triple, radius: float) -> None:
    a, b = np.array(start), np.array(end)
    low, high = np.minimum(a, b) - radius, np.maximum(a, b) + radius
    box = canvas.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    grid = np.meshgrid(*(axis[part] for axis, part in zip(canvas.axes, box, strict=True)), indexing="ij")
    points = np.stack(grid, axis=-1) - a
    along = np.clip(points @ (b - a) / ((b - a) @ (b - a)), 0.0, 1.0)
    distance = np.linalg.norm(points - along[..., None] * (b - a), axis=-1)
    canvas.paint(box, np.asarray(distance < radius), AIR_HU, AIRWAY)


def _paint_core(canvas: _Canvas, shapes: list[tuple[Triple, Triple]], fraction: float) -> None:
    scale = fraction ** (1.0 / 3.0)
    for centre, (z, y, x) in shapes:
        if fraction > 0.0:
            box, inside = canvas.ellipsoid(centre, (scale * z, scale * y, scale * x))
            canvas.paint(box, inside, EMPHYSEMA_HU, EMPHYSEMA)


def _paint_balls(
    canvas: _Canvas, shapes: list[tuple[Triple, Triple]], fraction: float, random: np.random.Generator
) -> None:
    """Balls of destroyed lung, more of them in the upper half, until the fraction is reached."""
    wanted = round(fraction * float((canvas.labels == LUNG).sum()))
    while wanted > 0:
        centre, half = shapes[int(random.integers(min(2, len(shapes))))]
        offset = random.uniform((-0.65, -0.9, -0.9), (1.15, 0.9, 0.9))
        z, y, x = (c + o * h for c, o, h in zip(centre, offset, half, strict=True))
        radius = float(random.uniform(12.0, 20.0))
        box, inside = canvas.ellipsoid((z, y, x), (radius, radius, radius))
        inside &= canvas.labels[box] == LUNG
        if int(inside.sum()) > wanted:
            inside.flat[np.flatnonzero(inside)[wanted:]] = False
        canvas.paint(box, inside, EMPHYSEMA_HU, EMPHYSEMA)
        wanted -= int(inside.sum())


def _image(
    hu: Field, spacing_mm: Triple, kernel: Kernel, noise_hu: float, random: np.random.Generator
) -> NDArray[np.int16]:
    """What a scanner makes of it: blurred or edge-enhanced, with noise of that grain and deviation, in whole HU."""
    noise: Field = random.standard_normal(hu.shape, dtype=np.float32)
    if kernel != "none":
        hu, noise = _filtered(hu, spacing_mm, kernel), _filtered(noise, spacing_mm, kernel)
    image = hu + noise * np.float32(noise_hu / float(noise.std()))
    return np.clip(np.rint(image), -1024, 3071).astype(np.int16)


def _filtered(field: Field, spacing_mm: Triple, kernel: Kernel) -> Field:
    soft = field
    for axis, spacing in enumerate(spacing_mm):
        soft = _blurred(soft, axis, 0.7 / spacing)
    return soft if kernel == "smooth" else field + 1.5 * (field - soft)


def _blurred(field: Field, axis: int, sigma: float) -> Field:
    reach = max(1, int(np.ceil(3.0 * sigma)))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    padded = np.pad(field, [(reach, reach) if one == axis else (0, 0) for one in range(3)], mode="edge")
    result: Field = np.zeros_like(field)
    for offset, weight in enumerate(weights):
        part = [slice(None)] * 3
        part[axis] = slice(offset, offset + field.shape[axis])
        result += np.float32(weight) * padded[tuple(part)]
    return result


def _truth(lung_hu: NDArray[np.float32] | NDArray[np.int16], spacing_mm: Triple) -> Truth:
    return Truth(
        lung_volume_ml=len(lung_hu) * float(np.prod(spacing_mm)) / 1000.0,
        laa_950_percent=100.0 * float((lung_hu < LOW_HU).mean()),
        perc15_hu=float(np.percentile(lung_hu, 15.0, method="inverted_cdf")),
    )

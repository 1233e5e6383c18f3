"""The trachea and main bronchi on CT, followed from the top slice by slice until they enter the lung.

After the slice-wise removal of the airways in Hu 2001 (doi:10.1109/42.929615): a piece of air that overlaps the lumen
of the slice above belongs to the airway while it stays small; where it grows by leaps it has opened into the lung.
Areas in mm2. Trachea: diameters 10 to 27 mm in adults (doi:10.2214/ajr.142.5.903), so 50 to 700 mm2 with a margin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cds.errors import NotEvaluable
from models.body import BodyAir
from models.image import Mask, Voxels

MIN_TRACHEA_MM2 = 50.0
MAX_TRACHEA_MM2 = 700.0
#: Open air, not lung apex, HU. The project's own.
DARK_HU = -900.0
#: A tube this long above its division is the trachea and not a piece of gullet or lung apex, mm. The project's own.
MIN_TRACHEA_MM = 25.0
#: Followed so far below the division: main bronchi end within it (left about 50 mm long). The project's own.
MAX_BRONCHI_MM = 60.0
MIN_BRONCHUS_MM2 = 20.0
#: The two bronchi stay apart over this height, mm: no artefact of one slice.
MIN_DIVISION_MM = 5.0
#: Where the lumen opens into lung at the first threshold, the next ones look for it within, HU.
_LUMEN_HU = (-500.0, -700.0, -850.0, -920.0)
_WINDOW_MM = 15.0


@dataclass
class _Tube:
    """A lumen followed downwards: its mask in each slice from `top` on, its area (mm2), where it divided for good."""

    top: int
    slices: list[Mask] = field(default_factory=list)
    areas_mm2: list[float] = field(default_factory=list)
    divided_at: int | None = None

    def trachea_mm2(self) -> float:
        return float(np.median(self.areas_mm2[: self.divided_at or len(self.areas_mm2)]))


def airway(voxels: Voxels, body: BodyAir, spacing_mm: tuple[float, float, float], check: Callable[[], None]) -> Mask:
    """The mask of trachea and main bronchi, slice 0 the most cranial; raise NotEvaluable where they are not found."""
    seen = np.zeros(body.inside.shape, dtype=np.bool_)
    for index in range(int(0.6 * len(voxels))):
        check()
        for seed in _seeds(voxels[index], body, index, spacing_mm):
            if (seed & seen[index]).any():
                continue
            tube = _follow(voxels, body.inside, index, seed, spacing_mm)
            if _is_trachea(tube, spacing_mm[0]):
                return _filled(tube, body.inside.shape)
            for offset, lumen in enumerate(tube.slices):
                seen[index + offset] |= lumen
    raise NotEvaluable(
        "the trachea could not be followed to where it divides, so the airways cannot be left out", gate="airway"
    )


def _seeds(slice_voxels: Voxels, body: BodyAir, index: int, spacing_mm: tuple[float, float, float]) -> Iterator[Mask]:
    """Round, dark pieces of air near the midline, of a trachea's size."""
    labels, _ = ndimage.label(body.inside[index])
    pixel_mm2 = spacing_mm[1] * spacing_mm[2]
    sizes = np.bincount(labels.ravel())
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if not MIN_TRACHEA_MM2 <= sizes[label] * pixel_mm2 <= MAX_TRACHEA_MM2:
            continue
        height, width = ((part.stop - part.start) * mm for part, mm in zip(box, spacing_mm[1:], strict=True))
        centre = (box[1].start + box[1].stop - 1) / 2.0
        off_midline = abs(centre - body.midline[index]) > 0.25 * body.half_width[index]
        piece = labels == label
        if off_midline or max(height, width) > 2.5 * min(height, width) or np.median(slice_voxels[piece]) > DARK_HU:
            continue
        yield piece


def _follow(voxels: Voxels, inside: Mask, top: int, seed: Mask, spacing_mm: tuple[float, float, float]) -> _Tube:
    tube = _Tube(top, [seed], [float(seed.sum()) * spacing_mm[1] * spacing_mm[2]])
    apart_from: int | None = None
    for index in range(top + 1, len(inside)):
        lumen, pieces = _next(voxels[index], inside[index], tube, spacing_mm)
        if pieces == 0:
            break
        tube.slices.append(lumen)
        tube.areas_mm2.append(float(lumen.sum()) * spacing_mm[1] * spacing_mm[2])
        apart_from = (apart_from or index) if pieces > 1 else None
        if tube.divided_at is None and apart_from and (index - apart_from) * spacing_mm[0] >= MIN_DIVISION_MM:
            tube.divided_at = apart_from - top
        if tube.divided_at is not None and (index - top - tube.divided_at) * spacing_mm[0] >= MAX_BRONCHI_MM:
            break
    return tube


def _next(slice_voxels: Voxels, inside: Mask, tube: _Tube, spacing_mm: tuple[float, float, float]) -> tuple[Mask, int]:
    """The lumen in the slice below, and how many pieces of a bronchus' size it has."""
    above = tube.slices[-1]
    box = _window(above, spacing_mm)
    pixel_mm2 = spacing_mm[1] * spacing_mm[2]
    ceiling = (2.0 if tube.divided_at is None else 1.2) * tube.trachea_mm2() / pixel_mm2
    region, lumen = inside[box].copy(), np.zeros(inside[box].shape, dtype=np.bool_)
    for threshold in _LUMEN_HU:
        small, merged = _split(region & (slice_voxels[box] < threshold), above[box], ceiling, 30.0 / pixel_mm2)
        if threshold < _LUMEN_HU[0]:
            small = ndimage.binary_dilation(small) & region
        lumen |= small
        region &= merged
        if not merged.any():
            break
    whole = np.zeros(inside.shape, dtype=np.bool_)
    whole[box] = lumen
    labels, _ = ndimage.label(lumen)
    pieces = int((np.bincount(labels.ravel())[1:] * pixel_mm2 >= MIN_BRONCHUS_MM2).sum())
    return whole, pieces


def _split(air: Mask, above: Mask, ceiling: float, allowance: float) -> tuple[Mask, Mask]:
    """Pieces that overlap the lumen above: those that stay small, and those that have merged with something large."""
    labels, count = ndimage.label(air)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    before = np.bincount(labels[above], minlength=count + 1)
    before[0] = 0
    small = (before > 0) & (sizes <= np.minimum(2.0 * before + allowance, ceiling))
    merged = (before > 0) & ~small
    return np.asarray(small[labels], dtype=np.bool_), np.asarray(merged[labels], dtype=np.bool_)


def _window(lumen: Mask, spacing_mm: tuple[float, float, float]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(lumen.any(axis=1)), np.flatnonzero(lumen.any(axis=0))
    margins = [int(np.ceil(_WINDOW_MM / spacing)) for spacing in spacing_mm[1:]]
    return (
        slice(max(0, int(rows[0]) - margins[0]), int(rows[-1]) + margins[0] + 1),
        slice(max(0, int(columns[0]) - margins[1]), int(columns[-1]) + margins[1] + 1),
    )


def _is_trachea(tube: _Tube, slice_mm: float) -> bool:
    return tube.divided_at is not None and tube.divided_at * slice_mm >= MIN_TRACHEA_MM


def _filled(tube: _Tube, shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, dtype=np.bool_)
    for offset, lumen in enumerate(tube.slices):
        mask[tube.top + offset] = lumen
    return mask


def lumen_values(voxels: Voxels, mask: Mask) -> NDArray[np.float64]:
    """The densities well inside the airway, away from its wall: they tell how air reads and how noisy the scan is."""
    values = [
        voxels[index][ndimage.binary_erosion(mask[index], iterations=2)]
        for index in np.flatnonzero(mask.any(axis=(1, 2)))
    ]
    return np.concatenate(values).astype(np.float64) if values else np.zeros(0)

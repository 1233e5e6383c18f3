"""Calcium scores on CT: Agatston 1990 (doi:10.1016/0735-1097(90)90282-T) and the volume score of Callister 1998.

A lesion is what hangs together within one slice, corners included, at 130 HU or more and covers at least 1 mm2. Its
area is weighted by its peak; slices that are not 3 mm apart count for spacing / 3 mm. The volume is that of the voxels
at or above the threshold once the slices are interpolated to a pixel's width (doi:10.1148/radiology.208.3.9722864).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.image import Mask, Voxels

THRESHOLD_HU = 130.0
MIN_AREA_MM2 = 1.0
#: The distance of the slices that the score was defined on, mm.
SLICE_MM = 3.0
_EIGHT = ndimage.generate_binary_structure(2, 2)
_STEPS_HU = (THRESHOLD_HU, 200.0, 300.0, 400.0)
#: Areas are sums of products of decimals: 1 mm2 must not fail by the last bit.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Calcium:
    """What was scored: the Agatston score, its part in each slice, the volume (mm3), the voxels that count."""

    agatston: float
    by_slice: NDArray[np.float64]
    volume_mm3: float
    lesions: int
    mask: Mask


def lesion_score(area_mm2: float, peak_hu: float) -> float:
    """Area times the weight of the peak (1 from 130, 2 from 200, 3 from 300, 4 from 400 HU), in slices 3 mm apart."""
    if area_mm2 < MIN_AREA_MM2 - _ROUNDING:
        return 0.0
    return area_mm2 * sum(peak_hu >= step for step in _STEPS_HU)


def score(voxels: Voxels, region: Mask, spacing_mm: tuple[float, float, float], check: Callable[[], None]) -> Calcium:
    """Score the region's voxels; slices that hold none at the threshold cost nothing."""
    pixel_mm2 = spacing_mm[1] * spacing_mm[2]
    mask = np.zeros(region.shape, dtype=np.bool_)
    by_slice = np.zeros(len(region))
    count = 0
    for index in np.flatnonzero(region.any(axis=(1, 2))):
        check()
        dense = region[index] & (voxels[index] >= THRESHOLD_HU)
        labels, found = ndimage.label(dense, _EIGHT)
        numbers = np.arange(1, found + 1)
        areas = np.bincount(labels.ravel(), minlength=found + 1)[1:] * pixel_mm2
        peaks = ndimage.maximum(voxels[index], labels, numbers) if found else []
        scores = np.array([lesion_score(float(a), float(p)) for a, p in zip(areas, peaks, strict=True)])
        by_slice[index] = float(scores.sum()) * spacing_mm[0] / SLICE_MM
        count += int((scores > 0.0).sum())
        mask[index] = np.isin(labels, numbers[scores > 0.0])
    volume = _volume_mm3(voxels, mask, spacing_mm)
    return Calcium(float(by_slice.sum()), by_slice, volume, count, mask)


def _volume_mm3(voxels: Voxels, mask: Mask, spacing_mm: tuple[float, float, float]) -> float:
    """Each slice is cut into planes of a pixel's width, interpolated towards its neighbour; a plane's voxel counts
    where it reaches the threshold and a scored voxel is one of the two that it lies between.
    """
    planes = max(1, round(spacing_mm[0] / min(spacing_mm[1:])))
    offsets = (np.arange(planes) + 0.5) / planes - 0.5
    wanted = np.flatnonzero(ndimage.binary_dilation(mask.any(axis=(1, 2))))
    counted = 0
    for index in wanted:
        here = voxels[index].astype(np.float32)
        for offset in offsets:
            other = int(np.clip(index + np.sign(offset), 0, len(voxels) - 1))
            share = np.float32(abs(offset))
            between = (1 - share) * here + share * voxels[other]
            near = mask[index] | mask[other] if offset else mask[index]
            counted += int((near & (between >= THRESHOLD_HU)).sum())
    return counted * spacing_mm[0] / planes * spacing_mm[1] * spacing_mm[2]

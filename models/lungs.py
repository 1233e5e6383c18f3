"""The lungs on CT: air inside the body without airways and without bowel gas; refusals where that is in doubt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cds.errors import NotEvaluable
from models.airway import airway, lumen_values
from models.body import body_air
from models.image import Mask, Voxels, components

#: Smaller pieces of air are neither lung nor worth a doubt, mL.
MIN_PIECE_ML = 20.0
#: A piece of which so many % lie below this is gas and not lung, HU: even destroyed lung keeps walls and vessels, and
#: noise lifts little of a gas so far. The project's own.
GAS_HU, GAS_PERCENT = -955.0, 70.0
#: The second lung stands beside the first: it shares this part of its height. Gas under the diaphragm does not.
MIN_SHARED_HEIGHT = 0.4
#: The part of the lungs' height, from the apex, where no bowel is expected.
CHEST_PROPER = 0.7


@dataclass(frozen=True)
class LungMask:
    """The lungs by voxel and what the gates look at: areas in mm2, shares in %, densities in HU."""

    lung: Mask
    volume_ml: float
    airway_ml: float
    end_slice_area_mm2: float
    edge_area_mm2: float
    smaller_side_percent: float
    unassigned_percent: float
    air_hu: float
    noise_hu: float


@dataclass(frozen=True)
class _Piece:
    label: int
    voxels: int
    first: int
    last: int
    is_gas: bool
    centre: float


def find_lungs(
    voxels: Voxels, spacing_mm: tuple[float, float, float], air_hu: float, check: Callable[[], None]
) -> LungMask:
    """The lungs; slice 0 must be the most cranial. Raise NotEvaluable where there is no lung or no trachea."""
    body = body_air(voxels, spacing_mm, air_hu, check)
    tube = airway(voxels, body, spacing_mm, check)
    lumen = lumen_values(voxels, tube)
    voxel_ml = spacing_mm[0] * spacing_mm[1] * spacing_mm[2] / 1000.0
    labels, large = components(body.inside & ~tube, int(MIN_PIECE_ML / voxel_ml), check)
    pieces = _pieces(voxels, labels, large)
    chosen = _choose(pieces)
    lung = np.isin(labels, [piece.label for piece in chosen])
    aerated = np.isin(labels, [piece.label for piece in pieces if not piece.is_gas])
    check()
    count = sum(piece.voxels for piece in chosen)
    pixel_mm2 = spacing_mm[1] * spacing_mm[2]
    return LungMask(
        lung=lung,
        volume_ml=count * voxel_ml,
        airway_ml=float(tube.sum()) * voxel_ml,
        end_slice_area_mm2=max(int(lung[0].sum()), int(lung[-1].sum())) * pixel_mm2,
        edge_area_mm2=_edge_voxels(voxels, body.inside, aerated, air_hu) * pixel_mm2,
        smaller_side_percent=_smaller_side(lung, float(np.median(body.midline))),
        unassigned_percent=100.0 * _unassigned(pieces, chosen) / count,
        air_hu=float(np.median(lumen)) if len(lumen) else float("nan"),
        noise_hu=_noise(lumen),
    )


def _pieces(voxels: Voxels, labels: np.ndarray[tuple[int, ...], np.dtype[np.int32]], large: list[int]) -> list[_Piece]:
    boxes = ndimage.find_objects(labels)
    pieces = []
    for label in large:
        box = boxes[label - 1]
        mask = labels[box] == label
        by_slice = mask.sum(axis=(1, 2))
        centre = box[0].start + float(np.average(np.arange(len(by_slice)), weights=by_slice))
        gas = bool(np.percentile(voxels[box][mask], GAS_PERCENT) < GAS_HU)
        pieces.append(_Piece(label, int(by_slice.sum()), box[0].start, box[0].stop, gas, centre))
    return pieces


def _choose(pieces: list[_Piece]) -> list[_Piece]:
    """The largest piece that is no gas, and the next one that stands beside it; one piece where the lungs touch."""
    aerated = [piece for piece in pieces if not piece.is_gas]
    if not aerated:
        raise NotEvaluable("no lung was found", gate="lung")
    first = aerated[0]
    height = first.last - first.first
    for second in aerated[1:]:
        shared = min(first.last, second.last) - max(first.first, second.first)
        if shared >= MIN_SHARED_HEIGHT * height:
            return [first, second]
    return [first]


def _unassigned(pieces: list[_Piece], chosen: list[_Piece]) -> int:
    """Voxels of aerated pieces at the height of the chest proper that were not chosen: lung that may be missing."""
    top = min(piece.first for piece in chosen)
    floor = top + CHEST_PROPER * (max(piece.last for piece in chosen) - top)
    return sum(
        piece.voxels for piece in pieces if piece not in chosen and not piece.is_gas and top <= piece.centre <= floor
    )


def _edge_voxels(voxels: Voxels, inside: Mask, aerated: Mask, air_hu: float) -> int:
    """The most voxels in one slice of what may be lung whose neighbour above or below is air of the room."""
    worst = 0
    for index in range(len(voxels) - 1):
        upper, lower = index, index + 1
        for here, there in ((upper, lower), (lower, upper)):
            if aerated[here].any():
                room = (voxels[there] < air_hu) & ~inside[there]
                worst = max(worst, int((aerated[here] & room).sum()))
    return worst


def _smaller_side(lung: Mask, midline: float) -> float:
    by_column = lung.sum(axis=(0, 1))
    share = 100.0 * float(by_column[: round(midline)].sum()) / float(by_column.sum())
    return min(share, 100.0 - share)


def _noise(lumen: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """One standard deviation of the air, from the upper half alone: makers cut densities off at -1024 HU."""
    if len(lumen) == 0:
        return float("nan")
    middle, upper = np.percentile(lumen, [50.0, 84.13])
    return float(upper - middle)

"""Calcium scores against the definition, worked by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.agatston import Calcium, lesion_score, score
from tests.unit.clinical import reference
from tests.unit.thorax import go_on

BLOOD = 40


def image(*lesions: tuple[int, slice, slice, int], slices: int = 5) -> NDArray[np.int16]:
    """Blood with rectangles of (slice, rows, columns, HU)."""
    hu = np.full((slices, 12, 12), BLOOD, dtype=np.int16)
    for index, rows, columns, density in lesions:
        hu[index, rows, columns] = density
    return hu


def scored(hu: NDArray[np.int16], spacing_mm: tuple[float, float, float] = (3.0, 1.0, 1.0)) -> Calcium:
    return score(hu, np.ones(hu.shape, dtype=np.bool_), spacing_mm, go_on)


@pytest.mark.parametrize(
    ("hu", "expected"), [(129, 0), (130, 4), (199, 4), (200, 8), (299, 8), (300, 12), (399, 12), (400, 16), (1200, 16)]
)
def test_four_square_millimetres_are_weighted_by_their_peak(hu: int, expected: float) -> None:
    assert scored(image((2, slice(4, 6), slice(4, 6), hu))).agatston == expected


def test_one_voxel_gives_the_whole_lesion_its_weight() -> None:
    hu = image((2, slice(4, 6), slice(4, 8), 150))
    hu[2, 5, 5] = 410
    assert scored(hu).agatston == 8 * 4


def test_each_lesion_of_a_slice_has_its_own_weight() -> None:
    hu = image((2, slice(1, 3), slice(1, 3), 150), (2, slice(7, 9), slice(7, 9), 450))
    assert scored(hu).agatston == 4 * 1 + 4 * 4
    assert scored(hu).lesions == 2


def test_voxels_that_touch_at_a_corner_are_one_lesion() -> None:
    hu = image((2, slice(4, 5), slice(4, 5), 150), (2, slice(5, 6), slice(5, 6), 450))
    assert scored(hu).agatston == 2 * 4
    assert scored(hu).lesions == 1


def test_a_lesion_in_two_slices_is_weighted_in_each() -> None:
    hu = image((1, slice(4, 6), slice(4, 6), 150), (2, slice(4, 6), slice(4, 6), 350))
    assert scored(hu).agatston == 4 * 1 + 4 * 3
    assert scored(hu).by_slice.tolist() == [0, 4, 12, 0, 0]


@pytest.mark.parametrize(("pixel", "counts"), [(0.99, False), (1.0, True), (1.1, True)])
def test_a_lesion_below_one_square_millimetre_is_none(pixel: float, counts: bool) -> None:
    calcium = scored(image((2, slice(4, 5), slice(4, 5), 500)), (3.0, 1.0, pixel))
    assert calcium.agatston == pytest.approx(4 * pixel if counts else 0.0)
    assert bool(calcium.mask.any()) is counts


@pytest.mark.parametrize(("between", "share"), [(3.0, 1.0), (2.5, 2.5 / 3.0), (1.5, 0.5)])
def test_slices_count_for_their_distance(between: float, share: float) -> None:
    calcium = scored(image((2, slice(4, 6), slice(4, 6), 250)), (between, 1.0, 1.0))
    assert calcium.agatston == pytest.approx(8 * share)


def test_what_lies_outside_of_the_region_is_not_counted() -> None:
    hu = image((2, slice(4, 6), slice(4, 6), 250), (3, slice(8, 10), slice(8, 10), 250))
    region = np.zeros(hu.shape, dtype=np.bool_)
    region[2] = True
    calcium = score(hu, region, (3.0, 1.0, 1.0), go_on)
    assert calcium.agatston == 8
    assert np.argwhere(calcium.mask).tolist() == [[2, 4, 4], [2, 4, 5], [2, 5, 4], [2, 5, 5]]


def test_no_calcium_is_nothing() -> None:
    calcium = scored(image())
    assert (calcium.agatston, calcium.volume_mm3, calcium.lesions) == (0.0, 0.0, 0)


def test_the_volume_counts_planes_of_a_pixels_width_between_slices() -> None:
    """400 HU in one slice, blood of 40 HU around, planes of 1 mm: the slice's own three, 280 HU at its ends, and one
    plane of each neighbour, 160 HU; the next ones have 40 HU.
    """
    assert scored(image((2, slice(4, 6), slice(4, 6), 400))).volume_mm3 == 5 * 4


def test_a_faint_slice_fills_less_than_its_own_thickness() -> None:
    """150 HU in one slice: its middle plane alone, for 1 mm beside it there are 113 HU."""
    assert scored(image((2, slice(4, 6), slice(4, 6), 150))).volume_mm3 == 1 * 4


def test_two_slices_fill_what_lies_between_them() -> None:
    hu = image((2, slice(4, 6), slice(4, 6), 400), (3, slice(4, 6), slice(4, 6), 400))
    assert scored(hu).volume_mm3 == (2 * 3 + 2) * 4


def test_slices_as_thin_as_pixels_are_wide_are_just_counted() -> None:
    assert scored(image((2, slice(4, 6), slice(4, 6), 400)), (1.0, 1.0, 1.0)).volume_mm3 == 4


def test_the_reference_vectors_agree(reference_dir: Path) -> None:
    vectors = json.loads((reference(reference_dir) / "risk" / "vectors" / "agatston.json").read_text())
    for vector in vectors:
        got = sum(lesion_score(one["area_mm2"], one["peak_hu"]) for one in vector["inputs"]["lesions"])
        assert got == pytest.approx(vector["expected"]["score"]), vector["id"]

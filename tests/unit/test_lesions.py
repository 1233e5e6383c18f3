"""Lesions of a mask against shapes whose measures are formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.image import Mask
from models.lesions import abc2_ml, by_area, diameter_mm, lesions, midline, side


def ellipsoid(half_mm: tuple[float, float, float], spacing_mm: tuple[float, float, float]) -> Mask:
    counts = [2 * math.ceil(half / step) + 5 for half, step in zip(half_mm, spacing_mm, strict=True)]
    z, y, x = (
        ((np.arange(count) - count // 2) * step / half) ** 2
        for count, step, half in zip(counts, spacing_mm, half_mm, strict=True)
    )
    return np.asarray(z[:, None, None] + y[:, None] + x <= 1.0)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 0.5, 0.5), (5.0, 0.9, 0.9)])
def test_the_diameter_of_a_section_is_that_of_the_circle(spacing: tuple[float, float, float]) -> None:
    mask = ellipsoid((20.0, 20.0, 20.0), spacing)
    assert diameter_mm(mask[len(mask) // 2], spacing[1:]) == pytest.approx(40.0, abs=1.5)


def test_the_diameter_is_the_longest_in_any_direction() -> None:
    section = np.eye(50, dtype=np.bool_)
    assert diameter_mm(section, (0.5, 0.5)) == pytest.approx(49 * 0.5 * math.sqrt(2.0) + 0.5)
    assert diameter_mm(np.zeros((4, 4), dtype=np.bool_), (0.5, 0.5)) == 0.0
    assert diameter_mm(np.ones((1, 1), dtype=np.bool_), (0.5, 0.5)) == 0.5


def test_abc2_of_a_cylinder_is_half_of_its_box() -> None:
    mask = np.repeat(ellipsoid((0.1, 15.0, 15.0), (1.0, 0.5, 0.5))[3:4], 8, axis=0)
    assert abc2_ml(mask, (5.0, 0.5, 0.5)) == pytest.approx(30.0 * 30.0 * 40.0 / 2000.0, rel=0.04)


def test_abc2_counts_slices_by_their_section_as_kothari_did() -> None:
    """Sections of 100, 80, 50 and 10 % count 1, 1, 0.5 and 0: C is 2.5 slices of 5 mm."""
    mask = np.zeros((4, 20, 20), dtype=np.bool_)
    for index, columns in enumerate((20, 16, 10, 2)):
        mask[index, :, :columns] = True
    longest = math.hypot(19.0, 19.0)
    across = longest
    assert abc2_ml(mask, (5.0, 1.0, 1.0)) == pytest.approx((longest + 1) * (across + 1) * 12.5 / 2000.0)


@pytest.mark.parametrize("half", [(12.0, 20.0, 14.0), (20.0, 15.0, 15.0)])
def test_abc2_of_an_ellipsoid_is_near_its_volume_and_below(half: tuple[float, float, float]) -> None:
    """The weights of the end slices make it less: a good half to nine tenths of the formula."""
    formula = 4.0 / 3.0 * math.pi * math.prod(half) / 1000.0
    assert 0.55 * formula < abc2_ml(ellipsoid(half, (2.5, 0.5, 0.5)), (2.5, 0.5, 0.5)) < 0.95 * formula


def test_lesions_are_those_large_enough_the_largest_first() -> None:
    mask = np.zeros((20, 20, 20), dtype=np.bool_)
    mask[0:2, 0:2, 0:2] = True
    mask[2, 2, 2] = True
    mask[10:15, 10:15, 10:15] = True
    mask[19, 19, 19] = True
    found = lesions(mask, 0.001, 0.005)
    assert [one.volume_ml for one in found] == pytest.approx([0.125, 0.009])
    assert np.array_equal(found[0].within(mask.shape), np.pad(np.ones((5, 5, 5), dtype=bool), ((10, 5),) * 3))


def test_nothing_is_no_lesion() -> None:
    empty = np.zeros((3, 3, 3), dtype=np.bool_)
    assert lesions(empty, 0.001, 0.0) == []
    assert side(empty, np.ones(3)) == ""
    assert abc2_ml(empty, (1.0, 1.0, 1.0)) == 0.0
    assert by_area(empty) == []


@pytest.mark.parametrize(
    ("columns", "wanted"), [(slice(12, 20), "left"), (slice(0, 8), "right"), (slice(6, 14), "both")]
)
def test_the_side_is_the_patients(columns: slice, wanted: str) -> None:
    mask = np.zeros((4, 20, 20), dtype=np.bool_)
    mask[1:3, 5:9, columns] = True
    assert side(mask, np.full(4, 9.5)) == wanted


def test_the_midline_follows_a_head_that_leans() -> None:
    enclosed = np.zeros((10, 30, 60), dtype=np.bool_)
    for level in range(10):
        enclosed[level, 5:25, 10 + level : 40 + level] = True
    assert midline(enclosed) == pytest.approx(24.5 + np.arange(10))


def test_slices_are_named_by_their_section() -> None:
    mask = np.zeros((4, 5, 5), dtype=np.bool_)
    mask[1, :2], mask[2], mask[3, 0, 0] = True, True, True
    assert by_area(mask) == [2, 1, 3]

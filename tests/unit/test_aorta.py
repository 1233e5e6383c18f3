"""The aorta followed on a computed chest: known diameters, straight and tilted, and vessels that are none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cds.errors import NotEvaluable
from models.aorta import ASCENDING, DESCENDING, Search, Vessel, find_vessel, tube
from models.phantom_thorax import Thorax, descending_centre, thorax_phantom
from models.spine import find_spine
from tests.unit.thorax import Voxels, go_on

#: From below the division of the trachea to the dome of the diaphragm, mm.
LEVELS = (45.0, -80.0)


def followed(thorax: Thorax, search: Search = DESCENDING, hu: Voxels | None = None) -> Vessel:
    voxels = (thorax.hu if hu is None else hu)[::-1]
    high, low = (len(voxels) - 1 - thorax.index((z, 0.0, 0.0))[0] for z in LEVELS)
    spine = find_spine(voxels, thorax.spacing_mm, go_on)
    last = low if search is DESCENDING else high + round(45.0 / thorax.spacing_mm[0])
    return find_vessel(voxels, thorax.spacing_mm, spine, search, levels=(high, last), check=go_on)


def diameters(vessel: Vessel) -> list[float]:
    return [one.diameter_mm for one in vessel.sections]


@pytest.mark.parametrize(("aorta_mm", "ascending_mm"), [(25.0, 28.0), (45.0, 45.0)])
def test_a_straight_aorta_has_its_diameter_in_every_section(aorta_mm: float, ascending_mm: float) -> None:
    thorax = thorax_phantom(aorta_mm=aorta_mm, ascending_mm=ascending_mm, noise_hu=10.0)
    vessel = followed(thorax)
    assert diameters(vessel) == pytest.approx([aorta_mm] * len(vessel.sections), abs=1.0)
    assert vessel.widest().diameter_mm == pytest.approx(aorta_mm, abs=1.0)
    assert vessel.height_mm > 110.0
    assert followed(thorax, ASCENDING).widest().diameter_mm == pytest.approx(ascending_mm, abs=1.5)


@pytest.mark.parametrize("tilt", [(0.0, -0.45), (-0.15, -0.3)])
def test_a_tilted_aorta_is_measured_across_its_axis(tilt: tuple[float, float]) -> None:
    vessel = followed(thorax_phantom(aorta_mm=32.0, tilt=tilt))
    slope = math.hypot(*tilt)
    middle = vessel.sections[2:-2]
    assert [one.diameter_mm for one in middle] == pytest.approx([32.0] * len(middle), abs=1.0)
    assert np.median([one.tilt_degrees for one in middle]) == pytest.approx(math.degrees(math.atan(slope)), abs=2.0)


def test_without_the_correction_a_tilted_aorta_would_measure_too_much() -> None:
    """The section in the slice is an ellipse of 32 mm by 32 mm / cos(tilt): its mean is 1.5 mm too large."""
    slope = 0.45
    assert 32.0 * (1.0 + math.hypot(1.0, slope)) / 2.0 > 32.0 + 1.5


def test_the_middle_of_each_section_lies_on_the_axis() -> None:
    thorax = thorax_phantom(aorta_mm=30.0)
    y, x = descending_centre(0.0, 30.0)
    for one in followed(thorax).sections:
        assert (one.row * 2.0 - 120.0, one.column * 2.0 - 176.0) == pytest.approx((y, x), abs=0.7)


@pytest.mark.parametrize("spacing", [(1.0, 2.0, 2.0), (2.5, 1.0, 1.2)])
def test_fine_and_thin_slices_are_measured_as_well(spacing: tuple[float, float, float]) -> None:
    vessel = followed(thorax_phantom(spacing_mm=spacing, noise_hu=20.0))
    assert vessel.widest().diameter_mm == pytest.approx(26.0, abs=1.0)


def test_a_calcified_wall_belongs_to_the_vessel() -> None:
    thorax = thorax_phantom(aorta_mm=30.0)
    hu = thorax.hu.copy()
    axes = [o + s * np.arange(n) for o, s, n in zip(thorax.origin_mm, thorax.spacing_mm, hu.shape, strict=True)]
    y, x = descending_centre(0.0, 30.0)
    away = np.hypot(axes[1][:, None] - y, axes[2][None, :] - x)
    hu[:, (away > 12.5) & (away < 15.0) & (axes[2] > x)] = 500
    assert followed(thorax, hu=hu).widest().diameter_mm == pytest.approx(30.0, abs=1.5)


def test_one_wide_section_is_no_aneurysm_and_three_are() -> None:
    vessel = followed(thorax_phantom(aorta_mm=26.0))
    normal = vessel.widest().diameter_mm
    thorax = thorax_phantom(aorta_mm=26.0)
    wide = thorax_phantom(aorta_mm=29.0)
    hu = thorax.hu.copy()
    at = thorax.index((-20.0, 0.0, 0.0))[0]
    hu[at] = wide.hu[at]
    assert followed(thorax, hu=hu).widest().diameter_mm == pytest.approx(normal, abs=0.5)
    hu[at - 2 : at + 3] = wide.hu[at - 2 : at + 3]
    found = followed(thorax, hu=hu).widest()
    assert found.diameter_mm == pytest.approx(29.0, abs=1.0)
    assert found.index == pytest.approx(len(hu) - 1 - at, abs=2)


def test_blood_and_noise_are_those_of_the_images() -> None:
    vessel = followed(thorax_phantom(blood_hu=46.0, noise_hu=15.0))
    assert np.median([one.blood_hu for one in vessel.sections]) == pytest.approx(46.0, abs=2.0)
    assert np.median([one.noise_hu for one in vessel.sections]) == pytest.approx(15.0, abs=5.0)


def refusal(thorax: Thorax, hu: Voxels) -> NotEvaluable:
    with pytest.raises(NotEvaluable) as caught:
        followed(thorax, hu=hu)
    return caught.value


def test_no_vessel_is_made_up_where_there_is_none() -> None:
    thorax = thorax_phantom()
    hu = thorax.hu.copy()
    hu[thorax.descending] = -850
    assert refusal(thorax, hu).gate == "descending aorta"


def test_a_mass_that_is_not_round_is_no_vessel() -> None:
    thorax = thorax_phantom()
    hu = thorax.hu.copy()
    y, x = descending_centre(0.0, 26.0)
    _, row, column = thorax.index((0.0, y, x))
    hu[thorax.descending] = -850
    hu[:, row - 18 : row + 6, column - 5 : column + 6] = 40
    assert refusal(thorax, hu).gate == "descending aorta"


def test_images_of_a_few_slices_hold_no_vessel() -> None:
    thorax = thorax_phantom()
    spine = find_spine(thorax.hu[::-1], thorax.spacing_mm, go_on)
    with pytest.raises(NotEvaluable, match="too little of the descending aorta"):
        find_vessel(thorax.hu[::-1], thorax.spacing_mm, spine, DESCENDING, levels=(40, 41), check=go_on)


def test_the_tube_is_the_vessel_that_was_made() -> None:
    thorax = thorax_phantom(aorta_mm=30.0)
    vessel = followed(thorax)
    made = thorax.descending[::-1].copy()
    made[: vessel.sections[0].index] = False
    made[vessel.sections[-1].index + 1 :] = False
    found = tube(vessel, thorax.hu.shape, thorax.spacing_mm, 0.0)
    assert 2.0 * (found & made).sum() / (found.sum() + made.sum()) > 0.96

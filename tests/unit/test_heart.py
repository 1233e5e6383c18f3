"""Where the heart is looked for, on a computed chest whose heart is known, and what ends in a refusal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from cds.errors import NotEvaluable
from models.heart import Heart, find_heart
from models.mediastinum import Mediastinum, find_mediastinum
from models.phantom_thorax import CARINA_MM, RIGHT_DOME_MM, Thorax, thorax_phantom
from models.spine import find_spine
from tests.unit.thorax import Voxels, go_on

MM = (3.0, 2.0, 2.0)


@dataclass(frozen=True)
class Seen:
    mediastinum: Mediastinum
    heart: Heart


def seen(hu: Voxels) -> Seen:
    """`hu` as the phantom has it, from feet to head."""
    voxels = hu[::-1]
    spine = find_spine(voxels, MM, go_on)
    middle = find_mediastinum(voxels, MM, spine, go_on)
    return Seen(middle, find_heart(middle, spine, MM, go_on))


@pytest.fixture(scope="module")
def thorax() -> Thorax:
    return thorax_phantom()


@pytest.fixture(scope="module")
def whole(thorax: Thorax) -> Seen:
    return seen(thorax.hu)


def from_top(thorax: Thorax, z_mm: float) -> int:
    return len(thorax.hu) - 1 - thorax.index((z_mm, 0.0, 0.0))[0]


def upright(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask[::-1]


def test_the_division_of_the_trachea_is_found_within_a_centimetre(thorax: Thorax, whole: Seen) -> None:
    assert whole.mediastinum.carina == pytest.approx(from_top(thorax, CARINA_MM[0]), abs=10.0 / MM[0])


def test_the_dome_of_the_diaphragm_is_found_within_fifteen_millimetres(thorax: Thorax, whole: Seen) -> None:
    assert whole.mediastinum.dome == pytest.approx(from_top(thorax, RIGHT_DOME_MM), abs=15.0 / MM[0])


def test_the_region_holds_the_heart_and_its_fat(thorax: Thorax, whole: Seen) -> None:
    heart, region = upright(thorax.heart), whole.heart.region
    below_the_top = slice(whole.heart.first, None)
    assert (heart & region)[below_the_top].sum() > 0.95 * heart[below_the_top].sum()


def test_the_region_holds_no_spine_no_airway_and_little_lung(thorax: Thorax, whole: Seen) -> None:
    region, hu = whole.heart.region, thorax.hu[::-1]
    spine = thorax.index((0.0, 50.0, 0.0))[1]
    assert not region[:, spine:].any()
    assert (region & (hu < -980)).sum() < 5
    assert (region & upright(thorax.lungs)).sum() < 0.15 * region.sum()


def test_the_region_begins_below_the_division_of_the_trachea(thorax: Thorax, whole: Seen) -> None:
    assert not whole.heart.region[: from_top(thorax, CARINA_MM[0])].any()


def test_the_region_does_not_reach_into_the_right_half_of_the_liver(thorax: Thorax, whole: Seen) -> None:
    below, right = from_top(thorax, -85.0), thorax.index((0.0, 0.0, -40.0))[2]
    assert not whole.heart.region[below:, :, :right].any()


def test_a_field_of_view_of_the_heart_alone_shows_the_same_region(thorax: Thorax, whole: Seen) -> None:
    """Lungs and chest wall are cut on all sides, and the images begin where two main bronchi are seen."""
    low, high = (thorax.index((z, 0.0, 0.0))[0] for z in (-118.0, 40.0))
    rows, columns = slice(0, 116), slice(30, 150)
    cut = seen(thorax.hu[low:high, rows, columns])
    assert cut.mediastinum.carina is None
    assert cut.mediastinum.bronchi_at_top
    heart = upright(thorax.heart[low:high, rows, columns])
    assert (heart & cut.heart.region).sum() > 0.95 * heart.sum()


def refusal(hu: Voxels) -> NotEvaluable:
    with pytest.raises(NotEvaluable) as caught:
        seen(hu)
    return caught.value


def test_images_that_end_above_the_dome_are_refused(thorax: Thorax) -> None:
    error = refusal(thorax.hu[thorax.index((-60.0, 0.0, 0.0))[0] :])
    assert error.gate == "heart coverage"
    assert "dome" in str(error)


def test_images_that_begin_below_the_bronchi_are_refused(thorax: Thorax) -> None:
    error = refusal(thorax.hu[: thorax.index((-10.0, 0.0, 0.0))[0]])
    assert error.gate == "heart coverage"
    assert "trachea" in str(error)


def test_a_chest_with_one_airless_lung_is_refused(thorax: Thorax) -> None:
    hu = thorax.hu.copy()
    left = thorax.lungs.copy()
    left[:, :, : thorax.index((0.0, 0.0, 0.0))[2]] = False
    hu[left] = 30
    assert refusal(hu).gate == "lungs"

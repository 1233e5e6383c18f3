"""The phantom is what it says: its truth is checked against formulas and against a count of its own images."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from models.phantom import AIRWAY, BOWEL, EMPHYSEMA, Phantom, chest_phantom


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return chest_phantom()


def test_it_has_the_size_of_a_chest_and_is_made_fast_enough_for_the_demo() -> None:
    start = time.perf_counter()
    phantom = chest_phantom()
    assert time.perf_counter() - start < 3.0
    assert phantom.hu.shape == (120, 256, 256)
    assert phantom.hu.dtype == np.int16
    assert phantom.hu.min() >= -1024


@pytest.mark.parametrize("spacing", [(1.5, 1.2, 1.2), (2.5, 1.5, 1.5), (3.0, 2.0, 2.0)])
def test_its_lungs_have_the_volume_of_their_ellipsoids(spacing: tuple[float, float, float]) -> None:
    phantom = chest_phantom(spacing_mm=spacing)
    formula = 4.0 / 3.0 * math.pi * 115 * 85 * (62 + 56) / 1000.0
    assert phantom.ellipsoid_ml == pytest.approx(formula)
    assert phantom.truth.lung_volume_ml == pytest.approx(formula, rel=1e-3)


@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("pattern", ["balls", "core"])
def test_the_wanted_part_of_the_lung_is_destroyed(fraction: float, pattern: str) -> None:
    phantom = chest_phantom(laa_fraction=fraction, pattern="core" if pattern == "core" else "balls")
    assert phantom.truth.laa_950_percent == pytest.approx(100.0 * fraction, abs=0.05)
    assert (phantom.labels == EMPHYSEMA).sum() == pytest.approx(fraction * phantom.lung.sum(), rel=0.005)


def test_what_is_imaged_is_counted_in_the_images_themselves(phantom: Phantom) -> None:
    lung = phantom.hu[phantom.lung]
    assert phantom.imaged.laa_950_percent == pytest.approx(100.0 * np.count_nonzero(lung <= -951) / lung.size)
    assert phantom.imaged.perc15_hu == np.sort(lung)[math.ceil(0.15 * lung.size) - 1]


def test_without_kernel_and_noise_the_images_are_the_object() -> None:
    phantom = chest_phantom(kernel="none", noise_hu=0.0)
    assert phantom.imaged.laa_950_percent == pytest.approx(phantom.truth.laa_950_percent, abs=0.01)


def test_a_sharp_kernel_and_noise_raise_the_low_attenuation_area() -> None:
    smooth, sharp = chest_phantom(), chest_phantom(kernel="sharp", noise_hu=40.0)
    assert sharp.imaged.laa_950_percent > smooth.imaged.laa_950_percent + 3.0


def test_contrast_medium_lowers_the_low_attenuation_area() -> None:
    plain, enhanced = chest_phantom(noise_hu=30.0), chest_phantom(noise_hu=30.0, contrast=True)
    assert enhanced.imaged.laa_950_percent < plain.imaged.laa_950_percent


def test_the_same_seed_gives_the_same_images_and_another_gives_others(phantom: Phantom) -> None:
    assert (chest_phantom().hu == phantom.hu).all()
    assert (chest_phantom(seed=8).hu != phantom.hu).any()


def test_it_has_air_that_is_not_lung(phantom: Phantom) -> None:
    voxel_ml = math.prod(phantom.spacing_mm) / 1000.0
    assert 30.0 < (phantom.labels == AIRWAY).sum() * voxel_ml < 50.0
    assert 150.0 < (phantom.labels == BOWEL).sum() * voxel_ml < 200.0

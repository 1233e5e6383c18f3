"""Conforming: the same head whatever way its slices were cut, and labels back where they came from."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cds.domain.imaging import VolumeRef
from cds.errors import Cancelled, NotEvaluable
from models.conform import AXES, SIDE, Labels, conform, extent_mm, grid_of, scaled, to_native

Affine = NDArray[np.float64]
#: Where the ball of the phantom lies in the patient (LPS, mm), and its radius.
CENTRE, RADIUS = np.array([12.0, -8.0, 10.0]), 14.0
#: Directions (LPS) of increasing slice, row and column.
CUTS = {
    "axial from the head": ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
    "axial from the feet": ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    "sagittal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "sagittal from the left": ((-1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "coronal": ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
}


def nothing() -> None:
    return None


def affine_of(cut: tuple[tuple[int, ...], ...], spacing: tuple[float, ...], shape: tuple[int, ...]) -> Affine:
    """The affine of a volume around the patient's origin."""
    made = np.eye(4)
    made[:3, :3] = np.array(cut, dtype=np.float64).T * spacing
    made[:3, 3] = -made[:3, :3] @ ((np.array(shape) - 1) / 2)
    return made


def turned(affine: Affine, degrees: float) -> Affine:
    """The same volume turned about the patient's first axis: oblique slices."""
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    answer: Affine = turn @ affine
    return answer


def volume_of(shape: tuple[int, int, int], spacing: tuple[float, float, float], affine: Affine) -> VolumeRef:
    return VolumeRef("", "float32", shape, spacing, tuple(affine.ravel().tolist()), "1.2.3", "MR", "")


def ball(shape: tuple[int, int, int], affine: Affine) -> NDArray[np.float32]:
    """1 inside the ball, 0 outside, with half a millimetre of slope."""
    index = np.stack(np.meshgrid(*[np.arange(size) for size in shape], indexing="ij"), axis=-1)
    distance = np.linalg.norm(index @ affine[:3, :3].T + affine[:3, 3] - CENTRE, axis=-1)
    inside: NDArray[np.float32] = np.clip(RADIUS + 0.5 - distance, 0, 1).astype(np.float32)
    return inside


@pytest.mark.parametrize("degrees", [0.0, 17.0])
@pytest.mark.parametrize("cut", CUTS)
def test_a_ball_lies_where_the_patient_has_it_whatever_way_it_was_cut(cut: str, degrees: float) -> None:
    shape, spacing = (70, 96, 80), (1.5, 0.9, 1.1)
    affine = turned(affine_of(CUTS[cut], spacing, shape), degrees)
    volume = volume_of(shape, spacing, affine)
    grid = grid_of(volume)
    found = conform(ball(shape, affine), grid, nothing)
    place = np.argwhere(found > 0.5).mean(axis=0)
    native = grid.to_native @ np.array([*place, 1.0])
    np.testing.assert_allclose((affine @ native)[:3], CENTRE, atol=0.3)
    assert found.sum() == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.02)


@pytest.mark.parametrize("cut", CUTS)
def test_the_grids_axes_grow_to_the_left_the_feet_and_the_front(cut: str) -> None:
    shape, spacing = (40, 50, 60), (1.2, 1.0, 1.0)
    affine = affine_of(CUTS[cut], spacing, shape)
    steps = affine[:3, :3] @ grid_of(volume_of(shape, spacing, affine)).to_native[:3, :3]
    np.testing.assert_allclose(steps, [[1, 0, 0], [0, 0, -1], [0, -1, 0]], atol=1e-9)
    np.testing.assert_allclose(steps, AXES, atol=1e-9)


@pytest.mark.parametrize("degrees", [0.0, 11.0])
def test_labels_come_back_to_the_slices_they_belong_to(degrees: float) -> None:
    shape, spacing = (60, 70, 64), (1.2, 1.0, 1.0)
    affine = turned(affine_of(CUTS["sagittal"], spacing, shape), degrees)
    grid = grid_of(volume_of(shape, spacing, affine))
    truth = ball(shape, affine) >= 0.5
    labels = (conform(ball(shape, affine), grid, nothing) >= 0.5).astype(np.uint8)
    back = to_native(labels, grid, nothing)
    assert back.shape == shape
    overlap = 2.0 * np.logical_and(back, truth).sum() / (back.sum() + truth.sum())
    assert overlap > 0.95


def test_a_volume_that_is_taller_than_the_grid_keeps_its_top() -> None:
    shape, spacing = (300, 20, 20), (1.0, 1.0, 1.0)
    affine = affine_of(CUTS["axial from the head"], spacing, shape)
    voxels = np.zeros(shape, dtype=np.int16)
    voxels[0], voxels[-1] = 7, 9
    found = conform(voxels, grid_of(volume_of(shape, spacing, affine)), nothing)
    assert set(np.unique(found).tolist()) == {0.0, 7.0}
    assert np.unique(np.argwhere(found == 7.0)[:, 1]).tolist() == [0]


def test_what_the_volume_does_not_reach_is_its_darkest() -> None:
    shape = (10, 10, 10)
    affine = affine_of(CUTS["coronal"], (1.0, 1.0, 1.0), shape)
    voxels = np.full(shape, 5, dtype=np.int16)
    voxels[0, 0, 0] = 3
    found = conform(voxels, grid_of(volume_of(shape, (1.0, 1.0, 1.0), affine)), nothing)
    assert (found.shape, float(found.min())) == ((SIDE, SIDE, SIDE), 3.0)
    assert int((found == 5.0).sum()) == 999


def test_the_extent_is_told_by_the_patients_axes_not_the_slices() -> None:
    shape, spacing = (160, 256, 240), (1.2, 1.0, 0.9)
    affine = affine_of(CUTS["sagittal"], spacing, shape)
    across, down, deep = extent_mm(volume_of(shape, spacing, affine))
    assert (across, down, deep) == pytest.approx((192.0, 256.0, 216.0))


def test_slices_that_all_lie_in_one_plane_are_no_volume() -> None:
    flat = np.diag([1.0, 1.0, 0.0, 1.0])
    with pytest.raises(NotEvaluable) as caught:
        grid_of(volume_of((4, 4, 4), (1.0, 1.0, 1.0), flat))
    assert caught.value.gate == "geometry"


def test_quantiles_become_nought_and_one_and_brighter_voxels_stay_brighter() -> None:
    values = np.arange(1000, dtype=np.float32).reshape(10, 10, 10)
    found = scaled(values, 0.02, 0.98)
    assert np.quantile(found, [0.02, 0.98]) == pytest.approx([0.0, 1.0], abs=1e-6)
    assert (float(found.max()) > 1.0, float(found.min()) < 0.0) == (True, True)


def test_an_image_of_one_value_is_refused() -> None:
    with pytest.raises(NotEvaluable) as caught:
        scaled(np.ones((5, 5, 5), dtype=np.float32), 0.02, 0.98)
    assert caught.value.gate == "intensity"


def test_cancelling_is_looked_at_while_resampling() -> None:
    def check() -> None:
        raise Cancelled("the work was cancelled")

    shape = (10, 10, 10)
    affine = affine_of(CUTS["coronal"], (1.0, 1.0, 1.0), shape)
    grid = grid_of(volume_of(shape, (1.0, 1.0, 1.0), affine))
    with pytest.raises(Cancelled):
        conform(np.zeros(shape, dtype=np.int16), grid, check)
    with pytest.raises(Cancelled):
        to_native(np.zeros((SIDE, SIDE, SIDE), dtype=np.uint8), grid, check)


def test_the_published_sample_is_on_the_grid_already_so_its_sagittal_slices_give_it_back(reference_dir: Path) -> None:
    file = reference_dir / "weights/brainchop_meshnet/public/t1_crop.nii.gz"
    if not file.is_file():
        pytest.skip("brainchop's T1 sample is not among the reference data")
    # NIfTI-1: 352 bytes of header, then uint8 with the first index fastest.
    stored = np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, SIDE**3, 352).reshape(SIDE, SIDE, SIDE)
    sample: Labels = stored.transpose(2, 1, 0)
    sagittal = sample[:, :, ::-1]
    affine = affine_of(CUTS["sagittal"], (1.0, 1.0, 1.0), sagittal.shape)
    volume = volume_of((SIDE, SIDE, SIDE), (1.0, 1.0, 1.0), affine)
    np.testing.assert_array_equal(conform(sagittal.astype(np.int16), grid_of(volume), nothing), sample)

"""Counting on the device, components, masks on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cds.domain.imaging import VolumeRef
from cds.errors import NotFound, OutOfResources
from models.image import DensityCounter, by_slabs, components, open_volume, percentile, save_mask

CPU = torch.device("cpu")


def nothing() -> None:
    pass


def volume(path: Path, shape: tuple[int, int, int], *, rising: bool) -> VolumeRef:
    step = 1.0 if rising else -1.0
    affine = (0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, step, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    return VolumeRef(str(path), "int16", shape, (1.0, 1.0, 1.0), affine, "1.2", "CT", "axial")


class ShortOfMemory(DensityCounter):
    """A counter on a device that holds only `most` slices."""

    def __init__(self, most: int) -> None:
        super().__init__(lowest=-1100, highest=-500, below=-950.0)
        self.most = most

    def forward(self, voxels: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if len(voxels) > self.most:
            raise torch.OutOfMemoryError
        return super().forward(voxels, mask)


@pytest.fixture(scope="module")
def voxels() -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    return np.random.default_rng(1).integers(-1100, -500, size=(37, 20, 20), dtype=np.int16)


def test_counting_agrees_with_numpy(voxels: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> None:
    mask = voxels % 3 == 0
    counter = DensityCounter(lowest=-1100, highest=-500, below=-950.0)
    histogram, low = by_slabs(counter, voxels, mask, CPU, nothing, slices=8)
    assert histogram.sum() == mask.sum()
    assert low.tolist() == ((voxels < -950) & mask).sum(axis=(1, 2)).tolist()
    for share in (0.01, 0.15, 0.5, 0.999, 1.0):
        assert percentile(histogram, -1100, share) == np.percentile(voxels[mask], 100 * share, method="inverted_cdf")


@pytest.mark.parametrize("slices", [1, 33])
def test_a_volume_that_is_read_from_the_other_end_is_counted_to_its_last_slice(slices: int) -> None:
    reversed_ = np.full((slices, 4, 4), -960, dtype=np.int16)[::-1]
    counter = DensityCounter(lowest=-1100, highest=-500, below=-950.0)
    mask = np.ones(reversed_.shape, dtype=bool)[::-1]
    assert by_slabs(counter, reversed_, mask, CPU, nothing, slices=32)[1].tolist() == [16] * slices


def test_exactly_950_below_zero_does_not_count_as_low() -> None:
    three = np.array([[[-951, -950, -949]]], dtype=np.int16)
    counter = DensityCounter(lowest=-1100, highest=-500, below=-950.0)
    assert by_slabs(counter, three, np.ones_like(three, dtype=bool), CPU, nothing)[1].tolist() == [1]


def test_densities_in_fractions_are_compared_before_they_are_rounded() -> None:
    two = np.array([[[-950.4, -949.6]]], dtype=np.float32)
    counter = DensityCounter(lowest=-1100, highest=-500, below=-950.0)
    histogram, low = by_slabs(counter, two, np.ones_like(two, dtype=bool), CPU, nothing)
    assert low.tolist() == [1]
    assert histogram[-950 + 1100] == 2


def test_a_device_short_of_memory_gets_smaller_slabs(
    voxels: np.ndarray[tuple[int, ...], np.dtype[np.int16]],
) -> None:
    mask = np.ones(voxels.shape, dtype=bool)
    short = by_slabs(ShortOfMemory(5), voxels, mask, CPU, nothing)
    whole = by_slabs(ShortOfMemory(99), voxels, mask, CPU, nothing)
    assert (short[0] == whole[0]).all()
    assert (short[1] == whole[1]).all()


def test_a_device_that_holds_no_slice_gives_up(voxels: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        by_slabs(ShortOfMemory(0), voxels, np.ones(voxels.shape, dtype=bool), CPU, nothing)


def test_components_join_by_faces_and_come_largest_first() -> None:
    mask = np.zeros((3, 6, 6), dtype=bool)
    mask[0, 0, 0] = mask[0, 1, 1] = True
    mask[1, 3:5, 3:5] = True
    mask[2, 3, 3] = True
    labels, large = components(mask, 1, nothing)
    assert [int((labels == label).sum()) for label in large] == [5, 1, 1]
    assert components(mask, 2, nothing)[1] == large[:1]


def test_an_empty_mask_has_no_components() -> None:
    assert components(np.zeros((2, 2, 2), dtype=bool), 1, nothing)[1] == []


@pytest.mark.parametrize("rising", [True, False])
def test_slice_0_of_an_open_volume_is_the_most_cranial(tmp_path: Path, *, rising: bool) -> None:
    path = tmp_path / "volume.npy"
    np.save(path, np.arange(8, dtype=np.int16).reshape(2, 2, 2))
    opened = open_volume(volume(path, (2, 2, 2), rising=rising))
    assert opened[0, 0, 0] == (4 if rising else 0)


def test_writing_to_an_open_volume_does_not_reach_the_file(tmp_path: Path) -> None:
    path = tmp_path / "volume.npy"
    np.save(path, np.zeros((2, 2, 2), dtype=np.int16))
    open_volume(volume(path, (2, 2, 2), rising=True))[:] = 7
    assert not np.load(path).any()


def test_a_volume_that_is_gone_or_another_is_not_found(tmp_path: Path) -> None:
    path = tmp_path / "volume.npy"
    with pytest.raises(NotFound):
        open_volume(volume(path, (2, 2, 2), rising=True))
    np.save(path, np.zeros((2, 2, 3), dtype=np.int16))
    with pytest.raises(NotFound):
        open_volume(volume(path, (2, 2, 2), rising=True))


def test_a_mask_that_cannot_be_written_leaves_nothing_under_its_name(tmp_path: Path) -> None:
    with pytest.raises(OutOfResources):
        save_mask(np.zeros((2, 2, 2), dtype=np.uint8), tmp_path / "absent" / "mask.npy")
    assert list(tmp_path.iterdir()) == []


def test_a_mask_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "mask.npy"
    for value in (1, 2):
        save_mask(np.full((2, 2, 2), value, dtype=np.uint8), path)
    assert np.load(path).max() == 2
    assert [file.name for file in tmp_path.iterdir()] == ["mask.npy"]

"""Sliding windows: what they cover, and that a network answers with them as it does in one pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cds.domain.inference import Progress
from models.direct import Direct, DirectNetwork
from models.registry import load
from models.sliding import Plan, Triple, blend, slabs, starts, whole, windows
from models.task import Cancelled, Task

SHAPE = (23, 30, 19)


class Fixed:
    """A model's module around a network that is given."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network

    def build(self, _manifest: object, _device: torch.device) -> torch.nn.Module:
        return self.network


def network_of(network: torch.nn.Module, task: Task) -> DirectNetwork:
    return Direct(load()["ct_lung_density"], Fixed(network), torch.device("cpu")).network(task)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return Task(tmp_path, lambda: False)


@pytest.fixture
def volume() -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    return np.random.default_rng(5).integers(-1000, 1000, SHAPE, dtype=np.int16)


@pytest.mark.parametrize(
    ("length", "side", "overlap", "wanted"),
    [
        (10, 4, 0.0, [0, 4, 6]),
        (8, 4, 0.0, [0, 4]),
        (4, 4, 0.5, [0]),
        (3, 4, 0.5, [0]),
        (10, 4, 0.5, [0, 2, 4, 6]),
        (9, 4, 0.9, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_windows_begin_where_they_should(length: int, side: int, overlap: float, wanted: list[int]) -> None:
    assert starts(length, side, overlap) == wanted


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.75])
@pytest.mark.parametrize("size", [(5, 7, 19), (23, 30, 19), (40, 8, 6)])
def test_every_voxel_is_covered_and_no_window_leaves_a_volume_that_is_larger(size: Triple, overlap: float) -> None:
    seen = np.zeros(SHAPE, dtype=int)
    for z, y, x in windows(SHAPE, size, overlap):
        assert all(at + side <= max(length, side) for at, side, length in zip((z, y, x), size, SHAPE, strict=True))
        seen[z : z + size[0], y : y + size[1], x : x + size[2]] += 1
    assert seen.min() >= 1


@pytest.mark.parametrize("blending", ["constant", "gaussian"])
@pytest.mark.parametrize(("size", "overlap"), [((5, 7, 6), 0.0), ((5, 7, 6), 0.5), ((40, 40, 40), 0.25)])
def test_a_network_without_padding_answers_as_in_one_pass(
    volume: np.ndarray[tuple[int, ...], np.dtype[np.int16]], task: Task, blending: str, size: Triple, overlap: float
) -> None:
    torch.manual_seed(1)
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3), torch.nn.ReLU(), torch.nn.Conv3d(4, 3, 3)).eval()
    with torch.no_grad():
        padded = np.pad(volume, 2, constant_values=-1000)
        wanted = network(torch.from_numpy(padded[None, None]).float() / 1000.0)[0]
    chosen = "gaussian" if blending == "gaussian" else "constant"
    plan = Plan(size, 3, overlap, margin=(2, 2, 2), blending=chosen, fill=-1000.0, chunk=3)
    got = whole(network_of(network, task), volume, plan, task, as_input=lambda window: window.float() / 1000.0)
    assert torch.allclose(got, wanted, atol=1e-5)


def test_channels_of_a_volume_stay_together(task: Task) -> None:
    volume = np.random.default_rng(2).normal(size=(2, *SHAPE)).astype(np.float32)
    network = torch.nn.Conv3d(2, 1, 1)
    got = whole(network_of(network, task), volume, Plan((6, 6, 6), 1, 0.5, blending="gaussian"), task)
    assert torch.allclose(got, network(torch.from_numpy(volume)[None])[0].detach(), atol=1e-5)


def test_slabs_come_in_order_and_hold_no_more_than_a_window_is_deep(
    volume: np.ndarray[tuple[int, ...], np.dtype[np.int16]], task: Task
) -> None:
    parts = list(slabs(network_of(torch.nn.Identity(), task), volume, Plan((6, 10, 10), 1, 0.5), task))
    assert [part.start for part in parts] == [0, 3, 6, 9, 12, 15, 17]
    assert max(part.values.shape[1] for part in parts) == 6
    assert torch.equal(torch.cat([part.values for part in parts], 1)[0], torch.from_numpy(volume).float())


def test_windows_without_any_voxel_of_interest_are_left_out(
    volume: np.ndarray[tuple[int, ...], np.dtype[np.int16]], tmp_path: Path
) -> None:
    heard: list[Progress] = []
    task = Task(tmp_path, lambda: False, told=heard.append)
    where = np.zeros(SHAPE, dtype=bool)
    where[20, 12, 3] = True
    got = whole(network_of(torch.nn.Identity(), task), volume, Plan((6, 10, 10), 1), task, where=where)[0]
    only = (slice(17, 23), slice(10, 20), slice(0, 10))
    wanted = np.zeros(SHAPE, dtype=np.float32)
    wanted[only] = volume[only]
    assert torch.equal(got, torch.from_numpy(wanted))
    assert heard[-1].done == heard[-1].total == 1


def test_the_middle_of_a_window_counts_most_and_its_corner_a_little() -> None:
    weight = blend((5, 7, 9), "gaussian")
    assert weight.argmax() == np.ravel_multi_index((2, 3, 4), (5, 7, 9))
    assert 0 < weight[0, 0, 0] <= 0.01 * weight.max()
    assert (blend((2, 3, 4), "constant") == 1).all()


def test_a_network_that_answers_with_other_sides_is_found_out(
    volume: np.ndarray[tuple[int, ...], np.dtype[np.int16]], task: Task
) -> None:
    with pytest.raises(ValueError, match=r"answers windows of \(1, 4, 4, 4\), want \(1, 6, 6, 6\)"):
        whole(network_of(torch.nn.Conv3d(1, 1, 3), task), volume, Plan((6, 6, 6), 1), task)


@pytest.mark.parametrize("wrong", [{"overlap": 1.0}, {"margin": (-1, 0, 0)}, {"chunk": 0}])
def test_a_plan_that_cannot_be_followed_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a plan wants"):
        Plan((6, 6, 6), 1, **wrong)


def test_work_that_is_no_longer_wanted_stops_between_windows(
    volume: np.ndarray[tuple[int, ...], np.dtype[np.int16]], tmp_path: Path
) -> None:
    heard: list[Progress] = []
    task = Task(tmp_path, lambda: len(heard) == 2, told=heard.append)
    with pytest.raises(Cancelled):
        whole(network_of(torch.nn.Identity(), task), volume, Plan((6, 6, 6), 1, chunk=4), task)
    assert [one.done for one in heard] == [4, 8]

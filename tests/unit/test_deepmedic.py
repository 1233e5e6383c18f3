"""The network of BLAST-CT: its sizes, its context, and that what makes it fast changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from models import weights
from models.deepmedic import CONTEXT, STEP, Block, DeepMedic, Ensemble, cost, widened
from models.tiling import Tile, tiles
from tests.unit.head_cases import manifest, with_weights


def random_network(seed: int = 1) -> DeepMedic:
    """Weights and statistics of batch norm that are not the neutral ones."""
    torch.manual_seed(seed)
    network = DeepMedic()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.get_buffer("running_mean").normal_(0.0, 0.1)
            module.get_buffer("running_var").uniform_(0.5, 1.5)
    return network.eval().requires_grad_(False)


def trained(number: int = 1) -> DeepMedic:
    network = DeepMedic()
    network.load_state_dict(weights.load(manifest(), f"model_{number}.pt"), strict=True)
    return network.eval().requires_grad_(False)


def field(side: int, seed: int = 3) -> torch.Tensor:
    return torch.rand(1, 1, side, side, side, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1.0


def test_110_voxels_answer_30() -> None:
    assert random_network()(field(110)).shape == (1, 5, 30, 30, 30)


@pytest.mark.parametrize("side", [80, 94, 96, 111])
def test_a_side_that_the_scales_cannot_share_is_an_error(side: int) -> None:
    with pytest.raises(ValueError, match="multiples of 15"):
        random_network()(field(side))


def test_it_has_as_many_weights_as_the_published_ones() -> None:
    assert sum(one.numel() for one in DeepMedic().parameters()) == 1_030_033


def test_moving_the_input_by_a_common_multiple_of_the_scales_moves_the_answer() -> None:
    network = random_network()
    x = field(CONTEXT + 2 * STEP)
    whole = network(x)
    part = network(x[:, :, STEP:, : CONTEXT + STEP, STEP:])
    assert torch.allclose(whole[:, :, STEP:, :STEP, STEP:], part, atol=1e-4)


def test_each_scale_sees_its_context_and_no_further() -> None:
    """17 coarse voxels around a voxel: 8, 24 and 40 mm to each side by scale (Kamnitsas 2017)."""
    network = random_network()
    x = field(CONTEXT + STEP)
    centre = CONTEXT // 2 + 7
    before = network(x)[0, :, 7, 7, 7]
    for distance, sees in ((40, True), (43, False)):
        changed = x.clone()
        changed[0, 0, centre - distance] += 5.0
        assert bool((network(changed)[0, :, 7, 7, 7] != before).any()) is sees


def test_coarse_scales_take_the_middle_voxel_of_each_cell_and_not_the_mean() -> None:
    network = random_network()
    path = network.get_submodule(network.names[0])
    x = field(CONTEXT + STEP)
    changed = x.clone()
    changed[:, :, 0::5] = 9.0
    assert torch.equal(path(x), path(changed))
    changed[:, :, 2::5] = 9.0
    assert not torch.equal(path(x), path(changed))


def test_a_block_normalises_rectifies_convolves_and_adds_its_input() -> None:
    block = Block(2, 2, 3).eval().requires_grad_(False)
    block.bn.get_buffer("running_mean").fill_(0.5)
    x = field(5)[:, :, :3, :3, :3].repeat(1, 2, 1, 1, 1)
    normal = (x - 0.5) / np.sqrt(1.0 + 1e-5)
    rectified = torch.where(normal > 0, normal, 0.25 * normal)
    wanted = nn.functional.conv3d(rectified, block.conv.weight) + x[:, :, 1:2, 1:2, 1:2]
    assert torch.allclose(block(x), wanted, atol=1e-6)


@with_weights
def test_all_published_weights_fit_strictly() -> None:
    for number in range(1, 13):
        assert trained(number).training is False


@with_weights
def test_filling_up_channels_and_dropping_vanishing_weights_changes_no_answer() -> None:
    network = trained()
    x = field(95)
    plain, fast = network(x), widened(network)(x)
    assert float((plain - fast).abs().max()) < 1e-4
    assert float(plain.abs().max()) > 1.0


def test_an_ensemble_is_the_mean_of_the_probabilities_of_those_that_are_named() -> None:
    members = [random_network(seed) for seed in (1, 2, 3)]
    x = field(95)
    answers = [torch.softmax(one(x), 1) for one in members]
    ensemble = Ensemble(members).eval()
    assert torch.allclose(ensemble(x, torch.tensor([[0, 2]])), (answers[0] + answers[2]) / 2.0, atol=1e-6)
    both = ensemble(torch.cat([x, x]), torch.tensor([[1], [2]]))
    assert torch.allclose(both, torch.cat([answers[1], answers[2]]), atol=1e-6)


def test_larger_tiles_answer_as_the_smallest_do() -> None:
    network = widened(random_network())
    volume = field(28)[0, 0].numpy()
    region = np.ones(volume.shape, dtype=np.bool_)
    answers = []
    for largest in (15, 30):
        answer = np.full(volume.shape, 9, dtype=np.uint8)
        for tile in tiles(region, STEP, largest):
            tile.put(answer, network(tile.field(volume, CONTEXT // 2))[0].argmax(0).to(torch.uint8).numpy())
        answers.append(answer)
    assert (answers[0] != 9).all()
    assert (answers[0] == answers[1]).mean() >= 0.999


def test_one_large_tile_is_less_work_than_many_small_ones() -> None:
    assert cost((60, 60, 60)) < 0.75 * 8 * cost((30, 30, 30))


# --- tiles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("largest", [15, 30, 45, 90])
def test_tiles_cover_the_region_once_on_the_steps_and_no_larger_than_allowed(largest: int) -> None:
    region = np.zeros((70, 80, 50), dtype=np.bool_)
    region[20:61, 3:40, 10:49] = True
    count = np.zeros((90, 90, 60), dtype=int)
    for tile in tiles(region, 15, largest):
        assert all(
            first % 15 == 0 and side % 15 == 0 and 0 < side <= largest
            for first, side in zip(tile.start, tile.size, strict=True)
        )
        count[tuple(slice(first, first + side) for first, side in zip(tile.start, tile.size, strict=True))] += 1
    assert (count[:70, :80, :50][region] == 1).all()
    assert count.max() == 1


def test_there_are_no_tiles_where_there_is_no_head() -> None:
    region = np.zeros((60, 60, 60), dtype=np.bool_)
    assert tiles(region, 15, 30) == []
    region[0, 0, 0] = region[59, 59, 59] = True
    assert {tile.start for tile in tiles(region, 15, 30)} == {(0, 0, 0), (45, 45, 45)}


def test_beyond_the_volume_a_tile_reads_its_edge() -> None:
    volume = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    read = Tile((0, 0, 0), (15, 15, 15)).field(volume, 2)[0, 0].numpy()
    assert read.shape == (19, 19, 19)
    assert np.array_equal(read, np.pad(volume, ((2, 14), (2, 14), (2, 14)), mode="edge"))

"""MeshNet against arithmetic done by hand, and the conversion of its published weights."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from cds.errors import Cancelled, InvalidInput
from models.manifest import read
from models.meshnet import DILATIONS, REACH, MeshNet
from models.registry import SHIPPED
from models.training import brainchop

FOLDER = Path("weights/brainchop_meshnet/public/models")
CHANNELS, CLASSES = 30, 18
#: Sizes of one convolution's kernel and bias in the file of floats, in its order.
FIRST, OTHERS = 27 * CHANNELS + CHANNELS, 27 * CHANNELS * CHANNELS + CHANNELS
Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def published(reference_dir: Path) -> Path:
    folder = reference_dir / FOLDER / "model30chan18cls"
    if not folder.is_dir():
        pytest.skip("the published weights of model30chan18cls are not among the reference data")
    return folder


@pytest.fixture(scope="module")
def network(published: Path) -> MeshNet:
    tensors, dilations = brainchop.convert(published)
    built = MeshNet(CHANNELS, CLASSES, dilations)
    built.load_state_dict({name: torch.from_numpy(tensor.copy()) for name, tensor in tensors.items()}, strict=True)
    return built.eval()


def small(seed: int = 0) -> MeshNet:
    torch.manual_seed(seed)
    return MeshNet(3, 4, (1, 2, 4, 1)).eval()


def by_hand(x: Floats, kernel: Floats, bias: Floats, dilation: int, at: tuple[int, int, int]) -> Floats:
    """One voxel of ELU(conv(x)): `x` (channels, d, h, w), `kernel` as tf.js keeps it, (d, h, w, in, out)."""
    total = bias.astype(np.float64)
    for offset in np.ndindex(3, 3, 3):
        place = [a + dilation * (o - 1) for a, o in zip(at, offset, strict=True)]
        if all(0 <= p < size for p, size in zip(place, x.shape[1:], strict=True)):
            total = total + x[:, place[0], place[1], place[2]].astype(np.float64) @ kernel[offset]
    answer: Floats = np.where(total > 0, total, np.expm1(total)).astype(np.float32)
    return answer


@pytest.mark.parametrize("layer", range(len(DILATIONS)))
def test_each_published_convolution_gives_what_its_floats_give_by_hand(
    published: Path, network: MeshNet, layer: int
) -> None:
    floats = np.fromfile(published / "model.bin", "<f4")
    start = 0 if layer == 0 else FIRST + (layer - 1) * OTHERS
    inputs = 1 if layer == 0 else CHANNELS
    size = 27 * inputs * CHANNELS
    kernel = floats[start : start + size].reshape(3, 3, 3, inputs, CHANNELS)
    bias = floats[start + size : start + size + CHANNELS]
    x = np.random.default_rng(layer).standard_normal((inputs, 21, 19, 20), dtype=np.float32)
    answer = network.step(layer, torch.from_numpy(x)[None])[0].numpy()
    for at in ((0, 0, 0), (10, 9, 10), (16, 1, 18), (20, 18, 19)):
        np.testing.assert_allclose(
            answer[:, at[0], at[1], at[2]], by_hand(x, kernel, bias, DILATIONS[layer], at), rtol=1e-4, atol=1e-4
        )


def test_the_head_chooses_the_class_with_the_highest_score(published: Path, network: MeshNet) -> None:
    floats = np.fromfile(published / "model.bin", "<f4")[-(CHANNELS * CLASSES + CLASSES) :]
    kernel, bias = floats[: CHANNELS * CLASSES].reshape(CHANNELS, CLASSES), floats[CHANNELS * CLASSES :]
    x = np.random.default_rng(0).standard_normal((CHANNELS, 3, 4, 5), dtype=np.float32)
    labels = network.step(len(DILATIONS), torch.from_numpy(x)[None])[0, 0].numpy()
    np.testing.assert_array_equal(labels, (np.moveaxis(x, 0, -1) @ kernel + bias).argmax(-1))


def test_slabs_give_the_same_as_the_whole_image_at_once() -> None:
    network = small()
    x = 20.0 * torch.randn(2, 1, 37, 9, 11)
    whole = x
    for conv in network.convs:
        assert isinstance(conv, torch.nn.Conv3d)
        whole = functional.elu(functional.conv3d(whole, conv.weight, conv.bias, padding="same", dilation=conv.dilation))
    labels = network.head(whole).argmax(1, keepdim=True)
    parts = x
    for number in range(len(network.convs)):
        parts = network.step(number, parts)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-4)
    assert torch.equal(network(x), labels.to(torch.float32))
    assert len(labels.unique()) > 1


def test_a_step_leaves_its_input_as_it_was_and_gives_the_same_again() -> None:
    network, x = small(), torch.rand(1, 1, 20, 8, 8)
    before = x.clone()
    first = network.step(0, x)
    assert torch.equal(x, before)
    assert torch.equal(network.step(0, x), first)


def test_a_label_depends_on_nothing_beyond_the_networks_reach(network: MeshNet) -> None:
    assert REACH == sum(DILATIONS) == 46
    x = torch.rand(1, 1, REACH + 3, 4, 4)
    other = x.clone()
    other[:, :, REACH + 1 :] += 1.0
    a, b = x, other
    for number in range(len(DILATIONS)):
        a, b = network.step(number, a), network.step(number, b)
    assert torch.equal(a[:, :, 0], b[:, :, 0])
    assert not torch.equal(a[:, :, 1], b[:, :, 1])


def test_cancelling_ends_between_two_slabs() -> None:
    looked: list[None] = []

    def check() -> None:
        looked.append(None)
        if len(looked) == 2:
            raise Cancelled("the work was cancelled")

    with pytest.raises(Cancelled):
        small().step(0, torch.rand(1, 1, 64, 4, 4), check)
    assert len(looked) == 2


def test_the_conversion_gives_the_bytes_that_the_manifest_names(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.safetensors"
    assert brainchop.main([str(published), str(out)]) == 0
    stated = read(SHIPPED / "brain_volumetry.toml").weights[0]
    assert hashlib.sha256(out.read_bytes()).hexdigest() == stated.sha256
    assert stated.sha256 in capsys.readouterr().out
    assert hashlib.sha256((published / "model.bin").read_bytes()).hexdigest() in stated.source


def test_wrong_arguments_are_told_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert brainchop.main(["one"]) == 2
    assert "MODEL_FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize("other", ["mindgrab", "model21_104class"])
def test_networks_with_other_layers_are_refused(
    reference_dir: Path, tmp_path: Path, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (reference_dir / FOLDER / other).is_dir():
        pytest.skip(f"{other} is not among the reference data")
    out = tmp_path / "out.safetensors"
    assert brainchop.main([str(reference_dir / FOLDER / other), str(out)]) == 1
    assert "not convolutions with ELU" in capsys.readouterr().err
    assert not out.exists()


def _strided(model: dict[str, object]) -> None:
    _layers(model)[1]["config"]["strides"] = [2, 2, 2]


def _wide(model: dict[str, object]) -> None:
    _layers(model)[1]["config"]["kernel_size"] = [5, 5, 5]


def _nameless(model: dict[str, object]) -> None:
    del _layers(model)[1]["config"]["name"]


def _layers(model: dict[str, object]) -> list[dict[str, dict[str, object]]]:
    topology = model["modelTopology"]
    assert isinstance(topology, dict)
    layers = topology.get("model_config", topology)["config"]["layers"]
    assert isinstance(layers, list)
    return layers


@pytest.mark.parametrize("change", [_strided, _wide, _nameless])
def test_a_model_that_meshnet_does_not_compute_is_refused(published: Path, tmp_path: Path, change: object) -> None:
    folder = tmp_path / "model"
    shutil.copytree(published, folder)
    model = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert callable(change)
    change(model)
    (folder / "model.json").chmod(0o644)
    (folder / "model.json").write_text(json.dumps(model), encoding="utf-8")
    with pytest.raises(InvalidInput):
        brainchop.convert(folder)


def test_a_file_of_weights_that_was_cut_short_is_refused(published: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(published, folder)
    (folder / "model.bin").chmod(0o644)
    (folder / "model.bin").write_bytes((published / "model.bin").read_bytes()[:-4])
    with pytest.raises(InvalidInput, match="want a folder with"):
        brainchop.convert(folder)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        brainchop.convert(tmp_path)

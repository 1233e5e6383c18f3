"""The parts of the training of the chest radiograph model, each against something computed in another way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from models.chest_network import KINDS
from models.efficientnet_lite import EfficientNetLite
from models.training import calibrate, chest_gate, kinds, ridge
from models.training.augment import altered
from models.training.images import Case, folds
from models.training.loop import Material, Recipe, train


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors on several threads wait for each other where other tests run beside them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def cases(count: int) -> list[Case]:
    """Two or three images of each patient, a rare and a common label, two sources."""
    return [
        Case(f"{i}.jpg", frozenset({"Rare" if i % 17 == 0 else "Common"}), str(i * 2 // 5), 50, "F", "PA", "ab"[i % 2])
        for i in range(count)
    ]


def test_no_patient_is_in_two_folds_and_a_rare_label_is_in_each() -> None:
    rows = cases(300)
    fold = folds(rows, 5, 0)
    of: dict[str, set[int]] = {}
    for row, index in zip(rows, fold.tolist(), strict=True):
        of.setdefault(row.patient, set()).add(index)
    assert all(len(found) == 1 for found in of.values())
    assert np.bincount(fold).min() >= 50
    rare = np.bincount(fold[[("Rare" in row.labels) for row in rows]], minlength=5)
    assert rare.max() - rare.min() <= 1
    assert np.array_equal(fold, folds(rows, 5, 0))


def test_the_plain_reader_is_ridge_regression() -> None:
    torch.manual_seed(0)
    features = torch.randn(40, 384, 8, 8)
    targets = (torch.rand(40, 2) < 0.4).float()
    fitted = ridge.fit(features, targets, penalty=5.0)
    # At the optimum the residuals, spread by the inner products of the items, are the penalty times the fitted part.
    parts = [features[:, :80].flatten(1), features[:, 192:].flatten(1)]
    parts += [features[:, part].mean(dim=(2, 3)) for part in (slice(0, 80), slice(80, 192), slice(192, 384))]
    rows = torch.cat([_scaled(part) for part in parts], dim=1)
    scores = fitted.scores(features)
    left, right = rows @ (rows.T @ (targets - scores)), 5.0 * (scores - targets.mean(dim=0))
    assert torch.allclose(left, right, atol=2e-3 * float(right.abs().max()))


def _scaled(part: torch.Tensor) -> torch.Tensor:
    """Each column around zero, and all of them together of a size near one."""
    scaled: torch.Tensor = (part - part.mean(dim=0)) / (part.std(dim=0) + 1e-3 * part.std()) / part.shape[1] ** 0.5
    return scaled


def test_two_scores_become_a_probability_that_is_true_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    signal = random.normal(size=(20000, 1))
    truth = random.random((20000, 1)) < 1 / (1 + np.exp(2.0 - signal))
    members = 5.0 * (signal + 0.01 * random.normal(size=signal.shape)) + 3.0
    plain = 0.1 * (signal + 0.01 * random.normal(size=signal.shape))
    joined = calibrate.join(members, plain, truth).logits(members, plain)
    assert np.abs(joined - (signal - 2.0)).mean() < 0.1


@pytest.mark.parametrize(("sensitivity", "expected"), [(0.8, 0.3), (0.75, 0.3), (0.2, 0.9), (1.0, 0.1)])
def test_a_threshold_is_the_highest_that_still_calls_enough(sensitivity: float, expected: float) -> None:
    truth = np.array([True] * 5 + [False] * 3)
    chances = np.array([0.9, 0.7, 0.5, 0.3, 0.1, 0.8, 0.2, 0.0])
    assert calibrate.threshold(chances, truth, sensitivity) == pytest.approx(expected, abs=1.1e-3)
    assert (chances[truth] >= calibrate.threshold(chances, truth, sensitivity)).mean() >= sensitivity


def test_the_same_seed_alters_images_in_the_same_way_and_another_one_does_not() -> None:
    images = torch.rand(4, 1, 64, 64)
    first, again, other = (altered(images, torch.Generator().manual_seed(seed)) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert 0.0 <= float(first.min()) <= float(first.max()) <= 1.0


@pytest.mark.parametrize(
    ("kind", "undo"),
    [
        ("inverted", lambda image: 1.0 - image),
        ("turned left", lambda image: torch.rot90(image, -1, dims=(2, 3))),
        ("turned right", lambda image: torch.rot90(image, 1, dims=(2, 3))),
        ("upside down", lambda image: torch.rot90(image, 2, dims=(2, 3))),
    ],
    ids=lambda value: value if isinstance(value, str) else "undo",
)
def test_a_spoiled_image_is_what_its_name_says(kind: str, undo: Callable[[torch.Tensor], torch.Tensor]) -> None:
    images = torch.rand(2, 1, 256, 256)
    generator = torch.Generator().manual_seed(0)
    assert torch.allclose(undo(kinds.spoiled(images, kind, generator)), images)


def test_the_gate_tells_kinds_apart_and_is_far_from_what_it_never_saw() -> None:
    torch.manual_seed(4)
    centres, spread = torch.randn(len(KINDS), 2560), torch.randn(5, 2560)

    def pictures(kind: int, count: int) -> torch.Tensor:
        return centres[kind] + 0.2 * torch.randn(count, 5) @ spread + 0.1 * torch.randn(count, 2560)

    groups = [chest_gate.Group(name, kind, pictures(kind, 70), np.full(70, -1)) for kind, name in enumerate(KINDS)]
    gate = chest_gate.fit(groups)
    with torch.inference_mode():
        for kind in range(len(KINDS)):
            logits, _ = gate(pictures(kind, 20))
            assert (logits.argmax(dim=1) == kind).all()
        _, near = gate(pictures(0, 20))
        _, far = gate(torch.randn(20, 2560))
    assert float(far.min()) > 2.0 * float(near.max())


def test_training_learns_what_is_there_and_leaves_the_depthwise_kernels_alone() -> None:
    torch.manual_seed(5)
    targets = (torch.arange(64) % 2).float()[:, None]
    outputs = torch.randn(64, 80, 4, 4) + 2.0 * targets[:, :, None, None]
    top = EfficientNetLite(1, channels=1).top(8)
    before = {name: tensor.clone() for name, tensor in top.state_dict().items()}
    losses: list[float] = []
    trained = train(
        top, Material([outputs.bfloat16()], targets), torch.arange(64),
        recipe=Recipe(epochs=3, batch=16), seed=0, log=lambda text, _: losses.append(float(text.split()[-1])),
    )  # fmt: skip
    assert losses[-1] < losses[0]
    after = trained.state_dict()
    assert torch.equal(after["blocks.0._depthwise_conv.weight"], before["blocks.0._depthwise_conv.weight"])
    assert not torch.equal(after["blocks.0._project_conv.weight"], before["blocks.0._project_conv.weight"])

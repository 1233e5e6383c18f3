"""The head model's tiling against the published one, 110 voxels in and 30 out, in the same run on the same network."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from models import head_ct_hemorrhage as model
from models import weights
from models.deepmedic import CONTEXT, DeepMedic
from models.direct import Direct
from models.head import Labels
from models.head_ct_hemorrhage import IPH, Prepared
from models.phantom_head import Head, Lesion, head_phantom
from models.task import Task
from models.tiling import Tile
from tests.unit.head_cases import manifest, stored, with_weights

pytestmark = [pytest.mark.bench, with_weights]
_PUBLISHED = 30
#: Every so many tiles of the published way are timed, no divisor of a row; all of them take many minutes.
_EVERY = 13
#: No label: the tile was left out.
NOT_SEEN = 255


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("head")
    lesions = (Lesion((15.0, -20.0, -32.0), (15.0, 15.0, 15.0)), Lesion((-5.0, 45.0, 30.0), (8.0, 8.0, 8.0), 60.0))
    volume = stored(head_phantom(Head(spacing_mm=(2.5, 0.9, 0.9), lesions=lesions)), folder)
    return model.prepare(manifest(1), volume, Task(folder, lambda: False))


def published(shape: tuple[int, ...]) -> list[Tile]:
    """Tiles of 30 voxels over the whole image, as its authors cut it."""
    starts = product(*(range(0, side, _PUBLISHED) for side in shape))
    return [Tile((z, y, x), (_PUBLISHED, _PUBLISHED, _PUBLISHED)) for z, y, x in starts]


def seconds_each(
    answer: Callable[[torch.Tensor], torch.Tensor], head: Prepared, some: list[Tile]
) -> tuple[float, Labels]:
    """How long one tile takes, and the labels of all of them; 255 where none was."""
    labels = np.full(head.x.shape, 255, dtype=np.uint8)
    start = time.perf_counter()
    for tile in some:
        tile.put(labels, answer(tile.field(head.x, CONTEXT // 2))[0].argmax(0).to(torch.uint8).numpy())
    return (time.perf_counter() - start) / len(some), labels


def test_large_tiles_in_the_head_give_the_labels_of_small_ones_everywhere_three_times_as_fast(
    head: Prepared, tmp_path: Path
) -> None:
    one, task = manifest(1), Task(tmp_path, lambda: False)
    network = Direct(one, model).network(task)
    network(*model.warm(one))
    start = time.perf_counter()
    ours = model.infer(network, head, task).labels
    took = time.perf_counter() - start
    every = published(head.x.shape)
    member = torch.tensor([[0]])
    fast, theirs = seconds_each(lambda x: network(x, member)[0], head, every[::_EVERY])
    seen = theirs != NOT_SEEN
    plain = DeepMedic().eval().requires_grad_(False)
    plain.load_state_dict(weights.load(one, "model_1.pt"), strict=True)
    middle = len(every) // 2
    slow, exact = seconds_each(plain, head, every[middle : middle + 2])
    small, as_published = fast * len(every), slow * len(every)
    print(f"\none network: {took:.1f} s for the head; {len(every)} tiles of 30 over the image:")
    print(f"  {small:.1f} s by the same network, {small / took:.1f} times as long")
    print(f"  {as_published:.1f} s by the network as published, {as_published / took:.1f} times as long")
    for name, part in (("head", seen & head.head.skull), ("image", seen), ("published", exact != NOT_SEEN)):
        agreement = float((ours == (exact if name == "published" else theirs))[part].mean())
        print(f"labels agree in {100 * agreement:.4f} % ({name}, {int(part.sum())} voxels)")
        assert agreement >= 0.999
    assert (ours == IPH).sum() > 5000
    assert as_published >= 3.0 * took


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_half_precision_gives_the_labels_of_full_precision_and_the_whole_ensemble_takes_seconds(
    head: Prepared, tmp_path: Path
) -> None:
    device, task = torch.device("cuda"), Task(tmp_path, lambda: False)
    exact = manifest()
    half = replace(exact, runtime=replace(exact.runtime, half="fp16"))
    head = replace(head, members=12)
    answers = []
    for one in (exact, half):
        network = Direct(one, model, device).network(task)
        model.infer(network, head, task)
        start = time.perf_counter()
        answers.append(model.infer(network, head, task).labels)
        took = time.perf_counter() - start
        print(f"\n{one.runtime.half}: {took:.2f} s for twelve networks")
    assert (answers[0] == answers[1]).mean() >= 0.999
    assert took < 5.0

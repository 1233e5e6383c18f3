"""What only a GPU shows: half precision held to full precision, buffers used again, its memory running out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from models.compute import Compute
from models.direct import Direct
from models.efficientnet_lite import EfficientNetLite
from models.ledger import Ledger
from models.manifest import Execution, Manifest
from models.registry import load
from models.residents import Loaded, Residents
from models.task import Task

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")

CUDA = torch.device("cuda")


def manifest(**how: object) -> Manifest:
    return replace(load()["ct_lung_density"], runtime=replace(Execution(), **how), weights=())


def network(_manifest: Manifest, device: torch.device) -> torch.nn.Module:
    torch.manual_seed(11)
    return EfficientNetLite(14).eval().to(device)


@pytest.mark.parametrize(("half", "most"), [("no", 1e-3), ("fp16", 2e-2), ("bf16", 1e-1)])
@pytest.mark.parametrize("channels_last", [False, True], ids=["channels-first", "channels-last"])
def test_the_gpu_answers_as_the_cpu_does(tmp_path: Path, half: str, most: float, channels_last: bool) -> None:
    torch.manual_seed(12)
    images = torch.rand(5, 3, 224, 224) * 2.0 - 1.0
    module = SimpleNamespace(build=network)
    how = manifest(max_batch=4, half=half, channels_last=channels_last)
    task = Task(tmp_path, lambda: False)
    (wanted,) = Direct(how, module).network(task)(images)
    (got,) = Direct(how, module, CUDA).network(task)(images)
    assert task.device.startswith("cuda")
    assert got.dtype == torch.float32
    assert float((got - wanted).abs().max()) <= most * float(wanted.abs().max())


def test_a_batch_that_is_filled_again_does_not_change_earlier_answers(tmp_path: Path) -> None:
    direct = Direct(manifest(max_batch=3), SimpleNamespace(build=lambda _manifest, _device: torch.nn.Identity()), CUDA)
    run = direct.network(Task(tmp_path, lambda: False))
    first = run(torch.full((3, 1000), 1.0))[0]
    second = run(torch.full((2, 1000), 2.0))[0]
    assert (first == 1.0).all()
    assert (second == 2.0).all()


class Hungry(torch.nn.Module):
    """Needs half of the memory for each item."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type == "cpu":
            return x + 1.0
        total = torch.cuda.get_device_properties(0).total_memory
        held = [torch.empty(int(total * 0.45), dtype=torch.uint8, device=x.device) for _ in range(len(x))]
        return x + float(len(held) > 0)


def test_real_shortage_is_answered_by_smaller_batches() -> None:
    ledger = Ledger()
    compute = Compute(CUDA, Residents(0, ledger), ledger)
    model = Loaded(manifest(max_batch=8), SimpleNamespace(build=lambda _manifest, device: Hungry().to(device)))
    outputs, where = compute.run(model, "kind", (torch.zeros(8, 4),))
    assert (outputs[0] == 1.0).all()
    assert where.type == "cuda"
    assert any(count.what == "smaller" for count in ledger.take())

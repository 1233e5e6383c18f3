"""A network without the inference process: for commands that run one model at a time, and for tests of models."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

import torch

from cds.domain.finding import Findings
from cds.domain.imaging import ModelInput
from models.compute import CPU, Compute, Tensors
from models.ledger import Ledger
from models.manifest import Manifest
from models.residents import Loaded, Residents
from models.task import Task

T = TypeVar("T")


class DirectNetwork:
    """`models.network.Network` in the caller's own thread: the same forwards, nobody to share a batch with."""

    def __init__(self, model: Loaded, compute: Compute, task: Task) -> None:
        self._model = model
        self._task = task
        self._compute = compute
        self._on_cpu = compute.device == CPU

    @property
    def device(self) -> torch.device:
        """Where it runs; the CPU once the device had too little memory even for one item."""
        return CPU if self._on_cpu else self._compute.device

    def __call__(self, *items: torch.Tensor) -> Tensors:
        """See `models.network.Network`."""
        kind = tuple((tuple(x.shape[1:]), x.dtype) for x in items)
        parts: list[Tensors] = []
        at = 0
        while at < len(items[0]):
            self._task.check()
            end = at + self._compute.limit(self._model, kind)
            batch = tuple(x[at:end] for x in items)
            part, where = self._compute.run(self._model, kind, batch, on_cpu=self._on_cpu)
            self._note(where)
            parts.append(part)
            at = end
        return parts[0] if len(parts) == 1 else tuple(map(torch.cat, zip(*parts, strict=True)))

    def alone(self, work: Callable[[torch.nn.Module, torch.device], T]) -> T:
        """See `models.network.Network`."""
        self._task.check()
        result, where = self._compute.alone(self._model, work)
        self._note(where)
        return result

    def _note(self, where: torch.device) -> None:
        self._on_cpu = where == CPU
        self._task.device = str(where)


class Direct:
    """One model in this process; its network is built at the first use and kept."""

    def __init__(self, manifest: Manifest, module: ModuleType, device: torch.device = CPU) -> None:
        ledger = Ledger()
        self._model = Loaded(manifest, module)
        self._compute = Compute(device, Residents(0, ledger), ledger)

    def network(self, task: Task) -> DirectNetwork:
        """The network as `infer` is given it."""
        return DirectNetwork(self._model, self._compute, task)

    def run(self, given: ModelInput, task: Task) -> Findings:
        """Prepare, infer, interpret; raise NotEvaluable where the model refuses, and what else it raises."""
        manifest, module = self._model.manifest, self._model.module
        prepared = module.prepare(manifest, given, task)
        raw = module.infer(self.network(task), prepared, task)
        findings: Findings = module.interpret(manifest, given, prepared, raw, task)
        return findings


def run(manifest: Manifest, module: ModuleType, given: ModelInput, task: Task, device: torch.device = CPU) -> Findings:
    """One model on one input, once; raise as `Direct.run` does."""
    return Direct(manifest, module, device).run(given, task)

"""Networks in memory: built when wanted, the one that was used least recently leaves first, within a budget.

Only the thread that works on the device builds and drops; any thread may say that it uses one.
"""

from __future__ import annotations

import gc
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import torch

from models.ledger import Ledger
from models.manifest import Manifest

_MB = 2**20
#: A tensor of an image or of a volume, by its dimensions, and how its channels lie together.
_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


@dataclass(frozen=True)
class Loaded:
    """A model's manifest and the module that has its four functions."""

    manifest: Manifest
    module: ModuleType

    @property
    def id(self) -> str:
        """The model's id, as in its manifest."""
        return self.manifest.id


@dataclass(frozen=True)
class _Resident:
    network: torch.nn.Module
    mb: int


class Residents:
    """The networks by model and device. `budget_mb` bounds what they need together; 0 is no bound.

    A network in use is never dropped: while all are, the budget is exceeded rather than that anybody waits for
    another's end, and kept again when the next network is asked for.
    """

    def __init__(self, budget_mb: int, ledger: Ledger) -> None:
        self._budget_mb = budget_mb
        self._ledger = ledger
        self._lock = threading.Lock()
        self._in_use: Counter[str] = Counter()
        self._networks: OrderedDict[tuple[str, str], _Resident] = OrderedDict()

    @contextmanager
    def using(self, model: Loaded) -> Iterator[None]:
        """Keep the model's networks in memory for a while, once they are there."""
        with self._lock:
            self._in_use[model.id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_use[model.id] -= 1

    def get(self, model: Loaded, device: torch.device) -> torch.nn.Module:
        """The network on the device, built where it is not there; raise what the model's `build` raises."""
        key = (model.id, str(device))
        if key not in self._networks:
            self._make_room(model.manifest.runtime.memory_mb, model.id)
            network = _settled(model.module.build(model.manifest, device), model.manifest)
            self._networks[key] = _Resident(network, max(model.manifest.runtime.memory_mb, _size_mb(network)))
        self._networks.move_to_end(key)
        self._make_room(0, model.id)
        return self._networks[key].network

    def fits(self, model: Loaded) -> bool:
        """True where the network needs nobody else's room, as far as its manifest says."""
        return not self._budget_mb or self._total_mb() + model.manifest.runtime.memory_mb <= self._budget_mb

    def drop_others(self, model: Loaded) -> bool:
        """Drop every network that is not in use and not the model's; False where there is none."""
        idle = self._idle(model.id)
        for key in idle:
            self._drop(key)
        return bool(idle)

    def _make_room(self, wanted_mb: int, for_id: str) -> None:
        if not self._budget_mb:
            return
        for key in self._idle(for_id):
            if self._total_mb() + wanted_mb <= self._budget_mb:
                return
            self._drop(key)

    def _idle(self, but_id: str) -> list[tuple[str, str]]:
        with self._lock:
            return [key for key in self._networks if key[0] != but_id and not self._in_use[key[0]]]

    def _drop(self, key: tuple[str, str]) -> None:
        del self._networks[key]
        self._ledger.count("evicted", *key)
        gc.collect()
        free(torch.device(key[1]))

    def _total_mb(self) -> int:
        return sum(resident.mb for resident in self._networks.values())


def free(device: torch.device) -> None:
    """Give back to the device what the allocator keeps for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def laid_out(tensor: torch.Tensor, *, channels_last: bool) -> torch.Tensor:
    """The tensor with its channels together, where that is wanted and its dimensions have a name for it."""
    wanted = _FORMATS.get(tensor.dim()) if channels_last else None
    return tensor.contiguous(memory_format=wanted) if wanted is not None else tensor


def _settled(network: torch.nn.Module, manifest: Manifest) -> torch.nn.Module:
    """Without gradients, in the layout that the manifest wants."""
    network.requires_grad_(False)
    if manifest.runtime.channels_last:
        for parameter in network.parameters():
            parameter.data = laid_out(parameter.data, channels_last=True)
    return network


def _size_mb(network: torch.nn.Module) -> int:
    tensors = (*network.parameters(), *network.buffers())
    return -(-sum(tensor.numel() * tensor.element_size() for tensor in tensors) // _MB)

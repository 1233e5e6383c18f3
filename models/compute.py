"""Forwards on the device: precision, layout, pinned buffers, and what is done where memory is short.

Too little memory is answered by half the batch; at one item by dropping networks that nobody uses, then by the CPU; on
the CPU by OutOfResources. Nothing is lost: the items are on the CPU until their answer is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

import torch

from cds.errors import OutOfResources
from models.ledger import Ledger
from models.manifest import Manifest
from models.residents import Loaded, Residents, free, laid_out

T = TypeVar("T")
Tensors = tuple[torch.Tensor, ...]

CPU = torch.device("cpu")
#: After so many batches at a lowered limit a batch of twice the size is tried: memory may be free again.
_PATIENCE = 100
#: Pinned buffers that are kept, and the most bytes of one: locked pages are lost for everybody else.
_BUFFERS = 8
_BUFFER_BYTES = 256 * 2**20
_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
#: What backends without an error of their own say where memory is short.
_SHORT = ("can't allocate memory", "not enough memory", "ALLOC_FAILED", "out of memory")


class Compute:
    """Runs networks on one device, in one thread. float32 is float32 there: no TF32 behind anybody's back."""

    def __init__(self, device: torch.device, residents: Residents, ledger: Ledger) -> None:
        self.device = device
        self.residents = residents
        self._ledger = ledger
        self._limits: dict[Hashable, tuple[int, int]] = {}
        self._pinned: OrderedDict[Hashable, torch.Tensor] = OrderedDict()
        if device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = False

    def limit(self, model: Loaded, kind: Hashable) -> int:
        """How many items of that kind may go at once, as far as is known now."""
        most = model.manifest.runtime.max_batch
        lowered, batches = self._limits.get((model.id, kind), (most, 0))
        if batches < _PATIENCE:
            return lowered
        self._limits[model.id, kind] = (min(lowered * 2, most), 0)
        return min(lowered * 2, most)

    def run(
        self, model: Loaded, kind: Hashable, items: Tensors, *, on_cpu: bool = False
    ) -> tuple[Tensors, torch.device]:
        """The network's outputs for these items, float32 on the CPU, and where the last of them was computed.

        Raise OutOfResources where even the CPU has too little memory for one item, and what the network raises.
        """
        device = CPU if on_cpu else self.device
        count = len(items[0])
        done = self._attempt(model, device, lambda network, where: self._forward(network, where, items, model.manifest))
        if done is not None:
            self._note(model, kind, device, count)
            return done[0], device
        if count > 1:
            return self._halved(model, kind, items, on_cpu=on_cpu)
        if self.residents.drop_others(model):
            return self.run(model, kind, items, on_cpu=on_cpu)
        self._refuse_on_cpu(model, device)
        return self.run(model, kind, items, on_cpu=True)

    def alone(self, model: Loaded, work: Callable[[torch.nn.Module, torch.device], T]) -> tuple[T, torch.device]:
        """Do `work` with the network; again after others were dropped, then on the CPU, where memory is short."""
        device = self.device
        while True:
            done = self._attempt(model, device, work)
            if done is not None:
                return done[0], device
            if self.residents.drop_others(model):
                continue
            self._refuse_on_cpu(model, device)
            device = CPU

    def _attempt(
        self, model: Loaded, device: torch.device, work: Callable[[torch.nn.Module, torch.device], T]
    ) -> tuple[T] | None:
        """What `work` answers; None where memory was short, once everything it held is let go."""
        try:
            network = self.residents.get(model, device)
            with _precision(model.manifest.runtime.half, device):
                return (work(network, device),)
        except (RuntimeError, MemoryError) as error:
            if not _is_short_of_memory(error):
                raise
        free(device)
        return None

    def _forward(self, network: torch.nn.Module, device: torch.device, items: Tensors, manifest: Manifest) -> Tensors:
        channels_last = manifest.runtime.channels_last
        moved = [laid_out(self._moved(x, device, place), channels_last=channels_last) for place, x in enumerate(items)]
        answer = network(*moved)
        outputs = (answer,) if isinstance(answer, torch.Tensor) else tuple(answer)
        for output in outputs:
            if output.dim() == 0 or len(output) != len(items[0]):
                raise ValueError(f"the network answers {tuple(output.shape)} for {len(items[0])} items")
        return tuple(output.to("cpu", torch.float32) for output in outputs)

    def _halved(self, model: Loaded, kind: Hashable, items: Tensors, *, on_cpu: bool) -> tuple[Tensors, torch.device]:
        half = len(items[0]) // 2
        self._ledger.count("smaller", model.id, self.device)
        self._limits[model.id, kind] = (half, 0)
        first, where = self.run(model, kind, tuple(x[:half] for x in items), on_cpu=on_cpu)
        second, there = self.run(model, kind, tuple(x[half:] for x in items), on_cpu=where == CPU)
        return tuple(torch.cat(parts) for parts in zip(first, second, strict=True)), there

    def _refuse_on_cpu(self, model: Loaded, device: torch.device) -> None:
        answer: Literal["cpu", "refused"] = "refused" if device == CPU else "cpu"
        self._ledger.count(answer, model.id, device)
        if answer == "refused":
            raise OutOfResources("the inference process has too little memory for these images")

    def _note(self, model: Loaded, kind: Hashable, device: torch.device, count: int) -> None:
        self._ledger.count("batches", model.id, device)
        self._ledger.count("items", model.id, device, count)
        if (model.id, kind) in self._limits:
            lowered, batches = self._limits[model.id, kind]
            self._limits[model.id, kind] = (lowered, batches + 1)

    def _moved(self, x: torch.Tensor, device: torch.device, place: int) -> torch.Tensor:
        """On the device; by way of a page-locked buffer on CUDA, which is used again once the answer is here."""
        if device.type != "cuda" or x.nbytes > _BUFFER_BYTES:
            return x.to(device)
        key = (place, x.dtype, x.shape[1:])
        buffer = self._pinned.pop(key, None)
        if buffer is None or len(buffer) < len(x):
            buffer = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
        self._pinned[key] = buffer
        while len(self._pinned) > _BUFFERS:
            self._pinned.popitem(last=False)
        return buffer[: len(x)].copy_(x).to(device, non_blocking=True)


@contextmanager
def _precision(half: Literal["no", "bf16", "fp16"], device: torch.device) -> Iterator[None]:
    """No gradients; half precision on a GPU where the manifest allows it."""
    with torch.no_grad():
        if half == "no" or device.type != "cuda":
            yield
        else:
            with torch.autocast(device.type, _HALVES[half]):
                yield


def _is_short_of_memory(error: RuntimeError | MemoryError) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return any(words in text for words in _SHORT)

"""A model's network on its device, as `infer` is given it: batching, half precision and memory are behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


class Network(Protocol):
    """One model's network. Items of several requests share a batch; urgent ones go first."""

    @property
    def device(self) -> torch.device:
        """Where it runs; the CPU once the device had too little memory even for one item."""
        ...

    def __call__(self, *items: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run items and wait: tensors on the CPU whose first dimension counts items, answered in the same order.

        The answer is one float32 tensor on the CPU for each output of the module. At most `runtime.max_batch` items go
        at once, halved where memory is short, and to the CPU where one is too much. Raise Cancelled where the work is
        no longer wanted, OutOfResources where even the CPU has no memory.
        """
        ...

    def alone(self, work: Callable[[torch.nn.Module, torch.device], T]) -> T:
        """Run `work` while nothing else uses the device; repeated on the CPU where it ran out of memory."""
        ...

"""What a model is given beside its input while it works on one request, and how it says no."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cds.errors import NotEvaluable, SightlineError


class Cancelled(SightlineError):
    """The work is no longer wanted; what was computed so far is thrown away."""


class ModelFailed(SightlineError):
    """A model ended in an error that it does not know; the text names the kind of error and the place, nothing else."""


class Refused(NotEvaluable):
    """Several gates refuse at once; `reasons` has one sentence each, `gate` is the first."""

    def __init__(self, refusals: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(reason for _, reason in refusals), gate=refusals[0][0])
        self.reasons = tuple(reason for _, reason in refusals)


@dataclass(frozen=True)
class Task:
    """One request: the folder it may write to, whether it is still wanted, how long each step took (ms)."""

    scratch: Path
    cancelled: Callable[[], bool]
    timings_ms: dict[str, float] = field(default_factory=dict)

    def check(self) -> None:
        """Raise Cancelled where the work is no longer wanted; called between batches and steps."""
        if self.cancelled():
            raise Cancelled("the work was cancelled")

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Look at the cancel token, then time what happens inside."""
        self.check()
        start = time.perf_counter()
        yield
        self.timings_ms[name] = round((time.perf_counter() - start) * 1000.0, 1)

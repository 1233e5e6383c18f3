"""What a model is given beside its input while it works on one request, and how it says no."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cds.domain.inference import Progress
from cds.errors import Cancelled, NotEvaluable, SightlineError

__all__ = ["Cancelled", "ModelFailed", "Refused", "Task"]


class ModelFailed(SightlineError):
    """A model ended in an error that it does not know; the text names the kind of error and the place, nothing else."""


class Refused(NotEvaluable):
    """Several gates refuse at once; `reasons` has one sentence each, `gate` is the first."""

    def __init__(self, refusals: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(reason for _, reason in refusals), gate=refusals[0][0])
        self.reasons = tuple(reason for _, reason in refusals)


def _nobody(_progress: Progress) -> None:
    return None


@dataclass
class Task:
    """One request: the folder it may write to, whether it is still wanted, how long each step took (ms).

    `told` hears of progress. `device` is where the network ran, "" as long as it did not.
    """

    scratch: Path
    cancelled: Callable[[], bool]
    timings_ms: dict[str, float] = field(default_factory=dict)
    told: Callable[[Progress], None] = _nobody
    device: str = ""
    _steps: list[str] = field(default_factory=list, init=False, repr=False)

    def check(self) -> None:
        """Raise Cancelled where the work is no longer wanted; called between batches and steps."""
        if self.cancelled():
            raise Cancelled("the work was cancelled")

    def progress(self, done: int, total: int) -> None:
        """Say that `done` of `total` parts of the step under way are done; raise Cancelled as `check` does."""
        self.check()
        self.told(Progress(self._steps[-1] if self._steps else "", done, total))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Look at the cancel token, then time what happens inside; a step that comes again adds up."""
        self.check()
        start = time.perf_counter()
        self._steps.append(name)
        try:
            yield
        finally:
            self._steps.pop()
        self.timings_ms[name] = round(self.timings_ms.get(name, 0.0) + (time.perf_counter() - start) * 1000.0, 1)

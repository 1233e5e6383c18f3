"""Waiting for what is away: a step says that it has to wait, or failed, and whoever runs it sleeps and tries again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cds.errors import SightlineError

Step = Callable[..., Any]
#: Sleeps for seconds, durably where an engine runs the steps.
Sleep = Callable[[float], None]

#: With the delays below about an hour, for a disk, database or PACS that is away.
ATTEMPTS = 65
_LONGEST_DELAY_S = 60.0


class StepFailed(SightlineError):
    """A step cannot succeed; the text is for the person who is given the study, and names no value of it."""


def patiently(sleep: Sleep, step: Step, *arguments: Any, attempts: int = ATTEMPTS) -> Any:
    """A step's value; waits while it says so, raises StepFailed where it fails or waited too often."""
    for attempt in range(1, attempts + 1):
        said = step(*arguments)
        if "failed" in said:
            raise StepFailed(said["failed"])
        if "waits" not in said:
            return said["value"]
        sleep(delay_s(attempt))
    raise StepFailed(f"{said['waits']} (tried {attempts} times)")


def delay_s(attempt: int) -> float:
    """Seconds to wait after an attempt that was in vain: a second, then twice as long each time, at most a minute."""
    return min(2.0 ** min(attempt, 10) / 2, _LONGEST_DELAY_S)

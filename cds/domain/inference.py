"""What a model is told of a study beside its images, and of a run beside its input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cds.domain.coding import Coding


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What decides which model looks at which series, beside the images: no name, no identifier.

    `age_years` in completed years at the study; None where birth date or study date is unknown. `procedures` and
    `reasons` are the order's codes, `reason` its words.
    """

    age_years: int | None = None
    study_description: str = ""
    procedures: tuple[Coding, ...] = ()
    reasons: tuple[Coding, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: `done` of `total` parts of one step; `total` may grow."""

    step: str
    done: int
    total: int


def _wanted() -> bool:
    return False


def _untold(_progress: Progress) -> None:
    return None


@dataclass(frozen=True, slots=True)
class RunWish:
    """How a run is wanted: how soon, whether still, and who hears of its progress.

    `urgency` counts as the queue does, 1 is the most urgent.
    """

    urgency: int = 10
    cancelled: Callable[[], bool] = _wanted
    progress: Callable[[Progress], None] = _untold

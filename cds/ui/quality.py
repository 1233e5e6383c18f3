"""What the quality page is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from cds.domain.quality import ModelFigures, QualityDay, QualityRun
from cds.errors import NotFound


@dataclass(frozen=True, slots=True)
class QualityServices:
    """What was computed. The page computes nothing: no statistics wait for a reader."""

    #: The newest run of a day, of the last day for None; raises NotFound.
    newest: Callable[[date | None], QualityRun]
    #: A run by its number; raises NotFound.
    run: Callable[[int], QualityRun]
    #: The days that have figures, the last first.
    days: Callable[[], Sequence[date]]


def model_of(day: QualityDay, model: str, version: str) -> ModelFigures:
    """The figures of one version of a model; raise NotFound."""
    for one in day.models:
        if (one.model, one.version) == (model, version):
            return one
    raise NotFound("no figures of this version of a model were computed on this day")

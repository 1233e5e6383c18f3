"""An earlier study of the same patient that a study is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from cds.domain.finding import ModelOutcome
from cds.domain.imaging import SeriesSummary, Study


@dataclass(frozen=True, slots=True)
class PriorStudy:
    """An earlier study with its series, and what models said of its images; `coming` while more images may come."""

    study: Study
    series: tuple[SeriesSummary, ...]
    coming: bool
    outcomes: tuple[ModelOutcome, ...] = ()

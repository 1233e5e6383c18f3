"""The seam to an installed model: what the pipeline asks of it, whatever runs behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from cds.domain.finding import ModelOutcome
from cds.domain.imaging import InstanceHeader, ModelInput, SeriesSummary
from cds.domain.inference import RunWish, StudyFacts
from cds.domain.longitudinal import Repeatability


class FindingModel(Protocol):
    """An installed model, as the pipeline sees it."""

    @property
    def id(self) -> str:
        """The model's id, as in its manifest."""
        ...

    @property
    def version(self) -> str:
        """The model's version, as in its manifest."""
        ...

    def consumes(self, header: InstanceHeader) -> bool:
        """True where an instance like this may be part of what the model reads."""
        ...

    @property
    def reads(self) -> Literal["volume", "projection"]:
        """Whether it is given a volume or projections."""
        ...

    def choose(self, series: Sequence[SeriesSummary], about: StudyFacts) -> Sequence[SeriesSummary]:
        """The series worth trying, best first; for projections those that it looks at together."""
        ...

    def refusal(self, series: SeriesSummary, about: StudyFacts) -> tuple[str, str] | None:
        """The gate that keeps it from this series, and the reason in words; None where it tries it."""
        ...

    def cautions(self, about: StudyFacts) -> tuple[str, ...]:
        """What the reader must know because it is not known of the study."""
        ...

    def is_urgent(self, about: StudyFacts) -> bool:
        """True where the order's reason makes the study urgent for this model."""
        ...

    @property
    def priors(self) -> int:
        """How many earlier studies it is compared with, at most."""
        ...

    def repeatability(self, key: str) -> Repeatability | None:
        """The error of a finding's measurement; None where none is stated."""
        ...

    def run(self, given: ModelInput, scratch: Path, wish: RunWish) -> ModelOutcome:
        """Infer on the device; a refusal is a NotEvaluated, not an exception.

        Raise Cancelled where `wish` says that the work is no longer wanted, Unavailable or OutOfResources to try again.
        """
        ...

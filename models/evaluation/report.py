"""What an evaluation found, as values: every figure with its interval, and what was left out with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from models.evaluation.figures import Interval

#: What `Figure.measure` may be; a measure of a subgroup is followed by [column=group].
MEASURES = {
    "auc": "AUC",
    "macro_auc": "macro AUC",
    "auc_refused_as_chance": "AUC, a refused image counted as a coin toss",
    "macro_auc_refused_as_chance": "macro AUC, a refused image counted as a coin toss",
    "average_precision": "average precision",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "positive predictive value",
    "npv": "negative predictive value",
    "brier": "Brier score",
    "ece": "expected calibration error",
    "bias": "bias",
    "mean_absolute_error": "mean absolute error",
    "lower_limit_of_agreement": "lower limit of agreement",
    "upper_limit_of_agreement": "upper limit of agreement",
    "correlation": "correlation",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one output, or of all ("" ), in all images or in one group; `n` images or cases are behind it."""

    measure: str
    interval: Interval
    n: int
    output: str = ""
    group: str = ""
    positives: int | None = None

    @property
    def name(self) -> str:
        """The measure with its group: auc[sex=F], auc[within source_repo]."""
        return f"{self.measure}[{self.group}]" if self.group else self.measure


@dataclass(frozen=True, slots=True)
class RefusedCount:
    """How many images were refused at a gate, and the reasons that were told most often."""

    gate: str
    count: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The whole of it. `n` images were asked for, `evaluated` of them were not refused."""

    model: str
    version: str
    dataset: str
    device: str
    n: int
    patients: int
    evaluated: int
    figures: tuple[Figure, ...]
    refused: tuple[RefusedCount, ...] = ()
    notices: tuple[str, ...] = ()
    thresholds: tuple[tuple[str, float], ...] = ()
    by_patient: bool = True
    min_positives: int = 0
    seconds: float = 0.0

    def figure(self, name: str, output: str = "") -> Figure | None:
        """The figure of that name and output; None where there is none."""
        return next((f for f in self.figures if (f.name, f.output) == (name, output)), None)

    def of(self, output: str) -> Iterator[Figure]:
        """The figures of one output."""
        return (figure for figure in self.figures if figure.output == output)

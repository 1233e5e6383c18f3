"""Brock (PanCan) model: how probably a lung nodule on low-dose CT is cancer.

McWilliams et al., N Engl J Med 2013;369:910-919, doi:10.1056/NEJMoa1214726, the full models with and without
spiculation: the predictor is centred at 62 years and 4 nodules, its size term is (d/10)^-0.5 - 1.58113883.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored
from cds.risk._criteria import logistic, not_whole


@dataclass(frozen=True, slots=True)
class _Model:
    constant: float
    age: float
    female: float
    family_history: float
    emphysema: float
    size: float
    part_solid: float
    non_solid: float
    upper_lobe: float
    count: float
    spiculation: float

    def probability(self, known: Mapping[str, Any]) -> float:
        return logistic(
            self.constant
            + self.age * (known["age"] - 62)
            + self.female * (known["sex"] == "female")
            + self.family_history * known["family_history_lung_cancer"]
            + self.emphysema * known["emphysema"]
            + self.size * ((known["diameter_mm"] / 10) ** -0.5 - 1.58113883)
            + self.density(known["nodule_type"])
            + self.upper_lobe * known["upper_lobe"]
            + self.count * (known["nodule_count"] - 4)
            + self.spiculation * known["spiculation"]
        )

    def density(self, kind: str) -> float:
        return 0.0 if kind == "solid" else self.part_solid if kind == "part_solid" else self.non_solid


_WITH_SPICULATION = _Model(
    constant=-6.7892,
    age=0.0287,
    female=0.6011,
    family_history=0.2961,
    emphysema=0.2953,
    size=-5.3854,
    part_solid=0.377,
    non_solid=-0.1276,
    upper_lobe=0.6581,
    count=-0.0824,
    spiculation=0.7729,
)
_WITHOUT_SPICULATION = _Model(
    constant=-6.8071,
    age=0.0321,
    female=0.5635,
    family_history=0.3013,
    emphysema=0.3462,
    size=-5.6693,
    part_solid=0.3395,
    non_solid=-0.3055,
    upper_lobe=0.7116,
    count=-0.0803,
    spiculation=0.0,
)


def with_spiculation(known: Mapping[str, object]) -> float:
    """The probability by the model with spiculation, of inputs that are all known and within their ranges."""
    return _WITH_SPICULATION.probability(known)


def _evaluate(given: Given) -> Answer:
    return not_whole(given, "nodule_count") or Scored(
        {
            "probability_full_with_spiculation": _WITH_SPICULATION.probability(given),
            "probability_full_without_spiculation": _WITHOUT_SPICULATION.probability(given),
        }
    )


SCORE = Score(
    id="brock",
    title="Brock (PanCan) lung nodule malignancy probability",
    source=Source("McWilliams 2013, N Engl J Med 369:910", "https://doi.org/10.1056/NEJMoa1214726"),
    population="current and former smokers with a nodule on screening low-dose CT",
    outcome="the nodule is lung cancer",
    horizon_years=None,
    inputs=(
        # The paper states no bounds. These refuse what cannot be one: CT does not resolve a nodule below 1 mm.
        Input("age", "age", unit="a", low=0, high=130),
        Input("sex", "sex", kind="choice", choices=("female", "male")),
        Input("family_history_lung_cancer", "family history of lung cancer", kind="boolean"),
        Input("emphysema", "emphysema on CT", kind="boolean"),
        Input("diameter_mm", "nodule diameter", unit="mm", low=1, high=300),
        Input("nodule_type", "nodule type", kind="choice", choices=("solid", "part_solid", "non_solid")),
        Input("upper_lobe", "nodule in an upper lobe", kind="boolean"),
        Input("nodule_count", "number of nodules", unit="{count}", low=1, high=1000),
        Input("spiculation", "spiculation", kind="boolean"),
    ),
    outputs=(
        Output("probability_full_with_spiculation", "probability of cancer, full model with spiculation", "1"),
        Output("probability_full_without_spiculation", "probability of cancer, full model without spiculation", "1"),
    ),
    further=(Source("Coefficients, uncentred", "https://pmc.ncbi.nlm.nih.gov/articles/PMC6717521/"),),
    notes=(
        "Made in ever-smokers who were screened: beyond them it is an extrapolation.",
        "The coefficients of the model without spiculation rest on one source; the model with it is the one to use.",
        "The diameter is the longest one, as in the paper; nodules above 30 mm are masses, which it was not made for.",
    ),
    evaluate=_evaluate,
)

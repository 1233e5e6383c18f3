"""Mayo Clinic model: how probably a solitary pulmonary nodule is malignant.

Swensen et al., Arch Intern Med 1997;157:849-855, doi:10.1001/archinte.1997.00440290031002: nodules of 4 to 30 mm.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored
from cds.risk._criteria import logistic


def _evaluate(given: Given) -> Answer:
    x = (
        -6.8272
        + 0.0391 * given.number("age")
        + 0.7917 * given.flag("ever_smoker")
        + 1.3388 * given.flag("extrathoracic_cancer_gt5y")
        + 0.1274 * given.number("diameter_mm")
        + 1.0407 * given.flag("spiculation")
        + 0.7838 * given.flag("upper_lobe")
    )
    return Scored({"probability": logistic(x)})


SCORE = Score(
    id="mayo",
    title="Mayo Clinic solitary pulmonary nodule malignancy probability",
    source=Source("Swensen 1997, Arch Intern Med 157:849", "https://doi.org/10.1001/archinte.1997.00440290031002"),
    population="adults with one indeterminate nodule of 4 to 30 mm and no cancer within the past 5 years",
    outcome="the nodule is malignant",
    horizon_years=None,
    inputs=(
        # The paper bounds the diameter only; the bounds of age refuse what cannot be one.
        Input("age", "age", unit="a", low=0, high=130),
        Input("ever_smoker", "ever smoked", kind="boolean"),
        Input("extrathoracic_cancer_gt5y", "extrathoracic cancer more than 5 years ago", kind="boolean"),
        Input("diameter_mm", "nodule diameter", unit="mm", low=4, high=30),
        Input("spiculation", "spiculation", kind="boolean"),
        Input("upper_lobe", "nodule in an upper lobe", kind="boolean"),
    ),
    outputs=(Output("probability", "probability of malignancy", "1"),),
    notes=(
        "The intercept is -6.8272; -6.872 and -6.8238, which are also in print, are misprints.",
        "Not for a nodule in somebody with lung cancer, or with another cancer within the past 5 years.",
    ),
    evaluate=_evaluate,
)

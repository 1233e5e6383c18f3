"""HAS-BLED: risk of major bleeding in atrial fibrillation under anticoagulation.

Pisters R et al., Chest 2010;138(5):1093-1100, doi:10.1378/chest.10-0134: one point for each of nine items.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored

_ITEMS = (
    ("hypertension_uncontrolled", "uncontrolled hypertension (systolic above 160 mmHg)"),
    ("abnormal_renal_function", "dialysis, transplant or creatinine of 200 umol/L or more"),
    ("abnormal_liver_function", "cirrhosis, bilirubin above twice or transaminases above three times the normal limit"),
    ("stroke", "previous stroke"),
    ("bleeding_history", "previous bleeding or predisposition to it"),
    ("labile_inr", "labile INR"),
    ("elderly_over_65", "age above 65"),
    ("drugs_antiplatelet_nsaid", "antiplatelet drug or NSAID"),
    ("alcohol_excess", "alcohol excess (8 or more drinks a week)"),
)


def _evaluate(given: Given) -> Answer:
    return Scored({"has_bled": sum(given.flag(name) for name, _ in _ITEMS)})


SCORE = Score(
    id="has_bled",
    title="HAS-BLED",
    source=Source("Pisters 2010, HAS-BLED", "https://doi.org/10.1378/chest.10-0134"),
    population="adults with atrial fibrillation",
    outcome="major bleeding",
    horizon_years=1,
    inputs=tuple(Input(name, title, kind="boolean") for name, title in _ITEMS),
    outputs=(Output("has_bled", "HAS-BLED", "{score}"),),
    notes=("A high score asks to treat what can be treated; it is no reason by itself to withhold anticoagulation.",),
    evaluate=_evaluate,
)

"""MESA: 10-year risk of coronary heart disease with and without the coronary calcium score.

McClelland RL et al., J Am Coll Cardiol 2015;66(15):1643-1653, doi:10.1016/j.jacc.2015.08.035.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored
from cds.risk._cardiovascular import SEX

_SURVIVAL_WITH, _SURVIVAL_WITHOUT = 0.99833, 0.99963
#: By term: with the calcium score, without it.
_COEFFICIENTS = {
    "age": (0.0172, 0.0455),
    "male": (0.4079, 0.7496),
    "chinese": (-0.3475, -0.5055),
    "black": (0.0353, -0.2111),
    "hispanic": (-0.0222, -0.19),
    "diabetes": (0.3892, 0.5168),
    "current_smoker": (0.3717, 0.4732),
    "total_cholesterol_mg_dl": (0.0043, 0.0053),
    "hdl_mg_dl": (-0.0114, -0.014),
    "lipid_lowering_med": (0.1206, 0.2473),
    "sbp_mm_hg": (0.0066, 0.0085),
    "bp_treated": (0.2278, 0.3381),
    "family_history_mi": (0.3239, 0.4522),
}
_LN_CAC_PLUS_1 = 0.2743


def _evaluate(given: Given) -> Answer:
    """Without a calcium score only the equation that does without it can be answered."""
    terms = _terms(given)
    outputs = {"chd10_percent_without_cac": _percent(_SURVIVAL_WITHOUT, _sum(terms, 1))}
    if "cac_agatston" in given:
        calcium = _LN_CAC_PLUS_1 * math.log(given.number("cac_agatston") + 1)
        outputs["chd10_percent_with_cac"] = _percent(_SURVIVAL_WITH, _sum(terms, 0) + calcium)
    return Scored(outputs)


def _terms(given: Given) -> dict[str, float]:
    numbers = ("age", "total_cholesterol_mg_dl", "hdl_mg_dl", "sbp_mm_hg")
    flags = ("diabetes", "current_smoker", "lipid_lowering_med", "bp_treated", "family_history_mi")
    race = {name: float(given.text("race") == name) for name in ("chinese", "black", "hispanic")}
    return (
        {name: given.number(name) for name in numbers}
        | {name: float(given.flag(name)) for name in flags}
        | race
        | {"male": float(given.text("sex") == "male")}
    )


def _sum(terms: Mapping[str, float], column: int) -> float:
    return sum(weights[column] * terms[name] for name, weights in _COEFFICIENTS.items())


def _percent(survival: float, total: float) -> float:
    return float(100 * (1 - survival ** math.exp(total)))


SCORE = Score(
    id="mesa_chd",
    title="MESA 10-year coronary heart disease risk",
    source=Source("McClelland 2015, MESA CHD risk score", "https://doi.org/10.1016/j.jacc.2015.08.035"),
    population="adults of 45 to 84 years without cardiovascular disease",
    outcome="coronary heart disease event",
    horizon_years=10,
    inputs=(
        SEX,
        Input("race", "race or ethnicity", kind="choice", choices=("white", "chinese", "black", "hispanic")),
        Input("age", "age", unit="a", low=45, high=84),
        # Beside the age the paper states no range: these bounds refuse what cannot be such a value.
        Input("total_cholesterol_mg_dl", "total cholesterol", unit="mg/dL", low=50, high=1000, short="TC"),
        Input("hdl_mg_dl", "HDL cholesterol", unit="mg/dL", low=5, high=250, short="HDL"),
        Input("lipid_lowering_med", "lipid-lowering drug", kind="boolean"),
        Input("sbp_mm_hg", "systolic blood pressure", unit="mm[Hg]", low=50, high=300, short="SBP"),
        Input("bp_treated", "blood-pressure-lowering drug", kind="boolean"),
        Input("current_smoker", "current smoking", kind="boolean"),
        Input("diabetes", "diabetes", kind="boolean"),
        Input("family_history_mi", "family history of myocardial infarction", kind="boolean"),
        Input("cac_agatston", "Agatston score", unit="{Agatston_score}", low=0, high=100_000, needed=False),
    ),
    outputs=(
        Output("chd10_percent_with_cac", "10-year CHD risk with the calcium score (where it is known)", "%"),
        Output("chd10_percent_without_cac", "10-year CHD risk without the calcium score", "%"),
    ),
    notes=(
        "The outcome is coronary heart disease, not ASCVD: bands for PREVENT do not apply.",
        "Not clamped: some calculators show 1 to 30 % only.",
    ),
    evaluate=_evaluate,
)

"""Pooled cohort equations of 2013: 10-year risk of a first hard ASCVD event, for comparison with older reports.

Goff DC et al., Circulation 2014;129(25 Suppl 2):S49-S73, doi:10.1161/01.cir.0000437741.48606.98, table A. The equations
are in use with the three printed decimals and with further ones; both answers are given, because they differ by up to
0.35 points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored
from cds.risk._cardiovascular import SEX


@dataclass(frozen=True, slots=True)
class _Column:
    """One sex and race: coefficients in the order of `_terms`, the mean of their sum, and survival at ten years."""

    coefficients: tuple[float, ...]
    mean: float
    survival: float

    def percent(self, terms: tuple[float, ...]) -> float:
        """Risk over ten years."""
        total = sum(weight * term for weight, term in zip(self.coefficients, terms, strict=True))
        return float(100 * (1 - self.survival ** math.exp(total - self.mean)))


_WHITE_FEMALE = (-29.799, 4.884, 13.54, -3.114, -13.578, 3.149, 2.019, 0, 1.957, 0, 7.574, -1.665, 0.661)
_WHITE_MALE = (12.344, 0, 11.853, -2.664, -7.99, 1.769, 1.797, 0, 1.764, 0, 7.837, -1.795, 0.658)
_BLACK_FEMALE = (17.114, 0, 0.94, 0, -18.92, 4.475, 29.291, -6.432, 27.82, -6.087, 0.691, 0, 0.874)
_BLACK_FEMALE_FOUR = (
    *(17.1141, 0, 0.9396, 0, -18.9196, 4.4748, 29.2907),
    *(-6.4321, 27.8197, -6.0873, 0.6908, 0, 0.8738),
)
_BLACK_MALE = (2.469, 0, 0.302, 0, -0.307, 0, 1.916, 0, 1.809, 0, 0.549, 0, 0.645)

_PRINTED = {
    ("white", "female"): _Column(_WHITE_FEMALE, -29.18, 0.9665),
    ("black", "female"): _Column(_BLACK_FEMALE, 86.61, 0.9533),
    ("white", "male"): _Column(_WHITE_MALE, 61.18, 0.9144),
    ("black", "male"): _Column(_BLACK_MALE, 19.54, 0.8954),
}
_EXTENDED = {
    ("white", "female"): _Column(_WHITE_FEMALE, -29.1817, 0.96652),
    ("black", "female"): _Column(_BLACK_FEMALE_FOUR, 86.6081, 0.95334),
    ("white", "male"): _Column(_WHITE_MALE, 61.1816, 0.91436),
    ("black", "male"): _Column(_BLACK_MALE, 19.5425, 0.89536),
}


def _terms(given: Given) -> tuple[float, ...]:
    age, total = math.log(given.number("age")), math.log(given.number("total_cholesterol_mg_dl"))
    hdl, sbp = math.log(given.number("hdl_mg_dl")), math.log(given.number("sbp_mm_hg"))
    treated, untreated = (sbp, 0.0) if given.flag("bp_treated") else (0.0, sbp)
    smoker = float(given.flag("current_smoker"))
    lipids = (age, age * age, total, age * total, hdl, age * hdl)
    pressure = (treated, age * treated, untreated, age * untreated)
    return (*lipids, *pressure, smoker, age * smoker, float(given.flag("diabetes")))


def _evaluate(given: Given) -> Answer:
    """The alternative is rounded to the four decimals to which it is known."""
    who, terms = (given.text("race"), given.text("sex")), _terms(given)
    return Scored(
        {
            "ascvd10_percent": _PRINTED[who].percent(terms),
            "alt_extended_precision_percent": round(_EXTENDED[who].percent(terms), 4),
        }
    )


SCORE = Score(
    id="pce",
    title="Pooled cohort equations 2013",
    source=Source("Goff 2013, pooled cohort equations", "https://doi.org/10.1161/01.cir.0000437741.48606.98"),
    population="adults of 40 to 79 years without ASCVD, non-Hispanic white or African American",
    outcome="first hard ASCVD event (coronary death, myocardial infarction, stroke)",
    horizon_years=10,
    inputs=(
        SEX,
        # The equations were made for these two alone: nobody else is given the number of one of them.
        Input("race", "race", kind="choice", choices=("white", "black")),
        Input("age", "age", unit="a", low=40, high=79),
        Input("total_cholesterol_mg_dl", "total cholesterol", unit="mg/dL", low=130, high=320, short="TC"),
        Input("hdl_mg_dl", "HDL cholesterol", unit="mg/dL", low=20, high=100, short="HDL"),
        Input("sbp_mm_hg", "systolic blood pressure", unit="mm[Hg]", low=90, high=200, short="SBP"),
        Input("bp_treated", "blood-pressure-lowering drug", kind="boolean"),
        Input("current_smoker", "current smoking", kind="boolean"),
        Input("diabetes", "diabetes", kind="boolean"),
    ),
    outputs=(
        Output("ascvd10_percent", "10-year ASCVD risk, coefficients as printed", "%"),
        Output("alt_extended_precision_percent", "10-year ASCVD risk, coefficients with further decimals", "%"),
    ),
    notes=(
        "Superseded for treatment decisions in the United States by PREVENT (guideline of 2026): for comparison only.",
        "Two precisions are in use; they differ by up to 0.35 percentage points for Black women.",
    ),
    licence="The licence of the printed table was not checked; it is widely reimplemented.",
    evaluate=_evaluate,
)

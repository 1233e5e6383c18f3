"""CKD-EPI 2021: estimated glomerular filtration rate from creatinine, without race, and its KDIGO category.

Inker LA et al., N Engl J Med 2021;385:1737-1749, doi:10.1056/NEJMoa2102953:
142 x min(Scr/k, 1)^a x max(Scr/k, 1)^-1.200 x 0.9938^age x 1.012 if female; k 0.7/0.9, a -0.241/-0.302 (female/male).
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored
from cds.risk._cardiovascular import SEX

#: KDIGO 2024: from which rate on, which category.
_CATEGORIES = ((90, "G1"), (60, "G2"), (45, "G3a"), (30, "G3b"), (15, "G4"))


def _evaluate(given: Given) -> Answer:
    female = given.text("sex") == "female"
    kappa, alpha, factor = (0.7, -0.241, 1.012) if female else (0.9, -0.302, 1.0)
    ratio = given.number("creatinine_mg_dl") / kappa
    rate = 142 * min(ratio, 1.0) ** alpha * max(ratio, 1.0) ** -1.2 * 0.9938 ** given.number("age") * factor
    return Scored({"egfr": rate, "kdigo_g": next((name for limit, name in _CATEGORIES if rate >= limit), "G5")})


SCORE = Score(
    id="egfr_ckdepi_2021",
    title="eGFR by CKD-EPI 2021 (creatinine)",
    source=Source("Inker 2021, CKD-EPI creatinine equation", "https://doi.org/10.1056/NEJMoa2102953"),
    further=(Source("KDIGO 2024, GFR categories", "https://doi.org/10.1016/j.kint.2023.10.018"),),
    population="adults with stable kidney function, not pregnant, not on dialysis",
    outcome="glomerular filtration rate",
    horizon_years=None,
    inputs=(
        SEX,
        # The bounds of creatinine refuse what cannot be one in mg/dL, as a value in umol/L mostly is.
        Input("creatinine_mg_dl", "serum creatinine", unit="mg/dL", low=0.1, high=40, short="creatinine"),
        Input("age", "age", unit="a", low=18, high=130),
    ),
    outputs=(
        Output("egfr", "eGFR", "mL/min/{1.73_m2}"),
        Output("kdigo_g", "KDIGO GFR category"),
    ),
    notes=(
        "The category is that of the unrounded rate: 89.7 is G2, although a report may print 90.",
        "In acute kidney injury the equation does not hold.",
    ),
    evaluate=_evaluate,
)

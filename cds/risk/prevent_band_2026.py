"""Risk bands of the 2026 ACC/AHA dyslipidemia guideline for the 10-year ASCVD risk by PREVENT.

doi:10.1161/CIR.0000000000001423: low below 3 %, borderline from 3 %, intermediate from 5 %, high from 10 %.
"""

from __future__ import annotations

from cds.risk import Answer, Given, Output, Score, Scored
from cds.risk._cardiovascular import LIPIDS_2026, PREVENT_ASCVD10


def _evaluate(given: Given) -> Answer:
    risk = given.number("prevent_ascvd10")
    if risk < 0.03:
        return Scored({"band": "low"})
    if risk < 0.05:
        return Scored({"band": "borderline"})
    return Scored({"band": "intermediate" if risk < 0.10 else "high"})


SCORE = Score(
    id="prevent_band_2026",
    title="Risk band of the 2026 ACC/AHA dyslipidemia guideline",
    source=LIPIDS_2026,
    population="adults of 30 to 79 years without ASCVD whose risk was estimated with PREVENT",
    outcome="band of 10-year ASCVD risk: low, borderline, intermediate, high",
    horizon_years=10,
    inputs=(PREVENT_ASCVD10,),
    outputs=(Output("band", "risk band"),),
    notes=(
        "Read in two independent summaries that agree, not in the guideline itself.",
        "The cut-points of the pooled cohort equations (5, 7.5, 20 %; guideline of 2018) must not be applied to "
        "PREVENT.",
    ),
    evaluate=_evaluate,
)

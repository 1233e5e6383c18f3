"""Categories of the coronary calcium score in the 2026 ACC/AHA dyslipidemia guideline.

doi:10.1161/CIR.0000000000001423: 0, 1-9, 10-99, 100-299, 300-999, from 1000. Not read in the guideline itself.
"""

from __future__ import annotations

from cds.risk import Answer, Given, Output, Score, Scored
from cds.risk._cardiovascular import AGATSTON, LIPIDS_2026

#: Below which score, which category; from the last one on it is extensive.
_BELOW = ((10, "minimal"), (100, "mild"), (300, "moderate"), (1000, "severe"))


def _evaluate(given: Given) -> Answer:
    score = given.number("agatston")
    if score == 0:
        return Scored({"category": "none"})
    return Scored({"category": next((name for limit, name in _BELOW if score < limit), "extensive")})


SCORE = Score(
    id="cac_category_2026",
    title="Coronary calcium category of the 2026 ACC/AHA dyslipidemia guideline",
    source=LIPIDS_2026,
    population="adults without ASCVD with an Agatston score",
    outcome="category of the coronary calcium score",
    horizon_years=None,
    inputs=(AGATSTON,),
    outputs=(Output("category", "category"),),
    unverified="the guideline's own table: limits and names come from secondary summaries by one author",
    evaluate=_evaluate,
)

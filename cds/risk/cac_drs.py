"""CAC-DRS 2018: category of a coronary calcium score.

Hecht HS et al., J Cardiovasc Comput Tomogr 2018;12(3):185-191, doi:10.1016/j.jcct.2018.03.008: A0 zero, A1 1-99,
A2 100-299, A3 from 300.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Output, Score, Scored
from cds.risk._cardiovascular import AGATSTON


def _evaluate(given: Given) -> Answer:
    """Any calcium at all is more than none, also a score between 0 and 1."""
    score = given.number("agatston")
    if score == 0:
        return Scored({"cac_drs": "A0"})
    if score < 100:
        return Scored({"cac_drs": "A1"})
    return Scored({"cac_drs": "A2" if score < 300 else "A3"})


SCORE = Score(
    id="cac_drs",
    title="CAC-DRS category (Agatston)",
    source=Source("Hecht 2018, CAC-DRS", "https://doi.org/10.1016/j.jcct.2018.03.008"),
    population="adults with an Agatston score from unenhanced, ECG-gated cardiac CT",
    outcome="category of the coronary calcium score",
    horizon_years=None,
    inputs=(AGATSTON,),
    outputs=(Output("cac_drs", "CAC-DRS category"),),
    notes=(
        "Texts differ whether 300 itself is A2 or A3; A3 here.",
        "An ungated chest CT gives a category by eye (V0 to V3), no exact score.",
    ),
    evaluate=_evaluate,
)

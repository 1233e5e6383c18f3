"""What follows an elastography of the liver, by stiffness (AGA pathway of 2021).

Kanwal et al., Gastroenterology 2021;161:1657-1669, doi:10.1053/j.gastro.2021.07.049: <8, 8-12, >12 kPa.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score
from cds.risk._facts import decide, number


def _evaluate(given: Given) -> Answer:
    rules = (
        (number(given, "lsm_kpa", lambda kpa: kpa < 8), "primary_care"),
        (number(given, "lsm_kpa", lambda kpa: kpa <= 12), "refer_hepatology_indeterminate"),
    )
    return decide("action", rules, otherwise="refer_hepatology_high")


SCORE = Score(
    id="lsm_pathway",
    title="Stiffness of the liver: next step",
    source=Source("AGA 2021, pathway for fatty liver", "https://doi.org/10.1053/j.gastro.2021.07.049"),
    population="adults with fat of the liver whose FIB-4 was indeterminate",
    outcome="the next step of the pathway",
    horizon_years=None,
    # What vibration-controlled transient elastography can report.
    inputs=(Input("lsm_kpa", "stiffness of the liver", unit="kPa", low=1.5, high=75),),
    evaluate=_evaluate,
    outputs=(Output("action", "next step"),),
    notes=("By vibration-controlled transient elastography; other techniques have other cut-offs.",),
)

"""YEARS: whether CT pulmonary angiography is needed, by three items and a D-dimer whose threshold depends on them.

van der Hulle et al., Lancet 2017;390:289-297, doi:10.1016/S0140-6736(17)30885-1. Items: clinical signs of deep vein
thrombosis, haemoptysis, pulmonary embolism the most likely diagnosis. Excluded below 1000 ng/mL without an item, below
500 ng/mL with one or more.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored
from cds.risk._criteria import not_whole


def _evaluate(given: Given) -> Answer:
    threshold = 1000 if given.number("years_items") == 0 else 500
    excluded = given.number("d_dimer_ng_ml_feu") < threshold
    return not_whole(given, "years_items") or Scored({"result": "pe_excluded" if excluded else "ctpa"})


SCORE = Score(
    id="years",
    title="YEARS algorithm for pulmonary embolism",
    source=Source("YEARS 2017, Lancet 390:289", "https://doi.org/10.1016/S0140-6736(17)30885-1"),
    population="adults in whom acute pulmonary embolism is suspected, stable and not anticoagulated",
    outcome="pulmonary embolism excluded, or CT pulmonary angiography",
    horizon_years=None,
    inputs=(
        Input("years_items", "YEARS items", unit="{count}", low=0, high=3),
        # The upper bound refuses what cannot be one. FEU: D-dimer units (DDU) are about half and must be converted.
        Input("d_dimer_ng_ml_feu", "D-dimer", unit="ng/mL{FEU}", low=0, high=1_000_000),
    ),
    outputs=(Output("result", "what to do"),),
    notes=("The thresholds are in fibrinogen equivalent units (FEU).",),
    evaluate=_evaluate,
)

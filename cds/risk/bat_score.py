"""BAT score: expansion of an intracerebral haemorrhage, from unenhanced CT.

Morotti A et al., Stroke 2018;49(5):1163-1169, doi:10.1161/STROKEAHA.117.020138: five points, high risk
from three. How the points are split was not seen in the source.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored


def _evaluate(given: Given) -> Answer:
    points = given.flag("blend_sign") + 2 * given.flag("any_hypodensity")
    points += 2 * (given.number("hours_onset_to_ct") < 2.5)
    return Scored({"bat": points, "high_risk_expansion": points >= 3})


SCORE = Score(
    id="bat_score",
    title="BAT score",
    source=Source("Morotti 2018, BAT score", "https://doi.org/10.1161/STROKEAHA.117.020138"),
    population="adults with spontaneous intracerebral haemorrhage without coagulopathy",
    outcome="expansion of the haemorrhage",
    horizon_years=None,
    inputs=(
        Input("blend_sign", "blend sign", kind="boolean"),
        Input("any_hypodensity", "any hypodensity within the haemorrhage", kind="boolean"),
        Input("hours_onset_to_ct", "hours from onset to CT", unit="h", low=0),
    ),
    outputs=(
        Output("bat", "BAT score", "{score}"),
        Output("high_risk_expansion", "high risk of expansion (3 or more)"),
    ),
    unverified="the points of each item (1, 2, 2) and the limit of 2.5 hours",
    evaluate=_evaluate,
)

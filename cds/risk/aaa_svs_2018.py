"""SVS 2018: surveillance interval or referral by the diameter of the abdominal aorta.

Chaikof EL et al., J Vasc Surg 2018;67(1):2-77, doi:10.1016/j.jvs.2017.10.044: above 2.5 and below 3.0 cm again in 10
years, 3.0-3.9 in 3 years, 4.0-4.9 in 12 months, 5.0-5.4 in 6 months, from 5.5 repair; women repair from 5.0 considered.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored


def _evaluate(given: Given) -> Answer:
    """Sex matters between 5.0 and 5.5 cm alone."""
    diameter = given.number("diameter_cm")
    if diameter <= 2.5:
        return Scored({"action": "none"})
    if diameter < 5.0:
        return Scored({"action": _surveillance(diameter)})
    if diameter >= 5.5:
        return Scored({"action": "vascular_surgery_repair"})
    if "sex" not in given:
        return NotScored(missing=("sex",))
    return Scored({"action": "us_6mo" if given.text("sex") == "male" else "vascular_surgery_consider_repair"})


def _surveillance(diameter_cm: float) -> str:
    if diameter_cm < 3.0:
        return "rescreen_10y"
    return "us_3y" if diameter_cm < 4.0 else "us_12mo"


SCORE = Score(
    id="aaa_svs_2018",
    title="Abdominal aortic aneurysm: surveillance by SVS 2018",
    source=Source(
        "SVS 2018 practice guidelines, abdominal aortic aneurysm", "https://doi.org/10.1016/j.jvs.2017.10.044"
    ),
    population="adults without symptoms and without repair of the abdominal aorta, fusiform aneurysm",
    outcome="next imaging or referral",
    horizon_years=None,
    inputs=(
        # No part of the guideline: these bounds refuse what cannot be a diameter in cm, as one in mm mostly is.
        Input("diameter_cm", "largest outer diameter of the abdominal aorta", unit="cm", low=0.5, high=20),
        Input("sex", "sex", kind="choice", choices=("female", "male"), needed=False),
    ),
    outputs=(Output("action", "next step"),),
    notes=(
        "Diameters are not rounded: 5.45 cm is below 5.5 cm.",
        "Pain, tenderness or rupture, a saccular form and rapid growth are outside these intervals.",
    ),
    evaluate=_evaluate,
)

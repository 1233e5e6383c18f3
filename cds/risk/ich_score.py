"""ICH score: 30-day mortality of spontaneous intracerebral haemorrhage.

Hemphill JC et al., Stroke 2001;32(4):891-897, doi:10.1161/01.STR.32.4.891: GCS 3-4 two points, 5-12 one; one each for
30 mL or more, blood in the ventricles, infratentorial origin, age of 80 or more.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored

#: In percent, by points. Nobody of the cohort had 6 points; it is expected to be no lower than for 5.
_MORTALITY = (0, 13, 26, 72, 97, 100, 100)


def _evaluate(given: Given) -> Answer:
    gcs = given.number("gcs")
    if gcs != int(gcs):
        return NotScored(out_of_range=("gcs",), reasons=("GCS must be a whole number",))
    points = (
        _gcs_points(gcs)
        + (given.number("volume_ml") >= 30)
        + given.flag("ivh")
        + given.flag("infratentorial")
        + (given.number("age") >= 80)
    )
    return Scored({"ich_score": points, "mortality_30d_percent": _MORTALITY[points]})


def _gcs_points(gcs: float) -> int:
    if gcs <= 4:
        return 2
    return 1 if gcs <= 12 else 0


SCORE = Score(
    id="ich_score",
    title="ICH score",
    source=Source("Hemphill 2001, ICH score", "https://doi.org/10.1161/01.STR.32.4.891"),
    population="adults with acute spontaneous intracerebral haemorrhage",
    outcome="death within 30 days",
    horizon_years=30 / 365.25,
    inputs=(
        Input("gcs", "Glasgow Coma Scale", unit="{score}", low=3, high=15, short="GCS"),
        # The upper bounds are no part of the score: they refuse what cannot be a volume in a skull or an age.
        Input("volume_ml", "haemorrhage volume", unit="mL", low=0, high=1500),
        Input("ivh", "blood in the ventricles", kind="boolean"),
        Input("infratentorial", "infratentorial origin", kind="boolean"),
        Input("age", "age", unit="a", low=18, high=130),
    ),
    outputs=(
        Output("ich_score", "ICH score", "{score}"),
        Output("mortality_30d_percent", "30-day mortality in the cohort", "%"),
    ),
    notes=(
        "Never by itself a reason to limit care.",
        "Mortality at 4 points is printed as 97 % in the paper; one copy in circulation has 94 %.",
    ),
    evaluate=_evaluate,
)

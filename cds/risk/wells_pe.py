"""Wells score for pulmonary embolism, in two and in three tiers.

Wells et al., Thromb Haemost 2000;83:416-420, doi:10.1055/s-0037-1613830: likely above 4 points; low below 2, high above
6. A positive answer may stand before everything is known; a score and a negative answer need every criterion.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored
from cds.risk._criteria import measured, sign, tally


def _evaluate(given: Given) -> Answer:
    found = tally(
        (
            sign(given, "clinical_signs_dvt", 3),
            sign(given, "pe_most_likely", 3),
            measured(given, "heart_rate", lambda rate: rate > 100, 1.5),
            sign(given, "immobilisation_or_surgery", 1.5),
            sign(given, "previous_dvt_pe", 1.5),
            sign(given, "haemoptysis", 1),
            sign(given, "malignancy", 1),
        )
    )
    if not found.missing:
        return Scored(
            {"wells_pe": found.points, "two_tier": _two_tier(found.points), "three_tier": _three_tier(found.points)}
        )
    if found.least <= 4:
        return NotScored(found.missing)
    return Scored({"two_tier": "PE likely"} | ({"three_tier": "high"} if found.least > 6 else {}))


def _two_tier(points: float) -> str:
    return "PE likely" if points > 4 else "PE unlikely"


def _three_tier(points: float) -> str:
    return "low" if points < 2 else "moderate" if points <= 6 else "high"


SCORE = Score(
    id="wells_pe",
    title="Wells score for pulmonary embolism",
    source=Source("Wells 2000, Thromb Haemost 83:416", "https://doi.org/10.1055/s-0037-1613830"),
    population="adults in whom pulmonary embolism is suspected, before imaging",
    outcome="clinical probability of pulmonary embolism",
    horizon_years=None,
    inputs=(
        Input("clinical_signs_dvt", "clinical signs of deep vein thrombosis", kind="boolean", needed=False),
        Input("pe_most_likely", "no alternative diagnosis as likely as PE", kind="boolean", needed=False),
        # The bounds of the rate refuse what cannot be one.
        Input("heart_rate", "heart rate", unit="/min", low=0, high=400, needed=False),
        Input(
            "immobilisation_or_surgery",
            "immobilisation for 3 days or surgery within 4 weeks",
            kind="boolean",
            needed=False,
        ),
        Input("previous_dvt_pe", "previous DVT or PE", kind="boolean", needed=False),
        Input("haemoptysis", "haemoptysis", kind="boolean", needed=False),
        Input("malignancy", "malignancy treated within 6 months or palliative", kind="boolean", needed=False),
    ),
    outputs=(
        Output("wells_pe", "Wells score", "{score}"),
        Output("two_tier", "PE likely or unlikely"),
        Output("three_tier", "clinical probability"),
    ),
    evaluate=_evaluate,
)

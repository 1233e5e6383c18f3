"""PERC: pulmonary embolism is ruled out without a D-dimer where the gestalt is low and none of eight criteria holds.

Kline et al., J Thromb Haemost 2004;2:1247-1255, doi:10.1111/j.1538-7836.2004.00790.x.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored
from cds.risk._criteria import measured, sign, tally


def _evaluate(given: Given) -> Answer:
    """One criterion that holds decides; the count, and that none holds, needs all."""
    found = tally(
        (
            measured(given, "age", lambda age: age >= 50),
            measured(given, "heart_rate", lambda rate: rate >= 100),
            measured(given, "spo2_room_air", lambda saturation: saturation < 95),
            sign(given, "prior_vte"),
            sign(given, "unilateral_leg_swelling"),
            sign(given, "estrogen_use"),
            sign(given, "recent_surgery_trauma"),
            sign(given, "haemoptysis"),
        )
    )
    if not found.missing:
        return Scored({"positive_criteria": int(found.points), "perc_negative": found.points == 0})
    return Scored({"perc_negative": False}) if found.points else NotScored(found.missing)


SCORE = Score(
    id="perc",
    title="Pulmonary embolism rule-out criteria (PERC)",
    source=Source("Kline 2004, J Thromb Haemost 2:1247", "https://doi.org/10.1111/j.1538-7836.2004.00790.x"),
    population="adults in whom a clinician thinks pulmonary embolism improbable (below 15 %)",
    outcome="no test for pulmonary embolism is needed",
    horizon_years=None,
    inputs=(
        # The bounds refuse what cannot be an age, a rate or a saturation.
        Input("age", "age", unit="a", low=0, high=130, needed=False),
        Input("heart_rate", "heart rate", unit="/min", low=0, high=400, needed=False),
        Input("spo2_room_air", "oxygen saturation on room air", unit="%", low=0, high=100, needed=False),
        Input("prior_vte", "previous DVT or PE", kind="boolean", needed=False),
        Input("unilateral_leg_swelling", "swelling of one leg", kind="boolean", needed=False),
        Input("estrogen_use", "oestrogen use", kind="boolean", needed=False),
        Input("recent_surgery_trauma", "surgery or trauma within 4 weeks", kind="boolean", needed=False),
        Input("haemoptysis", "haemoptysis", kind="boolean", needed=False),
    ),
    outputs=(
        Output("positive_criteria", "criteria that hold", "{count}"),
        Output("perc_negative", "none of the criteria holds"),
    ),
    notes=("Only where the clinician's own estimate is low: it does not replace that estimate.",),
    evaluate=_evaluate,
)

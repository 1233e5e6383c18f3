"""Wells score for deep vein thrombosis, in two tiers.

Wells et al., N Engl J Med 2003;349:1227-1235, doi:10.1056/NEJMoa023153: likely from 2 points. A positive answer may
stand before everything is known; a score and a negative answer need every criterion.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored
from cds.risk._criteria import sign, tally

_CRITERIA = {
    "active_cancer": (1, "active cancer"),
    "paralysis_paresis_immobilisation": (1, "paralysis, paresis or plaster of a leg"),
    "bedridden_or_major_surgery": (1, "bedridden for 3 days or major surgery within 12 weeks"),
    "localised_tenderness": (1, "tenderness along the deep veins"),
    "entire_leg_swollen": (1, "entire leg swollen"),
    "calf_swelling_over_3cm": (1, "calf swelling of more than 3 cm over the other side"),
    "pitting_oedema": (1, "pitting oedema of the symptomatic leg"),
    "collateral_superficial_veins": (1, "collateral superficial veins"),
    "previously_documented_dvt": (1, "previously documented DVT"),
    "alternative_diagnosis_as_likely": (-2, "alternative diagnosis at least as likely"),
}


def _evaluate(given: Given) -> Answer:
    found = tally(sign(given, name, points) for name, (points, _) in _CRITERIA.items())
    if not found.missing:
        return Scored({"wells_dvt": found.points, "two_tier": "DVT likely" if found.points >= 2 else "DVT unlikely"})
    return Scored({"two_tier": "DVT likely"}) if found.least >= 2 else NotScored(found.missing)


SCORE = Score(
    id="wells_dvt",
    title="Wells score for deep vein thrombosis",
    source=Source("Wells 2003, N Engl J Med 349:1227", "https://doi.org/10.1056/NEJMoa023153"),
    population="outpatients in whom deep vein thrombosis is suspected",
    outcome="clinical probability of deep vein thrombosis",
    horizon_years=None,
    inputs=tuple(Input(name, title, kind="boolean", needed=False) for name, (_, title) in _CRITERIA.items()),
    outputs=(Output("wells_dvt", "Wells score", "{score}"), Output("two_tier", "DVT likely or unlikely")),
    evaluate=_evaluate,
)

"""Ottawa ankle and foot rules: which injuries need a radiograph.

Stiell et al., Ann Emerg Med 1992;21:384-390, doi:10.1016/S0196-0644(05)82656-3.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score
from cds.risk._facts import any_of, decide, flag

_MALLEOLI = ("tender_posterior_lateral_malleolus", "tender_posterior_medial_malleolus")
_FOOT = ("tender_base_5th_mt", "tender_navicular")
_STEPS = "unable_4_steps_injury_and_ed"


def _evaluate(given: Given) -> Answer:
    ankle = flag(given, "malleolar_pain") & any_of(flag(given, name) for name in (*_MALLEOLI, _STEPS))
    foot = flag(given, "midfoot_pain") & any_of(flag(given, name) for name in (*_FOOT, _STEPS))
    rules = ((ankle & foot, "ankle_and_foot_xray"), (ankle, "ankle_xray"), (foot, "foot_xray"))
    return decide("result", rules, otherwise="no_xray")


def _sign(name: str, title: str) -> Input:
    return Input(name, title, kind="boolean", needed=False, unmentioned=False)


SCORE = Score(
    id="ottawa_ankle",
    title="Ottawa ankle and foot rules",
    source=Source("Stiell 1992, Ottawa ankle rules", "https://doi.org/10.1016/S0196-0644(05)82656-3"),
    population="adults with an acute blunt injury of the ankle or the midfoot",
    outcome="needs a radiograph",
    horizon_years=None,
    inputs=(
        _sign("malleolar_pain", "pain in the malleolar zone"),
        _sign("midfoot_pain", "pain in the midfoot zone"),
        _sign("tender_posterior_lateral_malleolus", "tender posterior edge or tip of the lateral malleolus"),
        _sign("tender_posterior_medial_malleolus", "tender posterior edge or tip of the medial malleolus"),
        _sign("tender_base_5th_mt", "tender base of the fifth metatarsal"),
        _sign("tender_navicular", "tender navicular"),
        _sign(_STEPS, "unable to take four steps both at once and in the emergency department"),
    ),
    evaluate=_evaluate,
    outputs=(Output("result", "which radiograph is needed"),),
    notes=("Tenderness of the malleoli means their last 6 cm.",),
    unverified="the criteria as the paper words them",
)

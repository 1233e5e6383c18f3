"""Ottawa knee rule: which injuries need a radiograph.

Stiell et al., Ann Emerg Med 1995;26:405-413, doi:10.1016/S0196-0644(95)70106-0.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score
from cds.risk._facts import any_of, decide, flag, number

_SIGNS = {
    "isolated_patella_tenderness": "tender patella, and no other tender bone of the knee",
    "fibula_head_tenderness": "tender head of the fibula",
    "cannot_flex_90": "cannot bend the knee to 90 degrees",
    "unable_4_steps": "unable to take four steps both at once and in the emergency department",
}
_ALSO = {"fibula_head_tenderness": ("fibular_head_tenderness", "tender_fibula_head", "tender_fibular_head")}


def _evaluate(given: Given) -> Answer:
    criteria = (number(given, "age", lambda age: age >= 55), *(flag(given, name) for name in _SIGNS))
    return decide("result", ((any_of(criteria), "knee_xray"),), otherwise="no_xray")


SCORE = Score(
    id="ottawa_knee",
    title="Ottawa knee rule",
    source=Source("Stiell 1995, Ottawa knee rule", "https://doi.org/10.1016/S0196-0644(95)70106-0"),
    population="adults with an acute blunt injury of the knee",
    outcome="needs a radiograph",
    horizon_years=None,
    inputs=(
        Input("age", "age", unit="a", low=18, high=130, needed=False),
        *(
            Input(name, title, kind="boolean", needed=False, unmentioned=False, aliases=_ALSO.get(name, ()))
            for name, title in _SIGNS.items()
        ),
    ),
    evaluate=_evaluate,
    outputs=(Output("result", "whether a radiograph is needed"),),
    unverified="the criteria as the paper words them",
)

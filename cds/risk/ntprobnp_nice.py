"""NT-proBNP in suspected heart failure: how soon echocardiography and specialist assessment.

NICE NG106: above 2000 ng/L within 2 weeks, 400 to 2000 ng/L within 6 weeks. Below 125 ng/L heart failure is unlikely:
ESC guideline 2021, doi:10.1093/eurheartj/ehab368.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored


def _evaluate(given: Given) -> Answer:
    """The limits are of use only where heart failure is suspected: nobody else is told that it is unlikely."""
    if not given.flag("suspected_hf"):
        return NotScored(out_of_range=("suspected_hf",), reasons=("heart failure is not suspected",))
    return Scored({"action": _action(given.number("nt_probnp_ng_l"))})


def _action(value: float) -> str:
    if value < 125:
        return "hf_unlikely"
    if value < 400:
        return "echo_consider_esc"
    return "echo_within_6_weeks" if value <= 2000 else "echo_within_2_weeks"


SCORE = Score(
    id="ntprobnp_nice",
    title="NT-proBNP in suspected heart failure (NICE NG106, ESC 2021)",
    source=Source("NICE NG106, chronic heart failure in adults", "https://www.nice.org.uk/guidance/ng106"),
    further=(Source("ESC 2021 heart failure", "https://doi.org/10.1093/eurheartj/ehab368"),),
    population="adults with suspected chronic heart failure, not in an acute setting",
    outcome="urgency of echocardiography and specialist assessment",
    horizon_years=None,
    inputs=(
        # The upper bound is no part of the rule: it refuses what cannot be a concentration in ng/L.
        Input("nt_probnp_ng_l", "NT-proBNP", unit="ng/L", low=0, high=1_000_000),
        Input("suspected_hf", "suspected heart failure", kind="boolean"),
    ),
    outputs=(Output("action", "next step"),),
    notes=("From 125 to below 400 ng/L the sources differ: echocardiography (ESC), heart failure less likely (NICE).",),
    evaluate=_evaluate,
)

"""What follows fat of the liver on CT, by FIB-4 (AGA pathway of 2021).

Kanwal et al., Gastroenterology 2021;161:1657-1669, doi:10.1053/j.gastro.2021.07.049.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored
from cds.risk._facts import Fact, first, flag, number
from cds.risk._fibrosis import ELDERLY, FIB4_BANDS

ACTIONS = {
    "low": "repeat_nit_2_3y_primary_care",
    "indeterminate": "lsm_vcte",
    "high": "refer_hepatology",
}


def _evaluate(given: Given) -> Answer:
    steatosis = flag(given, "steatosis_on_ct")
    band = first(_bands(given), otherwise="indeterminate")
    missing = steatosis.missing + (band.missing if isinstance(band, NotScored) else ())
    if isinstance(band, NotScored) or steatosis.holds is None:
        return NotScored(missing=missing)
    return Scored({"band": band, "action": ACTIONS[band] if steatosis.holds else "not_applicable"})


def _bands(given: Given) -> tuple[tuple[Fact, str], ...]:
    elderly = number(given, "age", lambda age: age >= ELDERLY)
    return (
        (number(given, "fib4", lambda fib4: fib4 > FIB4_BANDS.high), "high"),
        (number(given, "fib4", lambda fib4: fib4 < FIB4_BANDS.low), "low"),
        (number(given, "fib4", lambda fib4: fib4 < FIB4_BANDS.low_elderly) & elderly, "low"),
    )


SCORE = Score(
    id="steatosis_fib4_pathway",
    title="Fat of the liver and FIB-4: next step",
    source=Source("AGA 2021, pathway for fatty liver", "https://doi.org/10.1053/j.gastro.2021.07.049"),
    population="adults with fat of the liver and no known cause but metabolic risk",
    outcome="the next step of the pathway",
    horizon_years=None,
    inputs=(
        Input("steatosis_on_ct", "fat of the liver on CT", kind="boolean", needed=False),
        Input("age", "age", unit="a", low=18, high=130, needed=False),
        # No index above this can come from results that `fib4` takes as real ones in practice.
        Input("fib4", "FIB-4", low=0, high=1000, needed=False),
    ),
    evaluate=_evaluate,
    outputs=(Output("band", "risk of advanced fibrosis"), Output("action", "next step")),
    notes=(
        "Low below 1.3 (below 2.0 from 65 years on): repeat a non-invasive test in 2-3 years.",
        "Up to 2.67: elastography. Above 2.67: hepatology.",
    ),
)

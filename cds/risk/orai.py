"""ORAI: which women should have their bone density measured.

Cadarette et al., CMAJ 2000;162:1289-1294; the items as LOINC 98139-9 has them.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored


def _evaluate(given: Given) -> Answer:
    orai = _age_points(given.number("age")) + _weight_points(given.number("weight_kg"))
    orai += 0 if given.flag("current_estrogen") else 2
    return Scored({"orai": orai, "dxa": orai >= 9})


def _age_points(age: float) -> int:
    return next((points for limit, points in ((75, 15), (65, 9), (55, 5)) if age >= limit), 0)


def _weight_points(weight_kg: float) -> int:
    return next((points for limit, points in ((60, 9), (70, 3)) if weight_kg < limit), 0)


SCORE = Score(
    id="orai",
    title="ORAI osteoporosis risk assessment instrument",
    source=Source("Cadarette 2000, ORAI (CMAJ 162:1289)", "https://loinc.org/98139-9"),
    population="women from 45 years on",
    outcome="low bone density is likely enough to measure it",
    horizon_years=None,
    inputs=(
        # Derived in women of 45 years and older.
        Input("age", "age", unit="a", low=45, high=130),
        Input("weight_kg", "weight", unit="kg", low=20, high=400),
        Input("current_estrogen", "oestrogen at present", kind="boolean"),
    ),
    evaluate=_evaluate,
    outputs=(Output("orai", "ORAI points"), Output("dxa", "9 points or more: measure bone density")),
    notes=("A weight of exactly 70 kg scores 0 here: the items leave it open.",),
)

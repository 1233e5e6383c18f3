"""BI-RADS, 5th edition: what an assessment category means, and how probable malignancy is in it.

American College of Radiology, ACR BI-RADS Atlas, 5th edition, 2013.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored
from cds.risk._criteria import not_whole, refuse

_CATEGORIES: dict[int, tuple[str, str | None]] = {
    0: ("incomplete", None),
    1: ("negative_routine", "0%"),
    2: ("benign_routine", "0%"),
    3: ("probably_benign_6mo", ">0-<=2%"),
    4: ("suspicious_biopsy", ">2-<95%"),
    5: ("highly_suggestive_biopsy", ">=95%"),
    6: ("known_malignancy", None),
}
_SUBCATEGORIES = {"4A": ">2-<=10%", "4B": ">10-<=50%", "4C": ">50-<95%"}


def _evaluate(given: Given) -> Answer:
    if refused := not_whole(given, "category"):
        return refused
    meaning, likelihood = _CATEGORIES[int(given.number("category"))]
    if "subcategory" in given:
        if given.number("category") != 4:
            return refuse("subcategory", "only category 4 has a subcategory")
        likelihood = _SUBCATEGORIES[given.text("subcategory")]
    return Scored({"meaning": meaning, "malignancy_likelihood": likelihood})


SCORE = Score(
    id="bi_rads",
    title="BI-RADS assessment category",
    source=Source(
        "ACR BI-RADS Atlas, 5th edition", "https://www.acr.org/Clinical-Resources/Reporting-and-Data-Systems/Bi-Rads"
    ),
    population="breast imaging",
    outcome="management, and likelihood of malignancy",
    horizon_years=None,
    inputs=(
        Input("category", "BI-RADS category", unit="1", low=0, high=6),
        Input("subcategory", "subcategory of 4", kind="choice", choices=tuple(_SUBCATEGORIES), needed=False),
    ),
    outputs=(
        Output("meaning", "meaning of the category"),
        Output("malignancy_likelihood", "likelihood of malignancy"),
    ),
    notes=("The likelihoods were not verified against the atlas: no rule may rest on them.",),
    licence="BI-RADS is a registered trade mark of the American College of Radiology: ask it before commercial use.",
    evaluate=_evaluate,
)

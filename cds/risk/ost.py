"""OST: who is likely to have osteoporosis, from weight and age.

(kg - years) / 5: Koh et al., Osteoporos Int 2001;12:699-705, doi:10.1007/s001980170070 (women); Adler et al., Mayo Clin
Proc 2003;78:723-727, doi:10.4065/78.6.723 (men).
"""

from __future__ import annotations

import math

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored


def _evaluate(given: Given) -> Answer:
    # The difference of two decimals is not exact: (32.3 - 22.3) / 5 is 2, not below it.
    ost = round((given.number("weight_kg") - given.number("age")) / 5, 9)
    return Scored(
        {"ost": ost, "ost_truncated": math.trunc(ost), "women_screen_lt2": ost < 2, "men_screen_lt4": ost < 4}
    )


SCORE = Score(
    id="ost",
    title="OST osteoporosis self-assessment tool",
    source=Source("Koh 2001, OST", "https://doi.org/10.1007/s001980170070"),
    population="postmenopausal women; men from about 50 years on",
    outcome="osteoporosis by DXA is likely enough to measure it",
    horizon_years=None,
    inputs=(
        Input("weight_kg", "weight", unit="kg", low=20, high=400),
        Input("age", "age", unit="a", low=18, high=130),
    ),
    evaluate=_evaluate,
    outputs=(
        Output("ost", "OST index"),
        Output("ost_truncated", "OST index without its decimals"),
        Output("women_screen_lt2", "below 2: measure bone density in a woman"),
        Output("men_screen_lt4", "below 4: measure bone density in a man"),
    ),
    further=(
        Source("Adler 2003, OST in men", "https://doi.org/10.4065/78.6.723"),
        Source("USPSTF 2025, osteoporosis", "https://doi.org/10.1001/jama.2024.27154"),
    ),
    notes=(
        "Both thresholds are always told: the one of the patient's sex applies.",
        "Cut-offs differ between papers (Asian women: -1 and -4); the decimals are dropped by convention.",
    ),
)

"""USPSTF 2019: one ultrasound screening for abdominal aortic aneurysm, by sex, smoking and family history.

US Preventive Services Task Force, JAMA 2019;322(22):2211-2218, doi:10.1001/jama.2019.18928. Men of 65 to 75 years: B
where they ever smoked, C where not. Women of 65 to 75 years: D where they never smoked and have no family history,
otherwise evidence is insufficient (I).
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored

_SMOKED, _FAMILY = "ever_smoked_100_cigs", "family_history"


def _evaluate(given: Given) -> Answer:
    """An age outside the range decides alone; otherwise whatever the grade rests on must be known."""
    if "age" in given and not 65 <= given.number("age") <= 75:
        return Scored({"grade": "not_in_age_range"})
    grade, asked = _woman(given) if given.get("sex") == "female" else _man(given)
    missing = (*(name for name in ("age", "sex") if name not in given), *asked)
    return NotScored(missing=missing) if missing else Scored({"grade": grade})


def _man(given: Given) -> tuple[str, tuple[str, ...]]:
    """The grade of a man, or what it asks for."""
    if _SMOKED not in given:
        return "", (_SMOKED,)
    return "B_screen_once" if given.flag(_SMOKED) else "C_selective", ()


def _woman(given: Given) -> tuple[str, tuple[str, ...]]:
    """The grade of a woman: one of both is enough for I, D needs both known."""
    if any(name in given and given.flag(name) for name in (_SMOKED, _FAMILY)):
        return "I_insufficient", ()
    return "D_do_not_screen", tuple(name for name in (_SMOKED, _FAMILY) if name not in given)


SCORE = Score(
    id="aaa_uspstf_2019",
    title="USPSTF 2019 screening for abdominal aortic aneurysm",
    source=Source("USPSTF 2019, abdominal aortic aneurysm screening", "https://doi.org/10.1001/jama.2019.18928"),
    population="adults without signs or symptoms of an abdominal aortic aneurysm and without a known one",
    outcome="grade of the recommendation to screen once with ultrasound",
    horizon_years=None,
    inputs=(
        # The bounds are no part of the recommendation: they refuse what cannot be an age.
        Input("age", "age", unit="a", low=0, high=130, needed=False),
        Input("sex", "sex", kind="choice", choices=("female", "male"), needed=False),
        Input(_SMOKED, "ever smoked (100 cigarettes or more)", kind="boolean", needed=False),
        Input(_FAMILY, "abdominal aortic aneurysm of a first-degree relative", kind="boolean", needed=False),
    ),
    outputs=(Output("grade", "grade"),),
    evaluate=_evaluate,
)

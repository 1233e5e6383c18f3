"""USPSTF 2021: who is eligible for lung cancer screening by yearly low-dose CT (grade B).

US Preventive Services Task Force, JAMA 2021;325(10):962-970, doi:10.1001/jama.2021.1117: "adults aged 50 to 80 years
who have a 20 pack-year smoking history and currently smoke or have quit within the past 15 years".
"""

from __future__ import annotations

from collections.abc import Callable

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored

#: How many inputs there are: with all of them nothing is open.
_ALL = 4


def _evaluate(given: Given) -> Answer:
    """One criterion that fails decides; otherwise all must be known."""
    smokes = given.get("current_smoker") is True
    if len(given) == _ALL or (smokes and "age" in given and "pack_years" in given):
        in_time = smokes or given.number("years_quit") <= 15
        return Scored({"eligible": 50 <= given.number("age") <= 80 and given.number("pack_years") >= 20 and in_time})
    criteria = (
        ("age", _holds(given, "age", lambda age: 50 <= age <= 80)),
        ("pack_years", _holds(given, "pack_years", lambda pack_years: pack_years >= 20)),
        _exposure(given),
    )
    if any(holds is False for _, holds in criteria):
        return Scored({"eligible": False})
    missing = tuple(name for name, holds in criteria if holds is None)
    return NotScored(missing=missing) if missing else Scored({"eligible": True})


def _holds(given: Given, name: str, test: Callable[[float], bool]) -> bool | None:
    return test(given.number(name)) if name in given else None


def _exposure(given: Given) -> tuple[str, bool | None]:
    """Smokes now, or quit within the past 15 years; the years since quitting do not count for who smokes now."""
    if "current_smoker" not in given:
        return "current_smoker", None
    if given.flag("current_smoker"):
        return "current_smoker", True
    return "years_quit", _holds(given, "years_quit", lambda years: years <= 15)


SCORE = Score(
    id="uspstf_lung_2021",
    title="USPSTF 2021 lung cancer screening eligibility",
    source=Source("USPSTF 2021, lung cancer screening (grade B)", "https://doi.org/10.1001/jama.2021.1117"),
    population="adults without signs or symptoms of lung cancer and without known lung cancer",
    outcome="eligible for yearly screening with low-dose CT",
    horizon_years=None,
    inputs=(
        # The upper bounds are no part of the recommendation: they refuse what cannot be an age or a history.
        Input("age", "age", unit="a", low=0, high=130, needed=False),
        Input("pack_years", "pack-years", unit="{pack-years}", low=0, high=500, needed=False),
        Input("current_smoker", "current smoking", kind="boolean", needed=False),
        Input("years_quit", "years since quitting", unit="a", low=0, high=130, needed=False),
    ),
    outputs=(Output("eligible", "eligible for screening"),),
    evaluate=_evaluate,
)

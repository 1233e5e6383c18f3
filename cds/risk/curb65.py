"""CURB-65: severity of community-acquired pneumonia, and the site of care.

Lim et al., Thorax 2003;58:377-382, doi:10.1136/thorax.58.5.377: confusion, urea > 7 mmol/L, respiratory rate >= 30,
systolic < 90 or diastolic <= 60 mmHg, age >= 65: 0-1 home, 2 short stay or supervised, 3-5 hospital.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Inputs, NotScored, Output, Score, Scored

_SITE = ("home", "home", "short_stay_or_supervised", "admit", "admit_consider_icu", "admit_consider_icu")


#: What of the inputs gives a point; of the pressures one is enough.
_CRITERIA: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("confusion", bool),
    ("bun_mg_dl", lambda bun: bun > 19),
    ("respiratory_rate", lambda rate: rate >= 30),
    ("age", lambda age: age >= 65),
)
_PRESSURES: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("sbp", lambda pressure: pressure < 90),
    ("dbp", lambda pressure: pressure <= 60),
)


def _evaluate(given: Given) -> Answer:
    """A pressure may be missing where the other one is low."""
    points, unknown = _counted(given)
    if unknown:
        return NotScored(tuple(name for name, _ in _PRESSURES if name not in given))
    return Scored({"curb65": points, "site_of_care": _SITE[points]})


def span(inputs: Inputs) -> tuple[int, int]:
    """The fewest and the most points that inputs within their ranges leave possible: what is missing may give one."""
    points, unknown = _counted(inputs)
    return points, points + unknown


def _counted(inputs: Inputs) -> tuple[int, int]:
    """How many criteria hold, and of how many nobody can tell."""
    held = [None if (value := inputs.get(name)) is None else test(value) for name, test in _CRITERIA]
    low = [None if (value := inputs.get(name)) is None else test(value) for name, test in _PRESSURES]
    held.append(True if True in low else None if None in low else False)
    return held.count(True), held.count(None)


SCORE = Score(
    id="curb65",
    title="CURB-65 pneumonia severity",
    source=Source("Lim 2003, Thorax 58:377", "https://doi.org/10.1136/thorax.58.5.377"),
    population="adults with community-acquired pneumonia",
    outcome="severity, for the site of care",
    horizon_years=None,
    inputs=(
        # The bounds refuse what cannot be a measurement.
        Input("age", "age", unit="a", low=0, high=130),
        Input("confusion", "new confusion", kind="boolean"),
        Input("bun_mg_dl", "blood urea nitrogen", unit="mg/dL", low=0, high=400),
        Input("respiratory_rate", "respiratory rate", unit="/min", low=0, high=150),
        Input("sbp", "systolic blood pressure", unit="mm[Hg]", low=0, high=350, needed=False),
        Input("dbp", "diastolic blood pressure", unit="mm[Hg]", low=0, high=250, needed=False),
    ),
    outputs=(Output("curb65", "CURB-65", "{score}"), Output("site_of_care", "site of care")),
    notes=(
        "The paper's urea above 7 mmol/L is read as urea nitrogen above 19 mg/dL; some print 20 mg/dL.",
        "The score supports the decision on the site of care; it does not replace the clinician's judgement.",
    ),
    evaluate=_evaluate,
)

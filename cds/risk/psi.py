"""Pneumonia Severity Index (PORT): points, and the risk class that they give.

Fine et al., N Engl J Med 1997;336:243-250, doi:10.1056/NEJM199701233360402. Class I is told without points, by age at
most 50 and none of the coexisting illnesses and vital sign abnormalities: the points alone cannot tell it from II.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Inputs, Output, Score, Scored

_SIGNS = {
    "nursing_home_resident": (10, "nursing home resident"),
    "neoplastic_disease": (30, "neoplastic disease"),
    "liver_disease": (20, "liver disease"),
    "chf": (10, "congestive heart failure"),
    "cerebrovascular_disease": (10, "cerebrovascular disease"),
    "renal_disease": (10, "renal disease"),
    "altered_mental_status": (20, "altered mental status"),
    "pleural_effusion": (10, "pleural effusion"),
}


#: What a measurement adds, and from where on.
_MEASURED: tuple[tuple[str, Callable[[Any], bool], int], ...] = (
    ("rr", lambda rate: rate >= 30, 20),
    ("sbp", lambda pressure: pressure < 90, 20),
    ("t", lambda celsius: celsius < 35 or celsius >= 40, 15),
    ("hr", lambda rate: rate >= 125, 10),
    ("ph", lambda ph: ph < 7.35, 30),
    ("bun", lambda bun: bun >= 30, 20),
    ("na", lambda sodium: sodium < 130, 20),
    ("glu", lambda glucose: glucose >= 250, 10),
    ("hct", lambda haematocrit: haematocrit < 30, 10),
    ("po2", lambda pressure: pressure < 60, 10),
)


def _evaluate(given: Given) -> Answer:
    points = _counted(given)
    return Scored({"psi": points, "risk_class_if_not_class_I": _risk_class(points)})


def least_class(inputs: Inputs) -> str:
    """The risk class by what is known of inputs within their ranges, the age among it, unless it is class I.

    What is not known can only add points, but for the sex: where nobody knows it, the ten points less of women count.
    """
    return _risk_class(_counted({**inputs, "sex": inputs.get("sex") or "female"}))


def _counted(inputs: Inputs) -> int:
    age: Any = inputs["age"]
    points: int = math.floor(age) - (10 if inputs["sex"] == "female" else 0)
    points += sum([added for name, (added, _) in _SIGNS.items() if inputs.get(name)])
    for name, holds, added in _MEASURED:
        value = inputs.get(name)
        if value is not None and holds(value):
            points += added
    return points


def _risk_class(points: int) -> str:
    return "II" if points <= 70 else "III" if points <= 90 else "IV" if points <= 130 else "V"


SCORE = Score(
    id="psi",
    title="Pneumonia Severity Index",
    source=Source("Fine 1997, N Engl J Med 336:243", "https://doi.org/10.1056/NEJM199701233360402"),
    population="adults with community-acquired pneumonia",
    outcome="death within 30 days, by class",
    horizon_years=30 / 365.25,
    inputs=(
        Input("age", "age", unit="a", low=18, high=130),
        Input("sex", "sex", kind="choice", choices=("female", "male")),
        *(Input(name, title, kind="boolean", unmentioned=False) for name, (_, title) in _SIGNS.items()),
        # The bounds refuse what cannot be a measurement; what a case does not mention was normal.
        Input("rr", "respiratory rate", unit="/min", low=0, high=150, unmentioned=18),
        Input("sbp", "systolic blood pressure", unit="mm[Hg]", low=0, high=350, unmentioned=120),
        Input("t", "temperature", unit="Cel", low=20, high=46, unmentioned=37),
        Input("hr", "heart rate", unit="/min", low=0, high=400, unmentioned=80),
        Input("ph", "arterial pH", unit="[pH]", low=6, high=8, unmentioned=7.4),
        Input("bun", "blood urea nitrogen", unit="mg/dL", low=0, high=400, unmentioned=15),
        Input("na", "sodium", unit="mmol/L", low=80, high=220, unmentioned=138),
        Input("glu", "glucose", unit="mg/dL", low=0, high=3000, unmentioned=110),
        Input("hct", "haematocrit", unit="%", low=0, high=80, unmentioned=40),
        Input("po2", "arterial partial pressure of oxygen", unit="mm[Hg]", low=0, high=700, unmentioned=80),
    ),
    outputs=(
        Output("psi", "PSI", "{score}"),
        Output("risk_class_if_not_class_I", "risk class, unless it is class I"),
    ),
    notes=(
        "Class I (age at most 50, no coexisting illness, no abnormal vital sign) has to be told before the points.",
        "The paper also counts an oxygen saturation below 90 % as hypoxaemia: give the partial pressure here.",
    ),
    evaluate=_evaluate,
)

"""Canadian CT Head Rule: which adults with a minor head injury need CT.

Stiell et al., Lancet 2001;357:1391-1396, doi:10.1016/S0140-6736(00)04561-X.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score
from cds.risk._facts import Fact, any_of, decide, flag, number


def _evaluate(given: Given) -> Answer:
    rules = (
        (_not_applicable(given), "not_applicable"),
        (_high(given), "ct_high"),
        (_medium(given), "ct_medium"),
    )
    return decide("result", rules, otherwise="no_ct")


def _not_applicable(given: Given) -> Fact:
    return any_of(
        (
            number(given, "age", lambda age: age < 16),
            number(given, "gcs", lambda gcs: gcs < 13),
            ~flag(given, "loc_amnesia_or_disorientation"),
            flag(given, "anticoagulant"),
            flag(given, "seizure"),
        )
    )


def _high(given: Given) -> Fact:
    """At high risk of a neurosurgical intervention."""
    return any_of(
        (
            number(given, "gcs_2h", lambda gcs: gcs < 15),
            flag(given, "suspected_open_or_depressed_fracture"),
            flag(given, "basal_skull_signs"),
            number(given, "vomiting", lambda episodes: episodes >= 2),
            number(given, "age", lambda age: age >= 65),
        )
    )


def _medium(given: Given) -> Fact:
    """At medium risk of an injury that CT shows."""
    return number(given, "retrograde_amnesia_min", lambda minutes: minutes >= 30) | flag(given, "dangerous_mechanism")


def _sign(name: str, title: str, *aliases: str) -> Input:
    """A sign that a short description of a case would mention."""
    return Input(name, title, kind="boolean", needed=False, unmentioned=False, aliases=aliases)


SCORE = Score(
    id="canadian_ct_head",
    title="Canadian CT Head Rule",
    source=Source("Stiell 2001, Canadian CT Head Rule", "https://doi.org/10.1016/S0140-6736(00)04561-X"),
    population=(
        "from 16 years on, blunt head injury within 24 hours with loss of consciousness, amnesia or disorientation, "
        "GCS 13 to 15, no anticoagulant, no seizure"
    ),
    outcome="needs CT: high risk of neurosurgery, or medium risk of a brain injury on CT",
    horizon_years=None,
    inputs=(
        Input("age", "age", unit="a", low=0, high=130, needed=False),
        Input("gcs", "GCS on arrival", unit="{score}", low=3, high=15, needed=False),
        Input("gcs_2h", "GCS two hours after the injury", unit="{score}", low=3, high=15, needed=False),
        Input(
            "loc_amnesia_or_disorientation", "loss of consciousness, amnesia or disorientation", "boolean", needed=False
        ),
        # The upper bounds refuse what cannot be a count of episodes or minutes of a lifetime.
        Input("vomiting", "episodes of vomiting", unit="{count}", low=0, high=1000, needed=False),
        Input("retrograde_amnesia_min", "amnesia before the impact", "number", "min", low=0, high=1e8, needed=False),
        _sign("suspected_open_or_depressed_fracture", "suspected open or depressed fracture of the skull"),
        _sign("basal_skull_signs", "any sign of a fracture of the base of the skull"),
        _sign("dangerous_mechanism", "dangerous mechanism"),
        _sign("anticoagulant", "anticoagulant", "anticoagulated", "oral_anticoagulant"),
        _sign("seizure", "seizure after the injury", "seizure_after_injury", "post_traumatic_seizure"),
    ),
    evaluate=_evaluate,
    outputs=(Output("result", "whether CT is needed"),),
    notes=(
        "Dangerous mechanism: pedestrian struck by a motor vehicle, ejected from one, or a fall of 3 feet or 5 stairs "
        "(some print more than 3 feet, more than 5 stairs).",
        "Not for penetrating injury, an obvious depressed fracture, a focal deficit, a bleeding disorder or pregnancy.",
        "Not applicable does not mean that CT is not needed.",
    ),
)

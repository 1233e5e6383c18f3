"""What Fleischner 2017 and Lung-RADS v2022 say of each nodule, and what BTS 2015 adds by the Brock probability.

An input that is not known may be anything: of all answers the soonest follow-up is suggested, and all are told.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from cds import action_codes as actions
from cds.domain.coding import Coding
from cds.domain.order import Priority
from cds.domain.recommendation import Source
from cds.pathways._change import Course, millimetres
from cds.pathways._nodule import Nodule, Person, risk
from cds.pathways.declaration import Rule
from cds.risk import Answer, Scored
from cds.risk.brock import SCORE as BROCK
from cds.risk.brock import with_spiculation
from cds.risk.bts_brock import SCORE as BTS
from cds.risk.fleischner_2017 import SCORE as FLEISCHNER
from cds.risk.lung_rads_2022 import SCORE as LUNG_RADS

LARGE = Rule("large", "A single solid nodule above 8 mm has CT at 3 months, PET-CT or tissue sampling considered.")
SUSPICIOUS = Rule(
    "part-solid-suspicious",
    "A part-solid nodule with a solid part above 8 mm is referred for PET-CT, biopsy or resection.",
)
THREE_TO_SIX = Rule(
    "three-to-six",
    "Several nodules from 6 mm, several subsolid or one part-solid from 6 mm have CT at 3 to 6 months.",
)
SIX_TO_TWELVE = Rule(
    "six-to-twelve", "One solid nodule of 6 to 8 mm or ground-glass nodule from 6 mm has CT at 6 to 12 months."
)
OPTIONAL = Rule("optional", "A solid nodule below 6 mm at high risk may have CT after 12 months.")
NO_FOLLOW_UP = Rule(
    "no-follow-up", "Solid nodules below 6 mm at low risk and one subsolid nodule below 6 mm need no follow-up."
)
RISK = Rule("risk", "Smoking, emphysema, lung cancer in the family, spiculation or an upper lobe make the risk high.")
RISK_OPEN = Rule("risk-open", "A risk that is not known is never taken for low.")
RADS_2 = Rule("lung-rads-2", "Lung-RADS 1 or 2 continues yearly screening with low-dose CT.", LUNG_RADS.source)
RADS_3 = Rule("lung-rads-3", "Lung-RADS 3 has low-dose CT at 6 months.", LUNG_RADS.source)
RADS_4A = Rule("lung-rads-4a", "Lung-RADS 4A has low-dose CT at 3 months.", LUNG_RADS.source)
RADS_4B = Rule(
    "lung-rads-4b", "Lung-RADS 4B or 4X is referred for diagnostic CT, PET-CT or tissue sampling.", LUNG_RADS.source
)
PET = Rule("pet-ct", "A solid nodule of 8 mm or more with a Brock probability of 10 % or more has PET-CT.", BTS.source)

#: Brock is for the tumours of ever-smokers; what BTS 2015 asks of it.
_PET_SIZE, _PET_PROBABILITY = 8.0, 0.1
#: Types as Brock and Lung-RADS call them.
_NON_SOLID = {"ground_glass": "non_solid"}
#: What makes the Brock probability least and most, where it is no yes or no.
_NO_YES = (False, True)
_ENDS: dict[str, tuple[object, object]] = {
    "sex": ("male", "female"),
    "nodule_type": ("non_solid", "part_solid"),
    "age": (18, 100),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A follow-up as a guideline names it: the lower `rank` the sooner; months from the day of the images."""

    token: str
    rank: int
    rule: Rule
    source: Source
    action: Coding | None = None
    first: int | None = None
    last: int | None = None
    priority: Priority = Priority.ROUTINE


def _fleischner(token: str, rank: int, rule: Rule, action: Coding | None, *window: int) -> Plan:
    first, last = window or (None, None)
    urgent = Priority.URGENT if rank < 2 else Priority.ROUTINE
    return Plan(token, rank, rule, FLEISCHNER.source, action, first, last, urgent)


def _rads(token: str, rank: int, rule: Rule, action: Coding, *window: int) -> Plan:
    first, last = window or (None, None)
    urgent = Priority.URGENT if rank < 2 else Priority.ROUTINE
    return Plan(token, rank, rule, LUNG_RADS.source, action, first, last, urgent)


_CT, _LOW_DOSE, _CLINIC = actions.CHEST_CT_FOLLOW_UP, actions.LOW_DOSE_SCREENING_CT, actions.NODULE_CLINIC_REFERRAL
NONE = _fleischner("none", 9, NO_FOLLOW_UP, None)
PLANS = {
    plan.token: plan
    for plan in (
        _fleischner("petct_or_biopsy_or_resection", 0, SUSPICIOUS, _CLINIC),
        _rads("diagnostic_ct_petct_tissue_or_1mo", 0, RADS_4B, _CLINIC),
        _fleischner("consider_ct_3mo_or_petct_or_biopsy", 1, LARGE, _CT, 3, 3),
        _rads("ldct_3mo_petct_if_solid_ge8", 1, RADS_4A, _LOW_DOSE, 3, 3),
        _fleischner("ct_3_6mo", 2, THREE_TO_SIX, _CT, 3, 6),
        _rads("ldct_6mo", 3, RADS_3, _LOW_DOSE, 6, 6),
        _fleischner("ct_6_12mo", 4, SIX_TO_TWELVE, _CT, 6, 12),
        _fleischner("optional_ct_12mo", 5, OPTIONAL, _CT, 12, 12),
        _rads("ldct_12mo", 6, RADS_2, _LOW_DOSE, 12, 12),
        NONE,
    )
}


class Planned(NamedTuple):
    """What a rule says of the nodules: the soonest plan, of which nodule, and every plan that is possible.

    `then` is what Fleischner says comes after; `categories` are those of Lung-RADS.
    """

    plan: Plan
    nodule: Nodule
    possible: tuple[Plan, ...]
    then: str | None = None
    categories: tuple[str, ...] = ()


def fleischner(every: Iterable[Nodule], who: Person, several: bool) -> Planned | None:
    """The soonest follow-up of all nodules; whoever it is not made for was found out before."""
    found = [planned for one in every if (planned := _incidental(one, who, several)) is not None]
    return min(found, key=_soonest, default=None)


def lung_rads(every: Iterable[Nodule]) -> Planned | None:
    """The most suspicious category of all nodules."""
    found = [planned for one in every if (planned := _screened(one)) is not None]
    return min(found, key=_soonest, default=None)


def answers(planned: Planned, who: Person, several: bool, screening: bool | None) -> Answer:
    """What the score of a plan says of its nodule, with what is known alone."""
    nodule = planned.nodule
    told: dict[str, object] = {"mean_diameter_mm": nodule.diameter, "solid_component_mm": nodule.component}
    if planned.plan.source is LUNG_RADS.source:
        course = nodule.courses[0].value if len(nodule.courses) == 1 else None
        kind = _NON_SOLID.get(nodule.kind, nodule.kind) if nodule.kind else None
        return LUNG_RADS(told | {"status": course, "type": kind, "suspicious_features": bool(nodule.spiculated)})
    high = risk(who, nodule)
    told |= {
        "age": who.age,
        "known_cancer": who.cancer,
        "immunosuppressed": who.immunosuppressed,
        "screening_exam": screening,
        "type": nodule.kind,
        "count": "multiple" if several else "single",
        "risk": None if high is None else "high" if high else "low",
    }
    return FLEISCHNER(told)


def brock(nodule: Nodule, who: Person, number: int) -> tuple[Answer, float, float]:
    """The Brock answer, and the lowest and the highest probability that the unknown inputs leave open."""
    told: dict[str, object] = {
        "age": who.age,
        "sex": who.sex,
        "family_history_lung_cancer": who.family,
        "emphysema": who.emphysema,
        "diameter_mm": nodule.diameter,
        "nodule_type": _NON_SOLID.get(nodule.kind, nodule.kind) if nodule.kind else None,
        "upper_lobe": nodule.upper_lobe,
        "nodule_count": number,
        "spiculation": nodule.spiculated,
    }
    answer = BROCK(told)
    if isinstance(answer, Scored):
        probability = answer.number("probability_full_with_spiculation")
        return answer, probability, probability
    if answer.out_of_range:
        return answer, 0.0, 1.0
    # Every term of the model rises on its own: its least and its most are those of all that is not known.
    ends = [{name: _ENDS.get(name, _NO_YES)[end] for name in answer.missing} for end in (0, 1)]
    low, high = (with_spiculation(told | unknown) for unknown in ends)
    return answer, low, high


def needs_pet(nodule: Nodule, low: float, high: float) -> bool | None:
    """Whether BTS 2015 has PET-CT for a nodule; None where what is not known decides."""
    if nodule.diameter < _PET_SIZE or nodule.kind in ("part_solid", "ground_glass"):
        return False
    if high < _PET_PROBABILITY:
        return False
    return True if low >= _PET_PROBABILITY and nodule.kind == "solid" else None


def _soonest(planned: Planned) -> tuple[int, float, str]:
    return planned.plan.rank, -planned.nodule.diameter, planned.nodule.seen.finding.key


def _incidental(nodule: Nodule, who: Person, several: bool) -> Planned | None:
    high = risk(who, nodule)
    count = "multiple" if several else "single"
    risks = ("low", "high") if high is None else ("high" if high else "low",)
    answers = [
        answer
        for kind, component in nodule.forms
        for of_risk in (risks if kind == "solid" else ("high",))
        if (answer := _by_fleischner(kind, count, _whole(nodule.diameter), _whole(component), of_risk)) is not None
    ]
    if not answers:
        return None
    soonest = min(answers, key=lambda one: PLANS[one[0]].rank)
    return _planned(nodule, [first for first, _ in answers], soonest[1])


@functools.lru_cache(maxsize=4096)
def _by_fleischner(
    kind: str, count: str, diameter: int, component: int | None, of_risk: str
) -> tuple[str, str | None] | None:
    """A row of the table: the first follow-up and the one after. Sizes count in whole millimetres there.

    Whoever the recommendations are not made for was found out before; what of that is not known is told.
    """
    answer = FLEISCHNER(
        {
            "age": 35,
            "known_cancer": False,
            "immunosuppressed": False,
            "screening_exam": False,
            "count": count,
            "mean_diameter_mm": diameter,
            "type": kind,
            "solid_component_mm": component,
            "risk": of_risk,
        }
    )
    if not isinstance(answer, Scored):
        return None
    then = answer.outputs["then"]
    return str(answer.outputs["first_followup"]), None if then is None else str(then)


def _screened(nodule: Nodule) -> Planned | None:
    answers = {answer: None for course in nodule.courses for answer in _categories(nodule, course)}
    if not answers:
        return None
    planned = _planned(nodule, [management for _, management in answers], None)
    return planned._replace(categories=tuple(sorted({category for category, _ in answers})))


def _categories(nodule: Nodule, course: Course) -> list[tuple[str, str]]:
    """Of a nodule that did not grow the category follows the one before, of the size that it then had.

    What makes it 4X beside spiculation is for the radiologist: the category is the least that it is.
    """
    size, suspicious = _tenths(nodule.diameter), bool(nodule.spiculated)
    told = [
        _by_lung_rads(kind, course.value, size, _tenths(component), suspicious=suspicious, prior=prior)
        for kind, component in nodule.forms
        for prior in (_prior_categories(nodule, kind, component) if course is Course.STABLE else (None,))
    ]
    return [answer for answer in told if answer is not None]


def _prior_categories(nodule: Nodule, kind: str, component: float | None) -> list[str]:
    """What a nodule that did not grow may have been, by the size that it had."""
    change = nodule.seen.finding.change
    size = millimetres(change.prior) if change else None
    then = nodule.diameter if size is None else size
    part = None if component is None else min(component, then)
    told = [
        _by_lung_rads(kind, one, _tenths(then), _tenths(part), suspicious=False, prior=None)
        for one in ("baseline", "new")
    ]
    return sorted({answer[0] for answer in told if answer is not None})


@functools.lru_cache(maxsize=4096)
def _by_lung_rads(
    kind: str, status: str, diameter: float, component: float | None, *, suspicious: bool, prior: str | None
) -> tuple[str, str] | None:
    """A row of the table: the category and the management. Sizes count in tenths of a millimetre there."""
    answer = LUNG_RADS(
        {
            "type": _NON_SOLID.get(kind, kind),
            "status": status,
            "mean_diameter_mm": diameter,
            "solid_component_mm": component,
            "suspicious_features": suspicious,
            "prior_category": prior,
        }
    )
    return (str(answer.outputs["category"]), str(answer.outputs["management"])) if isinstance(answer, Scored) else None


def _whole(millimetres: float | None) -> int | None:
    return None if millimetres is None else math.floor(millimetres + 0.5)


def _tenths(millimetres: float | None) -> float | None:
    return None if millimetres is None else math.floor(millimetres * 10 + 0.5) / 10


def _planned(nodule: Nodule, tokens: Iterable[str], then: str | None) -> Planned:
    plans = sorted({token: PLANS[token] for token in tokens}.values(), key=lambda plan: plan.rank)
    return Planned(plans[0], nodule, tuple(plans), then)

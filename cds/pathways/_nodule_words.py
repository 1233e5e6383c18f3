"""What the card of a lung nodule says: steps with their days, what a guideline says after that, and what is open."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import date

from cds.domain.order import Priority
from cds.domain.recommendation import Indicator, Recommendation
from cds.pathways._facts import Seen, add_months, age_years, where
from cds.pathways._nodule import Nodule, Person
from cds.pathways._nodule_plan import OPTIONAL, RADS_4B, Plan, Planned
from cds.pathways._reasoning import Reasoning
from cds.pathways.language import say
from cds.risk.lung_rads_2022 import SCORE as LUNG_RADS

#: Diagnostic CT, PET-CT or tissue sampling of Lung-RADS 4B; "1 month" is what its footnote gives new large nodules.
_WITHIN_MONTHS = 1


_KINDS = {"solid": "solid", "part_solid": "part-solid", "ground_glass": "ground-glass"}
_ACTIONS = {
    "petct_or_biopsy_or_resection": "Nodule clinic: PET-CT, biopsy or resection",
    "diagnostic_ct_petct_tissue_or_1mo": "Nodule clinic: diagnostic CT, PET-CT or tissue sampling",
    "consider_ct_3mo_or_petct_or_biopsy": "CT of the chest at 3 months; or PET-CT or tissue sampling",
    "ldct_3mo_petct_if_solid_ge8": "Low-dose CT of the chest at 3 months",
    "ct_3_6mo": "CT of the chest at 3 to 6 months",
    "ldct_6mo": "Low-dose CT of the chest at 6 months",
    "ct_6_12mo": "CT of the chest at 6 to 12 months",
    "optional_ct_12mo": "CT of the chest at 12 months (optional)",
    "ldct_12mo": "Yearly low-dose screening CT",
    "none": "no routine follow-up",
}
_THEN = {
    "consider_ct_18_24mo": "consider CT at 18 to 24 months",
    "ct_18_24mo": "CT at 18 to 24 months",
    "ct_every_2y_until_5y": "CT every 2 years until 5 years",
    "annual_ct_5y_if_stable_and_solid_lt6": "CT every year for 5 years, if the solid part stays below 6 mm",
    "highly_suspicious_if_persistent": "highly suspicious if it persists",
    "consider_ct_2y_and_4y": "consider CT at 2 and at 4 years",
    "manage_by_most_suspicious": "by the most suspicious nodule",
}


def step(found: Reasoning, planned: Planned, who: Person) -> Recommendation | None:
    """The follow-up as a draft; None where the plan is none."""
    plan, case = planned.plan, found.case
    if plan.action is None:
        return None
    first = add_months(case.study_date, plan.first) if plan.first is not None else None
    last = add_months(case.study_date, plan.last) if plan.last is not None else None
    if plan.rule is RADS_4B:
        last = add_months(case.study_date, _WITHIN_MONTHS)
    late = last is not None and last < case.today
    return Recommendation(
        key="follow-up",
        action=_dated(found, _action(found, plan), first, last),
        code=plan.action,
        reason=_reason(found, planned, who),
        source=plan.source,
        priority=plan.priority,
        not_before=first if first is not None and first > case.today else None,
        by=case.today if late else last,
        because=tuple(_because(found, planned, who)),
        would_change=_would_change(found, planned),
        strength=_strength(plan),
        acr_category=3 if plan.rank < 2 else None,
    )


def _dated(found: Reasoning, action: str, first: date | None, last: date | None) -> str:
    """What is due on one day names it, while it lies ahead."""
    if first is None or first != last or first <= found.case.today:
        return action
    return found.say("{action} ({day})", action=action, day=first)


def size(found: Reasoning, nodule: Nodule) -> str:
    """A nodule in a few words: its type and its mean diameter."""
    return _size(found.case.language, _KINDS[nodule.kind] if nodule.kind else "type unknown", nodule.diameter)


@functools.lru_cache(maxsize=256)
def _size(language: str, kind: str, diameter: float) -> str:
    """Every step of a card names its nodule: the words for a size are made once."""
    return say(language, "{size} mm, {kind}", size=f"{diameter:.1f}", kind=say(language, kind))


def categories(planned: Planned) -> str:
    """The Lung-RADS categories that are possible: the least that it is."""
    return "/".join(planned.categories)


def meaning(found: Reasoning, planned: Planned) -> str:
    """What a guideline says of the nodules, with everything that is possible where something is not known."""
    if planned.plan.source is LUNG_RADS.source:
        return found.say(
            "Lung-RADS v2022, by size and course alone: {categories}; suspicious features make 3 or 4 a 4X.",
            categories=categories(planned),
        )
    told = found.say(" or ").join(_action(found, plan) for plan in planned.possible)
    after = found.say(" Then: {then}.", then=found.say(_THEN[planned.then])) if planned.then else ""
    return found.say("Fleischner 2017: {plans}.{after}", plans=told, after=after)


def _action(found: Reasoning, plan: Plan) -> str:
    return found.say(_ACTIONS[plan.token])


def _strength(plan: Plan) -> str:
    return "optional" if plan.rule is OPTIONAL else ""


def _reason(found: Reasoning, planned: Planned, who: Person) -> str:
    told = found.say("Lung nodule, {size}.", size=size(found, planned.nodule))
    if planned.plan.source is LUNG_RADS.source:
        return found.say("{told} Lung-RADS {categories}.", told=told, categories=categories(planned))
    open_ = [
        found.say("the age") if who.age is None else "",
        found.say("whether there is cancer") if who.cancer is None else "",
        found.say("whether there is immunosuppression") if who.immunosuppressed is None else "",
    ]
    lacking = ", ".join(one for one in open_ if one)
    if not lacking:
        return told
    return found.say("{told} Not known: {lacking}; Fleischner 2017 holds only without.", told=told, lacking=lacking)


def _because(found: Reasoning, planned: Planned, who: Person) -> Iterator[str]:
    nodule = planned.nodule
    yield found.say(
        "Mean diameter {size} ({day}, {source}).",
        size=size(found, nodule),
        day=found.case.study_date,
        source=where(found.case, nodule.seen),
    )
    if planned.plan.source is not LUNG_RADS.source and nodule.kind in (None, "solid"):
        yield from _risk(found, nodule, who)
    if len(planned.possible) > 1:
        yield found.say("What is not known decides between several follow-ups: the soonest is suggested.")


def _risk(found: Reasoning, nodule: Nodule, who: Person) -> Iterator[str]:
    factors = (
        ("history of smoking", who.smoked),
        ("emphysema by LAA-950 at the site's cut-off" if who.by_density else "emphysema", who.emphysema),
        ("lung cancer in the family", who.family),
        ("upper lobe", nodule.upper_lobe),
        ("spiculation", nodule.spiculated),
    )
    if held := [found.say(name) for name, there in factors if there]:
        yield found.say("Raises the risk: {factors}.", factors=", ".join(held))
    if unknown := [found.say(name) for name, there in factors if there is None]:
        yield found.say("Not known of the risk: {factors}.", factors=", ".join(unknown))


def _would_change(found: Reasoning, planned: Planned) -> tuple[str, ...]:
    told = [found.say("An earlier CT that shows it unchanged or growing; a benign pattern of calcification or fat.")]
    if planned.nodule.kind is None:
        told.append(found.say("The type of the nodule: solid, part-solid or ground-glass."))
    return tuple(told)


def use_age(found: Reasoning) -> None:
    """The age on the day of the images, among the values used."""
    day = found.case.study_date
    found.use(
        found.say("age"),
        found.case.ehr.birth_date,
        lambda born: found.say("{years} years on {day}", years=age_years(born, day), day=day),
    )


def lacks_age(found: Reasoning) -> None:
    """The age as missing where the birth date is not known."""
    found.lacks(found.say("age"), found.case.ehr.birth_date, found.say("correct the birth date in the registration"))


def indicator(found: Reasoning) -> Indicator:
    """How much the card stands out: by its most urgent step."""
    urgent = any(one.priority is not Priority.ROUTINE for one in found.recommendations)
    return Indicator.WARNING if urgent else Indicator.INFO


def keys(seen: tuple[Seen, ...]) -> tuple[str, ...]:
    """The keys of some findings, each once."""
    return tuple(dict.fromkeys(sorted(one.finding.key for one in seen)))


def limits(seen: tuple[Seen, ...]) -> tuple[str, ...]:
    """The limits of the models that found them, each once."""
    return tuple(dict.fromkeys(sorted(limit for one in seen for limit in one.by.limits)))

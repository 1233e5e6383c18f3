"""What cannot wait for a memory clinic: ventricles that grow within days or weeks, and confusion of these days."""

from __future__ import annotations

from collections.abc import Sequence

from cds import action_codes as actions
from cds import condition_codes
from cds.domain.ehr import Known
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, Indicator, Recommendation, Source
from cds.pathways._bedside import any_of, near, undated
from cds.pathways._facts import Seen, where, words
from cds.pathways._reasoning import Reasoning
from cds.pathways._seen import asked_on
from cds.pathways._sentences import because

NICE = Source("NICE NG97, dementia", "https://www.nice.org.uk/guidance/ng97")
ACR = Source("ACR Actionable Reporting Work Group 2014", "https://doi.org/10.1016/j.jacr.2013.12.016")
_CONFUSION_DAYS = 7


def changed(found: Reasoning, seen: Seen) -> str:
    """What changed, by how much, in how many days."""
    change, side = seen.finding.change, seen.finding.laterality
    name = found.say(seen.finding.code.display) + (f" ({found.say(side)})" if side else "")
    if change is None:
        return name
    percent = "" if change.percent is None else f" ({change.percent:+.1f} %)"
    loss = f"{change.absolute:+.3g} {change.prior.unit}{percent}"
    return found.say("{name}: {loss} in {days} days", name=name, loss=loss, days=change.days)


def hydrocephalus(found: Reasoning, grown: Sequence[Seen], limits: tuple[str, ...]) -> Advice:
    """Ventricles that grew within weeks: a radiologist and who treats the patient look today."""
    for one in grown:
        found.measured(found.say("growth of the ventricles"), changed(found, one), where(found.case, one))
    day, modality = found.case.study_date, found.case.modality
    found.recommend(
        Recommendation(
            key="hydrocephalus-today",
            action=found.say("Radiologist and clinician today: acute hydrocephalus?"),
            code=actions.COMPARE_STUDIES,
            reason=found.say("The ventricles grew beyond the measurement's error within 90 days."),
            source=ACR,
            priority=Priority.ASAP,
            by=found.case.today,
            because=(*because(found), *asked_on(found, actions.COMPARE_STUDIES)),
            acr_category=2,
            would_change=(found.say("A radiologist who sees no growth, or knows its cause."),),
        )
    )
    return found.advice(
        found.say("The ventricles grew on {modality} of {day} (AI): acute hydrocephalus?", modality=modality, day=day),
        Indicator.WARNING,
        tuple(dict.fromkeys(one.finding.key for one in grown)),
        seen=tuple(found.say("{said}.", said=changed(found, one)) for one in grown),
        meaning=(found.say("Growth within weeks is no atrophy: memory is not judged before its cause is known."),),
        limits=(*dict.fromkeys(limit for one in grown for limit in one.by.limits), *map(found.say, limits)),
        further=(ACR,),
    )


def confused(found: Reasoning) -> bool | None:
    """Whether confusion was stated in the days around the images or before today; missing where nobody can tell."""
    value_set, case = condition_codes.CONFUSION, found.case
    fact = case.ehr.symptom(value_set.name)
    undated(found, value_set, fact, found.say("ask for it, and look for delirium"))
    held = any_of(near(fact, day, _CONFUSION_DAYS) for day in (case.study_date, case.today))
    if held and isinstance(fact, Known):
        found.use(value_set.title, fact, words)
    return held


def delirium(found: Reasoning, seen: Sequence[Seen], limits: tuple[str, ...]) -> Advice:
    """Confusion of these days comes first: no code of a step says it, so the card does."""
    said = "Confusion, and atrophy or decline of the brain on {modality} of {day}: look for delirium."
    return found.advice(
        found.say(said, modality=found.case.modality, day=found.case.study_date),
        Indicator.WARNING,
        tuple(dict.fromkeys(one.finding.key for one in seen)),
        seen=because(found),
        meaning=(found.say("Look for delirium and its cause today: memory is judged when the confusion is over."),),
        limits=(*dict.fromkeys(limit for one in seen for limit in one.by.limits), *map(found.say, limits)),
    )

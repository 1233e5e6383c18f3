"""What pregnancy means for a step that uses ionising radiation: routine imaging waits, needed imaging does not.

What is urgent, and all imaging in known cancer, is decided on now by the radiologist and the obstetrician.

ACOG Committee Opinion 723 (doi:10.1097/AOG.0000000000002355): radiation that is needed is not withheld.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from cds import codes, condition_codes
from cds.domain.ehr import Known
from cds.domain.identity import Sex
from cds.domain.order import Priority
from cds.domain.recommendation import Recommendation, Source
from cds.pathways._facts import Missing
from cds.pathways._guards import age_on, stated
from cds.pathways._reasoning import Reasoning
from cds.pathways.declaration import Rule

ACOG = Source("ACOG 723, imaging in pregnancy", "https://doi.org/10.1097/AOG.0000000000002355")
WAITS = Rule(
    "pregnancy", "In pregnancy, and where it is not excluded, routine imaging with ionising radiation waits.", ACOG
)
NOW = Rule(
    "pregnancy-now",
    "In pregnancy nothing urgent waits, nor with known cancer: radiologist and obstetrician decide now.",
    ACOG,
)

#: What a pathway asks of the record that uses this guard, beside cancer.
ASKS = (codes.PREGNANCY,)
_FROM_YEARS, _TO_YEARS = 12, 55
#: What is recorded as a pregnancy is over after so many days; a word that she is not counts for so few.
_LONGEST_DAYS, _NOT_PREGNANT_DAYS = 300, 3


def ionising(found: Reasoning) -> bool | None:
    """Whether the patient is pregnant; None where she may be: a woman of 12 to 55 years of whom no new word is known.

    A pregnancy on record counts whatever age and sex are recorded: one of them is wrong.
    """
    fact, today = found.case.ehr.pregnancy, found.case.today
    title = found.say("pregnancy")
    if isinstance(fact, Known) and fact.effective is not None:
        lasts = _LONGEST_DAYS if fact.value else _NOT_PREGNANT_DAYS
        if abs((today - fact.effective).days) <= lasts:
            found.use(title, fact, lambda said: found.say("pregnant") if said else found.say("not pregnant"))
            return fact.value
    if not _askable(found):
        return False
    why = found.say("there is no word of it that is new enough")
    found.missing.append(Missing(title, why, found.say("ask the patient; a test where it cannot be excluded")))
    return None


def guarded(found: Reasoning, step: Recommendation) -> Recommendation:
    """A step with ionising radiation as it stands for whoever is, or may be, pregnant: a routine one waits."""
    pregnant, routine = ionising(found), step.priority is Priority.ROUTINE and not _has_cancer(found)
    found.apply(WAITS, pregnant and routine)
    found.apply(NOW, pregnant and not routine)
    if pregnant is False:
        return step
    if pregnant is None:
        told = found.say("Pregnancy is possible: it is excluded before; until then routine imaging waits.")
        return replace(step, because=(*step.because, told))
    return _after_birth(found, step) if routine else _now(found, step)


def _has_cancer(found: Reasoning) -> bool:
    """Whether cancer is on record: then no imaging is routine in pregnancy."""
    ehr = found.case.ehr
    return bool(stated(ehr.condition(condition_codes.CANCER.name)) or stated(ehr.condition(codes.LUNG_CANCER.name)))


def _now(found: Reasoning, step: Recommendation) -> Recommendation:
    """The step without a day before which it would have to wait."""
    told = found.say("Pregnancy is on record: the radiologist and the obstetrician decide now how and when it is done.")
    return replace(
        step,
        action=found.say("{action}: radiologist and obstetrician decide now", action=step.action),
        priority=Priority.URGENT if step.priority is Priority.ROUTINE else step.priority,
        not_before=None,
        because=(*step.because, told),
    )


def _after_birth(found: Reasoning, step: Recommendation) -> Recommendation:
    """The step after the latest day on which the pregnancy on record ends."""
    over = _over(found)
    first = max(over, step.not_before) if step.not_before else over
    told = found.say(
        "Pregnancy is on record: routine imaging waits until it is over, unless the radiologist and her doctor decide"
        " otherwise."
    )
    return replace(
        step,
        action=found.say("{action}; after the pregnancy", action=step.action),
        not_before=first,
        by=max(first, step.by) if step.by else None,
        because=(*step.because, told),
    )


def _over(found: Reasoning) -> date:
    fact, today = found.case.ehr.pregnancy, found.case.today
    stated = fact.effective if isinstance(fact, Known) else None
    return max(today, (stated or today) + timedelta(days=_LONGEST_DAYS))


def _askable(found: Reasoning) -> bool:
    """Whether pregnancy is a question; a sex or an age that is not known does not answer it."""
    sex = found.case.ehr.sex
    if isinstance(sex, Known) and sex.value is Sex.MALE:
        return False
    years = age_on(found.case.ehr.birth_date, found.case.today)
    return years is None or _FROM_YEARS <= years <= _TO_YEARS

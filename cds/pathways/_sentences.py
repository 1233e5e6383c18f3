"""What pathways of the aorta, the liver and coronary calcium say alike: why a step is suggested, and what was searched.

Facts are three-valued throughout: what nobody could be asked for is missing, never absent.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.ehr import ClinicalItem, Fact, Known, Unknown
from cds.domain.identity import Sex
from cds.domain.recommendation import InputUsed
from cds.pathways._facts import NONE_FOUND, Missing, refused, words
from cds.pathways._guards import age_on, asked_already, stated
from cds.pathways._reasoning import Reasoning

_BINARY = (Sex.FEMALE, Sex.MALE)
#: The guidelines of these pathways are for adults.
_ADULT_YEARS = 18


def under_age(found: Reasoning) -> bool | None:
    """Whether the patient was a child on the day of the images; missing where the birth date is not known."""
    born = found.case.ehr.birth_date
    years = age_on(born, found.case.study_date)
    if years is None:
        found.lacks(found.say("age"), born, found.say("correct the birth date in the registration"))
        return None
    return years < _ADULT_YEARS


def binary_sex(found: Reasoning) -> str | None:
    """The sex as rules take it that know women and men alone; None for any other, and where it is not known."""
    sex = found.case.ehr.sex
    return sex.value.value if isinstance(sex, Known) and sex.value in _BINARY else None


def lacks_sex(found: Reasoning) -> None:
    """A sex that a rule cannot take stands as missing: it is never taken for one of both."""
    sex = found.case.ehr.sex
    fact = Unknown(found.say("neither female nor male is recorded")) if isinstance(sex, Known) else sex
    found.lacks(found.say("sex"), fact, found.say("correct the sex in the registration"))


def on_record(found: Reasoning, value_set: ValueSet, how: str) -> bool | None:
    """Whether a procedure was ever done, dated or not; used, or missing, in the answer either way."""
    fact, title = found.case.ehr.procedure(value_set.name), found.say(value_set.title)
    found.use(title, fact, words)
    found.unasked(title, fact, how)
    return stated(fact)


def done_since_images(found: Reasoning, value_set: ValueSet) -> bool | None:
    """Whether something was done on a later day than these images were made."""
    fact, title = found.case.ehr.procedure(value_set.name), found.say(value_set.title)
    found.use(title, fact, words)
    found.unasked(title, fact, found.say("look in the record, or ask the patient"))
    if not isinstance(fact, Known):
        return stated(fact)
    return None if fact.effective is None else fact.effective > found.case.study_date


def suffered(found: Reasoning, symptoms: Iterable[ValueSet], days: float) -> bool | None:
    """Whether one of some symptoms was stated in the days before the images, or since; None where nobody can tell."""
    told = [_suffered(found, one, days) for one in symptoms]
    return True if True in told else None if None in told else False


def _suffered(found: Reasoning, symptom: ValueSet, days: float) -> bool | None:
    fact: Fact[ClinicalItem] = found.case.ehr.symptom(symptom.name)
    if isinstance(fact, Known) and fact.effective is None:
        fact = Unknown(found.say("it has no date"))
    title = found.say(symptom.title)
    found.use(title, fact, words)
    found.unasked(title, fact, found.say("ask the patient today"))
    if isinstance(fact, Known) and fact.effective is not None:
        return fact.effective >= found.case.study_date - timedelta(days=days)
    return stated(fact)


def ordered_already(found: Reasoning, action: Coding) -> bool:
    """Whether somebody asked for an action already: the reader is told, and `cds why` too."""
    asked = asked_already(found, action)
    if asked:
        found.quiet.append("an open request asks for it already")
    return asked


def because(found: Reasoning, *names: str) -> tuple[str, ...]:
    """What was found up to here, of some names or all, as sentences with their date and source."""
    told = (one for one in found.inputs if one.value != NONE_FOUND and (not names or one.name in names))
    return tuple(dict.fromkeys(_sentence(found, one) for one in told))


def unmeasured(found: Reasoning, what: str, *codes: Coding) -> bool:
    """Whether a model that looked for some findings refused: then why stands among what is missing."""
    why = refused(found.case, *codes)
    if why:
        found.missing.append(Missing(what, "; ".join(why), found.say("ask the radiologist, who sees the images")))
    return bool(why)


def _sentence(found: Reasoning, item: InputUsed) -> str:
    return found.say(
        "{name}: {value} ({day}, {source}).",
        name=item.name,
        value=item.value,
        day=item.effective or found.say("no date"),
        source=item.source,
    )

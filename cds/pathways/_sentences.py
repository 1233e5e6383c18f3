"""What pathways say alike: why a step is suggested, what was seen, and what was searched.

Facts are three-valued throughout: what nobody could be asked for is missing, never absent.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.ehr import ClinicalItem, Fact, Known, Unknown
from cds.domain.identity import Sex
from cds.domain.recommendation import InputUsed
from cds.pathways._facts import NONE_FOUND, Missing, Seen, refused
from cds.pathways._guards import age_on, asked_already, noted
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
    return noted(found, found.case.ehr.procedure(value_set.name), value_set, how)


def done_since_images(found: Reasoning, value_set: ValueSet) -> bool | None:
    """Whether something was done on a later day than these images were made."""
    return done_from(found, value_set, found.case.study_date + timedelta(days=1))


def done_from(found: Reasoning, value_set: ValueSet, first: date) -> bool | None:
    """Whether something was done on a day or later; what was done after the images and too early for it is told."""
    fact = found.case.ehr.procedure(value_set.name)
    there = noted(found, fact, value_set, "look in the record, or ask the patient")
    if not isinstance(fact, Known):
        return there
    if fact.effective is None or fact.effective >= first:
        return None if fact.effective is None else True
    if fact.effective > found.case.study_date:
        told = found.say(
            "{title} of {day} came too early to be the one that is due: go by it for the time until then.",
            title=found.say(value_set.title),
            day=fact.effective,
        )
        found.note(told)
    return False


def suffered(found: Reasoning, symptoms: Iterable[ValueSet], days: float) -> bool | None:
    """Whether one of some symptoms was stated in so many days; None where nobody can tell.

    They count back from today, or from the images where these are of a later day: a pain of last year is none of today.
    """
    told = [_suffered(found, one, days) for one in symptoms]
    return True if True in told else None if None in told else False


def _suffered(found: Reasoning, symptom: ValueSet, days: float) -> bool | None:
    fact: Fact[ClinicalItem] = found.case.ehr.symptom(symptom.name)
    if isinstance(fact, Known) and fact.effective is None:
        fact = Unknown(found.say("it has no date"))
    there = noted(found, fact, symptom, "ask the patient today")
    if isinstance(fact, Known) and fact.effective is not None:
        return fact.effective >= max(found.case.study_date, found.case.today) - timedelta(days=days)
    return there


def ordered_already(found: Reasoning, action: Coding, *, urgent: bool = False) -> bool | None:
    """Whether somebody asked for an action already, as `asked_already`: the reader is told, and `cds why` too."""
    asked = asked_already(found, action, urgent=urgent)
    if asked:
        found.quiet.append("an open request asks for it already")
    return asked


def because(found: Reasoning, *names: str) -> tuple[str, ...]:
    """What was found up to here, of some names or all, as sentences with their date and source.

    Several steps rest on the same values: each is a sentence once.
    """
    told, inputs = found.told, found.inputs
    if len(told) < len(inputs):
        told += _told(found, inputs[len(told) :])
    if names:
        told = [said for one, said in zip(inputs, told, strict=True) if one.name in names]
    return tuple(dict.fromkeys([said for said in told if said]))


def unmeasured(found: Reasoning, what: str, *codes: Coding) -> bool:
    """Whether a model that looked for some findings refused: then why stands among what is missing."""
    why = refused(found.case, *codes)
    if why:
        found.missing.append(Missing(what, "; ".join(why), found.say("ask the radiologist, who sees the images")))
    return bool(why)


def certainty(found: Reasoning, seen: Seen) -> str:
    """How much was measured, or that it is there, with the model's probability where it gives one."""
    finding = seen.finding
    if finding.value is not None:
        return finding.value.digits
    if finding.confidence is None:
        return found.say("present")
    return found.say("present, probability {percent} %", percent=f"{100 * finding.confidence:.0f}")


def _told(found: Reasoning, items: Iterable[InputUsed]) -> list[str]:
    """Values with their date and source; "" for what was searched for and not found, which is no reason."""
    text, undated = found.say("{name}: {value} ({day}, {source})."), found.say("no date")
    return [
        text.format(
            name=one.name,
            value=one.value,
            day=one.effective.isoformat() if one.effective else undated,
            source=one.source,
        )
        if one.value != NONE_FOUND
        else ""
        for one in items
    ]

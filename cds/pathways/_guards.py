"""What keeps a pathway from saying what is known, done, ordered, or not for this patient; each as three-valued absence.

A guard answers True where it holds, False where it was looked for and is not there, None where nobody can tell.
"""

from __future__ import annotations

from datetime import date
from typing import TypeVar

from cds import action_codes, condition_codes
from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.ehr import ClinicalItem, Fact, Known, Measurement, Unknown
from cds.domain.recommendation import Case
from cds.pathways._facts import add_months, words
from cds.pathways._reasoning import Reasoning

T = TypeVar("T")

#: In palliative or hospice care no pathway speaks but the urgent ones.
PALLIATIVE = condition_codes.PALLIATIVE_CARE
#: A request that is open for longer was forgotten, rather than waits to be carried out.
_REQUEST_STANDS_MONTHS = 12


def stated(fact: Fact[T]) -> bool | None:
    """Whether something of the record is there: True, False where it was searched for, None where nobody was asked."""
    return True if isinstance(fact, Known) else None if isinstance(fact, Unknown) else False


def known(found: Reasoning, value_set: ValueSet, how: str = "look at the problem list") -> bool | None:
    """Whether the patient has a disease of a value set; used, or missing, in the answer either way."""
    fact, title = found.case.ehr.condition(value_set.name), found.say(value_set.title)
    found.use(title, fact, words)
    found.unasked(title, fact, found.say(how))
    return stated(fact)


def taken(found: Reasoning, value_set: ValueSet, how: str = "look at the medication list") -> bool | None:
    """Whether the patient takes a drug of a value set; used, or missing, in the answer either way."""
    fact, title = found.case.ehr.medication(value_set.name), found.say(value_set.title)
    found.use(title, fact, words)
    found.unasked(title, fact, found.say(how))
    return stated(fact)


def recent(found: Reasoning, value_set: ValueSet, months: int) -> bool | None:
    """Whether something was done within so many months; what is older, or has no date, was not done recently."""
    fact, title = found.case.ehr.procedure(value_set.name), found.say(value_set.title)
    found.use(title, fact, words)
    found.unasked(title, fact, found.say("look in the record, or ask the patient"))
    if not isinstance(fact, Known):
        return stated(fact)
    return None if fact.effective is None else add_months(fact.effective, months) >= found.case.today


def requested(case: Case, action: Coding) -> Known[ClinicalItem] | None:
    """The open request of the last twelve months that a suggestion would repeat; None where there is none."""
    request = case.ehr.request(action_codes.request_of(action))
    if not isinstance(request, Known) or request.effective is None:
        return None
    return request if add_months(request.effective, _REQUEST_STANDS_MONTHS) >= case.today else None


def asked_already(found: Reasoning, action: Coding) -> bool:
    """Whether somebody asked for an action already: then the reader is told instead of asked again."""
    request = requested(found.case, action)
    if request is None:
        return False
    title = found.say(action.display or action.code)
    day, source = request.effective, request.source
    found.note(
        found.say("{title}: an open request is on record ({day}, {source}).", title=title, day=day, source=source)
    )
    return True


def fresh(found: Reasoning, value_set: ValueSet, months: int, how: str) -> float | None:
    """The newest value of a measurement, in its unit, where it is not older than so many months; else it is missing."""
    fact = found.case.ehr.measurement(value_set.name)
    title = found.say(value_set.title)
    timely = within(found, fact, months, title)
    if isinstance(timely, Known):
        found.use(title, timely, lambda m: f"{m.quantity.value:.4g} {m.quantity.unit}")
        return timely.value.quantity.value
    found.lacks(title, timely, how)
    return None


def within(found: Reasoning, fact: Fact[Measurement], months: int, title: str) -> Fact[Measurement]:
    """A value that is not too old and has a date; Unknown, with the reason, where it is or has none."""
    if not isinstance(fact, Known):
        return fact
    if fact.effective is None:
        return Unknown(found.say("it has no date"))
    if add_months(fact.effective, months) < found.case.today:
        return Unknown(
            found.say("the newest is of {day}, older than {months} months", day=fact.effective, months=months)
        )
    return fact


def age_on(born: Fact[date], day: date) -> int | None:
    """Completed years on a day; None where the birth date is not known."""
    if not isinstance(born, Known):
        return None
    years: int = day.year - born.value.year - ((day.month, day.day) < (born.value.month, born.value.day))
    return years


__all__ = [
    "PALLIATIVE",
    "age_on",
    "asked_already",
    "fresh",
    "known",
    "recent",
    "requested",
    "stated",
    "taken",
    "within",
]

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
from cds.domain.recommendation import Case, InputUsed
from cds.pathways._facts import Missing, add_months, age_years, words
from cds.pathways._reasoning import Reasoning

T = TypeVar("T")

#: In palliative or hospice care no pathway speaks but the urgent ones.
PALLIATIVE = condition_codes.PALLIATIVE_CARE
#: A request that is open for longer was forgotten, rather than waits to be carried out.
_REQUEST_STANDS_MONTHS = 12
#: The value sets of open requests by the code of their action.
_REQUESTS = {one.code: action_codes.request_of(one) for one in action_codes.ACTIONS.values()}


def stated(fact: Fact[T]) -> bool | None:
    """Whether something of the record is there: True, False where it was searched for, None where nobody was asked."""
    return True if isinstance(fact, Known) else None if isinstance(fact, Unknown) else False


def known(found: Reasoning, value_set: ValueSet, how: str = "look at the problem list") -> bool | None:
    """Whether the patient has a disease of a value set; used, or missing, in the answer either way."""
    return noted(found, found.case.ehr.condition(value_set.name), value_set, how)


def taken(found: Reasoning, value_set: ValueSet, how: str = "look at the medication list") -> bool | None:
    """Whether the patient takes a drug of a value set; used, or missing, in the answer either way."""
    return noted(found, found.case.ehr.medication(value_set.name), value_set, how)


def noted(found: Reasoning, fact: Fact[ClinicalItem], value_set: ValueSet, how: str) -> bool | None:
    """Whether something of the record is there, as `stated`; used, or missing, in the answer either way."""
    title = found.say(value_set.title)
    if isinstance(fact, Known):
        found.inputs.append(InputUsed(title, words(fact.value), fact.effective, fact.source))
        return True
    if isinstance(fact, Unknown):
        found.missing.append(Missing(title, fact.reason, found.say(how)))
        return None
    found.use(title, fact, words)
    return False


def recent(found: Reasoning, value_set: ValueSet, months: int) -> bool | None:
    """Whether something was done within so many months; what is older, or has no date, was not done recently."""
    fact = found.case.ehr.procedure(value_set.name)
    there = noted(found, fact, value_set, "look in the record, or ask the patient")
    if not isinstance(fact, Known):
        return there
    return None if fact.effective is None else not _is_past(fact.effective, months, found.case.today)


def requested(case: Case, action: Coding) -> Known[ClinicalItem] | None:
    """The open request of the last twelve months that a suggestion would repeat; None where there is none.

    A request for imaging of the day of these images or before is the order of the exam itself, or waits since then.
    """
    request = open_request(case, _REQUESTS.get(action.code) or action_codes.request_of(action))
    if request is None or action not in action_codes.IMAGING_ACTIONS:
        return request
    return request if request.effective is not None and request.effective > case.study_date else None


def open_request(case: Case, name: str) -> Known[ClinicalItem] | None:
    """The open request of the last twelve months of a value set of this name; None where there is none."""
    request = case.ehr.request(name)
    if not isinstance(request, Known) or request.effective is None:
        return None
    return None if _is_past(request.effective, _REQUEST_STANDS_MONTHS, case.today) else request


def _is_past(day: date, months: int, today: date) -> bool:
    """Whether more than so many months have gone by; no month has fewer than 28 days, which spares most the sum."""
    return (today - day).days > 28 * months and add_months(day, months) < today


def asked_already(found: Reasoning, action: Coding, *, urgent: bool = False) -> bool | None:
    """Whether somebody asked for an action already: then the reader is told instead of asked again. None where nobody
    could be asked: then it is suggested.

    A step that is `urgent` is asked for by a request of the day of these images or later alone: who was asked before
    may not know of them, and waits as long as the rest of the queue.
    """
    request = requested(found.case, action)
    if request is None:
        name = _REQUESTS.get(action.code) or action_codes.request_of(action)
        return None if isinstance(found.case.ehr.request(name), Unknown) else False
    title = found.say(action.display or action.code)
    day, source = request.effective, request.source
    if urgent and day is not None and day < found.case.study_date:
        told = found.say(
            "{title}: a request of {day} ({source}) is older than these images: its addressee may not know of them.",
            title=title,
            day=day,
            source=source,
        )
        found.note(told)
        return False
    found.note(
        found.say("{title}: an open request is on record ({day}, {source}).", title=title, day=day, source=source)
    )
    return True


def fresh(found: Reasoning, value_set: ValueSet, months: int, how: str) -> float | None:
    """The newest value of a measurement, in its unit, where it is not older than so many months; else it is missing."""
    fact = found.case.ehr.measurement(value_set.name)
    title = found.say(value_set.title)
    newest = within(found, fact, months, title)
    if isinstance(newest, Known):
        found.inputs.append(InputUsed(title, amount(newest.value), newest.effective, newest.source))
        return newest.value.quantity.value
    found.lacks(title, newest, found.say(how))
    return None


def timely(case: Case, value_set: ValueSet, months: int) -> float | None:
    """The newest value of a measurement, in its unit, where it is not older than so many months; for a quiet look."""
    fact = case.ehr.measurement(value_set.name)
    if not isinstance(fact, Known) or fact.effective is None or _is_past(fact.effective, months, case.today):
        return None
    return fact.value.quantity.value


#: Units of the Unified Code for Units of Measure as people write them; those that are not here are written alike.
_WRITTEN = {
    "1": "",
    "mm[Hg]": "mmHg",
    "kg/m2": "kg/m²",
    "mL/min/{1.73_m2}": "mL/min/1.73 m²",
    "10*3/uL": "10³/µL",
    "10*9/L": "10⁹/L",
    "[hnsf'U]": "HU",
}


def amount(measured: Measurement) -> str:
    """A measurement as people write it: with three digits that count, all of a large number, and its unit."""
    value, unit = measured.quantity.value, measured.quantity.unit
    digits = f"{value:.3g}" if abs(value) < 100 else f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return f"{digits} {_WRITTEN.get(unit, unit)}".rstrip()


def within(found: Reasoning, fact: Fact[Measurement], months: int, title: str) -> Fact[Measurement]:
    """A value that is not too old and has a date; Unknown, with the reason, where it is or has none."""
    if not isinstance(fact, Known):
        return fact
    if fact.effective is None:
        return Unknown(found.say("it has no date"))
    if _is_past(fact.effective, months, found.case.today):
        return Unknown(
            found.say("the newest is of {day}, older than {months} months", day=fact.effective, months=months)
        )
    return fact


def age_on(born: Fact[date], day: date) -> int | None:
    """Completed years on a day; None where the birth date is not known."""
    if not isinstance(born, Known):
        return None
    return age_years(born.value, day)


__all__ = [
    "PALLIATIVE",
    "age_on",
    "amount",
    "asked_already",
    "fresh",
    "known",
    "noted",
    "open_request",
    "recent",
    "requested",
    "stated",
    "taken",
    "timely",
    "within",
]

"""What the record says of the days around the images: symptoms and values of the day that the decision is for.

A symptom or a value of another day is no symptom and no value of today; one without a date is not known.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TypeVar

from cds.codes import ValueSet
from cds.domain.ehr import Fact, Known, Measurement, Unknown
from cds.pathways._facts import Seen, add_months, words
from cds.pathways._guards import amount, stated
from cds.pathways._reasoning import Reasoning

T = TypeVar("T")


def any_of(held: Iterable[bool | None]) -> bool | None:
    """Whether at least one holds; None where none does and one is not known."""
    told = tuple(held)
    return True if True in told else None if None in told else False


def near(fact: Fact[T], day: date, days: int) -> bool | None:
    """Whether something was stated for a day that is at most so many days before or after another."""
    if not isinstance(fact, Known):
        return stated(fact)
    return None if fact.effective is None else abs((fact.effective - day).days) <= days


def lately(fact: Fact[T], today: date, months: int) -> bool | None:
    """Whether something was stated within so many months."""
    if not isinstance(fact, Known):
        return stated(fact)
    return None if fact.effective is None else add_months(fact.effective, months) >= today


def symptoms_near(found: Reasoning, value_sets: Iterable[ValueSet], days: int) -> dict[str, bool | None]:
    """Each symptom, by its value set: whether it was stated within so many days of the images; used where it was."""
    told: dict[str, bool | None] = {}
    for value_set in value_sets:
        fact = found.case.ehr.symptom(value_set.name)
        told[value_set.name] = near(fact, found.case.study_date, days)
        if told[value_set.name]:
            found.use(value_set.title, fact, words)
    return told


def unasked_symptoms(found: Reasoning, value_sets: Iterable[ValueSet]) -> None:
    """What nobody could be asked for, or has no date, stands as missing."""
    for value_set in value_sets:
        undated(found, value_set, found.case.ehr.symptom(value_set.name), found.say("ask the patient"))


def undated(found: Reasoning, value_set: ValueSet, fact: Fact[T], how: str) -> None:
    """What nobody could be asked for, or has no date, stands as missing."""
    known = isinstance(fact, Known) and fact.effective is None
    found.unasked(value_set.title, Unknown(found.say("it has no date")) if known else fact, how)


def value_near(found: Reasoning, value_set: ValueSet, days: int, how: str) -> float | None:
    """The newest value of a measurement where it is of the days around the images; else it is missing."""
    fact = found.case.ehr.measurement(value_set.name)
    timely = _timely(found, fact, days)
    if isinstance(timely, Known):
        found.use(value_set.title, timely, amount)
        return timely.value.quantity.value
    found.lacks(value_set.title, timely, how)
    return None


def _timely(found: Reasoning, fact: Fact[Measurement], days: int) -> Fact[Measurement]:
    if not isinstance(fact, Known):
        return fact
    if fact.effective is None:
        return Unknown(found.say("it has no date"))
    if near(fact, found.case.study_date, days):
        return fact
    if days == 1:
        return Unknown(found.say("the newest is of {day}, more than a day from the images", day=fact.effective))
    text = "the newest is of {day}, more than {days} days from the images"
    return Unknown(found.say(text, day=fact.effective, days=days))


def place(seen: Seen) -> tuple[str, str, str, float]:
    """What findings are sorted by, so that an answer is the same whatever the order of the outcomes is."""
    return seen.finding.key, seen.finding.laterality, seen.by.model, seen.finding.confidence or 0.0

"""Cognitive tests and the CAIDE score of what the record knows: yes, no, or not known."""

from __future__ import annotations

from cds import measurement_codes
from cds.domain.ehr import Known
from cds.domain.identity import Sex
from cds.pathways._facts import Missing, sex_lack
from cds.pathways._guards import age_on, fresh, within
from cds.pathways._reasoning import Reasoning
from cds.pathways.declaration import Rule
from cds.risk import Answer, Scored
from cds.risk.caide import SCORE

#: A test is low below its cut-off.
_CUT_OFFS = ((measurement_codes.MOCA, 26), (measurement_codes.MMSE, 24))
TESTS = tuple(value_set for value_set, _ in _CUT_OFFS)
TESTS_MONTHS = 12
_MONTHS = 12
_FROM, _UNTIL = 39, 64
_HIGH = 9
#: mg/dL in one mmol/L of cholesterol (386.65 g/mol).
_CHOLESTEROL = 38.665


def tested(found: Reasoning) -> tuple[bool | None, bool]:
    """Whether a test of the last months is low, None where there is none; and whether there is one."""
    low: list[bool] = []
    for value_set, cut_off in _CUT_OFFS:
        fact = within(found, found.case.ehr.measurement(value_set.name), TESTS_MONTHS, value_set.title)
        if isinstance(fact, Known):
            found.use(value_set.title, fact, lambda one: one.quantity.digits)
            low.append(fact.value.quantity.value < cut_off)
    return (any(low) if low else None), bool(low)


def earlier_low(found: Reasoning) -> tuple[str, ...]:
    """Low tests that are older than the last months, or have no date: each as a sentence."""
    told = []
    for value_set, cut_off in _CUT_OFFS:
        fact = found.case.ehr.measurement(value_set.name)
        if not isinstance(fact, Known) or fact.value.quantity.value >= cut_off:
            continue
        if isinstance(within(found, fact, TESTS_MONTHS, value_set.title), Known):
            continue
        found.use(value_set.title, fact, lambda one: one.quantity.digits)
        said, day = "{title}: {value} on {day} was low.", fact.effective or found.say("no date")
        told.append(found.say(said, title=found.say(value_set.title), value=fact.value.quantity.digits, day=day))
    return tuple(told)


def untested(found: Reasoning) -> None:
    """That no test is known of, as missing: why, test by test."""
    for value_set in TESTS:
        fact = within(found, found.case.ehr.measurement(value_set.name), TESTS_MONTHS, value_set.title)
        found.lacks(value_set.title, fact, found.say("test in primary care"))


def caide_high(found: Reasoning, midlife: Rule) -> bool | None:
    """Whether CAIDE is high, whatever the patient's activity, which no record tells; False out of its ages."""
    years = age_on(found.case.ehr.birth_date, found.case.study_date)
    if years is None:
        return None
    if not found.apply(midlife, _FROM <= years <= _UNTIL, str(years)):
        return False
    found.missing += sex_lack(found.case)
    sex = found.case.ehr.sex
    how = found.say("measure it")
    cholesterol = fresh(found, measurement_codes.TOTAL_CHOLESTEROL, _MONTHS, how)
    inputs: dict[str, object] = {
        "age": years,
        "education_years": _education(found),
        "male": sex.value is Sex.MALE if isinstance(sex, Known) and sex.value in (Sex.MALE, Sex.FEMALE) else None,
        "sbp": fresh(found, measurement_codes.SYSTOLIC, _MONTHS, how),
        "bmi": fresh(found, measurement_codes.BODY_MASS_INDEX, _MONTHS, how),
        "total_cholesterol_mmol_l": None if cholesterol is None else cholesterol / _CHOLESTEROL,
    }
    return _judged(found, SCORE(inputs), [SCORE(inputs | {"physically_inactive": still}) for still in (False, True)])


def _judged(found: Reasoning, answer: Answer, both: list[Answer]) -> bool | None:
    points = [int(one.number("caide")) for one in both if isinstance(one, Scored)]
    if not points:
        found.risk(SCORE, answer)
        return None
    what, why = found.say("physical activity"), found.say("no source was asked")
    found.missing.append(Missing(what, why, found.say("ask the patient: less than twice a week is inactive")))
    found.risk(SCORE, both[0], found.say("{least} or {most} of 15 points", least=min(points), most=max(points)))
    return True if min(points) >= _HIGH else None if max(points) >= _HIGH else False


def _education(found: Reasoning) -> float | None:
    """The years of education, whenever they were told."""
    fact = found.case.ehr.measurement(measurement_codes.EDUCATION_YEARS.name)
    found.lacks(measurement_codes.EDUCATION_YEARS.title, fact, found.say("ask the patient"))
    if not isinstance(fact, Known):
        return None
    found.use(measurement_codes.EDUCATION_YEARS.title, fact, lambda one: one.quantity.digits)
    return fact.value.quantity.value

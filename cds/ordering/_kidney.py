"""What is known of the kidneys before contrast medium: eGFR, acute injury, dialysis, and who is at risk.

How old an eGFR may be: the ACR Manual on Contrast Media names no limit that all agree on, and 30 days as one that some
take for outpatients. Acute kidney injury lasts three months at most (KDIGO 2021, doi:10.1016/j.kint.2021.06.028).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from cds import action_codes as actions
from cds import condition_codes, measurement_codes, medication_codes, procedure_codes
from cds.codes import ValueSet
from cds.domain.ehr import Known, Measurement, Unknown
from cds.domain.identity import Sex
from cds.domain.recommendation import Case, Recommendation, Source
from cds.ordering._lately import by_order, ordered_lately, undated
from cds.ordering._order import age, known, taken, within_days
from cds.pathways import Option, Rule
from cds.pathways._bedside import any_of
from cds.pathways._facts import Missing
from cds.pathways._guards import age_on, amount
from cds.pathways._reasoning import Reasoning
from cds.pathways.declaration import number
from cds.risk import Scored
from cds.risk.egfr_ckdepi_2021 import SCORE as CKD_EPI

MANUAL = Source("ACR Manual on Contrast Media", "https://www.acr.org/Clinical-Resources/Contrast-Manual")

FUTURE = Rule("future", "A kidney value without a date or of a day to come is not recent, and its day is asked for.")
DOUBT = Rule("doubt", "A lower kidney value without a date or of a day to come leaves the eGFR unknown.")
SAME_DAY = Rule(
    "same-day", "Of two kidney values of one day the lower counts, and two on both sides of 30, 45 or 60 are told."
)
LAST = Rule("last", "Without a recent eGFR any earlier value that is or gives an eGFR below 60 is told as a risk.")
NO_EGFR = Rule("no-egfr", "A recent creatinine that gives no eGFR leaves it unknown, and what it needs is asked for.")
REASONS = Rule("reasons", "Kidney disease among the reasons of the order counts as much as on record.")
ORDERED = Rule("ordered", "A request for creatinine counts as asked for 7 days.")
#: What the checks of contrast share.
KIDNEY_RULES = (FUTURE, DOUBT, SAME_DAY, LAST, NO_EGFR, REASONS, ORDERED)

EGFR_DAYS = Option("egfr_days", "An eGFR counts for so many days", "30", "d", 1, 90)
AKI_DAYS = Option("aki_days", "Acute kidney injury on record counts for so many days", "90", "d", 7, 90)
RISK_YEARS = Option("risk_years", "Age above which creatinine is measured before contrast", "60", "a", 18, 70)
#: What the checks of contrast ask the record.
ASKS: tuple[ValueSet, ...] = (
    measurement_codes.EGFR_2021,
    measurement_codes.EGFR_OLDER,
    measurement_codes.CREATININE,
    condition_codes.ACUTE_KIDNEY_INJURY,
    condition_codes.DIALYSIS,
    procedure_codes.ORDERED[actions.CREATININE_TEST.code],
)
#: The list of the manual "of suggested risk factors that may warrant renal function assessment", beside the age.
RISKS: tuple[ValueSet, ...] = (
    condition_codes.CHRONIC_KIDNEY_DISEASE,
    condition_codes.DIABETES,
    condition_codes.HYPERTENSION,
)
RISK_ASKS: tuple[ValueSet, ...] = (*RISKS, medication_codes.METFORMIN)
_EGFR = "eGFR"
#: Below it a kidney is ill (KDIGO 2024, G3a and worse); the checks decide at 30, 45 and 60.
LOW, SEVERE = 60, 30
_LIMITS = (SEVERE, 45, LOW)
_ADULT_YEARS = 18
_REQUEST_DAYS = 7


class Reading(NamedTuple):
    """A kidney value of the record as eGFR: one rate, none where it gives none, two where the sex is not known."""

    value_set: ValueSet
    fact: Known[Measurement]
    rates: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Kidney:
    """What is known of the kidneys; None where it is not. `old_injury`: they were injured, longer ago.

    `last` is an earlier eGFR below 60 where there is no recent one, `unread` that a recent creatinine gives none,
    `undated` that a value has no day that can be.
    """

    egfr: float | None
    aki: bool | None
    dialysis: bool | None
    old_injury: bool = False
    last: Reading | None = None
    unread: bool = False
    undated: bool = False
    child: bool = False

    @property
    def ill(self) -> bool:
        """Whether an acute injury, dialysis or a low value is known."""
        low = self.egfr is not None and self.egfr < LOW
        return low or bool(self.aki or self.dialysis or self.old_injury or self.last)


def kidney(found: Reasoning, check: str) -> Kidney:
    """The kidneys as the record and the order have them; what was used, or is missing, stands in the answer."""
    aki, old = _injury(found, number(found.case, check, AKI_DAYS))
    dialysis = known(found, condition_codes.DIALYSIS)
    years = age_on(found.case.ehr.birth_date, found.case.today)
    days, child = number(found.case, check, EGFR_DAYS), years is not None and years < _ADULT_YEARS
    readings = list(_readings(found.case))
    odd = [one for one in readings if undated(found, found.say(one.value_set.title), one.fact.effective)]
    found.apply(FUTURE, bool(odd))
    fresh = _fresh(found.case, [one for one in readings if one not in odd], days)
    value = _value(found, fresh)
    unread = value is None and any(one.value_set is measurement_codes.CREATININE for one in fresh)
    doubt = found.apply(DOUBT, value is not None and value >= SEVERE and _below(value, odd))
    if doubt or (child and value is not None and value >= SEVERE):
        value = None
    last = _last(found, readings) if value is None else None
    if value is None and not doubt:
        _lacks(found, days, child=child, unread=unread)
    return Kidney(value, aki, dialysis, old, last, unread, bool(odd), child)


def _below(value: float, odd: list[Reading]) -> bool:
    """Whether a value of no usable day is lower, and may give another answer."""
    rates = [rate for one in odd for rate in one.rates]
    return any(rate < limit <= value for rate in rates for limit in _LIMITS)


def _injury(found: Reasoning, days: float) -> tuple[bool | None, bool]:
    """Whether the kidneys are acutely injured, and whether they were longer ago."""
    injury = found.case.ehr.condition(condition_codes.ACUTE_KIDNEY_INJURY.name)
    if found.apply(REASONS, by_order(found, condition_codes.ACUTE_KIDNEY_INJURY)):
        return True, False
    aki = known(found, condition_codes.ACUTE_KIDNEY_INJURY)
    if not isinstance(injury, Known):
        return aki, False
    if undated(found, condition_codes.ACUTE_KIDNEY_INJURY.title, injury.effective) or injury.effective is None:
        return None, False
    lately = within_days(injury.effective, found.case.today, days)
    return lately, not lately


def _readings(case: Case) -> Iterator[Reading]:
    """The newest value of each kind; of an eGFR by an older equation a low one: it never says that all is well."""
    for value_set in (measurement_codes.EGFR_2021, measurement_codes.EGFR_OLDER, measurement_codes.CREATININE):
        fact = case.ehr.measurement(value_set.name)
        if not isinstance(fact, Known):
            continue
        value = fact.value.quantity.value
        if value_set is measurement_codes.CREATININE:
            yield Reading(value_set, fact, _estimates(case, value))
        elif value_set is measurement_codes.EGFR_2021 or value < LOW:
            yield Reading(value_set, fact, (value,))


def _estimates(case: Case, creatinine: float) -> tuple[float, ...]:
    """By CKD-EPI 2021, of both sexes where it is not known which; none without an age, and for children."""
    sex, years = case.ehr.sex, age_on(case.ehr.birth_date, case.today)
    binary = isinstance(sex, Known) and sex.value in (Sex.FEMALE, Sex.MALE)
    sexes = (sex.value,) if isinstance(sex, Known) and binary else (Sex.FEMALE, Sex.MALE)
    answers = (CKD_EPI({"creatinine_mg_dl": creatinine, "age": years, "sex": one.value}) for one in sexes)
    return tuple(one.number("egfr") for one in answers if isinstance(one, Scored))


def _fresh(case: Case, dated: list[Reading], days: float) -> list[Reading]:
    """The values of the newest day, where it is one of the last days."""
    newest = max((_day(one) for one in dated), default=None)
    if newest is None or not within_days(newest, case.today, days):
        return []
    return [one for one in dated if _day(one) == newest]


def _day(one: Reading) -> date:
    return one.fact.effective or date.min


def _value(found: Reasoning, fresh: list[Reading]) -> float | None:
    """The lower of the values of one day; None where none of them gives one eGFR alone."""
    for one in fresh:
        _use(found, one)
    rates = [rate for one in fresh for rate in one.rates]
    if not any(len(one.rates) == 1 for one in fresh):
        return None
    sides = {sum(rate >= limit for limit in _LIMITS) for rate in rates}
    if found.apply(SAME_DAY, len(sides) > 1):
        told = " / ".join(rate_text(rate) for rate in sorted(rates))
        found.note(found.say("Two kidney values of one day contradict each other: eGFR {rates}.", rates=told))
    return min(rates)


def _use(found: Reasoning, one: Reading) -> None:
    """A value that the answer rests on, and the eGFR that it gives."""
    found.use(found.say(one.value_set.title), one.fact, amount)
    if one.value_set is not measurement_codes.CREATININE or len(one.rates) != 1:
        return
    rate = rate_text(one.rates[0])
    found.risk(CKD_EPI, Scored({"egfr": one.rates[0]}), rate)
    found.measured(measurement_codes.EGFR_2021.title, rate, one.fact.source, one.fact.effective)


def _last(found: Reasoning, readings: list[Reading]) -> Reading | None:
    """The newest value that is or may give an eGFR below 60, however old."""
    low = [one for one in readings if one.rates and min(one.rates) < LOW]
    last = max(low, key=_day, default=None)
    if found.apply(LAST, last is not None) and last is not None:
        _use(found, last)
    return last


def _lacks(found: Reasoning, days: float, *, child: bool, unread: bool) -> None:
    """The eGFR is missing: why, and how to get it."""
    if found.apply(NO_EGFR, unread or child):
        if child:
            why = found.say("the equation is for adults")
            found.missing.append(Missing(found.say("paediatric eGFR"), why, found.say("creatinine and height")))
            return
        why = found.say("the creatinine does not give it: age or sex is not known, or it cannot be one")
        how = found.say("say age and sex; for a child a paediatric eGFR")
        found.missing.append(Missing(_EGFR, why, how))
        _lacks_age_or_sex(found)
        return
    why = found.say("there is no value of the last {days} days", days=f"{days:g}")
    if days == 1:
        why = found.say("there is no value of the last day")
    found.missing.append(Missing(_EGFR, why, found.say("blood test: creatinine")))


def _lacks_age_or_sex(found: Reasoning) -> None:
    sex = found.case.ehr.sex
    if not isinstance(sex, Known) or sex.value not in (Sex.FEMALE, Sex.MALE):
        unsaid = Unknown(found.say("neither female nor male is recorded"))
        found.lacks(found.say("sex"), unsaid, found.say("ask the patient"))
    born = found.case.ehr.birth_date
    found.lacks(found.say("age"), born, found.say("correct the birth date in the registration"))


def at_risk(found: Reasoning, check: str, body: Kidney) -> bool | None:
    """Whether creatinine is to be known before contrast, by the manual's list; None where that is not known."""
    years = age(found)
    above = None if years is None else years > number(found.case, check, RISK_YEARS)
    on_list = [known(found, one) for one in RISKS]
    metformin = taken(found, medication_codes.METFORMIN)
    unread = None if body.unread or body.undated else False
    return any_of((body.aki, body.dialysis, body.old_injury, body.last is not None, unread, above, *on_list, metformin))


def last_low(found: Reasoning, body: Kidney) -> str:
    """The last low value with its day as a sentence; "" where there is none."""
    if body.last is None:
        return ""
    day, rate = body.last.fact.effective, rate_text(min(body.last.rates))
    if day is None:
        return found.say("The last eGFR, without a date, was {rate}.", rate=rate)
    return found.say("The last eGFR, of {day}, was {rate}.", day=day, rate=rate)


def creatinine_first(found: Reasoning, source: Source, reason: str, because: tuple[str, ...]) -> None:
    """Creatinine with eGFR before the exam, unless it was ordered in the last days."""
    if found.apply(ORDERED, ordered_lately(found, actions.CREATININE_TEST, _REQUEST_DAYS)):
        found.quiet.append("an open request asks for creatinine already")
        return
    order = found.case.order
    found.recommend(
        Recommendation(
            key="creatinine",
            action=found.say("Measure creatinine with eGFR before the exam"),
            code=actions.CREATININE_TEST,
            reason=reason,
            source=source,
            by=order.wanted_on if order else None,
            because=because,
            would_change=(found.say("An exam that cannot wait: then the radiologist decides without it."),),
        )
    )


def rate_text(rate: float) -> str:
    """An eGFR for a reader: whole, with one decimal near a limit, and never rounded up to it."""
    if float(rate).is_integer() or all(abs(rate - limit) >= 1 for limit in _LIMITS):
        return f"{rate:.0f}"
    return f"{math.floor(10 * rate) / 10:.1f}"


def shown(body: Kidney) -> str:
    """The kidneys in the words of a step."""
    rate = "?" if body.egfr is None else rate_text(body.egfr)
    return f"eGFR {rate}, AKI {_word(body.aki)}, dialysis {_word(body.dialysis)}"


def _word(held: bool | None) -> str:
    return "?" if held is None else "yes" if held else "no"

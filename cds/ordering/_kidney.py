"""What is known of the kidneys before contrast medium: eGFR, acute injury, dialysis, and who is at risk.

How old an eGFR may be: the ACR Manual on Contrast Media names no limit that all agree on, and 30 days as one that some
take for outpatients. Acute kidney injury lasts three months at most (KDIGO 2021, doi:10.1016/j.kint.2021.06.028).
"""

from __future__ import annotations

from dataclasses import dataclass

from cds import action_codes as actions
from cds import condition_codes, measurement_codes, medication_codes, procedure_codes
from cds.codes import ValueSet
from cds.domain.ehr import Fact, Known, Measurement, Unknown
from cds.domain.identity import Sex
from cds.domain.recommendation import Recommendation, Source
from cds.ordering._order import age, within_days
from cds.pathways._bedside import any_of
from cds.pathways._facts import Missing, lack
from cds.pathways._guards import asked_already, known, taken
from cds.pathways._reasoning import Reasoning
from cds.pathways.declaration import Option, number
from cds.risk import Scored
from cds.risk.egfr_ckdepi_2021 import SCORE as CKD_EPI

MANUAL = Source("ACR Manual on Contrast Media", "https://www.acr.org/Clinical-Resources/Contrast-Manual")

EGFR_DAYS = Option("egfr_days", "An eGFR counts for so many days", "30", "d", 1, 365)
AKI_DAYS = Option("aki_days", "Acute kidney injury on record counts for so many days", "90", "d", 7, 90)
RISK_YEARS = Option("risk_years", "Age above which creatinine is measured before contrast", "60", "a", 18, 120)
#: What the checks of contrast ask the record.
ASKS: tuple[ValueSet, ...] = (
    measurement_codes.EGFR_2021,
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


@dataclass(frozen=True, slots=True)
class Kidney:
    """What is known of the kidneys; None where it is not. `old_injury`: they were injured, longer ago."""

    egfr: float | None
    aki: bool | None
    dialysis: bool | None
    old_injury: bool = False


def kidney(found: Reasoning, check: str) -> Kidney:
    """The kidneys as the record has them; what was used, or is missing, stands in the answer."""
    injury = found.case.ehr.condition(condition_codes.ACUTE_KIDNEY_INJURY.name)
    days = number(found.case, check, AKI_DAYS)
    aki = known(found, condition_codes.ACUTE_KIDNEY_INJURY, found.say("look at the kidney values of these days"))
    old = False
    if isinstance(injury, Known):
        old = injury.effective is not None and not within_days(injury.effective, found.case.today, days)
        aki = None if injury.effective is None else not old
        if injury.effective is None:
            title = condition_codes.ACUTE_KIDNEY_INJURY.title
            found.lacks(title, Unknown(found.say("it has no date")), found.say("look when it was"))
    dialysis = known(found, condition_codes.DIALYSIS)
    return Kidney(egfr(found, number(found.case, check, EGFR_DAYS)), aki, dialysis, old)


def egfr(found: Reasoning, days: float) -> float | None:
    """The newest eGFR of the last days, reported or from creatinine; missing where there is none."""
    ehr = found.case.ehr
    reported = ehr.measurement(measurement_codes.EGFR_2021.name)
    creatinine = ehr.measurement(measurement_codes.CREATININE.name)
    fresh = [one for one in (reported, creatinine) if _fresh(found, one, days)]
    newest = max(fresh, key=_day, default=None)
    value = None
    if newest is reported and isinstance(newest, Known):
        value = newest.value.quantity.value
        found.use(measurement_codes.EGFR_2021.title, newest, lambda m: f"{m.quantity.digits} {m.quantity.unit}")
    elif isinstance(newest, Known):
        value = _estimated(found, newest)
    if value is None:
        why = found.say("there is no value of the last {days} days", days=f"{days:g}")
        found.missing.append(Missing(_EGFR, why, found.say("blood test: creatinine")))
    return value


def _fresh(found: Reasoning, fact: Fact[Measurement], days: float) -> bool:
    return (
        isinstance(fact, Known) and fact.effective is not None and within_days(fact.effective, found.case.today, days)
    )


def _day(fact: Fact[Measurement]) -> int:
    return fact.effective.toordinal() if isinstance(fact, Known) and fact.effective else 0


def _estimated(found: Reasoning, creatinine: Known[Measurement]) -> float | None:
    """By CKD-EPI 2021; None without age or sex, which are missing then."""
    sex, years = found.case.ehr.sex, age(found)
    named = sex.value.value if isinstance(sex, Known) and sex.value in (Sex.FEMALE, Sex.MALE) else None
    if named is None:
        found.missing += lack(found.say("sex"), Unknown(found.say("it is not recorded")), found.say("ask the patient"))
    quantity = creatinine.value.quantity
    found.use(measurement_codes.CREATININE.title, creatinine, lambda m: f"{m.quantity.digits} {m.quantity.unit}")
    answer = CKD_EPI({"creatinine_mg_dl": quantity.value, "age": years, "sex": named})
    if not isinstance(answer, Scored):
        return None
    value = answer.number("egfr")
    found.risk(CKD_EPI, answer, f"{value:.0f}")
    found.measured(measurement_codes.EGFR_2021.title, f"{value:.0f}", creatinine.source, creatinine.effective)
    return value


def at_risk(found: Reasoning, check: str, body: Kidney) -> bool | None:
    """Whether creatinine is to be known before contrast, by the manual's list; None where that is not known."""
    years = age(found)
    above = None if years is None else years > number(found.case, check, RISK_YEARS)
    on_list = (known(found, one) for one in RISKS)
    metformin = taken(found, medication_codes.METFORMIN)
    return any_of((body.aki, body.dialysis, body.old_injury, above, *on_list, metformin))


def creatinine_first(found: Reasoning, source: Source, reason: str, because: tuple[str, ...]) -> None:
    """Creatinine with eGFR before the exam, unless it is ordered already."""
    if asked_already(found, actions.CREATININE_TEST):
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


def shown(body: Kidney) -> str:
    """The kidneys in the words of a step."""
    rate = "?" if body.egfr is None else f"{body.egfr:.0f}"
    return f"eGFR {rate}, AKI {_word(body.aki)}, dialysis {_word(body.dialysis)}"


def _word(held: bool | None) -> str:
    return "?" if held is None else "yes" if held else "no"

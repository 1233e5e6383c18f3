"""What the record decides about a bleed: the ICH score, what thins the blood, and how fast old images are told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from cds import action_codes as actions
from cds import condition_codes, measurement_codes, medication_codes
from cds.codes import ValueSet
from cds.domain.ehr import ClinicalItem, Fact, Known, Measurement, Unknown
from cds.domain.order import Priority
from cds.domain.recommendation import Indicator, Recommendation, Source
from cds.pathways._bedside import near
from cds.pathways._facts import Missing, words
from cds.pathways._guards import age_on, amount, stated
from cds.pathways._haemorrhage import Bleed, ich_points
from cds.pathways._reasoning import Reasoning
from cds.pathways._seen import asked_on
from cds.pathways._sentences import because
from cds.pathways.declaration import Option, Rule, number
from cds.risk.ich_score import SCORE

ID = "intracranial_haemorrhage"
AHA_ASA = Source("AHA/ASA 2022, intracerebral haemorrhage", "https://doi.org/10.1161/STR.0000000000000407")

OLD = Rule("old", "Images that are older than the site's limit are told with their age, as urgent instead of at once.")
NO_SUCH_GCS = Rule("no-such-gcs", "A Glasgow Coma Score outside 3 to 15 cannot be one, and is missing.")
ANTICOAGULANT = Rule(
    "anticoagulant", "With an anticoagulant on the medication list, stopping and reversing it is considered at once."
)
INR = Rule("inr", "An INR of 2.0 or more counts as anticoagulation, whatever the medication list says.")
EARLIER_INR = Rule(
    "earlier-inr", "An earlier INR of 2.0 or more without an anticoagulant on the list is shown and measured again now."
)
ANTIPLATELET = Rule("antiplatelet", "An antiplatelet drug is shown, and platelets are not suggested.")
SEVERITY = Rule(
    "ich-score", "The ICH score is shown for blood within the brain and decides nothing.", source=SCORE.source
)
INJURED = Rule("injured", "After a head injury the ICH score is not shown.", source=SCORE.source)
RULES = (OLD, NO_SUCH_GCS, ANTICOAGULANT, INR, EARLIER_INR, ANTIPLATELET, SEVERITY, INJURED)

IMAGES_DAYS = Option("images_days", "Images are told at once up to an age of", "2", unit="d", low=1, high=7)

_ANTICOAGULATED = 2.0
_LOWEST_GCS, _HIGHEST_GCS = 3, 15
#: A head injury of these days around the images may be what they were made for.
_INJURY_DAYS = 7


@dataclass(frozen=True, slots=True)
class Haste:
    """How fast the images of a case are told; `days` is their age where it is above the site's limit, else 0."""

    days: int
    priority: Priority
    category: int
    indicator: Indicator


_AT_ONCE = Haste(0, Priority.STAT, 1, Indicator.CRITICAL)


def haste(found: Reasoning) -> Haste:
    """Minutes for images of now; what was seen on older ones is told the same day, with their age."""
    days = (found.case.today - found.case.study_date).days
    if not found.apply(OLD, days > number(found.case, ID, IMAGES_DAYS)):
        return _AT_ONCE
    return Haste(days, Priority.URGENT, 2, Indicator.WARNING)


def coma_score(found: Reasoning) -> float | None:
    """The newest Glasgow Coma Score from the day of the images on; what cannot be one is missing."""
    value_set, how = measurement_codes.GLASGOW_COMA_SCORE, found.say("examine the patient now")
    fact = _since(found, value_set, found.case.study_date)
    if isinstance(fact, Known):
        said = fact.value.quantity.value
        if found.apply(NO_SUCH_GCS, not _LOWEST_GCS <= said <= _HIGHEST_GCS):
            fact = Unknown(found.say("{value} of {day} cannot be one", value=f"{said:g}", day=fact.effective))
    return _value(found, value_set, fact, how)


def _since(found: Reasoning, value_set: ValueSet, first: date) -> Fact[Measurement]:
    """The newest value from a day on: an earlier one says nothing of this bleed, and is missing."""
    fact: Fact[Measurement] = found.case.ehr.measurement(value_set.name)
    if not isinstance(fact, Known) or (fact.effective is not None and fact.effective >= first):
        return fact
    told, value = fact.effective or found.say("no date"), amount(fact.value)
    return Unknown(found.say("the newest, {value}, is of {day}, before the images", value=value, day=told))


def _value(found: Reasoning, value_set: ValueSet, fact: Fact[Measurement], how: str) -> float | None:
    found.use(value_set.title, fact, lambda one: one.quantity.digits)
    found.lacks(value_set.title, fact, how)
    return fact.value.quantity.value if isinstance(fact, Known) else None


# --- the score -------------------------------------------------------------------------------------------------------


def severity(found: Reasoning, one: Bleed, least: float, gcs: float | None) -> tuple[str, ...]:
    """The ICH score of a bleed within the brain; a range where only the place of the blood is not known."""
    if found.apply(SEVERITY, None if one.largest is None else one.largest > 0) is False:
        return ()
    injury = found.case.ehr.condition(condition_codes.HEAD_INJURY.name)
    found.unasked(condition_codes.HEAD_INJURY.title, injury, found.say("ask how it began"))
    if found.apply(INJURED, near(injury, found.case.study_date, _INJURY_DAYS)):
        found.use(condition_codes.HEAD_INJURY.title, injury, words)
        found.note(found.say("The ICH score: not after a head injury."))
        return ()
    born = found.case.ehr.birth_date
    found.lacks(found.say("age"), born, found.say("correct the birth date in the registration"))
    answer, points = ich_points(gcs, one, least, age_on(born, found.case.study_date))
    said = found.say(" or ").join(str(each) for each in dict.fromkeys(points))
    found.risk(SCORE, answer, said)
    _ask_place(found, one, least)
    if len(set(points)) > 1:
        return (found.say("ICH score {said} of 6: more if the blood lies below the tentorium.", said=said),)
    return (found.say("ICH score {said} of 6.", said=said),) if said else ()


def _ask_place(found: Reasoning, one: Bleed, least: float) -> None:
    """What the score needs of the images and no model tells."""
    how, why = found.say("look at the images"), found.say("no model tells")
    wanted = (
        (found.say("whether the blood lies below the tentorium"), one.infratentorial),
        (found.say("whether there is blood in the ventricles"), one.in_ventricles(least)),
        (found.say("volume of the blood within the brain"), one.largest),
    )
    found.missing += [Missing(what, why, how) for what, value in wanted if value is None]


# --- what thins the blood --------------------------------------------------------------------------------------------


def reversal(found: Reasoning, fast: Haste) -> None:
    """What thins the blood: a list that nobody could read is no list without it."""
    how = found.say("ask the patient, the family and the pharmacy now")
    listed = found.apply(ANTICOAGULANT, _taken(found, medication_codes.ANTICOAGULANT, how))
    day_before = found.case.study_date - timedelta(days=1)
    inr = _value(
        found,
        measurement_codes.INR,
        _since(found, measurement_codes.INR, day_before),
        found.say("measure the INR now"),
    )
    high = found.apply(INR, None if inr is None else inr >= _ANTICOAGULATED)
    why = because(found, medication_codes.ANTICOAGULANT.title, measurement_codes.INR.title)
    if found.apply(ANTIPLATELET, _taken(found, medication_codes.ANTIPLATELET, how)):
        found.note(
            found.say("Platelets: potentially harmful unless surgery is planned (class 3: harm, level B-R, aspirin).")
        )
    if listed or high:
        _reverse(found, fast, why, listed=bool(listed))
    elif inr is None:
        _measure(found, fast)


def _reverse(found: Reasoning, fast: Haste, why: tuple[str, ...], *, listed: bool) -> None:
    said = "Stop anticoagulation and consider its reversal now"
    if fast.days:
        said = "Find out what was decided on anticoagulation: stop it and consider its reversal"
    found.recommend(
        Recommendation(
            key="reversal-now",
            action=found.say(said),
            code=actions.ANTICOAGULATION_REVERSAL,
            reason=found.say("An anticoagulant is on the medication list: find out which, how much and when last.")
            if listed
            else found.say("The INR is 2.0 or more, and no anticoagulant is known of: find out why."),
            source=AHA_ASA,
            strength=found.say("class 1, level C-LD") if listed else "",
            priority=fast.priority,
            by=found.case.today,
            because=(*why, *asked_on(found, actions.ANTICOAGULATION_REVERSAL)),
            acr_category=fast.category,
            would_change=(
                found.say("The drug was stopped long enough ago, or another test shows no effect of it."),
                found.say("A reason that weighs more, as a mechanical heart valve: then a specialist decides."),
            ),
        )
    )


def _measure(found: Reasoning, fast: Haste) -> None:
    """An INR of before the images that was high: who has no drug listed may take one all the same."""
    earlier = found.case.ehr.measurement(measurement_codes.INR.name)
    high = isinstance(earlier, Known) and earlier.value.quantity.value >= _ANTICOAGULATED
    if not found.apply(EARLIER_INR, high) or not isinstance(earlier, Known):
        return
    value, day = amount(earlier.value), earlier.effective or found.say("no date")
    found.recommend(
        Recommendation(
            key="inr-now",
            action=found.say("Measure the INR now, and ask for anticoagulants"),
            code=actions.ANTICOAGULATION_REVERSAL,
            reason=found.say(
                "The last INR was {value} ({day}), and no anticoagulant is known of.", value=value, day=day
            ),
            source=AHA_ASA,
            priority=fast.priority,
            by=found.case.today,
            because=asked_on(found, actions.ANTICOAGULATION_REVERSAL),
            acr_category=fast.category,
            would_change=(found.say("An INR of today below 2.0, and no anticoagulant taken."),),
        )
    )


def _taken(found: Reasoning, value_set: ValueSet, how: str) -> bool | None:
    """Whether a drug is on the list; it is shown by its name with its dose, for which one it is decides."""
    fact = found.case.ehr.medication(value_set.name)
    found.use(value_set.title, fact, _drug)
    found.unasked(value_set.title, fact, how)
    return stated(fact)


def _drug(item: ClinicalItem) -> str:
    dose = f", {item.text}" if item.code.display and item.text not in ("", item.code.display) else ""
    return f"{item.code.display or item.text or item.code.code}{dose} ({item.code.code})"

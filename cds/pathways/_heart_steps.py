"""The steps of the heart pathway: NT-proBNP, and what its value leads to."""

from __future__ import annotations

from datetime import date, timedelta

from cds import action_codes as actions
from cds import condition_codes, measurement_codes
from cds.domain.coding import Coding
from cds.domain.ehr import Known
from cds.domain.order import Priority
from cds.domain.recommendation import Recommendation, Source
from cds.pathways._guards import age_on, amount, asked_already, requested, stated, within
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways.declaration import Rule
from cds.risk import Scored
from cds.risk.ntprobnp_nice import SCORE

NICE = Source("NICE NG106, chronic heart failure in adults", "https://www.nice.org.uk/guidance/ng106")
ACUTE = Source("NICE CG187, acute heart failure", "https://www.nice.org.uk/guidance/cg187")
ESC = Source("ESC 2021, heart failure", "https://doi.org/10.1093/eurheartj/ehab368")
#: Higher values in atrial fibrillation, lower ones with a body mass index above 30 kg/m2.
MODIFIERS = Source("Natriuretic peptides by setting, 2022", "https://pmc.ncbi.nlm.nih.gov/articles/PMC9024731")

TEST = Rule("test", "Without an NT-proBNP of the last 3 months NT-proBNP is asked for.", NICE)
UNLIKELY = Rule("unlikely", "An NT-proBNP below 125 ng/L makes heart failure unlikely and leads to no step.", ESC)
CONSIDER = Rule("consider", "An NT-proBNP from 125 to below 400 ng/L leads to echocardiography to be considered.", ESC)
SIX_WEEKS = Rule("six-weeks", "An NT-proBNP from 400 to 2000 ng/L leads to specialist assessment within 6 weeks.", NICE)
TWO_WEEKS = Rule("two-weeks", "An NT-proBNP above 2000 ng/L leads to specialist assessment within 2 weeks.", NICE)
LOWERED = Rule(
    "lowered",
    "With a body mass index above 30, or none of 12 months, a low NT-proBNP is told as possibly too low.",
    MODIFIERS,
)
RAISED = Rule(
    "raised",
    "Age above 70, kidney disease, diabetes and atrial fibrillation are told as causes of a high NT-proBNP.",
    NICE,
)
ORDERED = Rule("ordered", "What is ordered is not asked for again.")

#: Below it the value makes heart failure unlikely.
LOW = 125
_REFERRED = {"echo_within_6_weeks": (SIX_WEEKS, 42), "echo_within_2_weeks": (TWO_WEEKS, 14)}
#: A step within so many days is urgent.
_SOON = 14
_OBESITY = 30
_BMI_MONTHS = 12


def assess_today(found: Reasoning) -> str:
    """Nothing on record takes the place of a look at somebody who may be in acute heart failure."""
    found.recommend(
        Recommendation(
            key="acute-assessment",
            action=found.say("Clinical assessment today: possible acute heart failure"),
            code=actions.ACUTE_ASSESSMENT,
            reason=found.say("The image shows oedema of the lung, and shortness of breath is on record."),
            source=ACUTE,
            because=because(found),
            priority=Priority.ASAP,
            by=found.case.today,
            acr_category=2,
            would_change=(found.say("Who was seen for it since the images, and is treated."),),
        )
    )
    return found.say("Oedema with shortness of breath may be acute heart failure: it needs a clinical look today.")


def test(found: Reasoning, signs: str, *, urgent: bool) -> None:
    """NT-proBNP is not known: it is asked for, unless somebody did."""
    found.apply(TEST, True)
    if found.apply(ORDERED, _asked(found, actions.NT_PROBNP, urgent=urgent)):
        return
    found.recommend(
        Recommendation(
            key="nt-probnp",
            action=found.say("Blood test: NT-proBNP"),
            code=actions.NT_PROBNP,
            reason=found.say("The image shows: {signs}. Without this test heart failure is not known.", signs=signs),
            source=NICE,
            because=because(found),
            priority=Priority.URGENT if urgent else Priority.ROUTINE,
            by=found.case.today if urgent else None,
            would_change=(found.say("Heart failure that is known elsewhere, or a recent echocardiography."),),
        )
    )


def by_value(found: Reasoning, value: float, signs: str, *, urgent: bool) -> tuple[str, ...]:
    """What an NT-proBNP (ng/L) leads to; answers what the reader must know of the value."""
    found.apply(TEST, False)
    answer = SCORE({"nt_probnp_ng_l": value, "suspected_hf": True})
    action = str(answer.outputs["action"]) if isinstance(answer, Scored) else ""
    found.risk(SCORE, answer, _in_words(found, action))
    said = f"{value:.4g} ng/L" if value < 1000 else f"{value:.0f} ng/L"
    if action == "hf_unlikely":
        found.apply(UNLIKELY, True, said)
        return _low(found, said, urgent=urgent)
    if action == "echo_consider_esc":
        found.apply(CONSIDER, True, said)
        _echocardiography(found, said, signs, urgent=urgent)
    elif action in _REFERRED:
        rule, days = _REFERRED[action]
        found.apply(rule, True, said)
        _referral(found, said, signs, 0 if urgent else days)
    else:
        return ()
    return _raised(found) if found.recommendations else ()


def _in_words(found: Reasoning, action: str) -> str:
    if action == "hf_unlikely":
        return found.say("below 125 ng/L: heart failure is unlikely")
    if action == "echo_consider_esc":
        return found.say("125 to below 400 ng/L: echocardiography to be considered")
    if action == "echo_within_6_weeks":
        return found.say("400 to 2000 ng/L: specialist assessment within 6 weeks")
    return found.say("above 2000 ng/L: specialist assessment within 2 weeks")


def _low(found: Reasoning, said: str, *, urgent: bool) -> tuple[str, ...]:
    """A low value ends it, unless something may have lowered it, or the patient has to be seen today in any case."""
    title = measurement_codes.BODY_MASS_INDEX.title
    fact = found.case.ehr.measurement(measurement_codes.BODY_MASS_INDEX.name)
    index = within(found, fact, _BMI_MONTHS, title)
    held = index.value.quantity.value > _OBESITY if isinstance(index, Known) else None
    found.apply(LOWERED, held)
    found.use(title, index, amount)
    told: list[str] = []
    if held:
        text = "NT-proBNP of {said} makes heart failure unlikely; obesity can lower it. In doubt ask a specialist."
        told.append(found.say(text, said=said))
    elif held is None:
        found.lacks(title, index, found.say("measure weight and height"))
        text = "NT-proBNP of {said} makes heart failure unlikely; obesity can lower it, and nobody knows of it here."
        told.append(found.say(text, said=said))
    elif urgent:
        text = "NT-proBNP of {said} makes heart failure unlikely: oedema with shortness of breath has another cause."
        told.append(found.say(text, said=said))
    else:
        found.quiet.append("NT-proBNP makes heart failure unlikely")
    return tuple(told)


def _raised(found: Reasoning) -> tuple[str, ...]:
    ehr = found.case.ehr
    age = age_on(ehr.birth_date, found.case.today)
    there = [found.say("age above 70 years")] if age is not None and age > 70 else []
    there += [
        one.title
        for one in (
            condition_codes.CHRONIC_KIDNEY_DISEASE,
            condition_codes.DIABETES,
            condition_codes.ATRIAL_FIBRILLATION,
        )
        if stated(ehr.condition(one.name))
    ]
    if not found.apply(RAISED, bool(there)):
        return ()
    causes = found.say(", ").join(there)
    return (found.say("NT-proBNP is also raised by: {causes}. That does not exclude heart failure.", causes=causes),)


def _echocardiography(found: Reasoning, said: str, signs: str, *, urgent: bool) -> None:
    if found.apply(ORDERED, _asked(found, actions.ECHOCARDIOGRAPHY, actions.HEART_FAILURE_REFERRAL, urgent=urgent)):
        return
    found.recommend(
        Recommendation(
            key="echocardiography",
            action=found.say("Consider echocardiography"),
            code=actions.ECHOCARDIOGRAPHY,
            reason=_reason(found, said, signs),
            source=ESC,
            because=because(found),
            priority=Priority.URGENT if urgent else Priority.ROUTINE,
            would_change=(
                found.say("Another cause of the symptoms: below 400 ng/L NICE finds heart failure unlikely."),
            ),
        )
    )


def _referral(found: Reasoning, said: str, signs: str, days: int) -> None:
    soon = days <= _SOON
    if found.apply(ORDERED, _asked(found, actions.HEART_FAILURE_REFERRAL, actions.ECHOCARDIOGRAPHY, urgent=soon)):
        return
    found.recommend(
        Recommendation(
            key="heart-failure-assessment",
            action=found.say("Specialist heart failure assessment with echocardiography"),
            code=actions.HEART_FAILURE_REFERRAL,
            reason=_reason(found, said, signs),
            source=NICE,
            because=because(found),
            priority=Priority.URGENT if soon else Priority.ROUTINE,
            by=_after(found.case.today, days),
            would_change=(found.say("Heart failure that is known elsewhere, or a recent echocardiography."),),
        )
    )


def _asked(found: Reasoning, *codes: Coding, urgent: bool) -> bool:
    """Whether somebody ordered one of these; the reader is told of the first."""
    for code in codes:
        if requested(found.case, code) is not None and asked_already(found, code, urgent=urgent):
            found.quiet.append("it is ordered")
            return True
    return False


def _reason(found: Reasoning, said: str, signs: str) -> str:
    return found.say("NT-proBNP is {said}, and the image shows: {signs}.", said=said, signs=signs)


def _after(day: date, days: int) -> date:
    return day + timedelta(days=days)

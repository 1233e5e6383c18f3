"""The steps of the liver pathway: blood tests, a repeat of FIB-4, elastography, hepatology, acute liver disease."""

from __future__ import annotations

from datetime import date

from cds import action_codes as actions
from cds import measurement_codes, procedure_codes
from cds.domain.coding import Coding
from cds.domain.ehr import Known
from cds.domain.order import Priority
from cds.domain.recommendation import Recommendation, Source
from cds.pathways._facts import add_months
from cds.pathways._guards import asked_already, recent
from cds.pathways._liver_tests import LABORATORY, STIFFNESS_MONTHS
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways.declaration import Rule

AGA = Source("AGA 2021, pathway for fatty liver", "https://doi.org/10.1053/j.gastro.2021.07.049")
ACG = Source("ACG 2017, abnormal liver chemistries", "https://doi.org/10.1038/ajg.2016.517")

LABS = Rule("labs", "Where AST, ALT or platelets of the last 6 months are missing they are asked for.")
SCANNED = Rule("scanned", "Where elastography was done in the last 12 months its result is asked for, not another one.")
ORDERED = Rule("ordered", "Where the next step is ordered it is not asked for again.")


def _ordered(found: Reasoning, action: Coding, *, urgent: bool = False) -> bool | None:
    asked = asked_already(found, action, urgent=urgent)
    if asked:
        found.quiet.append("an open request asks for it already")
    return found.apply(ORDERED, asked)


def look_for_acute_disease(found: Reasoning) -> None:
    """An inflamed liver comes before the question of scars."""
    if _ordered(found, actions.ACUTE_LIVER_ASSESSMENT, urgent=True):
        return
    found.recommend(
        Recommendation(
            key="acute-liver-disease",
            action=found.say("Look for acute liver disease now; repeat AST, ALT, bilirubin and INR"),
            code=actions.ACUTE_LIVER_ASSESSMENT,
            reason=found.say("AST or ALT is very high, which fat in the liver does not explain."),
            source=ACG,
            priority=Priority.ASAP,
            by=found.case.today,
            because=because(found),
            would_change=(found.say("AST and ALT that have fallen since: then FIB-4 says what comes next."),),
        )
    )


def ask_for_blood_tests(found: Reasoning) -> None:
    """Without the three tests there is no FIB-4."""
    found.apply(LABS, True)
    if _ordered(found, actions.LIVER_BLOOD_TESTS):
        return
    found.recommend(
        Recommendation(
            key="blood-tests",
            action=found.say("Blood tests for FIB-4: AST, ALT and platelets"),
            code=actions.LIVER_BLOOD_TESTS,
            reason=found.say("Without them nobody can tell how likely scars of the liver are."),
            source=AGA,
            because=because(found),
            would_change=(found.say("Results of the last 6 months: then FIB-4 says what comes next."),),
        )
    )


def repeat(found: Reasoning, *, young: bool) -> None:
    """FIB-4 again in 2 to 3 years; a low one of a young person does not say that scars are unlikely."""
    if _ordered(found, actions.REPEAT_FIB4):
        return
    taken = _oldest(found)
    changes = [found.say("A higher FIB-4, a stiff liver, or new signs of liver disease.")]
    if young:
        changes.append(found.say("Diabetes, obesity or a raised ALT: elastography tells more at this age."))
    found.recommend(
        Recommendation(
            key="repeat-fib4",
            action=found.say("Repeat FIB-4 in primary care"),
            code=actions.REPEAT_FIB4,
            reason=found.say("FIB-4 is low, which at 35 years or younger does not exclude scars of the liver.")
            if young
            else found.say("Advanced scars of the liver are unlikely now."),
            source=AGA,
            not_before=add_months(taken, 24),
            by=max(add_months(taken, 36), found.case.today),
            because=because(found),
            would_change=tuple(changes),
        )
    )


def _oldest(found: Reasoning) -> date:
    """The day of the oldest blood test that FIB-4 rests on: from it the years are counted."""
    facts = (found.case.ehr.measurement(one.name) for one in LABORATORY)
    days = [fact.effective for fact in facts if isinstance(fact, Known) and fact.effective]
    return min(days, default=found.case.today)


def elastography(found: Reasoning, *, old: bool = False) -> None:
    """Stiffness where FIB-4 alone does not tell, or where a high one is too old; its result where it was done."""
    if _ordered(found, actions.ELASTOGRAPHY):
        return
    if found.apply(SCANNED, recent(found, procedure_codes.ELASTOGRAPHY, STIFFNESS_MONTHS)):
        found.lacks(
            found.say(measurement_codes.LIVER_STIFFNESS.title),
            found.case.ehr.measurement(measurement_codes.LIVER_STIFFNESS.name),
            found.say("ask whoever did the elastography for its result"),
        )
        found.note(found.say("Elastography was done in the last 12 months: its result says what comes next."))
        return
    found.recommend(
        Recommendation(
            key="elastography",
            action=found.say("Elastography of the liver"),
            code=actions.ELASTOGRAPHY,
            reason=found.say("An earlier stiffness was 8 kPa or more, and is too old or has no date.")
            if old
            else found.say("FIB-4 alone cannot tell whether the liver is scarred."),
            source=AGA,
            because=because(found),
            would_change=(found.say("A stiffness below 8 kPa stays in primary care; from 8 kPa on it is referred."),),
        )
    )


def hepatology(found: Reasoning, reason: str, *, source: Source = AGA, urgent: bool = False) -> None:
    """Referral; urgent for a very stiff liver."""
    if _ordered(found, actions.HEPATOLOGY_REFERRAL, urgent=urgent):
        return
    found.recommend(
        Recommendation(
            key="hepatology",
            action=found.say("Referral to hepatology"),
            code=actions.HEPATOLOGY_REFERRAL,
            reason=reason,
            source=source,
            priority=Priority.URGENT if urgent else Priority.ROUTINE,
            because=because(found),
            would_change=(
                found.say("Acute illness when blood was taken: repeat the tests first."),
                found.say("Hepatology knows the patient already."),
            ),
        )
    )

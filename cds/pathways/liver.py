"""Fat in the liver: FIB-4, and by it the next step: repeat, elastography, hepatology.

AGA clinical care pathway 2021 (Kanwal et al., Gastroenterology 2021;161:1657-1669, doi:10.1053/j.gastro.2021.07.049).
Fat on CT: Boyce 2010 (doi:10.2214/AJR.09.2590), Pickhardt 2012 (doi:10.1007/s00330-011-2349-2). Age and FIB-4:
McPherson 2017 (doi:10.1038/ajg.2016.453).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, procedure_codes
from cds.domain.ehr import Known
from cds.domain.order import Priority
from cds.domain.recommendation import (
    Advice,
    Case,
    CouldNotTell,
    Indicator,
    NothingToSay,
    PathwayOutcome,
    Recommendation,
    Source,
)
from cds.pathways import Rule, pathway
from cds.pathways._facts import Measured, Seen, add_months, findings, values, where
from cds.pathways._guards import age_on, fresh, known, recent, within
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because, ordered_already, under_age, unmeasured
from cds.risk import Scored
from cds.risk.fib4 import SCORE as FIB4
from cds.risk.liver_ct_steatosis import SCORE as STEATOSIS
from cds.risk.lsm_pathway import SCORE as STIFFNESS
from cds.risk.steatosis_fib4_pathway import SCORE as NEXT_STEP

ID = "liver"
TITLE = "Fat in the liver"
AGA = Source("AGA 2021, pathway for fatty liver", "https://doi.org/10.1053/j.gastro.2021.07.049")
PICKHARDT = Source("Pickhardt 2012, specificity at 48 HU", "https://doi.org/10.1007/s00330-011-2349-2")
MCPHERSON = Source("McPherson 2017, FIB-4 and age", "https://doi.org/10.1038/ajg.2016.453")

FAT = Rule(
    "fat-40",
    "A liver of 40 HU or less on CT without contrast medium has moderate to severe fat.",
    source=STEATOSIS.source,
)
FAT_48 = Rule("fat-48", "A liver above 40 and up to 48 HU on CT without contrast medium has fat.", source=PICKHARDT)
FAT_SPLEEN = Rule(
    "fat-spleen",
    "A liver more than 10 HU below the spleen on CT without contrast medium has fat.",
    source=STEATOSIS.source,
)
FAT_TOLD = Rule("fat-told", "Fat in the liver that is reported counts as it is reported.")
AGE = Rule("age", "Without a known age the pathway cannot tell.")
ADULTS = Rule("adults", "Below 18 years the pathway is silent.")
CHRONIC = Rule("chronic", "Where a chronic liver disease is on record the pathway is silent.")
ALCOHOL = Rule("alcohol", "Where an alcohol use disorder is on record the pathway is silent.")
LABS = Rule("labs", "Where AST, ALT or platelets of the last 6 months are missing they are asked for.")
LOW = Rule("low", "A FIB-4 below 1.3, or below 2.0 from 65 years on, is repeated after 2 to 3 years in primary care.")
BETWEEN = Rule("between", "A FIB-4 from 1.3, or from 2.0 at 65 years on, up to 2.67 is followed by elastography.")
HIGH = Rule("high", "A FIB-4 above 2.67 is referred to hepatology.")
YOUNG = Rule("young", "At 35 years or younger a FIB-4 is shown with a warning.", source=MCPHERSON)
SOFT = Rule(
    "soft", "After a FIB-4 that asks for elastography a stiffness below 8 kPa is followed by FIB-4 in 2 to 3 years."
)
STIFF = Rule("stiff", "A liver stiffness of 8 to 12 kPa is referred to hepatology.")
VERY_STIFF = Rule("very-stiff", "A liver stiffness above 12 kPa is referred to hepatology with priority.")
SCANNED = Rule("scanned", "Where elastography was done in the last 12 months its result is asked for, not another one.")
ORDERED = Rule("ordered", "Where the next step is ordered it is not asked for again.")

LIMITS = (
    "CT misses mild fat; iron, amiodarone and glycogen make a liver look denser than it is.",
    "FIB-4 does not hold in acute hepatitis, nor where platelets are low for another reason.",
    "The cut-offs of stiffness are those of vibration-controlled transient elastography.",
    "Other causes of liver disease are looked for by whoever treats the patient.",
)
#: Results of blood tests and of elastography count for so many months.
_LABS_MONTHS, _STIFFNESS_MONTHS = 6, 12
_BY_CT = {
    "moderate_severe_steatosis": FAT,
    "high_specificity_band_le48": FAT_48,
    "steatosis_by_spleen_difference_gt10": FAT_SPLEEN,
}
_LABORATORY = (measurement_codes.AST, measurement_codes.ALT, measurement_codes.PLATELETS)


@dataclass(frozen=True, slots=True)
class _Fat:
    """What says that there is fat: the rule, in words, the keys of the findings, and the limits of who said it."""

    rule: Rule
    said: str
    keys: tuple[str, ...]
    limits: tuple[str, ...]


@pathway(
    id=ID,
    title=TITLE,
    source=AGA,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    reads=(
        finding_codes.LIVER_ATTENUATION,
        finding_codes.SPLEEN_ATTENUATION,
        finding_codes.HEPATIC_STEATOSIS,
    ),
    asks=(
        *_LABORATORY,
        measurement_codes.LIVER_STIFFNESS,
        condition_codes.CHRONIC_LIVER_DISEASE,
        condition_codes.ALCOHOL_USE_DISORDER,
        condition_codes.FATTY_LIVER,
        procedure_codes.ELASTOGRAPHY,
        procedure_codes.ORDERED[actions.LIVER_BLOOD_TESTS.code],
        procedure_codes.ORDERED[actions.REPEAT_FIB4.code],
        procedure_codes.ORDERED[actions.ELASTOGRAPHY.code],
        procedure_codes.ORDERED[actions.HEPATOLOGY_REFERRAL.code],
    ),
    rules=(
        FAT,
        FAT_48,
        FAT_SPLEEN,
        FAT_TOLD,
        AGE,
        ADULTS,
        CHRONIC,
        ALCOHOL,
        LABS,
        LOW,
        BETWEEN,
        HIGH,
        YOUNG,
        SOFT,
        STIFF,
        VERY_STIFF,
        SCANNED,
        ORDERED,
    ),
    scores=(STEATOSIS.id, FIB4.id, NEXT_STEP.id, STIFFNESS.id),
    further=(STEATOSIS.source, PICKHARDT, MCPHERSON),
    limits=LIMITS,
)
def liver(case: Case) -> PathwayOutcome:
    """Advise on fat in the liver."""
    darkest = min(values(case, finding_codes.LIVER_ATTENUATION), key=lambda one: one.value.value, default=None)
    told = next((one for one in findings(case, finding_codes.HEPATIC_STEATOSIS) if one.present), None)
    found = Reasoning(ID, TITLE, AGA, case)
    if darkest is None and told is None:
        what = found.say("attenuation of the liver")
        if unmeasured(found, what, finding_codes.LIVER_ATTENUATION, finding_codes.HEPATIC_STEATOSIS):
            return found.could_not_tell(found.say("fat in the liver was not evaluated"))
        return found.nothing("nothing on this study tells of fat in the liver")
    fat = (_by_ct(found, darkest) if darkest else None) or (_told(found, told) if told else None)
    if fat is None:
        return found.nothing("the attenuation of the liver does not tell of fat; that does not exclude it")
    return _silenced(found) or _advised(found, fat)


def _by_ct(found: Reasoning, darkest: Measured) -> _Fat | None:
    """What the attenuation says, that of the spleen with it; the finding itself says that no contrast was given."""
    spleen = max((one.value.value for one in values(found.case, finding_codes.SPLEEN_ATTENUATION)), default=None)
    hu = darkest.value.value
    found.measured(found.say("attenuation of the liver"), f"{hu:.4g} HU", where(found.case, darkest))
    if spleen is not None:
        found.measured(found.say("attenuation of the spleen"), f"{spleen:.4g} HU", where(found.case, darkest))
    answer = STEATOSIS({"liver_hu": hu, "spleen_hu": spleen, "contrast": False})
    says = str(answer.outputs["finding"]) if isinstance(answer, Scored) else ""
    found.risk(STEATOSIS, answer, says)
    rule = _BY_CT.get(says)
    found.apply(rule or FAT, rule is not None, f"{hu:.4g} HU")
    if rule is None:
        return None
    said = found.say("Attenuation of the liver without contrast medium: {said}.", said=f"{hu:.4g} HU")
    return _Fat(rule, said, (darkest.finding.key,), darkest.by.limits)


def _told(found: Reasoning, told: Seen) -> _Fat:
    found.apply(FAT_TOLD, True)
    found.measured(found.say("fat in the liver"), found.say("present"), where(found.case, told))
    return _Fat(FAT_TOLD, found.say("Fat in the liver was found."), (told.finding.key,), told.by.limits)


def _silenced(found: Reasoning) -> NothingToSay | CouldNotTell | None:
    """Who has another reason for a sick liver is in other hands, and in another pathway."""
    how = found.say("look at the problem list")
    child = under_age(found)
    if found.apply(AGE, child is None):
        return found.could_not_tell(found.say("FIB-4 needs the age"))
    if found.apply(ADULTS, child):
        return found.nothing("the patient is a child")
    if found.apply(CHRONIC, known(found, condition_codes.CHRONIC_LIVER_DISEASE, how)):
        return found.nothing("a chronic liver disease is on record")
    if found.apply(ALCOHOL, known(found, condition_codes.ALCOHOL_USE_DISORDER, found.say("ask about alcohol"))):
        return found.nothing("an alcohol use disorder is on record: the pathway is for other fat in the liver")
    known(found, condition_codes.FATTY_LIVER, how)
    return None


def _advised(found: Reasoning, fat: _Fat) -> Advice | NothingToSay:
    years = age_on(found.case.ehr.birth_date, found.case.today) or 0
    action, index = _fib4(found, years)
    stiffness = _stiffness(found)
    if stiffness.startswith("refer"):
        reason = found.say("The liver is stiff: 8 kPa or more.")
        _hepatology(found, reason, urgent=stiffness == "refer_hepatology_high")
    elif action == "refer_hepatology":
        _hepatology(found, found.say("FIB-4 is above 2.67."))
    elif action == "lsm_vcte" and not stiffness:
        _elastography(found)
    elif action in {"lsm_vcte", "repeat_nit_2_3y_primary_care"}:
        found.apply(SOFT, action == "lsm_vcte" and stiffness == "primary_care")
        _repeat(found)
    if not action:
        _blood_tests(found)
    if not found.recommendations and not found.missing:
        return found.nothing("nothing is left to suggest: " + "; ".join(found.quiet))
    referred = stiffness.startswith("refer") or action == "refer_hepatology"
    return found.advice(
        _summary(found, index),
        Indicator.WARNING if referred else Indicator.INFO,
        fat.keys,
        seen=(fat.said,),
        meaning=_meaning(found, fat, index, years),
        limits=(*fat.limits, *map(found.say, LIMITS)),
        further=(STEATOSIS.source, PICKHARDT, MCPHERSON),
    )


def _summary(found: Reasoning, index: str) -> str:
    day = found.case.study_date
    if index:
        return found.say("Fat in the liver on {day} (AI), FIB-4 {index}.", day=day, index=index)
    return found.say("Fat in the liver on {day} (AI); FIB-4 is not known.", day=day)


def _meaning(found: Reasoning, fat: _Fat, index: str, years: int) -> tuple[str, ...]:
    degree = (
        found.say("Moderate to severe fat in the liver, if a radiologist agrees.")
        if fat.rule is FAT
        else found.say("Fat in the liver, if a radiologist agrees.")
    )
    young = found.apply(YOUNG, bool(index) and years <= 35, str(years))
    warned = found.say("FIB-4 tells scars of the liver badly at 35 years or younger: a low one does not reassure.")
    return (degree, *((warned,) if young else ()))


def _fib4(found: Reasoning, years: int) -> tuple[str, str]:
    """The next step by FIB-4 and the index in words; both "" where a blood test is missing."""
    how = found.say("take blood for AST, ALT and platelets")
    ast, alt, platelets = (fresh(found, one, _LABS_MONTHS, how) for one in _LABORATORY)
    answer = FIB4({"age": years, "ast_u_l": ast, "alt_u_l": alt, "platelets_10e9_l": platelets})
    if not isinstance(answer, Scored):
        found.risk(FIB4, answer)
        return "", ""
    value = answer.number("fib4")
    index = f"{value:.2f}"
    found.risk(FIB4, answer, index)
    step = NEXT_STEP({"steatosis_on_ct": True, "age": years, "fib4": value})
    action = str(step.outputs["action"]) if isinstance(step, Scored) else ""
    found.risk(NEXT_STEP, step, action)
    for rule, one in ((LOW, "repeat_nit_2_3y_primary_care"), (BETWEEN, "lsm_vcte"), (HIGH, "refer_hepatology")):
        found.apply(rule, action == one, index)
    return action, index


def _stiffness(found: Reasoning) -> str:
    """What a stiffness on record says; "" where there is none that counts: then FIB-4 says whether one is needed."""
    title = found.say(measurement_codes.LIVER_STIFFNESS.title)
    fact = found.case.ehr.measurement(measurement_codes.LIVER_STIFFNESS.name)
    found.unasked(title, fact, found.say("ask for the result of earlier elastography"))
    timely = within(found, fact, _STIFFNESS_MONTHS, title)
    if not isinstance(timely, Known):
        return ""
    kpa = timely.value.quantity.value
    found.use(title, timely, lambda one: f"{one.quantity.value:.4g} {one.quantity.unit}")
    answer = STIFFNESS({"lsm_kpa": kpa})
    action = str(answer.outputs["action"]) if isinstance(answer, Scored) else ""
    found.risk(STIFFNESS, answer, action)
    found.apply(STIFF, action == "refer_hepatology_indeterminate", f"{kpa:.4g} kPa")
    found.apply(VERY_STIFF, action == "refer_hepatology_high", f"{kpa:.4g} kPa")
    return action


def _blood_tests(found: Reasoning) -> None:
    found.apply(LABS, True)
    if found.apply(ORDERED, ordered_already(found, actions.LIVER_BLOOD_TESTS)):
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


def _repeat(found: Reasoning) -> None:
    if found.apply(ORDERED, ordered_already(found, actions.REPEAT_FIB4)):
        return
    taken = _oldest(found)
    found.recommend(
        Recommendation(
            key="repeat-fib4",
            action=found.say("Repeat FIB-4 in primary care"),
            code=actions.REPEAT_FIB4,
            reason=found.say("Advanced scars of the liver are unlikely now."),
            source=AGA,
            not_before=add_months(taken, 24),
            by=max(add_months(taken, 36), found.case.today),
            because=because(found),
            would_change=(found.say("A higher FIB-4, a stiff liver, or new signs of liver disease."),),
        )
    )


def _oldest(found: Reasoning) -> date:
    """The day of the oldest blood test that FIB-4 rests on: from it the years are counted."""
    facts = (found.case.ehr.measurement(one.name) for one in _LABORATORY)
    days = [fact.effective for fact in facts if isinstance(fact, Known) and fact.effective]
    return min(days, default=found.case.today)


def _elastography(found: Reasoning) -> None:
    if found.apply(ORDERED, ordered_already(found, actions.ELASTOGRAPHY)):
        return
    if found.apply(SCANNED, recent(found, procedure_codes.ELASTOGRAPHY, _STIFFNESS_MONTHS)):
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
            reason=found.say("FIB-4 alone cannot tell whether the liver is scarred."),
            source=AGA,
            because=because(found),
            would_change=(found.say("A stiffness below 8 kPa stays in primary care; from 8 kPa on it is referred."),),
        )
    )


def _hepatology(found: Reasoning, reason: str, *, urgent: bool = False) -> None:
    if found.apply(ORDERED, ordered_already(found, actions.HEPATOLOGY_REFERRAL)):
        return
    found.recommend(
        Recommendation(
            key="hepatology",
            action=found.say("Referral to hepatology"),
            code=actions.HEPATOLOGY_REFERRAL,
            reason=reason,
            source=AGA,
            priority=Priority.URGENT if urgent else Priority.ROUTINE,
            because=because(found),
            would_change=(found.say("Acute illness when blood was taken: repeat the tests first."),),
        )
    )

"""Fat in the liver: FIB-4, and by it the next step: repeat, elastography, hepatology.

AGA clinical care pathway 2021 (Kanwal et al., Gastroenterology 2021;161:1657-1669, doi:10.1053/j.gastro.2021.07.049).
Fat on CT: Boyce 2010 (doi:10.2214/AJR.09.2590), Pickhardt 2012 (doi:10.1007/s00330-011-2349-2). Age and FIB-4:
McPherson 2017 (doi:10.1038/ajg.2016.453). FIB-4 where alcohol or another disease plays a part: EASL 2021
(doi:10.1016/j.jhep.2021.05.025).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, procedure_codes
from cds.domain.recommendation import (
    Advice,
    Case,
    CouldNotTell,
    Indicator,
    NothingToSay,
    PathwayOutcome,
    Source,
)
from cds.pathways import Rule, pathway
from cds.pathways._facts import Measured, Seen, findings, values, where
from cds.pathways._guards import age_on, known
from cds.pathways._liver_steps import (
    ACG,
    AGA,
    LABS,
    ORDERED,
    SCANNED,
    ask_for_blood_tests,
    elastography,
    hepatology,
    look_for_acute_disease,
    repeat,
)
from cds.pathways._liver_tests import (
    ACUTE,
    ACUTE_U_L,
    BETWEEN,
    EASL_ALEH,
    HIGH,
    IMPOSSIBLE,
    LABORATORY,
    LOW,
    OLD_STIFF,
    STIFF,
    VERY_STIFF,
    BloodTests,
    blood_tests,
    stiffness,
)
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import under_age, unmeasured
from cds.risk import Answer, Scored
from cds.risk.fib4 import SCORE as FIB4
from cds.risk.liver_ct_steatosis import SCORE as STEATOSIS
from cds.risk.lsm_pathway import SCORE as STIFFNESS
from cds.risk.steatosis_fib4_pathway import SCORE as NEXT_STEP

ID = "liver"
TITLE = "Fat in the liver"
PICKHARDT = Source("Pickhardt 2012, specificity at 48 HU", "https://doi.org/10.1007/s00330-011-2349-2")
EASL = Source("EASL 2021, non-invasive tests", "https://doi.org/10.1016/j.jhep.2021.05.025")
MCPHERSON = Source("McPherson 2017, FIB-4 and age", "https://doi.org/10.1038/ajg.2016.453")

FAT = Rule(
    "fat-40",
    "A liver of 40 HU or less on CT without contrast medium has moderate to severe fat.",
    source=STEATOSIS.source,
)
FAT_48 = Rule("fat-48", "A liver above 40 and up to 48 HU on CT without contrast medium has fat.", source=PICKHARDT)
FAT_SPLEEN = Rule(
    "fat-spleen",
    "A liver more than 10 HU below the spleen that was measured with it on CT without contrast medium has fat.",
    source=STEATOSIS.source,
)
FAT_TOLD = Rule("fat-told", "Fat in the liver that is reported counts as it is reported.")
AGE = Rule("age", "Without a known age the pathway cannot tell.")
ADULTS = Rule("adults", "Below 18 years the pathway is silent.")
AGAINST = Rule("against", "Where a report and the attenuation contradict each other about fat both are told.")
CHRONIC = Rule(
    "chronic",
    "With a chronic liver disease only a FIB-4 above 2.67, 8 kPa or more and acute disease are told.",
    source=EASL,
)
ALCOHOL = Rule(
    "alcohol",
    "With an alcohol use disorder only a FIB-4 above 2.67, 8 kPa or more and acute disease are told.",
    source=EASL,
)
YOUNG = Rule("young", "At 35 years or younger a low FIB-4 is never told as scars being unlikely.", source=MCPHERSON)
SOFT = Rule(
    "soft", "After a FIB-4 that asks for elastography a stiffness below 8 kPa is followed by FIB-4 in 2 to 3 years."
)

LIMITS = (
    "CT misses mild fat; iron, amiodarone and glycogen make a liver look denser than it is.",
    "FIB-4 does not hold in acute hepatitis, nor where platelets are low for another reason.",
    "The cut-offs of stiffness are those of vibration-controlled transient elastography.",
    "Other causes of liver disease are looked for by whoever treats the patient.",
)
_BY_CT = {
    "moderate_severe_steatosis": FAT,
    "high_specificity_band_le48": FAT_48,
    "steatosis_by_spleen_difference_gt10": FAT_SPLEEN,
}
_YOUNG_YEARS = 35


@dataclass(frozen=True, slots=True)
class _Fat:
    """What says that there is fat: the rule, in words, the keys of the findings, and the limits of who said it."""

    rule: Rule
    said: tuple[str, ...]
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
        *LABORATORY,
        measurement_codes.LIVER_STIFFNESS,
        condition_codes.CHRONIC_LIVER_DISEASE,
        condition_codes.ALCOHOL_USE_DISORDER,
        condition_codes.FATTY_LIVER,
        procedure_codes.ELASTOGRAPHY,
        procedure_codes.ORDERED[actions.LIVER_BLOOD_TESTS.code],
        procedure_codes.ORDERED[actions.REPEAT_FIB4.code],
        procedure_codes.ORDERED[actions.ELASTOGRAPHY.code],
        procedure_codes.ORDERED[actions.HEPATOLOGY_REFERRAL.code],
        procedure_codes.ORDERED[actions.ACUTE_LIVER_ASSESSMENT.code],
    ),
    rules=(
        FAT,
        FAT_48,
        FAT_SPLEEN,
        FAT_TOLD,
        AGAINST,
        AGE,
        ADULTS,
        CHRONIC,
        ALCOHOL,
        IMPOSSIBLE,
        ACUTE,
        LABS,
        LOW,
        BETWEEN,
        HIGH,
        YOUNG,
        SOFT,
        STIFF,
        VERY_STIFF,
        OLD_STIFF,
        SCANNED,
        ORDERED,
    ),
    options=(ACUTE_U_L,),
    scores=(STEATOSIS.id, FIB4.id, NEXT_STEP.id, STIFFNESS.id),
    further=(STEATOSIS.source, PICKHARDT, MCPHERSON, EASL, EASL_ALEH, ACG),
    limits=LIMITS,
    languages=("de",),
)
def liver(case: Case) -> PathwayOutcome:
    """Advise on fat in the liver."""
    livers = sorted(values(case, finding_codes.LIVER_ATTENUATION), key=_place)
    told = sorted(findings(case, finding_codes.HEPATIC_STEATOSIS), key=lambda one: (one.finding.key, one.by.model))
    found = Reasoning(ID, TITLE, AGA, case)
    if not livers and not any(one.present for one in told):
        return _unseen(found, told)
    fat = _by_ct(found, livers, told) or _reported(found, livers, told)
    if fat is None:
        return found.nothing("the attenuation of the liver does not tell of fat; that does not exclude it")
    return _unfit(found) or _advised(found, fat)


def _place(one: Measured) -> tuple[float, str, str]:
    return one.value.value, one.finding.key, one.by.model


def _unseen(found: Reasoning, told: list[Seen]) -> NothingToSay | CouldNotTell:
    what = found.say("attenuation of the liver")
    if unmeasured(found, what, finding_codes.LIVER_ATTENUATION, finding_codes.HEPATIC_STEATOSIS):
        return found.could_not_tell(found.say("fat in the liver was not evaluated"))
    if told:
        return found.nothing("fat in the liver was not detected, which does not exclude it")
    return found.nothing("fat in the liver was not looked for on this study")


# --- fat -------------------------------------------------------------------------------------------------------------


def _by_ct(found: Reasoning, livers: list[Measured], told: list[Seen]) -> _Fat | None:
    """What the attenuation says, the darkest first; the finding itself says that no contrast was given."""
    if not livers:
        return None
    judged = [(one, spleen := _spleen_of(found, one), _judged(one, spleen)) for one in livers]
    liver, spleen, answer = next((one for one in judged if _says(one[2]) in _BY_CT), judged[0])
    said = f"{liver.value.value:.4g} HU"
    found.measured(found.say("attenuation of the liver"), said, where(found.case, liver))
    if spleen is not None:
        found.measured(found.say("attenuation of the spleen"), f"{spleen:.4g} HU", where(found.case, liver))
    rule = _BY_CT.get(_says(answer))
    found.risk(STEATOSIS, answer, _fat_said(found, rule))
    found.apply(rule or FAT, rule is not None, said)
    if rule is None:
        return None
    seen = [found.say("Attenuation of the liver without contrast medium: {said}.", said=said)]
    if found.apply(AGAINST, bool(told) and not any(one.present for one in told)):
        seen.append(found.say("Another evaluation did not detect fat in the liver: a radiologist decides."))
    return _Fat(rule, tuple(seen), (liver.finding.key,), liver.by.limits)


def _spleen_of(found: Reasoning, liver: Measured) -> float | None:
    """The spleen that was measured with a liver: one of another series may have been imaged in another way."""
    spleens = values(found.case, finding_codes.SPLEEN_ATTENUATION)
    return max((one.value.value for one in spleens if one.by is liver.by), default=None)


def _judged(liver: Measured, spleen: float | None) -> Answer:
    return STEATOSIS({"liver_hu": liver.value.value, "spleen_hu": spleen, "contrast": False})


def _says(answer: Answer) -> str:
    return str(answer.outputs["finding"]) if isinstance(answer, Scored) else ""


def _fat_said(found: Reasoning, rule: Rule | None) -> str:
    if rule is FAT:
        return found.say("moderate to severe fat")
    if rule is FAT_SPLEEN:
        return found.say("fat, by the difference from the spleen")
    return found.say("fat") if rule else found.say("no fat by these limits, which does not exclude it")


def _reported(found: Reasoning, livers: list[Measured], told: list[Seen]) -> _Fat | None:
    """Fat that was reported; where the attenuation does not tell of it the reader sees both."""
    one = next((one for one in told if one.present), None)
    if one is None:
        return None
    found.apply(FAT_TOLD, True)
    found.measured(found.say("fat in the liver"), found.say("present"), where(found.case, one))
    seen = [found.say("Fat in the liver was found.")]
    if found.apply(AGAINST, bool(livers)):
        said = f"{livers[0].value.value:.4g} HU"
        seen.append(
            found.say("The attenuation of the liver ({said}) does not tell of fat: a radiologist decides.", said=said)
        )
    return _Fat(FAT_TOLD, tuple(seen), (one.finding.key,), one.by.limits)


# --- guards ----------------------------------------------------------------------------------------------------------


def _unfit(found: Reasoning) -> NothingToSay | CouldNotTell | None:
    child = under_age(found)
    if found.apply(AGE, child is None):
        return found.could_not_tell(found.say("FIB-4 needs the age"))
    if found.apply(ADULTS, child):
        return found.nothing("the patient is a child")
    return None


def _other_disease(found: Reasoning) -> str:
    """Another reason for a sick liver: then only what cannot wait for whoever treats it is told; "" for none."""
    how = found.say("look at the problem list")
    chronic = known(found, condition_codes.CHRONIC_LIVER_DISEASE, how)
    alcohol = known(found, condition_codes.ALCOHOL_USE_DISORDER, found.say("ask about alcohol"))
    known(found, condition_codes.FATTY_LIVER, how)
    if found.apply(CHRONIC, chronic):
        return "a chronic liver disease is on record"
    if found.apply(ALCOHOL, alcohol):
        return "an alcohol use disorder is on record"
    return ""


# --- the card --------------------------------------------------------------------------------------------------------


def _advised(found: Reasoning, fat: _Fat) -> PathwayOutcome:
    years = age_on(found.case.ehr.birth_date, found.case.today) or 0
    other = _other_disease(found)
    tests, stiff = blood_tests(found, years), stiffness(found)
    grave = tests.acute or tests.action == "refer_hepatology" or stiff.startswith("refer")
    if other and not grave and stiff != "old":
        if not tests.action:
            return found.could_not_tell(found.say("another liver disease is on record, and FIB-4 is not known"))
        return found.nothing(other)
    young = found.apply(YOUNG, bool(tests.index) and years <= _YOUNG_YEARS) or False
    _suggest(found, tests, stiff, young=young, source=EASL if other else AGA)
    if not found.recommendations and not found.missing:
        return found.nothing("nothing is left to suggest: " + "; ".join(found.quiet))
    return _card(found, fat, tests, Indicator.WARNING if grave else Indicator.INFO, young=young)


def _suggest(found: Reasoning, tests: BloodTests, stiff: str, *, young: bool, source: Source) -> None:
    """The steps; while the liver may be acutely ill nothing is said of scars but by a stiffness that counts."""
    if tests.acute:
        look_for_acute_disease(found)
    if stiff.startswith("refer"):
        reason = found.say("The liver is stiff: 8 kPa or more.")
        hepatology(found, reason, source=source, urgent=stiff == "refer_hepatology_high")
    elif tests.action == "refer_hepatology":
        hepatology(found, found.say("FIB-4 is above 2.67."), source=source)
    elif not tests.acute:
        _by_stiffness(found, tests, stiff, young=young)
    if not tests.action and not tests.acute:
        ask_for_blood_tests(found)


def _by_stiffness(found: Reasoning, tests: BloodTests, stiff: str, *, young: bool) -> None:
    if stiff == "old":
        elastography(found, old=True)
    elif tests.action == "lsm_vcte" and not stiff:
        elastography(found)
    elif tests.action:
        found.apply(SOFT, tests.action == "lsm_vcte")
        repeat(found, young=young)


def _card(found: Reasoning, fat: _Fat, tests: BloodTests, indicator: Indicator, *, young: bool) -> Advice:
    degree = (
        found.say("Moderate to severe fat in the liver, if a radiologist agrees.")
        if fat.rule is FAT
        else found.say("Fat in the liver, if a radiologist agrees.")
    )
    warned = found.say("FIB-4 tells scars of the liver badly at 35 years or younger: a low one does not reassure.")
    return found.advice(
        _summary(found, tests),
        indicator,
        fat.keys,
        seen=fat.said,
        meaning=(degree, *((warned,) if young else ())),
        limits=(*fat.limits, *map(found.say, LIMITS)),
        further=(STEATOSIS.source, PICKHARDT, MCPHERSON),
    )


def _summary(found: Reasoning, tests: BloodTests) -> str:
    day = found.case.study_date
    if tests.acute:
        return found.say("Fat in the liver on {day} (AI), AST or ALT very high: look for acute liver disease.", day=day)
    if tests.index:
        return found.say("Fat in the liver on {day} (AI), FIB-4 {index}.", day=day, index=tests.index)
    return found.say("Fat in the liver on {day} (AI); FIB-4 is not known.", day=day)

"""Coronary calcium on CT: a visit to discuss lipid treatment, cardiology where there is chest pain.

AHA/ACC 2018 (Grundy et al., Circulation 2019;139:e1082-e1143, doi:10.1161/CIR.0000000000000625): from a score of 100 on
a statin for any patient, from 1 to 99 rather so from 55 years on, and from the 75th percentile for age and sex on; from
an LDL cholesterol of 190 mg/dL on, and with diabetes, whatever the calcium. Calcium on chest CT made for another
reason, and chest pain: BSCI/BSCCT/BSTI 2021. Not for known disease: NLA 2020 (doi:10.1016/j.jacl.2020.12.005). The
thresholds of the ACC/AHA guideline of 2026 were not verified; they are in `calcium_2026`.
"""

from __future__ import annotations

from datetime import date

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, medication_codes, procedure_codes
from cds.domain.ehr import Unknown
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
from cds.pathways import Option, Rule, pathway
from cds.pathways._calcium import Calcium, contradictions, most, said
from cds.pathways._facts import Missing
from cds.pathways._guards import age_on, fresh, known, stated, taken
from cds.pathways._prevent import ASKS, ascvd10, installed
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because, ordered_already, suffered, under_age, unmeasured
from cds.pathways.declaration import number

ID = "calcium"
TITLE = "Calcium of the coronary arteries"
AHA_ACC = Source("AHA/ACC 2018, blood cholesterol", "https://doi.org/10.1161/CIR.0000000000000625")
BSCI = Source(
    "BSCI/BSCCT/BSTI 2021, cardiac calcification on chest CT", "https://pmc.ncbi.nlm.nih.gov/articles/PMC7774698"
)
NLA = Source("NLA 2020, coronary calcium", "https://doi.org/10.1016/j.jacl.2020.12.005")
CAC_DRS_2018 = Source("CAC-DRS 2018", "https://doi.org/10.1016/j.jcct.2018.03.008")

CLASS = Rule("class", "Without a score or a class of the calcium the pathway cannot tell.", source=CAC_DRS_2018)
MUCH = Rule("much", "A score of 100 or more, or a moderate or severe class, leads to a visit on lipid treatment.")
SOME = Rule("some", "A score of 1 to 99, or a mild class, leads to a visit on lipid treatment from 55 years on.")
ON_STATIN = Rule("on-statin", "Where a statin is taken the visit is about its intensity.")
YOUNG = Rule(
    "young",
    "Below 55 years a score of 1 to 99, or a mild class, leads to a visit that asks for its percentile.",
)
HIGH_LDL = Rule(
    "high-ldl", "With coronary calcium LDL cholesterol of 190 mg/dL or more leads to a visit, with a statin too."
)
DIABETES = Rule("diabetes", "Calcium with diabetes leads to a visit on lipid treatment where no statin is taken.")
SOME_ON_STATIN = Rule(
    "some-on-statin",
    "With a score of 1 to 99 or a mild class, a statin and an LDL below 190 mg/dL nothing is suggested.",
)
AGES = Rule("ages", "Below 40 and above 75 years the card says that the guideline leaves it to a talk.")
CONTRADICTION = Rule("contradiction", "Where scores and classes disagree the highest counts, and the others are told.")
CHEST_PAIN = Rule("chest-pain", "Coronary calcium with recent chest pain is referred to cardiology.", source=BSCI)
KNOWN = Rule("known", "Where atherosclerotic cardiovascular disease is on record the pathway is silent.", source=NLA)
AGE = Rule("age", "Without a known age the pathway cannot tell.")
ADULTS = Rule("adults", "Below 18 years the pathway is silent.")
ORDERED = Rule(
    "ordered", "Where the next step is ordered it is not asked for again, cardiology only since these images."
)
PREVENT = Rule("prevent", "The risk by PREVENT is shown beside the calcium and does not decide.")

PAIN_DAYS = Option("pain_days", "Chest pain counts for this many days", "30", unit="d", low=1, high=365)

LIMITS = (
    "A class of a chest CT is no score of a calcium scan and enters no risk score.",
    "That no calcium is seen does not exclude coronary artery disease.",
    "The guideline of 2018 speaks of 40 to 75 years; its successor of 2026 has thresholds of its own.",
)


@pathway(
    id=ID,
    title=TITLE,
    source=AHA_ACC,
    version="1.1.0",
    reviewed=date(2026, 11, 22),
    reads=(finding_codes.CORONARY_CALCIUM_SCORE, finding_codes.CORONARY_CALCIFICATION),
    asks=(
        *ASKS,
        condition_codes.ASCVD,
        condition_codes.CHEST_PAIN,
        measurement_codes.LDL_CHOLESTEROL,
        procedure_codes.ORDERED[actions.LIPID_VISIT.code],
        procedure_codes.ORDERED[actions.CARDIOLOGY_REFERRAL.code],
    ),
    rules=(
        CLASS,
        CONTRADICTION,
        MUCH,
        SOME,
        YOUNG,
        HIGH_LDL,
        DIABETES,
        ON_STATIN,
        SOME_ON_STATIN,
        CHEST_PAIN,
        KNOWN,
        AGE,
        AGES,
        ADULTS,
        ORDERED,
        PREVENT,
    ),
    options=(PAIN_DAYS,),
    scores=("cac_drs", "prevent", "prevent_band_2026"),
    further=(BSCI, NLA, CAC_DRS_2018),
    limits=LIMITS,
)
def calcium(case: Case) -> PathwayOutcome:
    """Advise on calcium of the coronary arteries."""
    seen = most(case)
    found = Reasoning(ID, TITLE, AHA_ACC, case)
    if seen is None:
        what = found.say("coronary calcium")
        if unmeasured(found, what, finding_codes.CORONARY_CALCIFICATION, finding_codes.CORONARY_CALCIUM_SCORE):
            return found.could_not_tell(found.say("coronary calcium was not evaluated"))
        return found.nothing("no coronary calcium was seen on this study; that does not exclude coronary disease")
    return _untold(found, seen) or _answered(found, seen)


def _untold(found: Reasoning, seen: Calcium) -> NothingToSay | CouldNotTell | None:
    """Why there is nothing to say, or nobody can tell; None where the pathway speaks."""
    if found.apply(CLASS, seen.level is None):
        why, how = found.say("the images tell none"), found.say("ask the radiologist: none, mild, moderate or severe")
        found.missing.append(Missing(found.say("class of the coronary calcium"), why, how))
        return found.could_not_tell(found.say("the next step depends on how much calcium there is"))
    if seen.level == 0:
        return found.nothing("the calcium score is 0; that does not exclude coronary disease")
    child = under_age(found)
    if found.apply(AGE, child is None):
        return found.could_not_tell(found.say("the next step depends on the age"))
    if found.apply(ADULTS, child):
        return found.nothing("the patient is a child")
    return None


def _answered(found: Reasoning, seen: Calcium) -> Advice | CouldNotTell | NothingToSay:
    where = f"{found.case.modality} {found.case.study_date}, {seen.by.model} {seen.by.version}"
    found.measured(found.say("coronary calcium"), said(found, seen), where)
    if found.apply(KNOWN, known(found, condition_codes.ASCVD)):
        return found.nothing("atherosclerotic cardiovascular disease is on record")
    painful = found.apply(CHEST_PAIN, suffered(found, (condition_codes.CHEST_PAIN,), _pain_days(found)))
    statin = taken(found, medication_codes.STATIN)
    visit = _visit_wanted(found, seen, statin)
    if visit is None and not painful:
        return found.could_not_tell(found.say("whether the statin is enough depends on LDL cholesterol"))
    if painful:
        _cardiology(found)
    if visit:
        found.apply(PREVENT, ascvd10(found, statin, installed()) is not None)
        _visit(found, seen, statin)
    if not visit and not painful:
        return found.nothing("little calcium, and the guideline suggests nothing: " + "; ".join(found.quiet))
    if not found.recommendations and not found.missing:
        return found.nothing("nothing is left to suggest: " + "; ".join(found.quiet))
    day = found.case.study_date
    return found.advice(
        found.say("Coronary calcium on {day} (AI): {said}.", day=day, said=said(found, seen)),
        Indicator.WARNING if painful or seen.level == 3 else Indicator.INFO,
        (seen.finding.key,),
        seen=(found.say("Calcium of the coronary arteries: {said}.", said=said(found, seen)),),
        meaning=_meaning(found, seen),
        limits=(*seen.by.limits, *map(found.say, LIMITS)),
        further=(BSCI, NLA, CAC_DRS_2018),
    )


def _pain_days(found: Reasoning) -> float:
    return number(found.case, ID, PAIN_DAYS)


def _visit_wanted(found: Reasoning, seen: Calcium, statin: bool | None) -> bool | None:
    """A statin on the list that is not known of counts as none taken: the visit finds out.

    With a statin and little calcium LDL cholesterol decides: None where that is not known.
    """
    ldl = fresh(found, measurement_codes.LDL_CHOLESTEROL, 12, found.say("measure it"))
    high = found.apply(HIGH_LDL, None if ldl is None else ldl >= 190)
    if found.apply(MUCH, seen.level in {2, 3}, said(found, seen)):
        found.apply(ON_STATIN, statin)
        return True
    if statin and not high:
        found.apply(SOME_ON_STATIN, high is False, said(found, seen))
        found.quiet.append("a statin is on record")
        return None if high is None else False
    found.apply(DIABETES, False if statin else stated(found.case.ehr.condition(condition_codes.DIABETES.name)))
    _by_age(found, seen)
    return True


def _by_age(found: Reasoning, seen: Calcium) -> None:
    """Below 55 years little calcium is much for some: its percentile tells, and is not computed here."""
    young = not found.apply(SOME, _years(found) >= 55, said(found, seen))
    if found.apply(YOUNG, young, said(found, seen)):
        why = Unknown(found.say("it is not computed here"))
        how = found.say("look it up in a calculator for coronary calcium, for example that of the MESA study")
        found.lacks(found.say("percentile of the calcium for age and sex"), why, how)


def _years(found: Reasoning) -> int:
    return age_on(found.case.ehr.birth_date, found.case.today) or 0


def _meaning(found: Reasoning, seen: Calcium) -> tuple[str, ...]:
    told = [found.say("Calcium in the coronary arteries is atherosclerosis, if a radiologist confirms it.")]
    if seen.score is None:
        told.append(found.say("The images were no calcium scan: the class stands for a score that was not measured."))
    if any(step.rule == DIABETES.key and step.held for step in found.steps):
        told.append(found.say("With diabetes the guideline gives a statin from 40 to 75 years, whatever the calcium."))
    if any(step.rule == HIGH_LDL.key and step.held for step in found.steps):
        told.append(found.say("From 190 mg/dL of LDL cholesterol on it gives as much statin as is borne."))
    others = contradictions(found, seen)
    found.apply(CONTRADICTION, bool(others))
    told += others
    years = _years(found)
    if found.apply(AGES, not 40 <= years <= 75):
        told.append(found.say("The guideline speaks of 40 to 75 years; at {years} it is for a talk.", years=years))
    return tuple(told)


def _visit(found: Reasoning, seen: Calcium, statin: bool | None) -> None:
    if found.apply(ORDERED, ordered_already(found, actions.LIPID_VISIT)):
        return
    action = (
        found.say("Visit to discuss the intensity of the statin")
        if statin
        else found.say("Visit to discuss lipid treatment")
    )
    found.recommend(
        Recommendation(
            key="lipid-visit",
            action=action,
            code=actions.LIPID_VISIT,
            reason=found.say("Coronary calcium speaks for lowering LDL cholesterol: {said}.", said=said(found, seen)),
            source=AHA_ACC,
            because=because(found),
            would_change=(
                found.say("A score from a calcium scan, where the class is from another CT."),
                found.say("Known atherosclerotic disease: then the rules for it hold."),
            ),
        )
    )


def _cardiology(found: Reasoning) -> None:
    if found.apply(ORDERED, ordered_already(found, actions.CARDIOLOGY_REFERRAL, urgent=True)):
        return
    found.recommend(
        Recommendation(
            key="cardiology",
            action=found.say("Referral to cardiology: chest pain and coronary calcium"),
            code=actions.CARDIOLOGY_REFERRAL,
            reason=found.say("Chest pain with calcium of the coronary arteries is looked into."),
            source=BSCI,
            priority=Priority.URGENT,
            because=because(found),
            would_change=(found.say("Pain at rest or now: then it is an emergency, not a referral."),),
        )
    )

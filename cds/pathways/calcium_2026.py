"""Coronary calcium by the ACC/AHA dyslipidaemia guideline of 2026, together with the risk by PREVENT.

Not read in the guideline itself (doi:10.1161/CIR.0000000000001423, section 4.2.7): it does not load outside tests.
"""

from __future__ import annotations

from datetime import date

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, medication_codes, procedure_codes
from cds.domain.ehr import Known, Unknown
from cds.domain.recommendation import Advice, Case, Indicator, NothingToSay, PathwayOutcome, Recommendation, Source
from cds.pathways import Rule, pathway
from cds.pathways._calcium import Calcium, most, said
from cds.pathways._facts import add_months
from cds.pathways._guards import known, stated, taken
from cds.pathways._prevent import ASKS, ascvd10, installed, smokes_now
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because, ordered_already, under_age
from cds.risk import Answer, Scored
from cds.risk.cac_statin_2026 import SCORE

ID = "calcium_2026"
TITLE = "Calcium of the coronary arteries, guideline of 2026"
ACC_AHA = Source("ACC/AHA 2026, dyslipidaemia", "https://doi.org/10.1161/CIR.0000000000001423")
_UNSEEN = "its table was seen in secondary summaries alone"

EXTENSIVE = Rule(
    "extensive",
    "A score of 1000 or more leads to a visit on lipid treatment and to cardiology.",
    unverified=_UNSEEN,
)
SEVERE = Rule("severe", "A score of 300 to 999 is treated as high risk.", unverified=_UNSEEN)
MODERATE = Rule(
    "moderate", "A score of 100 to 299, or from the 75th percentile on, is treated actively.", unverified=_UNSEEN
)
MILD = Rule("mild", "A score of 1 to 99 below the 75th percentile leads to a talk on a statin.", unverified=_UNSEEN)
HIGH_RISK = Rule(
    "high-risk", "A 10-year risk by PREVENT of 10 % or more leads to a statin whatever the calcium.", unverified=_UNSEEN
)
NONE = Rule("none", "A score of 0 at a risk below 10 % defers treatment for 3 to 7 years.", unverified=_UNSEEN)
EXCEPTION = Rule(
    "exception",
    "A score of 0 defers nothing with diabetes, smoking or familial hypercholesterolaemia.",
    unverified=_UNSEEN,
)
RISK = Rule("risk", "Without the risk by PREVENT the pathway cannot tell.", unverified=_UNSEEN)
KNOWN = Rule(
    "known", "Where atherosclerotic cardiovascular disease is on record the pathway is silent.", unverified=_UNSEEN
)

_RULES = {
    "treat_as_very_high_cac": EXTENSIVE,
    "treat_as_high_risk": SEVERE,
    "initiate_llt_ge50pct": MODERATE,
    "moderate_intensity_statin": MILD,
    "high_risk_high_intensity_statin": HIGH_RISK,
    "defer_llt_repeat_cac_3_7y": NONE,
    "cac0_exception_discuss_statin": EXCEPTION,
}
#: What the score's answers are called.
_ANSWERS = {
    "treat_as_very_high_cac": "very much calcium: treated, and cardiology",
    "treat_as_high_risk": "treated as high risk",
    "initiate_llt_ge50pct": "lipid-lowering treatment, LDL cholesterol by half or more",
    "moderate_intensity_statin": "statin of moderate intensity",
    "high_risk_high_intensity_statin": "high risk: statin of high intensity",
    "defer_llt_repeat_cac_3_7y": "treatment deferred, calcium again after 3 to 7 years",
    "cac0_exception_discuss_statin": "no calcium, and a reason to discuss a statin",
}
_RELATIVE = condition_codes.FAMILY_PREMATURE_HEART_DISEASE
#: The lowest score of each class: what is certain where a class is all that there is.
_AT_LEAST = (0.0, 1.0, 100.0, 300.0)


@pathway(
    id=ID,
    title=TITLE,
    source=ACC_AHA,
    version="0.1.0",
    reviewed=date(2026, 11, 22),
    reads=(finding_codes.CORONARY_CALCIUM_SCORE, finding_codes.CORONARY_CALCIFICATION),
    asks=(
        *ASKS,
        condition_codes.ASCVD,
        condition_codes.FAMILIAL_HYPERCHOLESTEROLAEMIA,
        _RELATIVE,
        measurement_codes.LDL_CHOLESTEROL,
        procedure_codes.ORDERED[actions.LIPID_VISIT.code],
        procedure_codes.ORDERED[actions.CARDIOLOGY_REFERRAL.code],
        procedure_codes.ORDERED[actions.REPEAT_CALCIUM_SCORE.code],
    ),
    rules=(EXTENSIVE, SEVERE, MODERATE, MILD, HIGH_RISK, NONE, EXCEPTION, RISK, KNOWN),
    scores=("cac_statin_2026", "prevent", "prevent_band_2026"),
)
def calcium_2026(case: Case) -> PathwayOutcome:
    """Advise on coronary calcium and the 10-year risk together."""
    seen = most(case)
    found = Reasoning(ID, TITLE, ACC_AHA, case)
    if seen is None or seen.level is None:
        return found.nothing("no score or class of coronary calcium on this study")
    if under_age(found):
        return found.nothing("the patient is a child")
    where = f"{case.modality} {case.study_date}, {seen.by.model} {seen.by.version}"
    found.measured(found.say("coronary calcium"), said(found, seen), where)
    if found.apply(KNOWN, known(found, condition_codes.ASCVD)):
        return found.nothing("atherosclerotic cardiovascular disease is on record")
    statin = taken(found, medication_codes.STATIN)
    risk = ascvd10(found, statin, installed())
    if found.apply(RISK, risk is None) or risk is None:
        return found.could_not_tell(found.say("the guideline of 2026 needs the risk by PREVENT"))
    return _answered(found, seen, risk)


def _answered(found: Reasoning, seen: Calcium, risk: float) -> PathwayOutcome:
    answer = _scored(found, seen, risk)
    if not isinstance(answer, Scored):
        found.risk(SCORE, answer)
        how = found.say("ask the patient, or compute it from a calcium scan")
        for name in answer.missing:
            found.lacks(SCORE.title_of(name), Unknown(found.say("it is not known")), how)
        return found.could_not_tell(found.say("the table of 2026 cannot be read with what is known"))
    action = str(answer.outputs["action"])
    found.risk(SCORE, answer, found.say(_ANSWERS[action]))
    found.apply(_RULES[action], True, said(found, seen))
    return _advised(found, seen, action, answer)


def _scored(found: Reasoning, seen: Calcium, risk: float) -> Answer:
    """Of a class the lowest score counts; the percentile is not computed here, and below 100 the table needs it."""
    ehr = found.case.ehr
    ldl = ehr.measurement(measurement_codes.LDL_CHOLESTEROL.name)
    inherited = condition_codes.FAMILIAL_HYPERCHOLESTEROLAEMIA.name
    return SCORE(
        {
            "prevent_ascvd10": risk,
            "agatston": _AT_LEAST[seen.level or 0] if seen.score is None else seen.score,
            "diabetes": stated(ehr.condition(condition_codes.DIABETES.name)),
            "current_smoker": smokes_now(ehr.smoking_status),
            "familial_hypercholesterolemia": stated(ehr.condition(inherited)),
            "ldl_ge_190": ldl.value.quantity.value >= 190 if isinstance(ldl, Known) else None,
            "strong_premature_family_history": stated(ehr.relative(_RELATIVE.name)),
        }
    )


def _advised(found: Reasoning, seen: Calcium, action: str, answer: Scored) -> Advice | NothingToSay:
    deferred = action == "defer_llt_repeat_cac_3_7y"
    if deferred:
        _repeat(found)
    else:
        _visit(found, answer)
    if action == "treat_as_very_high_cac":
        _cardiology(found)
    if not found.recommendations:
        return found.nothing("nothing is left to suggest: " + "; ".join(found.quiet))
    return found.advice(
        found.say(
            "Coronary calcium on {day} (AI), guideline of 2026: {said}.",
            day=found.case.study_date,
            said=said(found, seen),
        ),
        Indicator.INFO if deferred or seen.level == 1 else Indicator.WARNING,
        (seen.finding.key,),
        seen=(found.say("Calcium of the coronary arteries: {said}.", said=said(found, seen)),),
        limits=seen.by.limits,
    )


def _visit(found: Reasoning, answer: Scored) -> None:
    if ordered_already(found, actions.LIPID_VISIT):
        return
    goal = answer.outputs.get("ldl_goal")
    found.recommend(
        Recommendation(
            key="lipid-visit",
            action=found.say("Visit to discuss lipid treatment"),
            code=actions.LIPID_VISIT,
            reason=found.say("Goal for LDL cholesterol: below {goal} mg/dL.", goal=goal)
            if goal
            else found.say("No calcium, but a reason not to defer treatment."),
            source=ACC_AHA,
            because=because(found),
        )
    )


def _cardiology(found: Reasoning) -> None:
    if ordered_already(found, actions.CARDIOLOGY_REFERRAL):
        return
    found.recommend(
        Recommendation(
            key="cardiology",
            action=found.say("Referral to cardiology: extensive coronary calcium"),
            code=actions.CARDIOLOGY_REFERRAL,
            reason=found.say("The calcium score is 1000 or more."),
            source=ACC_AHA,
            because=because(found),
        )
    )


def _repeat(found: Reasoning) -> None:
    if ordered_already(found, actions.REPEAT_CALCIUM_SCORE):
        return
    found.recommend(
        Recommendation(
            key="repeat-calcium",
            action=found.say("Repeat CT for coronary calcium"),
            code=actions.REPEAT_CALCIUM_SCORE,
            reason=found.say("Without calcium and at this risk treatment may wait."),
            source=ACC_AHA,
            not_before=add_months(found.case.study_date, 36),
            by=add_months(found.case.study_date, 84),
            because=because(found),
        )
    )

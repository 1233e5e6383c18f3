"""What a low attenuation of L1 or a vertebral fracture calls for: metastasis ruled out, DXA, a review of treatment."""

from __future__ import annotations

from cds import action_codes as actions
from cds import condition_codes, measurement_codes, medication_codes, procedure_codes
from cds.domain.ehr import Known
from cds.domain.identity import Sex
from cds.domain.order import Priority
from cds.domain.recommendation import Case, Recommendation, Source
from cds.pathways._bedside import any_of
from cds.pathways._bone_trigger import ANDERSON, PICKHARDT, Trigger, hu, loss, published
from cds.pathways._facts import sex_lack
from cds.pathways._guards import age_on, asked_already, fresh, known, noted, recent, stated, taken
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways._undated import undated
from cds.pathways.declaration import Rule
from cds.risk import Answer, Scored
from cds.risk.orai import SCORE as ORAI
from cds.risk.ost import SCORE as OST

USPSTF = Source("USPSTF 2025, screening for osteoporosis", "https://doi.org/10.1001/jama.2024.27154")
ISCD = Source("ISCD 2023, official positions for adults", "https://iscd.org/official-positions-2023/")
#: "Clinical or subclinical vertebral fractures … are associated with a 5-fold increased risk for additional" ones.
BHOF = Source("BHOF 2022, prevention and treatment of osteoporosis", "https://doi.org/10.1007/s00198-021-05900-y")
ACR = Source(
    "ACR Appropriateness Criteria, management of vertebral compression fractures",
    "https://doi.org/10.1016/j.jacr.2014.04.011",
)

METASTASIS = Rule(
    "metastasis",
    "After a vertebral fracture with cancer, now or in the past, metastasis is ruled out urgently, before DXA.",
    ACR,
)
KNOWN = Rule("known", "Where osteoporosis is on record no DXA is suggested.")
TREATED = Rule("treated", "Where a drug for osteoporosis is taken no DXA is suggested.")
REVIEW = Rule(
    "review",
    "With osteoporosis known or treated a fracture with a loss of height of 25 % or more has the treatment reviewed.",
    BHOF,
)
MEASURED = Rule("dxa-done", "Where DXA was done within 24 months it is not suggested.")
ORDERED = Rule("dxa-ordered", "Where DXA is ordered it is not asked for again.")
WOMEN_65 = Rule("women-65", "In women of 65 years or more DXA is a grade B recommendation.", USPSTF)
YOUNGER = Rule(
    "postmenopausal",
    "After the menopause and below 65 years DXA is grade B with OST below 2 or ORAI of 9 or more.",
    USPSTF,
)
MEN = Rule("men", "In men DXA is left to the clinician's judgement.", USPSTF)
AFTER_FRACTURE = Rule("after-fracture", "After a vertebral fracture no grade of screening is given.", ISCD)
RULES = (METASTASIS, KNOWN, TREATED, REVIEW, MEASURED, ORDERED, WOMEN_65, YOUNGER, MEN, AFTER_FRACTURE)

_GRADE_B = "USPSTF grade B"
ASKS = (
    condition_codes.OSTEOPOROSIS,
    condition_codes.MENOPAUSE,
    medication_codes.OSTEOPOROSIS_DRUG,
    medication_codes.OESTROGEN,
    procedure_codes.DXA,
    measurement_codes.BODY_WEIGHT,
    condition_codes.CANCER,
    condition_codes.CANCER_HISTORY,
    condition_codes.BACK_PAIN,
    *(
        procedure_codes.ORDERED[one.code]
        for one in (actions.DXA, actions.RULE_OUT_METASTASIS, actions.OSTEOPOROSIS_REVIEW)
    ),
)


def metastasis(found: Reasoning, trigger: Trigger) -> bool | None:
    """Whether a fracture may be a metastasis, which no DXA tells: somebody has or had cancer; None where unknown."""
    if not trigger.broken:
        return False
    told = [known(found, one) for one in (condition_codes.CANCER, condition_codes.CANCER_HISTORY)]
    held = found.apply(METASTASIS, any_of(told))
    if held and not asked_already(found, actions.RULE_OUT_METASTASIS, urgent=True):
        _rule_out(found)
    return held


def _rule_out(found: Reasoning) -> None:
    pain = noted(
        found, found.case.ehr.symptom(condition_codes.BACK_PAIN.name), condition_codes.BACK_PAIN, "ask the patient"
    )
    found.recommend(
        Recommendation(
            key="metastasis",
            action=found.say("Rule out metastasis of the spine, as by MRI, before DXA"),
            code=actions.RULE_OUT_METASTASIS,
            reason=found.say("A vertebra is fractured, and cancer and back pain are on record.")
            if pain
            else found.say("A vertebra is fractured, and cancer is on record."),
            source=ACR,
            priority=Priority.URGENT,
            because=because(found),
            would_change=(
                found.say("Earlier images that show the same fracture."),
                found.say("Weakness, numbness or trouble with bladder or bowel: then it is an emergency."),
            ),
            acr_category=3,
        )
    )


def dxa(found: Reasoning, trigger: Trigger) -> str:
    """DXA, or a review of the treatment; why neither is suggested, empty where one is."""
    has = found.apply(KNOWN, known(found, condition_codes.OSTEOPOROSIS))
    takes = found.apply(TREATED, taken(found, medication_codes.OSTEOPOROSIS_DRUG))
    if has or takes:
        if found.apply(REVIEW, trigger.fracture is not None):
            _review(found)
        return "osteoporosis is on record" if has else "a drug for osteoporosis is on record"
    if found.apply(MEASURED, recent(found, procedure_codes.DXA, months=24)):
        return "DXA was done within 24 months"
    undated(found, procedure_codes.DXA)
    if found.apply(ORDERED, asked_already(found, actions.DXA)):
        return "DXA is ordered"
    if trigger.leads_to_dxa:
        _suggest_dxa(found, trigger)
    return ""


def _review(found: Reasoning) -> None:
    if asked_already(found, actions.OSTEOPOROSIS_REVIEW):
        return
    found.recommend(
        Recommendation(
            key="review",
            action=found.say("Review of the treatment of osteoporosis"),
            code=actions.OSTEOPOROSIS_REVIEW,
            reason=found.say("A vertebra is fractured although osteoporosis is known or treated."),
            source=BHOF,
            because=because(found),
            would_change=(found.say("Earlier images that show the same fracture before the treatment was chosen."),),
        )
    )


def _suggest_dxa(found: Reasoning, trigger: Trigger) -> None:
    strength, source = _strength(found, trigger)
    reason = _reason(found, trigger)
    first = found.say("{reason} Metastasis is ruled out first.", reason=reason)
    found.recommend(
        Recommendation(
            key="dxa",
            action=found.say("Bone density by DXA of hip and spine"),
            code=actions.DXA,
            reason=first if found.recommendations else reason,
            source=source,
            because=because(found),
            strength=strength,
            would_change=(
                found.say("Osteoporosis or its treatment that is known elsewhere, or a DXA of the last 24 months."),
                found.say("Another cause of the finding, such as a tumour or an accident."),
            ),
        )
    )


def _strength(found: Reasoning, trigger: Trigger) -> tuple[str, Source]:
    """The grade of screening and whose it is; the indices stand in the answer whatever they say."""
    case, age = found.case, age_of(found.case)
    sex = case.ehr.sex.value if isinstance(case.ehr.sex, Known) else None
    increased = _increased(found, age, sex)
    if found.apply(AFTER_FRACTURE, trigger.fracture is not None):
        return "", ISCD
    own = PICKHARDT if published(trigger) else ANDERSON
    if sex is Sex.MALE:
        found.apply(MEN, True)
        found.note(found.say("For screening in men the USPSTF found too little evidence (I statement)."))
        return "", own
    if sex is not Sex.FEMALE:
        found.missing += sex_lack(case)
        return "", own
    held = found.apply(WOMEN_65, True, str(age)) if age >= 65 else _postmenopausal(found, increased)
    return (_GRADE_B, USPSTF) if held else ("", own)


def _postmenopausal(found: Reasoning, increased: bool | None) -> bool | None:
    """Both have to be known; that nobody recorded the menopause does not say that it did not come."""
    fact = found.case.ehr.condition(condition_codes.MENOPAUSE.name)
    found.lacks(condition_codes.MENOPAUSE.title, fact, found.say("ask the patient"))
    if increased is False:
        return found.apply(YOUNGER, False)
    return found.apply(YOUNGER, True if stated(fact) and increased else None)


def _increased(found: Reasoning, age: int, sex: Sex | None) -> bool | None:
    """Whether OST or ORAI says that bone density should be measured in a woman."""
    weight = fresh(found, measurement_codes.BODY_WEIGHT, 12, "weigh the patient")
    ost = OST({"weight_kg": weight, "age": age})
    found.risk(OST, ost, f"{ost.number('ost'):.1f}" if isinstance(ost, Scored) else "")
    if sex is not Sex.FEMALE:
        return None
    oestrogen = taken(found, medication_codes.OESTROGEN)
    orai = ORAI({"age": age, "weight_kg": weight, "current_estrogen": oestrogen})
    found.risk(ORAI, orai, f"{orai.number('orai'):g}" if isinstance(orai, Scored) else "")
    return any_of((_flag(ost, "women_screen_lt2"), _flag(orai, "dxa")))


def _flag(answer: Answer, name: str) -> bool | None:
    return bool(answer.outputs[name]) if isinstance(answer, Scored) else None


def _reason(found: Reasoning, trigger: Trigger) -> str:
    if trigger.fracture is not None:
        return found.say("A vertebra has lost {loss} of its height.", loss=loss(trigger.fracture))
    low = "" if trigger.attenuation is None else hu(trigger.attenuation)
    return found.say("The attenuation of L1 is {hu}, which suggests a low bone density.", hu=low)


def age_of(case: Case) -> int:
    """Completed years on the day of the images, which `Need.AGE` has made sure of."""
    return age_on(case.ehr.birth_date, case.study_date) or 0

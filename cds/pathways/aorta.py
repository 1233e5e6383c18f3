"""Abdominal aorta: by its largest outer diameter, its growth and pain, the next imaging or vascular surgery.

Society for Vascular Surgery 2018 (Chaikof et al., J Vasc Surg 2018;67(1):2-77, doi:10.1016/j.jvs.2017.10.044):
intervals of surveillance, referral at first diagnosis, repair from 5.5 cm (women from 5.0 cm) and of a painful
aneurysm. Rapid growth: ACC/AHA 2022 (doi:10.1161/CIR.0000000000001106).
"""

from __future__ import annotations

from datetime import date

from cds import action_codes as actions
from cds import condition_codes, finding_codes, procedure_codes
from cds.domain.identity import Sex
from cds.domain.order import Priority
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.errors import InvalidInput
from cds.pathways import Option, Rule, pathway
from cds.pathways._aortic import diameter_cm, growth, largest, shown, told_growth
from cds.pathways._facts import Measured, add_months, values, where
from cds.pathways._guards import known
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import (
    because,
    binary_sex,
    done_since_images,
    lacks_sex,
    on_record,
    ordered_already,
    suffered,
    under_age,
    unmeasured,
)
from cds.pathways.declaration import number
from cds.risk import NotScored, Scored
from cds.risk.aaa_svs_2018 import SCORE

ID = "aorta"
TITLE = "Diameter of the abdominal aorta"
SVS = Source("SVS 2018, abdominal aortic aneurysm", "https://doi.org/10.1016/j.jvs.2017.10.044")
ACC_AHA = Source("ACC/AHA 2022, aortic disease", "https://doi.org/10.1161/CIR.0000000000001106")

NORMAL = Rule("normal", "An abdominal aorta of 2.5 cm or less needs no follow-up.")
RESCREEN = Rule("rescreen", "An abdominal aorta above 2.5 cm and below 3.0 cm is imaged again after 10 years.")
THREE_YEARS = Rule("three-years", "An abdominal aortic aneurysm of 3.0 to 3.9 cm is imaged again after 3 years.")
ONE_YEAR = Rule("one-year", "An abdominal aortic aneurysm of 4.0 to 4.9 cm is imaged again after 12 months.")
SIX_MONTHS = Rule("six-months", "An abdominal aortic aneurysm of 5.0 to 5.4 cm in men is imaged again after 6 months.")
REPAIR = Rule("repair", "An abdominal aortic aneurysm of 5.5 cm or more is referred to vascular surgery.")
WOMEN = Rule("women", "In women an abdominal aortic aneurysm of 5.0 to 5.4 cm is referred to consider repair.")
SEX = Rule("sex", "At 5.0 to 5.4 cm without a known sex the pathway cannot tell which rule holds.")
FIRST = Rule(
    "first-diagnosis", "An abdominal aortic aneurysm of 3.0 cm or more that is not on record is referred once."
)
PAIN = Rule(
    "pain",
    "An aneurysm of 3.0 cm or more with recent abdominal or back pain is told to a surgeon at once.",
)
GROWTH = Rule(
    "growth",
    "An aneurysm that grew by 1.0 cm in a year or by 0.5 cm in 6 months is referred to vascular surgery.",
    source=ACC_AHA,
)
ADULTS = Rule("adults", "Below 18 years the pathway is silent.")
REPAIRED = Rule("repaired", "After repair of the aorta the pathway is silent.")
UNDER_SURVEILLANCE = Rule("under-surveillance", "Where imaging of the aorta is ordered it is not asked for again.")
IMAGED_SINCE = Rule("imaged-since", "Where the aorta was imaged again since, imaging is not asked for again.")
REFERRED = Rule("referred", "Where a referral to vascular surgery is open it is not asked for again.")

PAIN_DAYS = Option("pain_days", "Pain counts from so many days before the images on", "14", unit="d", low=1, high=90)

#: What SVS 2018 says by the score's answer: the rule, and after how many months the next imaging is due.
_INTERVALS = {
    "rescreen_10y": (RESCREEN, 120),
    "us_3y": (THREE_YEARS, 36),
    "us_12mo": (ONE_YEAR, 12),
    "us_6mo": (SIX_MONTHS, 6),
}
_SURGERY = {"vascular_surgery_repair": REPAIR, "vascular_surgery_consider_repair": WOMEN}
#: From this diameter on the aorta is called an aneurysm.
_ANEURYSM_CM = 3.0
LIMITS = (
    "A diameter on axial images can be too large where the aorta runs obliquely.",
    "The intervals are for fusiform aneurysms; a saccular one is referred whatever its size.",
    "Whether pain comes from the aneurysm is for whoever examines the patient.",
)
#: Half a year, for growth of half a centimetre in it.
_HALF_YEAR_DAYS = 183


@pathway(
    id=ID,
    title=TITLE,
    source=SVS,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    reads=(finding_codes.ABDOMINAL_AORTA,),
    asks=(
        condition_codes.AORTIC_ANEURYSM,
        condition_codes.ABDOMINAL_PAIN,
        condition_codes.BACK_PAIN,
        procedure_codes.AORTIC_REPAIR,
        procedure_codes.AORTIC_IMAGING,
        procedure_codes.ORDERED[actions.AORTIC_SURVEILLANCE.code],
        procedure_codes.ORDERED[actions.VASCULAR_SURGERY_REFERRAL.code],
    ),
    rules=(
        NORMAL,
        RESCREEN,
        THREE_YEARS,
        ONE_YEAR,
        SIX_MONTHS,
        REPAIR,
        WOMEN,
        SEX,
        FIRST,
        PAIN,
        GROWTH,
        ADULTS,
        REPAIRED,
        UNDER_SURVEILLANCE,
        IMAGED_SINCE,
        REFERRED,
    ),
    options=(PAIN_DAYS,),
    scores=(SCORE.id,),
    further=(ACC_AHA,),
    limits=LIMITS,
)
def aorta(case: Case) -> PathwayOutcome:
    """Advise on the largest diameter of the abdominal aorta."""
    found = Reasoning(ID, TITLE, SVS, case)
    widest = largest(values(case, finding_codes.ABDOMINAL_AORTA))
    if widest is None:
        what = found.say("diameter of the abdominal aorta")
        if unmeasured(found, what, finding_codes.ABDOMINAL_AORTA):
            return found.could_not_tell(found.say("the abdominal aorta was not measured"))
        return found.nothing("no diameter of the abdominal aorta was measured on this study")
    if found.apply(ADULTS, under_age(found)):
        return found.nothing("the patient is a child")
    diameter = diameter_cm(widest)
    found.measured(found.say("diameter of the abdominal aorta"), shown(diameter), where(case, widest))
    action = _scored(found, diameter)
    if action == "none":
        found.apply(NORMAL, True, shown(diameter))
        return found.nothing("the abdominal aorta is not dilated")
    repaired = on_record(found, procedure_codes.AORTIC_REPAIR, found.say("look in the record, or ask the patient"))
    if found.apply(REPAIRED, repaired):
        return found.nothing("repair of the aorta is on record")
    return _answered(found, widest, action)


def _scored(found: Reasoning, diameter: float) -> str:
    """What the score says; "" where the sex decides and is not known. It is a value used where it decides."""
    told, sex = binary_sex(found), found.case.ehr.sex
    if told and 5.0 <= diameter < 5.5:
        found.use(found.say("sex"), sex, lambda one: found.say("female") if one is Sex.FEMALE else found.say("male"))
    answer = SCORE({"diameter_cm": diameter, "sex": told})
    if isinstance(answer, NotScored) and answer.out_of_range:
        raise InvalidInput("want a diameter of the abdominal aorta from 0.5 to 20 cm")
    action = str(answer.outputs["action"]) if isinstance(answer, Scored) else ""
    found.risk(SCORE, answer, action)
    return action


def _answered(found: Reasoning, widest: Measured, action: str) -> PathwayOutcome:
    """Pain first, then growth and size: one call or referral, or the interval."""
    diameter = diameter_cm(widest)
    on_problem_list = known(found, condition_codes.AORTIC_ANEURYSM, found.say("look at the problem list"))
    painful, growing = _painful(found, diameter), _growing(found, widest)
    if action in _SURGERY:
        found.apply(_SURGERY[action], True, shown(diameter))
    if painful:
        _call(found, diameter)
    elif growing or action in _SURGERY:
        _surgery(found, diameter, action)
    elif action in _INTERVALS:
        _surveillance(found, diameter, action)
        _first_diagnosis(found, diameter, on_problem_list)
    else:
        found.apply(SEX, True)
        lacks_sex(found)
        return found.could_not_tell(found.say("between 5.0 and 5.4 cm the next step depends on the sex"))
    if not found.recommendations and not found.missing:
        return found.nothing("nothing is left to suggest: " + "; ".join(found.quiet))
    urgent = Indicator.WARNING if growing or action in _SURGERY else Indicator.INFO
    return found.advice(
        found.say("Abdominal aorta {said} on {day} (AI).", said=shown(diameter), day=found.case.study_date),
        Indicator.CRITICAL if painful else urgent,
        (widest.finding.key,),
        seen=(
            found.say("Largest diameter of the abdominal aorta: {said}.", said=shown(diameter)),
            told_growth(found, widest),
        ),
        meaning=_meaning(found, diameter, on_problem_list),
        limits=(*widest.by.limits, *map(found.say, LIMITS)),
        further=(ACC_AHA,),
    )


def _meaning(found: Reasoning, diameter: float, on_problem_list: bool | None) -> tuple[str, ...]:
    if diameter < _ANEURYSM_CM:
        return (found.say("It is wider than usual, and no aneurysm: that is called so from 3.0 cm on."),)
    if on_problem_list:
        return (found.say("An aortic aneurysm is on record: compare with its earlier diameters."),)
    return (found.say("An aneurysm of the abdominal aorta, if a radiologist confirms the diameter."),)


def _painful(found: Reasoning, diameter: float) -> bool | None:
    if diameter < _ANEURYSM_CM:
        return False
    days = number(found.case, ID, PAIN_DAYS)
    pain = suffered(found, (condition_codes.ABDOMINAL_PAIN, condition_codes.BACK_PAIN), days)
    return found.apply(PAIN, pain, shown(diameter))


def _growing(found: Reasoning, widest: Measured) -> bool | None:
    """Growth counts where it is beyond the error of the measurement, and nobody can tell where that is not known."""
    grown = growth(widest)
    if diameter_cm(widest) < _ANEURYSM_CM or grown is None:
        return found.apply(GROWTH, None if grown is None else False)
    enough = grown.at_least(1.0) or (grown.centimetres >= 0.5 and grown.days <= _HALF_YEAR_DAYS)
    held = grown.beyond_error if enough else False
    return found.apply(GROWTH, held, f"{grown.centimetres:+.2f} cm, {grown.days} d")


def _call(found: Reasoning, diameter: float) -> None:
    """An open referral does not stop it: nobody who asked for one knew that it cannot wait."""
    found.recommend(
        Recommendation(
            key="vascular-surgery-now",
            action=found.say("Call vascular surgery now: painful abdominal aortic aneurysm"),
            code=actions.VASCULAR_SURGERY_REFERRAL,
            reason=found.say("The abdominal aorta measures {said}, and pain is on record.", said=shown(diameter)),
            source=SVS,
            strength=found.say("strong recommendation, low-quality evidence"),
            priority=Priority.STAT,
            by=found.case.today,
            because=because(found),
            acr_category=1,
            would_change=(found.say("Another cause of the pain, found by whoever examines the patient."),),
        )
    )


def _surgery(found: Reasoning, diameter: float, action: str) -> None:
    if found.apply(REFERRED, ordered_already(found, actions.VASCULAR_SURGERY_REFERRAL)):
        return
    reason = (
        found.say("The abdominal aorta measures {said}.", said=shown(diameter))
        if action in _SURGERY
        else found.say("The abdominal aorta measures {said} and grows fast.", said=shown(diameter))
    )
    found.recommend(
        Recommendation(
            key="vascular-surgery",
            action=found.say("Referral to vascular surgery"),
            code=actions.VASCULAR_SURGERY_REFERRAL,
            reason=reason,
            source=SVS if action in _SURGERY else ACC_AHA,
            strength=_strength(found, action) if action in _SURGERY else "",
            priority=Priority.URGENT,
            because=because(found),
            would_change=(
                found.say("A smaller diameter when a radiologist measures it."),
                found.say("Abdominal or back pain: then it cannot wait."),
            ),
        )
    )


def _strength(found: Reasoning, action: str) -> str:
    """The grade that SVS 2018 gives, as far as it was seen."""
    if action == "vascular_surgery_repair":
        return found.say("strong recommendation, high-quality evidence")
    if action == "vascular_surgery_consider_repair":
        return found.say("weak recommendation, moderate-quality evidence")
    if action == "us_6mo":
        return found.say("weak recommendation")
    return found.say("weak recommendation, low-quality evidence")


def _surveillance(found: Reasoning, diameter: float, action: str) -> None:
    rule, months = _INTERVALS[action]
    found.apply(rule, True, shown(diameter))
    if found.apply(UNDER_SURVEILLANCE, ordered_already(found, actions.AORTIC_SURVEILLANCE)):
        return
    if found.apply(IMAGED_SINCE, done_since_images(found, procedure_codes.AORTIC_IMAGING)):
        found.note(found.say("The aorta was imaged again since: go by that."), "the aorta was imaged again since")
        return
    due = max(add_months(found.case.study_date, months), found.case.today)
    found.recommend(
        Recommendation(
            key="surveillance",
            action=found.say("Ultrasound of the abdominal aorta"),
            code=actions.AORTIC_SURVEILLANCE,
            reason=found.say("The abdominal aorta measures {said}.", said=shown(diameter)),
            source=SVS,
            strength=_strength(found, action),
            by=due,
            because=because(found),
            would_change=(
                found.say("Growth since an earlier study, by 1.0 cm in a year or 0.5 cm in 6 months."),
                found.say("Abdominal or back pain: then it cannot wait."),
            ),
        )
    )


def _first_diagnosis(found: Reasoning, diameter: float, on_problem_list: bool | None) -> None:
    """Who is not known to have an aneurysm is referred once; a problem list that nobody could read says nothing."""
    if not found.apply(FIRST, diameter >= _ANEURYSM_CM and on_problem_list is not True, shown(diameter)):
        return
    if found.apply(REFERRED, ordered_already(found, actions.VASCULAR_SURGERY_REFERRAL)):
        return
    found.recommend(
        Recommendation(
            key="first-referral",
            action=found.say("Referral to vascular surgery: first diagnosis"),
            code=actions.VASCULAR_SURGERY_REFERRAL,
            reason=found.say("No aortic aneurysm is known of in the record."),
            source=SVS,
            strength=found.say("good practice, not graded"),
            because=because(found),
            would_change=(found.say("A vascular surgeon knows the patient already."),),
        )
    )

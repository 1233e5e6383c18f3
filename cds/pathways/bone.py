"""Low vertebral attenuation or a vertebral fracture on images made for another reason: bone density by DXA.

Pickhardt et al., Ann Intern Med 2013;158:588-595, doi:10.7326/0003-4819-158-8-201304160-00003: an L1 attenuation of
110 HU or less is more than 90 % specific for osteoporosis. USPSTF, doi:10.1001/jama.2024.27154: who is screened.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, medication_codes, procedure_codes, units
from cds.codes import SNOMED, ValueSet
from cds.domain.coding import Quantity
from cds.domain.ehr import Known
from cds.domain.finding import Finding, Presence, kind_of
from cds.domain.identity import Sex
from cds.domain.recommendation import (
    Case,
    CouldNotTell,
    Indicator,
    NothingToSay,
    PathwayOutcome,
    Recommendation,
    Source,
)
from cds.pathways import Need, Option, Rule, pathway
from cds.pathways._bedside import any_of, because
from cds.pathways._facts import Measured, Missing, Seen, findings, refused, sex_lack, values, where
from cds.pathways._guards import age_on, asked_already, fresh, known, recent, stated, taken
from cds.pathways._reasoning import Reasoning
from cds.pathways.declaration import number
from cds.risk import Answer, Scored
from cds.risk.l1_hu import SCORE as L1_HU
from cds.risk.orai import SCORE as ORAI
from cds.risk.ost import SCORE as OST

ID = "bone"
TITLE = "Bone density after CT or a vertebral fracture"
PICKHARDT = Source(
    "Pickhardt 2013, vertebral attenuation on CT", "https://doi.org/10.7326/0003-4819-158-8-201304160-00003"
)
USPSTF = Source("USPSTF 2025, screening for osteoporosis", "https://doi.org/10.1001/jama.2024.27154")
ISCD = Source("ISCD 2023, official positions for adults", "https://iscd.org/official-positions-2023/")
#: Grade 2 is a loss of height of 25 to 40 %, grade 3 of more (Genant 1993, as quoted there).
GENANT = Source("Grades of vertebral fracture (Genant), QIMS 2019", "https://doi.org/10.21037/qims.2019.02.04")
#: Below 135 HU in L1 there is a risk of osteoporosis.
ANDERSON = Source(
    "Anderson 2018, opportunistic CT for osteoporosis (J Bone Joint Surg Am 100:2073)",
    "https://experts.umn.edu/en/publications/clinical-use-of-opportunistic-computed-tomography-screening-for-o",
)

LOW = Rule("low-attenuation", "An L1 attenuation of 110 HU or less at 120 kV leads to DXA.", PICKHARDT)
THRESHOLD = Rule("site-threshold", "A site may set the threshold of L1 attenuation from 100 to 135 HU.", ANDERSON)
BETWEEN = Rule(
    "between", "An L1 attenuation above the threshold and up to 160 HU is noted and leads to no step.", PICKHARDT
)
OTHER_LEVEL = Rule("level", "Only the attenuation of L1 is compared with the threshold.", PICKHARDT)
VOLTAGE = Rule("voltage", "An attenuation that was not measured at 120 kV is not compared.", PICKHARDT)
FRACTURE = Rule("fracture", "A vertebral fracture with a loss of height of 25 % or more leads to DXA.", GENANT)
ADULTS = Rule("adults", "The pathway is for adults of 18 years or more.")
KNOWN = Rule("known", "Where osteoporosis is on record the pathway is silent.")
TREATED = Rule("treated", "Where a drug for osteoporosis is taken the pathway is silent.")
MEASURED = Rule("dxa-done", "Where DXA was done within 24 months the pathway is silent.")
ORDERED = Rule("dxa-ordered", "Where DXA is ordered it is not asked for again.")
WOMEN_65 = Rule("women-65", "In women of 65 years or more DXA is a grade B recommendation.", USPSTF)
YOUNGER = Rule(
    "postmenopausal",
    "After the menopause and below 65 years DXA is grade B with OST below 2 or ORAI of 9 or more.",
    USPSTF,
)
MEN = Rule("men", "In men DXA is left to the clinician's judgement.", USPSTF)
AFTER_FRACTURE = Rule("after-fracture", "After a vertebral fracture no grade of screening is given.", ISCD)

L1_THRESHOLD = Option("l1_threshold_hu", "L1 attenuation up to which DXA is suggested", "110", "HU", 100, 135)
_GRADE_B = "USPSTF grade B"
_INDETERMINATE_HU = 160
_L1_BODY_SITE = (SNOMED, "66794005")
_HOW_LOOK = "look at the images, or ask the radiologist"

_LIMITS = (
    "The attenuation of CT is no bone density: it diagnoses no osteoporosis and excludes none.",
    "A vertebra can lose height by an accident, a tumour or from birth: the images do not tell which.",
)
_ASKS: tuple[ValueSet, ...] = (
    condition_codes.OSTEOPOROSIS,
    condition_codes.MENOPAUSE,
    medication_codes.OSTEOPOROSIS_DRUG,
    medication_codes.OESTROGEN,
    procedure_codes.DXA,
    measurement_codes.BODY_WEIGHT,
    procedure_codes.ORDERED[actions.DXA.code],
)


@dataclass(frozen=True, slots=True)
class _Trigger:
    """What leads to DXA: the lowest attenuation of L1 and the highest loss of height, where they do."""

    attenuation: Measured | None = None
    fracture: Measured | None = None

    @property
    def measured(self) -> tuple[Measured, ...]:
        """Both, the fracture first."""
        return tuple(one for one in (self.fracture, self.attenuation) if one is not None)


@pathway(
    id=ID,
    title=TITLE,
    source=PICKHARDT,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    reads=(finding_codes.VERTEBRAL_ATTENUATION, finding_codes.VERTEBRAL_FRACTURE),
    needs=(Need.AGE,),
    asks=_ASKS,
    rules=(
        LOW,
        THRESHOLD,
        BETWEEN,
        OTHER_LEVEL,
        VOLTAGE,
        FRACTURE,
        ADULTS,
        KNOWN,
        TREATED,
        MEASURED,
        ORDERED,
        WOMEN_65,
        YOUNGER,
        MEN,
        AFTER_FRACTURE,
    ),
    options=(L1_THRESHOLD,),
    scores=(L1_HU.id, OST.id, ORAI.id),
    further=(USPSTF, ISCD, GENANT, ANDERSON),
    limits=_LIMITS,
)
def bone(case: Case) -> PathwayOutcome:
    """Advise on DXA after a low attenuation of L1 or a vertebral fracture of moderate or severe grade."""
    found = Reasoning(ID, TITLE, PICKHARDT, case)
    trigger = _trigger(found)
    if not isinstance(trigger, _Trigger):
        return trigger
    if reason := _silent(found):
        return found.nothing(reason)
    return _advised(found, trigger)


# --- trigger ---------------------------------------------------------------------------------------------------------


def _trigger(found: Reasoning) -> _Trigger | NothingToSay | CouldNotTell:
    attenuations = list(values(found.case, finding_codes.VERTEBRAL_ATTENUATION))
    fractures = list(findings(found.case, finding_codes.VERTEBRAL_FRACTURE))
    refusals = refused(found.case, finding_codes.VERTEBRAL_ATTENUATION, finding_codes.VERTEBRAL_FRACTURE)
    if not attenuations and not fractures and not refusals:
        return found.nothing("no vertebral attenuation and no vertebral fracture was looked for on this study")
    low, lowest = _attenuation(found, attenuations)
    broken, worst = _fracture(found, [one for one in fractures if one.present or one.finding.value is not None])
    if low or broken:
        return _Trigger(lowest if low else None, worst if broken else None)
    if refusals:
        why = "; ".join(refusals)
        found.missing.append(Missing(found.say("attenuation or height of a vertebra"), why, found.say(_HOW_LOOK)))
    if low is None or broken is None or refusals:
        return found.could_not_tell(found.say("the attenuation of L1 or the loss of height is not known"))
    return found.nothing("no low attenuation of L1 and no moderate vertebral fracture; that excludes no osteoporosis")


def _attenuation(found: Reasoning, measured: list[Measured]) -> tuple[bool | None, Measured | None]:
    """Whether L1 is low; None where it was not L1 that was measured, or not at 120 kV."""
    if not measured:
        return False, None
    of_l1 = [one for one in measured if _is_l1(one.finding)]
    if not found.apply(OTHER_LEVEL, bool(of_l1)):
        why = found.say("another vertebra was measured, which has other values")
        found.missing.append(Missing(found.say("attenuation of L1"), why, found.say(_HOW_LOOK)))
        return None, None
    lowest = min(of_l1, key=lambda one: (_hounsfield(one), one.finding.key, one.by.model))
    kilovolts = _kilovolts(lowest.finding)
    if not found.apply(VOLTAGE, None if kilovolts is None else kilovolts == 120):
        why = found.say("it is not stated") if kilovolts is None else found.say("it was not 120 kV")
        found.missing.append(Missing(found.say("tube voltage"), why, found.say("look at the header of the images")))
        return None, None
    return _compared(found, lowest), lowest


def _compared(found: Reasoning, lowest: Measured) -> bool:
    threshold, value = number(found.case, ID, L1_THRESHOLD), _hounsfield(lowest)
    found.measured(found.say("attenuation of L1"), _hu(lowest), where(found.case, lowest))
    said = f"{_hu(lowest)}, {threshold:g} HU"
    found.apply(THRESHOLD, threshold != 110, f"{threshold:g} HU")
    held = bool(found.apply(LOW, value <= threshold, said))
    found.apply(BETWEEN, threshold < value <= _INDETERMINATE_HU, said)
    answer = L1_HU({"l1_trabecular_hu": value, "kvp": 120})
    found.risk(L1_HU, answer, str(answer.outputs["band"]) if isinstance(answer, Scored) else "")
    return held


def _fracture(found: Reasoning, fractures: list[Seen]) -> tuple[bool | None, Measured | None]:
    """Whether the worst vertebral fracture is moderate or severe; None where no loss of height is known."""
    if not fractures:
        return False, None
    graded = [Measured(one.finding, one.finding.value, one.by) for one in fractures if one.finding.value is not None]
    worst = max(graded, key=lambda one: (_percent(one), one.finding.key, one.by.model), default=None)
    if worst is not None and found.apply(FRACTURE, _percent(worst) >= 25, _loss(worst)):
        found.measured(found.say("loss of vertebral height"), _loss(worst), where(found.case, worst))
        return True, worst
    if len(graded) == len(fractures):
        return False, worst
    found.apply(FRACTURE, None)
    why = found.say("a vertebral fracture was found, and its grade was not given")
    found.missing.append(Missing(found.say("loss of vertebral height"), why, found.say(_HOW_LOOK)))
    return None, None


def _is_l1(finding: Finding) -> bool:
    if kind_of(finding.key) == "l1_attenuation":
        return True
    site = finding.body_site
    return site is not None and (site.system, site.code) == _L1_BODY_SITE and finding.presence is Presence.MEASURED


def _kilovolts(finding: Finding) -> float | None:
    """The tube voltage as the model's gate says it ("tube voltage: 120 kV"); None where it does not."""
    told = next((gate.partition(": ")[2] for gate in finding.gates if gate.startswith("tube voltage: ")), "")
    text = told.removesuffix(" kV")
    return float(text) if text.isdecimal() else None


def _hounsfield(measured: Measured) -> float:
    return units.convert(measured.value, "[hnsf'U]").value


def _percent(measured: Measured) -> float:
    return units.convert(measured.value, "%").value


def _hu(measured: Measured) -> str:
    return f"{Quantity(_hounsfield(measured), '').digits} HU"


def _loss(measured: Measured) -> str:
    return f"{Quantity(_percent(measured), '').digits} %"


# --- guards ----------------------------------------------------------------------------------------------------------


def _silent(found: Reasoning) -> str:
    """Why nothing is suggested to this patient; empty where nothing speaks against it."""
    age = _age(found.case)
    if not found.apply(ADULTS, age >= 18, str(age)):
        return "the pathway is for adults"
    if found.apply(KNOWN, known(found, condition_codes.OSTEOPOROSIS)):
        return "osteoporosis is on record"
    if found.apply(TREATED, taken(found, medication_codes.OSTEOPOROSIS_DRUG)):
        return "a drug for osteoporosis is on record"
    if found.apply(MEASURED, recent(found, procedure_codes.DXA, months=24)):
        return "DXA was done within 24 months"
    if found.apply(ORDERED, asked_already(found, actions.DXA)):
        return "DXA is ordered"
    return ""


def _age(case: Case) -> int:
    """Completed years on the day of the images, which `Need.AGE` has made sure of."""
    return age_on(case.ehr.birth_date, case.study_date) or 0


# --- the card --------------------------------------------------------------------------------------------------------


def _advised(found: Reasoning, trigger: _Trigger) -> PathwayOutcome:
    strength, source = _strength(found, fractured=trigger.fracture is not None)
    found.recommend(
        Recommendation(
            key="dxa",
            action=found.say("Bone density by DXA of hip and spine"),
            code=actions.DXA,
            reason=_reason(found, trigger),
            source=source,
            because=because(found),
            strength=strength,
            would_change=(
                found.say("Osteoporosis or its treatment that is known elsewhere, or a DXA of the last 24 months."),
                found.say("Another cause of the finding, such as a tumour or an accident."),
            ),
        )
    )
    return found.advice(
        _summary(found, trigger),
        Indicator.WARNING if trigger.fracture else Indicator.INFO,
        tuple(one.finding.key for one in trigger.measured),
        seen=_seen(found, trigger),
        meaning=_meaning(found, trigger),
        limits=(*dict.fromkeys(limit for one in trigger.measured for limit in one.by.limits), *map(found.say, _LIMITS)),
        further=(USPSTF, ISCD) if trigger.fracture is None else (GENANT, ISCD),
    )


def _strength(found: Reasoning, *, fractured: bool) -> tuple[str, Source]:
    """The grade of screening and whose it is; the indices stand in the answer whatever they say."""
    case, age = found.case, _age(found.case)
    sex = case.ehr.sex.value if isinstance(case.ehr.sex, Known) else None
    increased = _increased(found, age, sex)
    if found.apply(AFTER_FRACTURE, fractured):
        return "", ISCD
    if sex is Sex.MALE:
        found.apply(MEN, True)
        found.note(found.say("For screening in men the USPSTF found too little evidence (I statement)."))
        return "", PICKHARDT
    if sex is not Sex.FEMALE:
        found.missing += sex_lack(case)
        return "", PICKHARDT
    held = found.apply(WOMEN_65, True, str(age)) if age >= 65 else _postmenopausal(found, increased)
    return (_GRADE_B, USPSTF) if held else ("", PICKHARDT)


def _postmenopausal(found: Reasoning, increased: bool | None) -> bool | None:
    """Both have to be known; that nobody recorded the menopause does not say that it did not come."""
    fact = found.case.ehr.condition(condition_codes.MENOPAUSE.name)
    found.lacks(condition_codes.MENOPAUSE.title, fact, found.say("ask the patient"))
    if increased is False:
        return found.apply(YOUNGER, False)
    return found.apply(YOUNGER, True if stated(fact) and increased else None)


def _increased(found: Reasoning, age: int, sex: Sex | None) -> bool | None:
    """Whether OST or ORAI says that bone density should be measured in a woman."""
    weight = fresh(found, measurement_codes.BODY_WEIGHT, 12, found.say("weigh the patient"))
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


def _summary(found: Reasoning, trigger: _Trigger) -> str:
    case = found.case
    if trigger.fracture is not None:
        text = "Vertebral fracture on {modality} {day} (AI, height loss {loss}). To consider: DXA"
        return found.say(text, modality=case.modality, day=case.study_date, loss=_loss(trigger.fracture))
    text = "Low vertebral attenuation on {modality} {day} (AI, L1 {hu}). To consider: DXA"
    return found.say(text, modality=case.modality, day=case.study_date, hu=_hu(trigger.measured[0]))


def _reason(found: Reasoning, trigger: _Trigger) -> str:
    if trigger.fracture is not None:
        return found.say("A vertebra has lost {loss} of its height.", loss=_loss(trigger.fracture))
    return found.say("The attenuation of L1 is {hu}, which suggests a low bone density.", hu=_hu(trigger.measured[0]))


def _seen(found: Reasoning, trigger: _Trigger) -> tuple[str, ...]:
    told = []
    if trigger.fracture is not None:
        told.append(found.say("Vertebral fracture with a loss of height of {loss}.", loss=_loss(trigger.fracture)))
    if trigger.attenuation is not None:
        told.append(found.say("Attenuation of the trabecular bone of L1: {hu}.", hu=_hu(trigger.attenuation)))
    notes = (one.finding.note for one in trigger.measured if one.finding.note)
    return (*told, *notes)


def _meaning(found: Reasoning, trigger: _Trigger) -> tuple[str, ...]:
    told = []
    if trigger.fracture is not None:
        told.append(
            found.say("A fragility fracture is a reason for DXA in adults; whether it is one the clinician decides.")
        )
    if trigger.attenuation is not None:
        told.append(found.say("At 110 HU or less osteoporosis by DXA was found with a specificity above 90 %."))
    return tuple(told)

"""Abdominal aorta: by its largest outer diameter, its growth and pain, the next imaging or vascular surgery.

Society for Vascular Surgery 2018 (Chaikof et al., J Vasc Surg 2018;67(1):2-77, doi:10.1016/j.jvs.2017.10.044):
intervals of surveillance, referral at first diagnosis, repair from 5.5 cm (women from 5.0 cm) and of a painful
aneurysm. Rapid growth: ACC/AHA 2022 (doi:10.1161/CIR.0000000000001106).
"""

from __future__ import annotations

from datetime import date

from cds import action_codes as actions
from cds import condition_codes, finding_codes, procedure_codes
from cds.domain.ehr import Known
from cds.domain.identity import Sex
from cds.domain.order import Priority
from cds.domain.recommendation import Case, CouldNotTell, Indicator, NothingToSay, PathwayOutcome
from cds.errors import InvalidInput
from cds.pathways import Option, Rule, pathway
from cds.pathways import _aorta_steps as steps
from cds.pathways._aorta_steps import ACC_AHA, ANEURYSM_CM, SVS, Aneurysm
from cds.pathways._aortic import (
    Growth,
    compare,
    diameter_cm,
    growth,
    in_palliative_care,
    largest,
    palliative_said,
    shown,
    told_growth,
)
from cds.pathways._facts import Measured, Missing, values, where
from cds.pathways._guards import PALLIATIVE, known
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import binary_sex, on_record, suffered, under_age, unmeasured
from cds.pathways.declaration import number
from cds.risk import NotScored, Scored
from cds.risk.aaa_svs_2018 import SCORE

ID = "aorta"
TITLE = "Diameter of the abdominal aorta"

NORMAL = Rule("normal", "An abdominal aorta of 2.5 cm or less needs no follow-up.")
REPAIR = Rule("repair", "An abdominal aortic aneurysm of 5.5 cm or more is referred to vascular surgery.")
WOMEN = Rule("women", "In women an abdominal aortic aneurysm of 5.0 to 5.4 cm is referred to consider repair.")
PAIN = Rule(
    "pain",
    "With recent abdominal or back pain an aneurysm from 5.0 cm on, or that grows, is told to a surgeon at once.",
)
SMALL_PAIN = Rule(
    "small-pain", "With recent abdominal or back pain an aneurysm of 3.0 to 4.9 cm is examined the same day."
)
GROWTH = Rule(
    "growth",
    "An aneurysm that grew by 1.0 cm in a year or by 0.5 cm in 6 months is referred to vascular surgery.",
    source=ACC_AHA,
)
MAY_GROW = Rule(
    "may-grow",
    "Such growth of unknown error is compared by a radiologist, urgently if twice the limit in all or per year.",
    source=ACC_AHA,
)
ADULTS = Rule("adults", "Below 18 years the pathway is silent.")
REPAIRED = Rule("repaired", "After repair of the aorta the pathway is silent below 5.5 cm without pain and growth.")
IN_PALLIATIVE_CARE = Rule("palliative", "In palliative care a painful aneurysm is told, and nothing else.")

PAIN_DAYS = Option("pain_days", "Pain counts for so many days", "14", unit="d", low=1, high=30)

_SURGERY = {"vascular_surgery_repair": REPAIR, "vascular_surgery_consider_repair": WOMEN}
_REPAIR_CM = 5.5
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
    version="1.1.0",
    reviewed=date(2026, 11, 22),
    reads=(finding_codes.ABDOMINAL_AORTA,),
    asks=(
        condition_codes.ABDOMINAL_AORTIC_ANEURYSM,
        condition_codes.AORTIC_ANEURYSM,
        condition_codes.ABDOMINAL_PAIN,
        condition_codes.BACK_PAIN,
        PALLIATIVE,
        procedure_codes.AORTIC_REPAIR,
        procedure_codes.ABDOMINAL_AORTA_IMAGING,
        procedure_codes.ORDERED[actions.AORTIC_SURVEILLANCE.code],
        procedure_codes.ORDERED[actions.VASCULAR_SURGERY_REFERRAL.code],
        procedure_codes.ORDERED[actions.ANEURYSM_EXAMINATION.code],
        procedure_codes.ORDERED[actions.COMPARE_STUDIES.code],
    ),
    rules=(
        NORMAL,
        steps.RESCREEN,
        steps.THREE_YEARS,
        steps.ONE_YEAR,
        steps.SIX_MONTHS,
        REPAIR,
        WOMEN,
        steps.SEX,
        steps.FIRST,
        steps.PLACELESS,
        PAIN,
        SMALL_PAIN,
        GROWTH,
        MAY_GROW,
        ADULTS,
        REPAIRED,
        IN_PALLIATIVE_CARE,
        steps.WINDOW,
        steps.OVERDUE,
        steps.UNDER_SURVEILLANCE,
        steps.IMAGED_SINCE,
        steps.REFERRED,
    ),
    options=(PAIN_DAYS,),
    scores=(SCORE.id,),
    further=(ACC_AHA,),
    limits=LIMITS,
    languages=("de",),
    urgent=True,
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
    seen = _aneurysm(found, widest, action)
    return _untold(found, seen) or _answered(found, seen)


def _scored(found: Reasoning, diameter: float) -> str:
    """What the score says; "" where the sex decides and is not known. It is a value used where it decides."""
    told, sex = binary_sex(found), found.case.ehr.sex
    if told and steps.LARGE_CM <= diameter < _REPAIR_CM:
        found.use(found.say("sex"), sex, lambda one: found.say("female") if one is Sex.FEMALE else found.say("male"))
    answer = SCORE({"diameter_cm": diameter, "sex": told})
    if isinstance(answer, NotScored) and answer.out_of_range:
        raise InvalidInput("want a diameter of the abdominal aorta from 0.5 to 20 cm")
    action = str(answer.outputs["action"]) if isinstance(answer, Scored) else ""
    found.risk(SCORE, answer, steps.answer_said(found, action))
    return action


def _aneurysm(found: Reasoning, widest: Measured, action: str) -> Aneurysm:
    """What is known of it; an aneurysm whose part of the aorta is not stated is neither this one nor another."""
    on_problem_list = known(found, condition_codes.ABDOMINAL_AORTIC_ANEURYSM)
    placeless = on_problem_list is not True and _placeless(found)
    repaired = on_record(found, procedure_codes.AORTIC_REPAIR, "look in the record, or ask the patient")
    growing, may_grow = _growing(found, widest)
    diameter = diameter_cm(widest)
    painful = _suffers(found) if diameter >= ANEURYSM_CM else False
    return Aneurysm(widest, diameter, action, on_problem_list, repaired, growing, may_grow, painful, placeless)


def _placeless(found: Reasoning) -> bool:
    """Whether an aortic aneurysm is on record and nobody can tell of which part; then which it is is missing."""
    elsewhere = condition_codes.AORTIC_ANEURYSM
    fact = found.case.ehr.condition(elsewhere.name)
    known(found, elsewhere)
    told = isinstance(fact, Known) and not condition_codes.THORACIC_AORTIC_ANEURYSM.contains(fact.value.code)
    if found.apply(steps.PLACELESS, told):
        why = found.say("an aneurysm without its place is on record")
        how = found.say("find out which: look at earlier reports, or ask the patient")
        found.missing.append(Missing(found.say("place of the aortic aneurysm"), why, how))
    return told


def _suffers(found: Reasoning) -> bool | None:
    symptoms = (condition_codes.ABDOMINAL_PAIN, condition_codes.BACK_PAIN)
    return suffered(found, symptoms, number(found.case, ID, PAIN_DAYS))


def _growing(found: Reasoning, widest: Measured) -> tuple[bool | None, bool]:
    """Whether it grows beyond the error of the measurement, and whether it may: where that error is not known."""
    grown = growth(widest)
    if diameter_cm(widest) < ANEURYSM_CM or grown is None:
        return found.apply(GROWTH, None if grown is None else False), False
    fast, said = _fast(grown), f"{grown.centimetres:+.2f} cm, {grown.days} d"
    growing = found.apply(GROWTH, grown.beyond_error if fast else False, said)
    return growing, bool(found.apply(MAY_GROW, fast and grown.beyond_error is None, said))


def _fast(grown: Growth) -> bool:
    return grown.at_least(1.0) or (grown.centimetres >= 0.5 and grown.days <= _HALF_YEAR_DAYS)


def _doubled(grown: Growth) -> bool:
    """Whether it is twice one of both limits."""
    return grown.doubles(1.0) or (grown.centimetres >= 1.0 and grown.days <= _HALF_YEAR_DAYS)


def _untold(found: Reasoning, seen: Aneurysm) -> NothingToSay | CouldNotTell | None:
    """Why nothing is said; where pain would change that and is not known, nobody can tell."""
    palliative = in_palliative_care(found)
    found.apply(IN_PALLIATIVE_CARE, palliative)
    healed = bool(seen.repaired) and seen.diameter < _REPAIR_CM and not seen.growing and not seen.may_grow
    found.apply(REPAIRED, healed and not seen.painful)
    if seen.painful or not (palliative or healed):
        return None
    if seen.painful is None:
        return found.could_not_tell(found.say("whether there is pain decides, and is not known"))
    return found.nothing(
        "palliative or hospice care is on record" if palliative else "repair of the aorta is on record"
    )


def _answered(found: Reasoning, seen: Aneurysm) -> PathwayOutcome:
    """Pain first, then growth and size: one call or referral, or the interval."""
    said = shown(seen.diameter)
    if seen.action in _SURGERY:
        found.apply(_SURGERY[seen.action], True, said)
    at_once = found.apply(PAIN, seen.at_once if seen.painful is not None else None, said)
    found.apply(SMALL_PAIN, None if seen.painful is None else seen.painful and not at_once, said)
    if at_once:
        steps.call(found, seen)
    else:
        _without_a_call(found, seen)
    if not found.recommendations and not found.missing:
        return found.nothing("nothing is left to suggest: " + "; ".join(found.quiet))
    return found.advice(
        found.say("Abdominal aorta {said} on {day} (AI).", said=said, day=found.case.study_date),
        _indicator(found, seen),
        (seen.widest.finding.key,),
        seen=(
            found.say("Largest diameter of the abdominal aorta: {said}.", said=said),
            told_growth(found, seen.widest),
        ),
        meaning=_meaning(found, seen),
        limits=(*seen.widest.by.limits, *map(found.say, LIMITS)),
        further=(ACC_AHA,),
    )


def _without_a_call(found: Reasoning, seen: Aneurysm) -> None:
    """What cannot wait until tomorrow, then what can; in palliative care the former alone."""
    if seen.painful:
        steps.examine(found, seen)
    if isinstance(found.case.ehr.condition(PALLIATIVE.name), Known):
        return
    grown = growth(seen.widest)
    if seen.may_grow and grown is not None:
        compare(found, ACC_AHA, doubled=_doubled(grown))
    if seen.growing or seen.surgical:
        steps.surgery(found, seen)
    elif not seen.repaired:
        steps.surveillance(found, seen)
        steps.first_diagnosis(found, seen)


def _indicator(found: Reasoning, seen: Aneurysm) -> Indicator:
    if seen.at_once:
        return Indicator.CRITICAL
    waits = all(one.priority is Priority.ROUTINE for one in found.recommendations)
    return Indicator.INFO if waits and seen.action and not seen.surgical and not seen.growing else Indicator.WARNING


def _meaning(found: Reasoning, seen: Aneurysm) -> tuple[str, ...]:
    """What the diameter means in this patient."""
    said = [*palliative_said(found), _known_for(found, seen)]
    if not seen.action and not seen.repaired:
        said.append(found.say("In a woman repair is considered from 5.0 cm on: find out which limits apply."))
    return tuple(said)


def _known_for(found: Reasoning, seen: Aneurysm) -> str:
    if seen.diameter < ANEURYSM_CM:
        return found.say("It is wider than usual, and no aneurysm: that is called so from 3.0 cm on.")
    if seen.repaired:
        return found.say("A repair of the aorta is on record: whoever follows it has to know of this diameter.")
    if seen.known:
        return found.say("An aortic aneurysm is on record: compare with its earlier diameters.")
    if seen.placeless:
        return found.say("An aneurysm without its place is on record: find out which.")
    return found.say("An aneurysm of the abdominal aorta, if a radiologist confirms the diameter.")

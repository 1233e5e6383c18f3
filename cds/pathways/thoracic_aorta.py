"""Thoracic aorta: by its largest diameter and its growth the next imaging, an aortic team or surgery.

ACC/AHA 2022 (Isselbacher et al., Circulation 2022;146:e334-e482, doi:10.1161/CIR.0000000000001106): the ascending aorta
is dilated from 4.0 cm, imaged again 6 to 12 months after the first time, operated on from 5.5 cm, from 5.0 cm by an
experienced team; rapid growth is 0.5 cm in a year, with hereditary disease or a bicuspid valve 0.3 cm. The descending
aorta is repaired from 5.5 cm; no interval for a smaller one was seen in public text, so none is suggested.
"""

from __future__ import annotations

from datetime import date

from cds import action_codes as actions
from cds import condition_codes, finding_codes, procedure_codes
from cds.domain.order import Priority
from cds.domain.recommendation import Case, CouldNotTell, Indicator, NothingToSay, PathwayOutcome
from cds.pathways import Option, Rule, pathway
from cds.pathways import _thoracic_steps as steps
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
from cds.pathways._facts import values, where
from cds.pathways._guards import PALLIATIVE, known
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import on_record, suffered, under_age, unmeasured
from cds.pathways._thoracic_steps import ACC_AHA, DILATED_CM, INHERITED_CM, SURGERY_CM, TEAM_CM, Aorta
from cds.pathways.declaration import number

ID = "thoracic_aorta"
TITLE = "Diameter of the thoracic aorta"

NARROW = Rule("narrow", "A thoracic aorta below 4.0 cm is not told.")
DILATED = Rule("dilated", "An ascending aorta of 4.0 to 4.9 cm is imaged again after 6 to 12 months.")
TEAM = Rule("team", "An ascending aorta of 5.0 to 5.4 cm is referred to an aortic team.")
SURGERY = Rule("surgery", "An ascending aorta of 5.5 cm or more is referred for surgery.")
INHERITED = Rule(
    "inherited",
    "With hereditary aortic disease or a bicuspid aortic valve an ascending aorta is referred from 4.5 cm on.",
)
GROWTH = Rule("growth", "An ascending aorta that grew by 0.5 cm or more in a year is referred.")
INHERITED_GROWTH = Rule(
    "inherited-growth",
    "With hereditary aortic disease or a bicuspid aortic valve growth of 0.3 cm or more in a year is referred.",
)
DESCENDING = Rule("descending", "A descending thoracic aorta of 5.5 cm or more is referred for repair.")
DESCENDING_TOLD = Rule(
    "descending-told", "A descending thoracic aorta of 4.0 to 5.4 cm is told without an interval for the next imaging."
)
ADULTS = Rule("adults", "Below 18 years the pathway is silent.")
REPAIRED = Rule("repaired", "After repair of the aorta the diameter is told with a remark that other limits may hold.")
PAIN = Rule("pain", "With recent chest or back pain an aorta that would be referred is told to a surgeon at once.")
SMALL_PAIN = Rule(
    "small-pain", "With recent chest or back pain any other thoracic aorta from 4.0 cm on is examined the same day."
)
MAY_GROW = Rule(
    "may-grow",
    "Such growth of unknown error is compared by a radiologist, urgently if twice the limit in all or per year.",
)
REFUSED = Rule("refused", "Where a part could not be measured and the other one is not wide the pathway cannot tell.")
IN_PALLIATIVE_CARE = Rule("palliative", "In palliative care a painful wide aorta is told, and nothing else.")

PAIN_DAYS = Option("pain_days", "Pain counts for so many days", "14", unit="d", low=1, high=30)

LIMITS = (
    "Limits are for adults of usual height; in small or tall people the diameter is put in relation to height.",
    "Chest or back pain with a wide aorta is an emergency, whatever its diameter.",
    "The root and the arch were not measured.",
)
_GROWTH_CM, _INHERITED_GROWTH_CM = 0.5, 0.3
_DESCENDING = (finding_codes.DESCENDING_AORTA, finding_codes.DESCENDING_AORTA_CARINA)


@pathway(
    id=ID,
    title=TITLE,
    source=ACC_AHA,
    version="1.1.0",
    reviewed=date(2026, 11, 22),
    reads=(finding_codes.ASCENDING_AORTA, finding_codes.DESCENDING_AORTA, finding_codes.DESCENDING_AORTA_CARINA),
    asks=(
        condition_codes.THORACIC_AORTIC_ANEURYSM,
        condition_codes.AORTOPATHY,
        condition_codes.CHEST_PAIN,
        condition_codes.BACK_PAIN,
        PALLIATIVE,
        procedure_codes.AORTIC_REPAIR,
        procedure_codes.THORACIC_AORTA_IMAGING,
        procedure_codes.ORDERED[actions.THORACIC_AORTA_IMAGING.code],
        procedure_codes.ORDERED[actions.THORACIC_AORTA_REFERRAL.code],
        procedure_codes.ORDERED[actions.ANEURYSM_EXAMINATION.code],
        procedure_codes.ORDERED[actions.COMPARE_STUDIES.code],
    ),
    rules=(
        NARROW,
        DILATED,
        TEAM,
        SURGERY,
        INHERITED,
        GROWTH,
        INHERITED_GROWTH,
        DESCENDING,
        DESCENDING_TOLD,
        MAY_GROW,
        PAIN,
        SMALL_PAIN,
        REFUSED,
        ADULTS,
        REPAIRED,
        IN_PALLIATIVE_CARE,
        steps.OVERDUE,
        steps.UNDER_SURVEILLANCE,
        steps.IMAGED_SINCE,
        steps.REFERRED,
    ),
    options=(PAIN_DAYS,),
    limits=LIMITS,
    urgent=True,
)
def thoracic_aorta(case: Case) -> PathwayOutcome:
    """Advise on the largest diameters of the ascending and the descending thoracic aorta."""
    ascending = largest(values(case, finding_codes.ASCENDING_AORTA))
    seen = Aorta(ascending, largest(values(case, *_DESCENDING)))
    found = Reasoning(ID, TITLE, ACC_AHA, case)
    refused = _refused(found, seen)
    if not seen.parts and not refused:
        return found.nothing("no diameter of the thoracic aorta was measured on this study")
    narrow = found.apply(NARROW, seen.widest_cm < DILATED_CM if seen.parts else None)
    if found.apply(REFUSED, refused and narrow is not False):
        return found.could_not_tell(found.say("the thoracic aorta was not measured, or not all of it"))
    if narrow:
        return found.nothing("no part of the thoracic aorta that was measured is dilated")
    if found.apply(ADULTS, under_age(found)):
        return found.nothing("the patient is a child")
    return _answered(found, seen)


def _refused(found: Reasoning, seen: Aorta) -> bool:
    """Whether a part was looked at and could not be measured: why stands among what is missing."""
    ascending = seen.ascending is None and unmeasured(
        found, found.say("diameter of the ascending aorta"), finding_codes.ASCENDING_AORTA
    )
    descending = seen.descending is None and unmeasured(
        found, found.say("diameter of the descending thoracic aorta"), *_DESCENDING
    )
    return ascending or descending


def _answered(found: Reasoning, seen: Aorta) -> PathwayOutcome:
    _measured(found, seen)
    known(found, condition_codes.THORACIC_AORTIC_ANEURYSM)
    how = "look in the record, or ask the patient"
    repaired = found.apply(REPAIRED, on_record(found, procedure_codes.AORTIC_REPAIR, how))
    pain = suffered(found, (condition_codes.CHEST_PAIN, condition_codes.BACK_PAIN), number(found.case, ID, PAIN_DAYS))
    seen = Aorta(seen.ascending, seen.descending, known(found, condition_codes.AORTOPATHY), pain)
    palliative = in_palliative_care(found)
    if found.apply(IN_PALLIATIVE_CARE, palliative) and not pain:
        return _untold(found, pain)
    reason = _reason(found, seen)
    at_once = _steps(found, seen, reason, palliative=palliative)
    told = found.apply(DESCENDING_TOLD, DILATED_CM <= seen.descending_cm < SURGERY_CM, shown(seen.descending_cm))
    if not found.recommendations and not found.missing and not told:
        return found.nothing("nothing is left to suggest: " + "; ".join(found.quiet))
    waits = not reason and all(one.priority is Priority.ROUTINE for one in found.recommendations)
    urgent = Indicator.INFO if waits else Indicator.WARNING
    return found.advice(
        found.say("Thoracic aorta up to {said} on {day} (AI).", said=shown(seen.widest_cm), day=found.case.study_date),
        Indicator.CRITICAL if at_once else urgent,
        tuple(dict.fromkeys(one.finding.key for one in seen.parts)),
        seen=_seen(found, seen),
        meaning=_meaning(found, seen, told=bool(told), repaired=bool(repaired)),
        limits=_limits(found, seen),
    )


def _untold(found: Reasoning, pain: bool | None) -> NothingToSay | CouldNotTell:
    """In palliative care without pain; where nobody knows of pain nobody can tell."""
    if pain is None:
        return found.could_not_tell(found.say("whether there is pain decides, and is not known"))
    return found.nothing("palliative or hospice care is on record")


def _steps(found: Reasoning, seen: Aorta, reason: str, *, palliative: bool) -> bool:
    """What cannot wait until tomorrow, then what can; whether it is told at once."""
    may_grow = _may_grow(found, seen)
    at_once = found.apply(PAIN, False if not reason and may_grow is None else seen.painful, shown(seen.widest_cm))
    found.apply(SMALL_PAIN, None if seen.painful is None else seen.painful and not at_once)
    if at_once:
        steps.call(found, seen)
    elif seen.painful:
        steps.examine(found, seen)
    if at_once or palliative:
        return bool(at_once)
    if may_grow is not None:
        compare(found, ACC_AHA, doubled=may_grow.doubles(_limit(seen)))
    if reason:
        steps.referral(found, seen, reason)
    elif found.apply(DILATED, seen.ascending_cm >= DILATED_CM, shown(seen.ascending_cm)):
        steps.imaging(found, seen)
    return False


def _measured(found: Reasoning, seen: Aorta) -> None:
    named = (
        (found.say("diameter of the ascending aorta"), seen.ascending),
        (found.say("diameter of the descending thoracic aorta"), seen.descending),
    )
    for name, one in named:
        if one is not None:
            found.measured(name, shown(diameter_cm(one)), where(found.case, one))


def _seen(found: Reasoning, seen: Aorta) -> tuple[str, ...]:
    told = []
    if seen.ascending:
        told.append(found.say("Largest diameter of the ascending aorta: {said}.", said=shown(seen.ascending_cm)))
        told.append(told_growth(found, seen.ascending))
    else:
        told.append(found.say("The ascending aorta was not measured: it may be wide."))
    if seen.descending:
        told.append(
            found.say("Largest diameter of the descending thoracic aorta: {said}.", said=shown(seen.descending_cm))
        )
    return tuple(told)


def _limits(found: Reasoning, seen: Aorta) -> tuple[str, ...]:
    of_models = (limit for one in seen.parts for limit in one.by.limits)
    return tuple(dict.fromkeys((*of_models, *map(found.say, LIMITS))))


def _meaning(found: Reasoning, seen: Aorta, *, told: bool, repaired: bool) -> tuple[str, ...]:
    """What the diameters mean in this patient."""
    said = [
        *palliative_said(found),
        found.say("The aorta is wide, if a radiologist confirms the diameter across its axis."),
    ]
    if seen.inherited:
        said.append(found.say("Hereditary aortic disease or a bicuspid aortic valve is on record: limits are lower."))
    if told:
        said.append(found.say("When the descending aorta is imaged again is for whoever treats the patient."))
    if repaired:
        said.append(found.say("A repair of the aorta is on record: for a repaired part other limits hold."))
    return tuple(said)


def _reason(found: Reasoning, seen: Aorta) -> str:
    """Why somebody has to look at the patient; "" where imaging is enough."""
    large = found.apply(SURGERY, seen.ascending_cm >= SURGERY_CM, shown(seen.ascending_cm))
    low = found.apply(DESCENDING, seen.descending_cm >= SURGERY_CM, shown(seen.descending_cm))
    team = found.apply(TEAM, TEAM_CM <= seen.ascending_cm < SURGERY_CM, shown(seen.ascending_cm))
    inherited = _inherited(found, seen)
    growing = _growing(found, seen)
    if large or team:
        return found.say("The ascending aorta measures {said}.", said=shown(seen.ascending_cm))
    if low:
        return found.say("The descending thoracic aorta measures {said}.", said=shown(seen.descending_cm))
    if growing:
        return found.say("The ascending aorta measures {said} and grows fast.", said=shown(seen.ascending_cm))
    if inherited:
        return found.say(
            "The ascending aorta measures {said}, with a disease that lowers the limits.", said=shown(seen.ascending_cm)
        )
    return ""


def _inherited(found: Reasoning, seen: Aorta) -> bool | None:
    return found.apply(INHERITED, seen.inherited if seen.ascending_cm >= INHERITED_CM else False)


def _growing(found: Reasoning, seen: Aorta) -> bool:
    """Growth counts where it is beyond the error of the measurement; nobody can tell where that is not known."""
    grown = growth(seen.ascending) if seen.ascending else None
    if grown is None or seen.ascending_cm < DILATED_CM:
        found.apply(GROWTH, None if grown is None else False)
        return False
    said = f"{grown.centimetres:+.2f} cm, {grown.days} d"
    fast = found.apply(GROWTH, grown.beyond_error if grown.at_least(_GROWTH_CM) else False, said)
    inherited = grown.beyond_error if grown.at_least(_INHERITED_GROWTH_CM) and seen.inherited else False
    return bool(found.apply(INHERITED_GROWTH, inherited, said) or fast)


def _may_grow(found: Reasoning, seen: Aorta) -> Growth | None:
    """Growth at the limits that may be the error of the measurement alone; None where there is none."""
    grown = growth(seen.ascending) if seen.ascending else None
    fast = grown is not None and seen.ascending_cm >= DILATED_CM and grown.at_least(_limit(seen))
    return grown if found.apply(MAY_GROW, fast and grown is not None and grown.beyond_error is None) else None


def _limit(seen: Aorta) -> float:
    """By how much it grows fast in a year: the lower limit where nobody knows of a disease that lowers it."""
    return _GROWTH_CM if seen.inherited is False else _INHERITED_GROWTH_CM

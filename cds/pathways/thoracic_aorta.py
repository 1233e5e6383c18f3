"""Thoracic aorta: by its largest diameter and its growth the next imaging, an aortic team or surgery.

ACC/AHA 2022 (Isselbacher et al., Circulation 2022;146:e334-e482, doi:10.1161/CIR.0000000000001106): the ascending aorta
is dilated from 4.0 cm, imaged again 6 to 12 months after the first time, operated on from 5.5 cm, from 5.0 cm by an
experienced team; rapid growth is 0.5 cm in a year, with hereditary disease or a bicuspid valve 0.3 cm. The descending
aorta is repaired from 5.5 cm; no interval for a smaller one was seen in public text, so none is suggested.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from cds import action_codes as actions
from cds import condition_codes, finding_codes, procedure_codes
from cds.domain.order import Priority
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.pathways import Rule, pathway
from cds.pathways._aortic import diameter_cm, growth, largest, shown, told_growth
from cds.pathways._facts import Measured, add_months, values, where
from cds.pathways._guards import known
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because, done_since_images, on_record, ordered_already, under_age, unmeasured

ID = "thoracic_aorta"
TITLE = "Diameter of the thoracic aorta"
ACC_AHA = Source("ACC/AHA 2022, aortic disease", "https://doi.org/10.1161/CIR.0000000000001106")

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
UNDER_SURVEILLANCE = Rule("under-surveillance", "Where CT of the chest is ordered it is not asked for again.")
IMAGED_SINCE = Rule("imaged-since", "Where the aorta was imaged again since, imaging is not asked for again.")
REFERRED = Rule("referred", "Where a referral for the aorta is open it is not asked for again.")

LIMITS = (
    "Limits are for adults of usual height; in small or tall people the diameter is put in relation to height.",
    "Chest or back pain with a wide aorta is an emergency, whatever its diameter.",
    "The root and the arch were not measured.",
)
_DILATED_CM, _INHERITED_CM, _TEAM_CM, _SURGERY_CM = 4.0, 4.5, 5.0, 5.5
_GROWTH_CM, _INHERITED_GROWTH_CM = 0.5, 0.3


@dataclass(frozen=True, slots=True)
class _Aorta:
    """The widest section of both parts, None where it was not measured; `inherited` with three values."""

    ascending: Measured | None
    descending: Measured | None
    inherited: bool | None = None

    @property
    def parts(self) -> tuple[Measured, ...]:
        return tuple(one for one in (self.ascending, self.descending) if one is not None)

    @property
    def ascending_cm(self) -> float:
        return diameter_cm(self.ascending) if self.ascending else 0.0

    @property
    def descending_cm(self) -> float:
        return diameter_cm(self.descending) if self.descending else 0.0


@pathway(
    id=ID,
    title=TITLE,
    source=ACC_AHA,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    reads=(finding_codes.ASCENDING_AORTA, finding_codes.DESCENDING_AORTA, finding_codes.DESCENDING_AORTA_CARINA),
    asks=(
        condition_codes.AORTIC_ANEURYSM,
        condition_codes.AORTOPATHY,
        procedure_codes.AORTIC_REPAIR,
        procedure_codes.AORTIC_IMAGING,
        procedure_codes.ORDERED[actions.CHEST_CT_FOLLOW_UP.code],
        procedure_codes.ORDERED[actions.THORACIC_AORTA_REFERRAL.code],
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
        ADULTS,
        REPAIRED,
        UNDER_SURVEILLANCE,
        IMAGED_SINCE,
        REFERRED,
    ),
    limits=LIMITS,
)
def thoracic_aorta(case: Case) -> PathwayOutcome:
    """Advise on the largest diameters of the ascending and the descending thoracic aorta."""
    ascending = largest(values(case, finding_codes.ASCENDING_AORTA))
    descending = largest(values(case, finding_codes.DESCENDING_AORTA, finding_codes.DESCENDING_AORTA_CARINA))
    seen = _Aorta(ascending, descending)
    found = Reasoning(ID, TITLE, ACC_AHA, case)
    if not seen.parts:
        what = found.say("diameter of the thoracic aorta")
        if unmeasured(found, what, finding_codes.ASCENDING_AORTA, finding_codes.DESCENDING_AORTA):
            return found.could_not_tell(found.say("the thoracic aorta was not measured"))
        return found.nothing("no diameter of the thoracic aorta was measured on this study")
    if found.apply(NARROW, max(map(diameter_cm, seen.parts)) < _DILATED_CM):
        return found.nothing("no part of the thoracic aorta that was measured is dilated")
    if found.apply(ADULTS, under_age(found)):
        return found.nothing("the patient is a child")
    return _answered(found, seen)


def _answered(found: Reasoning, seen: _Aorta) -> PathwayOutcome:
    _measured(found, seen)
    how = found.say("look at the problem list")
    seen = _Aorta(seen.ascending, seen.descending, known(found, condition_codes.AORTOPATHY, how))
    known(found, condition_codes.AORTIC_ANEURYSM, how)
    how = found.say("look in the record, or ask the patient")
    repaired = found.apply(REPAIRED, on_record(found, procedure_codes.AORTIC_REPAIR, how))
    reason = _reason(found, seen)
    if reason:
        _referral(found, seen, reason)
    elif found.apply(DILATED, seen.ascending_cm >= _DILATED_CM, shown(seen.ascending_cm)):
        _imaging(found, seen)
    told = found.apply(DESCENDING_TOLD, _DILATED_CM <= seen.descending_cm < _SURGERY_CM, shown(seen.descending_cm))
    if not found.recommendations and not found.missing and not told:
        return found.nothing("nothing is left to suggest: " + "; ".join(found.quiet))
    widest = max(map(diameter_cm, seen.parts))
    return found.advice(
        found.say("Thoracic aorta up to {said} on {day} (AI).", said=shown(widest), day=found.case.study_date),
        Indicator.WARNING if reason else Indicator.INFO,
        tuple(dict.fromkeys(one.finding.key for one in seen.parts)),
        seen=_seen(found, seen),
        meaning=_meaning(found, seen, told=bool(told), repaired=bool(repaired)),
        limits=_limits(found, seen),
    )


def _measured(found: Reasoning, seen: _Aorta) -> None:
    named = (
        (found.say("diameter of the ascending aorta"), seen.ascending),
        (found.say("diameter of the descending thoracic aorta"), seen.descending),
    )
    for name, one in named:
        if one is not None:
            found.measured(name, shown(diameter_cm(one)), where(found.case, one))


def _seen(found: Reasoning, seen: _Aorta) -> tuple[str, ...]:
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


def _limits(found: Reasoning, seen: _Aorta) -> tuple[str, ...]:
    of_models = (limit for one in seen.parts for limit in one.by.limits)
    return tuple(dict.fromkeys((*of_models, *map(found.say, LIMITS))))


def _meaning(found: Reasoning, seen: _Aorta, *, told: bool, repaired: bool) -> tuple[str, ...]:
    """What the diameters mean in this patient."""
    said = [found.say("The aorta is wide, if a radiologist confirms the diameter across its axis.")]
    if seen.inherited:
        said.append(found.say("Hereditary aortic disease or a bicuspid aortic valve is on record: limits are lower."))
    if told:
        said.append(found.say("When the descending aorta is imaged again is for whoever treats the patient."))
    if repaired:
        said.append(found.say("A repair of the aorta is on record: for a repaired part other limits hold."))
    return tuple(said)


def _reason(found: Reasoning, seen: _Aorta) -> str:
    """Why somebody has to look at the patient; "" where imaging is enough."""
    large = found.apply(SURGERY, seen.ascending_cm >= _SURGERY_CM, shown(seen.ascending_cm))
    low = found.apply(DESCENDING, seen.descending_cm >= _SURGERY_CM, shown(seen.descending_cm))
    team = found.apply(TEAM, _TEAM_CM <= seen.ascending_cm < _SURGERY_CM, shown(seen.ascending_cm))
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


def _inherited(found: Reasoning, seen: _Aorta) -> bool | None:
    return found.apply(INHERITED, seen.inherited if seen.ascending_cm >= _INHERITED_CM else False)


def _growing(found: Reasoning, seen: _Aorta) -> bool:
    """Growth counts where it is beyond the error of the measurement; nobody can tell where that is not known."""
    grown = growth(seen.ascending) if seen.ascending else None
    if grown is None or seen.ascending_cm < _DILATED_CM:
        found.apply(GROWTH, None if grown is None else False)
        return False
    said = f"{grown.centimetres:+.2f} cm, {grown.days} d"
    fast = found.apply(GROWTH, grown.beyond_error if grown.at_least(_GROWTH_CM) else False, said)
    inherited = grown.beyond_error if grown.at_least(_INHERITED_GROWTH_CM) and seen.inherited else False
    return bool(found.apply(INHERITED_GROWTH, inherited, said) or fast)


def _referral(found: Reasoning, seen: _Aorta, reason: str) -> None:
    if found.apply(REFERRED, ordered_already(found, actions.THORACIC_AORTA_REFERRAL)):
        return
    surgical = max(seen.ascending_cm, seen.descending_cm) >= _SURGERY_CM
    found.recommend(
        Recommendation(
            key="aortic-team",
            action=found.say("Referral to an aortic team (cardiology and cardiac or vascular surgery)"),
            code=actions.THORACIC_AORTA_REFERRAL,
            reason=reason,
            source=ACC_AHA,
            strength=_strength(found, seen),
            priority=Priority.URGENT if surgical else Priority.ROUTINE,
            because=because(found),
            would_change=(
                found.say("A smaller diameter when a radiologist measures it across the axis."),
                found.say("Chest or back pain: then it cannot wait."),
            ),
        )
    )


def _strength(found: Reasoning, seen: _Aorta) -> str:
    """The class that the guideline gives for the ascending aorta; that of the others was not seen."""
    if seen.ascending_cm >= _SURGERY_CM:
        return found.say("class 1")
    return found.say("class 2a") if seen.ascending_cm >= _TEAM_CM else ""


def _imaging(found: Reasoning, seen: _Aorta) -> None:
    if found.apply(UNDER_SURVEILLANCE, ordered_already(found, actions.CHEST_CT_FOLLOW_UP)):
        return
    if found.apply(IMAGED_SINCE, done_since_images(found, procedure_codes.AORTIC_IMAGING)):
        found.note(found.say("The aorta was imaged again since: go by that."), "the aorta was imaged again since")
        return
    start, today = add_months(found.case.study_date, 6), found.case.today
    found.recommend(
        Recommendation(
            key="surveillance",
            action=found.say("CT (or MRI) of the chest for the diameter of the aorta"),
            code=actions.CHEST_CT_FOLLOW_UP,
            reason=found.say("The ascending aorta measures {said}.", said=shown(seen.ascending_cm)),
            source=ACC_AHA,
            not_before=start if start > today else None,
            by=max(add_months(found.case.study_date, 12), today),
            because=because(found),
            would_change=(
                found.say("Earlier diameters: where they were stable, the next imaging may wait longer."),
                found.say("Chest or back pain: then it cannot wait."),
            ),
        )
    )

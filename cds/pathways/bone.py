"""Low vertebral attenuation or a vertebral fracture on images made for another reason: bone density by DXA.

Pickhardt et al., Ann Intern Med 2013;158:588-595, doi:10.7326/0003-4819-158-8-201304160-00003: an L1 attenuation of
110 HU or less is more than 90 % specific for osteoporosis. USPSTF, doi:10.1001/jama.2024.27154: who is screened. With
cancer a fracture may be a metastasis, and under treatment it asks for a review.
"""

from __future__ import annotations

from datetime import date

from cds import finding_codes
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Source
from cds.pathways import Need, Rule, pathway
from cds.pathways import _bone_steps as steps
from cds.pathways import _bone_trigger as triggers
from cds.pathways._bone_steps import ACR, BHOF, ISCD, USPSTF, age_of, dxa, metastasis
from cds.pathways._bone_trigger import ANDERSON, GENANT, ID, L1_THRESHOLD, PICKHARDT, Trigger, hu, loss, published
from cds.pathways._reasoning import Reasoning
from cds.risk.l1_hu import SCORE as L1_HU
from cds.risk.orai import SCORE as ORAI
from cds.risk.ost import SCORE as OST

TITLE = "Bone density after CT or a vertebral fracture"
ADULTS = Rule("adults", "The pathway is for adults of 18 years or more.")

_SHORT = {"metastasis": "metastasis ruled out", "review": "review of the treatment", "dxa": "DXA"}
_LIMITS = (
    "The attenuation of CT is no bone density: it diagnoses no osteoporosis and excludes none.",
    "A vertebra can lose height by an accident, a tumour or from birth: the images do not tell which.",
)


@pathway(
    id=ID,
    title=TITLE,
    source=PICKHARDT,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    reads=(finding_codes.VERTEBRAL_ATTENUATION, finding_codes.VERTEBRAL_FRACTURE),
    needs=(Need.AGE,),
    asks=steps.ASKS,
    rules=(*triggers.RULES, ADULTS, *steps.RULES),
    options=(L1_THRESHOLD,),
    scores=(L1_HU.id, OST.id, ORAI.id),
    further=(USPSTF, ISCD, GENANT, ANDERSON, BHOF, ACR),
    limits=_LIMITS,
)
def bone(case: Case) -> PathwayOutcome:
    """Advise on DXA after a low attenuation of L1 or a vertebral fracture of moderate or severe grade."""
    found = Reasoning(ID, TITLE, PICKHARDT, case)
    trigger = triggers.trigger(found)
    if not isinstance(trigger, Trigger):
        return trigger
    age = age_of(case)
    if not found.apply(ADULTS, age >= 18, str(age)):
        return found.nothing("the pathway is for adults")
    suspected = metastasis(found, trigger)
    reason = dxa(found, trigger)
    if found.recommendations:
        return _advised(found, trigger)
    if suspected is None:
        return found.could_not_tell(found.say("whether the fracture may be a metastasis is not known"))
    if trigger.leads_to_dxa:
        return found.nothing(reason)
    return found.could_not_tell(found.say("the attenuation of L1 or the loss of height is not known"))


# --- the card --------------------------------------------------------------------------------------------------------


def _advised(found: Reasoning, trigger: Trigger) -> PathwayOutcome:
    limits = dict.fromkeys(limit for one in trigger.seen for limit in one.by.limits)
    return found.advice(
        _summary(found, trigger),
        Indicator.WARNING if trigger.broken else Indicator.INFO,
        tuple(dict.fromkeys(one.finding.key for one in trigger.seen)),
        seen=_seen(found, trigger),
        meaning=_meaning(found, trigger),
        limits=(*limits, *map(found.say, _LIMITS)),
        further=_further(trigger),
    )


def _further(trigger: Trigger) -> tuple[Source, ...]:
    if trigger.broken:
        return (GENANT, ISCD)
    return (USPSTF, ISCD) if published(trigger) else (ANDERSON, USPSTF, ISCD)


def _summary(found: Reasoning, trigger: Trigger) -> str:
    case = found.case
    how = {"modality": case.modality, "day": case.study_date}
    steps = ", ".join(found.say(_SHORT[one.key]) for one in found.recommendations)
    if trigger.fracture is not None:
        text = "Vertebral fracture on {modality} {day} (AI, height loss {loss}). To consider: {steps}"
        return found.say(text, **how, loss=loss(trigger.fracture), steps=steps)
    if trigger.attenuation is not None and not trigger.broken:
        text = "Low vertebral attenuation on {modality} {day} (AI, L1 {hu}). To consider: {steps}"
        return found.say(text, **how, hu=hu(trigger.attenuation), steps=steps)
    return found.say(
        "Vertebral fracture on {modality} {day} (AI, grade unknown). To consider: {steps}", **how, steps=steps
    )


def _seen(found: Reasoning, trigger: Trigger) -> tuple[str, ...]:
    told = []
    if trigger.fracture is not None:
        told.append(found.say("Vertebral fracture with a loss of height of {loss}.", loss=loss(trigger.fracture)))
    if trigger.ungraded is not None:
        told.append(found.say("Vertebral fracture of which no loss of height is known."))
    of_l1 = trigger.attenuation or (trigger.between if trigger.broken else None)
    if of_l1 is not None:
        told.append(found.say("Attenuation of the trabecular bone of L1: {hu}.", hu=hu(of_l1)))
    notes = (one.finding.note for one in trigger.seen if one.finding.note)
    return (*told, *notes)


def _meaning(found: Reasoning, trigger: Trigger) -> tuple[str, ...]:
    told = []
    if trigger.broken:
        told.append(
            found.say("A fragility fracture is a reason for DXA in adults; whether it is one the clinician decides.")
        )
    if published(trigger):
        told.append(found.say("At 110 HU or less osteoporosis by DXA was found with a specificity above 90 %."))
    elif trigger.attenuation is not None:
        told.append(found.say("Below 135 HU in L1 there is a risk of osteoporosis (Anderson 2018)."))
    elif trigger.between is not None:
        told.append(found.say("Up to 160 HU in L1 osteoporosis is neither likely nor excluded."))
    return tuple(told)

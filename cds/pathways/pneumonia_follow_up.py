"""Follow-up image after pneumonia, so that no cancer behind it is missed: the site decides between two guidelines.

BTS 2009 (doi:10.1136/thx.2009.121434): a chest radiograph after about 6 weeks for who is at higher risk of cancer,
"especially smokers and those aged >50 years". ATS/IDSA 2019 (doi:10.1164/rccm.201908-1581ST): not routinely.
"""

from __future__ import annotations

from datetime import date, timedelta

from cds import action_codes as actions
from cds import condition_codes, procedure_codes
from cds.codes import SMOKING_STATUS, ValueSet
from cds.domain.ehr import Known, SmokingStatus, Unknown
from cds.domain.recommendation import (
    Case,
    Indicator,
    NothingToSay,
    PathwayOutcome,
    Recommendation,
    Source,
)
from cds.pathways import Need, Option, Rule, pathway
from cds.pathways._bedside import any_of
from cds.pathways._facts import add_months
from cds.pathways._guards import age_on, asked_already, noted
from cds.pathways._infection import SIGNS, SYMPTOM_DAYS, SYMPTOMS, Signs, acutely_ill, show, signs, title
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because, certainty
from cds.pathways.declaration import number, option

ID = "pneumonia_follow_up"
TITLE = "Follow-up image after pneumonia"
BTS = Source("BTS 2009, community acquired pneumonia", "https://doi.org/10.1136/thx.2009.121434")
ATS = Source("ATS/IDSA 2019, community-acquired pneumonia", "https://doi.org/10.1164/rccm.201908-1581ST")

GUIDELINE = Option("guideline", "Guideline that the site follows", None, choices=("bts-2009", "ats-idsa-2019"))

CHOICE = Rule("choice", "A site that has not decided between BTS 2009 and ATS/IDSA 2019 is told nothing.")
NOT_ROUTINE = Rule("not-routine", "Under ATS/IDSA 2019 no follow-up image is suggested.", ATS)
SICK = Rule(
    "symptoms",
    "Consolidation or pneumonia counts with an acute symptom or a diagnosis within 7 days.",
)
RISK = Rule(
    "risk",
    "Under BTS 2009 who smokes or is older than 50 years is imaged again after 6 weeks.",
    BTS,
)
ORDERED = Rule("ordered", "Where a follow-up image is ordered it is not asked for again.")
ADULTS = Rule("adults", "The pathway is for adults of 18 years or more.")
OLD = Rule("old-images", "Images older than 12 months lead to no follow-up image.")
SINCE = Rule("since", "A chest X-ray or CT from 3 weeks after the images on stands for the follow-up image.")
_WEEKS, _EARLIEST_WEEKS = 6, 3
_PLAYBOOK = "LOINC/RSNA radiology playbook, as `cds.exam_codes` cites it"
_IMAGED = (procedure_codes.CHEST_X_RAY, procedure_codes.CHEST_CT)

_LIMITS = ("Symptoms or signs that persist are a reason for an image whatever the age and the smoking.",)
_ASKS: tuple[ValueSet, ...] = (
    SMOKING_STATUS,
    *SYMPTOMS,
    condition_codes.PNEUMONIA,
    *_IMAGED,
    procedure_codes.ORDERED[actions.FOLLOW_UP_CHEST_X_RAY.code],
)


@pathway(
    id=ID,
    title=TITLE,
    source=BTS,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    reads=SIGNS[:2],
    needs=(Need.AGE,),
    asks=_ASKS,
    rules=(CHOICE, NOT_ROUTINE, SICK, ADULTS, OLD, RISK, SINCE, ORDERED),
    options=(GUIDELINE, SYMPTOM_DAYS),
    further=(ATS,),
    limits=_LIMITS,
)
def pneumonia_follow_up(case: Case) -> PathwayOutcome:
    """Advise on a chest radiograph some 6 weeks after pneumonia, where the site follows BTS 2009."""
    found = Reasoning(ID, TITLE, BTS, case)
    seen = signs(found)
    if not isinstance(seen, Signs):
        return seen
    if not seen.infiltrates:
        return found.nothing("no consolidation and no pneumonia was detected on the images")
    if (other := _unwanted(found)) is not None:
        return other
    sick = found.apply(SICK, acutely_ill(found, int(number(case, ID, SYMPTOM_DAYS)), effusion_alone=False))
    if sick is None:
        return found.could_not_tell(found.say("it is not known whether the patient is acutely ill"))
    if not sick:
        return found.nothing("no acute symptom is on record around the day of the images")
    return _by_risk(found, seen)


def _unwanted(found: Reasoning) -> NothingToSay | None:
    """Why there is no follow-up image to suggest at this site, or to this patient; None where there may be one."""
    case, guideline = found.case, option(found.case, ID, GUIDELINE)
    if found.apply(CHOICE, guideline is None):
        return found.nothing("the site has not decided which guideline it follows")
    if found.apply(NOT_ROUTINE, guideline == "ats-idsa-2019"):
        return found.nothing("the site follows a guideline without routine follow-up images")
    if not found.apply(ADULTS, _age(case) >= 18):
        return found.nothing("the pathway is for adults")
    if found.apply(OLD, add_months(case.study_date, 12) < case.today):
        return found.nothing("the images are older than 12 months")
    return None


def _by_risk(found: Reasoning, seen: Signs) -> PathwayOutcome:
    risk = found.apply(RISK, any_of((_age(found.case) > 50, _smokes(found))))
    if risk is None:
        return found.could_not_tell(found.say("the smoking status is not known"))
    if not risk:
        return found.nothing("neither age nor smoking asks for a follow-up image; symptoms that persist would")
    if found.apply(SINCE, any_of([_imaged(found, one) for one in _IMAGED])):
        return found.nothing("the chest was imaged again since")
    if found.apply(ORDERED, asked_already(found, actions.FOLLOW_UP_CHEST_X_RAY)):
        return found.nothing("a follow-up image is ordered")
    show(found, seen)
    _recommend(found)
    case = found.case
    return found.advice(
        found.say("Pneumonia on {modality} {day} (AI): follow-up image", modality=case.modality, day=case.study_date),
        Indicator.INFO,
        tuple(one.finding.key for one in seen.infiltrates),
        seen=tuple(
            found.say("{sign}: {seen}.", sign=title(one), seen=certainty(found, one)) for one in seen.infiltrates
        ),
        meaning=(found.say("A cancer can lie behind a pneumonia, more often in smokers and above 50 years."),),
        limits=(*dict.fromkeys(limit for one in seen.infiltrates for limit in one.by.limits), *map(found.say, _LIMITS)),
        further=(ATS,),
    )


def _imaged(found: Reasoning, value_set: ValueSet) -> bool | None:
    """Whether the chest was imaged late enough to tell that the pneumonia is gone; earlier images are told."""
    case = found.case
    fact = case.ehr.procedure(value_set.name)
    if isinstance(fact, Known) and fact.effective is None:
        fact = Unknown(found.say("it has no date"))
    there = noted(found, fact, value_set, "look in the record, or ask the patient")
    if not isinstance(fact, Known) or fact.effective is None:
        return there
    late = fact.effective >= case.study_date + timedelta(weeks=_EARLIEST_WEEKS)
    if not late and fact.effective > case.study_date:
        text = "{title} of {day}: too early to tell that the pneumonia is gone."
        found.note(found.say(text, title=found.say(value_set.title), day=fact.effective))
    return late


def _recommend(found: Reasoning) -> None:
    due = found.case.study_date + timedelta(weeks=_WEEKS)
    late = due <= found.case.today
    found.recommend(
        Recommendation(
            key="follow-up-image",
            action=found.say("Chest X-ray about 6 weeks after the pneumonia"),
            code=actions.FOLLOW_UP_CHEST_X_RAY,
            reason=found.say("To see that the shadow is gone, and that no cancer was behind it."),
            source=BTS,
            because=because(found),
            not_before=None if late else due,
            by=found.case.today if late else None,
            would_change=(found.say("An image of the chest since then that shows it is gone."),),
        )
    )


def _smokes(found: Reasoning) -> bool | None:
    """Whether the patient smokes now; who has smoked is none of those that the guideline names."""
    status = found.case.ehr.smoking_status
    if isinstance(status, Known) and status.value is not SmokingStatus.UNKNOWN:
        found.use(SMOKING_STATUS.title, status, lambda one: one.value)
        return status.value is SmokingStatus.CURRENT
    if _age(found.case) <= 50:
        unknown = Unknown(found.say("it is recorded as unknown")) if isinstance(status, Known) else status
        found.lacks(SMOKING_STATUS.title, unknown, found.say("ask the patient and record it"))
    return None


def _age(case: Case) -> int:
    """Completed years on the day of the images, which `Need.AGE` has made sure of."""
    return age_on(case.ehr.birth_date, case.study_date) or 0

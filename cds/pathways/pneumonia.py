"""Signs of pneumonia on a chest image in somebody who is acutely ill: CURB-65, and by it the place of care.

Lim et al., Thorax 2003;58:377-382, doi:10.1136/thorax.58.5.377; NICE NG250 (2025): 0 or 1 home, 2 by judgement, 3 or
more hospital. BTS 2009, doi:10.1136/thx.2009.121434. The points that are known are told; missing ones are no zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from cds import action_codes as actions
from cds import condition_codes, medication_codes, procedure_codes
from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, Case, Indicator, NothingToSay, PathwayOutcome, Recommendation, Source
from cds.pathways import Need, Rule, pathway
from cds.pathways._bedside import any_of, because, certainty
from cds.pathways._guards import age_on, asked_already, known, taken
from cds.pathways._infection import SIGNS, SYMPTOM_DAYS, SYMPTOMS, Signs, acutely_ill, show, signs, title
from cds.pathways._pneumonia_scores import ASKS as SCORES_ASK
from cds.pathways._pneumonia_scores import (
    CONFUSION,
    FRESH,
    PSI_HIGH,
    VALUE_DAYS,
    Points,
    curb65,
    psi_is_high,
    unasked_diseases,
)
from cds.pathways._reasoning import Reasoning
from cds.pathways.declaration import number
from cds.risk.curb65 import SCORE as CURB65
from cds.risk.psi import SCORE as PSI

ID = "pneumonia"
TITLE = "Pneumonia: place of care by CURB-65"
NICE = Source("NICE NG250, pneumonia", "https://www.nice.org.uk/guidance/ng250")
BTS = Source("BTS 2009, community acquired pneumonia", "https://doi.org/10.1136/thx.2009.121434")
ATS = Source("ATS/IDSA 2019, community-acquired pneumonia", "https://doi.org/10.1164/rccm.201908-1581ST")
FINE = Source("Fine 1997, Pneumonia Severity Index", "https://doi.org/10.1056/NEJM199701233360402")

SICK = Rule(
    "symptoms",
    "Consolidation or pneumonia leads to CURB-65 with an acute symptom or a diagnosis within 7 days.",
)
EFFUSION = Rule(
    "effusion",
    "A pleural effusion alone leads to CURB-65 only with cough, fever or a diagnosis of pneumonia.",
)
ADULTS = Rule("adults", "The pathway is for adults of 18 years or more.")
OLD = Rule("old-images", "Images older than 7 days lead to no advice on the place of care.")
HOME = Rule("home", "With 0 or 1 point care at home is suggested.", NICE)
SUPERVISED = Rule("supervised", "With 2 points a short stay or hospital-supervised care is suggested.", BTS)
ADMIT = Rule("admit", "With 3 points or more hospital assessment is suggested.", NICE)
INTENSIVE = Rule("intensive-care", "With 4 or 5 points intensive care is to be considered.", BTS)
OPEN = Rule("open", "Where missing values leave the place of care open they are asked for.")
IMMUNITY = Rule("immunity", "Care at home is suggested only where immunosuppression was looked for and not found.", ATS)
ORDERED = Rule("ordered", "What is ordered is not asked for again.")

_LIMITS = (
    "CURB-65 is for pneumonia that was acquired outside hospital; it supports a clinician's judgement.",
    "Low oxygen, other diseases, pregnancy and the situation at home count too, and are not in CURB-65.",
)
_ASKS: tuple[ValueSet, ...] = (
    *SYMPTOMS,
    condition_codes.PNEUMONIA,
    condition_codes.IMMUNOSUPPRESSION,
    medication_codes.IMMUNOSUPPRESSANT,
    *SCORES_ASK,
    *(
        procedure_codes.ORDERED[one.code]
        for one in (actions.HOME_CARE, actions.SUPERVISED_CARE, actions.ADMISSION_ASSESSMENT, actions.CURB65_VALUES)
    ),
)


@dataclass(frozen=True, slots=True)
class _Place:
    """A place of care: how it is suggested."""

    key: str
    text: str
    priority: Priority
    source: Source


_PLACES = {
    actions.HOME_CARE: _Place("home", "Care at home with a safety net", Priority.ROUTINE, NICE),
    actions.SUPERVISED_CARE: _Place(
        "supervised", "Short stay or hospital-supervised care for pneumonia", Priority.URGENT, BTS
    ),
    actions.ADMISSION_ASSESSMENT: _Place("hospital", "Hospital assessment for pneumonia", Priority.ASAP, NICE),
}


@pathway(
    id=ID,
    title=TITLE,
    source=NICE,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    reads=SIGNS,
    needs=(Need.AGE,),
    asks=tuple(dict.fromkeys(_ASKS)),
    rules=(
        SICK,
        EFFUSION,
        ADULTS,
        OLD,
        FRESH,
        CONFUSION,
        HOME,
        SUPERVISED,
        ADMIT,
        INTENSIVE,
        OPEN,
        PSI_HIGH,
        IMMUNITY,
        ORDERED,
    ),
    options=(SYMPTOM_DAYS, VALUE_DAYS),
    scores=(CURB65.id, PSI.id),
    further=(BTS, ATS, FINE, CURB65.source),
    limits=_LIMITS,
)
def pneumonia(case: Case) -> PathwayOutcome:
    """Advise on the place of care where the images show signs of pneumonia in somebody who is acutely ill."""
    found = Reasoning(ID, TITLE, NICE, case)
    seen = signs(found)
    if not isinstance(seen, Signs):
        return seen
    days = int(number(case, ID, SYMPTOM_DAYS))
    age = age_on(case.ehr.birth_date, case.study_date) or 0
    if not found.apply(ADULTS, age >= 18, str(age)):
        return found.nothing("the pathway is for adults")
    if found.apply(OLD, case.today - case.study_date > timedelta(days=days)):
        return found.nothing("the images are too old for advice on the place of care")
    alone = not seen.infiltrates
    sick = found.apply(EFFUSION if alone else SICK, acutely_ill(found, days, effusion_alone=alone))
    if sick is None:
        return found.could_not_tell(found.say("it is not known whether the patient is acutely ill"))
    if not sick:
        return found.nothing("no acute symptom is on record around the day of the images")
    show(found, seen)
    return _advised(found, seen, curb65(found, age))


# --- the card --------------------------------------------------------------------------------------------------------


def _advised(found: Reasoning, seen: Signs, points: Points) -> Advice | NothingToSay:
    severe = psi_is_high(found, seen, points)
    _places(found, points, severe=severe)
    case, first = found.case, next((one.action for one in found.recommendations), "")
    if not first and not any(step.rule == IMMUNITY.key and step.held is None for step in found.steps):
        return found.nothing("nothing is left to suggest: " + ("; ".join(found.quiet) or "it is ordered"))
    text = "Signs of pneumonia on {modality} {day} (AI), CURB-65 {points}"
    said = found.say(text, modality=case.modality, day=case.study_date, points=_said(found, points))
    said += found.say(". To consider: {step}", step=first) if first else ""
    return found.advice(
        said,
        Indicator.INFO if points.sure(_at_home) and not severe else Indicator.WARNING,
        tuple(one.finding.key for one in seen.all),
        seen=tuple(found.say("{sign}: {seen}.", sign=title(one), seen=certainty(found, one)) for one in seen.all),
        meaning=_meaning(found, points),
        limits=(*dict.fromkeys(limit for one in seen.all for limit in one.by.limits), *map(found.say, _LIMITS)),
        further=(BTS, CURB65.source),
    )


def _at_home(points: int) -> bool:
    return points <= 1


def _places(found: Reasoning, points: Points, *, severe: bool) -> None:
    """The place that the points lead to whatever is missing, and the missing values where they could change it."""
    said = _said(found, points)
    if found.apply(ADMIT, points.sure(lambda points: points >= 3), said) or severe:
        found.apply(INTENSIVE, points.sure(lambda points: points >= 4), said)
        return _suggest(found, points, actions.ADMISSION_ASSESSMENT, severe=severe)
    at_home = found.apply(HOME, points.sure(_at_home), said)
    found.apply(OPEN, not points.known and not at_home, said)
    if at_home:
        return _home(found, points)
    if not points.known:
        _ask_values(found, points)
    # Two known points call for no less than this, whatever the missing ones are.
    if found.apply(SUPERVISED, points.least == 2 if points.known or points.least == 2 else None, said):
        _suggest(found, points, actions.SUPERVISED_CARE)
    return None


def _home(found: Reasoning, points: Points) -> None:
    unasked_diseases(found)
    weak = any_of((known(found, condition_codes.IMMUNOSUPPRESSION), taken(found, medication_codes.IMMUNOSUPPRESSANT)))
    if found.apply(IMMUNITY, weak) is False:
        _suggest(found, points, actions.HOME_CARE)
    elif weak:
        text = found.say("Care at home: not suggested, CURB-65 does not hold in immunosuppression.")
        found.note(text, "CURB-65 does not hold in immunosuppression")
    else:
        found.note(found.say("Care at home: not suggested before it is known whether there is immunosuppression."))


def _suggest(found: Reasoning, points: Points, code: Coding, *, severe: bool = False) -> None:
    if found.apply(ORDERED, asked_already(found, code)):
        return
    place = _PLACES[code]
    intensive = code is actions.ADMISSION_ASSESSMENT and points.least >= 4
    action = found.say("Hospital assessment for pneumonia; consider intensive care") if intensive else ""
    found.recommend(
        Recommendation(
            key=place.key,
            action=action or found.say(place.text),
            code=code,
            reason=found.say("CURB-65 is {points}.", points=_said(found, points)) + _psi(found, severe=severe),
            source=BTS if intensive else FINE if severe else place.source,
            because=because(found),
            priority=Priority.STAT if intensive else place.priority,
            by=found.case.today if code is not actions.HOME_CARE else None,
            would_change=(
                found.say("Other values of confusion, urea, respiratory rate or blood pressure."),
                found.say("Low oxygen saturation, another serious disease, or no support at home."),
            ),
        )
    )


def _psi(found: Reasoning, *, severe: bool) -> str:
    return found.say(" The Pneumonia Severity Index is of class IV or V.") if severe else ""


def _ask_values(found: Reasoning, points: Points) -> None:
    if found.apply(ORDERED, asked_already(found, actions.CURB65_VALUES)):
        return
    what = found.say(", ").join(points.missing)
    found.recommend(
        Recommendation(
            key="curb-65-values",
            action=found.say("Complete CURB-65: {what}", what=what),
            code=actions.CURB65_VALUES,
            reason=found.say("CURB-65 is {points}: the place of care is open.", points=_said(found, points)),
            source=NICE,
            because=because(found),
            priority=Priority.ASAP if points.most >= 3 else Priority.URGENT,
            by=found.case.today,
            would_change=(found.say("The values that are missing."),),
        )
    )


def _said(found: Reasoning, points: Points) -> str:
    if points.known:
        return str(points.least)
    return found.say("at least {least}, at most {most}", least=points.least, most=points.most)


def _meaning(found: Reasoning, points: Points) -> tuple[str, ...]:
    told = [found.say("CURB-65 is {points} of 5 points.", points=_said(found, points))]
    if points.missing:
        told.append(found.say("Not known: {what}.", what=found.say(", ").join(points.missing)))
    if points.least >= 3:
        told.append(found.say("With 3 points or more the risk of death within 30 days was above 15 %."))
    return tuple(told)

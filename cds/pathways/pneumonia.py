"""Signs of pneumonia on a chest image in somebody who is acutely ill: CURB-65, and by it the place of care.

Lim et al., Thorax 2003;58:377-382, doi:10.1136/thorax.58.5.377; NICE NG250 (2025): 0 or 1 home, 2 by judgement, 3 or
more hospital. BTS 2009, doi:10.1136/thx.2009.121434. The points that are known are told; missing ones are no zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from cds import action_codes as actions
from cds import condition_codes, measurement_codes, procedure_codes
from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, Case, Indicator, NothingToSay, PathwayOutcome, Recommendation, Source
from cds.pathways import Need, Rule, pathway
from cds.pathways._guards import age_on, asked_already
from cds.pathways._infection import SIGNS, SYMPTOM_DAYS, SYMPTOMS, Signs, acutely_ill, show, signs, title
from cds.pathways._pneumonia_scores import ASKS as SCORES_ASK
from cds.pathways._pneumonia_scores import (
    BTS,
    CONFUSION,
    FRESH,
    HYPOTENSION,
    OXYGEN,
    PSI_HIGH,
    SATURATION,
    VALUE_DAYS,
    Points,
    curb65,
    hypotensive,
    psi_is_high,
    short_of_oxygen,
    unasked_diseases,
)
from cds.pathways._pneumonia_whom import ASKS as WHOM_ASK
from cds.pathways._pneumonia_whom import ATS, IMMUNITY, PREGNANCY, PREGNANT, WEAK, immunosuppressed, pregnant
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because, certainty
from cds.pathways.declaration import number
from cds.risk.curb65 import SCORE as CURB65
from cds.risk.psi import SCORE as PSI

ID = "pneumonia"
TITLE = "Pneumonia: place of care by CURB-65"
NICE = Source("NICE NG250, pneumonia", "https://www.nice.org.uk/guidance/ng250")
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
BREATHING = Rule(
    "home-oxygen",
    "Care at home is suggested only with a known oxygen saturation of 94 % or more, which else is asked for.",
    BTS,
)
ORDERED = Rule("ordered", "What is ordered is not asked for again.")

_LIMITS = (
    "CURB-65 is for pneumonia that was acquired outside hospital; it supports a clinician's judgement.",
    "Other diseases and the situation at home count too, and are not in CURB-65.",
    "In a chronic disease of the lungs the patient's usual oxygen saturation counts.",
)
_ASKS: tuple[ValueSet, ...] = (
    *SYMPTOMS,
    condition_codes.PNEUMONIA,
    *WHOM_ASK,
    *SCORES_ASK,
    *(
        procedure_codes.ORDERED[one.code]
        for one in (actions.HOME_CARE, actions.SUPERVISED_CARE, actions.ADMISSION_ASSESSMENT, actions.CURB65_VALUES)
    ),
)


def _at_home(points: int) -> bool:
    return points <= 1


@dataclass(frozen=True, slots=True)
class _Ill:
    """What the place of care follows from: points, PSI of class IV or V, low oxygen or pressure, and whose it is."""

    points: Points
    severe: bool
    oxygen: bool | None
    weak: bool | None
    pregnant: bool | None
    low_pressure: bool | None

    @property
    def unscored(self) -> bool:
        """Whether CURB-65 does not hold for this patient."""
        return self.weak is True or self.pregnant is True

    @property
    def to_hospital(self) -> bool:
        """Whether something asks for hospital, whatever the points are."""
        return self.severe or self.oxygen is True or self.unscored or self.low_pressure is True

    @property
    def may_go_home(self) -> bool:
        """Whether all that speaks against care at home is known not to be there."""
        against = (self.oxygen, self.weak, self.pregnant)
        return bool(self.points.sure(_at_home)) and all(one is False for one in against) and not self.to_hospital


@dataclass(frozen=True, slots=True)
class _Place:
    """A place of care: how it is suggested, and how the summary says it."""

    key: str
    text: str
    short: str
    source: Source


_PLACES = {
    actions.HOME_CARE: _Place("home", "Care at home with a safety net", "care at home", NICE),
    actions.SUPERVISED_CARE: _Place(
        "supervised", "Short stay or hospital-supervised care for pneumonia", "short stay or supervised care", BTS
    ),
    actions.ADMISSION_ASSESSMENT: _Place("hospital", "Hospital assessment for pneumonia", "hospital assessment", NICE),
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
        OXYGEN,
        HYPOTENSION,
        BREATHING,
        WEAK,
        IMMUNITY,
        PREGNANT,
        PREGNANCY,
        ORDERED,
    ),
    options=(SYMPTOM_DAYS, VALUE_DAYS, SATURATION),
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
    if not found.apply(ADULTS, age >= 18):
        return found.nothing("the pathway is for adults")
    if found.apply(OLD, case.today - case.study_date > timedelta(days=days)):
        return found.nothing("the images are too old for advice on the place of care")
    alone = not seen.infiltrates
    sick = found.apply(EFFUSION if alone else SICK, acutely_ill(found, days, effusion_alone=alone))
    low = hypotensive(found)
    if sick is None and (alone or not low):
        return found.could_not_tell(found.say("it is not known whether the patient is acutely ill"))
    if sick is False:
        return found.nothing("no acute symptom is on record around the day of the images")
    show(found, seen)
    return _advised(found, seen, curb65(found, age), low)


# --- the card --------------------------------------------------------------------------------------------------------


def _advised(found: Reasoning, seen: Signs, points: Points, low: bool | None) -> Advice | NothingToSay:
    oxygen, severe = short_of_oxygen(found), psi_is_high(found, seen, points)
    ill = _Ill(points, severe, oxygen, immunosuppressed(found), pregnant(found), low)
    _places(found, ill)
    if not found.recommendations and not ill.unscored and found.quiet:
        return found.nothing("nothing is left to suggest: " + "; ".join(found.quiet))
    return found.advice(
        _summary(found, ill),
        Indicator.INFO if ill.may_go_home else Indicator.WARNING,
        tuple(one.finding.key for one in seen.all),
        seen=tuple(found.say("{sign}: {seen}.", sign=title(one), seen=certainty(found, one)) for one in seen.all),
        meaning=_meaning(found, ill),
        limits=(*dict.fromkeys(limit for one in seen.all for limit in one.by.limits), *map(found.say, _LIMITS)),
        further=(BTS, CURB65.source),
    )


def _summary(found: Reasoning, ill: _Ill) -> str:
    """Short enough for a card: the steps themselves are longer."""
    case, least, most = found.case, ill.points.least, ill.points.most
    span = str(least) if least == most else found.say("{least} to {most}", least=least, most=most)
    text = "Signs of pneumonia on {modality} {day} (AI), CURB-65 {points}"
    said = found.say(text, modality=case.modality, day=case.study_date, points=span)
    if not found.recommendations:
        return said
    place = _PLACES.get(found.recommendations[0].code)
    step = found.say(place.short) if place else found.say("the missing values first")
    return said + found.say(". To consider: {step}", step=step)


def _places(found: Reasoning, ill: _Ill) -> None:
    """The place that the points lead to whatever is missing, and the missing values where they could change it."""
    points, said = ill.points, _said(found, ill.points)
    if found.apply(ADMIT, points.sure(lambda points: points >= 3), said) or ill.to_hospital:
        found.apply(INTENSIVE, points.sure(lambda points: points >= 4), said)
        return _suggest(found, ill, actions.ADMISSION_ASSESSMENT)
    at_home = found.apply(HOME, points.sure(_at_home), said)
    found.apply(OPEN, not points.known and not at_home, said)
    if at_home:
        return _home(found, ill)
    if not points.known:
        _ask_values(found, ill)
    # Two known points call for no less than this, whatever the missing ones are.
    if found.apply(SUPERVISED, points.least == 2 if points.known or points.least == 2 else None, said):
        _suggest(found, ill, actions.SUPERVISED_CARE)
    return None


def _home(found: Reasoning, ill: _Ill) -> None:
    """Home, unless something that would speak against it is not known: then that is asked for."""
    unasked_diseases(found)
    breathes = found.apply(BREATHING, None if ill.oxygen is None else True)
    if found.apply(IMMUNITY, None if ill.weak is None else True) is None:
        found.note(found.say("Care at home: not suggested before it is known whether there is immunosuppression."))
    if found.apply(PREGNANCY, None if ill.pregnant is None else True) is None:
        found.note(found.say("Care at home: not suggested before pregnancy is excluded."))
    if breathes is None:
        found.note(found.say("Care at home: not suggested before the oxygen saturation is known."))
    if breathes is None or ill.pregnant is None:
        return _ask_values(found, ill)
    return None if ill.weak is None else _suggest(found, ill, actions.HOME_CARE)


def _suggest(found: Reasoning, ill: _Ill, code: Coding) -> None:
    if _ordered(found, code, urgent=code is not actions.HOME_CARE):
        return
    place, points = _PLACES[code], ill.points
    intensive = code is actions.ADMISSION_ASSESSMENT and points.least >= 4
    action = found.say("Hospital assessment for pneumonia; consider intensive care") if intensive else ""
    found.recommend(
        Recommendation(
            key=place.key,
            action=action or found.say(place.text),
            code=code,
            reason=_why(found, ill),
            source=BTS if intensive else _source(ill, place.source),
            because=because(found),
            priority=Priority.STAT if intensive else _priority(ill, code),
            by=found.case.today if code is not actions.HOME_CARE else None,
            would_change=_changes(found, code),
        )
    )


def _changes(found: Reasoning, code: Coding) -> tuple[str, ...]:
    values = found.say("Other values of confusion, urea, respiratory rate or blood pressure.")
    if code is actions.ADMISSION_ASSESSMENT:
        return (values,)
    return values, found.say("Low oxygen saturation, another serious disease, or no support at home.")


def _ordered(found: Reasoning, code: Coding, *, urgent: bool) -> bool | None:
    asked = asked_already(found, code, urgent=urgent)
    if asked:
        found.quiet.append("it is ordered")
    return found.apply(ORDERED, asked)


def _priority(ill: _Ill, code: Coding) -> Priority:
    if code is actions.HOME_CARE:
        return Priority.ROUTINE
    worst = ill.unscored and ill.points.most >= 3
    grave = ill.severe or ill.oxygen or ill.low_pressure or ill.points.least >= 3 or worst
    return Priority.ASAP if code is actions.ADMISSION_ASSESSMENT and grave else Priority.URGENT


def _source(ill: _Ill, usual: Source) -> Source:
    """What asks for hospital where the points do not."""
    if ill.points.least >= 3:
        return usual
    if ill.low_pressure:
        return CURB65.source
    if ill.oxygen:
        return BTS
    return FINE if ill.severe else ATS if ill.weak else usual


def _why(found: Reasoning, ill: _Ill) -> str:
    reasons = [found.say("CURB-65 is {points}.", points=_said(found, ill.points))]
    reasons += [found.say("Oxygen is low.")] if ill.oxygen else []
    reasons += [found.say("The Pneumonia Severity Index is of class IV or V.")] if ill.severe else []
    reasons += [found.say("The systolic blood pressure is below 90 mmHg.")] if ill.low_pressure else []
    reasons += [found.say("CURB-65 does not hold in immunosuppression.")] if ill.weak else []
    reasons += [found.say("CURB-65 does not hold in pregnancy.")] if ill.pregnant else []
    return " ".join(reasons)


def _ask_values(found: Reasoning, ill: _Ill) -> None:
    points = ill.points
    if _ordered(found, actions.CURB65_VALUES, urgent=True):
        return
    open_ = (measurement_codes.OXYGEN_SATURATION.title, ill.oxygen), (found.say("pregnancy"), ill.pregnant)
    what = found.say(", ").join((*points.missing, *(title for title, held in open_ if held is None)))
    home = bool(points.sure(_at_home))
    text = (
        "CURB-65 is {points}, and care at home needs that this is known: {what}."
        if home
        else "CURB-65 is {points}: the place of care is open."
    )
    found.recommend(
        Recommendation(
            key="curb-65-values",
            action=found.say("Find out before the place of care is chosen: {what}", what=what),
            code=actions.CURB65_VALUES,
            reason=found.say(text, points=_said(found, points), what=what),
            source=BTS if home else NICE,
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


def _meaning(found: Reasoning, ill: _Ill) -> tuple[str, ...]:
    points = ill.points
    told = [found.say("CURB-65 is {points} of 5 points.", points=_said(found, points))]
    if ill.weak:
        told.append(found.say("CURB-65 does not hold in immunosuppression."))
    if ill.pregnant:
        told.append(found.say("CURB-65 does not hold in pregnancy."))
    if points.missing:
        told.append(found.say("Not known: {what}.", what=found.say(", ").join(points.missing)))
    if points.least >= 3:
        told.append(found.say("With 3 points or more the risk of death within 30 days was above 15 %."))
    return tuple(told)

"""Emphysema on CT and smoking: spirometry, a lung cancer screening visit, help to stop smoking.

Trigger: the low-attenuation area of the lung (LAA-950, %) reaches the cut-off that the site set, and the smoking
status is known. LAA-950 has no agreed cut-off: unset means not evaluated. What else is missing stands in the card.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from cds import codes, finding_codes, units
from cds.codes import ValueSet
from cds.domain.ehr import ClinicalItem, Fact, Known, NotFoundSince, SmokingStatus, Unknown
from cds.domain.finding import NotEvaluated
from cds.domain.recommendation import (
    Advice,
    Case,
    CouldNotTell,
    Indicator,
    InputUsed,
    NothingToSay,
    PathwayOutcome,
    Recommendation,
    Source,
)
from cds.errors import InvalidInput
from cds.pathways import _lung_screening, pathway
from cds.pathways._facts import Measured, Missing, age_years, ordered, refused, values, where, words
from cds.pathways._guards import stated
from cds.pathways._lung_screening import age_is_missing, day_of, screening
from cds.pathways._reasoning import Reasoning
from cds.pathways.declaration import Option, Rule, option
from cds.risk.uspstf_lung_2021 import SCORE as USPSTF_LUNG

ID = "emphysema"
TITLE = "Emphysema on CT and smoking"
#: The model whose refusal says that the density could not be measured.
MODEL = "ct_lung_density"

#: "Consider primary care respiratory review and spirometry for people with emphysema … on a chest X-ray or CT scan."
NICE = Source("NICE NG115, incidental findings on CT", "https://www.nice.org.uk/guidance/ng115")
#: Lynch 2018: hazard ratio of death 1.7 to 5.0 for visual emphysema beyond trace, independent of LAA-950; smokers only.
COPDGENE = Source("COPDGene, Lynch 2018", "https://pmc.ncbi.nlm.nih.gov/articles/PMC6122195/")
USPSTF_TOBACCO = Source("USPSTF 2021, tobacco cessation", "https://doi.org/10.1001/jama.2020.25019")

CUT_OFF = Option("laa_950_percent", "Cut-off for LAA-950, which has no agreed one", None, "%", low=0.1, high=100)
CUT_OFF_ORIGIN = Option("laa_950_origin", "Who chose the cut-off for LAA-950", "set by this site")

REACHED = Rule("cut-off", "Emphysema is suspected where LAA-950 reaches the cut-off that the site set.")
UNSET = Rule("unset", "Without a cut-off of the site for LAA-950 nothing is evaluated.")
AGED = Rule("age", "The pathway is for people aged 16 and over.")
SMOKING = Rule("smoking", "Where the smoking status is not known no card is made.")
SPIROMETRY = Rule("spirometry", "Spirometry is suggested where neither spirometry nor COPD is on record.")
ASKED_FOR = Rule("spirometry-unknown", "Where nobody can tell whether spirometry was done it is not suggested.")
SPIROMETRY_ORDERED = Rule("spirometry-ordered", "Spirometry that is ordered is not asked for again.")
CESSATION = Rule("cessation", "Adults of 18 years or more who smoke now are offered help to stop.", USPSTF_TOBACCO)
CESSATION_ORDERED = Rule("cessation-ordered", "Help to stop smoking that is ordered is not asked for again.")

#: NICE NG115 is for people aged 16 and over.
_LOWEST_AGE = 16
#: USPSTF 2021 on tobacco is for "adults 18 years or older"; children and adolescents have one of their own.
_ADULT_AGE = 18
_SHORT = {"spirometry": "spirometry", "screening-visit": "screening visit", "cessation": "stop-smoking help"}
_ASKS = (codes.SMOKING_STATUS, codes.SPIROMETRY, codes.SPIROMETRY_ORDERED, codes.COPD, codes.CESSATION_ORDERED)


@dataclass(frozen=True, slots=True)
class _Trigger:
    """What set the pathway off: LAA-950 and cut-off in %, who chose it, and the smoking status."""

    laa: Measured
    percent: str
    cut_off: str
    origin: str
    status: Known[SmokingStatus]


@pathway(
    id=ID,
    title=TITLE,
    source=NICE,
    version="2.0.0",
    reviewed=date(2026, 11, 22),
    reads=(finding_codes.LAA_950,),
    asks=(*_ASKS, *_lung_screening.ASKS),
    rules=(
        REACHED,
        UNSET,
        AGED,
        SMOKING,
        SPIROMETRY,
        ASKED_FOR,
        SPIROMETRY_ORDERED,
        *_lung_screening.RULES,
        CESSATION,
        CESSATION_ORDERED,
    ),
    options=(CUT_OFF, CUT_OFF_ORIGIN),
    scores=(USPSTF_LUNG.id,),
    further=(COPDGENE, USPSTF_TOBACCO, _lung_screening.USPSTF),
    limits=("LAA-950 has no agreed cut-off, and is not the visual grade of emphysema.",),
)
def emphysema(case: Case) -> PathwayOutcome:
    """Advise on emphysema seen by quantitative CT, together with what the record says of smoking."""
    found = Reasoning(ID, TITLE, NICE, case)
    measured = tuple(values(case, finding_codes.LAA_950))
    if not measured:
        return _unmeasured(found)
    born = case.ehr.birth_date
    if found.apply(AGED, _of_age(born, _LOWEST_AGE, case.today)) is False:
        return found.nothing(f"the guideline is for people aged {_LOWEST_AGE} and over")
    trigger = _trigger(found, measured)
    if not isinstance(trigger, _Trigger):
        return trigger
    _spirometry(found, trigger)
    screening(found, trigger.status.value)
    _cessation(found, trigger)
    if not found.recommendations and not found.missing:
        return found.nothing("nothing is left to suggest: " + "; ".join(found.quiet))
    return _advice(found, trigger)


# --- trigger ---------------------------------------------------------------------------------------------------------


def _unmeasured(found: Reasoning) -> NothingToSay | CouldNotTell:
    """Nothing where no model looked at the density of the lung; else why it could not be measured."""
    whole = (o for o in found.case.outcomes if isinstance(o, NotEvaluated) and o.model == MODEL)
    reasons = (*refused(found.case, finding_codes.LAA_950), *(reason for one in whole for reason in one.reasons))
    if not reasons:
        return found.nothing("no model measured the density of the lung on this study")
    return found.could_not_tell(
        found.say("the density of the lung could not be measured: {reasons}", reasons="; ".join(reasons))
    )


def _of_age(born: Fact[date], age: int, on: date) -> bool | None:
    return age_years(born.value, on) >= age if isinstance(born, Known) else None


def _trigger(found: Reasoning, measured: tuple[Measured, ...]) -> _Trigger | NothingToSay | CouldNotTell:
    case = found.case
    try:
        percent, laa = max(((units.convert(one.value, "%").value, one) for one in measured), key=lambda two: two[0])
        text = option(case, ID, CUT_OFF)
    except InvalidInput as error:
        return found.could_not_tell(str(error))
    if found.apply(UNSET, text is None) or text is None:
        return _cut_off_is_unset(found)
    said, cut_off = _percent(percent), _percent(float(text))
    if not found.apply(REACHED, percent >= float(text), said):
        below = "LAA-950 is below the site's cut-off"
        return found.nothing(f"{below}: emphysema was not detected at this threshold, which does not exclude it")
    status = case.ehr.smoking_status
    if not isinstance(status, Known) or status.value is SmokingStatus.UNKNOWN:
        return _smoking_is_unknown(found, status, said, cut_off)
    found.apply(SMOKING, False)
    origin = option(case, ID, CUT_OFF_ORIGIN) or ""
    return _used(found, _Trigger(laa, said, cut_off, found.say(origin) if origin else origin, status))


def _cut_off_is_unset(found: Reasoning) -> CouldNotTell:
    how = found.say("the site sets the option {option} in %", option=f"{ID}.{CUT_OFF.name}")
    found.missing.append(Missing(found.say("cut-off for LAA-950"), found.say("it is not set"), how))
    return found.could_not_tell(found.say("not evaluated: the site has set no cut-off; LAA-950 has no agreed cut-off"))


def _smoking_is_unknown(found: Reasoning, status: Fact[SmokingStatus], said: str, cut_off: str) -> CouldNotTell:
    found.apply(SMOKING, True)
    if isinstance(status, Known):
        day = status.effective.isoformat() if status.effective else found.say("no date")
        status = Unknown(found.say("it is recorded as unknown ({day}, {source})", day=day, source=status.source))
    found.lacks(found.say("smoking status"), status, found.say("ask the patient and record it (LOINC 72166-2)"))
    return found.could_not_tell(
        found.say(
            "LAA-950 {said} reaches the site's cut-off of {cut_off}, but the smoking status is not known",
            said=said,
            cut_off=cut_off,
        )
    )


def _used(found: Reasoning, trigger: _Trigger) -> _Trigger:
    found.measured(found.say("LAA-950"), trigger.percent, where(found.case, trigger.laa))
    origin = found.say("site option, {origin}", origin=trigger.origin)
    found.inputs.append(InputUsed(found.say("cut-off for LAA-950"), trigger.cut_off, None, origin))
    words_of = {
        SmokingStatus.CURRENT: found.say("smokes now"),
        SmokingStatus.FORMER: found.say("smoked, has stopped"),
        SmokingStatus.NEVER: found.say("never smoked"),
    }
    found.use(found.say("smoking status"), trigger.status, words_of.__getitem__)
    return trigger


# --- the steps -------------------------------------------------------------------------------------------------------


def _spirometry(found: Reasoning, trigger: _Trigger) -> None:
    ehr = found.case.ehr
    spirometry, copd = ehr.procedure(codes.SPIROMETRY.name), ehr.condition(codes.COPD.name)
    found.use(found.say("spirometry"), spirometry, words)
    found.use(found.say("COPD"), copd, words)
    known = stated(spirometry), stated(copd)
    found.apply(SPIROMETRY, False if True in known else True if known[0] is False else None)
    if isinstance(spirometry, Known):
        text = found.say("Spirometry: spirometry is on record ({day}, {source}).", **_dated(found, spirometry))
        return found.note(text, "spirometry is on record")
    if isinstance(copd, Known):
        text = found.say("Spirometry: COPD is on record ({day}, {source}).", **_dated(found, copd))
        return found.note(text, "COPD is on record")
    if (request := ordered(found.case, codes.SPIROMETRY_ORDERED)) is not None:
        found.apply(SPIROMETRY_ORDERED, True)
        text = found.say(
            "Spirometry: an open request for spirometry is on record ({day}, {source}).", **_dated(found, request)
        )
        return _ordered(found, text, codes.SPIROMETRY_ORDERED, request)
    if found.apply(ASKED_FOR, isinstance(spirometry, Unknown)):
        how = found.say("look in the pulmonary function reports, or ask the patient")
        found.lacks(found.say("spirometry"), spirometry, how)
    elif isinstance(spirometry, NotFoundSince):
        found.unasked(found.say("COPD"), copd, found.say("look at the problem list"))
        _request_spirometry(found, trigger, spirometry)
    return None


def _dated(found: Reasoning, fact: Known[ClinicalItem]) -> dict[str, str]:
    return {"day": day_of(found, fact), "source": fact.source}


def _ordered(found: Reasoning, told: str, value_set: ValueSet, request: Known[ClinicalItem]) -> None:
    """What somebody has ordered already is not suggested again."""
    found.use(found.say(value_set.title), request, words)
    found.note(told, f"an {value_set.title} is on record")


def _request_spirometry(found: Reasoning, trigger: _Trigger, searched: NotFoundSince) -> None:
    found.recommend(
        Recommendation(
            key="spirometry",
            action=found.say("Spirometry"),
            code=codes.SPIROMETRY_REQUEST,
            reason=found.say(
                "Emphysema on CT, and {none}: airflow is not known from CT.",
                none=found.absent(found.say("spirometry"), searched),
            ),
            source=NICE,
            because=_because(found, trigger),
            would_change=(found.say("Spirometry or COPD on record elsewhere."),),
        )
    )


def _because(found: Reasoning, trigger: _Trigger) -> tuple[str, ...]:
    return (
        found.say(
            "LAA-950 {said} on {day} ({source}).",
            said=trigger.percent,
            day=found.case.study_date,
            source=where(found.case, trigger.laa),
        ),
    )


def _cessation(found: Reasoning, trigger: _Trigger) -> None:
    if trigger.status.value is not SmokingStatus.CURRENT:
        found.apply(CESSATION, False)
        return
    adult = found.apply(CESSATION, _of_age(found.case.ehr.birth_date, _ADULT_AGE, found.case.today))
    request = ordered(found.case, codes.CESSATION_ORDERED)
    if adult is None:
        age_is_missing(found)
    elif not adult:
        text = found.say("Help to stop smoking: the recommendation is for adults aged 18 and over.")
        found.note(text, "the recommendation is for adults aged 18 and over")
    elif found.apply(CESSATION_ORDERED, request is not None) and request is not None:
        text = found.say(
            "Help to stop smoking: an open request for help to stop smoking is on record ({day}, {source}).",
            **_dated(found, request),
        )
        _ordered(found, text, codes.CESSATION_ORDERED, request)
    else:
        _help_to_stop(found, trigger)


def _help_to_stop(found: Reasoning, trigger: _Trigger) -> None:
    status = trigger.status
    day = status.effective.isoformat() if status.effective else found.say("no date")
    found.recommend(
        Recommendation(
            key="cessation",
            action=found.say("Help to stop smoking: counselling and medication"),
            code=codes.CESSATION_REQUEST,
            reason=found.say("Smokes now, with emphysema on CT."),
            source=USPSTF_TOBACCO,
            strength="grade A",
            because=(found.say("Smokes now ({day}, {source}).", day=day, source=status.source),),
            would_change=(found.say("A newer smoking status."),),
        )
    )


# --- the card --------------------------------------------------------------------------------------------------------


def _advice(found: Reasoning, trigger: _Trigger) -> Advice:
    ageless = not isinstance(found.case.ehr.birth_date, Known)
    if ageless:
        age_is_missing(found)
        found.recommendations = [replace(one, reason=_of_unknown_age(found, one)) for one in found.recommendations]
    return found.advice(
        _summary(found, trigger),
        Indicator.INFO,
        (trigger.laa.finding.key,),
        seen=(_seen(found, trigger),),
        meaning=_meaning(found, trigger.status.value),
        limits=trigger.laa.by.limits,
        further=() if trigger.status.value is SmokingStatus.NEVER else (COPDGENE,),
    )


def _of_unknown_age(found: Reasoning, one: Recommendation) -> str:
    """Where the age is not known the draft itself says so, wherever it is read (SAFETY section 1)."""
    return found.say("{reason} The age is not known.", reason=one.reason)


def _summary(found: Reasoning, trigger: _Trigger) -> str:
    steps = ", ".join(found.say(_SHORT[one.key]) for one in found.recommendations) or found.say("data missing")
    return found.say(
        "Possible emphysema on CT {day} (AI, LAA-950 {said}). To consider: {steps}",
        day=found.case.study_date,
        said=trigger.percent,
        steps=steps,
    )


def _seen(found: Reasoning, trigger: _Trigger) -> str:
    return found.say(
        "Low-attenuation area of the lung below -950 HU (LAA-950): {said} on the CT of {day}, measured by {model}"
        " {version}. It reaches the cut-off of {cut_off} ({origin}). LAA-950 has no agreed cut-off.",
        said=trigger.percent,
        day=found.case.study_date,
        model=trigger.laa.by.model,
        version=trigger.laa.by.version,
        cut_off=trigger.cut_off,
        origin=trigger.origin,
    )


def _meaning(found: Reasoning, status: SmokingStatus) -> tuple[str, ...]:
    text = found.say("Emphysema lowers the density of the lung. CT does not tell the airflow.")
    if status is SmokingStatus.NEVER:
        return (
            text,
            found.say("In people who never smoked, consider other causes such as alpha-1 antitrypsin deficiency."),
        )
    return (
        text,
        found.say(
            "In smokers, visible emphysema beyond trace went with a higher risk of death (hazard ratios 1.7 to 5.0 by"
            " grade, COPDGene); LAA-950 is not that visual grade."
        ),
    )


def _percent(value: float) -> str:
    return f"{value:.4g} %"

"""Emphysema on CT and smoking: spirometry, a lung cancer screening visit, help to stop smoking.

Trigger: emphysema was marked by a model or a radiologist, or the low-attenuation area of the lung (LAA-950, %) reaches
the cut-off that the site set; and the smoking status is known. LAA-950 has no agreed cut-off: unset means not
evaluated. What else is missing stands in the card.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from cds import codes, finding_codes
from cds.domain.ehr import Fact, Known, NotFoundSince, SmokingStatus, Unknown
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
from cds.pathways._cessation import RULES as CESSATION
from cds.pathways._cessation import USPSTF_TOBACCO, cessation, dated, of_age, of_images, ordered
from cds.pathways._emphysema import CUT_OFF, RADIOGRAPHS, largest, marked
from cds.pathways._facts import Measured, Missing, Seen, findings, refused, values, where, words
from cds.pathways._guards import open_request, stated
from cds.pathways._lung_screening import age_is_missing, screening
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import certainty
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


CUT_OFF_ORIGIN = Option("laa_950_origin", "Who chose the cut-off for LAA-950", "set by this site")

REACHED = Rule("cut-off", "Emphysema is suspected where LAA-950 reaches the cut-off that the site set.")
UNSET = Rule("unset", "Without a cut-off of the site LAA-950 alone is not evaluated.")
MARKED = Rule("marked", "Emphysema that a model or a radiologist marked on CT counts whatever LAA-950 is.")
RADIOGRAPH = Rule("radiograph", "Emphysema that was marked on a radiograph makes no card.")
GRADE = Rule("grade", "Of marked emphysema the grade is not known, and the step on spirometry says so.")
AGED = Rule("age", "The pathway is for people aged 16 and over.")
SMOKING = Rule("smoking", "Where the smoking status is not known no card is made.")
SPIROMETRY = Rule("spirometry", "Spirometry is suggested where neither spirometry nor COPD is on record.")
ASKED_FOR = Rule("spirometry-unknown", "Where nobody can tell whether spirometry was done it is not suggested.")
SPIROMETRY_ORDERED = Rule("spirometry-ordered", "Spirometry that is ordered is not asked for again.")

#: NICE NG115 is for people aged 16 and over.
_LOWEST_AGE = 16
_SHORT = {"spirometry": "spirometry", "screening-visit": "screening visit", "cessation": "stop-smoking help"}
_ASKS = (codes.SMOKING_STATUS, codes.SPIROMETRY, codes.SPIROMETRY_ORDERED, codes.COPD, codes.CESSATION_ORDERED)


@dataclass(frozen=True, slots=True)
class _Density:
    """LAA-950 and the site's cut-off in %, and who chose it."""

    laa: Measured
    percent: str
    cut_off: str
    origin: str


@dataclass(frozen=True, slots=True)
class _Trigger:
    """What set the pathway off: LAA-950 at the cut-off, emphysema that was marked, or both; and the smoking status."""

    dense: _Density | None
    marked: Seen | None
    status: Known[SmokingStatus]

    @property
    def seen(self) -> tuple[Seen | Measured, ...]:
        """The findings, the measured one first."""
        return tuple(one for one in (self.dense.laa if self.dense else None, self.marked) if one is not None)


@pathway(
    id=ID,
    title=TITLE,
    source=NICE,
    version="2.0.0",
    reviewed=date(2026, 11, 22),
    reads=(finding_codes.LAA_950, finding_codes.EMPHYSEMA, finding_codes.LUNG_NODULE),
    refused_by=(MODEL,),
    asks=(*_ASKS, *_lung_screening.ASKS),
    rules=(
        REACHED,
        MARKED,
        RADIOGRAPH,
        GRADE,
        UNSET,
        AGED,
        SMOKING,
        SPIROMETRY,
        ASKED_FOR,
        SPIROMETRY_ORDERED,
        *_lung_screening.RULES,
        *CESSATION,
    ),
    options=(CUT_OFF, CUT_OFF_ORIGIN),
    scores=(USPSTF_LUNG.id,),
    further=(COPDGENE, USPSTF_TOBACCO, _lung_screening.USPSTF),
    limits=("LAA-950 has no agreed cut-off, and is not the visual grade of emphysema.",),
)
def emphysema(case: Case) -> PathwayOutcome:
    """Advise on emphysema that was marked or measured on CT, together with what the record says of smoking."""
    found = Reasoning(ID, TITLE, NICE, case)
    measured, seen = values(case, finding_codes.LAA_950), marked(case)
    if found.apply(RADIOGRAPH, case.modality in RADIOGRAPHS):
        return found.nothing("what a radiograph tells of emphysema makes no card")
    if not measured and seen is None:
        return _unmeasured(found)
    born = case.ehr.birth_date
    if found.apply(AGED, of_age(born, _LOWEST_AGE, case.today)) is False:
        return found.nothing(f"the guideline is for people aged {_LOWEST_AGE} and over")
    trigger = _trigger(found, measured, seen)
    if not isinstance(trigger, _Trigger):
        return trigger
    _spirometry(found, trigger)
    screening(found, trigger.status.value)
    cessation(found, trigger.status)
    if not found.recommendations and not found.missing:
        return found.nothing("nothing is left to suggest: " + "; ".join(found.quiet))
    return _advice(found, trigger)


# --- trigger ---------------------------------------------------------------------------------------------------------


def _unmeasured(found: Reasoning) -> NothingToSay | CouldNotTell:
    """Nothing where no model looked at the density of the lung; else why it could not be measured."""
    whole = (o for o in found.case.outcomes if isinstance(o, NotEvaluated) and o.model == MODEL)
    told = refused(found.case, finding_codes.LAA_950, finding_codes.EMPHYSEMA)
    reasons = (*told, *(reason for one in whole for reason in one.reasons))
    if not reasons:
        if findings(found.case, finding_codes.EMPHYSEMA):
            return found.nothing("emphysema was not detected, which does not exclude it")
        return found.nothing("no model measured the density of the lung on this study")
    return found.could_not_tell(
        found.say("the density of the lung could not be measured: {reasons}", reasons="; ".join(reasons))
    )


def _trigger(found: Reasoning, measured: list[Measured], seen: Seen | None) -> _Trigger | NothingToSay | CouldNotTell:
    found.apply(MARKED, seen is not None)
    dense = _dense(found, measured, alone=seen is None) if measured else None
    if isinstance(dense, NothingToSay | CouldNotTell):
        return dense
    found.apply(GRADE, seen is not None)
    status = found.case.ehr.smoking_status
    if not isinstance(status, Known) or status.value is SmokingStatus.UNKNOWN:
        return _smoking_is_unknown(found, status, dense)
    found.apply(SMOKING, False)
    return _used(found, _Trigger(dense, seen, status))


def _dense(found: Reasoning, measured: list[Measured], *, alone: bool) -> _Density | NothingToSay | CouldNotTell | None:
    """LAA-950 where it reaches the cut-off; why it says nothing, or None where emphysema was marked all the same."""
    try:
        percent, laa = largest(measured)
        text = option(found.case, ID, CUT_OFF)
    except InvalidInput as error:
        return found.could_not_tell(str(error)) if alone else None
    if found.apply(UNSET, text is None) or text is None:
        unset = _cut_off_is_unset(found)
        return unset if alone else None
    said = _percent(percent)
    if not found.apply(REACHED, percent >= float(text), said):
        below = "LAA-950 is below the site's cut-off"
        none = f"{below}: emphysema was not detected at this threshold, which does not exclude it"
        return found.nothing(none) if alone else None
    origin = option(found.case, ID, CUT_OFF_ORIGIN) or ""
    return _Density(laa, said, _percent(float(text)), found.say(origin) if origin else origin)


def _cut_off_is_unset(found: Reasoning) -> CouldNotTell:
    how = found.say("the site sets the option {option} in %", option=f"{ID}.{CUT_OFF.name}")
    found.missing.append(Missing(found.say("cut-off for LAA-950"), found.say("it is not set"), how))
    return found.could_not_tell(found.say("not evaluated: the site has set no cut-off; LAA-950 has no agreed cut-off"))


def _smoking_is_unknown(found: Reasoning, status: Fact[SmokingStatus], dense: _Density | None) -> CouldNotTell:
    found.apply(SMOKING, True)
    if isinstance(status, Known):
        day = status.effective.isoformat() if status.effective else found.say("no date")
        status = Unknown(found.say("it is recorded as unknown ({day}, {source})", day=day, source=status.source))
    found.lacks(found.say("smoking status"), status, found.say("ask the patient and record it (LOINC 72166-2)"))
    if dense is None:
        return found.could_not_tell(found.say("emphysema was marked, but the smoking status is not known"))
    return found.could_not_tell(
        found.say(
            "LAA-950 {said} reaches the site's cut-off of {cut_off}, but the smoking status is not known",
            said=dense.percent,
            cut_off=dense.cut_off,
        )
    )


def _used(found: Reasoning, trigger: _Trigger) -> _Trigger:
    if (dense := trigger.dense) is not None:
        found.measured(found.say("LAA-950"), dense.percent, where(found.case, dense.laa))
        origin = found.say("site option, {origin}", origin=dense.origin)
        found.inputs.append(InputUsed(found.say("cut-off for LAA-950"), dense.cut_off, None, origin))
    if trigger.marked is not None:
        found.measured(found.say("emphysema"), certainty(found, trigger.marked), where(found.case, trigger.marked))
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
        text = found.say("Spirometry: spirometry is on record ({day}, {source}).", **dated(found, spirometry))
        return found.note(text, "spirometry is on record")
    if isinstance(copd, Known):
        text = found.say("Spirometry: COPD is on record ({day}, {source}).", **dated(found, copd))
        return found.note(text, "COPD is on record")
    if (request := open_request(found.case, codes.SPIROMETRY_ORDERED.name)) is not None:
        found.apply(SPIROMETRY_ORDERED, True)
        text = found.say(
            "Spirometry: an open request for spirometry is on record ({day}, {source}).", **dated(found, request)
        )
        return ordered(found, text, codes.SPIROMETRY_ORDERED, request)
    if found.apply(ASKED_FOR, isinstance(spirometry, Unknown)):
        how = found.say("look in the pulmonary function reports, or ask the patient")
        found.lacks(found.say("spirometry"), spirometry, how)
    elif isinstance(spirometry, NotFoundSince):
        found.unasked(found.say("COPD"), copd, found.say("look at the problem list"))
        _request_spirometry(found, trigger, spirometry)
    return None


def _request_spirometry(found: Reasoning, trigger: _Trigger, searched: NotFoundSince) -> None:
    found.recommend(
        Recommendation(
            key="spirometry",
            action=found.say("Spirometry"),
            code=codes.SPIROMETRY_REQUEST,
            reason=found.say(
                "Emphysema on CT, and {none}: airflow is not known from CT."
                if trigger.marked is None
                else "Emphysema was marked on CT, its grade is not known, and {none}: airflow is not known from CT.",
                none=found.absent(found.say("spirometry"), searched),
            ),
            source=NICE,
            because=of_images(found),
            would_change=(found.say("Spirometry or COPD on record elsewhere."),),
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
        tuple(dict.fromkeys(one.finding.key for one in trigger.seen)),
        seen=tuple(_seen(found, trigger)),
        meaning=_meaning(found, trigger),
        limits=tuple(dict.fromkeys(limit for one in trigger.seen for limit in one.by.limits)),
        further=() if trigger.status.value is SmokingStatus.NEVER else (COPDGENE,),
    )


def _of_unknown_age(found: Reasoning, one: Recommendation) -> str:
    """Where the age is not known the draft itself says so, wherever it is read (SAFETY section 1)."""
    return found.say("{reason} The age is not known.", reason=one.reason)


def _summary(found: Reasoning, trigger: _Trigger) -> str:
    steps = ", ".join(found.say(_SHORT[one.key]) for one in found.recommendations) or found.say("data missing")
    day = found.case.study_date
    if trigger.dense is None:
        return found.say("Possible emphysema on CT {day} (AI). To consider: {steps}", day=day, steps=steps)
    return found.say(
        "Possible emphysema on CT {day} (AI, LAA-950 {said}). To consider: {steps}",
        day=day,
        said=trigger.dense.percent,
        steps=steps,
    )


def _seen(found: Reasoning, trigger: _Trigger) -> Iterator[str]:
    day = found.case.study_date
    if (dense := trigger.dense) is not None:
        yield found.say(
            "Low-attenuation area of the lung below -950 HU (LAA-950): {said} on the CT of {day}, measured by {model}"
            " {version}. It reaches the cut-off of {cut_off} ({origin}). LAA-950 has no agreed cut-off.",
            said=dense.percent,
            day=day,
            model=dense.laa.by.model,
            version=dense.laa.by.version,
            cut_off=dense.cut_off,
            origin=dense.origin,
        )
    if (seen := trigger.marked) is not None:
        yield found.say(
            "Emphysema was marked on the CT of {day} by {model} {version} ({said}); its grade is not known.",
            day=day,
            model=seen.by.model,
            version=seen.by.version,
            said=certainty(found, seen),
        )


def _meaning(found: Reasoning, trigger: _Trigger) -> tuple[str, ...]:
    text = found.say("Emphysema lowers the density of the lung. CT does not tell the airflow.")
    if trigger.status.value is SmokingStatus.NEVER:
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

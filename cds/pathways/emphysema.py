"""Emphysema on CT and smoking: spirometry, a lung cancer screening visit, help to stop smoking.

Trigger: the low-attenuation area of the lung (LAA-950, %) reaches the cut-off that the site set, and the smoking
status is known. LAA-950 has no agreed cut-off: unset means not evaluated. What else is missing stands in the card.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cds import codes, units
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
from cds.pathways import markdown as md
from cds.pathways import pathway
from cds.pathways._facts import Measured, Missing, Part, age_lack, age_years, lack, measured, ordered, use, used, words
from cds.pathways._lung_screening import ASKS as SCREENING_ASKS
from cds.pathways._lung_screening import screening

ID = "emphysema"
TITLE = "Emphysema on CT and smoking"
MODEL = "ct_lung_density"
#: Site options: the cut-off in %, and in words who chose it.
CUT_OFF = "emphysema.laa_950_percent"
CUT_OFF_ORIGIN = "emphysema.laa_950_origin"

#: "Consider primary care respiratory review and spirometry for people with emphysema … on a chest X-ray or CT scan."
NICE = Source("NICE NG115, incidental findings on CT", "https://www.nice.org.uk/guidance/ng115")
#: Lynch 2018: hazard ratio of death 1.7 to 5.0 for visual emphysema beyond trace, independent of LAA-950; smokers only.
COPDGENE = Source("COPDGene, Lynch 2018", "https://pmc.ncbi.nlm.nih.gov/articles/PMC6122195/")
USPSTF_TOBACCO = Source("USPSTF 2021, tobacco cessation (grade A)", "https://doi.org/10.1001/jama.2020.25019")

#: NICE NG115 is for people aged 16 and over.
_LOWEST_AGE = 16
#: USPSTF 2021 on tobacco is for "adults 18 years or older"; children and adolescents have one of their own.
_ADULT_AGE = 18
_STATUS_WORDS = {
    SmokingStatus.CURRENT: "smokes now",
    SmokingStatus.FORMER: "smoked, has stopped",
    SmokingStatus.NEVER: "never smoked",
    SmokingStatus.UNKNOWN: "recorded as unknown",
}


@dataclass(frozen=True, slots=True)
class _Trigger:
    """What set the pathway off: LAA-950 and cut-off in %, and the smoking status."""

    laa: Measured
    percent: float
    cut_off: float
    origin: str
    status: Known[SmokingStatus]


_ASKS = (codes.SMOKING_STATUS, codes.SPIROMETRY, codes.SPIROMETRY_ORDERED, codes.COPD, codes.CESSATION_ORDERED)


@pathway(id=ID, title=TITLE, source=NICE, models=(MODEL,), asks=(*_ASKS, *SCREENING_ASKS))
def emphysema(case: Case) -> PathwayOutcome:
    """Advise on emphysema seen by quantitative CT, together with what the record says of smoking."""
    trigger = _trigger(case)
    if not isinstance(trigger, _Trigger):
        return trigger
    parts = (_spirometry(case), screening(case, trigger.status.value), _cessation(case, trigger.status))
    if not any(part.recommendation or part.missing for part in parts):
        return NothingToSay(ID, "nothing is left to suggest: " + "; ".join(part.why for part in parts if part.why))
    return _advice(case, trigger, parts)


# --- trigger ---------------------------------------------------------------------------------------------------------


def _trigger(case: Case) -> _Trigger | NothingToSay | CouldNotTell:
    unsuitable = _unsuitable(case)
    if unsuitable:
        return NothingToSay(ID, unsuitable)
    laa = measured(case, MODEL, codes.LAA_950)
    if laa is None:
        return NothingToSay(ID, f"{MODEL} did not look at this study")
    if isinstance(laa, NotEvaluated):
        reasons = "; ".join(laa.reasons)
        return _could_not_tell(f"the density of the lung could not be measured: {reasons}")
    return _compared(case, laa)


def _compared(case: Case, laa: Measured) -> _Trigger | NothingToSay | CouldNotTell:
    try:
        percent, cut_off = units.convert(laa.value, "%").value, _cut_off(case)
    except InvalidInput as error:
        return _could_not_tell(str(error))
    if cut_off is None:
        return _cut_off_is_unset()
    if percent < cut_off:
        said = f"LAA-950 {_percent(percent)} is below the site's cut-off of {_percent(cut_off)}"
        return NothingToSay(ID, f"{said}: emphysema was not detected at this threshold, which does not exclude it")
    status = case.ehr.smoking_status
    if not isinstance(status, Known) or status.value is SmokingStatus.UNKNOWN:
        return _smoking_is_unknown(status, percent, cut_off)
    return _Trigger(laa, percent, cut_off, case.site.get(CUT_OFF_ORIGIN, "set by this site"), status)


def _unsuitable(case: Case) -> str:
    deceased, born = case.ehr.deceased, case.ehr.birth_date
    if isinstance(deceased, Known) and deceased.value:
        return "the patient is recorded as deceased"
    if isinstance(born, Known) and age_years(born.value, case.today) < _LOWEST_AGE:
        return f"the guideline is for people aged {_LOWEST_AGE} and over"
    return ""


def _cut_off(case: Case) -> float | None:
    text = case.site.get(CUT_OFF)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 100:
        raise InvalidInput(f"the site option {CUT_OFF} wants a number above 0 and up to 100")
    return value


def _cut_off_is_unset() -> CouldNotTell:
    return _could_not_tell(
        "not evaluated: the site has set no cut-off; LAA-950 has no agreed cut-off",
        Missing("cut-off for LAA-950", "it is not set", f"the site sets the option {CUT_OFF} in %"),
    )


def _smoking_is_unknown(status: Fact[SmokingStatus], percent: float, cut_off: float) -> CouldNotTell:
    if isinstance(status, Known):
        status = Unknown(f"it is recorded as unknown ({md.day(status.effective)}, {status.source})")
    said = f"LAA-950 {_percent(percent)} reaches the site's cut-off of {_percent(cut_off)}"
    how = "ask the patient and record it (LOINC 72166-2)"
    return _could_not_tell(f"{said}, but the smoking status is not known", *lack("smoking status", status, how))


def _could_not_tell(reason: str, *missing: Missing) -> CouldNotTell:
    lacking = tuple(f"{m.what}: {m.why}" for m in missing)
    return CouldNotTell(ID, TITLE, reason, lacking, tuple(f"{m.what}: {m.how}" for m in missing))


# --- the three steps -------------------------------------------------------------------------------------------------


def _spirometry(case: Case) -> Part:
    spirometry, copd = case.ehr.procedure(codes.SPIROMETRY.name), case.ehr.condition(codes.COPD.name)
    known = use("spirometry", spirometry, words) + use("COPD", copd, words)
    if isinstance(spirometry, Known):
        return _on_record("spirometry", spirometry, known)
    if isinstance(copd, Known):
        return _on_record("COPD", copd, known)
    if (request := ordered(case, codes.SPIROMETRY_ORDERED)) is not None:
        return _ordered("Spirometry", codes.SPIROMETRY_ORDERED, request, known)
    if isinstance(spirometry, Unknown):
        how = "look in the pulmonary function reports, or ask the patient"
        return Part(used=known, missing=lack("spirometry", spirometry, how))
    unknown = lack("COPD", copd, "look at the problem list") if isinstance(copd, Unknown) else ()
    return Part(_request_spirometry(spirometry), used=known, missing=unknown)


def _on_record(name: str, fact: Known[ClinicalItem], known: tuple[InputUsed, ...]) -> Part:
    why = f"{name} is on record"
    return Part(note=f"Spirometry: {why} ({md.day(fact.effective)}, {fact.source}).", why=why, used=known)


def _ordered(step: str, value_set: ValueSet, request: Known[ClinicalItem], known: tuple[InputUsed, ...] = ()) -> Part:
    """What somebody has ordered already is not suggested again."""
    why = f"an {value_set.title} is on record"
    note = f"{step}: {why} ({md.day(request.effective)}, {request.source})."
    return Part(note=note, why=why, used=(*known, *use(value_set.title, request, words)))


def _request_spirometry(searched: NotFoundSince) -> Recommendation:
    return Recommendation(
        key="spirometry",
        action="Spirometry",
        code=codes.SPIROMETRY_REQUEST,
        reason=f"Emphysema on CT, and {searched.sentence('spirometry')}: airflow is not known from CT.",
        source=NICE,
    )


def _cessation(case: Case, status: Known[SmokingStatus]) -> Part:
    born = case.ehr.birth_date
    if status.value is not SmokingStatus.CURRENT:
        return Part()
    if not isinstance(born, Known):
        return Part(missing=age_lack(case))
    if age_years(born.value, case.today) < _ADULT_AGE:
        why = f"the recommendation is for adults aged {_ADULT_AGE} and over"
        return Part(note=f"Help to stop smoking: {why}.", why=why)
    if (request := ordered(case, codes.CESSATION_ORDERED)) is not None:
        return _ordered("Help to stop smoking", codes.CESSATION_ORDERED, request)
    recommendation = Recommendation(
        key="cessation",
        action="Help to stop smoking: counselling and medication",
        code=codes.CESSATION_REQUEST,
        reason="Smokes now, with emphysema on CT.",
        source=USPSTF_TOBACCO,
    )
    return Part(recommendation)


# --- the card --------------------------------------------------------------------------------------------------------


def _advice(case: Case, trigger: _Trigger, parts: tuple[Part, ...]) -> Advice:
    recommendations = tuple(_marked(case, part.recommendation) for part in parts if part.recommendation)
    missing = (*age_lack(case), *(item for part in parts for item in part.missing))
    advice = Advice(
        pathway=ID,
        title=TITLE,
        summary=_summary(case, trigger, recommendations),
        detail="",
        indicator=Indicator.INFO,
        source=NICE,
        recommendations=tuple(replace(r, recommended=index == 0) for index, r in enumerate(recommendations)),
        inputs=_trigger_inputs(case, trigger) + tuple(item for part in parts for item in part.used),
        finding_keys=(trigger.laa.finding.key,),
        missing=tuple(dict.fromkeys(item.sentence() for item in missing)),
        risks=tuple(risk for part in parts for risk in part.risks),
    )
    return replace(advice, detail=_detail(case, trigger, advice, tuple(part.note for part in parts if part.note)))


def _marked(case: Case, recommendation: Recommendation) -> Recommendation:
    """Where the age is not known the draft itself says so, wherever it is read (SAFETY section 1)."""
    if isinstance(case.ehr.birth_date, Known):
        return recommendation
    return replace(recommendation, reason=f"{recommendation.reason} The age is not known.")


def _trigger_inputs(case: Case, trigger: _Trigger) -> tuple[InputUsed, ...]:
    model = f"CT {case.study_date}, {MODEL} {trigger.laa.by.version}"
    return (
        InputUsed("LAA-950", _percent(trigger.percent), case.study_date, model),
        InputUsed("cut-off for LAA-950", _percent(trigger.cut_off), None, f"site option, {trigger.origin}"),
        *use("smoking status", trigger.status, _STATUS_WORDS.__getitem__),
    )


def _summary(case: Case, trigger: _Trigger, recommendations: tuple[Recommendation, ...]) -> str:
    short = {"spirometry": "spirometry", "screening-visit": "screening visit", "cessation": "stop-smoking help"}
    steps = ", ".join(short[r.key] for r in recommendations) or "data missing"
    return f"Possible emphysema on CT {case.study_date} (AI, LAA-950 {_percent(trigger.percent)}). To consider: {steps}"


def _detail(case: Case, trigger: _Trigger, advice: Advice, notes: tuple[str, ...]) -> str:
    steps = (f"**{r.action}**. {md.escape(r.reason)} Source: {md.link(r.source)}" for r in advice.recommendations)
    return md.document(
        md.section("Finding (AI, preliminary)", _finding(case, trigger)),
        md.section("What it means", _meaning(trigger.status.value)),
        md.section("To consider", md.bullets(steps)),
        md.section("Not suggested", md.bullets(md.escape(note) for note in notes)),
        md.section("Values used", md.bullets(used(item) for item in advice.inputs)),
        md.section("Missing", md.bullets(md.escape(item) for item in advice.missing)),
        md.section("Limits", md.bullets(md.escape(limit) for limit in trigger.laa.by.limits)),
        "Advice for a clinician, who decides. Research software, not a cleared medical device.",
    )


def _finding(case: Case, trigger: _Trigger) -> str:
    return (
        f"Low-attenuation area of the lung below -950 HU (LAA-950): **{_percent(trigger.percent)}** on the CT of "
        f"{case.study_date}, measured by {MODEL} {md.escape(trigger.laa.by.version)}. It reaches the cut-off of "
        f"{_percent(trigger.cut_off)} ({md.escape(trigger.origin)}). LAA-950 has no agreed cut-off."
    )


def _meaning(status: SmokingStatus) -> str:
    text = "Emphysema lowers the density of the lung. CT does not tell the airflow."
    if status is SmokingStatus.NEVER:
        return f"{text} In people who never smoked, consider other causes such as alpha-1 antitrypsin deficiency."
    return (
        f"{text} In smokers, visible emphysema beyond trace went with a higher risk of death (hazard ratios 1.7 to 5.0 "
        f"by grade, {md.link(COPDGENE)}); LAA-950 is not that visual grade."
    )


def _percent(value: float) -> str:
    return f"{value:.4g} %"

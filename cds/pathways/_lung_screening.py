"""Lung cancer screening as a step of a pathway: USPSTF 2021, and who is not screened.

Screening is for people without signs or symptoms of lung cancer and without known lung cancer: they are excluded with
the reason. The CT at hand has shown the lungs, so the next low-dose CT is not due before a year has passed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from cds import codes
from cds.domain.ehr import Known, SmokingStatus, Unknown
from cds.domain.recommendation import Case, InputUsed, Recommendation, RiskResult
from cds.pathways import markdown as md
from cds.pathways._facts import Missing, Part, add_months, age_lack, age_years, lack, ordered, use, words, years_between
from cds.record import suspicion
from cds.risk import Answer, Inputs, NotScored, Scored
from cds.risk.uspstf_lung_2021 import SCORE

#: USPSTF 2021 screens once a year.
_INTERVAL_MONTHS = 12
_SYMPTOMS = (codes.HAEMOPTYSIS, codes.WEIGHT_LOSS)
#: What the step looks up in the record beside the smoking status.
ASKS = (
    codes.PACK_YEARS,
    codes.QUIT_DATE,
    codes.LUNG_CANCER,
    codes.LOW_DOSE_CT,
    codes.LOW_DOSE_CT_ORDERED,
    *_SYMPTOMS,
)


def screening(case: Case, status: SmokingStatus) -> Part:
    """A screening visit where USPSTF 2021 holds today and still on the day when the next CT would be due."""
    excluded = _excluded(case)
    if excluded:
        return replace(excluded, used=_used(case, status))
    today = SCORE(_score_inputs(case, status, case.today))
    part = Part(used=_used(case, status), risks=(_risk(today, _used(case, status)),))
    if isinstance(today, NotScored):
        return replace(part, missing=_score_missing(case, today))
    if not today.outputs["eligible"]:
        why = "the USPSTF 2021 criteria for lung cancer screening are not met"
        return replace(part, note=f"Lung cancer screening: {why}.", why=why)
    due = max(_next_ct(case), case.today)
    if SCORE(_score_inputs(case, status, due)) != Scored({"eligible": True}):
        why = "the USPSTF 2021 criteria will not be met any more when the next CT is due"
        return replace(part, note=f"Lung cancer screening: {why} ({due}).", why=why)
    if (request := ordered(case, codes.LOW_DOSE_CT_ORDERED)) is not None:
        why = f"an {codes.LOW_DOSE_CT_ORDERED.title} is on record"
        note = f"Lung cancer screening: {why} ({md.day(request.effective)}, {request.source})."
        return replace(part, note=note, why=why)
    return replace(part, recommendation=_visit(case, due), missing=_unknowns(case))


def _visit(case: Case, due: date) -> Recommendation:
    wait = due > case.today
    when = f"next low-dose CT not before {due}" if wait else "low-dose CT is due"
    return Recommendation(
        key="screening-visit",
        action=f"Lung cancer screening visit; {when}",
        code=codes.SCREENING_VISIT_REQUEST,
        reason="The USPSTF 2021 criteria are met; confirm that there are no symptoms, and decide together.",
        source=SCORE.source,
        not_before=due if wait else None,
    )


def _excluded(case: Case) -> Part | None:
    cancer = case.ehr.condition(codes.LUNG_CANCER.name)
    if isinstance(cancer, Known):
        said = f"lung cancer is on record ({words(cancer.value)}, {md.day(cancer.effective)}, {cancer.source})"
        return Part(note=f"Lung cancer screening: {said}.", why="lung cancer is on record")
    suspected = case.ehr.condition(suspicion(codes.LUNG_CANCER.name))
    if isinstance(suspected, Known):
        said = f"lung cancer is suspected ({words(suspected.value)}, {md.day(suspected.effective)}, {suspected.source})"
        return _work_up(said, "lung cancer is suspected")
    for symptom in _SYMPTOMS:
        fact = case.ehr.symptom(symptom.name)
        if isinstance(fact, Known):
            said = f"{symptom.title} is on record ({md.day(fact.effective)}, {fact.source})"
            return _work_up(said, f"{symptom.title} is on record")
    return None


def _work_up(said: str, why: str) -> Part:
    note = f"Lung cancer screening: {said}. Screening is for people without signs or symptoms: consider a work-up."
    return Part(note=note, why=why)


def _score_inputs(case: Case, status: SmokingStatus, on: date) -> Inputs:
    born, pack_years, quit_date = case.ehr.birth_date, case.ehr.pack_years, case.ehr.quit_date
    never = status is SmokingStatus.NEVER
    return {
        "age": float(age_years(born.value, on)) if isinstance(born, Known) else None,
        "pack_years": 0.0 if never else pack_years.value.value if isinstance(pack_years, Known) else None,
        "current_smoker": status is SmokingStatus.CURRENT,
        "years_quit": years_between(quit_date.value, on) if isinstance(quit_date, Known) else None,
    }


def _next_ct(case: Case) -> date:
    low_dose = case.ehr.procedure(codes.LOW_DOSE_CT.name)
    last = low_dose.effective if isinstance(low_dose, Known) else None
    return add_months(max(case.study_date, last or case.study_date), _INTERVAL_MONTHS)


def _used(case: Case, status: SmokingStatus) -> tuple[InputUsed, ...]:
    ehr = case.ehr
    used = use("age", ehr.birth_date, lambda born: f"{age_years(born, case.today)} years on {case.today}")
    if status is not SmokingStatus.NEVER:
        used += use("pack-years", ehr.pack_years, lambda quantity: f"{quantity.value:g}")
    if status is SmokingStatus.FORMER:
        used += use("date of quitting", ehr.quit_date, lambda day: day.isoformat())
    used += use("lung cancer", ehr.condition(codes.LUNG_CANCER.name), words)
    used += use("low-dose chest CT", ehr.procedure(codes.LOW_DOSE_CT.name), words)
    return used + tuple(item for s in _SYMPTOMS for item in use(s.title, ehr.symptom(s.name), words))


def _score_missing(case: Case, answer: NotScored) -> tuple[Missing, ...]:
    wanted: dict[str, tuple[Missing, ...]] = {
        "age": age_lack(case),
        "pack_years": lack("pack-years", case.ehr.pack_years, "ask for packs a day times years smoked, and record it"),
        "years_quit": lack("date of quitting", case.ehr.quit_date, "ask when the patient stopped, and record it"),
    }
    missing = tuple(item for name in answer.missing for item in wanted.get(name, ()))
    return missing + tuple(
        Missing(SCORE.title_of(name), "the recorded value cannot be one", "correct it in the record")
        for name in answer.out_of_range
    )


def _unknowns(case: Case) -> tuple[Missing, ...]:
    """What nobody could be asked; "not found" is named among the values used."""
    facts = [(codes.LUNG_CANCER.title, case.ehr.condition(codes.LUNG_CANCER.name), "look at the problem list")]
    facts += [(s.title, case.ehr.symptom(s.name), "ask the patient") for s in _SYMPTOMS]
    return tuple(item for what, fact, how in facts if isinstance(fact, Unknown) for item in lack(what, fact, how))


def _risk(answer: Answer, used: tuple[InputUsed, ...]) -> RiskResult:
    result = RiskResult(SCORE.id, SCORE.title, SCORE.source, SCORE.outcome, None, inputs=used)
    if isinstance(answer, Scored):
        return replace(result, value="eligible" if answer.outputs["eligible"] else "not eligible")
    return replace(result, missing=tuple(SCORE.title_of(name) for name in (*answer.missing, *answer.out_of_range)))

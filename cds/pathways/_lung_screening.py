"""Lung cancer screening as a step of a pathway: USPSTF 2021, and who is not screened.

Screening is for people without signs or symptoms of lung cancer and without known lung cancer: they are excluded with
the reason. The CT at hand has shown the lungs, so the next low-dose CT is not due before a year has passed.
"""

from __future__ import annotations

from datetime import date

from cds import codes, finding_codes
from cds.domain.ehr import ClinicalItem, Fact, Known, SmokingStatus
from cds.domain.finding import Presence
from cds.domain.recommendation import Case, Recommendation, Source
from cds.pathways._change import millimetres
from cds.pathways._facts import Missing, Seen, add_months, age_years, findings, words, years_between
from cds.pathways._guards import open_request, stated
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways.declaration import Rule
from cds.record import suspicion
from cds.risk import Inputs, NotScored, Scored
from cds.risk.uspstf_lung_2021 import SCORE

USPSTF = Source("USPSTF 2021, lung cancer screening", "https://doi.org/10.1001/jama.2021.1117")

SCREENING = Rule(
    "screening",
    "A screening visit is suggested where the USPSTF 2021 criteria hold today and when the next CT is due.",
    USPSTF,
)
YEARLY = Rule(
    "yearly", "The next low-dose CT is due 12 months after this CT or after the last low-dose CT, if later.", USPSTF
)
CANCER = Rule("cancer", "Nobody with known or suspected lung cancer is sent to screening.", USPSTF)
SYMPTOMS = Rule(
    "symptoms", "Coughing up blood or unexplained weight loss calls for a work-up instead of screening.", USPSTF
)
SCREENING_ORDERED = Rule("screening-ordered", "A low-dose CT that was ordered after this CT is not asked for again.")
NODULE = Rule(
    "nodule", "Where a lung nodule of 6 mm or more, or of unknown size, is on the same study no screening is suggested."
)
RULES = (SCREENING, YEARLY, CANCER, SYMPTOMS, NODULE, SCREENING_ORDERED)

#: USPSTF 2021 screens once a year.
_INTERVAL_MONTHS = 12
#: From this diameter on Fleischner 2017 and Lung-RADS v2022 follow a nodule sooner than in a year.
_NODULE_MM = 6.0
_NAMES = ("age", "smoking status", "pack-years", "date of quitting", "low-dose chest CT")
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


def screening(found: Reasoning, status: SmokingStatus) -> None:
    """A screening visit where USPSTF 2021 holds today and still on the day when the next CT would be due."""
    case = found.case
    _use(found, status)
    if _excluded(found) or _with_nodule(found):
        return
    today = SCORE(_score_inputs(case, status, case.today))
    eligible = isinstance(today, Scored) and bool(today.outputs["eligible"])
    found.risk(SCORE, today, found.say("eligible") if eligible else found.say("not eligible"))
    if isinstance(today, NotScored):
        found.apply(SCREENING, None)
        _score_missing(found, today)
    elif not eligible:
        found.apply(SCREENING, False)
        why = "the USPSTF 2021 criteria for lung cancer screening are not met"
        found.note(
            found.say("Lung cancer screening: the USPSTF 2021 criteria for lung cancer screening are not met."), why
        )
    else:
        _when_due(found, status)


def day_of(found: Reasoning, fact: Known[ClinicalItem]) -> str:
    """The date of an item of the record, or that there is none, for a sentence."""
    return fact.effective.isoformat() if fact.effective else found.say("no date")


def _when_due(found: Reasoning, status: SmokingStatus) -> None:
    case = found.case
    due = max(_next_ct(case), case.today)
    found.apply(YEARLY, due > case.today, due.isoformat())
    if SCORE(_score_inputs(case, status, due)) != Scored({"eligible": True}):
        found.apply(SCREENING, False)
        why = "the USPSTF 2021 criteria will not be met any more when the next CT is due"
        found.note(
            found.say(
                "Lung cancer screening: the USPSTF 2021 criteria will not be met any more when the next CT is due"
                " ({due}).",
                due=due,
            ),
            why,
        )
        return
    found.apply(SCREENING, True)
    request = _ordered_since(case)
    if found.apply(SCREENING_ORDERED, request is not None) and request is not None:
        found.note(
            found.say(
                "Lung cancer screening: an open request for low-dose CT of the chest is on record ({day}, {source}).",
                day=day_of(found, request),
                source=request.source,
            ),
            f"an {codes.LOW_DOSE_CT_ORDERED.title} is on record",
        )
        return
    _unknowns(found)
    found.recommend(_visit(found, due))


def _ordered_since(case: Case) -> Known[ClinicalItem] | None:
    """The open request for low-dose CT; one of the day of this CT or before may be its own order."""
    request = open_request(case, codes.LOW_DOSE_CT_ORDERED.name)
    if request is None or request.effective is None or request.effective <= case.study_date:
        return None
    return request


def _visit(found: Reasoning, due: date) -> Recommendation:
    wait = due > found.case.today
    return Recommendation(
        key="screening-visit",
        action=found.say("Lung cancer screening visit; next low-dose CT not before {due}", due=due)
        if wait
        else found.say("Lung cancer screening visit; low-dose CT is due"),
        code=codes.SCREENING_VISIT_REQUEST,
        reason=found.say("The USPSTF 2021 criteria are met; confirm that there are no symptoms, and decide together."),
        source=USPSTF,
        strength="grade B",
        not_before=due if wait else None,
        because=because(found, *map(found.say, _NAMES)),
        would_change=(found.say("Symptoms or a suspicion of lung cancer: then a work-up instead of screening."),),
    )


def _excluded(found: Reasoning) -> bool:
    """Whether somebody is not to be screened; the card says why."""
    cancer = found.case.ehr.condition(codes.LUNG_CANCER.name)
    if isinstance(cancer, Known):
        found.apply(CANCER, True)
        told = found.say(
            "Lung cancer screening: lung cancer is on record ({item}, {day}, {source}).",
            item=words(cancer.value),
            day=day_of(found, cancer),
            source=cancer.source,
        )
        found.note(told, "lung cancer is on record")
        return True
    suspected = found.case.ehr.condition(suspicion(codes.LUNG_CANCER.name))
    if isinstance(suspected, Known):
        found.apply(CANCER, True)
        told = found.say(
            "Lung cancer screening: lung cancer is suspected ({item}, {day}, {source}). Screening is for people without"
            " signs or symptoms: consider a work-up.",
            item=words(suspected.value),
            day=day_of(found, suspected),
            source=suspected.source,
        )
        found.note(told, "lung cancer is suspected")
        return True
    found.apply(CANCER, stated(cancer))
    return _symptoms(found)


def _with_nodule(found: Reasoning) -> bool:
    """Whether a nodule of this study has a follow-up of its own, or nobody can tell whether it has."""
    seen = [one for one in findings(found.case, finding_codes.LUNG_NODULE) if _is_there(one)]
    sizes = [millimetres(one.finding.value) if one.finding.value else None for one in seen]
    held = any(size is None or size >= _NODULE_MM for size in sizes)
    if found.apply(NODULE, held):
        told = "Lung cancer screening: a lung nodule of this study has a follow-up of its own."
        found.note(found.say(told), "a lung nodule of this study has a follow-up of its own")
    return held


def _is_there(seen: Seen) -> bool:
    return seen.finding.presence in (Presence.PRESENT, Presence.MEASURED)


def _symptoms(found: Reasoning) -> bool:
    there = False
    for symptom in _SYMPTOMS:
        fact = found.case.ehr.symptom(symptom.name)
        found.apply(SYMPTOMS, stated(fact), symptom.title)
        if isinstance(fact, Known):
            told = found.say(
                "Lung cancer screening: {symptom} is on record ({day}, {source}). Screening is for people without signs"
                " or symptoms: consider a work-up.",
                symptom=found.say(symptom.title),
                day=day_of(found, fact),
                source=fact.source,
            )
            found.note(told, f"{symptom.title} is on record")
            there = True
    return there


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


def _use(found: Reasoning, status: SmokingStatus) -> None:
    case, ehr = found.case, found.case.ehr
    found.use(
        found.say("age"),
        ehr.birth_date,
        lambda born: found.say("{years} years on {day}", years=age_years(born, case.today), day=case.today),
    )
    if status is not SmokingStatus.NEVER:
        found.use(found.say("pack-years"), ehr.pack_years, lambda quantity: f"{quantity.value:g}")
    if status is SmokingStatus.FORMER:
        found.use(found.say("date of quitting"), ehr.quit_date, lambda day: day.isoformat())
    found.use(found.say("lung cancer"), ehr.condition(codes.LUNG_CANCER.name), words)
    found.use(found.say("low-dose chest CT"), ehr.procedure(codes.LOW_DOSE_CT.name), words)
    for symptom in _SYMPTOMS:
        found.use(found.say(symptom.title), ehr.symptom(symptom.name), words)


def _score_missing(found: Reasoning, answer: NotScored) -> None:
    """What the criteria lack; the age is told by whoever asked for the step."""
    for name in answer.missing:
        if name == "pack_years":
            how = found.say("ask for packs a day times years smoked, and record it")
            found.lacks(found.say("pack-years"), found.case.ehr.pack_years, how)
        elif name == "years_quit":
            how = found.say("ask when the patient stopped, and record it")
            found.lacks(found.say("date of quitting"), found.case.ehr.quit_date, how)
        elif name == "age":
            age_is_missing(found)
    for name in answer.out_of_range:
        title, why = found.say(SCORE.title_of(name)), found.say("the recorded value cannot be one")
        found.missing.append(Missing(title, why, found.say("correct it in the record")))


def _unknowns(found: Reasoning) -> None:
    """What nobody could be asked; "not found" is named among the values used."""
    cancer: Fact[ClinicalItem] = found.case.ehr.condition(codes.LUNG_CANCER.name)
    found.unasked(found.say(codes.LUNG_CANCER.title), cancer, found.say("look at the problem list"))
    for symptom in _SYMPTOMS:
        found.unasked(found.say(symptom.title), found.case.ehr.symptom(symptom.name), found.say("ask the patient"))


def age_is_missing(found: Reasoning) -> None:
    """The age as missing where the birth date is not known."""
    found.lacks(found.say("age"), found.case.ehr.birth_date, found.say("correct the birth date in the registration"))

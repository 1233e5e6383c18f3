"""PREVENT for a pathway: its inputs from the record, and the risk as context. The equations can be removed.

Where the risk is what a step is about, what is missing for it stands in the answer with how to get it; where it decides
nothing, the risk alone says so. Nothing is assumed. `cds.risk.prevent` is looked up,
never imported: an installation that may not use the equations goes without.
"""

from __future__ import annotations

import functools

from cds import condition_codes, measurement_codes, medication_codes
from cds.codes import SMOKING_STATUS, ValueSet
from cds.domain.ehr import Fact, Known, SmokingStatus, Unknown
from cds.pathways._guards import age_on, fresh, known, stated, taken, timely
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import binary_sex, lacks_sex
from cds.risk import Answer, Score, Scored, load

#: All that PREVENT asks of the record.
ASKS: tuple[ValueSet, ...] = (
    measurement_codes.TOTAL_CHOLESTEROL,
    measurement_codes.HDL_CHOLESTEROL,
    measurement_codes.SYSTOLIC,
    measurement_codes.BODY_MASS_INDEX,
    measurement_codes.EGFR_2021,
    SMOKING_STATUS,
    condition_codes.DIABETES,
    medication_codes.ANTIHYPERTENSIVE,
    medication_codes.STATIN,
)
#: Blood tests, blood pressure and weight count for so many months.
_MONTHS = 12
_MEASURED = (
    ("total_cholesterol_mg_dl", measurement_codes.TOTAL_CHOLESTEROL),
    ("hdl_mg_dl", measurement_codes.HDL_CHOLESTEROL),
    ("sbp_mm_hg", measurement_codes.SYSTOLIC),
    ("bmi", measurement_codes.BODY_MASS_INDEX),
    ("egfr", measurement_codes.EGFR_2021),
)


@functools.cache
def installed() -> Score | None:
    """The base equations, None where they were removed."""
    return load().get("prevent")


@functools.cache
def band_score() -> Score | None:
    """The bands of 2026 for the risk that PREVENT predicts."""
    return load().get("prevent_band_2026")


def ascvd10(found: Reasoning, on_statin: bool | None, score: Score | None) -> float | None:
    """The 10-year risk of ASCVD as a proportion; None where it was not computed, which the answer says.

    `score` is what `installed` found.
    """
    if score is None:
        found.note(found.say("The risk by PREVENT was not computed: the equations are not installed here."))
        return None
    answer = score.only("ascvd10", inputs(found, on_statin))
    if not isinstance(answer, Scored):
        found.risk(score, answer)
        found.note(_untold(found, score, answer))
        return None
    risk = answer.number("ascvd10")
    found.risk(score, answer, _percent(risk), probability=risk)
    _band(found, risk)
    return risk


def heart_failure10(found: Reasoning, score: Score | None) -> None:
    """The 10-year risk of heart failure, or what lacks for it: it is shown, decides nothing, and asks for nothing.

    Nothing after a cardiovascular disease: the equations are for people without one.
    """
    if score is None or stated(found.case.ehr.condition(condition_codes.ASCVD.name)) is not False:
        return
    answer = score.only("hf10", _quietly(found))
    if not isinstance(answer, Scored):
        found.risk(score, answer)
        return
    risk = answer.number("hf10")
    said = found.say("{percent} % in 10 years", percent=f"{100 * risk:.1f}")
    found.risk(score, answer, said, probability=risk)


def _quietly(found: Reasoning) -> dict[str, object]:
    """What is known of its inputs, by name; what is not stands in the risk alone."""
    case, ehr = found.case, found.case.ehr
    given: dict[str, object] = {name: timely(case, one, _MONTHS) for name, one in _MEASURED}
    given["sex"] = binary_sex(found)
    given["age"] = age_on(ehr.birth_date, case.today)
    given["diabetes"] = stated(ehr.condition(condition_codes.DIABETES.name))
    given["bp_treated"] = stated(ehr.medication(medication_codes.ANTIHYPERTENSIVE.name))
    given["statin"] = stated(ehr.medication(medication_codes.STATIN.name))
    given["current_smoker"] = smokes_now(ehr.smoking_status)
    return given


def inputs(found: Reasoning, on_statin: bool | None) -> dict[str, object]:
    """What is known of its inputs, by name; each value used, or missing, stands in the answer."""
    given: dict[str, object] = {name: fresh(found, one, _MONTHS, "measure it") for name, one in _MEASURED}
    given["sex"] = binary_sex(found)
    if given["sex"] is None:
        lacks_sex(found)
    given["age"] = age_on(found.case.ehr.birth_date, found.case.today)
    given["diabetes"] = known(found, condition_codes.DIABETES)
    given["bp_treated"] = taken(found, medication_codes.ANTIHYPERTENSIVE)
    given["statin"] = on_statin
    given["current_smoker"] = _smokes(found)
    return given


def smokes_now(status: Fact[SmokingStatus]) -> bool | None:
    """Whether somebody smokes; a status that was recorded as unknown is none."""
    if not isinstance(status, Known) or status.value is SmokingStatus.UNKNOWN:
        return None
    return status.value is SmokingStatus.CURRENT


def _smokes(found: Reasoning) -> bool | None:
    """Whether the patient smokes now; missing where nobody can tell."""
    name, status = found.say("smoking status"), found.case.ehr.smoking_status
    now = smokes_now(status)
    if now is None:
        unknown = Unknown(found.say("it is not known")) if isinstance(status, Known) else status
        found.lacks(name, unknown, found.say("ask the patient"))
    else:
        found.use(name, status, lambda _: found.say("smokes now") if now else found.say("does not smoke now"))
    return now


def _untold(found: Reasoning, score: Score, answer: Answer) -> str:
    if isinstance(answer, Scored):
        return ""
    names = "; ".join(score.title_of(name) for name in answer.missing)
    out = "; ".join(answer.reasons)
    return found.say("The risk by PREVENT was not computed: {why}.", why="; ".join(filter(None, (names, out))))


def _band(found: Reasoning, risk: float) -> None:
    score = band_score()
    if score is not None:
        answer = score({"prevent_ascvd10": risk})
        found.risk(score, answer, str(answer.outputs["band"]) if isinstance(answer, Scored) else "")


def _percent(risk: float) -> str:
    return f"{100 * risk:.1f} %"

"""PREVENT's risk of heart failure as context for the heart pathway: shown where it can be computed, decides nothing.

The score is a file that an installation may have removed: it is looked up, never imported.
"""

from __future__ import annotations

import functools

from cds import condition_codes, measurement_codes, medication_codes
from cds.codes import SMOKING_STATUS, ValueSet
from cds.domain.ehr import Known, SmokingStatus
from cds.pathways._guards import age_on, stated, within
from cds.pathways._reasoning import Reasoning
from cds.risk import Score, Scored, load

#: Inputs of the score that are measurements of the last 12 months.
_MEASURED = {
    "total_cholesterol_mg_dl": measurement_codes.TOTAL_CHOLESTEROL,
    "hdl_mg_dl": measurement_codes.HDL_CHOLESTEROL,
    "sbp_mm_hg": measurement_codes.SYSTOLIC,
    "bmi": measurement_codes.BODY_MASS_INDEX,
    "egfr": measurement_codes.EGFR_2021,
}
#: What the pathway has to ask the record for it.
ASKS: tuple[ValueSet, ...] = (
    *_MEASURED.values(),
    SMOKING_STATUS,
    condition_codes.DIABETES,
    condition_codes.ASCVD,
    medication_codes.ANTIHYPERTENSIVE,
    medication_codes.STATIN,
)


def context(found: Reasoning, prevent: Score | None) -> None:
    """Tell the risk of heart failure in 10 years, or what lacks for it; nothing after a cardiovascular disease."""
    ehr = found.case.ehr
    if prevent is None or stated(ehr.condition(condition_codes.ASCVD.name)) is not False:
        return
    answer = prevent(_inputs(found))
    risk = answer.number("hf10") if isinstance(answer, Scored) else None
    percent = "" if risk is None else found.say("{percent} % in 10 years", percent=f"{100 * risk:.1f}")
    found.risk(prevent, answer, percent, probability=risk)


@functools.cache
def installed() -> Score | None:
    """The score, where this installation has it."""
    return load().get("prevent")


def _inputs(found: Reasoning) -> dict[str, object]:
    ehr = found.case.ehr
    told: dict[str, object] = {name: _value(found, value_set) for name, value_set in _MEASURED.items()}
    return told | {
        "age": age_on(ehr.birth_date, found.case.today),
        "sex": ehr.sex.value.value if isinstance(ehr.sex, Known) else None,
        "diabetes": stated(ehr.condition(condition_codes.DIABETES.name)),
        "current_smoker": _smokes(found),
        "bp_treated": stated(ehr.medication(medication_codes.ANTIHYPERTENSIVE.name)),
        "statin": stated(ehr.medication(medication_codes.STATIN.name)),
    }


def _value(found: Reasoning, value_set: ValueSet) -> float | None:
    fact = within(found, found.case.ehr.measurement(value_set.name), 12, value_set.title)
    return fact.value.quantity.value if isinstance(fact, Known) else None


def _smokes(found: Reasoning) -> bool | None:
    status = found.case.ehr.smoking_status
    if not isinstance(status, Known) or status.value is SmokingStatus.UNKNOWN:
        return None
    return status.value is SmokingStatus.CURRENT

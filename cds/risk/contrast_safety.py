"""Contrast and the kidney: saline before iodinated contrast, and which gadolinium agent.

Davenport et al., ACR-NKF consensus, Radiology 2020;294:660-668, doi:10.1148/radiol.2019192094 (iodinated, intravenous);
ACR Manual on Contrast Media and Weinreb et al., ACR-NKF consensus 2021, doi:10.1148/radiol.2020202903 (gadolinium).
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored
from cds.risk._facts import Fact, decide, flag, number

_AGENTS = ("iodinated_iv", "gbca_group_I", "gbca_group_II", "gbca_group_III")


def _evaluate(given: Given) -> Answer:
    agent = given.text("agent")
    if agent == "iodinated_iv":
        return _iodinated(given)
    if agent == "gbca_group_II":
        return Scored({"action": "acceptable_no_screening_required"})
    return _group_i(given) if agent == "gbca_group_I" else _group_iii(given)


def _low_or_acute(given: Given) -> Fact:
    return flag(given, "aki") | number(given, "egfr", lambda egfr: egfr < 30)


def _iodinated(given: Given) -> Answer:
    rules = (
        (flag(given, "dialysis"), "no_prophylaxis"),
        (_low_or_acute(given), "saline_prophylaxis_indicated"),
        (number(given, "egfr", lambda egfr: egfr < 45), "no_routine_prophylaxis_consider_if_high_risk"),
    )
    return decide("action", rules, otherwise="no_prophylaxis")


def _group_i(given: Given) -> Answer:
    rules = ((_low_or_acute(given) | flag(given, "dialysis"), "contraindicated"),)
    return decide("action", rules, otherwise="acceptable_no_special_precautions")


def _group_iii(given: Given) -> Answer:
    """What was seen is about the severely ill kidney alone; for the others the manual has to be read."""
    rules = ((_low_or_acute(given) | flag(given, "dialysis"), "benefit_may_outweigh_risk_individual_decision"),)
    answer = decide("action", rules, otherwise="")
    if answer == Scored({"action": ""}):
        reason = "group III with eGFR of 30 or more was not verified: read the ACR manual in force"
        return NotScored(out_of_range=("agent",), reasons=(reason,))
    return answer


SCORE = Score(
    id="contrast_safety",
    title="Contrast and kidney function",
    source=Source("ACR-NKF 2020, iodinated contrast", "https://doi.org/10.1148/radiol.2019192094"),
    population="adults before intravenous contrast",
    outcome="what kidney function asks for before contrast",
    horizon_years=None,
    inputs=(
        Input("agent", "contrast agent", kind="choice", choices=_AGENTS),
        Input("egfr", "eGFR", "number", "mL/min/{1.73_m2}", 0, 250, short="eGFR", needed=False),
        Input("aki", "acute kidney injury", kind="boolean", needed=False),
        Input("dialysis", "maintenance dialysis", kind="boolean", needed=False, unmentioned=False),
    ),
    evaluate=_evaluate,
    outputs=(Output("action", "what to do"),),
    further=(
        Source("ACR Manual on Contrast Media", "https://www.acr.org/Clinical-Resources/Contrast-Manual"),
        Source("ACR-NKF 2021, gadolinium groups II and III", "https://doi.org/10.1148/radiol.2020202903"),
    ),
    notes=(
        "Necessary contrast is not withheld for the kidney alone.",
        "On dialysis: no saline; who still makes urine is at risk and the decision is the clinician's.",
        "Group III (gadoxetate): the manual of 2024 has other wording; at eGFR of 30 or more not evaluated here.",
    ),
)

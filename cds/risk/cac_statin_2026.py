"""Coronary calcium and lipid-lowering therapy by the 2026 ACC/AHA dyslipidemia guideline, as two summaries tell it.

doi:10.1161/CIR.0000000000001423, section 4.2.7. Not read in the guideline itself: see `unverified`.
"""

from __future__ import annotations

from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored
from cds.risk._cardiovascular import AGATSTON, LIPIDS_2026, PREVENT_ASCVD10

#: Where one of these holds, a calcium score of zero is no reason to defer therapy.
_NO_DEFERRAL = (
    ("diabetes", "diabetes", ()),
    ("current_smoker", "current smoking", ("smoker",)),
    (
        "familial_hypercholesterolemia",
        "familial hypercholesterolaemia",
        ("familial_hypercholesterolaemia", "fh"),
    ),
    ("ldl_ge_190", "LDL cholesterol of 190 mg/dL or more", ("severe_hypercholesterolemia",)),
    (
        "strong_premature_family_history",
        "strong family history of premature ASCVD",
        ("strong_family_history", "premature_family_history", "strong_premature_ascvd_family_history"),
    ),
)
_NAMES = tuple(name for name, _, _ in _NO_DEFERRAL)


def _evaluate(given: Given) -> Answer:
    """The strictest goal first; a risk of 10 % asks for a statin whatever the calcium."""
    score = given.number("agatston")
    if score >= 1000:
        return _treat("treat_as_very_high_cac", 55)
    if given.number("prevent_ascvd10") >= 0.10:
        return _treat("high_risk_high_intensity_statin", 70)
    if score >= 300:
        return _treat("treat_as_high_risk", 70)
    if score >= 100:
        return _treat("initiate_llt_ge50pct", 70)
    return _some(given) if score > 0 else _none(given)


def _some(given: Given) -> Answer:
    """Below 100 the percentile for age, sex and race decides."""
    if "cac_percentile" not in given:
        return NotScored(missing=("cac_percentile",))
    if given.number("cac_percentile") >= 75:
        return _treat("initiate_llt_ge50pct", 70)
    return _treat("moderate_intensity_statin", 100)


def _none(given: Given) -> Answer:
    """Deferral only where every exception is known to be absent."""
    ldl = given.number("ldl_mg_dl") if "ldl_mg_dl" in given else None
    if (ldl is not None and ldl >= 190) or any(name in given and given.flag(name) for name in _NAMES):
        return Scored({"action": "cac0_exception_discuss_statin"})
    known = {*given, *(("ldl_ge_190",) if ldl is not None else ())}
    missing = tuple(name for name in _NAMES if name not in known)
    return NotScored(missing=missing) if missing else Scored({"action": "defer_llt_repeat_cac_3_7y"})


def _treat(action: str, ldl_goal: int) -> Scored:
    return Scored({"action": action, "ldl_goal": ldl_goal})


SCORE = Score(
    id="cac_statin_2026",
    title="Coronary calcium and lipid-lowering therapy, 2026 ACC/AHA dyslipidemia guideline",
    source=LIPIDS_2026,
    population="adults without ASCVD whose risk was estimated with PREVENT",
    outcome="suggested lipid-lowering therapy and LDL cholesterol goal",
    horizon_years=None,
    inputs=(
        PREVENT_ASCVD10,
        AGATSTON,
        Input("cac_percentile", "percentile of the calcium score", unit="{percentile}", low=0, high=100, needed=False),
        # The bounds refuse what cannot be a concentration in mg/dL.
        Input("ldl_mg_dl", "LDL cholesterol", unit="mg/dL", low=1, high=2000, needed=False),
        *(
            Input(name, title, kind="boolean", needed=False, unmentioned=False, aliases=aliases)
            for name, title, aliases in _NO_DEFERRAL
        ),
    ),
    outputs=(Output("action", "suggestion"), Output("ldl_goal", "LDL cholesterol below", "mg/dL")),
    notes=(
        "Summaries differ on the goals: LDL below 70 mg/dL from 10 % and below 100 mg/dL from 5 % here, 55 and 70 in "
        "one of them.",
        "A score of 0 at a risk below 3 % is not told apart from 3 to below 10 %.",
    ),
    unverified="the guideline's own table: thresholds and goals come from secondary summaries by one author",
    evaluate=_evaluate,
)

"""Fleischner Society 2017: follow-up of lung nodules that were found by chance on CT.

MacMahon et al., Radiology 2017;284:228-243, doi:10.1148/radiol.2017161659: table 1 and recommendations 1 to 5. The
diameter is the mean of the long and the short axis, rounded to the nearest millimetre before it meets the table.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored
from cds.risk._criteria import Criterion, half_up, measured, refuse, sign

#: The first follow-up, and what comes after it.
_Advice = tuple[str, str | None]

_NONE: _Advice = ("none", None)
_SOLID: dict[tuple[str, str, str], _Advice] = {
    ("single", "<6", "low"): _NONE,
    ("single", "<6", "high"): ("optional_ct_12mo", None),
    ("single", "6-8", "low"): ("ct_6_12mo", "consider_ct_18_24mo"),
    ("single", "6-8", "high"): ("ct_6_12mo", "ct_18_24mo"),
    ("multiple", "<6", "low"): _NONE,
    ("multiple", "<6", "high"): ("optional_ct_12mo", None),
    ("multiple", "6-8", "low"): ("ct_3_6mo", "consider_ct_18_24mo"),
    ("multiple", "6-8", "high"): ("ct_3_6mo", "ct_18_24mo"),
    ("multiple", ">8", "low"): ("ct_3_6mo", "consider_ct_18_24mo"),
    ("multiple", ">8", "high"): ("ct_3_6mo", "ct_18_24mo"),
}
_SINGLE_LARGE_SOLID: _Advice = ("consider_ct_3mo_or_petct_or_biopsy", None)
_GROUND_GLASS: _Advice = ("ct_6_12mo", "ct_every_2y_until_5y")
#: Recommendation 4, by the size of the solid component.
_PART_SOLID: dict[str, _Advice] = {
    "<6": ("ct_3_6mo", "annual_ct_5y_if_stable_and_solid_lt6"),
    "6-8": ("ct_3_6mo", "highly_suspicious_if_persistent"),
    ">8": ("petct_or_biopsy_or_resection", None),
}
_SUBSOLIDS: dict[str, _Advice] = {
    "<6": ("ct_3_6mo", "consider_ct_2y_and_4y"),
    "6-8": ("ct_3_6mo", "manage_by_most_suspicious"),
    ">8": ("ct_3_6mo", "manage_by_most_suspicious"),
}


def _evaluate(given: Given) -> Answer:
    """Whoever the recommendations are not made for is told so first, whatever else is missing."""
    exclusions = _exclusions(given)
    reason = next((reason for one, reason in exclusions if one.holds), None)
    if reason:
        return Scored({"applicable": False, "reason": reason})
    missing = tuple(one.name for one, _ in exclusions if one.holds is None)
    advice = _advice(given)
    if isinstance(advice, NotScored):
        return NotScored(missing + advice.missing, advice.out_of_range, advice.reasons)
    if missing:
        return NotScored(missing)
    return Scored({"applicable": True, "reason": None, "first_followup": advice[0], "then": advice[1]})


def _exclusions(given: Given) -> tuple[tuple[Criterion, str], ...]:
    return (
        (measured(given, "age", lambda age: age < 35), "age<35"),
        (sign(given, "known_cancer"), "known cancer"),
        (sign(given, "immunosuppressed"), "immunosuppressed"),
        (sign(given, "screening_exam"), "screening: use Lung-RADS"),
    )


def _advice(given: Given) -> _Advice | NotScored:
    missing = tuple(name for name in ("type", "count", "mean_diameter_mm") if name not in given)
    if missing:
        return NotScored(missing)
    kind, count, band = given.text("type"), given.text("count"), _band(given.number("mean_diameter_mm"))
    if kind == "solid":
        return _solid(given, count, band)
    return _SUBSOLIDS[band] if count == "multiple" else _one_subsolid(given, kind, band)


def _band(diameter_mm: float) -> str:
    whole = half_up(diameter_mm)
    return "<6" if whole < 6 else "6-8" if whole <= 8 else ">8"


def _solid(given: Given, count: str, band: str) -> _Advice | NotScored:
    if (count, band) == ("single", ">8"):
        return _SINGLE_LARGE_SOLID
    return _SOLID[count, band, given.text("risk")] if "risk" in given else NotScored(missing=("risk",))


def _one_subsolid(given: Given, kind: str, band: str) -> _Advice | NotScored:
    if band == "<6":
        return _NONE
    if kind == "subsolid":
        return refuse("type", "nodule type must be ground_glass or part_solid for one nodule of 6 mm or more")
    return _GROUND_GLASS if kind == "ground_glass" else _part_solid(given)


def _part_solid(given: Given) -> _Advice | NotScored:
    if "solid_component_mm" not in given:
        return NotScored(missing=("solid_component_mm",))
    solid_mm = given.number("solid_component_mm")
    if solid_mm > given.number("mean_diameter_mm"):
        return refuse("solid_component_mm", "solid component must not be larger than the nodule")
    return _PART_SOLID[_band(solid_mm)]


def _exclusion(name: str, title: str, *aliases: str) -> Input:
    """What a short description of a case would mention."""
    return Input(name, title, kind="boolean", needed=False, unmentioned=False, aliases=aliases)


SCORE = Score(
    id="fleischner_2017",
    title="Fleischner 2017 follow-up of incidental lung nodules",
    source=Source("Fleischner Society 2017", "https://doi.org/10.1148/radiol.2017161659"),
    population="adults from 35 years with a nodule found by chance, without known cancer or immunosuppression",
    outcome="when to look again",
    horizon_years=None,
    inputs=(
        Input("age", "age", unit="a", low=0, high=130, needed=False),
        _exclusion("known_cancer", "known primary cancer", "known_primary_cancer", "cancer_history", "cancer"),
        _exclusion("immunosuppressed", "immunosuppression", "immunosuppression", "immunocompromised"),
        _exclusion("screening_exam", "screening examination", "screening_examination", "screening"),
        Input(
            "type",
            "nodule type",
            kind="choice",
            choices=("solid", "ground_glass", "part_solid", "subsolid"),
            needed=False,
        ),
        Input("count", "number of nodules", kind="choice", choices=("single", "multiple"), needed=False),
        # The upper bounds refuse what cannot be a nodule of the lung.
        Input("mean_diameter_mm", "mean diameter", unit="mm", low=0, high=300, needed=False),
        Input("solid_component_mm", "solid component", unit="mm", low=0, high=300, needed=False),
        Input("risk", "risk of the patient", kind="choice", choices=("low", "high"), needed=False),
    ),
    outputs=(
        Output("applicable", "the recommendations are made for this patient"),
        Output("reason", "why they are not"),
        Output("first_followup", "first follow-up"),
        Output("then", "follow-up after that"),
    ),
    notes=(
        "Diameters are rounded to the nearest mm first, halves up: 5.5 mm is 6 mm, 8.4 mm is 8 mm.",
        "Several nodules: the most suspicious one guides, which need not be the largest.",
        "High risk includes what the paper calls intermediate risk.",
        "A part-solid nodule with suspicious morphology or a growing solid component: PET-CT, biopsy or resection.",
    ),
    evaluate=_evaluate,
)

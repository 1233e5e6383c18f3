"""Lung-RADS v2022: the category of a finding on screening low-dose CT, and its management.

American College of Radiology, November 2022; Christensen et al., Chest 2024;165:738-753,
doi:10.1016/j.chest.2023.10.028. Mean diameters are taken to one decimal of a millimetre, as they are reported. The
examination has the category of its most suspicious finding: this says the category of one.
"""

from __future__ import annotations

from collections.abc import Callable

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored
from cds.risk._criteria import half_up, refuse

_Category = str | NotScored

_MANAGEMENT = {
    "1": "ldct_12mo",
    "2": "ldct_12mo",
    "3": "ldct_6mo",
    "4A": "ldct_3mo_petct_if_solid_ge8",
    "4B": "diagnostic_ct_petct_tissue_or_1mo",
    "4X": "diagnostic_ct_petct_tissue_or_1mo",
}
#: Findings that have a category without a size or a course.
_PLAIN = {
    "none": ("1", "ldct_12mo"),
    "benign": ("1", "ldct_12mo"),
    "proven_benign_after_workup": ("2", "ldct_12mo"),
    "suspected_infectious_inflammatory": ("0", "ldct_1_3mo"),
    "prior_ct_awaited": ("0", "compare_with_prior_ct"),
    "lungs_not_all_evaluable": ("0", "additional_ldct"),
}
#: Stepped management of what is stable or smaller at its follow-up; 4B and 4X stay until they are proven benign.
_STEPPED = {"1": "2", "2": "2", "3": "2", "4A": "3", "4B": "4B", "4X": "4X"}
_SLOW = "slow_growing_over_multiple_exams"
#: What the table says of a course in one word, for the types of finding that it says it of.
_STABLE_OR_GROWING, _STABLE_OR_SLOW = "stable_or_growing", "stable_or_slow_growing"
#: Other names of a course.
_SAME_STATUS = {
    "unchanged": "stable",
    "persistent": "stable",
    "persistent_3mo": "stable",
    "persistent_at_3mo": "stable",
    "slow_growing": _SLOW,
    "slowly_growing": _SLOW,
    "unchanged_or_slow_growing": _STABLE_OR_SLOW,
    "unchanged_or_slowly_growing": _STABLE_OR_SLOW,
}
_STATUSES = (
    *("baseline", "new", "growing", "stable", _SLOW, "new_or_growing_solid"),
    *(_STABLE_OR_GROWING, _STABLE_OR_SLOW, "growing_cystic_part", "cyst_changed"),
)


def _evaluate(given: Given) -> Answer:
    kind = _SAME_TYPE.get(given.text("type"), given.text("type"))
    if kind in _PLAIN:
        category, management = _PLAIN[kind]
        return Scored({"category": category, "management": management})
    found = _BY_TYPE[kind](given)
    found = found if isinstance(found, NotScored) else _suspicion(given, found)
    return found if isinstance(found, NotScored) else Scored({"category": found, "management": _MANAGEMENT[found]})


def _suspicion(given: Given, category: str) -> _Category:
    """Features that raise the suspicion of cancer make a category 3 or 4 finding 4X."""
    if category in ("1", "2", "4X"):
        return category
    if "suspicious_features" not in given:
        return NotScored(missing=("suspicious_features",))
    return "4X" if given.flag("suspicious_features") else category


def _solid(given: Given) -> _Category:
    status = _status(given)
    if isinstance(status, NotScored):
        return status
    if status == _SLOW:
        return "4B"
    if status == "stable":
        return _stable(given)
    if status not in _SOLID_LIMITS:
        return _no_status(status)
    return _by_size(given, "mean_diameter_mm", _SOLID_LIMITS[status])


#: Below each limit in mm its category; from the last limit on 4B.
_SOLID_LIMITS = {
    "baseline": ((6.0, "2"), (8.0, "3"), (15.0, "4A")),
    "new": ((4.0, "2"), (6.0, "3"), (8.0, "4A")),
    "growing": ((8.0, "4A"),),
}


def _part_solid(given: Given) -> _Category:
    status = _status(given)
    if isinstance(status, NotScored):
        return status
    if status == _SLOW:
        return "4B"
    if status == "stable":
        return _stable(given)
    if status in ("growing", "new_or_growing_solid"):
        return _by_component(given, ((4.0, "4A"),))
    return _part_solid_at_first(given, status) if status in ("baseline", "new") else _no_status(status)


def _part_solid_at_first(given: Given, status: str) -> _Category:
    size = _size(given, "mean_diameter_mm")
    if isinstance(size, NotScored):
        return size
    if size < 6:
        return "2" if status == "baseline" else "3"
    return _by_component(given, ((6.0, "3"), (8.0, "4A")) if status == "baseline" else ((4.0, "4A"),))


def _by_component(given: Given, limits: tuple[tuple[float, str], ...]) -> _Category:
    component, size = given.get("solid_component_mm"), given.get("mean_diameter_mm")
    if isinstance(component, int | float) and isinstance(size, int | float) and component > size:
        return refuse("solid_component_mm", "solid component must not be larger than the nodule")
    return _by_size(given, "solid_component_mm", limits)


_NOT_OF_NON_SOLID = ("new_or_growing_solid", _STABLE_OR_GROWING, "growing_cystic_part", "cyst_changed")


def _non_solid(given: Given) -> _Category:
    """Below 30 mm the course does not matter."""
    size, status = _size(given, "mean_diameter_mm"), _status(given)
    if isinstance(size, NotScored):
        return size
    if not isinstance(status, NotScored) and status in _NOT_OF_NON_SOLID:
        return _no_status(status)
    if size < 30:
        return "2"
    if isinstance(status, NotScored):
        return status
    return "2" if status in ("stable", _SLOW, _STABLE_OR_SLOW) else "3"


def _juxtapleural(given: Given) -> _Category:
    """Smooth, solid, oval, lentiform or triangular, below 10 mm; what is larger or grows is a solid nodule."""
    size, status = _size(given, "mean_diameter_mm"), _status(given)
    if isinstance(size, NotScored):
        return size
    if isinstance(status, NotScored):
        return status
    return "2" if size < 10 and status in ("baseline", "new", "stable") else _solid(given)


def _airway(given: Given) -> _Category:
    grown = {"stable": "4B", "growing": "4B", _STABLE_OR_GROWING: "4B"}
    return _by_status(given, {"baseline": "4A", "new": "4A"} | grown)


def _small_airway(given: Given) -> _Category:
    return _by_status(given, {"baseline": "2", "new": "2", "stable": "2"})


def _thick_walled_cyst(given: Given) -> _Category:
    """A wall that thickens, nodularity is `cyst_changed`; of one that grows, the table asks which part does."""
    grown = {"growing_cystic_part": "3", "growing": "4B", "cyst_changed": "4B"}
    return _by_status(given, {"baseline": "4A", "new": "4A"} | grown)


def _multilocular_cyst(given: Given) -> _Category:
    """`new` is also one that was unilocular before; more locules, new or more opacity is `cyst_changed`."""
    return _by_status(given, {"baseline": "4A", "new": "4A", "growing": "4B", "cyst_changed": "4B"})


_BY_TYPE: dict[str, Callable[[Given], _Category]] = {
    "solid": _solid,
    "part_solid": _part_solid,
    "non_solid": _non_solid,
    "juxtapleural_solid_smooth": _juxtapleural,
    "airway_nodule_segmental_or_more_proximal": _airway,
    "airway_nodule_subsegmental": _small_airway,
    "atypical_cyst_thick_walled": _thick_walled_cyst,
    "atypical_cyst_multilocular": _multilocular_cyst,
}
#: Other names of a type of finding.
_SAME_TYPE = {
    "thick_walled_cyst": "atypical_cyst_thick_walled",
    "atypical_pulmonary_cyst_thick_walled": "atypical_cyst_thick_walled",
    "multilocular_cyst": "atypical_cyst_multilocular",
    "atypical_pulmonary_cyst_multilocular": "atypical_cyst_multilocular",
}


def _status(given: Given) -> _Category:
    if "status" not in given:
        return NotScored(missing=("status",))
    return _SAME_STATUS.get(given.text("status"), given.text("status"))


def _no_status(status: str) -> NotScored:
    return refuse("status", f"status {status} is none of this type of finding")


def _by_status(given: Given, categories: dict[str, str]) -> _Category:
    status = _status(given)
    if isinstance(status, NotScored):
        return status
    if status in categories:
        return categories[status]
    return _stable(given) if status == "stable" else _no_status(status)


def _stable(given: Given) -> _Category:
    """What was 3 is 2, what was 4A is 3: the size alone does not tell what it was."""
    prior = given.text("prior_category") if "prior_category" in given else ""
    return _STEPPED[prior] if prior else NotScored(missing=("prior_category",))


def _size(given: Given, name: str) -> float | NotScored:
    return half_up(given.number(name), 1) if name in given else NotScored(missing=(name,))


def _by_size(given: Given, name: str, limits: tuple[tuple[float, str], ...]) -> _Category:
    size = _size(given, name)
    if isinstance(size, NotScored):
        return size
    return next((category for limit, category in limits if size < limit), "4B")


SCORE = Score(
    id="lung_rads_2022",
    title="Lung-RADS v2022 category",
    source=Source("ACR Lung-RADS v2022, Chest 2024;165:738", "https://doi.org/10.1016/j.chest.2023.10.028"),
    population="people who are screened for lung cancer with low-dose CT",
    outcome="category of a finding and its management",
    horizon_years=None,
    inputs=(
        Input("type", "type of finding", kind="choice", choices=(*_PLAIN, *_BY_TYPE, *_SAME_TYPE)),
        Input("status", "course", kind="choice", choices=(*_STATUSES, *_SAME_STATUS), needed=False),
        # The upper bounds refuse what cannot be a nodule of the lung.
        Input("mean_diameter_mm", "mean diameter", unit="mm", low=0, high=300, needed=False),
        Input("solid_component_mm", "mean diameter of the solid component", unit="mm", low=0, high=300, needed=False),
        Input("prior_category", "category before", kind="choice", choices=tuple(_STEPPED), needed=False),
        Input(
            "suspicious_features",
            "features that raise the suspicion of cancer",
            kind="boolean",
            needed=False,
            unmentioned=False,
        ),
    ),
    outputs=(Output("category", "Lung-RADS category"), Output("management", "management")),
    further=(
        Source("Lung-RADS v1.1 table", "https://www.ncbi.nlm.nih.gov/books/NBK568579/"),
        Source("Lung-RADS", "https://www.acr.org/Clinical-Resources/Reporting-and-Data-Systems/Lung-Rads"),
    ),
    notes=(
        "Growth is more than 1.5 mm of mean diameter within 12 months.",
        "Juxtapleural nodules: below 10 mm as in the ACR table; a summary that prints up to 10 mm is not followed.",
        "A part-solid nodule that grows is read as one whose solid component grows, the more suspicious reading.",
        "A non-solid nodule that grows to 30 mm or more is category 3: it reached a higher size category.",
        "A thick-walled cyst that grows, without a word of which part, is read as one whose wall grows (4B); growth of "
        "its cystic part alone is category 3.",
        "Thin-walled unilocular cysts are benign and not classified.",
        "The modifier S, for other findings that matter, is not part of the category.",
    ),
    licence="Lung-RADS is a registered trade mark of the American College of Radiology: ask it before commercial use.",
    evaluate=_evaluate,
)

"""Bosniak classification of cystic renal masses on CT, version 2019.

Silverman et al., Radiology 2019;292:475-488, doi:10.1148/radiol.2019182646: thin is 2 mm or less, minimally thickened
3 mm, thick 4 mm or more; few septa are 1 to 3, many 4 or more.
"""

from __future__ import annotations

from collections.abc import Callable

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored
from cds.risk._facts import Fact, any_of, choice, first, flag, number

_BY_ATTENUATION, _NOT_ENHANCING = "by attenuation", "not enhancing"
#: Masses for which the table has no class: what keeps them from one, and why.
_NO_CLASS = {
    _BY_ATTENUATION: (("hu",), "the table has no class for this attenuation: renal mass protocol CT or MRI"),
    _NOT_ENHANCING: (
        ("enhancing_wall", "enhancing_septa"),
        "the table has no class for thick or many parts that do not enhance: renal mass protocol CT or MRI",
    ),
}
Rules = tuple[tuple[Fact, str], ...]


def _evaluate(given: Given) -> Answer:
    structure = _by_structure(given)
    if _only_density(given):
        # A homogeneous mass of which no wall and no septum is told has no thick part, unless one is told.
        structure = tuple((Fact(fact.holds is True), found) for fact, found in structure)
    found = first((*structure, *_by_density(given)), otherwise=_BY_ATTENUATION)
    if isinstance(found, NotScored):
        return found
    if found in _NO_CLASS:
        inputs, reason = _NO_CLASS[found]
        return NotScored(out_of_range=inputs, reasons=(reason,))
    return Scored({"bosniak": found})


def _only_density(given: Given) -> bool:
    structural = {"wall_mm", "septa_count", "septa_mm"} & given.keys()
    return "hu" in given and flag(given, "homogeneous").holds is True and not structural


def _by_structure(given: Given) -> Rules:
    """From the most to the least suspicious; thickening that does not enhance has no class."""
    thin_wall = number(given, "wall_mm", lambda mm: mm <= 2)
    thick_wall = number(given, "wall_mm", lambda mm: mm >= 4)
    thickened_septa = _septa_mm(given, lambda mm: mm > 2)
    many_septa = number(given, "septa_count", lambda count: count >= 4)
    no_septa = number(given, "septa_count", lambda count: count == 0)
    wall, septa = flag(given, "enhancing_wall"), flag(given, "enhancing_septa")
    thick = (thick_wall & wall) | (_septa_mm(given, lambda mm: mm >= 4) & septa)
    return (
        (_nodule(given), "IV"),
        (thick | _irregular(given), "III"),
        ((~thin_wall & wall) | ((thickened_septa | many_septa) & septa), "IIF"),
        (~thin_wall | thickened_septa | many_septa, _NOT_ENHANCING),
        (~no_septa | flag(given, "calcification"), "II"),
        (thin_wall & no_septa & _water(given), "I"),
    )


def _nodule(given: Given) -> Fact:
    """An enhancing nodule: a convex protrusion of 4 mm with obtuse margins, or of any size with acute ones."""
    return any_of(
        (
            flag(given, "nodule"),
            _acute(given),
            number(given, "convex_protrusion_obtuse_mm", lambda mm: mm >= 4),
            number(given, "irregular_convex_protrusion_obtuse_mm", lambda mm: mm >= 4),
        )
    )


def _acute(given: Given) -> Fact:
    """Of any size: told by its size, or by yes or no."""
    told = flag(given, "convex_protrusion_acute")
    size = number(given, "convex_protrusion_acute_mm", lambda mm: mm > 0)
    return told if told.holds or (size.holds is None and told.holds is not None) else size


def _irregular(given: Given) -> Fact:
    """An enhancing wall or septum with a smaller convex protrusion with obtuse margins."""
    return any_of(
        (
            ~flag(given, "smooth"),
            number(given, "convex_protrusion_obtuse_mm", lambda mm: mm > 0),
            number(given, "irregular_convex_protrusion_obtuse_mm", lambda mm: mm > 0),
        )
    )


def _septa_mm(given: Given, test: Callable[[float], bool]) -> Fact:
    """Septa that are not there have no thickness."""
    none = "septa_mm" not in given and number(given, "septa_count", lambda count: count == 0).holds
    return Fact(False) if none else number(given, "septa_mm", test)


def _water(given: Given) -> Fact:
    return number(given, "hu", lambda hu: -9 <= hu <= 20) & flag(given, "homogeneous")


def _by_density(given: Given) -> Rules:
    """Homogeneous masses of class II; too small to characterise counts where the attenuation is low."""
    unenhanced = choice(given, "hu_phase", "unenhanced")
    portal_venous = choice(given, "hu_phase", "portal_venous")
    not_enhancing = choice(given, "hu_phase", "renal_mass_protocol_not_enhancing")
    benign = any_of(
        (
            number(given, "hu", lambda hu: hu >= 70 or -9 <= hu <= 20) & unenhanced,
            number(given, "hu", lambda hu: 20 < hu <= 30) & portal_venous,
            number(given, "hu", lambda hu: hu > 20) & not_enhancing,
            flag(given, "too_small_to_characterise") & number(given, "hu", lambda hu: hu <= 30),
        )
    )
    return ((benign & flag(given, "homogeneous"), "II"),)


def _flag(name: str, title: str, unmentioned: bool, *aliases: str) -> Input:
    return Input(name, title, kind="boolean", needed=False, unmentioned=unmentioned, aliases=aliases)


def _protrusion(name: str, title: str, *aliases: str) -> Input:
    return Input(name, title, unit="mm", low=0, high=300, needed=False, unmentioned=0.0, aliases=aliases)


_PHASES = ("unenhanced", "portal_venous", "renal_mass_protocol_not_enhancing")

SCORE = Score(
    id="bosniak_2019_ct",
    title="Bosniak classification 2019 on CT",
    source=Source("Silverman 2019, Bosniak classification", "https://doi.org/10.1148/radiol.2019182646"),
    population="adults with a cystic renal mass: less than a quarter of it enhances",
    outcome="class of the mass",
    horizon_years=None,
    inputs=(
        # The upper bounds refuse what cannot be a part of a kidney.
        Input("wall_mm", "thickness of the wall", unit="mm", low=0, high=300, needed=False),
        Input("septa_count", "number of septa", unit="{count}", low=0, high=1000, needed=False),
        Input("septa_mm", "thickness of the thickest septum", unit="mm", low=0, high=300, needed=False),
        Input(
            *("hu", "attenuation", "number", "[hnsf'U]", -1024, 3071),
            needed=False,
            aliases=("hu_unenhanced", "hu_noncontrast"),
        ),
        Input("hu_phase", "phase of attenuation", "choice", choices=_PHASES, needed=False, unmentioned="unenhanced"),
        _flag("homogeneous", "homogeneous", unmentioned=True),
        _flag("smooth", "wall and septa are smooth", unmentioned=True),
        _flag("enhancing_wall", "the wall enhances", unmentioned=True),
        _flag("enhancing_septa", "the septa enhance", unmentioned=True),
        _flag("calcification", "calcification", unmentioned=False),
        _flag("too_small_to_characterise", "too small to characterise", unmentioned=False),
        _flag("nodule", "enhancing nodule", False, "enhancing_nodule"),
        _flag("convex_protrusion_acute", "convex protrusion with acute margins of any size", unmentioned=False),
        _protrusion("irregular_convex_protrusion_obtuse_mm", "irregular thickening with obtuse margins"),
        _protrusion("convex_protrusion_obtuse_mm", "convex protrusion with obtuse margins"),
        _protrusion("convex_protrusion_acute_mm", "convex protrusion with acute margins", "acute_protrusion_mm"),
    ),
    evaluate=_evaluate,
    outputs=(Output("bosniak", "Bosniak class"),),
    notes=(
        "More than 2 and less than 4 mm counts as minimally thickened (3 mm). Protrusions are those that enhance.",
        "Thick or many parts that do not enhance have no class in the table.",
        "CT alone: heterogeneous hyperintensity (IIF) is a criterion of MRI.",
    ),
)

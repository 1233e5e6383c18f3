"""ASPECTS: extent of early ischaemic change in the territory of the middle cerebral artery.

Barber PA et al., Lancet 2000;355(9216):1670-1674, doi:10.1016/S0140-6736(00)02237-6: ten points, one less for each
of ten regions with early ischaemic change.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored

_CORTEX = ("M1", "M2", "M3", "M4", "M5", "M6")
#: Names in use for the other four, among them the letters of the paper's figure.
_REGIONS = {
    "caudate": "C",
    "lentiform": "L",
    "internal_capsule": "IC",
    "internal capsule": "IC",
    "insula": "I",
    **{name: name for name in ("C", "L", "IC", "I", *_CORTEX)},
}


def _evaluate(given: Given) -> Answer:
    """A region counts once, however often it is named; a name that is none refuses the list."""
    named = given.items_of("regions_with_early_ischaemic_change")
    if not all(isinstance(name, str) and name in _REGIONS for name in named):
        reason = f"regions must be of caudate, lentiform, internal_capsule, insula, {', '.join(_CORTEX)}"
        return NotScored(out_of_range=("regions_with_early_ischaemic_change",), reasons=(reason,))
    return Scored({"aspects": 10 - len({_REGIONS[str(name)] for name in named})})


SCORE = Score(
    id="aspects",
    title="ASPECTS",
    source=Source("Barber 2000, ASPECTS", "https://doi.org/10.1016/S0140-6736(00)02237-6"),
    population="adults with acute ischaemic stroke of the middle cerebral artery, unenhanced CT",
    outcome="extent of early ischaemic change",
    horizon_years=None,
    inputs=(Input("regions_with_early_ischaemic_change", "regions with early ischaemic change", kind="list"),),
    outputs=(Output("aspects", "ASPECTS", "{score}"),),
    notes=("The list names the regions of one side; an empty list says that all ten were looked at and are normal.",),
    evaluate=_evaluate,
)

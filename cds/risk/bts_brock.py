"""BTS 2015: the first step for an indeterminate lung nodule, by its size, its density and the Brock probability.

Callister et al., Thorax 2015;70 Suppl 2:ii1-ii54, doi:10.1136/thoraxjnl-2015-207168: below 5 mm (80 mm3) no follow-up;
a solid nodule below 8 mm CT surveillance; from 8 mm (300 mm3) PET-CT where the Brock probability is 10 % or more; a
sub-solid nodule from 5 mm CT at 3 months.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored

#: Below the first no follow-up, from the second PET-CT is considered.
_LIMITS = {"diameter_mm": (5, 8), "volume_mm3": (80, 300)}


def _evaluate(given: Given) -> Answer:
    """By diameter or volume; where both were measured, by the one that asks for more."""
    measured = [(given.number(name), *limits) for name, limits in _LIMITS.items() if name in given]
    if not measured:
        return NotScored(missing=("diameter_mm",))
    if all(size < small for size, small, _ in measured):
        return Scored({"action": "no_followup"})
    if "solid_nodule" not in given:
        return NotScored(missing=("solid_nodule",))
    if not given.flag("solid_nodule"):
        return Scored({"action": "ct_3mo"})
    large = any(size >= limit for size, _, limit in measured)
    return _from_8_mm(given) if large else Scored({"action": "ct_surveillance"})


def _from_8_mm(given: Given) -> Answer:
    if "brock_probability" not in given:
        return NotScored(missing=("brock_probability",))
    return Scored({"action": "pet_ct" if given.number("brock_probability") >= 0.1 else "ct_surveillance"})


SCORE = Score(
    id="bts_brock",
    title="BTS 2015 first step for a lung nodule",
    source=Source("BTS pulmonary nodule guideline 2015", "https://doi.org/10.1136/thoraxjnl-2015-207168"),
    population="adults with an indeterminate lung nodule and no known lung cancer",
    outcome="next step",
    horizon_years=None,
    inputs=(
        Input("solid_nodule", "solid nodule", kind="boolean", needed=False),
        # The bounds refuse what cannot be a nodule of the lung.
        Input("diameter_mm", "nodule diameter", unit="mm", low=1, high=300, needed=False),
        Input("volume_mm3", "nodule volume", unit="mm3", low=0.5, high=15_000_000, needed=False),
        Input("brock_probability", "Brock probability", unit="1", low=0, high=1, needed=False),
    ),
    outputs=(Output("action", "next step"),),
    further=(Source("Comparison of nodule guidelines", "https://pmc.ncbi.nlm.nih.gov/articles/PMC7177089/"),),
    notes=(
        "The diameter is the longest one. The guideline prefers a measured volume (80 and 300 mm3); where both are "
        "given, the one that asks for more decides.",
        "Not for nodules with a benign pattern of calcification or fat, nor for perifissural nodules: no follow-up.",
        "PET-CT where the nodule is above the local limit of detection.",
    ),
    evaluate=_evaluate,
)

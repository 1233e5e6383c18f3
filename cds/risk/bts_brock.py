"""BTS 2015: the first step for an indeterminate lung nodule, by its size, its density and the Brock probability.

Callister et al., Thorax 2015;70 Suppl 2:ii1-ii54, doi:10.1136/thoraxjnl-2015-207168: below 5 mm no follow-up; a solid
nodule of 5 to below 8 mm CT surveillance; from 8 mm (300 mm3) PET-CT where the Brock probability is 10 % or more; a
sub-solid nodule from 5 mm CT at 3 months.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored


def _evaluate(given: Given) -> Answer:
    diameter_mm = given.number("diameter_mm")
    if diameter_mm < 5:
        return Scored({"action": "no_followup"})
    if "solid_nodule" not in given:
        return NotScored(missing=("solid_nodule",))
    if not given.flag("solid_nodule"):
        return Scored({"action": "ct_3mo"})
    return Scored({"action": "ct_surveillance"}) if diameter_mm < 8 else _from_8_mm(given)


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
        # The upper bound refuses what cannot be a nodule of the lung.
        Input("diameter_mm", "nodule diameter", unit="mm", low=1, high=300),
        Input("brock_probability", "Brock probability", unit="1", low=0, high=1, needed=False),
    ),
    outputs=(Output("action", "next step"),),
    further=(Source("Comparison of nodule guidelines", "https://pmc.ncbi.nlm.nih.gov/articles/PMC7177089/"),),
    notes=(
        "The diameter is the longest one; where a volume is measured, the guideline prefers it (80 and 300 mm3).",
        "Not for nodules with a benign pattern of calcification or fat, nor for perifissural nodules: no follow-up.",
        "PET-CT where the nodule is above the local limit of detection.",
    ),
    evaluate=_evaluate,
)

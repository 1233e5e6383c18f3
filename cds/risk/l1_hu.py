"""Bone density from the attenuation of the first lumbar vertebra on CT.

Pickhardt et al., Ann Intern Med 2013;158:588-595, doi:10.7326/0003-4819-158-8-201304160-00003: 160 HU or less is 90 %
sensitive and 110 HU or less more than 90 % specific for osteoporosis by DXA; above 200 HU it is excluded (NPV 99 %).
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored

#: Up to and including this attenuation.
BANDS = (
    (110, "osteoporosis_likely"),
    (135, "low_bone_mass_indeterminate"),
    (160, "indeterminate_above_135"),
    (200, "osteoporosis_unlikely"),
)


def _evaluate(given: Given) -> Answer:
    hu = given.number("l1_trabecular_hu")
    return Scored({"band": next((band for limit, band in BANDS if hu <= limit), "osteoporosis_excluded_npv99")})


SCORE = Score(
    id="l1_hu",
    title="Attenuation of L1 and osteoporosis",
    source=Source("Pickhardt 2013, L1 attenuation", "https://doi.org/10.7326/0003-4819-158-8-201304160-00003"),
    population="adults with a CT at 120 kVp that shows the first lumbar vertebra",
    outcome="osteoporosis by DXA (T-score -2.5 or less)",
    horizon_years=None,
    inputs=(
        Input("l1_trabecular_hu", "attenuation of the trabecular bone of L1", unit="[hnsf'U]", low=-1024, high=3071),
        # The cut-offs were found at 120 kVp; at another tube voltage bone has another attenuation.
        Input("kvp", "kVp", unit="kV", low=120, high=120),
    ),
    evaluate=_evaluate,
    outputs=(Output("band", "band of attenuation; the names are ours"),),
    notes=(
        "Below 100 HU the positive predictive value was at least 68 %.",
        "A single threshold of 135 HU was suggested later; 135 itself counts as below it here.",
        "Contrast raises the attenuation; a fractured vertebra must not be measured.",
    ),
)

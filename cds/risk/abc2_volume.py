"""ABC/2: volume of an intracerebral haemorrhage from three diameters.

Kothari RU et al., Stroke 1996;27(8):1304-1305, doi:10.1161/01.STR.27.8.1304: A the largest diameter, B the largest at
right angles to it on the same slice, C the number of slices with blood times their thickness.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored

#: No part of the method: no haemorrhage is wider than a head.
_HEAD_MM = 300


def _evaluate(given: Given) -> Answer:
    product_mm3 = given.number("a_mm") * given.number("b_mm") * given.number("slices_c_mm")
    return Scored({"volume_ml": product_mm3 / 2 / 1000})


SCORE = Score(
    id="abc2_volume",
    title="ABC/2 volume",
    source=Source("Kothari 1996, ABC/2", "https://doi.org/10.1161/01.STR.27.8.1304"),
    population="adults with intracerebral haemorrhage on CT",
    outcome="haemorrhage volume",
    horizon_years=None,
    inputs=(
        Input("a_mm", "largest diameter", unit="mm", low=0, high=_HEAD_MM),
        Input("b_mm", "largest diameter at right angles", unit="mm", low=0, high=_HEAD_MM),
        Input("slices_c_mm", "height: slices with blood times their thickness", unit="mm", low=0, high=_HEAD_MM),
    ),
    outputs=(Output("volume_ml", "volume", "mL"),),
    notes=("An ellipsoid is assumed: irregular haemorrhages are overestimated.",),
    evaluate=_evaluate,
)

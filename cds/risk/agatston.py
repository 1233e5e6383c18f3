"""Agatston score: area of each calcified lesion weighted by its peak attenuation.

Agatston AS et al., J Am Coll Cardiol 1990;15(4):827-832, doi:10.1016/0735-1097(90)90282-T: from 130 HU and 1 mm2,
weight 1 for 130-199 HU, 2 for 200-299, 3 for 300-399, 4 from 400; slices of 3 mm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored


def _evaluate(given: Given) -> Answer:
    """A lesion of which one number is not known makes the sum unknown: nothing is left out of it."""
    lesions = [_lesion(one) for one in given.items_of("lesions")]
    if any(one is None for one in lesions):
        reason = "each lesion must have area_mm2 and peak_hu as numbers, the area not negative"
        return NotScored(out_of_range=("lesions",), reasons=(reason,))
    return Scored({"score": math.fsum(area * _weight(area, peak) for area, peak in filter(None, lesions))})


def _lesion(one: object) -> tuple[float, float] | None:
    if not isinstance(one, Mapping):
        return None
    area, peak = _number(one.get("area_mm2")), _number(one.get("peak_hu"))
    return None if area is None or peak is None or area < 0 else (area, peak)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


def _weight(area_mm2: float, peak_hu: float) -> int:
    if area_mm2 < 1 or peak_hu < 130:
        return 0
    return min(int(peak_hu // 100), 4)


SCORE = Score(
    id="agatston",
    title="Agatston score",
    source=Source("Agatston 1990", "https://doi.org/10.1016/0735-1097(90)90282-T"),
    population="adults with unenhanced, ECG-gated cardiac CT at 120 kVp in slices of 3 mm",
    outcome="coronary artery calcium score",
    horizon_years=None,
    inputs=(Input("lesions", "lesions: area_mm2 and peak_hu of each, per slice", kind="list"),),
    outputs=(Output("score", "Agatston score", "{Agatston_score}"),),
    notes=(
        "Some software asks for three neighbouring pixels instead of 1 mm2.",
        "The list names every lesion of every slice; an empty list says that none was found.",
    ),
    evaluate=_evaluate,
)

"""MQSA: the notice on breast density that the patient must get.

US Food and Drug Administration, Mammography Quality Standards Act final rule, 88 FR 15126, in force since 10 September
2024: BI-RADS density a and b are "not dense", c and d are "dense".
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored

_NOTICE = {"a": "not_dense", "b": "not_dense", "c": "dense", "d": "dense"}


def _evaluate(given: Given) -> Answer:
    return Scored({"patient_notice": _NOTICE[given.text("birads_density")]})


SCORE = Score(
    id="breast_density_mqsa",
    title="MQSA breast density notice",
    source=Source(
        "FDA MQSA final rule, 88 FR 15126",
        "https://www.federalregister.gov/documents/2023/03/10/2023-04550/mammography-quality-standards-act",
    ),
    population="everybody who has a mammogram in the United States",
    outcome="which of the two density notices is due",
    horizon_years=None,
    inputs=(Input("birads_density", "BI-RADS breast density", kind="choice", choices=tuple(_NOTICE)),),
    outputs=(Output("patient_notice", "density notice to the patient"),),
    evaluate=_evaluate,
)

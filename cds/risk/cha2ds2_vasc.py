"""CHA2DS2-VASc and CHA2DS2-VA: stroke risk in atrial fibrillation, with and without the point for female sex.

Lip GYH et al., Chest 2010;137(2):263-272, doi:10.1378/chest.09-1584; without sex: ESC guideline 2024,
doi:10.1093/eurheartj/ehae176.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored
from cds.risk._cardiovascular import SEX

_ONE_POINT = (
    ("chf", "heart failure or reduced ejection fraction"),
    ("hypertension", "hypertension"),
    ("diabetes", "diabetes"),
    ("vascular_disease", "vascular disease (myocardial infarction, peripheral artery disease, aortic plaque)"),
)


def _evaluate(given: Given) -> Answer:
    points = sum(given.flag(name) for name, _ in _ONE_POINT)
    points += 2 * given.flag("stroke_tia_te") + _age_points(given.number("age"))
    return Scored({"cha2ds2_vasc": points + (given.text("sex") == "female"), "cha2ds2_va": points})


def _age_points(age: float) -> int:
    if age >= 75:
        return 2
    return 1 if age >= 65 else 0


SCORE = Score(
    id="cha2ds2_vasc",
    title="CHA2DS2-VASc and CHA2DS2-VA",
    source=Source("Lip 2010, CHA2DS2-VASc", "https://doi.org/10.1378/chest.09-1584"),
    further=(Source("ESC 2024 atrial fibrillation (CHA2DS2-VA)", "https://doi.org/10.1093/eurheartj/ehae176"),),
    population="adults with atrial fibrillation",
    outcome="stroke or thromboembolism",
    horizon_years=1,
    inputs=(
        # The upper bound is no part of the score: it refuses what cannot be an age.
        Input("age", "age", unit="a", low=18, high=130),
        SEX,
        *(Input(name, title, kind="boolean") for name, title in _ONE_POINT),
        Input("stroke_tia_te", "previous stroke, transient ischaemic attack or thromboembolism", kind="boolean"),
    ),
    outputs=(
        Output("cha2ds2_vasc", "CHA2DS2-VASc", "{score}"),
        Output("cha2ds2_va", "CHA2DS2-VA (without sex)", "{score}"),
    ),
    evaluate=_evaluate,
)

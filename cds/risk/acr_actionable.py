"""ACR Actionable Reporting Work Group: how fast a finding has to be told.

Larson et al., J Am Coll Radiol 2014;11:552-558, doi:10.1016/j.jacr.2013.12.016: category 1 within minutes, by word of
mouth; 2 within hours; 3 within days. The examples are few: a finding that is not among them has no category here.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored

WITHIN = {1: "minutes", 2: "hours", 3: "days"}
#: Read as examples of the work group in a publication; the others were told from memory and not seen.
SEEN = {"intracranial_hemorrhage": 1, "testicular_torsion": 1}
RECALLED = {
    "tension_pneumothorax": 1,
    "ischemic_bowel": 1,
    "intra_abdominal_abscess": 2,
    "impending_pathologic_hip_fracture": 2,
    "lung_nodule": 3,
    "solid_renal_mass": 3,
}
CATEGORIES = SEEN | RECALLED


def _evaluate(given: Given) -> Answer:
    finding = given.text("finding")
    category = CATEGORIES[finding]
    example = "seen" if finding in SEEN else "recalled"
    return Scored({"category": category, "communicate_within": WITHIN[category], "example": example})


SCORE = Score(
    id="acr_actionable",
    title="ACR category of an actionable finding",
    source=Source("Larson 2014, ACR actionable findings", "https://doi.org/10.1016/j.jacr.2013.12.016"),
    population="anybody with an imaging finding",
    outcome="how fast the finding has to be told",
    horizon_years=None,
    inputs=(Input("finding", "finding", kind="choice", choices=tuple(CATEGORIES)),),
    evaluate=_evaluate,
    outputs=(
        Output("category", "ACR category, 1 to 3"),
        Output("communicate_within", "to be told within"),
        Output("example", "whether the example was seen in a publication, or recalled and not verified"),
    ),
    notes=(
        "The times of the categories are verified; of the examples only those that say so: what rests on another one "
        "must not be used before its category is read in the paper.",
        "Category 1 needs direct word of mouth. A site keeps its own list; absence here says nothing.",
    ),
)

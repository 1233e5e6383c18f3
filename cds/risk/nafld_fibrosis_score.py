"""NAFLD fibrosis score: advanced fibrosis in fatty liver.

Angulo et al., Hepatology 2007;45:846-854, doi:10.1002/hep.21496.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored
from cds.risk._fibrosis import LABORATORY, NFS_BANDS, band_of


def _evaluate(given: Given) -> Answer:
    age = given.number("age")
    nfs = (
        -1.675
        + 0.037 * age
        + 0.094 * given.number("bmi")
        + 1.13 * given.flag("ifg_or_diabetes")
        + 0.99 * given.number("ast_u_l") / given.number("alt_u_l")
        - 0.013 * given.number("platelets_10e9_l")
        - 0.66 * given.number("albumin_g_dl")
    )
    return Scored({"nfs": nfs, "band": band_of(nfs, age, NFS_BANDS)})


SCORE = Score(
    id="nafld_fibrosis_score",
    title="NAFLD fibrosis score",
    source=Source("Angulo 2007, NAFLD fibrosis score", "https://doi.org/10.1002/hep.21496"),
    population="adults with non-alcoholic fatty liver disease",
    outcome="advanced fibrosis (stage 3-4) of the liver",
    horizon_years=None,
    inputs=(
        Input("age", "age", unit="a", low=18, high=130),
        Input("bmi", "BMI", unit="kg/m2", low=10, high=100, short="BMI"),
        Input("ifg_or_diabetes", "impaired fasting glucose or diabetes", kind="boolean"),
        *LABORATORY,
        # In g/dL: the upper bound refuses a value in g/L.
        Input("albumin_g_dl", "albumin", unit="g/dL", low=0.5, high=10),
    ),
    evaluate=_evaluate,
    outputs=(
        Output("nfs", "NAFLD fibrosis score"),
        Output("band", "risk of advanced fibrosis: low, indeterminate or high"),
    ),
    further=(Source("McPherson 2017, cut-offs from 65 years on", "https://doi.org/10.1038/ajg.2016.453"),),
    notes=("Low below -1.455 (below 0.12 from 65 years on), high above 0.676; some pages print 0.675.",),
)

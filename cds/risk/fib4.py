"""FIB-4: the index of liver fibrosis from age, transaminases and platelets.

Sterling et al., Hepatology 2006;43:1317-1325, doi:10.1002/hep.21178: age x AST / (platelets x sqrt(ALT)). Bands for
fatty liver as in the AGA pathway of 2021, doi:10.1053/j.gastro.2021.07.049; the lower cut-off is 2.0 from 65 years on.
"""

from __future__ import annotations

import math

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored
from cds.risk._fibrosis import FIB4_BANDS, LABORATORY, band_of


def _evaluate(given: Given) -> Answer:
    ast, alt, platelets = given.number("ast_u_l"), given.number("alt_u_l"), given.number("platelets_10e9_l")
    age = given.number("age")
    fib4 = age * ast / (platelets * math.sqrt(alt))
    return Scored({"fib4": fib4, "band": band_of(fib4, age, FIB4_BANDS)})


SCORE = Score(
    id="fib4",
    title="FIB-4 index of liver fibrosis",
    source=Source("Sterling 2006, FIB-4", "https://doi.org/10.1002/hep.21178"),
    population="adults with fatty liver disease; derived in HIV/HCV coinfection, cut-offs from fatty liver cohorts",
    outcome="advanced fibrosis (stage 3-4) of the liver",
    horizon_years=None,
    inputs=(Input("age", "age", unit="a", low=18, high=130), *LABORATORY),
    evaluate=_evaluate,
    outputs=(
        Output("fib4", "FIB-4 index"),
        Output("band", "risk of advanced fibrosis: low, indeterminate or high"),
    ),
    further=(
        Source("AGA 2021, pathway for fatty liver", "https://doi.org/10.1053/j.gastro.2021.07.049"),
        Source("McPherson 2017, cut-offs from 65 years on", "https://doi.org/10.1038/ajg.2016.453"),
    ),
    notes=(
        "Low below 1.3 (below 2.0 from 65 years on), high above 2.67.",
        "Less reliable below 35 years, and in acute hepatitis or another cause of low platelets.",
    ),
)

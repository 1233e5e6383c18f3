"""PREVENT base equations: 10-year and 30-year risk of cardiovascular disease, ASCVD and heart failure.

An implementation of the published PREVENT equations: Khan SS et al., Circulation 2024;149:430-449,
doi:10.1161/CIRCULATIONAHA.123.067626, supplemental table S12. See `licence` below: an installation that may not use
them removes this file and `prevent_addons.py`, which is built on it; nothing else imports either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from operator import mul

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored
from cds.risk._cardiovascular import SEX

#: Six columns: female, male for total CVD; female, male for ASCVD; female, male for heart failure.
Table = Mapping[str, tuple[float, float, float, float, float, float]]
_OUTCOMES = ("cvd", "ascvd", "hf")
_MMOL_PER_MG_DL = 0.02586

#: Table S12, ten years: by term, the coefficients in the order of the columns above.
_TEN_YEARS: Table = {
    "age_c": (0.7939329, 0.7688528, 0.719883, 0.7099847, 0.8998235, 0.8972642),
    "nonhdl": (0.0305239, 0.0736174, 0.1176967, 0.1658663, 0, 0),
    "hdl": (-0.1606857, -0.0954431, -0.151185, -0.1144285, 0, 0),
    "sbp_lt110": (-0.2394003, -0.4347345, -0.0835358, -0.2837212, -0.4559771, -0.6811466),
    "sbp_ge110": (0.3600781, 0.3362658, 0.3592852, 0.3239977, 0.3576505, 0.3634461),
    "diabetes": (0.8667604, 0.7692857, 0.8348585, 0.7189597, 1.038346, 0.923776),
    "smoker": (0.5360739, 0.4386871, 0.4831078, 0.3956973, 0.583916, 0.5023736),
    "bmi_lt30": (0, 0, 0, 0, -0.0072294, -0.0485841),
    "bmi_ge30": (0, 0, 0, 0, 0.2997706, 0.3726929),
    "egfr_lt60": (0.6045917, 0.5378979, 0.4864619, 0.3690075, 0.7451638, 0.6926917),
    "egfr_ge60": (0.0433769, 0.0164827, 0.0397779, 0.0203619, 0.0557087, 0.0251827),
    "bp_treated": (0.3151672, 0.288879, 0.2265309, 0.2036522, 0.3534442, 0.2980922),
    "statin": (-0.1477655, -0.1337349, -0.0592374, -0.0865581, 0, 0),
    "bp_treated_x_sbp_ge110": (-0.0663612, -0.0475924, -0.0395762, -0.0322916, -0.0981511, -0.0497731),
    "statin_x_nonhdl": (0.1197879, 0.150273, 0.0844423, 0.114563, 0, 0),
    "age_x_nonhdl": (-0.0819715, -0.0517874, -0.0567839, -0.0300005, 0, 0),
    "age_x_hdl": (0.0306769, 0.0191169, 0.0325692, 0.0232747, 0, 0),
    "age_x_sbp_ge110": (-0.0946348, -0.1049477, -0.1035985, -0.0927024, -0.0946663, -0.1289201),
    "age_x_diabetes": (-0.27057, -0.2251948, -0.2417542, -0.2018525, -0.3581041, -0.3040924),
    "age_x_smoker": (-0.078715, -0.0895067, -0.0791142, -0.0970527, -0.1159453, -0.1401688),
    "age_x_bmi_ge30": (0, 0, 0, 0, -0.003878, 0.0068126),
    "age_x_egfr_lt60": (-0.1637806, -0.1543702, -0.1671492, -0.1217081, -0.1884289, -0.1797778),
    "constant": (-3.307728, -3.031168, -3.819975, -3.500655, -4.310409, -3.946391),
}
#: Thirty years; the square of the age is a term here.
_THIRTY_YEARS: Table = {
    "age_c": (0.5503079, 0.4627309, 0.4669202, 0.3994099, 0.6254374, 0.5681541),
    "age_c2": (-0.0928369, -0.0984281, -0.0893118, -0.0937484, -0.0983038, -0.1048388),
    "nonhdl": (0.0409794, 0.0836088, 0.1256901, 0.1744643, 0, 0),
    "hdl": (-0.1663306, -0.1029824, -0.1542255, -0.120203, 0, 0),
    "sbp_lt110": (-0.1628654, -0.2140352, -0.0018093, -0.0665117, -0.3919241, -0.4761564),
    "sbp_ge110": (0.3299505, 0.2904325, 0.322949, 0.2753037, 0.3142295, 0.30324),
    "diabetes": (0.6793894, 0.5331276, 0.6296707, 0.4790257, 0.8330787, 0.6840338),
    "smoker": (0.3196112, 0.2141914, 0.268292, 0.1782635, 0.3438651, 0.2656273),
    "bmi_lt30": (0, 0, 0, 0, 0.0594874, 0.0833107),
    "bmi_ge30": (0, 0, 0, 0, 0.2525536, 0.26999),
    "egfr_lt60": (0.1857101, 0.1155556, 0.100106, -0.0218789, 0.2981642, 0.2541805),
    "egfr_ge60": (0.0553528, 0.0603775, 0.0499663, 0.0602553, 0.0667159, 0.0638923),
    "bp_treated": (0.2894, 0.232714, 0.1875292, 0.1421182, 0.333921, 0.2583631),
    "statin": (-0.075688, -0.0272112, 0.0152476, 0.0135996, 0, 0),
    "bp_treated_x_sbp_ge110": (-0.056367, -0.0384488, -0.0276123, -0.0218265, -0.0893177, -0.0391938),
    "statin_x_nonhdl": (0.1071019, 0.134192, 0.0736147, 0.1013148, 0, 0),
    "age_x_nonhdl": (-0.0751438, -0.0511759, -0.0521962, -0.0312619, 0, 0),
    "age_x_hdl": (0.0301786, 0.0165865, 0.0316918, 0.020673, 0, 0),
    "age_x_sbp_ge110": (-0.0998776, -0.1101437, -0.1046101, -0.0920935, -0.0974299, -0.1269124),
    "age_x_diabetes": (-0.3206166, -0.2585943, -0.2727793, -0.2159947, -0.404855, -0.3273572),
    "age_x_smoker": (-0.1607862, -0.1566406, -0.1530907, -0.1548811, -0.1982991, -0.2043019),
    "age_x_bmi_ge30": (0, 0, 0, 0, -0.0035619, -0.0182831),
    "age_x_egfr_lt60": (-0.1450788, -0.1166776, -0.1299149, -0.0712547, -0.1564215, -0.1342618),
    "constant": (-1.318827, -1.148204, -1.974074, -1.736444, -2.205379, -1.95751),
}


_FLAGS = ("diabetes", "current_smoker", "bp_treated", "statin")
#: The terms in the order in which `terms` tells them; an equation that has further ones has them after these.
_TERMS = tuple(name for name in _THIRTY_YEARS if name != "constant")


def columns(table: Table, *further: str) -> tuple[tuple[float, ...], ...]:
    """The coefficients of a table by column: in the order of `terms`, then of the further ones, the constant last."""
    none = (0.0,) * 2 * len(_OUTCOMES)
    return tuple(zip(*(table.get(name, none) for name in (*_TERMS, *further, "constant")), strict=True))


def terms(given: Given) -> tuple[float, ...]:
    """The terms of the equations: centred, scaled and split at their knots as table S12 says, with their products."""
    age = (given.number("age") - 55) / 10
    total, hdl_mg_dl = given.number("total_cholesterol_mg_dl"), given.number("hdl_mg_dl")
    sbp, bmi, egfr = given.number("sbp_mm_hg"), given.number("bmi"), given.number("egfr")
    diabetes, smoker, bp_treated, statin = map(float, map(given.flag, _FLAGS))
    non_hdl, hdl = (total - hdl_mg_dl) * _MMOL_PER_MG_DL - 3.5, (hdl_mg_dl * _MMOL_PER_MG_DL - 1.3) / 0.3
    low_sbp, high_sbp = ((sbp - 110) / 20, -1.0) if sbp < 110 else (0.0, (sbp - 130) / 20)
    low_bmi, high_bmi = ((bmi - 25) / 5, 0.0) if bmi < 30 else (1.0, (bmi - 30) / 5)
    low_egfr, high_egfr = ((egfr - 60) / -15, 2.0) if egfr < 60 else (0.0, (egfr - 90) / -15)
    return (
        age,
        age * age,
        non_hdl,
        hdl,
        low_sbp,
        high_sbp,
        diabetes,
        smoker,
        low_bmi,
        high_bmi,
        low_egfr,
        high_egfr,
        bp_treated,
        statin,
        bp_treated * high_sbp,
        statin * non_hdl,
        age * non_hdl,
        age * hdl,
        age * high_sbp,
        age * diabetes,
        age * smoker,
        age * high_bmi,
        age * low_egfr,
    )


def risks(table: tuple[tuple[float, ...], ...], values: Iterable[float], sex: str, years: int) -> dict[str, float]:
    """Every outcome of the columns of a table as a proportion, keyed as "cvd10"."""
    known = (*values, 1.0)
    return {f"{outcome}{years}": _risk(table, place, known, sex) for place, outcome in enumerate(_OUTCOMES)}


def _risk(table: tuple[tuple[float, ...], ...], place: int, values: tuple[float, ...], sex: str) -> float:
    return _logistic(sum(map(mul, table[2 * place + (sex != "female")], values)))


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


_TEN, _THIRTY = columns(_TEN_YEARS), columns(_THIRTY_YEARS)


def _evaluate(given: Given) -> Answer:
    """Ten years for everybody; thirty years up to the age of 59, above which the equations do not hold."""
    values, sex = terms(given), given.text("sex")
    outputs = risks(_TEN, values, sex, 10)
    if given.number("age") <= 59:
        outputs |= risks(_THIRTY, values, sex, 30)
    return Scored(outputs)


def _evaluate_one(given: Given, output: str) -> float:
    """One outcome over ten years."""
    place = _OUTCOMES.index(output.removesuffix("10"))
    return _risk(_TEN, place, (*terms(given), 1.0), given.text("sex"))


SOURCE = Source(
    "Khan 2024, PREVENT equations (Circulation 149:430)", "https://doi.org/10.1161/CIRCULATIONAHA.123.067626"
)
POPULATION = "adults of 30 to 79 years without known cardiovascular disease (30-year risk: 30 to 59 years)"
INPUTS = (
    SEX,
    Input("age", "age", unit="a", low=30, high=79),
    Input("total_cholesterol_mg_dl", "total cholesterol", unit="mg/dL", low=130, high=320, short="TC"),
    Input("hdl_mg_dl", "HDL cholesterol", unit="mg/dL", low=20, high=100, short="HDL"),
    Input("sbp_mm_hg", "systolic blood pressure", unit="mm[Hg]", low=90, high=180, short="SBP"),
    Input("bmi", "body mass index", unit="kg/m2", low=18.5, high=40, high_open=True, short="BMI"),
    Input("egfr", "eGFR (CKD-EPI 2021)", unit="mL/min/{1.73_m2}", low=15, high=140, short="eGFR"),
    Input("diabetes", "diabetes", kind="boolean"),
    Input("current_smoker", "current smoking", kind="boolean"),
    Input("bp_treated", "blood-pressure-lowering drug", kind="boolean"),
    Input("statin", "statin", kind="boolean"),
)
LICENCE = (
    "Implementation of the published PREVENT equations from the published numbers; not made or endorsed by the "
    "American Heart Association. The AHA offers its own code and calculators under the PREVENT(TM) License Agreement, "
    "which claims ownership of code, calculators and data compilations, is free for academic use only and asks an "
    "order and a fee for commercial use; PREVENT is its trade mark. Take legal advice before commercial use."
)

SCORE = Score(
    id="prevent",
    title="PREVENT base equations (10 and 30 years)",
    source=SOURCE,
    population=POPULATION,
    outcome="total cardiovascular disease, ASCVD, heart failure",
    horizon_years=10,
    inputs=INPUTS,
    outputs=(
        Output("cvd10", "10-year risk of cardiovascular disease", "1"),
        Output("ascvd10", "10-year risk of ASCVD", "1"),
        Output("hf10", "10-year risk of heart failure", "1"),
        Output("cvd30", "30-year risk of cardiovascular disease (up to 59 years)", "1"),
        Output("ascvd30", "30-year risk of ASCVD (up to 59 years)", "1"),
        Output("hf30", "30-year risk of heart failure (up to 59 years)", "1"),
    ),
    notes=(
        "Ranges differ between publications: systolic pressure 90-180 and eGFR 15-140 here, 90-200 and 15-150 in "
        "others; the narrower ones are used.",
        "Risks are proportions. The cut-points of the pooled cohort equations (5, 7.5, 20 %) do not apply to them.",
        "Body mass index counts for heart failure alone, but its range holds for every outcome.",
    ),
    licence=LICENCE,
    evaluate=_evaluate,
    evaluate_one=_evaluate_one,
)

"""PREVENT with HbA1c or with the urine albumin-to-creatinine ratio: 10-year risks.

An implementation of the published PREVENT equations: Khan SS et al., Circulation 2024;149:430-449,
doi:10.1161/CIRCULATIONAHA.123.067626, supplemental tables. Built on `prevent.py`, removed together with it.
"""

from __future__ import annotations

import math

from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored
from cds.risk.prevent import INPUTS, LICENCE, POPULATION, SOURCE, Table, columns, risks, terms

#: Base model and HbA1c, whose slope depends on diabetes.
_WITH_HBA1C: Table = {
    "age_c": (0.7858178, 0.7699177, 0.7111831, 0.7064146, 0.8997391, 0.911787),
    "nonhdl": (0.0194438, 0.0605093, 0.106797, 0.1532267, 0, 0),
    "hdl": (-0.1521964, -0.0888525, -0.1425745, -0.1082166, 0, 0),
    "sbp_lt110": (-0.2296681, -0.417713, -0.0736824, -0.2675288, -0.4422749, -0.6568071),
    "sbp_ge110": (0.3465777, 0.3288657, 0.3480844, 0.3173809, 0.3378691, 0.3524645),
    "diabetes": (0.5366241, 0.4759471, 0.5112951, 0.432604, 0.681284, 0.5849752),
    "smoker": (0.5411682, 0.4385663, 0.4880292, 0.3958842, 0.5886005, 0.5014014),
    "bmi_lt30": (0, 0, 0, 0, -0.0148657, -0.0512352),
    "bmi_ge30": (0, 0, 0, 0, 0.2958374, 0.365294),
    "egfr_lt60": (0.5931898, 0.5334616, 0.4754997, 0.3665014, 0.73447, 0.6892219),
    "egfr_ge60": (0.0472458, 0.0206431, 0.0438132, 0.0250243, 0.05926, 0.0292377),
    "bp_treated": (0.3158567, 0.2917524, 0.2259093, 0.2061158, 0.3543475, 0.3038296),
    "statin": (-0.1535174, -0.1383313, -0.0648872, -0.0899988, 0, 0),
    "bp_treated_x_sbp_ge110": (-0.0687752, -0.0482622, -0.0437645, -0.0334959, -0.1002139, -0.0515032),
    "statin_x_nonhdl": (0.1054746, 0.1393796, 0.0697082, 0.1034168, 0, 0),
    "age_x_nonhdl": (-0.0761119, -0.0463501, -0.0506382, -0.0255406, 0, 0),
    "age_x_hdl": (0.0307469, 0.0205926, 0.0327475, 0.0247538, 0, 0),
    "age_x_sbp_ge110": (-0.0905966, -0.1037717, -0.0996442, -0.0917441, -0.0878765, -0.1262343),
    "age_x_diabetes": (-0.2241857, -0.1737697, -0.1924338, -0.1499195, -0.303684, -0.2449514),
    "age_x_smoker": (-0.080186, -0.0915839, -0.0803539, -0.098089, -0.1178943, -0.1392217),
    "age_x_bmi_ge30": (0, 0, 0, 0, -0.008345, 0.0009592),
    "age_x_egfr_lt60": (-0.1667286, -0.1637039, -0.1682586, -0.1305231, -0.1912183, -0.1917105),
    "hba1c_diabetes": (0.1338348, 0.13159, 0.1339055, 0.1157161, 0.1856442, 0.1652857),
    "hba1c_no_diabetes": (0.1622409, 0.1295185, 0.1596461, 0.1288303, 0.1833083, 0.1505859),
    "constant": (-3.306162, -3.040901, -3.838746, -3.51835, -4.288225, -3.961954),
}
#: Base model and the natural logarithm of the albumin-to-creatinine ratio.
_WITH_UACR: Table = {
    "age_c": (0.7969249, 0.7768655, 0.7201999, 0.7141718, 0.9145975, 0.9111795),
    "nonhdl": (0.0256635, 0.0659949, 0.1135771, 0.1602194, 0, 0),
    "hdl": (-0.1588107, -0.0951111, -0.1493506, -0.1139086, 0, 0),
    "sbp_lt110": (-0.2255701, -0.420667, -0.0726677, -0.2719456, -0.4441346, -0.6693649),
    "sbp_ge110": (0.3396649, 0.3120151, 0.3436259, 0.3058719, 0.3260323, 0.3290082),
    "diabetes": (0.8047515, 0.698521, 0.7773094, 0.6600631, 0.9611365, 0.8377655),
    "smoker": (0.5285338, 0.4314669, 0.4746662, 0.3884022, 0.5755787, 0.4978917),
    "bmi_lt30": (0, 0, 0, 0, 0.0008831, -0.042749),
    "bmi_ge30": (0, 0, 0, 0, 0.2988964, 0.3624165),
    "egfr_lt60": (0.4803511, 0.3841364, 0.3824646, 0.2466316, 0.5915291, 0.5075796),
    "egfr_ge60": (0.0434472, 0.009384, 0.0394178, 0.0151852, 0.0556823, 0.0137716),
    "bp_treated": (0.2985207, 0.2676494, 0.2125182, 0.186167, 0.3314097, 0.2739963),
    "statin": (-0.1497787, -0.1390966, -0.0603046, -0.0894395, 0, 0),
    "bp_treated_x_sbp_ge110": (-0.0742889, -0.0579315, -0.0466053, -0.0411884, -0.1078596, -0.0645712),
    "statin_x_nonhdl": (0.106756, 0.1383719, 0.0733118, 0.1058212, 0, 0),
    "age_x_nonhdl": (-0.0778126, -0.0488332, -0.0534262, -0.028089, 0, 0),
    "age_x_hdl": (0.0306768, 0.0200406, 0.0325689, 0.0240427, 0, 0),
    "age_x_sbp_ge110": (-0.0907168, -0.102454, -0.0999887, -0.0912325, -0.0875231, -0.1230039),
    "age_x_diabetes": (-0.2705122, -0.2236355, -0.2411762, -0.2004894, -0.356859, -0.3013297),
    "age_x_smoker": (-0.0830564, -0.089485, -0.0826941, -0.096936, -0.1220248, -0.1410318),
    "age_x_bmi_ge30": (0, 0, 0, 0, -0.0053637, 0.0021531),
    "age_x_egfr_lt60": (-0.1389249, -0.1321848, -0.1444737, -0.1022867, -0.1610389, -0.1548018),
    "ln_uacr": (0.1793037, 0.1887974, 0.1501217, 0.1510073, 0.2197281, 0.2306299),
    "constant": (-3.738341, -3.510705, -4.174614, -3.85146, -4.841506, -4.556907),
}


_HBA1C = columns(_WITH_HBA1C, "hba1c_diabetes", "hba1c_no_diabetes")
_UACR = columns(_WITH_UACR, "ln_uacr")


def _evaluate(given: Given) -> Answer:
    """One of the two values chooses the equation; the equation for both also takes a social deprivation index."""
    with_hba1c, with_uacr = "hba1c_percent" in given, "uacr_mg_g" in given
    if with_hba1c and with_uacr:
        return NotScored(reasons=("HbA1c and UACR together need an equation that is not implemented: give one",))
    if with_hba1c:
        return Scored(risks(_HBA1C, (*terms(given), *_hba1c_terms(given)), given.text("sex"), 10))
    if with_uacr:
        ratio = math.log(given.number("uacr_mg_g"))
        return Scored(risks(_UACR, (*terms(given), ratio), given.text("sex"), 10))
    return NotScored(missing=("hba1c_percent", "uacr_mg_g"))


def _hba1c_terms(given: Given) -> tuple[float, float]:
    """What is above 5.3 %, with diabetes and without."""
    above = given.number("hba1c_percent") - 5.3
    diabetes = given.flag("diabetes")
    return (above, 0.0) if diabetes else (0.0, above)


SCORE = Score(
    id="prevent_addons",
    title="PREVENT with HbA1c or UACR (10 years)",
    source=SOURCE,
    population=POPULATION,
    outcome="total cardiovascular disease, ASCVD, heart failure",
    horizon_years=10,
    inputs=(
        *INPUTS,
        # Bounds of the implementation that the numbers were compared with; the paper states none.
        Input("hba1c_percent", "HbA1c", unit="%", low=4.5, high=15, short="HbA1c", needed=False),
        Input(
            "uacr_mg_g",
            "urine albumin-to-creatinine ratio",
            unit="mg/g",
            low=0.1,
            high=25_000,
            short="UACR",
            needed=False,
        ),
    ),
    outputs=(
        Output("cvd10", "10-year risk of cardiovascular disease", "1"),
        Output("ascvd10", "10-year risk of ASCVD", "1"),
        Output("hf10", "10-year risk of heart failure", "1"),
    ),
    notes=(
        "HbA1c alone or UACR alone: the equation for both, with the social deprivation index, is not implemented.",
        "The coefficients were seen in one transcription; the published examples (table S12) reproduce.",
    ),
    licence=LICENCE,
    evaluate=_evaluate,
)

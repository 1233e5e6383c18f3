"""CAIDE: risk of dementia within 20 years, from seven facts of midlife (without APOE).

Kivipelto M et al., Lancet Neurol 2006;5(9):735-741, doi:10.1016/S1474-4422(06)70537-3.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score, Scored

#: Up to how many points, which risk in percent.
_RISKS = ((5, 1.0), (7, 1.9), (9, 4.2), (11, 7.4), (15, 16.4))


def _evaluate(given: Given) -> Answer:
    points = (
        _age_points(given.number("age"))
        + _education_points(given.number("education_years"))
        + given.flag("male")
        + 2 * (given.number("sbp") > 140)
        + 2 * (given.number("bmi") > 30)
        + 2 * (given.number("total_cholesterol_mmol_l") > 6.5)
        + given.flag("physically_inactive")
    )
    return Scored({"caide": points, "risk20y_percent": next(risk for most, risk in _RISKS if points <= most)})


def _age_points(age: float) -> int:
    if age > 53:
        return 4
    return 3 if age >= 47 else 0


def _education_points(years: float) -> int:
    if years < 7:
        return 3
    return 2 if years < 10 else 0


SCORE = Score(
    id="caide",
    title="CAIDE dementia risk score (without APOE)",
    source=Source("Kivipelto 2006, CAIDE", "https://doi.org/10.1016/S1474-4422(06)70537-3"),
    population="adults of 39 to 64 years without dementia",
    outcome="dementia",
    horizon_years=20,
    inputs=(
        Input("age", "age", unit="a", low=39, high=64),
        # Beside the age of the cohort no range is stated: these bounds refuse what cannot be such a value.
        Input("education_years", "years of education", unit="a", low=0, high=40),
        Input("male", "male sex", kind="boolean"),
        Input("sbp", "systolic blood pressure", unit="mm[Hg]", low=50, high=300, short="SBP"),
        Input("bmi", "body mass index", unit="kg/m2", low=10, high=100, short="BMI"),
        Input("total_cholesterol_mmol_l", "total cholesterol", unit="mmol/L", low=1, high=30, short="TC"),
        Input("physically_inactive", "physical inactivity (less than twice a week)", kind="boolean"),
    ),
    outputs=(Output("caide", "CAIDE points", "{score}"), Output("risk20y_percent", "20-year risk of dementia", "%")),
    notes=("Values of midlife: it does not predict for who is older than the cohort was.",),
    evaluate=_evaluate,
)

"""PLCOm2012: the risk of an ever-smoker to be diagnosed with lung cancer within 6 years.

Tammemägi et al., N Engl J Med 2013;368:728-736, doi:10.1056/NEJMoa1211776 (coefficients: PMC3929969).
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored
from cds.risk._criteria import logistic, not_whole, refuse

_RACES = {
    "white": 0.0,
    "black": 0.3944778,
    "hispanic": -0.7434744,
    "asian": -0.466585,
    "native_hawaiian_pacific_islander": 1.027152,
    "american_indian_alaska_native": 0.0,
}
_THRESHOLD = 0.0151


def _evaluate(given: Given) -> Answer:
    if not given.flag("current_smoker") and "years_quit" not in given:
        return NotScored(missing=("years_quit",))
    refused = not_whole(given, "education_1_6") or _contradiction(given)
    if refused:
        return refused
    risk = logistic(_predictor(given))
    return Scored({"risk6y": risk, "at_or_above_1_51_percent": risk >= _THRESHOLD})


def _years_quit(given: Given) -> float:
    return given.number("years_quit") if "years_quit" in given else 0.0


def _contradiction(given: Given) -> NotScored | None:
    if given.flag("current_smoker") and _years_quit(given) > 0:
        return refuse("years_quit", "years since quitting must be 0 for who smokes now")
    if given.number("years_smoked") + _years_quit(given) > given.number("age"):
        return refuse("years_smoked", "years smoked and years since quitting must fit into the age")
    return None


def _predictor(given: Given) -> float:
    return (
        -4.532506
        + 0.0778868 * (given.number("age") - 62)
        + _RACES[given.text("race_ethnicity")]
        - 0.0812744 * (given.number("education_1_6") - 4)
        - 0.0274194 * (given.number("bmi") - 27)
        + 0.3553063 * given.flag("copd")
        + 0.4589971 * given.flag("personal_cancer_history")
        + 0.587185 * given.flag("family_history_lung_cancer")
        + 0.2597431 * given.flag("current_smoker")
        - 1.822606 * ((given.number("cigarettes_per_day") / 10) ** -1 - 0.4021541613)
        + 0.0317321 * (given.number("years_smoked") - 27)
        - 0.0308572 * (_years_quit(given) - 10)
    )


SCORE = Score(
    id="plcom2012",
    title="PLCOm2012 lung cancer risk over 6 years",
    source=Source("Tammemägi 2013, N Engl J Med 368:728", "https://doi.org/10.1056/NEJMoa1211776"),
    population="people who smoke or have smoked, aged 55 to 80",
    outcome="diagnosis of lung cancer",
    horizon_years=6,
    inputs=(
        Input("age", "age", unit="a", low=55, high=80),
        Input("race_ethnicity", "race or ethnicity", kind="choice", choices=tuple(_RACES)),
        # 1 less than high school, 2 high school, 3 some training after it, 4 some college, 5 college, 6 postgraduate.
        Input("education_1_6", "education level", unit="1", low=1, high=6),
        # The paper bounds age and education only; the others refuse what cannot be one (and no smoking at all).
        Input("bmi", "BMI", unit="kg/m2", low=10, high=100),
        Input("copd", "COPD, emphysema or chronic bronchitis", kind="boolean"),
        Input("personal_cancer_history", "personal history of cancer", kind="boolean"),
        Input("family_history_lung_cancer", "family history of lung cancer", kind="boolean"),
        Input("current_smoker", "current smoking", kind="boolean"),
        Input("cigarettes_per_day", "cigarettes per day", unit="{cigarettes}/d", low=1, high=200),
        Input("years_smoked", "years smoked", unit="a", low=0, high=80),
        Input("years_quit", "years since quitting", unit="a", low=0, high=80, needed=False),
    ),
    outputs=(
        Output("risk6y", "risk of lung cancer within 6 years", "1"),
        Output("at_or_above_1_51_percent", "at or above 1.51 %, the paper's threshold for screening"),
    ),
    notes=(
        "The Hispanic coefficient is -0.7434744; -0.734744 in some code is a misprint.",
        "1.027152 belongs to Native Hawaiian and Pacific Islander; some code gives it to American Indian.",
        "Developed at 55 to 74 years; from 75 to 80 it is an extrapolation.",
    ),
    evaluate=_evaluate,
)

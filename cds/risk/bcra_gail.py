"""Breast Cancer Risk Assessment Tool (Gail model): the absolute risk of invasive breast cancer between two ages.

Gail et al., J Natl Cancer Inst 1989;81:1879-1886, doi:10.1093/jnci/81.24.1879, with the National Cancer Institute's
models for Black (CARE), Hispanic (SFBCS) and Asian and Pacific Islander women (AABCS). Hazards are constant within a
year of age; h1 = incidence x (1 - attributable risk) x relative risk, h2 = mortality from everything else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored
from cds.risk._bcra_rates import (
    INCIDENCE,
    INCIDENCE_OF_WHITE_AVERAGE,
    MORTALITY,
    MORTALITY_OF_WHITE_AVERAGE,
    Rates,
)
from cds.risk._criteria import not_whole, refuse

_NULLIPAROUS, _UNKNOWN = 98, 99
_BLACK, _HISPANIC_US, _HISPANIC_FOREIGN = 2, 3, 5
#: The inputs whose unknown the model counts as the lowest category.
_MAY_BE_UNKNOWN = ("n_biopsies", "age_menarche", "age_first_birth", "n_first_degree_relatives")


@dataclass(frozen=True, slots=True)
class _Model:
    """Log relative risks per category, and 1 - attributable risk below 50 years and from 50."""

    biopsies: float
    menarche: float
    first_birth: float
    relatives: float
    biopsies_from_50: float
    first_birth_relatives: float
    one_minus_ar: tuple[float, float]


_WHITE = _Model(
    biopsies=0.5292641686,
    menarche=0.0940103059,
    first_birth=0.2186262218,
    relatives=0.9583027845,
    biopsies_from_50=-0.288042483,
    first_birth_relatives=-0.1908113865,
    one_minus_ar=(0.5788413, 0.5788413),
)
_CARE = _Model(
    biopsies=0.1822121131,
    menarche=0.2672530336,
    first_birth=0.0,
    relatives=0.4757242578,
    biopsies_from_50=-0.1119411682,
    first_birth_relatives=0.0,
    one_minus_ar=(0.7294988, 0.74397137),
)
_SFBCS_US = _Model(
    biopsies=0.0970783641,
    menarche=0.0,
    first_birth=0.2318368334,
    relatives=0.166685441,
    biopsies_from_50=0.0,
    first_birth_relatives=0.0,
    one_minus_ar=(0.749294788397, 0.778215491668),
)
_SFBCS_FOREIGN = _Model(
    biopsies=0.4798624017,
    menarche=0.2593922322,
    first_birth=0.4669246218,
    relatives=0.9076679727,
    biopsies_from_50=0.0,
    first_birth_relatives=0.0,
    one_minus_ar=(0.428864989813, 0.450352338746),
)
_AABCS = _Model(
    biopsies=0.55263612260619,
    menarche=0.07499257592975,
    first_birth=0.27638268294593,
    relatives=0.79185633720481,
    biopsies_from_50=0.0,
    first_birth_relatives=0.0,
    one_minus_ar=(0.47519806426735, 0.50316401683903),
)
_MODELS = {1: _WHITE, _BLACK: _CARE, _HISPANIC_US: _SFBCS_US, 4: _WHITE, _HISPANIC_FOREIGN: _SFBCS_FOREIGN}


@dataclass(frozen=True, slots=True)
class _Woman:
    """Her inputs as whole numbers, and the categories that the model makes of them."""

    race: int
    n_biopsies: int
    hyperplasia: int
    age_menarche: int
    age_first_birth: int
    n_relatives: int

    @property
    def hispanic(self) -> bool:
        return self.race in (_HISPANIC_US, _HISPANIC_FOREIGN)

    def biopsies(self) -> int:
        known = 0 if self.n_biopsies == _UNKNOWN else self.n_biopsies
        return min(known, 1 if self.hispanic else 2)

    def hyperplasia_factor(self) -> float:
        return {0: 0.93, 1: 1.82, _UNKNOWN: 1.0}[self.hyperplasia]

    def menarche(self) -> int:
        category = 0 if self.age_menarche >= 14 else 1 if self.age_menarche >= 12 else 2
        return min(category, 1) if self.race == _BLACK else category

    def first_birth(self) -> int:
        """Nulliparity is as a first birth at 25 to 29; Hispanic: 20 to 29 are one category, nulliparity is above."""
        if self.age_first_birth == _UNKNOWN:
            return 0
        if self.age_first_birth == _NULLIPAROUS:
            return 2
        category = sum(self.age_first_birth >= limit for limit in (20, 25, 30))
        return (0, 1, 1, 2)[category] if self.hispanic else category

    def relatives(self) -> int:
        known = 0 if self.n_relatives == _UNKNOWN else self.n_relatives
        return min(known, 1 if self.hispanic or self.race >= 6 else 2)


def _evaluate(given: Given) -> Answer:
    refused = not_whole(given, *_MAY_BE_UNKNOWN, "hyperplasia", "race_code") or _contradiction(given)
    if refused:
        return refused
    woman = _woman(given)
    model = _MODELS.get(woman.race, _AABCS)
    before_50, from_50 = _relative_risks(woman, model)
    return Scored(
        {
            "absolute_risk_percent": 100 * _risk(given, woman.race, model, (before_50, from_50)),
            "relative_risk_lt50": before_50,
            "relative_risk_ge50": from_50,
            "average_risk_percent": 100 * _average_risk(given, woman.race),
            "unknown_inputs": tuple(name for name in _MAY_BE_UNKNOWN if given.number(name) == _UNKNOWN),
        }
    )


def _woman(given: Given) -> _Woman:
    return _Woman(
        race=int(given.number("race_code")),
        n_biopsies=int(given.number("n_biopsies")),
        hyperplasia=int(given.number("hyperplasia")),
        age_menarche=int(given.number("age_menarche")),
        age_first_birth=int(given.number("age_first_birth")),
        n_relatives=int(given.number("n_first_degree_relatives")),
    )


def _contradiction(given: Given) -> NotScored | None:
    """What the tool's own consistency rules refuse."""
    age, until = given.number("age_start"), given.number("age_end")
    if until <= age:
        return refuse("age_end", "age at the end must be above the age at the start")
    if given.number("hyperplasia") not in (0, 1, _UNKNOWN):
        return refuse("hyperplasia", "atypical hyperplasia must be 0, 1 or 99")
    if given.number("n_biopsies") in (0, _UNKNOWN) and given.number("hyperplasia") != _UNKNOWN:
        return refuse("hyperplasia", "atypical hyperplasia must be 99 without a known biopsy")
    return _contradiction_of_ages(age, given.number("age_menarche"), given.number("age_first_birth"))


def _contradiction_of_ages(age: float, menarche: float, first_birth: float) -> NotScored | None:
    if age < menarche != _UNKNOWN:
        return refuse("age_menarche", "age at menarche must not be above the age")
    if first_birth in (_NULLIPAROUS, _UNKNOWN):
        return None
    if first_birth > age:
        return refuse("age_first_birth", "age at first birth must not be above the age")
    if first_birth < menarche != _UNKNOWN:
        return refuse("age_first_birth", "age at first birth must not be below the age at menarche")
    return None


def _relative_risks(woman: _Woman, model: _Model) -> tuple[float, float]:
    biopsies, first_birth, relatives = woman.biopsies(), woman.first_birth(), woman.relatives()
    x = (
        model.biopsies * biopsies
        + model.menarche * woman.menarche()
        + model.first_birth * first_birth
        + model.relatives * relatives
        + model.first_birth_relatives * first_birth * relatives
    )
    factor = woman.hyperplasia_factor()
    return factor * math.exp(x), factor * math.exp(x + model.biopsies_from_50 * biopsies)


def _risk(given: Given, race: int, model: _Model, relative: tuple[float, float]) -> float:
    row = 1 if race == 4 else race
    factors = (model.one_minus_ar[0] * relative[0], model.one_minus_ar[1] * relative[1])
    return _absolute(given, INCIDENCE[row], MORTALITY[row], factors)


def _average_risk(given: Given, race: int) -> float:
    if race in (1, 4):
        return _absolute(given, INCIDENCE_OF_WHITE_AVERAGE, MORTALITY_OF_WHITE_AVERAGE, (1.0, 1.0))
    return _absolute(given, INCIDENCE[race], MORTALITY[race], (1.0, 1.0))


def _absolute(given: Given, incidence: Rates, mortality: Rates, factors: tuple[float, float]) -> float:
    """Year of age by year of age: who is still free of cancer, and which part of who leaves does so by cancer."""
    start, end = given.number("age_start"), given.number("age_end")
    risk, free = 0.0, 1.0
    for year in range(math.floor(start), math.ceil(end)):
        band = (year - 20) // 5
        cancer = incidence[band] * factors[year >= 50]
        leaving = cancer + mortality[band]
        staying = math.exp(-leaving * (min(year + 1, end) - max(year, start)))
        risk += cancer / leaving * free * (1 - staying)
        free *= staying
    return risk


SCORE = Score(
    id="bcra_gail",
    title="Breast Cancer Risk Assessment Tool (Gail model)",
    source=Source("Gail 1989, J Natl Cancer Inst 81:1879", "https://doi.org/10.1093/jnci/81.24.1879"),
    population="women from 35 years without breast cancer, LCIS, a BRCA mutation or chest radiotherapy",
    outcome="invasive breast cancer from the first age to the second",
    horizon_years=None,
    inputs=(
        # The rates are known from 20 to below 90 years.
        Input("age_start", "age", unit="a", low=20, high=90, high_open=True),
        Input("age_end", "age until which the risk is told", unit="a", low=20, high=90),
        Input("n_biopsies", "number of breast biopsies (99 unknown)", unit="{count}", low=0, high=99),
        Input("hyperplasia", "atypical hyperplasia in a biopsy (0 no, 1 yes, 99 unknown)", unit="1", low=0, high=99),
        Input("age_menarche", "age at menarche (99 unknown)", unit="a", low=1, high=99),
        Input("age_first_birth", "age at first live birth (98 none, 99 unknown)", unit="a", low=1, high=99),
        Input(
            "n_first_degree_relatives",
            "first-degree relatives with breast cancer (99 unknown)",
            unit="{count}",
            low=0,
            high=99,
        ),
        # 1 white, 2 Black, 3 Hispanic born in the US, 4 Native American or other, 5 Hispanic born elsewhere, 6 Chinese,
        # 7 Japanese, 8 Filipino, 9 Hawaiian, 10 other Pacific Islander, 11 other Asian.
        Input("race_code", "race or ethnicity code", unit="1", low=1, high=11),
    ),
    outputs=(
        Output("absolute_risk_percent", "absolute risk", "%"),
        Output("relative_risk_lt50", "relative risk below 50 years", "1"),
        Output("relative_risk_ge50", "relative risk from 50 years", "1"),
        Output("average_risk_percent", "average risk of women of the same age and race", "%"),
        Output("unknown_inputs", "inputs that were said to be unknown and counted as the lowest category"),
    ),
    further=(
        Source("Gail 2007 (Black women)", "https://doi.org/10.1093/jnci/djm223"),
        Source("Matsuno 2011 (Asian and Pacific Islander women)", "https://doi.org/10.1093/jnci/djr154"),
        Source("Banegas 2017 (Hispanic women)", "https://doi.org/10.1093/jnci/djw215"),
        Source("Breast Cancer Risk Assessment Tool", "https://bcrisktool.cancer.gov/"),
    ),
    notes=(
        "The model itself counts what is unknown (99) as the lowest category: the risk is then a lower bound.",
        "Below 35 years the formula has an answer, but the tool is not meant for it.",
        "Not for the rule that offers MRI from 20 % lifetime risk: that needs a model of the family history.",
        "5 years at 1.67 % or more is the threshold of the chemoprevention trials.",
    ),
    licence="Published numbers of a US government tool; no code of it is used.",
    evaluate=_evaluate,
)

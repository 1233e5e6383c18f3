"""Breast: the Gail model against the National Cancer Institute's own package, density notices, BI-RADS categories."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.risk import Scored
from cds.risk._bcra_rates import INCIDENCE, INCIDENCE_OF_WHITE_AVERAGE, MORTALITY, MORTALITY_OF_WHITE_AVERAGE
from cds.risk.bcra_gail import SCORE as GAIL
from cds.risk.bi_rads import SCORE as BI_RADS
from cds.risk.breast_density_mqsa import SCORE as DENSITY
from tests.unit.clinical import reference
from tests.unit.risk_asking import (
    agrees_with_the_reference,
    number,
    outputs,
    refused,
    refuses_what_cannot_be,
    says_what_is_missing,
)

WOMAN: dict[str, object] = {
    "age_start": 40,
    "age_end": 50,
    "n_biopsies": 1,
    "hyperplasia": 99,
    "age_menarche": 12,
    "age_first_birth": 25,
    "n_first_degree_relatives": 1,
    "race_code": 1,
}
UNKNOWN: dict[str, object] = {
    "n_biopsies": 99,
    "hyperplasia": 99,
    "age_menarche": 99,
    "age_first_birth": 99,
    "n_first_degree_relatives": 99,
}
#: Biopsies with atypia, early menarche, no birth, two relatives.
MANY_FACTORS: dict[str, object] = {
    "age_start": 45,
    "age_end": 55,
    "n_biopsies": 2,
    "hyperplasia": 1,
    "age_menarche": 10,
    "age_first_birth": 98,
    "n_first_degree_relatives": 2,
}


@pytest.mark.parametrize("stem", ["bcra_gail", "breast_density_mqsa", "bi_rads"])
def test_the_reference_vectors_agree(reference_dir: Path, stem: str) -> None:
    agrees_with_the_reference(reference_dir, stem)


def test_every_rate_of_gail_is_the_published_one(reference_dir: Path) -> None:
    tables = json.loads((reference(reference_dir) / "risk" / "coefficients" / "bcra_gail.json").read_bytes())
    columns = dict(enumerate(("Wh", "AA", "HU", "NA", "HF", "Ch", "Ja", "Fi", "Hw", "oP", "oA"), start=1))
    for name, by_race, average in (
        ("lambda1", INCIDENCE, INCIDENCE_OF_WHITE_AVERAGE),
        ("lambda2", MORTALITY, MORTALITY_OF_WHITE_AVERAGE),
    ):
        printed = {key.split(".")[0]: tuple(row[key] for row in tables[name]) for key in tables[name][0]}
        assert {columns[race]: rates for race, rates in by_race.items()} | {"NA": by_race[1], "Wh_Avg": average} == {
            key: printed[key] for key in (*columns.values(), "Wh_Avg")
        }


# Runs of the R package BCRA 2.1 (https://cran.r-project.org/package=BCRA), whose authors are the institute's.
@pytest.mark.parametrize(
    ("race", "relative_lt50", "relative_ge50", "absolute"),
    [
        (1, 5.1407908505, 3.8542037918, 4.5136216073),
        (2, 2.5223459588, 2.2552215947, 2.7300575728),
        (3, 1.6414838814, 1.6414838814, 1.8869997821),
        (4, 5.1407908505, 3.8542037918, 4.5136216073),
        (5, 8.2800352729, 8.2800352729, 3.337429861),
        (6, 7.1868315613, 7.1868315613, 3.9785550501),
        (7, 7.1868315613, 7.1868315613, 4.9921994486),
        (8, 7.1868315613, 7.1868315613, 4.8802680186),
    ],
)
def test_gail_agrees_with_the_institutes_package(
    race: int, relative_lt50: float, relative_ge50: float, absolute: float
) -> None:
    answer = GAIL({**WOMAN, "race_code": race})
    assert number(answer, "relative_risk_lt50") == pytest.approx(relative_lt50, abs=1e-9)
    assert number(answer, "relative_risk_ge50") == pytest.approx(relative_ge50, abs=1e-9)
    assert number(answer, "absolute_risk_percent") == pytest.approx(absolute, abs=1e-8)


@pytest.mark.parametrize(
    ("race", "absolute"),
    [(1, 24.125253066), (2, 11.4017761885), (3, 5.8245861091), (5, 16.0564828123), (6, 15.8392569501)],
)
def test_gail_agrees_with_the_institutes_package_where_many_factors_meet(race: int, absolute: float) -> None:
    answer = GAIL({**MANY_FACTORS, "race_code": race})
    assert number(answer, "absolute_risk_percent") == pytest.approx(absolute, abs=1e-8)


# One year, worked by hand from the printed rates: 100 * h1/(h1 + h2) * (1 - e^-(h1 + h2)), h1 = incidence * (1 - AR).
@pytest.mark.parametrize(
    ("race", "age", "absolute", "average"),
    [
        (1, 40, 0.0731488, 0.1163093),  # h1 0.001265*0.5788413, h2 0.001307; average 0.0011645 and 0.0012534
        (9, 60, 0.2610661, 0.5181766),  # h1 0.005237808549*0.50316401683903, h2 0.016315472607
        (10, 45, 0.0363425, 0.0764634),  # h1 0.000766406354*0.47519806426735, h2 0.003866623959
        (11, 70, 0.0607631, 0.1207256),  # h1 0.001216010125*0.50316401683903, h2 0.01325176513
    ],
)
def test_gail_gives_one_year_worked_by_hand(race: int, age: int, absolute: float, average: float) -> None:
    answer = GAIL({**UNKNOWN, "race_code": race, "age_start": age, "age_end": age + 1})
    assert number(answer, "absolute_risk_percent") == pytest.approx(absolute, abs=1e-7)
    assert number(answer, "average_risk_percent") == pytest.approx(average, abs=1e-6)


# Categories of the relative risk (log relative risks of Gail 1989): menarche 0.0940103, first birth 0.2186262.
@pytest.mark.parametrize(
    ("changes", "relative"),
    [
        ({"age_menarche": 14}, 1.0),
        ({"age_menarche": 13}, 1.0985711),
        ({"age_menarche": 12}, 1.0985711),
        ({"age_menarche": 11}, 1.2068584),
        ({"age_first_birth": 19}, 1.0),
        ({"age_first_birth": 20}, 1.2443661),
        ({"age_first_birth": 24}, 1.2443661),
        ({"age_first_birth": 25}, 1.5484469),
        ({"age_first_birth": 29}, 1.5484469),
        ({"age_first_birth": 98}, 1.5484469),
        ({"age_first_birth": 30}, 1.9268348),
        ({"n_first_degree_relatives": 1}, 2.6072679),
        ({"n_first_degree_relatives": 2}, 6.7978444),
        ({"n_first_degree_relatives": 3}, 6.7978444),
        ({"n_biopsies": 1}, 1.6976825),
        ({"n_biopsies": 2}, 2.8821263),
        ({"n_biopsies": 5}, 2.8821263),
        ({"n_biopsies": 1, "hyperplasia": 0}, 1.5788447),
        ({"n_biopsies": 1, "hyperplasia": 1}, 3.0897821),
    ],
)
def test_gail_categories_of_a_white_woman(changes: dict[str, object], relative: float) -> None:
    answer = GAIL({**UNKNOWN, "race_code": 1, "age_start": 40, "age_end": 45, **changes})
    assert number(answer, "relative_risk_lt50") == pytest.approx(relative, abs=1e-6)


@pytest.mark.parametrize(
    ("race", "changes", "as_if"),
    [
        (2, {"age_menarche": 11}, {"age_menarche": 13}),
        (2, {"age_first_birth": 30}, {"age_first_birth": 19}),
        (3, {"age_menarche": 11}, {"age_menarche": 15}),
        (3, {"n_biopsies": 2}, {"n_biopsies": 1}),
        (3, {"age_first_birth": 29}, {"age_first_birth": 20}),
        (5, {"age_first_birth": 98}, {"age_first_birth": 30}),
        (5, {"n_first_degree_relatives": 2}, {"n_first_degree_relatives": 1}),
        (11, {"n_first_degree_relatives": 2}, {"n_first_degree_relatives": 1}),
    ],
)
def test_gail_puts_categories_together_where_the_model_of_a_race_does(
    race: int, changes: dict[str, object], as_if: dict[str, object]
) -> None:
    base = {**UNKNOWN, "race_code": race, "age_start": 40, "age_end": 45}
    one, other = GAIL({**base, **changes}), GAIL({**base, **as_if})
    assert number(one, "absolute_risk_percent") == number(other, "absolute_risk_percent")
    assert number(one, "relative_risk_ge50") == number(other, "relative_risk_ge50")


def test_gail_tells_what_was_unknown_and_counted_as_lowest() -> None:
    assert outputs(GAIL(WOMAN))["unknown_inputs"] == ()
    told = outputs(GAIL({**WOMAN, **UNKNOWN}))["unknown_inputs"]
    assert told == ("n_biopsies", "age_menarche", "age_first_birth", "n_first_degree_relatives")


def test_gail_does_not_answer_with_a_missing_or_impossible_input() -> None:
    says_what_is_missing(GAIL, WOMAN)
    refuses_what_cannot_be(GAIL, WOMAN)


@pytest.mark.parametrize(
    ("changes", "refused_input"),
    [
        ({"age_end": 40}, "age_end"),
        ({"age_start": 90, "age_end": 90}, "age_start"),
        ({"n_biopsies": 0, "hyperplasia": 0}, "hyperplasia"),
        ({"n_biopsies": 99, "hyperplasia": 1}, "hyperplasia"),
        ({"hyperplasia": 2}, "hyperplasia"),
        ({"age_menarche": 41}, "age_menarche"),
        ({"age_first_birth": 41}, "age_first_birth"),
        ({"age_first_birth": 11}, "age_first_birth"),
        ({"n_biopsies": 1.5}, "n_biopsies"),
        ({"race_code": 1.5}, "race_code"),
    ],
)
def test_gail_refuses_what_contradicts_itself(changes: dict[str, object], refused_input: str) -> None:
    assert refused(GAIL({**WOMAN, **changes})) == (refused_input,)


def test_gail_takes_a_first_birth_at_the_age_of_menarche_or_now() -> None:
    for age in (12, 40):
        assert isinstance(GAIL({**WOMAN, "age_first_birth": age}), Scored)


@given(st.floats(20, 89), st.floats(0.1, 60), st.floats(0, 10), st.integers(1, 11))
def test_a_longer_time_never_lowers_the_gail_risk(start: float, years: float, more: float, race: int) -> None:
    ends = (min(start + years, 90), min(start + years + more, 90))
    base = {**UNKNOWN, "race_code": race, "age_start": start}
    short, long = (number(GAIL({**base, "age_end": end}), "absolute_risk_percent") for end in ends)
    assert 0 < short <= long < 100


@given(st.integers(1, 11), st.sampled_from(["n_biopsies", "n_first_degree_relatives"]), st.integers(0, 4))
def test_one_biopsy_or_relative_more_never_lowers_the_gail_risk(race: int, name: str, count: int) -> None:
    base = {**UNKNOWN, "race_code": race, "age_start": 45, "age_end": 60}
    fewer, more = (number(GAIL({**base, name: n}), "absolute_risk_percent") for n in (count, count + 1))
    assert fewer <= more


# 88 FR 15126 (FDA, 2023): BI-RADS density a and b "not dense", c and d "dense".
@pytest.mark.parametrize(
    ("density", "notice"), [("a", "not_dense"), ("b", "not_dense"), ("c", "dense"), ("d", "dense")]
)
def test_the_density_notice(density: str, notice: str) -> None:
    assert DENSITY({"birads_density": density}) == Scored({"patient_notice": notice})


def test_there_is_no_density_notice_without_a_density() -> None:
    says_what_is_missing(DENSITY, {"birads_density": "c"})
    refuses_what_cannot_be(DENSITY, {"birads_density": "c"})
    assert refused(DENSITY({"birads_density": "C"})) == ("birads_density",)


# ACR BI-RADS Atlas, 5th edition.
@pytest.mark.parametrize(
    ("category", "meaning", "likelihood"),
    [
        (0, "incomplete", None),
        (1, "negative_routine", "0%"),
        (2, "benign_routine", "0%"),
        (3, "probably_benign_6mo", ">0-<=2%"),
        (4, "suspicious_biopsy", ">2-<95%"),
        (5, "highly_suggestive_biopsy", ">=95%"),
        (6, "known_malignancy", None),
    ],
)
def test_each_bi_rads_category(category: int, meaning: str, likelihood: str | None) -> None:
    assert BI_RADS({"category": category}) == Scored({"meaning": meaning, "malignancy_likelihood": likelihood})


@pytest.mark.parametrize(("subcategory", "likelihood"), [("4A", ">2-<=10%"), ("4B", ">10-<=50%"), ("4C", ">50-<95%")])
def test_bi_rads_4_has_subcategories(subcategory: str, likelihood: str) -> None:
    answer = BI_RADS({"category": 4, "subcategory": subcategory})
    assert answer == Scored({"meaning": "suspicious_biopsy", "malignancy_likelihood": likelihood})
    assert refused(BI_RADS({"category": 3, "subcategory": subcategory})) == ("subcategory",)


def test_bi_rads_refuses_what_is_no_category() -> None:
    says_what_is_missing(BI_RADS, {"category": 3})
    refuses_what_cannot_be(BI_RADS, {"category": 4, "subcategory": "4A"})
    assert refused(BI_RADS({"category": 3.5})) == ("category",)

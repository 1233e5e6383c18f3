"""Scores of haemorrhage, stroke and dementia: published points, their borders, missing and impossible inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.risk import NotScored, Scored, load
from cds.risk.check import check
from tests.unit.clinical import reference
from tests.unit.score_inputs import Case, names_each_missing_input, outputs, ranges, refuses_what_cannot_be, score

MIDLIFE = {
    "age": 44,
    "education_years": 16,
    "male": False,
    "sbp": 124,
    "bmi": 24.1,
    "total_cholesterol_mmol_l": 4.8,
    "physically_inactive": False,
}
SMALL_BLEED = {"gcs": 15, "volume_ml": 10, "ivh": False, "infratentorial": False, "age": 60}
REGIONS = ["caudate", "lentiform", "internal_capsule", "insula", "M1", "M2", "M3", "M4", "M5", "M6"]
COMPLETE: Mapping[str, Case] = {
    "caide": MIDLIFE,
    "ich_score": SMALL_BLEED,
    "abc2_volume": {"a_mm": 40, "b_mm": 30, "slices_c_mm": 8},
    "aspects": {"regions_with_early_ischaemic_change": ["M1"]},
    "bat_score": {"blend_sign": False, "any_hypodensity": False, "hours_onset_to_ct": 5},
}


@pytest.mark.parametrize("name", COMPLETE)
def test_every_reference_vector_agrees(name: str, reference_dir: Path) -> None:
    report = check([reference(reference_dir) / "risk" / "vectors" / f"{name}.json"])
    assert report.mismatches == ()
    assert report.ok


@pytest.mark.parametrize("name", COMPLETE)
def test_each_missing_input_is_named_and_never_assumed(name: str) -> None:
    names_each_missing_input(score(name), COMPLETE[name])


@pytest.mark.parametrize("name", COMPLETE)
def test_each_input_out_of_its_range_is_refused_by_name(name: str) -> None:
    refuses_what_cannot_be(score(name), COMPLETE[name])


@pytest.mark.parametrize("name", COMPLETE)
def test_a_score_names_its_source_its_outputs_and_its_units(name: str) -> None:
    one = score(name)
    assert one.id == name
    assert one.source.url.startswith("https://doi.org/")
    assert set(outputs(name, COMPLETE[name])) == {output.name for output in one.outputs}
    assert all(i.unit for i in one.inputs if i.kind == "number")


def test_a_score_says_over_how_long_it_predicts() -> None:
    assert score("caide").horizon_years == 20
    assert score("ich_score").horizon_years == pytest.approx(0.0821, abs=1e-4)  # 30 days


def test_the_bat_score_loads_for_checks_alone() -> None:
    assert "bat_score" not in load()
    assert set(COMPLETE) - {"bat_score"} <= set(load())


# Points of Kivipelto 2006 (model without APOE): age below 47 none, 47-53 three, above 53 four; education of 10 years
# none, 7-9 two, less three; male sex one; systolic pressure above 140, BMI above 30, cholesterol above 6.5 two each;
# inactivity one.
@pytest.mark.parametrize(
    ("changes", "points"),
    [
        ({}, 0),
        ({"age": 46}, 0),
        ({"age": 47}, 3),
        ({"age": 53}, 3),
        ({"age": 54}, 4),
        ({"education_years": 10}, 0),
        ({"education_years": 9}, 2),
        ({"education_years": 7}, 2),
        ({"education_years": 6}, 3),
        ({"male": True}, 1),
        ({"sbp": 140}, 0),
        ({"sbp": 141}, 2),
        ({"bmi": 30}, 0),
        ({"bmi": 30.1}, 2),
        ({"total_cholesterol_mmol_l": 6.5}, 0),
        ({"total_cholesterol_mmol_l": 6.6}, 2),
        ({"physically_inactive": True}, 1),
    ],
)
def test_each_point_of_caide(changes: Case, points: int) -> None:
    assert outputs("caide", {**MIDLIFE, **changes})["caide"] == points


# Risks of Kivipelto 2006: 0-5 points 1.0 %, 6-7 1.9 %, 8-9 4.2 %, 10-11 7.4 %, 12-15 16.4 %.
@pytest.mark.parametrize(
    ("changes", "points", "risk"),
    [
        ({"age": 47, "sbp": 150}, 5, 1.0),
        ({"age": 54, "sbp": 150}, 6, 1.9),
        ({"age": 47, "sbp": 150, "bmi": 31}, 7, 1.9),
        ({"age": 54, "sbp": 150, "bmi": 31}, 8, 4.2),
        ({"age": 47, "sbp": 150, "bmi": 31, "education_years": 9}, 9, 4.2),
        ({"age": 54, "sbp": 150, "bmi": 31, "education_years": 9}, 10, 7.4),
        ({"age": 54, "sbp": 150, "bmi": 31, "education_years": 6}, 11, 7.4),
        ({"age": 54, "sbp": 150, "bmi": 31, "education_years": 6, "male": True}, 12, 16.4),
        (
            dict(age=64, education_years=0, male=True, sbp=150, bmi=31)
            | dict(total_cholesterol_mmol_l=7, physically_inactive=True),
            15,
            16.4,
        ),
    ],
)
def test_each_risk_of_caide(changes: Case, points: int, risk: float) -> None:
    assert outputs("caide", {**MIDLIFE, **changes}) == {"caide": points, "risk20y_percent": risk}


def test_caide_is_not_used_beyond_midlife() -> None:
    answer = score("caide")({**MIDLIFE, "age": 80})
    assert answer == NotScored(out_of_range=("age",), reasons=("age above 64",))


# Points of Hemphill 2001.
@pytest.mark.parametrize(
    ("changes", "points"),
    [
        ({}, 0),
        ({"gcs": 13}, 0),
        ({"gcs": 12}, 1),
        ({"gcs": 5}, 1),
        ({"gcs": 4}, 2),
        ({"gcs": 3}, 2),
        ({"volume_ml": 29.9}, 0),
        ({"volume_ml": 30}, 1),
        ({"ivh": True}, 1),
        ({"infratentorial": True}, 1),
        ({"age": 79}, 0),
        ({"age": 80}, 1),
    ],
)
def test_each_point_of_the_ich_score(changes: Case, points: int) -> None:
    assert outputs("ich_score", {**SMALL_BLEED, **changes})["ich_score"] == points


# Mortality of Hemphill 2001: 0, 13, 26, 72, 97, 100 % at 0 to 5 points; nobody had 6.
@pytest.mark.parametrize(
    ("changes", "points", "mortality"),
    [
        ({}, 0, 0),
        ({"ivh": True}, 1, 13),
        ({"ivh": True, "infratentorial": True}, 2, 26),
        ({"gcs": 5, "ivh": True, "volume_ml": 45}, 3, 72),
        ({"gcs": 4, "ivh": True, "volume_ml": 45}, 4, 97),
        ({"gcs": 4, "ivh": True, "volume_ml": 45, "age": 81}, 5, 100),
        ({"gcs": 3, "ivh": True, "volume_ml": 30, "age": 80, "infratentorial": True}, 6, 100),
    ],
)
def test_each_mortality_of_the_ich_score(changes: Case, points: int, mortality: int) -> None:
    expected = {"ich_score": points, "mortality_30d_percent": mortality}
    assert outputs("ich_score", {**SMALL_BLEED, **changes}) == expected


def test_the_coma_scale_runs_from_3_to_15_and_caide_from_39_to_64_years() -> None:
    assert ranges(score("ich_score"))["gcs"] == (3, 15)
    assert ranges(score("caide"))["age"] == (39, 64)


def test_a_coma_scale_of_half_a_point_is_refused() -> None:
    answer = score("ich_score")({**SMALL_BLEED, "gcs": 12.5})
    assert answer == NotScored(out_of_range=("gcs",), reasons=("GCS must be a whole number",))


BLEEDS = st.fixed_dictionaries(
    {
        "gcs": st.integers(3, 15),
        "volume_ml": st.floats(0, 200),
        "ivh": st.booleans(),
        "infratentorial": st.booleans(),
        "age": st.integers(18, 100),
    }
)
WORSE: list[Case] = [{"gcs": 3}, {"volume_ml": 200}, {"ivh": True}, {"infratentorial": True}, {"age": 100}]


@given(bleed=BLEEDS, worse=st.sampled_from(WORSE))
def test_one_more_criterion_never_lowers_the_ich_score(bleed: Case, worse: Case) -> None:
    before, after = score("ich_score")(bleed), score("ich_score")({**bleed, **worse})
    assert isinstance(before, Scored)
    assert isinstance(after, Scored)
    assert before.number("ich_score") <= after.number("ich_score")
    assert before.number("mortality_30d_percent") <= after.number("mortality_30d_percent")


# By hand: 4.0 x 3.0 x 0.8 / 2 = 4.8 mL; 6.5 x 5.0 x 5.0 / 2 = 81.25 mL.
@pytest.mark.parametrize(
    ("a", "b", "c", "volume"), [(40, 30, 8, 4.8), (52, 33, 30, 25.74), (65, 50, 50, 81.25), (40, 30, 0, 0)]
)
def test_abc2_is_half_the_product_of_the_diameters(a: float, b: float, c: float, volume: float) -> None:
    got = outputs("abc2_volume", {"a_mm": a, "b_mm": b, "slices_c_mm": c})
    assert got["volume_ml"] == pytest.approx(volume)


@given(st.lists(st.sampled_from(REGIONS)))
def test_aspects_loses_one_point_for_each_region_however_often_and_in_whatever_order(named: list[str]) -> None:
    got = outputs("aspects", {"regions_with_early_ischaemic_change": named})
    assert got == {"aspects": 10 - len(set(named))}


def test_aspects_runs_from_ten_to_none() -> None:
    assert outputs("aspects", {"regions_with_early_ischaemic_change": []}) == {"aspects": 10}
    assert outputs("aspects", {"regions_with_early_ischaemic_change": REGIONS}) == {"aspects": 0}


def test_the_letters_of_the_paper_name_the_same_regions() -> None:
    letters = ["C", "L", "IC", "I", "caudate", "lentiform", "internal capsule", "insula"]
    assert outputs("aspects", {"regions_with_early_ischaemic_change": letters}) == {"aspects": 6}


@pytest.mark.parametrize("named", [["M7"], ["M1", "m2"], ["thalamus"], [None], [["M1"]]])
def test_a_region_that_is_none_refuses_the_list(named: list[object]) -> None:
    answer = score("aspects")({"regions_with_early_ischaemic_change": named})
    assert isinstance(answer, NotScored)
    assert answer.out_of_range == ("regions_with_early_ischaemic_change",)


@pytest.mark.parametrize(
    ("blend", "hypodensity", "hours", "points", "high"),
    [
        (False, False, 5, 0, False),
        (True, False, 5, 1, False),
        (False, True, 2.5, 2, False),
        (True, True, 2.5, 3, True),
        (False, False, 2.49, 2, False),
        (True, False, 1, 3, True),
        (False, True, 2, 4, True),
        (True, True, 1, 5, True),
    ],
)
def test_each_point_of_the_bat_score(blend: bool, hypodensity: bool, hours: float, points: int, high: bool) -> None:
    case = {"blend_sign": blend, "any_hypodensity": hypodensity, "hours_onset_to_ct": hours}
    assert outputs("bat_score", case) == {"bat": points, "high_risk_expansion": high}

"""Scores of the liver and of bone: values worked by hand, the borders of each band, missing and impossible inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.risk import NotScored, Scored
from cds.risk.check import check
from tests.unit.clinical import reference
from tests.unit.knowing_less import same_answer_or_missing, some_of
from tests.unit.score_inputs import Case, names_each_missing_input, outputs, refuses_what_cannot_be, score

# 50 x 40 / (200 x sqrt(25)) = 2.0
LABORATORY = {"age": 50, "ast_u_l": 40, "alt_u_l": 25, "platelets_10e9_l": 200}
# -1.675 + 1.85 + 2.82 + 0 + 0.99 - 2.6 - 2.64 = -1.255
FATTY = {
    "age": 50,
    "bmi": 30,
    "ifg_or_diabetes": False,
    "ast_u_l": 40,
    "alt_u_l": 40,
    "platelets_10e9_l": 200,
    "albumin_g_dl": 4.0,
}
UNENHANCED: Case = {"liver_hu": 60, "spleen_hu": 50, "contrast": False}
WOMAN: Case = {"age": 60, "weight_kg": 65, "current_estrogen": False}
COMPLETE: Mapping[str, Case] = {
    "fib4": LABORATORY,
    "nafld_fibrosis_score": FATTY,
    "liver_ct_steatosis": UNENHANCED,
    "steatosis_fib4_pathway": {"steatosis_on_ct": True, "age": 50, "fib4": 1.0},
    "lsm_pathway": {"lsm_kpa": 7.9},
    "l1_hu": {"l1_trabecular_hu": 85, "kvp": 120},
    "ost": {"weight_kg": 60, "age": 70},
    "orai": WOMAN,
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
    assert one.source.url.startswith("https://")
    assert not one.unverified
    assert set(outputs(name, COMPLETE[name])) == {output.name for output in one.outputs}


# Sterling 2006 (doi:10.1002/hep.21178), worked by hand; the third is the worked example of 35 years, 107, 104 and 181.
@pytest.mark.parametrize(
    ("case", "fib4"),
    [
        (LABORATORY, 2.0),
        ({"age": 60, "ast_u_l": 90, "alt_u_l": 36, "platelets_10e9_l": 150}, 6.0),
        ({"age": 35, "ast_u_l": 107, "alt_u_l": 104, "platelets_10e9_l": 181}, 2.02888),
    ],
)
def test_fib4_is_age_times_ast_by_platelets_times_the_root_of_alt(case: Case, fib4: float) -> None:
    assert outputs("fib4", case)["fib4"] == pytest.approx(fib4, abs=5e-6)


# 1300 / 1000 and 2670 / 1000: the cut-offs themselves are indeterminate.
@pytest.mark.parametrize(
    ("changes", "band"),
    [
        ({"age": 51.9, "ast_u_l": 25}, "low"),
        ({"age": 52, "ast_u_l": 25}, "indeterminate"),
        ({"age": 53.4, "ast_u_l": 50}, "indeterminate"),
        ({"age": 53.5, "ast_u_l": 50}, "high"),
        ({"age": 64.9, "ast_u_l": 30}, "indeterminate"),
        ({"age": 65, "ast_u_l": 30}, "low"),
        ({"age": 80, "ast_u_l": 24.9}, "low"),
        ({"age": 80, "ast_u_l": 25}, "indeterminate"),
        ({"age": 80, "ast_u_l": 34}, "high"),
    ],
)
def test_fib4_is_low_below_1_3_or_below_2_from_65_years_and_high_above_2_67(
    changes: Mapping[str, float], band: str
) -> None:
    assert outputs("fib4", {**LABORATORY, **changes})["band"] == band


@given(st.integers(18, 110), st.integers(1, 2000), st.integers(1, 2000), st.integers(5, 900))
def test_fib4_rises_with_age_and_ast_and_falls_with_platelets(age: int, ast: int, alt: int, platelets: int) -> None:
    def fib4(**changes: float) -> float:
        case = {"age": age, "ast_u_l": ast, "alt_u_l": alt, "platelets_10e9_l": platelets}
        answer = score("fib4")({**case, **changes})
        assert isinstance(answer, Scored)
        return answer.number("fib4")

    assert fib4(age=age + 1) > fib4()
    assert fib4(ast_u_l=ast + 1) > fib4()
    assert fib4(platelets_10e9_l=platelets + 1) < fib4()


# Angulo 2007 (doi:10.1002/hep.21496), each term worked by hand.
@pytest.mark.parametrize(
    ("changes", "nfs", "band"),
    [
        ({}, -1.255, "indeterminate"),
        ({"ifg_or_diabetes": True}, -0.125, "indeterminate"),
        ({"bmi": 20}, -2.195, "low"),
        ({"age": 70}, -0.515, "low"),
        ({"ast_u_l": 120}, 0.725, "high"),
        ({"platelets_10e9_l": 100}, 0.045, "indeterminate"),
        ({"age": 65, "platelets_10e9_l": 140}, 0.08, "low"),
        ({"age": 65, "platelets_10e9_l": 136}, 0.132, "indeterminate"),
        ({"albumin_g_dl": 2}, 0.065, "indeterminate"),
    ],
)
def test_the_nafld_fibrosis_score_and_its_bands(changes: Case, nfs: float, band: str) -> None:
    found = outputs("nafld_fibrosis_score", {**FATTY, **changes})
    assert found["nfs"] == pytest.approx(nfs, abs=1e-9)
    assert found["band"] == band


def test_albumin_in_grams_per_litre_is_refused() -> None:
    answer = score("nafld_fibrosis_score")({**FATTY, "albumin_g_dl": 40})
    assert isinstance(answer, NotScored)
    assert answer.reasons == ("albumin above 10",)


# Boyce 2010 (doi:10.2214/AJR.09.2590): 40 HU; Pickhardt 2012 (doi:10.1007/s00330-011-2349-2): 48 HU.
@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"liver_hu": 40}, "moderate_severe_steatosis"),
        ({"liver_hu": 40.1}, "high_specificity_band_le48"),
        ({"liver_hu": 48}, "high_specificity_band_le48"),
        ({"liver_hu": 48.1}, "none"),
        ({"liver_hu": 50, "spleen_hu": 60}, "none"),
        ({"liver_hu": 50, "spleen_hu": 60.1}, "steatosis_by_spleen_difference_gt10"),
        ({"liver_hu": 35, "contrast": True}, "not_applicable_contrast"),
    ],
)
def test_fat_of_the_liver_by_its_attenuation_on_unenhanced_ct(changes: Case, finding: str) -> None:
    assert outputs("liver_ct_steatosis", {**UNENHANCED, **changes}) == {"finding": finding}


def test_no_fat_of_the_liver_is_said_only_where_the_spleen_and_the_contrast_are_known() -> None:
    liver = score("liver_ct_steatosis")
    assert liver({"liver_hu": 60, "contrast": False}) == NotScored(missing=("spleen_hu",))
    assert liver({"liver_hu": 60, "spleen_hu": 50}) == NotScored(missing=("contrast",))
    assert liver({"contrast": True}) == Scored({"finding": "not_applicable_contrast"})
    assert liver({"liver_hu": 35, "contrast": False}) == Scored({"finding": "moderate_severe_steatosis"})


# AGA 2021 (doi:10.1053/j.gastro.2021.07.049).
@pytest.mark.parametrize(
    ("age", "fib4", "band", "action"),
    [
        (64, 1.29, "low", "repeat_nit_2_3y_primary_care"),
        (64, 1.3, "indeterminate", "lsm_vcte"),
        (65, 1.3, "low", "repeat_nit_2_3y_primary_care"),
        (65, 1.99, "low", "repeat_nit_2_3y_primary_care"),
        (65, 2.0, "indeterminate", "lsm_vcte"),
        (50, 2.67, "indeterminate", "lsm_vcte"),
        (50, 2.671, "high", "refer_hepatology"),
        (80, 2.671, "high", "refer_hepatology"),
    ],
)
def test_what_follows_fat_of_the_liver_by_fib4(age: float, fib4: float, band: str, action: str) -> None:
    case = {"steatosis_on_ct": True, "age": age, "fib4": fib4}
    assert outputs("steatosis_fib4_pathway", case) == {"band": band, "action": action}
    without = outputs("steatosis_fib4_pathway", {**case, "steatosis_on_ct": False})
    assert without == {"band": band, "action": "not_applicable"}


def test_the_age_is_asked_for_only_where_it_decides_the_band() -> None:
    pathway = score("steatosis_fib4_pathway")
    assert pathway({"steatosis_on_ct": True, "fib4": 1.5}) == NotScored(missing=("age",))
    assert outputs("steatosis_fib4_pathway", {"steatosis_on_ct": True, "fib4": 3.0})["band"] == "high"
    assert outputs("steatosis_fib4_pathway", {"steatosis_on_ct": True, "fib4": 1.0})["band"] == "low"
    assert pathway({"fib4": 1.0, "age": 50}) == NotScored(missing=("steatosis_on_ct",))
    assert pathway({}) == NotScored(missing=("steatosis_on_ct", "fib4", "age"))


@pytest.mark.parametrize(
    ("kpa", "action"),
    [
        (7.99, "primary_care"),
        (8, "refer_hepatology_indeterminate"),
        (12, "refer_hepatology_indeterminate"),
        (12.01, "refer_hepatology_high"),
    ],
)
def test_what_follows_an_elastography(kpa: float, action: str) -> None:
    assert outputs("lsm_pathway", {"lsm_kpa": kpa}) == {"action": action}


# Pickhardt 2013 (doi:10.7326/0003-4819-158-8-201304160-00003): 110, 160 and 200 HU; 135 HU was suggested later.
@pytest.mark.parametrize(
    ("hu", "band"),
    [
        (-30, "osteoporosis_likely"),
        (110, "osteoporosis_likely"),
        (110.1, "low_bone_mass_indeterminate"),
        (135, "low_bone_mass_indeterminate"),
        (135.1, "indeterminate_above_135"),
        (160, "indeterminate_above_135"),
        (160.1, "osteoporosis_unlikely"),
        (200, "osteoporosis_unlikely"),
        (200.1, "osteoporosis_excluded_npv99"),
    ],
)
def test_the_bands_of_the_attenuation_of_l1(hu: float, band: str) -> None:
    assert outputs("l1_hu", {"l1_trabecular_hu": hu, "kvp": 120}) == {"band": band}


def test_l1_at_another_tube_voltage_is_refused_not_converted() -> None:
    answer = score("l1_hu")({"l1_trabecular_hu": 85, "kvp": 100})
    assert answer == NotScored(out_of_range=("kvp",), reasons=("kVp below 120",))


# (kg - years) / 5, worked by hand; women below 2, men below 4 (doi:10.1007/s001980170070, doi:10.4065/78.6.723).
@pytest.mark.parametrize(
    ("weight_kg", "age", "expected"),
    [
        (60, 70, (-2.0, -2, True, True)),
        (70, 62, (1.6, 1, True, True)),
        (70, 60, (2.0, 2, False, True)),
        (80, 60, (4.0, 4, False, False)),
        (79.9, 60, (3.98, 3, False, True)),
        (60, 68, (-1.6, -1, True, True)),
    ],
)
def test_ost_and_both_of_its_thresholds(weight_kg: float, age: float, expected: tuple[float, ...]) -> None:
    found = outputs("ost", {"weight_kg": weight_kg, "age": age})
    assert list(found) == ["ost", "ost_truncated", "women_screen_lt2", "men_screen_lt4"]
    assert list(found.values()) == pytest.approx(list(expected))


# Cadarette 2000 (CMAJ 162:1289), as in LOINC 98139-9: 15, 9, 5 and 0 by age; 9, 3 and 0 by weight; 2 without oestrogen.
@pytest.mark.parametrize(
    ("changes", "orai"),
    [
        ({}, 10),
        ({"age": 54.9}, 5),
        ({"age": 55}, 10),
        ({"age": 64.9}, 10),
        ({"age": 65}, 14),
        ({"age": 75}, 20),
        ({"weight_kg": 59.9}, 16),
        ({"weight_kg": 60}, 10),
        ({"weight_kg": 69.9}, 10),
        ({"weight_kg": 70}, 7),
        ({"current_estrogen": True}, 8),
    ],
)
def test_the_points_of_orai_and_bone_density_from_9_points(changes: Case, orai: int) -> None:
    assert outputs("orai", {**WOMAN, **changes}) == {"orai": orai, "dxa": orai >= 9}


def test_nine_points_of_orai_ask_for_bone_density_and_eight_do_not() -> None:
    assert outputs("orai", {"age": 65, "weight_kg": 90, "current_estrogen": True}) == {"orai": 9, "dxa": True}
    assert outputs("orai", {**WOMAN, "current_estrogen": True}) == {"orai": 8, "dxa": False}


@given(
    st.fixed_dictionaries(
        {
            "liver_hu": st.sampled_from([35, 40, 45, 48, 50, 60]),
            "spleen_hu": st.sampled_from([40, 55, 61]),
            "contrast": st.booleans(),
        }
    ),
    some_of(("liver_hu", "spleen_hu", "contrast")),
)
def test_fat_of_the_liver_is_never_read_from_what_is_not_known(case: Case, forgotten: set[str]) -> None:
    same_answer_or_missing(score("liver_ct_steatosis"), case, forgotten)


@given(
    st.fixed_dictionaries(
        {
            "steatosis_on_ct": st.booleans(),
            "age": st.sampled_from([40, 64, 65, 80]),
            "fib4": st.sampled_from([0.5, 1.3, 1.99, 2.0, 2.67, 3.0]),
        }
    ),
    some_of(("steatosis_on_ct", "age", "fib4")),
)
def test_what_follows_fat_of_the_liver_is_never_read_from_what_is_not_known(case: Case, forgotten: set[str]) -> None:
    same_answer_or_missing(score("steatosis_fib4_pathway"), case, forgotten)

"""Cardiovascular and renal scores: published answers, borders from both sides, missing and impossible inputs."""

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

UNVERIFIED = ("cac_category_2026", "cac_statin_2026")

#: The example of table A of doi:10.1161/01.cir.0000437741.48606.98.
GOFF = {
    "sex": "female",
    "race": "white",
    "age": 55,
    "total_cholesterol_mg_dl": 213,
    "hdl_mg_dl": 50,
    "sbp_mm_hg": 120,
    "bp_treated": False,
    "current_smoker": False,
    "diabetes": False,
}
HISPANIC_MAN = {
    "sex": "male",
    "race": "hispanic",
    "age": 70,
    "total_cholesterol_mg_dl": 190,
    "hdl_mg_dl": 50,
    "lipid_lowering_med": False,
    "sbp_mm_hg": 130,
    "bp_treated": True,
    "current_smoker": False,
    "diabetes": False,
    "family_history_mi": False,
    "cac_agatston": 0,
}
NO_EXCEPTION = {
    "diabetes": False,
    "current_smoker": False,
    "familial_hypercholesterolemia": False,
    "ldl_ge_190": False,
    "strong_premature_family_history": False,
}
FIBRILLATION = {
    "age": 60,
    "sex": "male",
    "chf": False,
    "hypertension": False,
    "stroke_tia_te": False,
    "vascular_disease": False,
    "diabetes": False,
}
NO_BLEEDING = {
    "hypertension_uncontrolled": False,
    "abnormal_renal_function": False,
    "abnormal_liver_function": False,
    "stroke": False,
    "bleeding_history": False,
    "labile_inr": False,
    "elderly_over_65": False,
    "drugs_antiplatelet_nsaid": False,
    "alcohol_excess": False,
}
WOMAN_OF_70 = {"age": 70, "sex": "female", "ever_smoked_100_cigs": False, "family_history": False}
COMPLETE: Mapping[str, Case] = {
    "prevent_band_2026": {"prevent_ascvd10": 0.06},
    "pce": GOFF,
    "mesa_chd": HISPANIC_MAN,
    "cac_drs": {"agatston": 12},
    "cac_category_2026": {"agatston": 12},
    "cac_statin_2026": {"prevent_ascvd10": 0.06, "agatston": 50, "cac_percentile": 40, **NO_EXCEPTION},
    "agatston": {"lesions": [{"area_mm2": 4, "peak_hu": 150}]},
    "cha2ds2_vasc": FIBRILLATION,
    "has_bled": NO_BLEEDING,
    "egfr_ckdepi_2021": {"sex": "male", "creatinine_mg_dl": 1.0, "age": 60},
    "ntprobnp_nice": {"nt_probnp_ng_l": 130, "suspected_hf": True},
    "aaa_svs_2018": {"diameter_cm": 5.2, "sex": "male"},
    "aaa_uspstf_2019": WOMAN_OF_70,
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
    assert one.population
    assert one.outcome
    assert set(outputs(name, COMPLETE[name])) <= {output.name for output in one.outputs}
    assert all(i.unit for i in one.inputs if i.kind == "number")


def test_a_score_says_over_how_many_years_it_predicts() -> None:
    years = {"prevent_band_2026": 10, "pce": 10, "mesa_chd": 10, "cha2ds2_vasc": 1, "has_bled": 1}
    assert {name: score(name).horizon_years for name in COMPLETE} == dict.fromkeys(COMPLETE) | years


def test_rules_that_were_not_read_in_their_source_load_for_checks_alone() -> None:
    assert not set(UNVERIFIED) & set(load())
    assert set(COMPLETE) - set(UNVERIFIED) <= set(load())


@pytest.mark.parametrize(
    ("risk", "band"),
    [
        (0, "low"),
        (0.0299, "low"),
        (0.03, "borderline"),
        (0.0499, "borderline"),
        (0.05, "intermediate"),
        (0.0999, "intermediate"),
        (0.10, "high"),
        (1, "high"),
    ],
)
def test_each_border_of_the_risk_bands_of_2026(risk: float, band: str) -> None:
    assert outputs("prevent_band_2026", {"prevent_ascvd10": risk}) == {"band": band}


# Table A of Goff 2013: 5.3 % white man, 6.1 % African American man, 2.1 % white woman, 3.0 % African American woman;
# its exact value for the white man is 5.38.
@pytest.mark.parametrize(
    ("race", "sex", "percent", "tolerance"),
    [
        ("white", "male", 5.38, 0.006),
        ("black", "male", 6.1, 0.05),
        ("white", "female", 2.1, 0.05),
        ("black", "female", 3.0, 0.05),
    ],
)
def test_the_pooled_cohort_equations_give_the_published_example(
    race: str, sex: str, percent: float, tolerance: float
) -> None:
    got = outputs("pce", {**GOFF, "race": race, "sex": sex})
    assert got["ascvd10_percent"] == pytest.approx(percent, abs=tolerance)


# CVrisk (three decimals) and PooledCohort (four), two implementations by others.
@pytest.mark.parametrize(
    ("person", "three", "four"),
    [
        (dict(race="black", age=52, total_cholesterol_mg_dl=237, hdl_mg_dl=42, sbp_mm_hg=188), 33.2, 32.9284),
        (dict(age=71, total_cholesterol_mg_dl=177, hdl_mg_dl=58, sbp_mm_hg=196, bp_treated=True), 48.41, 48.4521),
    ],
)
def test_both_precisions_of_the_pooled_cohort_equations_are_given(person: Case, three: float, four: float) -> None:
    got = outputs("pce", {**GOFF, "diabetes": True, **person})
    assert got["ascvd10_percent"] == pytest.approx(three, abs=0.006)
    assert got["alt_extended_precision_percent"] == four


# Worked by hand from table A, for 55 years, TC 213, HDL 50, treated SBP 140, smoking, diabetes.
@pytest.mark.parametrize(
    ("race", "sex", "three", "four"),
    [
        ("white", "female", 16.6202, 16.6367),
        ("white", "male", 26.9729, 26.9474),
        ("black", "male", 37.1063, 37.0452),
        ("black", "female", 32.0214, 31.8602),
    ],
)
def test_every_coefficient_of_the_pooled_cohort_equations_counts(
    race: str, sex: str, three: float, four: float
) -> None:
    person = {**GOFF, "race": race, "sex": sex, "sbp_mm_hg": 140, "bp_treated": True}
    got = outputs("pce", {**person, "current_smoker": True, "diabetes": True})
    assert got["ascvd10_percent"] == pytest.approx(three, abs=1e-4)
    assert got["alt_extended_precision_percent"] == pytest.approx(four, abs=2e-4)


def test_the_pooled_cohort_equations_are_not_computed_for_another_race() -> None:
    assert score("pce")({**GOFF, "race": "chinese"}) == NotScored(
        out_of_range=("race",), reasons=("race must be one of white, black",)
    )


def test_the_pooled_cohort_equations_and_mesa_take_the_published_ranges() -> None:
    lipids = {"total_cholesterol_mg_dl": (130, 320), "hdl_mg_dl": (20, 100)}
    assert ranges(score("pce")) == {"age": (40, 79), **lipids, "sbp_mm_hg": (90, 200)}
    assert ranges(score("mesa_chd"))["age"] == (45, 84)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("prevent_band_2026", {"prevent_ascvd10": 6}),
        ("aaa_svs_2018", {"diameter_cm": 27}),
        ("egfr_ckdepi_2021", {"creatinine_mg_dl": 88}),
        ("mesa_chd", {"total_cholesterol_mg_dl": 4.9}),
    ],
)
def test_a_value_in_another_unit_is_refused_and_not_read_as_another_patient(name: str, changes: Case) -> None:
    answer = score(name)({**COMPLETE[name], **changes})
    assert isinstance(answer, NotScored)
    assert answer.out_of_range == tuple(changes)


def test_ckd_epi_2021_is_for_adults() -> None:
    assert ranges(score("egfr_ckdepi_2021"))["age"][0] == 18


def test_mesa_gives_the_published_answer_with_and_without_calcium() -> None:
    # 3.06 % is the unit test of CVrisk for this man, 8.61 % its answer without the calcium score.
    got = outputs("mesa_chd", HISPANIC_MAN)
    assert got["chd10_percent_with_cac"] == pytest.approx(3.06, abs=0.006)
    assert got["chd10_percent_without_cac"] == pytest.approx(8.61, abs=0.006)


@pytest.mark.parametrize(
    ("person", "with_cac", "without_cac"),
    [
        (
            dict(sex="female", race="chinese", age=59, total_cholesterol_mg_dl=204, hdl_mg_dl=52, sbp_mm_hg=98)
            | dict(lipid_lowering_med=True, bp_treated=False, diabetes=True, family_history_mi=True, cac_agatston=99),
            6.51,
            3.55,
        ),
        (
            dict(race="black", age=49, total_cholesterol_mg_dl=229, hdl_mg_dl=54, sbp_mm_hg=108)
            | dict(lipid_lowering_med=True, current_smoker=True, cac_agatston=400),
            17.28,
            6.50,
        ),
    ],
)
def test_mesa_agrees_with_another_implementation(person: Case, with_cac: float, without_cac: float) -> None:
    got = outputs("mesa_chd", {**HISPANIC_MAN, **person})
    assert got["chd10_percent_with_cac"] == pytest.approx(with_cac, abs=0.006)
    assert got["chd10_percent_without_cac"] == pytest.approx(without_cac, abs=0.006)


def test_mesa_without_a_calcium_score_gives_no_risk_with_one() -> None:
    assert set(outputs("mesa_chd", {**HISPANIC_MAN, "cac_agatston": None})) == {"chd10_percent_without_cac"}


@given(less=st.floats(0, 5000), more=st.floats(0, 5000))
def test_more_calcium_never_lowers_a_mesa_risk(less: float, more: float) -> None:
    low, high = (
        score("mesa_chd")({**HISPANIC_MAN, "cac_agatston": value}) for value in (min(less, more), max(less, more))
    )
    assert isinstance(low, Scored)
    assert isinstance(high, Scored)
    assert low.number("chd10_percent_with_cac") <= high.number("chd10_percent_with_cac")


@pytest.mark.parametrize(
    ("agatston", "drs", "category"),
    [
        (0, "A0", "none"),
        (0.5, "A1", "minimal"),
        (1, "A1", "minimal"),
        (9, "A1", "minimal"),
        (10, "A1", "mild"),
        (99, "A1", "mild"),
        (100, "A2", "moderate"),
        (299, "A2", "moderate"),
        (300, "A3", "severe"),
        (999, "A3", "severe"),
        (1000, "A3", "extensive"),
    ],
)
def test_each_border_of_the_calcium_categories(agatston: float, drs: str, category: str) -> None:
    assert outputs("cac_drs", {"agatston": agatston}) == {"cac_drs": drs}
    assert outputs("cac_category_2026", {"agatston": agatston}) == {"category": category}


@pytest.mark.parametrize(
    ("risk", "agatston", "percentile", "action", "goal"),
    [
        (0.06, 0, None, "defer_llt_repeat_cac_3_7y", None),
        (0.0999, 0, None, "defer_llt_repeat_cac_3_7y", None),
        (0.10, 0, None, "high_risk_high_intensity_statin", 70),
        (0.06, 1, 74.9, "moderate_intensity_statin", 100),
        (0.06, 99, 75, "initiate_llt_ge50pct", 70),
        (0.06, 100, None, "initiate_llt_ge50pct", 70),
        (0.04, 299, 60, "initiate_llt_ge50pct", 70),
        (0.04, 300, None, "treat_as_high_risk", 70),
        (0.04, 999, None, "treat_as_high_risk", 70),
        (0.04, 1000, None, "treat_as_very_high_cac", 55),
        (0.20, 1000, None, "treat_as_very_high_cac", 55),
    ],
)
def test_each_border_of_the_calcium_table_of_2026(
    risk: float, agatston: float, percentile: float | None, action: str, goal: int | None
) -> None:
    case = {"prevent_ascvd10": risk, "agatston": agatston, "cac_percentile": percentile, **NO_EXCEPTION}
    got = outputs("cac_statin_2026", case)
    assert (got["action"], got.get("ldl_goal")) == (action, goal)


@pytest.mark.parametrize("exception", NO_EXCEPTION)
def test_no_calcium_defers_only_where_each_exception_is_known_to_be_absent(exception: str) -> None:
    one, case = score("cac_statin_2026"), {"prevent_ascvd10": 0.06, "agatston": 0}
    assert one({**case, exception: True}) == Scored({"action": "cac0_exception_discuss_statin"})
    assert one({**case, **NO_EXCEPTION, exception: None}) == NotScored(missing=(exception,))


def test_calcium_below_100_without_a_percentile_cannot_be_told() -> None:
    answer = score("cac_statin_2026")({"prevent_ascvd10": 0.06, "agatston": 50, **NO_EXCEPTION})
    assert answer == NotScored(missing=("cac_percentile",))


# Worked by hand from the weights of Agatston 1990.
@pytest.mark.parametrize(
    ("lesions", "expected"),
    [
        ([], 0),
        ([(4.0, 150)], 4),
        ([(2.5, 450), (1.2, 210)], 12.4),
        ([(3.0, 129)], 0),
        ([(3.0, 130)], 3),
        ([(0.99, 500)], 0),
        ([(1.0, 199), (1.0, 200), (1.0, 299), (1.0, 300), (1.0, 399), (1.0, 400), (1.0, 1200)], 19),
    ],
)
def test_each_weight_of_the_agatston_score(lesions: list[tuple[float, float]], expected: float) -> None:
    given_lesions = [{"area_mm2": area, "peak_hu": peak} for area, peak in lesions]
    assert outputs("agatston", {"lesions": given_lesions})["score"] == pytest.approx(expected)


@pytest.mark.parametrize(
    "lesion", [{}, {"area_mm2": 3}, {"area_mm2": None, "peak_hu": 200}, {"area_mm2": -1, "peak_hu": 200}, 3, "3 mm2"]
)
def test_a_lesion_that_is_not_known_makes_the_agatston_score_unknown(lesion: object) -> None:
    answer = score("agatston")({"lesions": [{"area_mm2": 4, "peak_hu": 150}, lesion]})
    assert isinstance(answer, NotScored)
    assert answer.out_of_range == ("lesions",)


LESIONS = st.lists(st.fixed_dictionaries({"area_mm2": st.floats(0, 200), "peak_hu": st.integers(-100, 3000)}))


@given(lesions=LESIONS, more=LESIONS)
def test_the_order_of_lesions_does_not_matter_and_more_lesions_never_lower_the_agatston_score(
    lesions: list[dict[str, float]], more: list[dict[str, float]]
) -> None:
    alone = score("agatston")({"lesions": lesions})
    together = score("agatston")({"lesions": [*lesions, *more]})
    assert together == score("agatston")({"lesions": [*lesions, *more][::-1]})
    assert isinstance(alone, Scored)
    assert isinstance(together, Scored)
    assert alone.number("score") <= together.number("score")


# Points of Lip 2010: heart failure, hypertension, diabetes, vascular disease, 65-74 years and female sex 1, stroke and
# 75 years 2.
@pytest.mark.parametrize(
    ("changes", "vasc", "va"),
    [
        ({}, 0, 0),
        ({"age": 64}, 0, 0),
        ({"age": 65}, 1, 1),
        ({"age": 74}, 1, 1),
        ({"age": 75}, 2, 2),
        ({"sex": "female"}, 1, 0),
        ({"chf": True}, 1, 1),
        ({"hypertension": True}, 1, 1),
        ({"diabetes": True}, 1, 1),
        ({"vascular_disease": True}, 1, 1),
        ({"stroke_tia_te": True}, 2, 2),
        (
            dict(age=75, sex="female", chf=True, hypertension=True)
            | dict(stroke_tia_te=True, vascular_disease=True, diabetes=True),
            9,
            8,
        ),
    ],
)
def test_each_point_of_cha2ds2_vasc(changes: Case, vasc: int, va: int) -> None:
    assert outputs("cha2ds2_vasc", {**FIBRILLATION, **changes}) == {"cha2ds2_vasc": vasc, "cha2ds2_va": va}


@pytest.mark.parametrize("item", NO_BLEEDING)
def test_each_item_of_has_bled_is_one_point(item: str) -> None:
    assert outputs("has_bled", {**NO_BLEEDING, item: True}) == {"has_bled": 1}


@given(st.sets(st.sampled_from(sorted(NO_BLEEDING))))
def test_has_bled_counts_its_items(present: set[str]) -> None:
    assert outputs("has_bled", {name: name in present for name in NO_BLEEDING}) == {"has_bled": len(present)}


# 75.5 is 142 (0.9/0.7)^-1.2 0.9938^55 1.012; 40.0 and 79.2 are printed elsewhere. The last two are below the knot.
@pytest.mark.parametrize(
    ("sex", "creatinine", "age", "rate", "category"),
    [
        ("female", 0.9, 55, 75.499, "G2"),
        ("male", 1.7, 81, 40.0, "G3b"),
        ("female", 0.8, 70, 79.215, "G2"),
        ("female", 0.5, 30, 129.317, "G1"),
        ("male", 0.6, 80, 97.586, "G1"),
    ],
)
def test_ckd_epi_2021_gives_the_published_rate(
    sex: str, creatinine: float, age: float, rate: float, category: str
) -> None:
    got = outputs("egfr_ckdepi_2021", {"sex": sex, "creatinine_mg_dl": creatinine, "age": age})
    assert got["egfr"] == pytest.approx(rate, abs=0.02)
    assert got["kdigo_g"] == category


# A man of 50: creatinine = 0.9 (142 x 0.9938^50 / rate)^(1/1.2) is 1.0156, 1.4239, 1.8097, 2.5371 and 4.5206 at the
# limits of 90, 60, 45, 30 and 15.
@pytest.mark.parametrize(
    ("creatinine", "category"),
    [
        (1.015, "G1"),
        (1.016, "G2"),
        (1.423, "G2"),
        (1.424, "G3a"),
        (1.809, "G3a"),
        (1.810, "G3b"),
        (2.537, "G3b"),
        (2.538, "G4"),
        (4.520, "G4"),
        (4.521, "G5"),
    ],
)
def test_each_border_of_the_kdigo_categories(creatinine: float, category: str) -> None:
    case = {"sex": "male", "creatinine_mg_dl": creatinine, "age": 50}
    assert outputs("egfr_ckdepi_2021", case)["kdigo_g"] == category


# NICE NG106: above 2000 ng/L within 2 weeks, 400 to 2000 within 6; ESC 2021: below 125 unlikely.
@pytest.mark.parametrize(
    ("value", "action"),
    [
        (124.9, "hf_unlikely"),
        (125, "echo_consider_esc"),
        (399, "echo_consider_esc"),
        (400, "echo_within_6_weeks"),
        (2000, "echo_within_6_weeks"),
        (2001, "echo_within_2_weeks"),
    ],
)
def test_each_border_of_nt_probnp(value: float, action: str) -> None:
    assert outputs("ntprobnp_nice", {"nt_probnp_ng_l": value, "suspected_hf": True}) == {"action": action}


def test_nt_probnp_says_nothing_where_heart_failure_is_not_suspected() -> None:
    assert score("ntprobnp_nice")({"nt_probnp_ng_l": 90, "suspected_hf": False}) == NotScored(
        out_of_range=("suspected_hf",), reasons=("heart failure is not suspected",)
    )


@pytest.mark.parametrize(
    ("diameter", "man", "woman"),
    [
        (2.5, "none", "none"),
        (2.6, "rescreen_10y", "rescreen_10y"),
        (2.9, "rescreen_10y", "rescreen_10y"),
        (3.0, "us_3y", "us_3y"),
        (3.9, "us_3y", "us_3y"),
        (4.0, "us_12mo", "us_12mo"),
        (4.9, "us_12mo", "us_12mo"),
        (5.0, "us_6mo", "vascular_surgery_consider_repair"),
        (5.4, "us_6mo", "vascular_surgery_consider_repair"),
        (5.5, "vascular_surgery_repair", "vascular_surgery_repair"),
    ],
)
def test_each_border_of_aortic_surveillance(diameter: float, man: str, woman: str) -> None:
    assert outputs("aaa_svs_2018", {"diameter_cm": diameter, "sex": "male"}) == {"action": man}
    assert outputs("aaa_svs_2018", {"diameter_cm": diameter, "sex": "female"}) == {"action": woman}
    unknown_sex = Scored({"action": man}) if man == woman else NotScored(missing=("sex",))
    assert score("aaa_svs_2018")({"diameter_cm": diameter}) == unknown_sex


STEPS = ["none", "rescreen_10y", "us_3y", "us_12mo", "us_6mo", "vascular_surgery_consider_repair"]
STEPS += ["vascular_surgery_repair"]


@given(first=st.floats(0.5, 20), second=st.floats(0.5, 20), sex=st.sampled_from(["female", "male"]))
def test_a_larger_aorta_is_never_seen_later(first: float, second: float, sex: str) -> None:
    small, large = (
        STEPS.index(str(outputs("aaa_svs_2018", {"diameter_cm": diameter, "sex": sex})["action"]))
        for diameter in sorted((first, second))
    )
    assert small <= large


@pytest.mark.parametrize(
    ("changes", "grade"),
    [
        ({}, "D_do_not_screen"),
        ({"ever_smoked_100_cigs": True}, "I_insufficient"),
        ({"family_history": True}, "I_insufficient"),
        ({"family_history": True, "ever_smoked_100_cigs": None}, "I_insufficient"),
        ({"family_history": None, "ever_smoked_100_cigs": True}, "I_insufficient"),
        ({"sex": "male", "ever_smoked_100_cigs": True}, "B_screen_once"),
        ({"sex": "male"}, "C_selective"),
        ({"sex": "male", "family_history": None}, "C_selective"),
        ({"sex": "male", "family_history": True}, "C_selective"),
        ({"age": 65}, "D_do_not_screen"),
        ({"age": 75}, "D_do_not_screen"),
        ({"age": 64}, "not_in_age_range"),
        ({"age": 76}, "not_in_age_range"),
        ({"age": 76, "sex": None, "ever_smoked_100_cigs": None, "family_history": None}, "not_in_age_range"),
    ],
)
def test_each_grade_of_aortic_screening(changes: Case, grade: str) -> None:
    assert outputs("aaa_uspstf_2019", {**WOMAN_OF_70, **changes}) == {"grade": grade}


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"age": None}, ("age",)),
        ({"sex": None}, ("sex",)),
        ({"sex": None, "ever_smoked_100_cigs": None}, ("sex", "ever_smoked_100_cigs")),
        ({"sex": "male", "ever_smoked_100_cigs": None}, ("ever_smoked_100_cigs",)),
        ({"ever_smoked_100_cigs": None}, ("ever_smoked_100_cigs",)),
        ({"family_history": None}, ("family_history",)),
    ],
)
def test_a_grade_of_aortic_screening_rests_on_nothing_unknown(changes: Case, missing: tuple[str, ...]) -> None:
    assert score("aaa_uspstf_2019")({**WOMAN_OF_70, **changes}) == NotScored(missing=missing)

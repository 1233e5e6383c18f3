"""Lung nodules and lung cancer risk: published values, the rules' own tables at both sides of each border."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.risk import Answer, NotScored, Score, Scored
from cds.risk.brock import SCORE as BROCK
from cds.risk.bts_brock import SCORE as BTS
from cds.risk.fleischner_2017 import SCORE as FLEISCHNER
from cds.risk.lung_rads_2022 import SCORE as LUNG_RADS
from cds.risk.mayo import SCORE as MAYO
from cds.risk.plcom2012 import SCORE as PLCO
from tests.unit.risk_asking import (
    agrees_with_the_reference,
    number,
    outputs,
    refused,
    refuses_what_cannot_be,
    says_what_is_missing,
)

WITH = "probability_full_with_spiculation"
WITHOUT = "probability_full_without_spiculation"
NODULE = {
    "age": 62,
    "sex": "male",
    "family_history_lung_cancer": False,
    "emphysema": False,
    "diameter_mm": 8,
    "nodule_type": "solid",
    "upper_lobe": False,
    "nodule_count": 4,
    "spiculation": False,
}
SOLITARY = {
    "age": 65,
    "ever_smoker": True,
    "extrathoracic_cancer_gt5y": False,
    "diameter_mm": 15,
    "spiculation": True,
    "upper_lobe": True,
}
SMOKER = {
    "age": 62,
    "race_ethnicity": "white",
    "education_1_6": 4,
    "bmi": 27,
    "copd": False,
    "personal_cancer_history": False,
    "family_history_lung_cancer": False,
    "current_smoker": False,
    "cigarettes_per_day": 20,
    "years_smoked": 27,
    "years_quit": 10,
}
INCIDENTAL = {
    "age": 60,
    "known_cancer": False,
    "immunosuppressed": False,
    "screening_exam": False,
    "type": "solid",
    "count": "single",
    "mean_diameter_mm": 7,
    "solid_component_mm": 4,
    "risk": "low",
}


@pytest.mark.parametrize(
    "stem", ["brock", "mayo", "plcom2012", "bts_brock", "fleischner_2017", "lung_rads_2022", "uspstf_lung_2021"]
)
def test_the_reference_vectors_agree(reference_dir: Path, stem: str) -> None:
    agrees_with_the_reference(reference_dir, stem)


def odds_ratio(score: Score, output: str, case: Mapping[str, object], **changes: object) -> float:
    """How much the odds grow with a change."""
    before, after = number(score(case), output), number(score({**case, **changes}), output)
    return after / (1 - after) * (1 - before) / before


# --- Brock ---


def test_brock_gives_the_published_equation_worked_by_hand() -> None:
    # Uncentred (PMC6717521, table 2): 0.2761 + 0.0287*62 - 0.0824*4 - 5.3854*(8/10)^-0.5 = -4.2952; 1/(1+e^4.2952).
    assert number(BROCK(NODULE), WITH) == pytest.approx(0.01345, abs=1e-5)


def test_brock_gives_a_suspicious_nodule_worked_by_hand() -> None:
    # 0.2761 + 0.0287*72 - 0.0824*1 - 5.3854*(18/10)^-0.5 + 0.2961 + 0.2953 + 0.6581 + 0.7729 = 0.26846.
    factors = dict.fromkeys(("family_history_lung_cancer", "emphysema", "upper_lobe", "spiculation"), True)
    answer = BROCK({**NODULE, **factors, "age": 72, "diameter_mm": 18, "nodule_count": 1})
    assert number(answer, WITH) == pytest.approx(0.56671, abs=2e-5)


# McWilliams 2013 (doi:10.1056/NEJMoa1214726), table 2: odds ratios of the full model with spiculation.
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sex": "female"}, 1.82),
        ({"family_history_lung_cancer": True}, 1.34),
        ({"emphysema": True}, 1.34),
        ({"upper_lobe": True}, 1.93),
        ({"spiculation": True}, 2.17),
        ({"nodule_type": "part_solid"}, 1.46),
        ({"nodule_type": "non_solid"}, 0.88),
        ({"nodule_count": 5}, 0.92),
        ({"age": 63}, 1.03),
    ],
)
def test_brock_has_the_published_odds_ratios(changes: dict[str, object], expected: float) -> None:
    assert odds_ratio(BROCK, WITH, NODULE, **changes) == pytest.approx(expected, abs=0.005)


def test_brock_without_spiculation_does_not_look_at_it() -> None:
    assert number(BROCK(NODULE), WITHOUT) == number(BROCK({**NODULE, "spiculation": True}), WITHOUT)


def test_brock_does_not_answer_with_a_missing_or_impossible_input() -> None:
    says_what_is_missing(BROCK, NODULE)
    refuses_what_cannot_be(BROCK, NODULE)
    assert refused(BROCK({**NODULE, "nodule_count": 1.5})) == ("nodule_count",)
    assert refused(BROCK({**NODULE, "sex": "Female"})) == ("sex",)


@given(st.floats(1, 100), st.floats(0, 50))
def test_a_larger_nodule_is_never_less_suspicious_in_brock(diameter_mm: float, more_mm: float) -> None:
    small, large = (number(BROCK({**NODULE, "diameter_mm": d}), WITH) for d in (diameter_mm, diameter_mm + more_mm))
    assert 0 < small <= large < 1


# --- Mayo ---


def test_mayo_gives_the_published_equation_worked_by_hand() -> None:
    # Swensen 1997: -6.8272 + 0.0391*65 + 0.7917 + 0.1274*15 + 1.0407 + 0.7838 = 0.2415; 1/(1+e^-0.2415).
    assert number(MAYO(SOLITARY), "probability") == pytest.approx(0.56008, abs=1e-5)


# Swensen 1997 (doi:10.1001/archinte.1997.00440290031002): odds ratios of the six predictors.
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"age": 66}, 1.04),
        ({"ever_smoker": False}, 1 / 2.2),
        ({"extrathoracic_cancer_gt5y": True}, 3.8),
        ({"diameter_mm": 16}, 1.14),
        ({"spiculation": False}, 1 / 2.8),
        ({"upper_lobe": False}, 1 / 2.2),
    ],
)
def test_mayo_has_the_published_odds_ratios(changes: dict[str, object], expected: float) -> None:
    assert odds_ratio(MAYO, "probability", SOLITARY, **changes) == pytest.approx(expected, rel=0.02)


def test_mayo_does_not_answer_with_a_missing_or_impossible_input() -> None:
    says_what_is_missing(MAYO, SOLITARY)
    refuses_what_cannot_be(MAYO, SOLITARY)


@pytest.mark.parametrize(("diameter_mm", "answers"), [(3.9, False), (4, True), (30, True), (30.1, False)])
def test_mayo_holds_from_4_to_30_mm(diameter_mm: float, answers: bool) -> None:
    assert isinstance(MAYO({**SOLITARY, "diameter_mm": diameter_mm}), Scored) is answers


# --- PLCOm2012 ---


def test_plcom2012_gives_the_published_equation_worked_by_hand() -> None:
    # At the centres of the model only constant and intensity are left: -4.532506 - 1.822606*(0.5 - 0.4021541613).
    assert number(PLCO(SMOKER), "risk6y") == pytest.approx(1 / (1 + math.exp(4.710841)), abs=1e-8)


# Tammemägi 2013 (doi:10.1056/NEJMoa1211776), table 2: odds ratios.
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"age": 63}, 1.081),
        ({"race_ethnicity": "black"}, 1.484),
        ({"race_ethnicity": "hispanic"}, 0.475),
        ({"race_ethnicity": "asian"}, 0.627),
        ({"race_ethnicity": "american_indian_alaska_native"}, 1.0),
        ({"race_ethnicity": "native_hawaiian_pacific_islander"}, 2.793),
        ({"education_1_6": 5}, 0.922),
        ({"bmi": 28}, 0.973),
        ({"copd": True}, 1.427),
        ({"personal_cancer_history": True}, 1.582),
        ({"family_history_lung_cancer": True}, 1.799),
        ({"years_smoked": 28}, 1.032),
        ({"years_quit": 11}, 0.970),
    ],
)
def test_plcom2012_has_the_published_odds_ratios(changes: dict[str, object], expected: float) -> None:
    assert odds_ratio(PLCO, "risk6y", SMOKER, **changes) == pytest.approx(expected, abs=0.0006)


def test_plcom2012_counts_no_years_since_quitting_for_who_smokes_now() -> None:
    smokes = {**SMOKER, "current_smoker": True}
    assert PLCO({**smokes, "years_quit": None}) == PLCO({**smokes, "years_quit": 0})
    assert refused(PLCO({**smokes, "years_quit": 1})) == ("years_quit",)
    # 1.297 for smoking now, and 0.970 less for none of the 10 years.
    assert odds_ratio(PLCO, "risk6y", SMOKER, current_smoker=True, years_quit=0) == pytest.approx(1.297 * 1.3615, 0.001)


def test_plcom2012_does_not_answer_with_a_missing_or_impossible_input() -> None:
    says_what_is_missing(PLCO, SMOKER)
    refuses_what_cannot_be(PLCO, SMOKER)
    assert refused(PLCO({**SMOKER, "education_1_6": 2.5})) == ("education_1_6",)


@pytest.mark.parametrize(("years", "answers"), [(52, True), (52.5, False)])
def test_plcom2012_refuses_more_years_of_smoking_than_there_were(years: float, answers: bool) -> None:
    assert isinstance(PLCO({**SMOKER, "years_smoked": years}), Scored) is answers


def test_plcom2012_says_which_side_of_the_papers_threshold_the_risk_is_on() -> None:
    answers = [outputs(PLCO({**SMOKER, "years_smoked": years})) for years in (37, 42, 47, 52)]
    risks = [(float(str(a["risk6y"])), a["at_or_above_1_51_percent"]) for a in answers]
    assert [above for _, above in risks] == [risk >= 0.0151 for risk, _ in risks]
    assert {above for _, above in risks} == {True, False}


# --- BTS ---


# Callister 2015 (doi:10.1136/thoraxjnl-2015-207168); the sub-solid column also in PMC7177089, table 2.
@pytest.mark.parametrize(
    ("diameter_mm", "solid", "brock", "expected"),
    [
        (4.9, None, None, "no_followup"),
        (5, True, None, "ct_surveillance"),
        (7.9, True, 0.5, "ct_surveillance"),
        (8, True, 0.0999, "ct_surveillance"),
        (8, True, 0.1, "pet_ct"),
        (5, False, None, "ct_3mo"),
        (20, False, 0.9, "ct_3mo"),
    ],
)
def test_bts_first_step(diameter_mm: float, solid: bool | None, brock: float | None, expected: str) -> None:
    asked = {"diameter_mm": diameter_mm, "solid_nodule": solid, "brock_probability": brock}
    assert BTS(asked) == Scored({"action": expected})


def test_bts_names_what_it_cannot_decide_without() -> None:
    case = {"diameter_mm": 9, "solid_nodule": True, "brock_probability": 0.2}
    says_what_is_missing(BTS, case)
    refuses_what_cannot_be(BTS, {**case, "volume_mm3": 320})


# Callister 2015: 80 and 300 mm3 beside 5 and 8 mm.
@pytest.mark.parametrize(
    ("volume_mm3", "diameter_mm", "expected"),
    [
        (79.9, None, "no_followup"),
        (80, None, "ct_surveillance"),
        (299.9, None, "ct_surveillance"),
        (300, None, "pet_ct"),
        (79.9, 5, "ct_surveillance"),
        (80, 4.9, "ct_surveillance"),
        (299, 8, "pet_ct"),
        (300, 7, "pet_ct"),
    ],
)
def test_bts_takes_a_volume_and_of_two_sizes_the_one_that_asks_for_more(
    volume_mm3: float, diameter_mm: float | None, expected: str
) -> None:
    asked = {"volume_mm3": volume_mm3, "diameter_mm": diameter_mm, "solid_nodule": True, "brock_probability": 0.2}
    assert BTS(asked) == Scored({"action": expected})


# --- Fleischner ---


def fleischner(**changes: object) -> Answer:
    """An incidental nodule, changed."""
    return FLEISCHNER({**INCIDENTAL, **changes})


def advice(**changes: object) -> tuple[object, object]:
    """The first follow-up and what comes after it, for whom the recommendations are made."""
    told = outputs(fleischner(**changes))
    assert told["applicable"] is True
    return told["first_followup"], told["then"]


# MacMahon 2017 (doi:10.1148/radiol.2017161659), table 1, part A.
@pytest.mark.parametrize(
    ("count", "diameter_mm", "risk", "expected"),
    [
        ("single", 5, "low", ("none", None)),
        ("single", 5, "high", ("optional_ct_12mo", None)),
        ("single", 6, "low", ("ct_6_12mo", "consider_ct_18_24mo")),
        ("single", 8, "low", ("ct_6_12mo", "consider_ct_18_24mo")),
        ("single", 6, "high", ("ct_6_12mo", "ct_18_24mo")),
        ("single", 8, "high", ("ct_6_12mo", "ct_18_24mo")),
        ("single", 9, "low", ("consider_ct_3mo_or_petct_or_biopsy", None)),
        ("single", 9, "high", ("consider_ct_3mo_or_petct_or_biopsy", None)),
        ("single", 9, None, ("consider_ct_3mo_or_petct_or_biopsy", None)),
        ("multiple", 5, "low", ("none", None)),
        ("multiple", 5, "high", ("optional_ct_12mo", None)),
        ("multiple", 6, "low", ("ct_3_6mo", "consider_ct_18_24mo")),
        ("multiple", 9, "low", ("ct_3_6mo", "consider_ct_18_24mo")),
        ("multiple", 6, "high", ("ct_3_6mo", "ct_18_24mo")),
        ("multiple", 9, "high", ("ct_3_6mo", "ct_18_24mo")),
    ],
)
def test_fleischner_solid_nodules(count: str, diameter_mm: float, risk: str | None, expected: tuple[str, str]) -> None:
    assert advice(count=count, mean_diameter_mm=diameter_mm, risk=risk) == expected


# Table 1, part B, and recommendations 3 to 5; the risk of the patient does not count.
@pytest.mark.parametrize(
    ("kind", "count", "diameter_mm", "solid_mm", "expected"),
    [
        ("ground_glass", "single", 5, None, ("none", None)),
        ("ground_glass", "single", 6, None, ("ct_6_12mo", "ct_every_2y_until_5y")),
        ("part_solid", "single", 5, None, ("none", None)),
        ("part_solid", "single", 6, 5, ("ct_3_6mo", "annual_ct_5y_if_stable_and_solid_lt6")),
        ("part_solid", "single", 12, 6, ("ct_3_6mo", "highly_suspicious_if_persistent")),
        ("part_solid", "single", 12, 8, ("ct_3_6mo", "highly_suspicious_if_persistent")),
        ("part_solid", "single", 12, 9, ("petct_or_biopsy_or_resection", None)),
        ("subsolid", "single", 5, None, ("none", None)),
        ("subsolid", "multiple", 5, None, ("ct_3_6mo", "consider_ct_2y_and_4y")),
        ("subsolid", "multiple", 6, None, ("ct_3_6mo", "manage_by_most_suspicious")),
        ("ground_glass", "multiple", 9, None, ("ct_3_6mo", "manage_by_most_suspicious")),
        ("part_solid", "multiple", 9, None, ("ct_3_6mo", "manage_by_most_suspicious")),
    ],
)
def test_fleischner_subsolid_nodules(
    kind: str, count: str, diameter_mm: float, solid_mm: float | None, expected: tuple[str, str]
) -> None:
    asked = {"type": kind, "count": count, "mean_diameter_mm": diameter_mm, "solid_component_mm": solid_mm}
    assert advice(**asked, risk=None) == expected


@pytest.mark.parametrize(("diameter_mm", "as_whole_mm"), [(5.49, 5), (5.5, 6), (8.49, 8), (8.5, 9), (6.5, 7), (0.4, 0)])
def test_fleischner_diameters_are_rounded_to_the_nearest_millimetre_first(
    diameter_mm: float, as_whole_mm: float
) -> None:
    assert advice(mean_diameter_mm=diameter_mm) == advice(mean_diameter_mm=as_whole_mm)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"age": 34.9}, "age<35"),
        ({"known_cancer": True}, "known cancer"),
        ({"immunosuppressed": True}, "immunosuppressed"),
        ({"screening_exam": True}, "screening: use Lung-RADS"),
    ],
)
def test_fleischner_does_not_apply_and_says_why_whatever_is_missing(changes: dict[str, object], reason: str) -> None:
    expected = Scored({"applicable": False, "reason": reason})
    assert fleischner(**changes) == expected
    assert FLEISCHNER(changes) == expected


def test_fleischner_applies_from_35_years() -> None:
    assert advice(age=35) == advice(age=60)


def test_fleischner_names_what_is_missing_and_never_takes_it_for_absent() -> None:
    needed = set(INCIDENTAL) - {"solid_component_mm"}
    for name in needed:
        assert fleischner(**{name: None}) == NotScored(missing=(name,))
    told = ("known_cancer", "immunosuppressed", "screening_exam", "type", "count", "mean_diameter_mm")
    assert FLEISCHNER({"age": 60}) == NotScored(missing=told)
    assert fleischner(type="part_solid", solid_component_mm=None) == NotScored(missing=("solid_component_mm",))


def test_fleischner_takes_what_a_short_description_does_not_mention_for_absent() -> None:
    short = {name: INCIDENTAL[name] for name in ("age", "type", "count", "mean_diameter_mm", "risk")}
    assert isinstance(FLEISCHNER(short), NotScored)
    assert FLEISCHNER(FLEISCHNER.described(short)) == fleischner()


def test_fleischner_refuses_what_cannot_be() -> None:
    refuses_what_cannot_be(FLEISCHNER, INCIDENTAL)
    assert refused(fleischner(type="part_solid", solid_component_mm=7.1)) == ("solid_component_mm",)
    assert refused(fleischner(type="subsolid")) == ("type",)


# --- Lung-RADS ---


def lung_rads(kind: str, status: str | None = None, **changes: object) -> Answer:
    """A finding without suspicious features."""
    return LUNG_RADS({"type": kind, "status": status, "suspicious_features": False, **changes})


def category(kind: str, status: str | None = None, **changes: object) -> object:
    """The category of a finding without suspicious features."""
    return outputs(lung_rads(kind, status, **changes))["category"]


# Christensen 2024 (doi:10.1016/j.chest.2023.10.028), table of categories; sizes as in v1.1 (NBK568579).
@pytest.mark.parametrize(
    ("status", "diameter_mm", "expected"),
    [
        ("baseline", 5.9, "2"),
        ("baseline", 6.0, "3"),
        ("baseline", 7.9, "3"),
        ("baseline", 8.0, "4A"),
        ("baseline", 14.9, "4A"),
        ("baseline", 15.0, "4B"),
        ("new", 3.9, "2"),
        ("new", 4.0, "3"),
        ("new", 5.9, "3"),
        ("new", 6.0, "4A"),
        ("new", 7.9, "4A"),
        ("new", 8.0, "4B"),
        ("growing", 3.0, "4A"),
        ("growing", 7.9, "4A"),
        ("growing", 8.0, "4B"),
        ("slow_growing_over_multiple_exams", None, "4B"),
    ],
)
def test_lung_rads_solid_nodules(status: str, diameter_mm: float | None, expected: str) -> None:
    assert category("solid", status, mean_diameter_mm=diameter_mm) == expected


@pytest.mark.parametrize(
    ("status", "diameter_mm", "solid_mm", "expected"),
    [
        ("baseline", 5.9, None, "2"),
        ("baseline", 6.0, 5.9, "3"),
        ("baseline", 12.0, 6.0, "4A"),
        ("baseline", 12.0, 7.9, "4A"),
        ("baseline", 12.0, 8.0, "4B"),
        ("new", 5.9, None, "3"),
        ("new", 6.0, 3.9, "4A"),
        ("new", 6.0, 4.0, "4B"),
        ("new_or_growing_solid", 8.0, 3.9, "4A"),
        ("new_or_growing_solid", 8.0, 4.0, "4B"),
        ("growing", 8.0, 3.9, "4A"),
        ("slow_growing_over_multiple_exams", 8.0, 3.0, "4B"),
    ],
)
def test_lung_rads_part_solid_nodules(status: str, diameter_mm: float, solid_mm: float | None, expected: str) -> None:
    assert category("part_solid", status, mean_diameter_mm=diameter_mm, solid_component_mm=solid_mm) == expected


@pytest.mark.parametrize(
    ("status", "diameter_mm", "expected"),
    [
        (None, 29.9, "2"),
        ("new", 29.9, "2"),
        ("growing", 29.9, "2"),
        ("baseline", 30.0, "3"),
        ("new", 30.0, "3"),
        ("growing", 30.0, "3"),
        ("stable", 30.0, "2"),
        ("slow_growing_over_multiple_exams", 30.0, "2"),
        ("slow_growing", 30.0, "2"),
        ("unchanged", 30.0, "2"),
        ("stable_or_slow_growing", 30.0, "2"),
        ("unchanged_or_slowly_growing", 30.0, "2"),
    ],
)
def test_lung_rads_non_solid_nodules(status: str | None, diameter_mm: float, expected: str) -> None:
    assert category("non_solid", status, mean_diameter_mm=diameter_mm) == expected


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("airway_nodule_segmental_or_more_proximal", "baseline", "4A"),
        ("airway_nodule_segmental_or_more_proximal", "stable", "4B"),
        ("airway_nodule_segmental_or_more_proximal", "growing", "4B"),
        ("airway_nodule_subsegmental", "baseline", "2"),
        ("airway_nodule_subsegmental", "stable", "2"),
        ("atypical_cyst_thick_walled", "baseline", "4A"),
        ("airway_nodule_segmental_or_more_proximal", "persistent", "4B"),
        ("airway_nodule_segmental_or_more_proximal", "stable_or_growing", "4B"),
        ("atypical_cyst_thick_walled", "growing_cystic_part", "3"),
        ("atypical_cyst_thick_walled", "growing", "4B"),
        ("atypical_pulmonary_cyst_thick_walled", "baseline", "4A"),
        ("thick_walled_cyst", "cyst_changed", "4B"),
        ("atypical_pulmonary_cyst_multilocular", "growing", "4B"),
        ("multilocular_cyst", "baseline", "4A"),
        ("atypical_cyst_thick_walled", "cyst_changed", "4B"),
        ("atypical_cyst_multilocular", "baseline", "4A"),
        ("atypical_cyst_multilocular", "new", "4A"),
        ("atypical_cyst_multilocular", "growing", "4B"),
        ("atypical_cyst_multilocular", "cyst_changed", "4B"),
    ],
)
def test_lung_rads_airway_nodules_and_cysts(kind: str, status: str, expected: str) -> None:
    assert category(kind, status) == expected


@pytest.mark.parametrize(
    ("status", "diameter_mm", "expected"),
    [
        ("baseline", 9.9, "2"),
        ("new", 9.9, "2"),
        ("stable", 9.9, "2"),
        ("baseline", 10.0, "4A"),
        ("new", 10.0, "4B"),
        ("growing", 7.0, "4A"),
    ],
)
def test_lung_rads_juxtapleural_nodules_below_10_mm_are_benign(status: str, diameter_mm: float, expected: str) -> None:
    assert category("juxtapleural_solid_smooth", status, mean_diameter_mm=diameter_mm) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("none", {"category": "1", "management": "ldct_12mo"}),
        ("benign", {"category": "1", "management": "ldct_12mo"}),
        ("proven_benign_after_workup", {"category": "2", "management": "ldct_12mo"}),
        ("suspected_infectious_inflammatory", {"category": "0", "management": "ldct_1_3mo"}),
        ("prior_ct_awaited", {"category": "0", "management": "compare_with_prior_ct"}),
        ("lungs_not_all_evaluable", {"category": "0", "management": "additional_ldct"}),
    ],
)
def test_lung_rads_findings_without_a_size(kind: str, expected: dict[str, str]) -> None:
    assert LUNG_RADS({"type": kind}) == Scored(expected)


@pytest.mark.parametrize(
    ("diameter_mm", "expected"),
    [
        (5, {"category": "2", "management": "ldct_12mo"}),
        (7, {"category": "3", "management": "ldct_6mo"}),
        (9, {"category": "4A", "management": "ldct_3mo_petct_if_solid_ge8"}),
        (16, {"category": "4B", "management": "diagnostic_ct_petct_tissue_or_1mo"}),
    ],
)
def test_each_lung_rads_category_has_its_management(diameter_mm: float, expected: dict[str, str]) -> None:
    assert lung_rads("solid", "baseline", mean_diameter_mm=diameter_mm) == Scored(expected)


@pytest.mark.parametrize(
    ("prior", "expected"), [("1", "2"), ("2", "2"), ("3", "2"), ("4A", "3"), ("4B", "4B"), ("4X", "4X")]
)
def test_lung_rads_steps_down_what_is_stable_by_what_it_was(prior: str, expected: str) -> None:
    assert category("solid", "stable", mean_diameter_mm=7, prior_category=prior) == expected
    assert category("atypical_cyst_thick_walled", "stable", prior_category=prior) == expected


@pytest.mark.parametrize("diameter_mm", [4, 7, 20])
def test_a_stable_nodule_has_no_lung_rads_category_while_it_is_not_known_what_it_was(diameter_mm: float) -> None:
    assert lung_rads("solid", "stable", mean_diameter_mm=diameter_mm) == NotScored(missing=("prior_category",))


@pytest.mark.parametrize(("diameter_mm", "expected"), [(5, "2"), (7, "4X"), (9, "4X"), (16, "4X")])
def test_suspicious_features_make_category_3_and_4_findings_4x(diameter_mm: float, expected: str) -> None:
    suspicious = lung_rads("solid", "baseline", mean_diameter_mm=diameter_mm, suspicious_features=True)
    assert outputs(suspicious)["category"] == expected


def test_lung_rads_names_what_is_missing() -> None:
    case: dict[str, object] = {"type": "part_solid", "status": "baseline", "mean_diameter_mm": 9}
    case |= {"solid_component_mm": 5, "suspicious_features": False}
    says_what_is_missing(LUNG_RADS, case)
    assert lung_rads("non_solid", "baseline") == NotScored(missing=("mean_diameter_mm",))
    assert lung_rads("non_solid", mean_diameter_mm=30) == NotScored(missing=("status",))
    assert lung_rads("juxtapleural_solid_smooth", "new") == NotScored(missing=("mean_diameter_mm",))
    assert lung_rads("juxtapleural_solid_smooth", mean_diameter_mm=5) == NotScored(missing=("status",))
    assert lung_rads("airway_nodule_subsegmental") == NotScored(missing=("status",))


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("solid", "new_or_growing_solid"),
        ("solid", "cyst_changed"),
        ("solid", "stable_or_growing"),
        ("solid", "unchanged_or_slow_growing"),
        ("part_solid", "cyst_changed"),
        ("part_solid", "stable_or_growing"),
        ("non_solid", "stable_or_growing"),
        ("non_solid", "growing_cystic_part"),
        ("atypical_cyst_multilocular", "growing_cystic_part"),
        ("non_solid", "new_or_growing_solid"),
        ("airway_nodule_subsegmental", "growing"),
        ("atypical_cyst_multilocular", "new_or_growing_solid"),
    ],
)
def test_lung_rads_refuses_a_course_that_the_finding_cannot_have(kind: str, status: str) -> None:
    assert refused(lung_rads(kind, status, mean_diameter_mm=7, solid_component_mm=3)) == ("status",)


def test_lung_rads_refuses_what_cannot_be() -> None:
    case: dict[str, object] = {"type": "part_solid", "status": "baseline", "mean_diameter_mm": 9}
    case |= {"solid_component_mm": 5, "suspicious_features": False, "prior_category": "3"}
    refuses_what_cannot_be(LUNG_RADS, case)
    assert refused(LUNG_RADS({**case, "solid_component_mm": 9.1})) == ("solid_component_mm",)


@pytest.mark.parametrize(("diameter_mm", "expected"), [(5.94, "2"), (5.95, "3"), (14.94, "4A"), (14.95, "4B")])
def test_lung_rads_diameters_are_taken_to_one_decimal(diameter_mm: float, expected: str) -> None:
    assert category("solid", "baseline", mean_diameter_mm=diameter_mm) == expected


RANK = ("1", "2", "3", "4A", "4B")


@given(st.sampled_from(["baseline", "new", "growing"]), st.floats(0, 40), st.floats(0, 20))
def test_a_larger_solid_nodule_never_has_a_lower_lung_rads_category(status: str, size: float, more: float) -> None:
    smaller, larger = (category("solid", status, mean_diameter_mm=d) for d in (size, size + more))
    assert RANK.index(str(smaller)) <= RANK.index(str(larger))

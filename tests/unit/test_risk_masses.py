"""Masses of thyroid, kidney and adrenal, and findings that must be told: each rule of the tables and its borders."""

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

BENIGN_POINTS: Case = {"composition": 0, "echogenicity": 0, "shape": 0, "margin": 0, "echogenic_foci": [0]}
#: A cyst whose wall is thin and smooth, as a radiologist who answered every question would describe it.
CYST: Case = {
    "wall_mm": 1,
    "septa_count": 0,
    "septa_mm": 0,
    "hu": 10,
    "hu_phase": "unenhanced",
    "homogeneous": True,
    "smooth": True,
    "enhancing_wall": True,
    "enhancing_septa": True,
    "calcification": False,
    "too_small_to_characterise": False,
    "nodule": False,
    "irregular_convex_protrusion_obtuse_mm": 0,
    "convex_protrusion_obtuse_mm": 0,
    "convex_protrusion_acute_mm": 0,
    "convex_protrusion_acute": False,
}
ADRENAL: Case = {
    "size_cm": 3,
    "hu_unenhanced": 25,
    "benign_features": False,
    "cancer_history": False,
    "prior": "none",
    "washout": "not_done",
}
COMPLETE: Mapping[str, Case] = {
    "ti_rads": {"points": BENIGN_POINTS, "max_dimension_cm": 3},
    "bosniak_2019_ct": CYST,
    "adrenal_acr_2017": ADRENAL,
    "acr_actionable": {"finding": "intracranial_hemorrhage"},
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
    # With a nodule no attenuation is without a class.
    refuses_what_cannot_be(score(name), {**COMPLETE[name], "nodule": True})


@pytest.mark.parametrize("name", COMPLETE)
def test_a_score_names_its_source_and_its_outputs(name: str) -> None:
    one = score(name)
    assert one.id == name
    assert one.source.url.startswith("https://doi.org/")
    assert not one.unverified
    assert set(outputs(name, COMPLETE[name])) == {output.name for output in one.outputs}


def nodule(cm: float | None = None, **points: object) -> Case:
    """A nodule of the thyroid."""
    return {"points": {**BENIGN_POINTS, **points}, "max_dimension_cm": cm}


# Tessler 2017 (doi:10.1016/j.jacr.2017.01.046): 0, 2, 3, 4-6 and 7 or more points.
@pytest.mark.parametrize(
    ("points", "total", "level"),
    [
        ({}, 0, "TR1"),
        ({"composition": 1, "echogenicity": 1}, 2, "TR2"),
        ({"composition": 2, "echogenicity": 1}, 3, "TR3"),
        ({"composition": 2, "echogenicity": 2}, 4, "TR4"),
        ({"composition": 2, "echogenicity": 2, "margin": 2}, 6, "TR4"),
        ({"composition": 2, "echogenicity": 2, "shape": 3}, 7, "TR5"),
        ({"composition": 2, "echogenicity": 3, "shape": 3, "margin": 3, "echogenic_foci": [1, 2, 3]}, 17, "TR5"),
    ],
)
def test_the_points_of_all_features_and_of_every_kind_of_echogenic_focus_add_up(
    points: Case, total: int, level: str
) -> None:
    found = outputs("ti_rads", nodule(cm=0.1, **points))
    assert (found["total"], found["level"], found["action"]) == (total, level, "none")


TR3 = {"composition": 2, "echogenicity": 1}
TR4 = {"composition": 2, "echogenicity": 2}
TR5 = {"composition": 2, "echogenicity": 2, "shape": 3}


@pytest.mark.parametrize(
    ("points", "cm", "action"),
    [
        ({}, 9, "none"),
        ({"composition": 1, "echogenicity": 1}, 9, "none"),
        (TR3, 1.49, "none"),
        (TR3, 1.5, "follow_up"),
        (TR3, 2.49, "follow_up"),
        (TR3, 2.5, "fna"),
        (TR4, 0.99, "none"),
        (TR4, 1.0, "follow_up"),
        (TR4, 1.49, "follow_up"),
        (TR4, 1.5, "fna"),
        (TR5, 0.49, "none"),
        (TR5, 0.5, "follow_up"),
        (TR5, 0.99, "follow_up"),
        (TR5, 1.0, "fna"),
    ],
)
def test_the_sizes_from_which_a_nodule_is_followed_or_aspirated(points: Case, cm: float, action: str) -> None:
    assert outputs("ti_rads", nodule(cm, **points))["action"] == action


def test_the_size_is_asked_for_only_where_the_level_needs_it() -> None:
    assert outputs("ti_rads", nodule())["level"] == "TR1"
    assert score("ti_rads")(nodule(**TR3)) == NotScored(missing=("max_dimension_cm",))


def test_a_total_of_one_point_has_no_level() -> None:
    answer = score("ti_rads")(nodule(3, composition=1))
    assert answer == NotScored(out_of_range=("points",), reasons=("a total of 1 point has no level",))


@pytest.mark.parametrize("feature", ["composition", "echogenicity", "shape", "margin", "echogenic_foci"])
def test_each_missing_feature_of_a_nodule_is_named(feature: str) -> None:
    assert score("ti_rads")(nodule(3, **{feature: None})) == NotScored(missing=(f"points.{feature}",))


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ("composition", 3),
        ("echogenicity", -1),
        ("shape", 1),
        ("margin", 1),
        ("margin", True),
        ("composition", "solid"),
        ("echogenic_foci", [4]),
        ("echogenic_foci", [3, 3]),
        ("echogenic_foci", [None]),
        ("echogenic_foci", 3),
        ("echogenic_foci", "3"),
    ],
)
def test_points_that_a_feature_cannot_have_are_refused(feature: str, value: object) -> None:
    answer = score("ti_rads")(nodule(3, **{feature: value}))
    assert isinstance(answer, NotScored)
    assert answer.out_of_range == (f"points.{feature}",)
    assert answer.reasons


def test_no_echogenic_focus_is_said_by_its_zero_not_by_an_empty_list() -> None:
    assert score("ti_rads")(nodule(3, echogenic_foci=[])) == NotScored(missing=("points.echogenic_foci",))


FEATURES = st.fixed_dictionaries(
    {
        "composition": st.sampled_from([0, 1, 2]),
        "echogenicity": st.sampled_from([0, 1, 2, 3]),
        "shape": st.sampled_from([0, 3]),
        "margin": st.sampled_from([0, 2, 3]),
        "echogenic_foci": st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=2, unique=True),
    }
)


@given(FEATURES, st.sampled_from([0.4, 0.7, 1.2, 2.0, 3.0]))
def test_the_order_of_echogenic_foci_does_not_matter_and_one_more_never_lowers(
    points: Mapping[str, list[int]], cm: float
) -> None:
    rank = ["none", "follow_up", "fna"]
    foci = points["echogenic_foci"]
    found = score("ti_rads")({"points": points, "max_dimension_cm": cm})
    turned = score("ti_rads")({"points": {**points, "echogenic_foci": foci[::-1]}, "max_dimension_cm": cm})
    assert found == turned
    one_more = [*foci, next(kind for kind in (1, 2, 3) if kind not in foci)]
    more = score("ti_rads")({"points": {**points, "echogenic_foci": one_more}, "max_dimension_cm": cm})
    if isinstance(found, Scored):
        assert isinstance(more, Scored)
        assert more.number("total") > found.number("total")
        assert rank.index(str(more.outputs["action"])) >= rank.index(str(found.outputs["action"]))


# Silverman 2019 (doi:10.1148/radiol.2019182646), table of CT criteria: each criterion and its neighbours.
@pytest.mark.parametrize(
    ("changes", "bosniak"),
    [
        ({}, "I"),
        ({"wall_mm": 2, "hu": -9}, "I"),
        ({"wall_mm": 2, "hu": 20}, "I"),
        ({"calcification": True}, "II"),
        ({"septa_count": 1, "septa_mm": 1}, "II"),
        ({"septa_count": 3, "septa_mm": 2, "wall_mm": 2}, "II"),
        ({"hu": 70}, "II"),
        ({"hu": 21, "hu_phase": "portal_venous"}, "II"),
        ({"hu": 30, "hu_phase": "portal_venous"}, "II"),
        ({"hu": 45, "hu_phase": "renal_mass_protocol_not_enhancing"}, "II"),
        ({"hu": 25, "too_small_to_characterise": True}, "II"),
        ({"septa_count": 4, "septa_mm": 2}, "IIF"),
        ({"septa_count": 1, "septa_mm": 3}, "IIF"),
        ({"wall_mm": 3}, "IIF"),
        ({"wall_mm": 3.9, "calcification": True}, "IIF"),
        ({"wall_mm": 4}, "III"),
        ({"septa_count": 1, "septa_mm": 4}, "III"),
        ({"smooth": False}, "III"),
        ({"irregular_convex_protrusion_obtuse_mm": 3}, "III"),
        ({"convex_protrusion_obtuse_mm": 3}, "III"),
        ({"convex_protrusion_obtuse_mm": 4}, "IV"),
        ({"irregular_convex_protrusion_obtuse_mm": 4}, "IV"),
        ({"convex_protrusion_acute_mm": 1}, "IV"),
        ({"nodule": True}, "IV"),
        ({"nodule": True, "wall_mm": 4, "septa_count": 5}, "IV"),
    ],
)
def test_each_criterion_of_the_bosniak_classes(changes: Case, bosniak: str) -> None:
    assert outputs("bosniak_2019_ct", {**CYST, **changes}) == {"bosniak": bosniak}


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"hu": 45}, ("hu",)),
        ({"hu": 69.9}, ("hu",)),
        ({"hu": 31, "hu_phase": "portal_venous"}, ("hu",)),
        ({"hu": 75, "homogeneous": False}, ("hu",)),
        ({"hu": -10}, ("hu",)),
        ({"hu": 31, "too_small_to_characterise": True}, ("hu",)),
        ({"wall_mm": 4, "enhancing_wall": False}, ("enhancing_wall", "enhancing_septa")),
        ({"septa_count": 4, "septa_mm": 2, "enhancing_septa": False}, ("enhancing_wall", "enhancing_septa")),
    ],
)
def test_a_mass_that_fits_no_class_is_not_given_one(changes: Case, refused: tuple[str, ...]) -> None:
    answer = score("bosniak_2019_ct")({**CYST, **changes})
    assert isinstance(answer, NotScored)
    assert answer.out_of_range == refused
    assert answer.reasons[0].startswith("the table has no class for")


@pytest.mark.parametrize(
    ("hu", "phase", "class_two"),
    [
        (-9.1, "unenhanced", False),
        (-9, "unenhanced", True),
        (20, "unenhanced", True),
        (20.1, "unenhanced", False),
        (69.9, "unenhanced", False),
        (70, "unenhanced", True),
        (20, "portal_venous", False),
        (21, "portal_venous", True),
        (30, "portal_venous", True),
        (30.1, "portal_venous", False),
        (20, "renal_mass_protocol_not_enhancing", False),
        (20.1, "renal_mass_protocol_not_enhancing", True),
    ],
)
def test_a_homogeneous_mass_without_a_wall_to_see_is_class_two_by_its_attenuation(
    hu: float, phase: str, class_two: bool
) -> None:
    bosniak = score("bosniak_2019_ct")
    case = {"hu": hu, "hu_phase": phase, "homogeneous": True, "too_small_to_characterise": False}
    answer = bosniak(case)
    assert answer == Scored({"bosniak": "II"}) if class_two else isinstance(answer, NotScored)
    assert bosniak({**case, "nodule": True}) == Scored({"bosniak": "IV"})


@pytest.mark.parametrize(("hu", "class_two"), [(30, True), (30.1, False)])
def test_a_mass_too_small_to_characterise_is_class_two_where_its_attenuation_is_low(hu: float, class_two: bool) -> None:
    case = {"hu": hu, "hu_phase": "unenhanced", "homogeneous": True, "too_small_to_characterise": True}
    assert isinstance(score("bosniak_2019_ct")(case), Scored) is class_two


def test_a_nodule_decides_and_a_benign_class_needs_every_answer() -> None:
    bosniak = score("bosniak_2019_ct")
    assert bosniak({"convex_protrusion_obtuse_mm": 4}) == Scored({"bosniak": "IV"})
    thick = bosniak({"wall_mm": 4, "enhancing_wall": True})
    assert isinstance(thick, NotScored)
    assert "nodule" in thick.missing
    for name in ("wall_mm", "septa_count", "hu", "smooth", "nodule", "calcification", "convex_protrusion_acute_mm"):
        answer = bosniak({**CYST, "convex_protrusion_acute": None, name: None, "septa_mm": None})
        assert isinstance(answer, NotScored), name
        assert name in answer.missing


MASSES = st.fixed_dictionaries(
    {
        "wall_mm": st.sampled_from([1, 2, 3, 4]),
        "septa_count": st.sampled_from([0, 2, 4]),
        "septa_mm": st.sampled_from([1, 3, 4]),
        "hu": st.sampled_from([10, 25, 75]),
        "hu_phase": st.sampled_from(["unenhanced", "portal_venous"]),
        "homogeneous": st.booleans(),
        "smooth": st.booleans(),
        "enhancing_wall": st.booleans(),
        "enhancing_septa": st.booleans(),
        "calcification": st.booleans(),
        "too_small_to_characterise": st.just(False),
        "nodule": st.booleans(),
        "irregular_convex_protrusion_obtuse_mm": st.sampled_from([0, 3]),
        "convex_protrusion_obtuse_mm": st.sampled_from([0, 3, 4]),
        "convex_protrusion_acute_mm": st.sampled_from([0, 1]),
    }
)


@given(MASSES, some_of(set(CYST) - {"wall_mm", "septa_count", "septa_mm"}))
def test_a_bosniak_class_is_never_read_from_what_is_not_known(case: Case, forgotten: set[str]) -> None:
    same_answer_or_missing(score("bosniak_2019_ct"), case, forgotten)


@given(MASSES)
def test_a_thicker_wall_and_a_nodule_never_lower_the_bosniak_class(case: Mapping[str, float]) -> None:
    order = ["I", "II", "IIF", "III", "IV"]
    bosniak = score("bosniak_2019_ct")
    found = bosniak({**case, "enhancing_wall": True})
    thicker = bosniak({**case, "enhancing_wall": True, "wall_mm": case["wall_mm"] + 1})
    if isinstance(found, Scored):
        assert isinstance(thicker, Scored)
        assert order.index(str(thicker.outputs["bosniak"])) >= order.index(str(found.outputs["bosniak"]))
    assert bosniak({**case, "nodule": True}) == Scored({"bosniak": "IV"})


# Mayo-Smith 2017 (doi:10.1016/j.jacr.2017.05.001), the algorithm's branches and their borders.
@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({"size_cm": 0.99}, "no_follow_up"),
        ({"size_cm": 0.99, "cancer_history": True, "prior": "enlarging"}, "no_follow_up"),
        ({"size_cm": 6, "benign_features": True}, "no_follow_up"),
        ({"hu_unenhanced": 10}, "benign_adenoma_no_follow_up"),
        ({"hu_unenhanced": 10, "size_cm": 1, "cancer_history": True}, "benign_adenoma_no_follow_up"),
        ({"size_cm": 4}, "consider_resection"),
        ({"size_cm": 4, "cancer_history": True}, "consider_biopsy_or_petct"),
        ({"size_cm": 4, "prior": "stable_ge_1y"}, "consider_resection"),
        ({"size_cm": 3.9, "prior": "stable_ge_1y"}, "no_follow_up"),
        ({"prior": "stable_ge_1y", "cancer_history": True}, "no_follow_up"),
        ({"prior": "enlarging"}, "consider_ct_12mo_or_resection"),
        ({"prior": "new"}, "consider_ct_12mo_or_resection"),
        ({"prior": "new", "cancer_history": True}, "consider_biopsy_or_petct"),
        ({"prior": "enlarging", "cancer_history": True, "size_cm": 1.5}, "consider_biopsy_or_petct"),
        ({"size_cm": 1}, "probably_benign_consider_ct_12mo"),
        ({"size_cm": 2}, "probably_benign_consider_ct_12mo"),
        ({"size_cm": 2.1}, "adrenal_protocol_ct"),
        ({"size_cm": 1.5, "cancer_history": True}, "adrenal_protocol_ct"),
        ({"washout": "no_enhancement"}, "no_follow_up"),
        ({"washout": "absolute_ge60_or_relative_ge40"}, "benign_adenoma_no_follow_up"),
        ({"washout": "less"}, "imaging_follow_up_biopsy_petct_or_resection"),
        ({"washout": "less", "cancer_history": True}, "imaging_follow_up_biopsy_petct_or_resection"),
        ({"hu_unenhanced": 10.1}, "adrenal_protocol_ct"),
    ],
)
def test_each_branch_of_the_adrenal_algorithm(changes: Case, action: str) -> None:
    assert outputs("adrenal_acr_2017", {**ADRENAL, **changes}) == {"action": action}


def test_an_adrenal_mass_below_one_centimetre_needs_nothing_else_known() -> None:
    assert outputs("adrenal_acr_2017", {"size_cm": 0.8}) == {"action": "no_follow_up"}


@pytest.mark.parametrize("name", ["size_cm", "hu_unenhanced", "cancer_history", "prior", "benign_features"])
def test_an_indeterminate_adrenal_mass_needs_each_input(name: str) -> None:
    answer = score("adrenal_acr_2017")({**ADRENAL, "size_cm": 1.5, name: None})
    assert isinstance(answer, NotScored)
    assert name in answer.missing


@given(
    st.fixed_dictionaries(
        {
            "size_cm": st.sampled_from([0.8, 1.0, 2.0, 2.1, 3.9, 4.0]),
            "hu_unenhanced": st.sampled_from([8, 10, 25]),
            "benign_features": st.booleans(),
            "cancer_history": st.booleans(),
            "prior": st.sampled_from(["none", "stable_ge_1y", "enlarging", "new"]),
            "washout": st.sampled_from(["not_done", "no_enhancement", "absolute_ge60_or_relative_ge40", "less"]),
        }
    ),
    some_of(ADRENAL),
)
def test_what_follows_an_adrenal_mass_is_never_read_from_what_is_not_known(case: Case, forgotten: set[str]) -> None:
    same_answer_or_missing(score("adrenal_acr_2017"), case, forgotten)


# Larson 2014 (doi:10.1016/j.jacr.2013.12.016): minutes, hours, days.
@pytest.mark.parametrize(
    ("finding", "category", "within", "example"),
    [
        ("intracranial_hemorrhage", 1, "minutes", "seen"),
        ("testicular_torsion", 1, "minutes", "seen"),
        ("tension_pneumothorax", 1, "minutes", "recalled"),
        ("ischemic_bowel", 1, "minutes", "recalled"),
        ("lung_nodule", 3, "days", "recalled"),
        ("intra_abdominal_abscess", 2, "hours", "recalled"),
        ("solid_renal_mass", 3, "days", "recalled"),
    ],
)
def test_how_fast_a_finding_has_to_be_told(finding: str, category: int, within: str, example: str) -> None:
    found = outputs("acr_actionable", {"finding": finding})
    assert found == {"category": category, "communicate_within": within, "example": example}


def test_a_finding_without_a_category_is_refused_not_taken_as_harmless() -> None:
    answer = score("acr_actionable")({"finding": "something_else"})
    assert isinstance(answer, NotScored)
    assert answer.out_of_range == ("finding",)

"""What is asked before an image is made: head injury, appropriateness, contrast, metformin, ankle and knee."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.risk import NotScored, Scored, load
from cds.risk.check import check
from tests.unit.clinical import reference
from tests.unit.knowing_less import same_answer_or_missing, some_of
from tests.unit.score_inputs import Case, names_each_missing_input, outputs, refuses_what_cannot_be, score

#: The rule applies, and nothing asks for CT.
HEAD: Case = {
    "age": 40,
    "gcs": 15,
    "gcs_2h": 15,
    "loc_amnesia_or_disorientation": True,
    "vomiting": 0,
    "retrograde_amnesia_min": 0,
    "suspected_open_or_depressed_fracture": False,
    "basal_skull_signs": False,
    "dangerous_mechanism": False,
    "anticoagulant": False,
    "seizure": False,
}
IODINATED: Case = {"agent": "iodinated_iv", "egfr": 60, "aki": False, "dialysis": False}
METFORMIN: Case = {
    "metformin": True,
    "agent": "iodinated",
    "route": "iv",
    "egfr": 75,
    "aki": False,
    "liver_disease": False,
    "alcoholism": False,
    "heart_failure": False,
    "renal_emboli_possible": True,
}
ANKLE: Case = {
    "malleolar_pain": True,
    "midfoot_pain": True,
    "tender_posterior_lateral_malleolus": False,
    "tender_posterior_medial_malleolus": False,
    "tender_base_5th_mt": False,
    "tender_navicular": False,
    "unable_4_steps_injury_and_ed": False,
}
KNEE: Case = {
    "age": 30,
    "isolated_patella_tenderness": False,
    "fibula_head_tenderness": False,
    "cannot_flex_90": False,
    "unable_4_steps": False,
}
ACUTE = "acute_no_red_flags_no_prior_management"
BACK: Case = {"topic": "low_back_pain", "variant": ACUTE, "procedure": "any_imaging"}
COMPLETE: Mapping[str, Case] = {
    "canadian_ct_head": HEAD,
    "acr_appropriateness": BACK,
    "contrast_safety": IODINATED,
    "metformin_contrast": METFORMIN,
    "ottawa_ankle": ANKLE,
    "ottawa_knee": KNEE,
}


@pytest.mark.parametrize("name", COMPLETE)
def test_every_reference_vector_agrees(name: str, reference_dir: Path) -> None:
    report = check([reference(reference_dir) / "risk" / "vectors" / f"{name}.json"])
    assert report.mismatches == ()
    assert report.ok


@pytest.mark.parametrize("name", COMPLETE)
def test_each_missing_input_is_named_and_never_assumed(name: str) -> None:
    names_each_missing_input(score(name), COMPLETE[name])


@pytest.mark.parametrize("name", [name for name in COMPLETE if name != "acr_appropriateness"])
def test_each_input_out_of_its_range_is_refused_by_name(name: str) -> None:
    refuses_what_cannot_be(score(name), COMPLETE[name])


@pytest.mark.parametrize("name", COMPLETE)
def test_a_score_names_its_source_and_its_outputs(name: str) -> None:
    one = score(name)
    assert one.id == name
    assert one.source.url.startswith("https://")
    assert set(outputs(name, COMPLETE[name])) == {output.name for output in one.outputs}


# Stiell 2001 (doi:10.1016/S0140-6736(00)04561-X): each criterion and its neighbour.
@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({}, "no_ct"),
        ({"age": 15.9}, "not_applicable"),
        ({"age": 16}, "no_ct"),
        ({"gcs": 12}, "not_applicable"),
        ({"gcs": 13}, "no_ct"),
        ({"loc_amnesia_or_disorientation": False}, "not_applicable"),
        ({"anticoagulant": True}, "not_applicable"),
        ({"seizure": True}, "not_applicable"),
        ({"anticoagulant": True, "gcs_2h": 14}, "not_applicable"),
        ({"gcs_2h": 14}, "ct_high"),
        ({"age": 64.9}, "no_ct"),
        ({"age": 65}, "ct_high"),
        ({"vomiting": 1}, "no_ct"),
        ({"vomiting": 2}, "ct_high"),
        ({"suspected_open_or_depressed_fracture": True}, "ct_high"),
        ({"basal_skull_signs": True}, "ct_high"),
        ({"retrograde_amnesia_min": 29}, "no_ct"),
        ({"retrograde_amnesia_min": 30}, "ct_medium"),
        ({"dangerous_mechanism": True}, "ct_medium"),
        ({"dangerous_mechanism": True, "vomiting": 2}, "ct_high"),
    ],
)
def test_each_criterion_of_the_canadian_ct_head_rule(changes: Case, result: str) -> None:
    assert outputs("canadian_ct_head", {**HEAD, **changes}) == {"result": result}


@pytest.mark.parametrize("name", HEAD)
def test_no_ct_is_said_only_where_every_sign_is_known(name: str) -> None:
    assert score("canadian_ct_head")({**HEAD, name: None}) == NotScored(missing=(name,))


def test_one_high_risk_sign_decides_whatever_other_sign_is_missing() -> None:
    applies = {name: HEAD[name] for name in ("age", "gcs", "loc_amnesia_or_disorientation", "anticoagulant", "seizure")}
    assert outputs("canadian_ct_head", {**applies, "vomiting": 2}) == {"result": "ct_high"}
    medium = score("canadian_ct_head")({**applies, "dangerous_mechanism": True})
    assert isinstance(medium, NotScored)
    assert set(medium.missing) == {
        "gcs_2h",
        "suspected_open_or_depressed_fracture",
        "basal_skull_signs",
        "vomiting",
    }


def test_a_short_description_leaves_out_signs_that_are_absent_and_a_direct_call_does_not() -> None:
    told = {name: HEAD[name] for name in list(HEAD)[:6]}
    rule = score("canadian_ct_head")
    assert rule(rule.described(told)) == Scored({"result": "no_ct"})
    assert isinstance(rule(told), NotScored)


HEADS = st.fixed_dictionaries(
    {
        "age": st.sampled_from([15, 16, 40, 65]),
        "gcs": st.sampled_from([12, 13, 15]),
        "gcs_2h": st.sampled_from([14, 15]),
        "vomiting": st.sampled_from([0, 1, 2]),
        "retrograde_amnesia_min": st.sampled_from([0, 29, 30]),
        **{name: st.booleans() for name, value in HEAD.items() if isinstance(value, bool)},
    }
)


@given(HEADS, some_of(HEAD))
def test_the_head_rule_never_reads_a_sign_from_what_is_not_known(case: Case, forgotten: set[str]) -> None:
    same_answer_or_missing(score("canadian_ct_head"), case, forgotten)


@given(HEADS, st.sampled_from(["suspected_open_or_depressed_fracture", "basal_skull_signs", "dangerous_mechanism"]))
def test_one_more_sign_never_lowers_what_the_head_rule_asks(case: Case, sign: str) -> None:
    order = ["not_applicable", "no_ct", "ct_medium", "ct_high"]
    before = outputs("canadian_ct_head", {**case, sign: False})["result"]
    after = outputs("canadian_ct_head", {**case, sign: True})["result"]
    assert order.index(str(after)) >= order.index(str(before))


# The portal of the ACR Appropriateness Criteria, topics 141, 140 and 277.
@pytest.mark.parametrize(
    ("topic", "variant", "procedure", "rating"),
    [
        ("low_back_pain", ACUTE, "mri_lumbar_without", "usually_not_appropriate"),
        ("low_back_pain", ACUTE, "radiography_lumbar", "usually_not_appropriate"),
        ("low_back_pain", "surgery_candidate_persistent_after_6_weeks", "mri_lumbar_without", "usually_appropriate"),
        ("low_back_pain", "suspected_cauda_equina", "mri_lumbar_without_and_with", "usually_appropriate"),
        ("low_back_pain", "suspected_cauda_equina", "ct_lumbar_without", "may_be_appropriate"),
        ("headache", "thunderclap_within_1h", "ct_head_without", "usually_appropriate"),
        ("headache", "thunderclap_within_1h", "mri_head_without", "usually_not_appropriate"),
        ("headache", "primary_migraine_or_tension_normal_exam", "ct_head_without", "usually_not_appropriate"),
        ("pancreatic_cyst", "le_2_5cm", "mri_mrcp_without_and_with", "usually_appropriate"),
        ("pancreatic_cyst", "le_2_5cm", "eus", "usually_not_appropriate"),
        ("pancreatic_cyst", "gt_2_5cm_no_high_risk_stigmata", "eus", "may_be_appropriate"),
        ("pancreatic_cyst", "gt_2_5cm_high_risk_stigmata", "eus", "usually_appropriate"),
    ],
)
def test_the_ratings_that_were_read(topic: str, variant: str, procedure: str, rating: str) -> None:
    case = {"topic": topic, "variant": variant, "procedure": procedure}
    assert outputs("acr_appropriateness", case) == {"rating": rating}


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"procedure": "eus"}, ("procedure",)),
        ({"topic": "headache"}, ("procedure",)),
        ({"variant": "suspected_cauda_equina"}, ("procedure",)),
        ({"topic": "knee_pain"}, ("topic",)),
        ({"variant": "unheard_of"}, ("variant",)),
        ({"procedure": "pet"}, ("procedure",)),
    ],
)
def test_what_is_not_in_the_table_has_no_rating(changes: Case, refused: tuple[str, ...]) -> None:
    answer = score("acr_appropriateness")({**BACK, **changes})
    assert isinstance(answer, NotScored)
    assert answer.out_of_range == refused
    assert answer.reasons


# ACR-NKF 2020 (doi:10.1148/radiol.2019192094).
@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({"egfr": 29.9}, "saline_prophylaxis_indicated"),
        ({"egfr": 30}, "no_routine_prophylaxis_consider_if_high_risk"),
        ({"egfr": 44.9}, "no_routine_prophylaxis_consider_if_high_risk"),
        ({"egfr": 45}, "no_prophylaxis"),
        ({"egfr": 90, "aki": True}, "saline_prophylaxis_indicated"),
        ({"egfr": 8, "dialysis": True}, "no_prophylaxis"),
    ],
)
def test_saline_before_iodinated_contrast_by_kidney_function(changes: Case, action: str) -> None:
    assert outputs("contrast_safety", {**IODINATED, **changes}) == {"action": action}


# ACR Manual on Contrast Media; ACR-NKF 2021 (doi:10.1148/radiol.2020202903).
@pytest.mark.parametrize(
    ("agent", "changes", "action"),
    [
        ("gbca_group_I", {"egfr": 29}, "contraindicated"),
        ("gbca_group_I", {"aki": True}, "contraindicated"),
        ("gbca_group_I", {"dialysis": True}, "contraindicated"),
        ("gbca_group_I", {"egfr": 30}, "acceptable_no_special_precautions"),
        ("gbca_group_II", {"egfr": 5, "aki": True}, "acceptable_no_screening_required"),
        ("gbca_group_III", {"egfr": 29}, "benefit_may_outweigh_risk_individual_decision"),
        ("gbca_group_III", {"aki": True}, "benefit_may_outweigh_risk_individual_decision"),
    ],
)
def test_gadolinium_by_group_and_kidney_function(agent: str, changes: Case, action: str) -> None:
    assert outputs("contrast_safety", {**IODINATED, "agent": agent, **changes}) == {"action": action}


def test_group_three_with_a_better_kidney_is_not_evaluated() -> None:
    answer = score("contrast_safety")({**IODINATED, "agent": "gbca_group_III"})
    assert isinstance(answer, NotScored)
    assert answer.out_of_range == ("agent",)


def test_what_kidney_function_has_to_be_known_before_contrast() -> None:
    contrast = score("contrast_safety")
    assert contrast({"agent": "gbca_group_II"}) == Scored({"action": "acceptable_no_screening_required"})
    assert contrast({"agent": "gbca_group_I", "egfr": 20}) == Scored({"action": "contraindicated"})
    assert contrast({"agent": "gbca_group_I", "egfr": 60}) == NotScored(missing=("aki", "dialysis"))
    assert contrast({"agent": "iodinated_iv", "egfr": 20}) == NotScored(missing=("dialysis",))
    assert contrast({"agent": "iodinated_iv", "aki": True, "dialysis": False}) == Scored(
        {"action": "saline_prophylaxis_indicated"}
    )
    assert contrast({"agent": "iodinated_iv", "egfr": 60, "dialysis": False}) == NotScored(missing=("aki",))
    assert contrast({"agent": "iodinated_iv"}) == NotScored(missing=("dialysis", "aki", "egfr"))


@given(
    st.fixed_dictionaries(
        {
            "agent": st.sampled_from(["iodinated_iv", "gbca_group_I", "gbca_group_II", "gbca_group_III"]),
            "egfr": st.sampled_from([10, 29, 30, 44, 45, 90]),
            "aki": st.booleans(),
            "dialysis": st.booleans(),
        }
    ),
    some_of(("egfr", "aki", "dialysis")),
)
def test_contrast_is_never_called_safe_by_what_is_not_known(case: Case, forgotten: set[str]) -> None:
    same_answer_or_missing(score("contrast_safety"), case, forgotten)


# ACR Manual on Contrast Media; FDA label of 2016 (table 3 of doi:10.1681/ASN.2016121372).
@pytest.mark.parametrize(
    ("changes", "acr", "fda"),
    [
        ({}, "continue", "continue"),
        ({"egfr": 29.9}, "hold_48h", "contraindicated_drug"),
        ({"egfr": 30}, "continue", "hold_recheck_egfr_48h"),
        ({"egfr": 60}, "continue", "hold_recheck_egfr_48h"),
        ({"egfr": 60.1}, "continue", "continue"),
        ({"aki": True}, "hold_48h", "hold_recheck_egfr_48h"),
        ({"liver_disease": True}, "continue", "hold_recheck_egfr_48h"),
        ({"alcoholism": True}, "continue", "hold_recheck_egfr_48h"),
        ({"heart_failure": True}, "continue", "hold_recheck_egfr_48h"),
        ({"route": "intra_arterial"}, "hold_48h", "hold_recheck_egfr_48h"),
        ({"route": "ia"}, "hold_48h", "hold_recheck_egfr_48h"),
        ({"route": "intra_arterial", "renal_emboli_possible": False}, "continue", "hold_recheck_egfr_48h"),
        ({"agent": "gadolinium", "egfr": 40}, "continue", "not_addressed"),
        ({"agent": "gadolinium", "egfr": 20}, "continue", "contraindicated_drug"),
        ({"metformin": False, "egfr": 20}, "not_on_metformin", "not_on_metformin"),
    ],
)
def test_metformin_before_contrast_by_both_policies(changes: Case, acr: str, fda: str) -> None:
    found = outputs("metformin_contrast", {**METFORMIN, **changes})
    assert found == {"acr_manual": acr, "fda_2016_label": fda}


def test_metformin_is_continued_only_where_every_reason_to_hold_it_is_known_to_be_absent() -> None:
    metformin = score("metformin_contrast")
    for name in METFORMIN:
        answer = metformin({**METFORMIN, "route": "iv" if name != "renal_emboli_possible" else "ia", name: None})
        assert answer == NotScored(missing=(name,)), name


@given(
    st.fixed_dictionaries(
        {
            "agent": st.sampled_from(["iodinated", "gadolinium"]),
            "route": st.sampled_from(["iv", "intra_arterial"]),
            "egfr": st.sampled_from([20, 30, 60, 75]),
            **{name: st.booleans() for name, value in METFORMIN.items() if isinstance(value, bool)},
        }
    ),
    some_of(METFORMIN),
)
def test_metformin_is_never_continued_by_what_is_not_known(case: Case, forgotten: set[str]) -> None:
    same_answer_or_missing(score("metformin_contrast"), case, forgotten)


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({}, "no_xray"),
        ({"tender_posterior_lateral_malleolus": True}, "ankle_xray"),
        ({"tender_posterior_medial_malleolus": True}, "ankle_xray"),
        ({"tender_posterior_medial_malleolus": True, "malleolar_pain": False}, "no_xray"),
        ({"tender_base_5th_mt": True}, "foot_xray"),
        ({"tender_navicular": True}, "foot_xray"),
        ({"tender_navicular": True, "midfoot_pain": False}, "no_xray"),
        ({"unable_4_steps_injury_and_ed": True}, "ankle_and_foot_xray"),
        ({"unable_4_steps_injury_and_ed": True, "midfoot_pain": False}, "ankle_xray"),
        ({"unable_4_steps_injury_and_ed": True, "malleolar_pain": False}, "foot_xray"),
    ],
)
def test_each_criterion_of_the_ottawa_ankle_rules(changes: Case, result: str) -> None:
    assert outputs("ottawa_ankle", {**ANKLE, **changes}) == {"result": result}


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({}, "no_xray"),
        ({"age": 54.9}, "no_xray"),
        ({"age": 55}, "knee_xray"),
        *(({name: True}, "knee_xray") for name in KNEE if name != "age"),
    ],
)
def test_each_criterion_of_the_ottawa_knee_rule(changes: Case, result: str) -> None:
    assert outputs("ottawa_knee", {**KNEE, **changes}) == {"result": result}


@pytest.mark.parametrize(("name", "case"), [("ottawa_ankle", ANKLE), ("ottawa_knee", KNEE)])
def test_no_radiograph_is_said_only_where_every_criterion_is_known(name: str, case: Case) -> None:
    rule = score(name)
    assert isinstance(rule({}), NotScored)
    if name == "ottawa_knee":
        assert rule({"age": 60}) == Scored({"result": "knee_xray"})
    for sign in case:
        if sign in ("malleolar_pain", "midfoot_pain"):
            continue
        assert rule({**case, sign: None}) == NotScored(missing=(sign,)), sign


def test_a_rule_whose_source_was_not_seen_loads_for_a_check_alone() -> None:
    assert {"ottawa_ankle", "ottawa_knee"} & load().keys() == set()
    assert {"ottawa_ankle", "ottawa_knee"} <= load(unverified=True).keys()

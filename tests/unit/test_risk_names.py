"""Names: what is told under another name of an input counts, what contradicts itself is refused, nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Score, Scored, load
from cds.risk.check import check

SCORES = load(unverified=True)


def _said(given: Given) -> Answer:
    return Scored(dict(given))


RULE = Score(
    id="rule",
    title="a rule",
    source=Source("s", "https://example.org"),
    population="p",
    outcome="o",
    horizon_years=None,
    inputs=(
        Input("cancer", "known cancer", kind="boolean", unmentioned=False, aliases=("malignancy", "neoplasm")),
        Input("size", "size", low=1, high=9, aliases=("size_mm",)),
    ),
    evaluate=_said,
)


@pytest.mark.parametrize("name", ["cancer", "malignancy", "neoplasm"])
def test_an_input_counts_under_each_of_its_names(name: str) -> None:
    expected = Scored({"cancer": True, "size": 3})
    assert RULE({name: True, "size_mm": 3}) == expected
    assert RULE(RULE.described({name: True, "size_mm": 3})) == expected
    assert RULE.unknown_names({name: True, "size_mm": 3}) == ()


def test_another_name_is_held_to_the_range_of_its_input() -> None:
    answer = RULE({"cancer": False, "size_mm": 9.5})
    assert answer == NotScored(out_of_range=("size",), reasons=("size above 9",))


def test_an_input_that_is_told_twice_and_differently_is_refused() -> None:
    answer = RULE({"cancer": False, "malignancy": True, "size": 3})
    assert answer == NotScored(out_of_range=("cancer",), reasons=("known cancer is told twice, differently",))
    assert RULE({"cancer": True, "size": 3, "size_mm": 4}) == NotScored(
        out_of_range=("size",), reasons=("size is told twice, differently",)
    )
    assert RULE({"cancer": True, "malignancy": True, "size": 3, "size_mm": None}) == Scored({"cancer": True, "size": 3})


def test_not_known_under_another_name_is_not_known() -> None:
    assert RULE({"malignancy": None, "size": 3}) == NotScored(missing=("cancer",))
    assert RULE(RULE.described({"malignancy": None, "size": 3})) == NotScored(missing=("cancer",))


def test_no_name_stands_for_two_inputs() -> None:
    for score in SCORES.values():
        names = [name for one in score.inputs for name in (one.name, *one.aliases)]
        assert len(names) == len(set(names)), score.id


#: Cases by score in which the input that is told in another way decides.
DECIDING: tuple[tuple[str, Mapping[str, object], Mapping[str, object], str, object], ...] = (
    ("fleischner_2017", {"age": 60, "type": "solid"}, {"cancer_history": True}, "reason", "known cancer"),
    ("fleischner_2017", {"age": 60, "type": "solid"}, {"immunocompromised": True}, "reason", "immunosuppressed"),
    ("fleischner_2017", {"age": 60}, {"screening": True}, "reason", "screening: use Lung-RADS"),
    ("bosniak_2019_ct", {}, {"acute_protrusion_mm": 1}, "bosniak", "IV"),
    ("bosniak_2019_ct", {"wall_mm": 1, "septa_count": 0}, {"convex_protrusion_acute": True}, "bosniak", "IV"),
    ("bosniak_2019_ct", {"wall_mm": 1, "septa_count": 0}, {"hu_unenhanced": 10}, "bosniak", "I"),
    ("bosniak_2019_ct", {"homogeneous": True}, {"hu_noncontrast": 70}, "bosniak", "II"),
    ("canadian_ct_head", {"age": 40}, {"anticoagulated": True}, "result", "not_applicable"),
    ("canadian_ct_head", {"age": 40}, {"post_traumatic_seizure": True}, "result", "not_applicable"),
    ("ottawa_knee", {"age": 30}, {"fibular_head_tenderness": True}, "result", "knee_xray"),
)


@pytest.mark.parametrize(("name", "case", "told", "output", "expected"), DECIDING)
def test_what_decides_is_heard_under_its_other_names(
    name: str, case: Mapping[str, object], told: Mapping[str, object], output: str, expected: object
) -> None:
    score = SCORES[name]
    answer = score(score.described({**case, **told}))
    assert isinstance(answer, Scored)
    assert answer.outputs[output] == expected
    without = score(score.described(case))
    assert not isinstance(without, Scored) or without.outputs[output] != expected


# 2026 guideline, CIR.0000000000001423: a calcium score of zero defers nothing with any of these.
@pytest.mark.parametrize(
    "told", [{"fh": True}, {"smoker": True}, {"severe_hypercholesterolemia": True}, {"ldl_mg_dl": 190}]
)
def test_an_exception_to_deferral_is_heard_under_its_other_names(told: Mapping[str, object]) -> None:
    score = SCORES["cac_statin_2026"]
    case = {"prevent_ascvd10": 0.06, "agatston": 0}
    answer = score(score.described({**case, **told}))
    assert answer == Scored({"action": "cac0_exception_discuss_statin"})
    assert score(score.described({**case, "ldl_mg_dl": 189.9})) == Scored({"action": "defer_llt_repeat_cac_3_7y"})


def test_a_measured_ldl_cholesterol_answers_whether_it_is_190() -> None:
    score = SCORES["cac_statin_2026"]
    absent = dict.fromkeys(
        ("diabetes", "current_smoker", "familial_hypercholesterolemia", "strong_premature_family_history"), False
    )
    case = {"prevent_ascvd10": 0.06, "agatston": 0, **absent}
    assert score(case) == NotScored(missing=("ldl_ge_190",))
    assert score({**case, "ldl_mg_dl": 150}) == Scored({"action": "defer_llt_repeat_cac_3_7y"})


# FDA label 2016, as reviewed in doi:10.1681/ASN.2016121372.
@pytest.mark.parametrize(
    "told",
    [{"hepatic_disease": True}, {"alcohol_use_disorder": True}, {"route": "arterial"}, {"route": "intraarterial"}],
)
def test_a_reason_to_hold_metformin_is_heard_under_its_other_names(told: Mapping[str, object]) -> None:
    score = SCORES["metformin_contrast"]
    case = {"metformin": True, "agent": "iodinated", "route": "iv", "egfr": 75, "aki": False}
    answer = score(score.described({**case, **told}))
    assert isinstance(answer, Scored)
    assert answer.outputs["fda_2016_label"] == "hold_recheck_egfr_48h"


# ACR Appropriateness Criteria, topics 140, 141 and 277.
@pytest.mark.parametrize(
    ("topic", "variant", "procedure", "rating"),
    [
        ("pancreatic_cyst", "le_2_5cm", "mri_mrcp", "usually_appropriate"),
        ("pancreatic_cyst", "le_2_5cm", "mri_abdomen_without_and_with_mrcp", "usually_appropriate"),
        ("headache", "thunderclap_within_1h", "mra_head", "usually_not_appropriate"),
        ("low_back_pain", "cauda_equina", "mri_lumbar_without", "usually_appropriate"),
        ("low_back_pain", "acute_no_red_flags_no_prior_management", "xray_lumbar", "usually_not_appropriate"),
    ],
)
def test_a_procedure_or_a_variant_is_rated_under_its_other_names(
    topic: str, variant: str, procedure: str, rating: str
) -> None:
    asked = {"topic": topic, "variant": variant, "procedure": procedure}
    assert SCORES["acr_appropriateness"](asked) == Scored({"rating": rating})


# Mayo-Smith 2017: without an earlier image a mass of 1 to 2 cm without cancer is probably benign.
def test_a_short_description_of_an_adrenal_mass_mentions_a_cancer_and_earlier_images() -> None:
    score = SCORES["adrenal_acr_2017"]
    case = {"size_cm": 1.5, "hu_unenhanced": 25}
    assert score(score.described(case)) == Scored({"action": "probably_benign_consider_ct_12mo"})
    assert score(case) == NotScored(missing=("benign_features", "prior", "cancer_history", "washout"))
    assert score(score.described({**case, "prior": None})) == NotScored(missing=("prior",))


def test_an_adrenal_mass_that_is_new_or_grows_is_read_as_one_that_grows() -> None:
    score = SCORES["adrenal_acr_2017"]
    case = {"size_cm": 3, "hu_unenhanced": 25, "cancer_history": True, "prior": "new_or_enlarging"}
    assert score(score.described(case)) == Scored({"action": "consider_biopsy_or_petct"})


# Pickhardt 2012 and the difference from the spleen: neither where the liver has more than 48 HU and is seen alone.
def test_a_liver_that_is_described_alone_is_read_alone() -> None:
    score = SCORES["liver_ct_steatosis"]
    case = {"liver_hu": 55, "contrast": False}
    assert score(score.described(case)) == Scored({"finding": "none"})
    assert score(case) == NotScored(missing=("spleen_hu",))
    darker = {**case, "spleen_hu": 65.1}
    assert score(score.described(darker)) == Scored({"finding": "steatosis_by_spleen_difference_gt10"})


@pytest.mark.parametrize(("liver_hu", "spleen_hu"), [(50.1, 60.1), (50.3, 60.3), (55.6, 65.6), (62.2, 72.2)])
def test_a_difference_of_10_hu_is_not_more_than_10_however_it_is_written(liver_hu: float, spleen_hu: float) -> None:
    score = SCORES["liver_ct_steatosis"]
    case = {"liver_hu": liver_hu, "spleen_hu": spleen_hu, "contrast": False}
    assert score(case) == Scored({"finding": "none"})


# (kg - years) / 5: 2.0 is not below 2.
@pytest.mark.parametrize(("weight_kg", "age"), [(32.3, 22.3), (80.1, 70.1), (77.3, 67.3), (75, 65)])
def test_an_ost_of_2_is_not_below_2_however_it_is_written(weight_kg: float, age: float) -> None:
    answer = SCORES["ost"]({"weight_kg": weight_kg, "age": age})
    assert answer == Scored({"ost": 2.0, "ost_truncated": 2, "women_screen_lt2": False, "men_screen_lt4": True})


def test_a_check_tells_which_inputs_it_could_not_use(tmp_path: Path) -> None:
    path = tmp_path / "years.json"
    inputs = {"years_items": 0, "d_dimer_ng_ml_feu": 400, "pregnant": True}
    path.write_text(json.dumps([{"id": "y1", "inputs": inputs, "expected": {"result": "pe_excluded"}}]))
    report = check([path])
    assert report.ok
    assert report.ignored == (("y1", "pregnant"),)

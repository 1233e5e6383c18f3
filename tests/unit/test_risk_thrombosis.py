"""Pulmonary embolism, deep vein thrombosis and pneumonia: points, borders, and what may be told before all is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.risk import NotScored, Score, Scored
from cds.risk.curb65 import SCORE as CURB65
from cds.risk.perc import SCORE as PERC
from cds.risk.psi import SCORE as PSI
from cds.risk.wells_dvt import SCORE as WELLS_DVT
from cds.risk.wells_pe import SCORE as WELLS_PE
from cds.risk.years import SCORE as YEARS
from tests.unit.risk_asking import (
    agrees_with_the_reference,
    answers_without,
    number,
    outputs,
    refused,
    refuses_what_cannot_be,
    says_what_is_missing,
)

NO_PE: dict[str, object] = {
    "clinical_signs_dvt": False,
    "pe_most_likely": False,
    "heart_rate": 80,
    "immobilisation_or_surgery": False,
    "previous_dvt_pe": False,
    "haemoptysis": False,
    "malignancy": False,
}
NO_DVT: dict[str, object] = {one.name: False for one in WELLS_DVT.inputs}
NO_PERC: dict[str, object] = {
    "age": 30,
    "heart_rate": 80,
    "spo2_room_air": 98,
    "prior_vte": False,
    "unilateral_leg_swelling": False,
    "estrogen_use": False,
    "recent_surgery_trauma": False,
    "haemoptysis": False,
}
MILD: dict[str, object] = {
    "age": 40,
    "confusion": False,
    "bun_mg_dl": 10,
    "respiratory_rate": 18,
    "sbp": 120,
    "dbp": 80,
}
#: A man of 60 without anything that counts.
NORMAL: dict[str, object] = PSI.described({"age": 60, "sex": "male"})


@pytest.mark.parametrize("stem", ["wells_pe", "wells_dvt", "perc", "years", "curb65", "psi"])
def test_the_reference_vectors_agree(reference_dir: Path, stem: str) -> None:
    agrees_with_the_reference(reference_dir, stem)


@pytest.mark.parametrize(
    ("score", "case"), [(WELLS_PE, NO_PE), (WELLS_DVT, NO_DVT), (PERC, NO_PERC), (CURB65, MILD), (PSI, NORMAL)]
)
def test_a_negative_answer_needs_everything_and_nothing_impossible(score: Score, case: dict[str, object]) -> None:
    says_what_is_missing(score, case)
    refuses_what_cannot_be(score, case)


# Wells 2000 (doi:10.1055/s-0037-1613830), table of points.
@pytest.mark.parametrize(
    ("changes", "points"),
    [
        ({}, 0),
        ({"clinical_signs_dvt": True}, 3),
        ({"pe_most_likely": True}, 3),
        ({"heart_rate": 100}, 0),
        ({"heart_rate": 101}, 1.5),
        ({"immobilisation_or_surgery": True}, 1.5),
        ({"previous_dvt_pe": True}, 1.5),
        ({"haemoptysis": True}, 1),
        ({"malignancy": True}, 1),
    ],
)
def test_each_criterion_of_wells_for_embolism_has_its_points(changes: dict[str, object], points: float) -> None:
    assert number(WELLS_PE({**NO_PE, **changes}), "wells_pe") == points


@pytest.mark.parametrize(
    ("criteria", "points", "two_tier", "three_tier"),
    [
        (("previous_dvt_pe",), 1.5, "PE unlikely", "low"),
        (("haemoptysis", "malignancy"), 2, "PE unlikely", "moderate"),
        (("pe_most_likely", "haemoptysis"), 4, "PE unlikely", "moderate"),
        (("pe_most_likely", "previous_dvt_pe"), 4.5, "PE likely", "moderate"),
        (("pe_most_likely", "clinical_signs_dvt"), 6, "PE likely", "moderate"),
        (("pe_most_likely", "clinical_signs_dvt", "malignancy"), 7, "PE likely", "high"),
    ],
)
def test_both_tiers_of_wells_for_embolism_at_their_borders(
    criteria: tuple[str, ...], points: float, two_tier: str, three_tier: str
) -> None:
    answer = WELLS_PE({**NO_PE, **dict.fromkeys(criteria, True)})
    assert answer == Scored({"wells_pe": points, "two_tier": two_tier, "three_tier": three_tier})


def test_wells_for_embolism_is_likely_before_everything_is_known_and_never_unlikely() -> None:
    likely = {"clinical_signs_dvt": True, "pe_most_likely": True}
    assert WELLS_PE(likely) == Scored({"two_tier": "PE likely"})
    assert WELLS_PE({**likely, "malignancy": True}) == Scored({"two_tier": "PE likely", "three_tier": "high"})
    four = {"pe_most_likely": True, "malignancy": True}
    assert WELLS_PE({**NO_PE, **four, "haemoptysis": None}) == NotScored(missing=("haemoptysis",))


# Wells 2003 (doi:10.1056/NEJMoa023153), table 1.
@pytest.mark.parametrize("name", [name for name in NO_DVT if name != "alternative_diagnosis_as_likely"])
def test_each_criterion_of_wells_for_thrombosis_is_one_point(name: str) -> None:
    assert WELLS_DVT({**NO_DVT, name: True}) == Scored({"wells_dvt": 1, "two_tier": "DVT unlikely"})


def test_wells_for_thrombosis_is_likely_from_two_points() -> None:
    two = {**NO_DVT, "active_cancer": True, "pitting_oedema": True}
    assert WELLS_DVT(two) == Scored({"wells_dvt": 2, "two_tier": "DVT likely"})
    other = {**two, "alternative_diagnosis_as_likely": True}
    assert WELLS_DVT(other) == Scored({"wells_dvt": 0, "two_tier": "DVT unlikely"})


def test_wells_for_thrombosis_may_be_likely_before_everything_is_known() -> None:
    two = {**NO_DVT, "active_cancer": True, "pitting_oedema": True}
    assert WELLS_DVT({**two, "entire_leg_swollen": None}) == Scored({"two_tier": "DVT likely"})
    name = "alternative_diagnosis_as_likely"
    assert WELLS_DVT({**two, name: None}) == NotScored(missing=(name,))
    four = {**two, "entire_leg_swollen": True, "localised_tenderness": True}
    assert WELLS_DVT({**four, name: None}) == Scored({"two_tier": "DVT likely"})


# Kline 2004 (doi:10.1111/j.1538-7836.2004.00790.x): the eight criteria, each from its negative side too.
@pytest.mark.parametrize(
    ("changes", "positive"),
    [
        ({"age": 49.9}, 0),
        ({"age": 50}, 1),
        ({"heart_rate": 99}, 0),
        ({"heart_rate": 100}, 1),
        ({"spo2_room_air": 95}, 0),
        ({"spo2_room_air": 94.9}, 1),
        ({"prior_vte": True}, 1),
        ({"unilateral_leg_swelling": True}, 1),
        ({"estrogen_use": True}, 1),
        ({"recent_surgery_trauma": True}, 1),
        ({"haemoptysis": True}, 1),
        ({"age": 50, "haemoptysis": True}, 2),
    ],
)
def test_each_criterion_of_perc(changes: dict[str, object], positive: int) -> None:
    expected = Scored({"positive_criteria": positive, "perc_negative": positive == 0})
    assert PERC({**NO_PERC, **changes}) == expected


@pytest.mark.parametrize("name", NO_PERC)
def test_one_criterion_of_perc_that_holds_decides_whatever_is_missing(name: str) -> None:
    holds = {"age": 50, "heart_rate": 100, "spo2_room_air": 90}.get(name, True)
    assert PERC({name: holds}) == Scored({"perc_negative": False})


# van der Hulle 2017 (doi:10.1016/S0140-6736(17)30885-1).
@pytest.mark.parametrize(
    ("items", "d_dimer", "result"),
    [
        (0, 999, "pe_excluded"),
        (0, 1000, "ctpa"),
        (1, 499, "pe_excluded"),
        (1, 500, "ctpa"),
        (2, 500, "ctpa"),
        (3, 499, "pe_excluded"),
    ],
)
def test_years_has_two_thresholds(items: int, d_dimer: float, result: str) -> None:
    assert YEARS({"years_items": items, "d_dimer_ng_ml_feu": d_dimer}) == Scored({"result": result})


def test_years_excludes_nothing_without_items_or_d_dimer() -> None:
    case = {"years_items": 0, "d_dimer_ng_ml_feu": 300}
    says_what_is_missing(YEARS, case)
    refuses_what_cannot_be(YEARS, case)
    assert refused(YEARS({**case, "years_items": 0.5})) == ("years_items",)


# Lim 2003 (doi:10.1136/thorax.58.5.377): each of the five criteria at its border; urea 7 mmol/L is 19.6 mg/dL of BUN.
@pytest.mark.parametrize(
    ("changes", "points"),
    [
        ({}, 0),
        ({"age": 64.9}, 0),
        ({"age": 65}, 1),
        ({"confusion": True}, 1),
        ({"bun_mg_dl": 19}, 0),
        ({"bun_mg_dl": 20}, 1),
        ({"respiratory_rate": 29}, 0),
        ({"respiratory_rate": 30}, 1),
        ({"sbp": 90}, 0),
        ({"sbp": 89}, 1),
        ({"dbp": 61}, 0),
        ({"dbp": 60}, 1),
        ({"sbp": 89, "dbp": 60}, 1),
    ],
)
def test_each_criterion_of_curb65(changes: dict[str, object], points: int) -> None:
    assert number(CURB65({**MILD, **changes}), "curb65") == points


@pytest.mark.parametrize(
    ("points", "site"),
    [
        (0, "home"),
        (1, "home"),
        (2, "short_stay_or_supervised"),
        (3, "admit"),
        (4, "admit_consider_icu"),
        (5, "admit_consider_icu"),
    ],
)
def test_curb65_tells_the_site_of_care(points: int, site: str) -> None:
    signs: list[tuple[str, object]] = [("age", 65), ("confusion", True), ("bun_mg_dl", 40)]
    signs += [("respiratory_rate", 30), ("sbp", 80)]
    assert CURB65({**MILD, **dict(signs[:points])}) == Scored({"curb65": points, "site_of_care": site})


def test_one_low_pressure_decides_in_curb65_and_one_that_is_not_low_does_not() -> None:
    assert number(CURB65({**MILD, "sbp": 85, "dbp": None}), "curb65") == 1
    assert number(CURB65({**MILD, "sbp": None, "dbp": 55}), "curb65") == 1
    assert CURB65({**MILD, "sbp": None, "dbp": None}) == NotScored(missing=("sbp", "dbp"))
    assert all(isinstance(answer, NotScored) for answer in answers_without(CURB65, MILD).values())


# Fine 1997 (doi:10.1056/NEJM199701233360402), table 2: points beside the age, here of a man of 60.
@pytest.mark.parametrize(
    ("changes", "points"),
    [
        ({}, 0),
        ({"sex": "female"}, -10),
        ({"age": 61}, 1),
        ({"age": 60.9}, 0),
        ({"nursing_home_resident": True}, 10),
        ({"neoplastic_disease": True}, 30),
        ({"liver_disease": True}, 20),
        ({"chf": True}, 10),
        ({"cerebrovascular_disease": True}, 10),
        ({"renal_disease": True}, 10),
        ({"altered_mental_status": True}, 20),
        ({"pleural_effusion": True}, 10),
        ({"rr": 29}, 0),
        ({"rr": 30}, 20),
        ({"sbp": 90}, 0),
        ({"sbp": 89}, 20),
        ({"t": 35}, 0),
        ({"t": 34.9}, 15),
        ({"t": 39.9}, 0),
        ({"t": 40}, 15),
        ({"hr": 124}, 0),
        ({"hr": 125}, 10),
        ({"ph": 7.35}, 0),
        ({"ph": 7.34}, 30),
        ({"bun": 29}, 0),
        ({"bun": 30}, 20),
        ({"na": 130}, 0),
        ({"na": 129}, 20),
        ({"glu": 249}, 0),
        ({"glu": 250}, 10),
        ({"hct": 30}, 0),
        ({"hct": 29.9}, 10),
        ({"po2": 60}, 0),
        ({"po2": 59}, 10),
    ],
)
def test_each_criterion_of_the_pneumonia_severity_index(changes: dict[str, object], points: int) -> None:
    assert number(PSI({**NORMAL, **changes}), "psi") == 60 + points


@pytest.mark.parametrize(
    ("age", "signs", "risk_class"),
    [
        (70, (), "II"),
        (71, (), "III"),
        (90, (), "III"),
        (91, (), "IV"),
        (100, ("neoplastic_disease",), "IV"),
        (101, ("neoplastic_disease",), "V"),
    ],
)
def test_the_risk_classes_of_the_pneumonia_severity_index(age: int, signs: tuple[str, ...], risk_class: str) -> None:
    answer = PSI({**NORMAL, "age": age, **dict.fromkeys(signs, True)})
    assert outputs(answer)["risk_class_if_not_class_I"] == risk_class


def test_the_pneumonia_severity_index_takes_a_short_description_for_normal_only_where_it_is_one() -> None:
    short = {"age": 60, "sex": "male"}
    missing = PSI(short)
    assert isinstance(missing, NotScored)
    assert set(missing.missing) == set(NORMAL) - set(short)
    assert number(PSI(PSI.described(short)), "psi") == 60


def test_signs_may_be_written_as_zero_and_one() -> None:
    assert PSI({**NORMAL, "chf": 1, "renal_disease": 0}) == PSI({**NORMAL, "chf": True})
    assert refused(PSI({**NORMAL, "chf": 2})) == ("chf",)


SIGNS_OF_PE = ("clinical_signs_dvt", "pe_most_likely", "previous_dvt_pe", "haemoptysis", "malignancy")


@given(st.sets(st.sampled_from(SIGNS_OF_PE)), st.sampled_from(SIGNS_OF_PE))
def test_one_more_criterion_never_lowers_the_wells_score(held: set[str], more: str) -> None:
    before, after = (WELLS_PE({**NO_PE, **dict.fromkeys(names, True)}) for names in (held, held | {more}))
    assert number(before, "wells_pe") <= number(after, "wells_pe")


@given(
    st.dictionaries(st.sampled_from(list(NO_PE)), st.sampled_from([True, False, None])),
)
def test_wells_says_likely_without_a_criterion_only_if_no_answer_to_it_could_change_that(
    told: dict[str, bool | None],
) -> None:
    told.pop("heart_rate", None)
    answer = WELLS_PE(told)
    if isinstance(answer, Scored):
        for rate, rest in ((60, False), (60, True), (150, False), (150, True)):
            filled = {name: rest for name in NO_PE} | {"heart_rate": rate}
            complete = filled | {name: value for name, value in told.items() if value is not None}
            assert outputs(WELLS_PE(complete))["two_tier"] == outputs(answer)["two_tier"]

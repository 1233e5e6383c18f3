"""The bone pathway, rule by rule: each test is named as the sentence that it holds."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, medication_codes, procedure_codes
from cds.codes import SNOMED, ValueSet
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import EhrData, Fact, Known, Unknown
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.identity import Sex
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, Case, Indicator, NothingToSay, PathwayOutcome
from cds.errors import InvalidInput
from cds.pathways import load
from cds.pathways._bone_steps import BHOF, ISCD, USPSTF
from cds.pathways._bone_trigger import ANDERSON, PICKHARDT
from cds.pathways.bone import bone
from tests.unit.clinical import NOT_FOUND, STUDY_DATE, TODAY, case
from tests.unit.pathway_records import (
    advice,
    answer,
    held,
    item,
    keys,
    missing,
    nothing,
    record,
    records,
    study,
    untold,
    urgency,
    value,
    with_fact,
    without,
)

GATES = ("contrast: no", "tube voltage: 120 kV")
SILENCERS = {
    "known": condition_codes.OSTEOPOROSIS,
    "treated": medication_codes.OSTEOPOROSIS_DRUG,
    "dxa-done": procedure_codes.DXA,
}
DXA_ORDER = procedure_codes.ORDERED[actions.DXA.code]


def l1(hounsfield: float = 92.0, *, key: str = "l1_attenuation", gates: tuple[str, ...] = GATES) -> Finding:
    """The attenuation of a vertebra."""
    code, value = finding_codes.VERTEBRAL_ATTENUATION, Quantity(hounsfield, "[hnsf'U]")
    return Finding(key, code, Presence.MEASURED, value, gates=gates)


def fracture(percent: float | None = 30.0, presence: Presence = Presence.PRESENT, key: str = "fracture") -> Finding:
    """A vertebral fracture with its loss of height."""
    loss = None if percent is None else Quantity(percent, "%")
    return Finding(key, finding_codes.VERTEBRAL_FRACTURE, presence, loss)


def patient(
    facts: dict[ValueSet, Fact[object]] | None = None, *, born: date = date(1950, 1, 1), **more: object
) -> EhrData:
    """A woman of 76 years and 60 kg of whom nothing else was found."""
    known = {measurement_codes.BODY_WEIGHT: value(60, "kg")} | (facts or {})
    return record(bone.asks, known, birth_date=Known(born, None, "patient demographics"), **more)


def outcome(data: EhrData, *findings: Finding, site: dict[str, str] | None = None) -> PathwayOutcome:
    """What the pathway says of some findings."""
    return bone(study(data, answer(*(findings or (l1(),))), site=site))


def sexed(sex: Sex) -> Known[Sex]:
    return Known(sex, None, "patient demographics")


# --- the trigger -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hounsfield", "suggested"), [(60, True), (110, True), (110.1, False), (180, False)])
def test_an_l1_attenuation_of_110_hu_or_less_at_120_kv_leads_to_dxa(hounsfield: float, suggested: bool) -> None:
    said = outcome(patient(), l1(hounsfield))
    assert keys(said) == (("dxa",) if suggested else ())
    assert held(said, "low-attenuation") is suggested
    if suggested:
        told = advice(said)
        assert told.recommendations[0].code is actions.DXA
        assert told.finding_keys == ("l1_attenuation",)
        assert told.indicator is Indicator.INFO
        assert f"{hounsfield} HU" in told.summary
        assert len(told.summary) < 140


def test_a_site_may_set_the_threshold_of_l1_attenuation_from_100_to_135_hu() -> None:
    site = {"bone.l1_threshold_hu": "135"}
    assert keys(outcome(patient(), l1(135), site=site)) == ("dxa",)
    assert keys(outcome(patient(), l1(135.1), site=site)) == ()
    assert keys(outcome(patient(), l1(100.1), site={"bone.l1_threshold_hu": "100"})) == ()
    for wrong in ("99.9", "135.1", "low"):
        with pytest.raises(InvalidInput):
            outcome(patient(), site={"bone.l1_threshold_hu": wrong})


@pytest.mark.parametrize(("hounsfield", "between"), [(110, False), (111, True), (160, True), (161, False)])
def test_an_l1_attenuation_above_the_threshold_and_up_to_160_hu_makes_no_card_of_its_own_it_is_noted_beside_a_fracture(
    hounsfield: float, between: bool
) -> None:
    said = outcome(patient(), l1(hounsfield))
    assert held(said, "between") is between
    assert isinstance(said, NothingToSay) or not between
    assert "excludes no osteoporosis" in nothing(said).reason if between else True
    beside = advice(outcome(patient(), l1(hounsfield), fracture()))
    assert ("Up to 160 HU in L1 osteoporosis is neither likely nor excluded." in beside.meaning) is between
    assert any(f"L1: {hounsfield} HU" in text for text in beside.seen) is (hounsfield <= 160)


def test_the_published_specificity_is_told_up_to_110_hu_and_above_it_what_the_site_s_own_threshold_rests_on() -> None:
    site = {"bone.l1_threshold_hu": "135"}
    young = patient(born=date(1976, 1, 1))
    for hounsfield, published in ((110, True), (110.1, False), (135, False)):
        told = advice(outcome(young, l1(hounsfield), site=site))
        assert any("specificity above 90 %" in text for text in told.meaning) is published
        assert any("Anderson" in text for text in told.meaning) is not published
        assert told.recommendations[0].source == (PICKHARDT if published else ANDERSON)


@pytest.mark.parametrize("key", ["t12_attenuation", "l2_attenuation", "thoracic_attenuation"])
def test_only_the_attenuation_of_l1_is_compared_with_the_threshold(key: str) -> None:
    said = untold(outcome(patient(), l1(60, key=key)))
    assert "another vertebra was measured" in missing(said)
    both = advice(outcome(patient(), l1(60, key=key), l1(109)))
    assert both.finding_keys == ("l1_attenuation",)
    assert "109 HU" in both.summary
    of_another_model = replace(l1(key="attenuation"), body_site=Coding(SNOMED, "66794005", "L1 vertebra"))
    assert keys(outcome(patient(), of_another_model)) == ("dxa",)


@pytest.mark.parametrize(
    "gates", [(), ("tube voltage: unknown",), ("tube voltage: 100 kV",), ("tube voltage: 140 kV",)]
)
def test_an_attenuation_that_was_not_measured_at_120_kv_is_not_compared(gates: tuple[str, ...]) -> None:
    said = untold(outcome(patient(), l1(60, gates=gates)))
    assert "tube voltage" in missing(said)
    assert held(said, "voltage") is (True if any("0 kV" in gate for gate in gates) else None)
    assert held(outcome(patient(), l1(60)), "voltage") is False


# Genant: grade 1 is 20 to 25 %, grade 2 is 25 to 40 %, grade 3 is more (doi:10.21037/qims.2019.02.04).
@pytest.mark.parametrize(("percent", "suggested"), [(20, False), (24.9, False), (25, True), (41, True)])
def test_a_vertebral_fracture_with_a_loss_of_height_of_25_or_more_leads_to_dxa(percent: float, suggested: bool) -> None:
    said = outcome(patient(), fracture(percent))
    assert keys(said) == (("dxa",) if suggested else ())
    if suggested:
        assert advice(said).indicator is Indicator.WARNING
        assert f"height loss {percent:g} %" in advice(said).summary


def test_the_worst_of_several_fractures_and_the_lowest_attenuation_decide() -> None:
    said = advice(outcome(patient(), fracture(21), fracture(33, key="fracture-2"), l1(120), l1(88)))
    assert said.finding_keys == ("fracture-2", "l1_attenuation")
    assert "33 %" in said.summary
    assert any("88 HU" in text for text in said.seen)


def test_a_fracture_without_a_grade_could_not_be_told() -> None:
    assert "its grade was not given" in missing(untold(outcome(patient(), fracture(None))))
    assert keys(outcome(patient(), fracture(None), l1(90))) == ("dxa",)
    assert "its grade was not given" in missing(untold(outcome(patient(), fracture(None), fracture(10), l1(190))))


def test_what_was_not_detected_excludes_nothing_and_makes_no_card() -> None:
    said = nothing(outcome(patient(), fracture(None, Presence.NOT_DETECTED)))
    assert "excludes no osteoporosis" in said.reason


def test_a_fracture_that_was_not_detected_leads_to_nothing_whatever_value_stands_with_it() -> None:
    said = nothing(outcome(patient(), fracture(30, Presence.NOT_DETECTED), l1(200)))
    assert held(said, "not-detected") is True
    assert keys(outcome(patient(), fracture(30, Presence.MEASURED))) == ("dxa",)


def test_a_refusal_is_no_negative() -> None:
    refused = Finding("l1_attenuation", finding_codes.VERTEBRAL_ATTENUATION, Presence.NOT_EVALUATED, reason="contrast")
    assert "contrast" in missing(untold(outcome(patient(), refused)))
    assert "contrast" in missing(untold(outcome(patient(), refused, fracture(10))))
    assert keys(outcome(patient(), refused, fracture(30))) == ("dxa",)


def test_a_study_without_vertebrae_is_nothing_to_say() -> None:
    assert nothing(bone(case())).steps == ()
    assert nothing(bone(study(patient()))).steps == ()


# --- guards ----------------------------------------------------------------------------------------------------------


def test_the_pathway_is_for_adults_of_18_years_or_more() -> None:
    assert nothing(outcome(patient(born=date(2008, 11, 3)))).reason == "the pathway is for adults"
    assert keys(outcome(patient(born=date(2008, 11, 2)))) == ("dxa",)
    assert "age" in missing(untold(outcome(ageless())))


def ageless() -> EhrData:
    return replace(patient(), birth_date=Unknown("not in the patient demographics"))


def test_where_osteoporosis_is_on_record_no_dxa_is_suggested() -> None:
    assert nothing(outcome(patient({condition_codes.OSTEOPOROSIS: item()}))).reason == "osteoporosis is on record"
    assert keys(outcome(patient({condition_codes.OSTEOPOROSIS: NOT_FOUND}))) == ("dxa",)


def test_where_a_drug_for_osteoporosis_is_taken_no_dxa_is_suggested() -> None:
    said = outcome(patient({medication_codes.OSTEOPOROSIS_DRUG: item()}))
    assert nothing(said).reason == "a drug for osteoporosis is on record"


@pytest.mark.parametrize("known", [condition_codes.OSTEOPOROSIS, medication_codes.OSTEOPOROSIS_DRUG])
def test_with_osteoporosis_known_or_treated_a_fracture_with_a_loss_of_height_of_25_or_more_has_the_treatment_reviewed(
    known: ValueSet,
) -> None:
    told = advice(outcome(patient({known: item()}), fracture(25)))
    assert (keys(told), told.recommendations[0].source) == (("review",), BHOF)
    assert any("2025-05-06" in text for text in told.recommendations[0].because)
    assert told.summary.endswith("To consider: review of the treatment")
    assert isinstance(outcome(patient({known: item()}), fracture(24.9)), NothingToSay)
    asked = procedure_codes.ORDERED[actions.OSTEOPOROSIS_REVIEW.code]
    assert isinstance(outcome(patient({known: item(), asked: item(TODAY)}), fracture(25)), NothingToSay)


@pytest.mark.parametrize("known", [condition_codes.CANCER, condition_codes.CANCER_HISTORY])
def test_after_a_vertebral_fracture_with_cancer_now_or_in_the_past_metastasis_is_ruled_out_urgently_before_dxa(
    known: ValueSet,
) -> None:
    told = advice(outcome(patient({known: item(), condition_codes.BACK_PAIN: item(STUDY_DATE)}), fracture()))
    assert keys(told) == ("metastasis", "dxa")
    first, second = told.recommendations
    assert (first.priority, first.acr_category, first.recommended) == (Priority.URGENT, 3, True)
    assert "back pain" in first.reason
    assert any(text.startswith("low back pain: ") for text in first.because)
    assert second.reason.endswith("Metastasis is ruled out first.")
    assert len(told.summary) < 140
    assert keys(outcome(patient({known: item()}), fracture(None))) == ("metastasis",)
    assert keys(outcome(patient({known: item(), procedure_codes.DXA: item(TODAY)}), fracture())) == ("metastasis",)
    assert keys(outcome(patient({known: item()}), l1(90))) == ("dxa",)
    order = procedure_codes.ORDERED[actions.RULE_OUT_METASTASIS.code]
    assert keys(outcome(patient({known: item(), order: item(STUDY_DATE)}), fracture())) == ("dxa",)
    assert keys(outcome(patient({known: item(), order: item(date(2026, 11, 1))}), fracture()))[0] == "metastasis"


def test_where_nobody_was_asked_for_cancer_a_fracture_is_never_called_settled() -> None:
    unasked = without(patient({procedure_codes.DXA: item(TODAY)}), condition_codes.CANCER)
    assert "cancer" in missing(untold(outcome(unasked, fracture())))
    assert "cancer" in missing(advice(outcome(without(patient(), condition_codes.CANCER), fracture())))


@pytest.mark.parametrize(("on", "silent"), [(date(2024, 11, 22), True), (date(2024, 11, 21), False), (None, False)])
def test_where_dxa_was_done_within_24_months_it_is_not_suggested(on: date | None, silent: bool) -> None:
    said = outcome(patient({procedure_codes.DXA: item(on)}))
    assert isinstance(said, NothingToSay) is silent
    assert keys(said) == (() if silent else ("dxa",))
    assert ("bone density by DXA: it is on record without a date" in missing(said)) is (on is None)


@pytest.mark.parametrize(("on", "silent"), [(date(2025, 11, 22), True), (date(2025, 11, 21), False), (None, False)])
def test_where_dxa_is_ordered_it_is_not_asked_for_again(on: date | None, silent: bool) -> None:
    assert isinstance(outcome(patient({DXA_ORDER: item(on)})), NothingToSay) is silent


@pytest.mark.parametrize("silencer", SILENCERS.values(), ids=SILENCERS)
def test_what_nobody_was_asked_for_stands_in_the_card_as_missing(silencer: ValueSet) -> None:
    said = advice(outcome(without(patient(), silencer)))
    assert silencer.title in missing(said)
    assert keys(said) == ("dxa",)


# --- the grade -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("born", "graded"), [(date(1961, 11, 2), True), (date(1961, 11, 3), False)])
def test_in_women_of_65_years_or_more_dxa_is_a_grade_b_recommendation(born: date, graded: bool) -> None:
    step = advice(outcome(patient(born=born))).recommendations[0]
    assert (step.strength, step.source) == (("USPSTF grade B", USPSTF) if graded else ("", PICKHARDT))


# OST is (kg - years) / 5; ORAI gives 5 points from 55 years, 9 below 60 kg, 3 from 60 to below 70 kg, 2 without
# oestrogen. At 60 years and 75 kg OST is 3 and ORAI 7; at 60 years and 69 kg OST is 1.8.
@pytest.mark.parametrize(
    ("kilograms", "menopause", "graded"),
    [(69, item(), True), (75, item(), False), (69, NOT_FOUND, False), (69, Unknown("nobody was asked"), False)],
)
def test_after_the_menopause_and_below_65_years_dxa_is_grade_b_with_ost_below_2_or_orai_of_9_or_more(
    kilograms: float, menopause: Fact[object], graded: bool
) -> None:
    facts = {measurement_codes.BODY_WEIGHT: value(kilograms, "kg"), condition_codes.MENOPAUSE: menopause}
    said = advice(outcome(patient(facts, born=date(1966, 1, 1))))
    assert said.recommendations[0].strength == ("USPSTF grade B" if graded else "")
    assert held(said, "postmenopausal") is (True if graded else False if kilograms == 75 else None)
    assert ("menopause" in missing(said)) is (not isinstance(menopause, Known))


# 50 years, 59 kg, no oestrogen: OST 1.8, ORAI 9 + 2 = 11; with 61 kg: OST 2.2, ORAI 3 + 2 = 5.
def test_orai_and_ost_are_told_with_the_card() -> None:
    facts = {measurement_codes.BODY_WEIGHT: value(59, "kg"), condition_codes.MENOPAUSE: item()}
    risks = {one.score: one for one in advice(outcome(patient(facts, born=date(1976, 1, 1)))).risks}
    assert (risks["ost"].value, risks["orai"].value) == ("1.8", "11")
    assert risks["l1_hu"].value == "osteoporosis likely"


@pytest.mark.parametrize("weight", [NOT_FOUND, value(60, "kg", date(2025, 11, 21)), value(60, "kg", None)])
def test_a_weight_that_is_missing_or_old_is_asked_for_and_gives_no_index(weight: Fact[object]) -> None:
    facts = {measurement_codes.BODY_WEIGHT: weight, condition_codes.MENOPAUSE: item()}
    said = advice(outcome(patient(facts, born=date(1966, 1, 1))))
    assert "body weight" in missing(said)
    assert said.recommendations[0].strength == ""
    assert {one.value for one in said.risks if one.score in ("ost", "orai")} == {None}


def test_in_men_dxa_is_left_to_the_clinician_s_judgement() -> None:
    said = advice(outcome(patient(sex=sexed(Sex.MALE))))
    assert (said.recommendations[0].strength, said.recommendations[0].source) == ("", PICKHARDT)
    assert any("I statement" in note for note in said.notes)
    assert "orai" not in {one.score for one in said.risks}


@pytest.mark.parametrize("sex", [Unknown("not stated"), sexed(Sex.OTHER), sexed(Sex.UNKNOWN)])
def test_a_sex_that_is_not_known_is_missing_and_gives_no_grade(sex: Fact[Sex]) -> None:
    said = advice(outcome(patient(sex=sex)))
    assert said.recommendations[0].strength == ""
    assert "sex" in missing(said)


def test_after_a_vertebral_fracture_no_grade_of_screening_is_given() -> None:
    step = advice(outcome(patient(), fracture(), l1())).recommendations[0]
    assert (step.strength, step.source) == ("", ISCD)


# --- properties ------------------------------------------------------------------------------------------------------

NUMBERS = {"body-weight": (35.0, 150.0)}
BIRTHS = st.dates(date(1930, 1, 1), date(2010, 1, 1)).map(lambda day: Known(day, None, "patient demographics"))
FINDINGS = st.lists(
    st.one_of(st.floats(20, 220).map(l1), st.floats(5, 60).map(fracture), st.just(l1(60, key="t12_attenuation"))),
    min_size=1,
    max_size=4,
)
RECORDS = BIRTHS.flatmap(lambda born: records(bone, NUMBERS, birth_date=born))


def _case(data: EhrData, findings: list[Finding]) -> Case:
    return study(data, answer(*findings))


@settings(max_examples=60)
@given(data=RECORDS, findings=FINDINGS, silencer=st.sampled_from([*SILENCERS.values(), DXA_ORDER]))
def test_a_known_disease_a_treatment_or_an_order_never_adds_a_step(
    data: EhrData, findings: list[Finding], silencer: ValueSet
) -> None:
    before = bone(_case(without(data, silencer), findings))
    after = bone(_case(with_fact(data, silencer, item(TODAY)), findings))
    review = {"review"} if silencer in (condition_codes.OSTEOPOROSIS, medication_codes.OSTEOPOROSIS_DRUG) else set()
    assert set(keys(after)) - review <= set(keys(before))
    assert urgency(after) <= max(urgency(before), 0 if review else -1)


@settings(max_examples=60)
@given(data=RECORDS, findings=FINDINGS, lost=st.sampled_from(bone.asks))
def test_an_input_that_is_lost_never_reads_as_normal(data: EhrData, findings: list[Finding], lost: ValueSet) -> None:
    before, after = bone(_case(data, findings)), bone(_case(without(data, lost), findings))
    assert not isinstance(before, Advice) or not isinstance(after, NothingToSay)
    if isinstance(before, Advice) and isinstance(after, Advice):
        assert after.recommendations[0].strength in ("", before.recommendations[0].strength)


@settings(max_examples=60)
@given(data=RECORDS, findings=FINDINGS, order=st.randoms(use_true_random=False))
def test_the_order_of_the_findings_does_not_matter(
    data: EhrData, findings: list[Finding], order: random.Random
) -> None:
    shuffled = list(findings)
    order.shuffle(shuffled)
    assert bone(_case(data, findings)) == bone(_case(data, shuffled))


def test_it_loads_and_says_what_it_asks() -> None:
    assert load()["bone"] is bone
    assert not bone.unverified


def test_every_value_stands_in_the_reasons_with_its_date_and_source() -> None:
    told = advice(outcome(patient())).recommendations[0].because
    assert f"attenuation of L1: 92 HU ({STUDY_DATE}, CT {STUDY_DATE}, some_model 1.0.0)." in told
    assert any(text.startswith("body weight: 60 kg (2026-09-01") for text in told)
    assert not any("none found" in text for text in told)


def test_the_limits_of_the_model_and_of_the_pathway_stand_in_the_card() -> None:
    assert advice(outcome(patient())).limits == ("A limit of the model.", *bone.limits)


def test_two_models_are_read_alike() -> None:
    other = Findings("other_model", "2", "1.2.3", (fracture(50),))
    said = advice(bone(study(patient(), answer(l1()), other)))
    assert said.finding_keys == ("fracture", "l1_attenuation")

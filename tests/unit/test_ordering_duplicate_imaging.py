"""The same exam lately, rule by rule (Directive 2013/59/Euratom, article 55)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import action_codes, ordering
from cds.domain.coding import Coding
from cds.domain.ehr import ClinicalItem, EhrData, Fact
from cds.domain.imaging_order import Contrast, Exam
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, Indicator, NothingToSay
from cds.ordering._order import SIGHTLINE_SIGN
from cds.procedure_codes import CHEST_CT, MAMMOGRAPHY, ORDERED
from cds.value_sets import SNOMED
from tests.unit.clinical import NOT_FOUND, TODAY, known_item
from tests.unit.ordering_cases import (
    CT_ABDOMEN,
    CT_CHEST,
    CT_CHEST_ANY,
    CT_CHEST_WITHOUT,
    CTPA,
    ICD,
    INJURY,
    MR_SPINE,
    THUNDERCLAP,
    advises,
    asked,
    chart,
    draft,
    ordered,
    says,
    silent,
    untold,
    urgency,
    withdraws,
)

CHECK = "duplicate_imaging"
REQUEST = ORDERED[action_codes.DIAGNOSTIC_CHEST_CT.code]
FOLLOW_UP = ORDERED[action_codes.CHEST_CT_FOLLOW_UP.code]
URGENT = Priority.URGENT
WITHOUT, WITH, UNSAID = "395081000119108", "75385009", "169069000"


def patient(done: Fact[ClinicalItem] = NOT_FOUND, request: Fact[ClinicalItem] = NOT_FOUND) -> EhrData:
    """What was done, and what is ordered."""
    return chart(procedures={CHEST_CT.name: done}, requests={REQUEST.name: request})


def scanned(days_ago: int, code: str = WITHOUT) -> Fact[ClinicalItem]:
    return known_item(code, "CT of the chest", TODAY - timedelta(days=days_ago))


def test_the_same_exam_within_the_site_s_days_before_leads_to_a_question_and_never_speaks_against_this_one() -> None:
    case = ordered(draft(CT_CHEST_WITHOUT), patient(scanned(30)))
    advice = advises(CHECK, case)
    assert advice.indicator is Indicator.INFO
    assert advice.recommendations == ()
    day = TODAY - timedelta(days=30)
    assert advice.meaning == (f"Read the exam of {day}: is this a follow-up, or a new event since?",)
    longer = ordered(draft(CT_CHEST_WITHOUT), patient(scanned(60)), {f"{CHECK}.chest_ct_days": "60"})
    assert advises(CHECK, longer).meaning


ICD_INJURY, BLEEDING, EMBOLISM = Coding(ICD, "S22.4"), Coding(ICD, "R04.2"), Coding(ICD, "I26.9")


@pytest.mark.parametrize("reason", [INJURY, ICD_INJURY, THUNDERCLAP, BLEEDING, EMBOLISM, Coding(ICD, "T14.9")])
def test_of_an_order_in_haste_or_for_an_injury_a_thunderclap_bleeding_or_an_embolism_the_check_is_silent(
    reason: Coding,
) -> None:
    data = patient(scanned(2))
    assert silent(CHECK, ordered(draft(CT_CHEST_WITHOUT, reason), data))
    for haste in (Priority.STAT, Priority.ASAP):
        assert silent(CHECK, ordered(replace(draft(CT_CHEST_WITHOUT), priority=haste), data))
    for order in (draft(CT_CHEST_WITHOUT, Coding(ICD, "J44.9")), replace(draft(CT_CHEST_WITHOUT), priority=URGENT)):
        assert advises(CHECK, ordered(order, data)).meaning


def test_a_sign_that_the_order_s_form_found_is_something_new() -> None:
    data = patient(scanned(2))
    assert silent(CHECK, ordered(draft(CT_CHEST_WITHOUT, Coding(SIGHTLINE_SIGN, "fever")), data))
    assert advises(CHECK, ordered(draft(CT_CHEST_WITHOUT, *asked("headache")), data)).meaning


def test_a_follow_up_that_was_planned_after_the_earlier_exam_is_no_duplicate() -> None:
    low_dose = "16334891000119106"
    for days_ago, planned in ((2, True), (40, False)):
        plan = {FOLLOW_UP.name: known_item(low_dose, "follow-up", TODAY - timedelta(days=days_ago))}
        data = patient(scanned(20))
        outcome = says(CHECK, ordered(draft(CT_CHEST_WITHOUT), replace(data, requests={**data.requests, **plan})))
        assert isinstance(outcome, NothingToSay) is planned
    assert silent(CHECK, ordered(draft(CT_CHEST_WITHOUT, Coding(ICD, "Z08.9")), patient(scanned(20))))


def test_of_mammography_and_mri_of_the_breast_the_check_is_silent_for_a_recall_repeats_them() -> None:
    data = chart(searched=(MAMMOGRAPHY,), procedures={MAMMOGRAPHY.name: known_item("71651007", "mammography", TODAY)})
    for modality in ("MG", "MR"):
        exam = Exam(modality, "breast", Contrast.NONE, angiography=False)
        assert "recalls" in silent(CHECK, ordered(draft(exam), data))


def test_the_same_exam_with_other_contrast_medium_is_told_and_is_no_duplicate() -> None:
    advice = advises(CHECK, ordered(draft(CT_CHEST_WITHOUT), patient(scanned(2, WITH))))
    assert advice.recommendations == ()
    assert "other contrast medium" in advice.meaning[0]


def test_where_the_contrast_medium_of_one_of_the_two_exams_is_not_known_that_is_asked() -> None:
    for exam, code in ((CT_CHEST_ANY, WITHOUT), (CT_CHEST_WITHOUT, UNSAID), (CT_CHEST, UNSAID)):
        advice = advises(CHECK, ordered(draft(exam), patient(scanned(2, code))))
        assert not withdraws(advice)
        assert any("contrast medium of both exams" in one for one in advice.missing)


def test_an_earlier_exam_without_a_date_or_of_a_day_to_come_is_told_and_its_day_is_asked_for() -> None:
    for day, why in ((None, "it has no date"), (TODAY + timedelta(days=20), "its date lies in the future")):
        advice = advises(CHECK, ordered(draft(CT_CHEST_WITHOUT), patient(known_item(WITHOUT, "CT", day))))
        assert advice.recommendations == ()
        assert why in advice.missing[0]
        assert "look when it was" in advice.missing[0]


def test_an_open_order_of_the_last_12_months_for_the_same_exam_is_told_and_what_it_is_for_is_asked() -> None:
    for day in (TODAY, TODAY.replace(year=TODAY.year - 1), None):
        advice = advises(CHECK, ordered(draft(CT_CHEST_WITHOUT), patient(request=known_item(WITHOUT, "CT", day))))
        assert advice.recommendations == ()
        assert "same question" in advice.meaning[0]
    forgotten = known_item(WITHOUT, "CT", TODAY.replace(year=TODAY.year - 1) - timedelta(days=1))
    assert silent(CHECK, ordered(draft(CT_CHEST_WITHOUT), patient(request=forgotten)))


def test_the_order_itself_as_the_record_has_it_since_today_is_no_open_order() -> None:
    own = draft(CT_CHEST_WITHOUT, codes=(Coding(SNOMED, WITHOUT),))
    assert silent(CHECK, ordered(own, patient(request=known_item(WITHOUT, "CT", TODAY))))
    yesterday = known_item(WITHOUT, "CT", TODAY - timedelta(days=1))
    assert advises(CHECK, ordered(own, patient(request=yesterday))).meaning


def test_a_signed_order_as_the_record_has_it_since_it_was_written_is_no_open_order() -> None:
    yesterday = TODAY - timedelta(days=1)
    own = draft(CT_CHEST_WITHOUT, codes=(Coding(SNOMED, WITHOUT),))
    there = patient(request=known_item(WITHOUT, "CT", yesterday))
    assert silent(CHECK, ordered(replace(own, authored_on=yesterday), there))
    assert advises(CHECK, ordered(replace(own, authored_on=TODAY), there)).meaning


def test_an_earlier_exam_before_the_site_s_days_is_no_duplicate() -> None:
    assert silent(CHECK, ordered(draft(CT_CHEST_WITHOUT), patient(scanned(31))))
    later = draft(CT_CHEST_WITHOUT, wanted_on=TODAY + timedelta(days=90))
    assert silent(CHECK, ordered(later, patient(scanned(2))))
    overdue = draft(CT_CHEST_WITHOUT, wanted_on=TODAY - timedelta(days=90))
    assert advises(CHECK, ordered(overdue, patient(scanned(2)))).meaning


def test_where_nobody_could_be_asked_for_earlier_exams_the_check_cannot_tell() -> None:
    assert "earlier images" in untold(CHECK, ordered(draft(CT_CHEST_WITHOUT), chart())).how_to_get[0]


def test_of_exams_without_a_value_set_of_earlier_ones_the_check_is_silent() -> None:
    for exam in (CT_ABDOMEN, MR_SPINE, CTPA):
        assert silent(CHECK, ordered(draft(exam), patient(scanned(1))))


def test_days_out_of_bounds_are_refused() -> None:
    assert ordering.mistakes({f"{CHECK}.chest_ct_days": "0"})
    assert ordering.mistakes({f"{CHECK}.chest_ct_days": "91"})
    assert not ordering.mistakes({f"{CHECK}.chest_ct_days": "90"})


@given(days=st.integers(-400, 400), code=st.sampled_from([WITHOUT, WITH, UNSAID]))
def test_no_exam_is_ever_withdrawn_and_no_step_is_suggested(days: int, code: str) -> None:
    known = patient(scanned(days, code))
    for data in (known, replace(known, procedures={}), patient(known_item(code, "CT", None))):
        for exam in (CT_CHEST_WITHOUT, CT_CHEST_ANY, CT_CHEST):
            outcome = says(CHECK, ordered(draft(exam), data, {f"{CHECK}.chest_ct_days": "90"}))
            assert not withdraws(outcome)
            assert not isinstance(outcome, Advice) or outcome.recommendations == ()
    older = patient(scanned(abs(days) + 1, code))
    cases = [ordered(draft(CT_CHEST_WITHOUT), data) for data in (older, patient(scanned(abs(days), code)))]
    assert urgency(says(CHECK, cases[0])) <= urgency(says(CHECK, cases[1]))

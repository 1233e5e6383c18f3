"""Possible pregnancy before imaging, rule by rule (ACR-SPR; ACOG 723, doi:10.1097/AOG.0000000000002355)."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import action_codes
from cds.domain.coding import Coding
from cds.domain.ehr import EhrData, Fact, Known, Unknown
from cds.domain.identity import Sex
from cds.domain.imaging_order import Contrast, Exam
from cds.domain.recommendation import Advice, Indicator
from tests.unit.clinical import NOT_FOUND, SOURCE, TODAY, known_item
from tests.unit.ordering_cases import (
    CT_ABDOMEN,
    CT_CHEST,
    CT_CHEST_ANY,
    CT_CHEST_WITHOUT,
    CT_HEAD,
    CT_SPINE,
    ICD,
    MR_HEAD,
    MR_HEAD_WITH,
    advises,
    chart,
    draft,
    ordered,
    says,
    silent,
    step,
    urgency,
    withdraws,
)

CHECK = "pregnancy"
UNKNOWN: Fact[bool] = Unknown("nobody was asked")
MAMMOGRAM = Exam("MG", "breast", Contrast.NONE, angiography=False)
KNEE = Exam("DX", "limb", Contrast.NONE, angiography=False)
PET = Exam("PT", "whole-body")
ABDOMEN_PLAIN = Exam("CT", "abdomen", Contrast.NONE, angiography=False)


def stated(pregnant: bool, days_ago: int = 0) -> Fact[bool]:
    return Known(pregnant, TODAY - timedelta(days=days_ago), SOURCE)


def woman(pregnancy: Fact[bool] = UNKNOWN, age: int | None = 30, sex: Sex | None = Sex.FEMALE) -> EhrData:
    """A woman, and what is known of a pregnancy."""
    return chart(age, sex, pregnancy=pregnancy)


@pytest.mark.parametrize("exam", [CT_HEAD, CT_CHEST_WITHOUT, MAMMOGRAM, KNEE])
def test_radiation_of_head_neck_chest_breast_or_limb_without_contrast_needs_no_question_on_pregnancy(
    exam: Exam,
) -> None:
    for fact in (UNKNOWN, NOT_FOUND, stated(False), stated(True, 400)):
        assert silent(CHECK, ordered(draft(exam), woman(fact)))


def test_in_pregnancy_a_ct_that_does_not_reach_the_pelvis_is_told_with_one_line_and_not_withheld() -> None:
    for exam in (CT_HEAD, CT_CHEST_WITHOUT):
        advice = advises(CHECK, ordered(draft(exam), woman(stated(True))))
        assert advice.indicator is Indicator.INFO
        assert advice.recommendations == ()
        assert "not withheld" in advice.meaning[-1]
    for exam in (MAMMOGRAM, KNEE):
        assert silent(CHECK, ordered(draft(exam), woman(stated(True))))


@pytest.mark.parametrize("day", [None, TODAY - timedelta(days=301), TODAY + timedelta(days=5)])
def test_a_pregnancy_on_record_without_a_usable_date_is_asked_for_with_a_warning(day: date | None) -> None:
    data = woman(Known(True, day, SOURCE))
    for exam in (CT_ABDOMEN, CT_CHEST, MR_HEAD_WITH):
        advice = advises(CHECK, ordered(draft(exam), data))
        assert advice.indicator is Indicator.WARNING
        assert advice.recommendations[0].code == action_codes.PREGNANCY_TEST
        assert "without a usable date" in advice.missing[0]
    assert advises(CHECK, ordered(draft(CT_ABDOMEN), woman(stated(True, 300)))).recommendations[0].instead


def test_a_pregnancy_that_is_long_over_is_not_asked_for_at_an_age_at_which_nobody_is_asked() -> None:
    assert silent(CHECK, ordered(draft(CT_ABDOMEN), woman(stated(True, 7000), age=60)))
    undated = woman(Known(True, None, SOURCE), age=60)
    assert advises(CHECK, ordered(draft(CT_ABDOMEN), undated)).indicator is Indicator.WARNING


@pytest.mark.parametrize("code", ["O20.0", "O99.8", "Z33", "Z34.0", "O00.1"])
def test_a_pregnancy_among_the_reasons_of_the_order_counts_as_known(code: str) -> None:
    for fact in (UNKNOWN, NOT_FOUND, stated(False), Known(True, None, SOURCE)):
        case = ordered(draft(ABDOMEN_PLAIN, Coding(ICD, code)), woman(fact))
        assert step(CHECK, case).instead
        assert any(code in one for one in step(CHECK, case).because)


@pytest.mark.parametrize(("days_ago", "asked_for"), [(0, True), (3, True), (4, False), (300, False), (-2, False)])
def test_a_request_for_a_pregnancy_test_counts_as_asked_for_3_days(days_ago: int, asked_for: bool) -> None:
    request = {action_codes.request_of(action_codes.PREGNANCY_TEST): known_item(on=TODAY - timedelta(days=days_ago))}
    advice = advises(CHECK, ordered(draft(CT_ABDOMEN), chart(30, Sex.FEMALE, requests=request)))
    assert (advice.recommendations == ()) is asked_for


def test_men_and_patients_below_12_or_above_50_years_are_not_asked_for_pregnancy() -> None:
    for data in (woman(age=11), woman(age=51), woman(sex=Sex.MALE)):
        assert silent(CHECK, ordered(draft(CT_ABDOMEN), data))
    for data in (woman(age=12), woman(age=50), woman(sex=Sex.OTHER), woman(age=None), woman(sex=None)):
        assert step(CHECK, ordered(draft(CT_ABDOMEN), data)).key == "ask"


@pytest.mark.parametrize("exam", [CT_ABDOMEN, ABDOMEN_PLAIN, CT_SPINE, PET, MR_HEAD_WITH, Exam("CT")])
def test_from_12_to_50_years_pregnancy_is_asked_for_before_radiation_of_abdomen_pelvis_or_spine_and_before_gadolinium(
    exam: Exam,
) -> None:
    suggested = step(CHECK, ordered(draft(exam), woman()))
    assert suggested.code == action_codes.PREGNANCY_TEST
    assert not suggested.instead


def test_a_word_that_she_is_not_pregnant_counts_for_3_days_unless_the_site_says_otherwise() -> None:
    assert silent(CHECK, ordered(draft(CT_ABDOMEN), woman(stated(False, 3))))
    old = ordered(draft(CT_ABDOMEN), woman(stated(False, 4)))
    assert step(CHECK, old).key == "ask"
    assert silent(CHECK, ordered(draft(CT_ABDOMEN), woman(stated(False, 4)), {f"{CHECK}.not_pregnant_days": "4"}))
    assert step(CHECK, ordered(draft(CT_ABDOMEN), woman(stated(True, 301)))).key == "ask"


def test_in_pregnancy_ultrasound_or_mri_takes_the_place_of_radiation_of_abdomen_pelvis_or_spine() -> None:
    suggested = step(CHECK, ordered(draft(ABDOMEN_PLAIN), woman(stated(True, 100))))
    assert suggested.instead
    assert suggested.code.code == "24558-9"
    assert step(CHECK, ordered(draft(CT_SPINE), woman(stated(True)))).code.code == "30679-5"


def test_imaging_that_is_needed_is_not_withheld_in_pregnancy() -> None:
    for exam in (CT_ABDOMEN, CT_SPINE, CT_CHEST, MR_HEAD_WITH, PET):
        advice = advises(CHECK, ordered(draft(exam), woman(stated(True))))
        assert not withdraws(advice)
        assert any("not withheld" in one for one in advice.meaning)


def test_in_pregnancy_gadolinium_is_given_only_where_its_benefit_outweighs_the_risk() -> None:
    assert step(CHECK, ordered(draft(MR_HEAD_WITH), woman(stated(True)))).key == "without-gadolinium"
    assert silent(CHECK, ordered(draft(MR_HEAD), woman(stated(True))))


def test_in_pregnancy_iodinated_contrast_is_given_only_where_the_answer_needs_it_and_cannot_wait() -> None:
    advice = advises(CHECK, ordered(draft(CT_CHEST), woman(stated(True))))
    assert advice.indicator is Indicator.WARNING
    assert "cannot wait" in advice.meaning[0]
    assert silent(CHECK, ordered(draft(CT_CHEST), woman(stated(False))))
    assert "cannot wait" in advises(CHECK, ordered(draft(CT_CHEST_ANY), woman(stated(True)))).meaning[0]


def test_a_pregnancy_on_record_counts_whatever_sex_and_age_are_recorded() -> None:
    for data in (woman(stated(True), sex=Sex.MALE), woman(stated(True), age=55)):
        assert step(CHECK, ordered(draft(ABDOMEN_PLAIN), data)).instead


def test_a_test_that_is_ordered_is_not_asked_for_again() -> None:
    request = {action_codes.request_of(action_codes.PREGNANCY_TEST): known_item(on=TODAY)}
    advice = advises(CHECK, ordered(draft(CT_ABDOMEN), chart(30, Sex.FEMALE, requests=request)))
    assert advice.recommendations == ()
    assert "open request" in advice.notes[0]


EXAMS = st.sampled_from([CT_HEAD, CT_ABDOMEN, CT_CHEST, MR_HEAD, MR_HEAD_WITH, CT_SPINE, PET, KNEE])


@given(exam=EXAMS, age=st.integers(5, 90), sex=st.sampled_from([Sex.FEMALE, Sex.MALE]))
def test_what_is_not_known_of_a_pregnancy_is_never_milder_than_no_and_never_louder_than_yes(
    exam: Exam, age: int, sex: Sex
) -> None:
    no, unknown, yes = (
        says(CHECK, ordered(draft(exam), woman(fact, age, sex))) for fact in (stated(False), UNKNOWN, stated(True))
    )
    assert urgency(no) <= urgency(unknown) <= urgency(yes)


@given(exam=EXAMS, age=st.integers(12, 50))
def test_that_no_word_was_found_is_no_word(exam: Exam, age: int) -> None:
    found = says(CHECK, ordered(draft(exam), woman(NOT_FOUND, age)))
    unknown = says(CHECK, ordered(draft(exam), woman(UNKNOWN, age)))
    assert isinstance(found, Advice) == isinstance(unknown, Advice)

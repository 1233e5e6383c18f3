"""The same exam lately, rule by rule (Directive 2013/59/Euratom, article 55)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from cds import action_codes, ordering
from cds.domain.ehr import ClinicalItem, EhrData, Fact
from cds.domain.recommendation import Indicator
from cds.procedure_codes import CHEST_CT, ORDERED
from tests.unit.clinical import NOT_FOUND, TODAY, known_item
from tests.unit.ordering_cases import (
    CT_ABDOMEN,
    CT_CHEST,
    CT_CHEST_ANY,
    CT_CHEST_WITHOUT,
    CTPA,
    MR_SPINE,
    advises,
    chart,
    draft,
    ordered,
    says,
    silent,
    step,
    untold,
    urgency,
    withdraws,
)

CHECK = "duplicate_imaging"
REQUEST = ORDERED[action_codes.DIAGNOSTIC_CHEST_CT.code]
WITHOUT, WITH, UNSAID = "395081000119108", "75385009", "169069000"


def patient(done: Fact[ClinicalItem] = NOT_FOUND, request: Fact[ClinicalItem] = NOT_FOUND) -> EhrData:
    """What was done, and what is ordered."""
    return chart(procedures={CHEST_CT.name: done}, requests={REQUEST.name: request})


def scanned(days_ago: int, code: str = WITHOUT) -> Fact[ClinicalItem]:
    return known_item(code, "CT of the chest", TODAY - timedelta(days=days_ago))


def test_the_same_exam_within_the_site_s_days_before_leads_to_reading_it_before_it_is_repeated() -> None:
    case = ordered(draft(CT_CHEST_WITHOUT), patient(scanned(30)))
    assert advises(CHECK, case).indicator is Indicator.WARNING
    assert step(CHECK, case).code == action_codes.NO_IMAGING
    assert step(CHECK, case).instead
    assert str(TODAY - timedelta(days=30)) in step(CHECK, case).action
    longer = ordered(draft(CT_CHEST_WITHOUT), patient(scanned(60)), {f"{CHECK}.chest_ct_days": "60"})
    assert step(CHECK, longer).instead


def test_the_same_exam_with_other_contrast_medium_is_told_and_is_no_duplicate() -> None:
    advice = advises(CHECK, ordered(draft(CT_CHEST_WITHOUT), patient(scanned(2, WITH))))
    assert advice.recommendations == ()
    assert "other contrast medium" in advice.meaning[0]


def test_where_the_contrast_medium_of_one_of_the_two_exams_is_not_known_that_is_asked() -> None:
    for exam, code in ((CT_CHEST_ANY, WITHOUT), (CT_CHEST_WITHOUT, UNSAID), (CT_CHEST, UNSAID)):
        advice = advises(CHECK, ordered(draft(exam), patient(scanned(2, code))))
        assert not withdraws(advice)
        assert any("contrast medium of both exams" in one for one in advice.missing)


def test_an_earlier_exam_without_a_date_is_told_and_its_day_is_asked_for() -> None:
    advice = advises(CHECK, ordered(draft(CT_CHEST_WITHOUT), patient(known_item(WITHOUT, "CT", None))))
    assert not withdraws(advice)
    assert "look when it was done" in advice.missing[0]


def test_an_open_order_for_the_same_exam_is_told_and_what_it_is_for_is_asked() -> None:
    advice = advises(CHECK, ordered(draft(CT_CHEST_WITHOUT), patient(request=known_item(WITHOUT, "CT", TODAY))))
    assert not withdraws(advice)
    assert "same question" in advice.meaning[0]


def test_an_earlier_exam_before_the_site_s_days_is_no_duplicate() -> None:
    assert silent(CHECK, ordered(draft(CT_CHEST_WITHOUT), patient(scanned(31))))
    later = draft(CT_CHEST_WITHOUT, wanted_on=TODAY + timedelta(days=90))
    assert silent(CHECK, ordered(later, patient(scanned(2))))


def test_where_nobody_could_be_asked_for_earlier_exams_the_check_cannot_tell() -> None:
    assert "earlier images" in untold(CHECK, ordered(draft(CT_CHEST_WITHOUT), chart())).how_to_get[0]


def test_of_exams_without_a_value_set_of_earlier_ones_the_check_is_silent() -> None:
    for exam in (CT_ABDOMEN, MR_SPINE, CTPA):
        assert silent(CHECK, ordered(draft(exam), patient(scanned(1))))


def test_days_out_of_bounds_are_refused() -> None:
    assert ordering.mistakes({f"{CHECK}.chest_ct_days": "0"})
    assert not ordering.mistakes({f"{CHECK}.chest_ct_days": "365"})


@given(days=st.integers(0, 400), code=st.sampled_from([WITHOUT, WITH, UNSAID]))
def test_the_exam_is_never_withdrawn_while_something_that_decides_is_not_known(days: int, code: str) -> None:
    known = patient(scanned(days, code))
    for data in (replace(known, procedures={}), patient(known_item(code, "CT", None))):
        assert not withdraws(says(CHECK, ordered(draft(CT_CHEST_WITHOUT), data)))
    assert not withdraws(says(CHECK, ordered(draft(CT_CHEST_ANY), known)))
    older = patient(scanned(days + 1, code))
    cases = [ordered(draft(CT_CHEST_WITHOUT), data) for data in (older, known)]
    assert urgency(says(CHECK, cases[0])) <= urgency(says(CHECK, cases[1]))

"""Imaging for low back pain, rule by rule (ACR Appropriateness Criteria, topic 141, variants 1 to 7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import action_codes, codes, condition_codes, medication_codes, ordering
from cds.domain.coding import Coding
from cds.domain.ehr import EhrData, Known
from cds.domain.imaging_order import Contrast, Exam
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, Case, Indicator
from cds.ordering._spine import DISEASES, DRUGS, SIGNS
from cds.value_sets import ValueSet
from tests.unit.clinical import SOURCE, TODAY, known_item
from tests.unit.ordering_cases import (
    CT_CHEST,
    CT_HEAD,
    CT_SPINE,
    ICD,
    LOW_BACK,
    MR_SPINE,
    ODD_REASONS,
    PNEUMONIA,
    X_RAY_SPINE,
    advises,
    against,
    asked,
    asked_history,
    chart,
    draft,
    has,
    more_said,
    ordered,
    says,
    searched_since,
    silent,
    step,
    untold,
    withdraws,
)

CHECK = "low_back_pain"
SEARCHED = tuple(one for one, _ in (*DISEASES, *DRUGS))
ALL_SIGNS = {sign.code: sign for sign, _ in SIGNS}
FORM = asked(CHECK)
MR_SPINE_WITH = Exam("MR", "spine", Contrast.GADOLINIUM, angiography=False)


def order(
    exam: Exam = MR_SPINE,
    *signs: str,
    data: EhrData | None = None,
    form: tuple[Coding, ...] = FORM,
    site: dict[str, str] | None = None,
) -> Case:
    """An order for low back pain in a patient of 40 whose chart was searched; the form asked for all signs."""
    told = tuple(ALL_SIGNS[name].coding for name in signs)
    return ordered(draft(exam, LOW_BACK, *form, *told), data or chart(searched=SEARCHED), site)


def reason(code: str) -> Coding:
    """A reason of an order, by ICD-10."""
    return Coding(ICD, code)


def test_for_other_exams_than_of_the_spine_or_other_reasons_than_low_back_pain_the_check_is_silent() -> None:
    data = chart(searched=SEARCHED)
    assert silent(CHECK, ordered(draft(CT_HEAD, LOW_BACK), data))
    assert silent(CHECK, ordered(draft(MR_SPINE, PNEUMONIA), data))


def test_where_the_reason_of_an_exam_of_the_spine_is_not_coded_the_check_cannot_tell() -> None:
    for reasons in ((), (Coding("urn:oid:1.2.3", "LBP"),)):
        assert untold(CHECK, ordered(draft(MR_SPINE, *reasons), chart(searched=SEARCHED)))
    assert untold(CHECK, ordered(draft(Exam("MR"), LOW_BACK), chart(searched=SEARCHED)))


def test_below_18_years_the_check_of_low_back_pain_is_silent() -> None:
    assert "child" in silent(CHECK, order(data=chart(17, searched=SEARCHED)))
    assert withdraws(says(CHECK, order(data=chart(18, searched=SEARCHED))))


@pytest.mark.parametrize("exam", [MR_SPINE, CT_SPINE, X_RAY_SPINE])
def test_low_back_pain_without_any_sign_of_danger_needs_no_imaging(exam: Exam) -> None:
    suggested = step(CHECK, order(exam))
    assert suggested.code == action_codes.NO_IMAGING
    assert suggested.instead
    assert suggested.would_change


def test_where_a_sign_of_danger_is_not_known_nothing_is_said_against_imaging_and_the_signs_are_listed() -> None:
    advice = advises(CHECK, order(form=()))
    assert advice.recommendations == ()
    assert len(advice.missing) == len(SIGNS)
    for data in (chart(), chart(None, searched=SEARCHED)):
        assert not withdraws(says(CHECK, order(data=data)))
    assert any("age" in one for one in advises(CHECK, order(data=chart(None, searched=SEARCHED))).missing)


@pytest.mark.parametrize("name", sorted(ALL_SIGNS))
def test_with_a_sign_of_danger_nothing_is_said_against_imaging_of_the_low_back(name: str) -> None:
    assert not withdraws(says(CHECK, order(MR_SPINE, name)))


@pytest.mark.parametrize("code", ["G83.4", "R33", "C79.5", "C61", "M46.2", "S32.0", "B20", "M80.0", "N10", "W10"])
def test_what_the_order_itself_names_is_a_sign_of_danger(code: str) -> None:
    whole = chart(searched=SEARCHED)
    outcome = says(CHECK, ordered(draft(X_RAY_SPINE, LOW_BACK, *FORM, reason(code)), whole))
    assert not withdraws(outcome)
    assert withdraws(says(CHECK, ordered(draft(X_RAY_SPINE, LOW_BACK, *FORM), whole)))


@pytest.mark.parametrize("one", SEARCHED, ids=lambda one: one.name)
def test_with_a_disease_or_drug_of_the_list_nothing_is_said_against_imaging(one: ValueSet) -> None:
    there = {"medications": has(one)} if one.kind == "medication" else {"conditions": has(one)}
    assert not withdraws(says(CHECK, order(data=chart(searched=SEARCHED, **there))))


@pytest.mark.parametrize("exam", [X_RAY_SPINE, CT_SPINE])
def test_suspected_cancer_infection_or_immunosuppression_leads_to_urgent_mri_without_and_with_contrast_of_the_low_back(
    exam: Exam,
) -> None:
    for signs, data in (
        (("fever",), chart(searched=SEARCHED)),
        ((), chart(searched=SEARCHED, conditions=has(condition_codes.CANCER))),
        ((), chart(searched=SEARCHED, medications=has(medication_codes.IMMUNOSUPPRESSANT))),
    ):
        suggested = step(CHECK, order(exam, *signs, data=data))
        assert suggested.code.code == "24967-2"
        assert suggested.priority is Priority.URGENT
        assert suggested.instead
        assert silent(CHECK, order(MR_SPINE, *signs, data=data))
        assert silent(CHECK, order(MR_SPINE_WITH, *signs, data=data))


def test_mri_stands_beside_an_exam_whose_order_says_more_than_the_check_reads() -> None:
    aneurysm = draft(X_RAY_SPINE, LOW_BACK, *asked(CHECK, ALL_SIGNS["fever"]), reason("I71.4"))
    assert not step(CHECK, ordered(aneurysm, chart(searched=SEARCHED))).instead


def test_what_the_table_does_not_rate_is_left_alone() -> None:
    # Of CT without and with contrast no rating was verified, and "with contrast" may be that.
    assert silent(CHECK, order(Exam("CT", "spine", Contrast.IODINATED, angiography=False), "fever"))
    assert silent(CHECK, order(Exam("NM", "spine", Contrast.NONE, angiography=False), "fever"))


WHATEVER = (X_RAY_SPINE, CT_SPINE, MR_SPINE, MR_SPINE_WITH, Exam("NM", "spine", Contrast.NONE, angiography=False))


@pytest.mark.parametrize("exam", [*WHATEVER, Exam("MR"), CT_CHEST, None])
@pytest.mark.parametrize("name", ["cauda-equina", "leg-weakness"])
def test_a_suspected_cauda_equina_syndrome_leads_to_mri_at_once_and_a_spinal_surgeon_now_whatever_was_ordered(
    name: str, exam: Exam | None
) -> None:
    told = ALL_SIGNS[name].coding
    palliative = chart(searched=SEARCHED, conditions=has(condition_codes.PALLIATIVE_CARE))
    for data in (chart(None), chart(12, searched=SEARCHED), chart(80), palliative):
        case = ordered(draft(exam, LOW_BACK, told), data)
        assert advises(CHECK, case).indicator is Indicator.CRITICAL
        suggested = step(CHECK, case)
        assert (suggested.priority, suggested.by) == (Priority.STAT, TODAY)
        assert suggested.action == "Emergency MRI and spinal surgeon now"
    assert any("who leads it" in one for one in advises(CHECK, ordered(draft(exam, LOW_BACK, told), palliative)).notes)


def test_bladder_and_bowel_count_with_low_back_pain_or_for_an_exam_of_the_spine() -> None:
    ultrasound = Exam("US", "abdomen", Contrast.NONE, angiography=False)
    for code in ("G83.4", "R15", "R32", "R33"):
        assert advises(CHECK, ordered(draft(X_RAY_SPINE, reason(code)), chart())).indicator is Indicator.CRITICAL
        assert advises(CHECK, ordered(draft(ultrasound, LOW_BACK, reason(code)), chart())).recommendations
        assert silent(CHECK, ordered(draft(ultrasound, reason(code)), chart()))


def test_only_of_an_mri_to_be_made_at_once_for_a_suspected_cauda_equina_nothing_is_said() -> None:
    told = ALL_SIGNS["cauda-equina"].coding
    for exam in WHATEVER:
        for priority in (None, *Priority):
            outcome = says(CHECK, ordered(draft(exam, LOW_BACK, told, priority=priority), chart()))
            at_once = exam.modality == "MR" and priority is Priority.STAT
            assert isinstance(outcome, Advice) is not at_once


def test_mri_at_once_takes_the_place_of_a_later_mri_and_stands_beside_what_an_injury_needs() -> None:
    whole = chart(searched=SEARCHED)
    assert step(CHECK, order(MR_SPINE, "cauda-equina", "spine-trauma")).instead
    assert step(CHECK, order(X_RAY_SPINE, "cauda-equina")).instead
    assert not step(CHECK, order(CT_SPINE, "cauda-equina", "spine-trauma")).instead
    aneurysm = draft(CT_SPINE, LOW_BACK, ALL_SIGNS["cauda-equina"].coding, reason("I71.4"))
    assert not step(CHECK, ordered(aneurysm, whole)).instead


def test_mri_at_once_is_with_contrast_where_that_was_ordered_or_an_infection_is_suspected() -> None:
    assert step(CHECK, order(X_RAY_SPINE, "cauda-equina")).code.code == "30679-5"
    for case in (order(MR_SPINE_WITH, "cauda-equina"), order(X_RAY_SPINE, "cauda-equina", "fever")):
        assert step(CHECK, case).code.code == "24967-2"


def test_in_palliative_care_only_a_suspected_cauda_equina_is_told_of_low_back_pain() -> None:
    data = chart(searched=SEARCHED, conditions=has(condition_codes.PALLIATIVE_CARE))
    assert "palliative" in silent(CHECK, order(data=data))
    assert "palliative" in silent(CHECK, order(X_RAY_SPINE, "fever", data=data))
    assert advises(CHECK, order(X_RAY_SPINE, "cauda-equina", data=data)).indicator is Indicator.CRITICAL


def test_an_age_of_50_years_or_more_counts_as_a_sign_of_danger_unless_the_site_sets_it_higher() -> None:
    assert withdraws(says(CHECK, order(data=chart(49, searched=SEARCHED))))
    assert silent(CHECK, order(data=chart(50, searched=SEARCHED)))
    higher = {f"{CHECK}.elderly_years": "65"}
    assert withdraws(says(CHECK, order(data=chart(64, searched=SEARCHED), site=higher)))
    assert silent(CHECK, order(data=chart(65, searched=SEARCHED), site=higher))
    [years] = ordering.load()[CHECK].options
    assert (years.low, years.high) == (50, 65)


def test_a_sign_is_known_from_a_public_code_of_the_reasons() -> None:
    fever = Coding("http://hl7.org/fhir/sid/icd-10", "R50.9")
    assert silent(CHECK, ordered(draft(MR_SPINE, LOW_BACK, fever), chart(searched=SEARCHED)))


def with_symptom(value_set: ValueSet, days_ago: int | None) -> EhrData:
    """A patient whose chart was searched, and has a symptom of some day or of none."""
    day = None if days_ago is None else TODAY - timedelta(days=days_ago)
    there = known_item(value_set.entries[0].coding.code, value_set.title, day)
    return chart(searched=SEARCHED, symptoms={value_set.name: there})


def counts_for(value_set: ValueSet, days: int) -> None:
    """Within so many days a symptom of the record is a sign of danger; without a date it is a question."""
    assert silent(CHECK, order(form=(), data=with_symptom(value_set, days)))
    for old in (days + 1, None):
        missing = advises(CHECK, order(form=(), data=with_symptom(value_set, old))).missing
        assert any(one.startswith(value_set.title) for one in missing)
    assert withdraws(says(CHECK, order(data=with_symptom(value_set, days + 1))))
    undated = advises(CHECK, order(data=with_symptom(value_set, None)))
    assert [one.partition(":")[0] for one in undated.missing] == [value_set.title]


def test_fever_on_record_counts_for_42_days_and_is_a_question_without_a_date() -> None:
    counts_for(condition_codes.FEVER, 42)


def test_weight_loss_on_record_counts_for_183_days_and_is_a_question_without_a_date() -> None:
    counts_for(codes.WEIGHT_LOSS, 183)


def test_a_sign_that_the_record_has_and_the_order_s_form_denies_is_a_question() -> None:
    for value_set in (condition_codes.FEVER, codes.WEIGHT_LOSS):
        advice = advises(CHECK, order(data=with_symptom(value_set, 10)))
        assert advice.recommendations == ()
        assert [one.partition(":")[0] for one in advice.missing] == [value_set.title]


def test_with_a_reason_that_the_check_does_not_read_nothing_is_said_against_the_exam() -> None:
    whole = chart(searched=SEARCHED)
    fine = draft(X_RAY_SPINE, LOW_BACK, *FORM)
    assert withdraws(says(CHECK, ordered(replace(fine, reason_text="Low back pain"), whole)))
    for more in (*more_said(fine), replace(fine, reasons=(*fine.reasons, reason("R29.8")))):
        assert untold(CHECK, ordered(more, whole)).missing
    for odd in (reason("I71.4"), Coding("urn:oid:1.2.3", "LBP"), Coding("urn:sightline:sign", "cauda_equina")):
        assert untold(CHECK, ordered(draft(X_RAY_SPINE, LOW_BACK, *FORM, odd), whole)).missing


@given(odd=st.lists(ODD_REASONS, min_size=1, max_size=3), exam=st.sampled_from([X_RAY_SPINE, CT_SPINE, MR_SPINE]))
def test_no_exam_of_the_spine_is_withdrawn_with_any_other_coding(odd: list[Coding], exam: Exam) -> None:
    outcome = says(CHECK, ordered(draft(exam, LOW_BACK, *FORM, *odd), chart(searched=SEARCHED)))
    own = all(condition_codes.BACK_PAIN.contains(one) or one.code.startswith("asked-") for one in odd)
    assert own or not withdraws(outcome)
    if against(outcome) and not own:  # what it reads of the reasons asks for MRI
        assert step(CHECK, ordered(draft(exam, LOW_BACK, *FORM, *odd), chart(searched=SEARCHED))).priority in (
            Priority.URGENT,
            Priority.STAT,
        )


@pytest.mark.parametrize("one", SEARCHED, ids=lambda one: one.name)
def test_not_found_counts_as_no_where_the_search_reached_back_5_years_of_drugs_12_months(one: ValueSet) -> None:
    whole = chart(searched=SEARCHED)
    years = 1 if one.kind == "medication" else 5
    reached = date(TODAY.year - years, TODAY.month, TODAY.day)
    assert withdraws(says(CHECK, order(data=searched_since(whole, one, None))))
    assert withdraws(says(CHECK, order(data=searched_since(whole, one, reached))))
    short = searched_since(whole, one, reached + timedelta(days=1))
    assert [said.partition(":")[0] for said in advises(CHECK, order(data=short)).missing] == [one.title]
    assert withdraws(says(CHECK, order(data=short, form=(*FORM, *asked_history(CHECK)))))
    assert not withdraws(says(CHECK, order(data=short, form=(*FORM, *asked_history(CHECK, one)))))


def test_what_the_record_has_is_not_denied_by_a_form() -> None:
    ill = chart(searched=SEARCHED, conditions=has(condition_codes.CANCER))
    assert not withdraws(says(CHECK, order(data=ill, form=(*FORM, *asked_history(CHECK)))))


def test_of_who_died_nothing_is_said() -> None:
    dead = chart(deceased=Known(True, None, SOURCE))
    assert silent(CHECK, order(X_RAY_SPINE, "cauda-equina", data=dead))


NAMES = st.sets(st.sampled_from(sorted(ALL_SIGNS)))


@given(signs=NAMES, forgotten=st.sets(st.sampled_from(sorted(one.name for one in SEARCHED)), min_size=1))
def test_no_imaging_is_never_said_with_a_sign_or_with_something_unknown(signs: set[str], forgotten: set[str]) -> None:
    whole = chart(searched=SEARCHED)
    less = replace(
        whole,
        conditions={name: one for name, one in whole.conditions.items() if name not in forgotten},
        medications={name: one for name, one in whole.medications.items() if name not in forgotten},
    )
    assert not withdraws(says(CHECK, order(MR_SPINE, *sorted(signs), data=less)))
    assert withdraws(says(CHECK, order(MR_SPINE, *sorted(signs)))) is (not signs)
    assert not withdraws(says(CHECK, order(MR_SPINE, *sorted(signs), form=())))

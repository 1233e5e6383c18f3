"""Imaging for headache, rule by rule (ACR Appropriateness Criteria, topic 140, variants 1 and 2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import action_codes, condition_codes, medication_codes
from cds.domain.coding import Coding
from cds.domain.ehr import EhrData, Unknown
from cds.domain.identity import Sex
from cds.domain.imaging_order import Contrast, Exam
from cds.domain.order import Priority
from cds.domain.recommendation import Case
from cds.ordering.headache import SIGNS
from cds.value_sets import ValueSet
from tests.unit.clinical import TODAY, known_item
from tests.unit.ordering_cases import (
    CT_CHEST,
    CT_HEAD,
    CT_HEAD_WITH,
    HEADACHE,
    ICD,
    MIGRAINE,
    MR_HEAD,
    MR_HEAD_ANY,
    MR_HEAD_WITH,
    ODD_REASONS,
    PNEUMONIA,
    THUNDERCLAP,
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

CHECK = "headache"
DISEASES = (condition_codes.CANCER, condition_codes.CANCER_HISTORY, condition_codes.IMMUNOSUPPRESSION)
SEARCHED = (*DISEASES, medication_codes.IMMUNOSUPPRESSANT, medication_codes.ANTICOAGULANT)
ALL_SIGNS = {sign.code: sign for sign in SIGNS}
FORM = asked(CHECK)
CTA = Exam("CT", "head", Contrast.IODINATED, angiography=True)
CT_HEAD_ANY = Exam("CT", "head", None, angiography=False)


def order(
    exam: Exam = MR_HEAD,
    *signs: str,
    reason: Coding = MIGRAINE,
    data: EhrData | None = None,
    form: tuple[Coding, ...] = FORM,
) -> Case:
    """An order for a headache in a man of 40 whose chart was searched; the form asked for all signs."""
    told = tuple(ALL_SIGNS[name].coding for name in signs)
    return ordered(draft(exam, reason, *form, *told), data or chart(searched=SEARCHED))


def test_for_other_exams_than_ct_or_mri_of_the_head_or_other_reasons_the_check_of_headache_is_silent() -> None:
    assert silent(CHECK, order(CT_CHEST))
    assert silent(CHECK, ordered(draft(MR_HEAD, PNEUMONIA), chart(searched=SEARCHED)))


def test_where_the_reason_of_an_exam_of_the_head_is_not_coded_the_check_of_headache_cannot_tell() -> None:
    assert untold(CHECK, ordered(draft(MR_HEAD), chart(searched=SEARCHED)))


def test_below_18_years_the_check_of_headache_is_silent() -> None:
    assert silent(CHECK, order(data=chart(17, searched=SEARCHED)))
    assert withdraws(says(CHECK, order(data=chart(18, searched=SEARCHED))))


def test_below_18_years_a_thunderclap_headache_is_for_paediatrics_now_the_check_cannot_tell() -> None:
    for exam in (MR_HEAD, CT_HEAD):
        assert "paediatrics now" in untold(CHECK, order(exam, reason=THUNDERCLAP, data=chart(17))).reason
    assert step(CHECK, order(reason=THUNDERCLAP, data=chart(18))).priority is Priority.STAT


@pytest.mark.parametrize("exam", [MR_HEAD, MR_HEAD_WITH, MR_HEAD_ANY, CT_HEAD_WITH])
def test_a_headache_that_is_worst_within_an_hour_leads_to_ct_of_the_head_without_contrast(exam: Exam) -> None:
    suggested = step(CHECK, order(exam, reason=THUNDERCLAP))
    assert suggested.code == action_codes.CT_HEAD_UNENHANCED
    assert suggested.priority is Priority.STAT
    assert suggested.instead
    for appropriate in (CT_HEAD, CTA, CT_HEAD_ANY):
        assert silent(CHECK, order(appropriate, reason=THUNDERCLAP))


@pytest.mark.parametrize("name", sorted(ALL_SIGNS))
def test_with_a_sign_of_danger_nothing_is_said_against_imaging_of_a_headache(name: str) -> None:
    assert silent(CHECK, order(MR_HEAD, name))


@pytest.mark.parametrize("code", ["H47.1", "G81.9", "C79.3", "O14.1", "Z33", "B20", "S06.5", "S00.0", "Z92.1", "R50.9"])
def test_what_the_order_of_a_headache_itself_names_is_a_sign_of_danger(code: str) -> None:
    whole = chart(searched=SEARCHED)
    assert "sign of danger" in silent(CHECK, ordered(draft(MR_HEAD, MIGRAINE, *FORM, Coding(ICD, code)), whole))


def test_an_anticoagulant_counts_as_a_sign_of_danger_of_a_headache() -> None:
    assert silent(CHECK, order(data=chart(searched=SEARCHED, medications=has(medication_codes.ANTICOAGULANT))))
    whole = chart(searched=SEARCHED)
    thinned = Coding("http://hl7.org/fhir/sid/icd-10-cm", "Z79.01")
    assert silent(CHECK, ordered(draft(MR_HEAD, MIGRAINE, *FORM, thinned), whole))
    assert withdraws(says(CHECK, order(data=whole)))


@pytest.mark.parametrize("one", SEARCHED, ids=lambda one: one.name)
def test_with_a_disease_or_drug_of_the_list_nothing_is_said_against_imaging_of_a_headache(one: ValueSet) -> None:
    there = {"medications": has(one)} if one.kind == "medication" else {"conditions": has(one)}
    assert silent(CHECK, order(data=chart(searched=SEARCHED, **there)))


@pytest.mark.parametrize("exam", [MR_HEAD, MR_HEAD_WITH, MR_HEAD_ANY, CT_HEAD, CT_HEAD_WITH])
def test_migraine_or_tension_type_headache_without_any_sign_of_danger_needs_no_imaging(exam: Exam) -> None:
    tension = Coding("http://hl7.org/fhir/sid/icd-10", "G44.2")
    for reason in (MIGRAINE, tension):
        assert step(CHECK, order(exam, reason=reason)).code == action_codes.NO_IMAGING


@pytest.mark.parametrize("code", ["G43.3", "G43.6", "G44.3", "R51.0"])
def test_a_complicated_or_secondary_headache_is_no_primary_one(code: str) -> None:
    for reasons in ((Coding(ICD, code),), (MIGRAINE, Coding(ICD, code))):
        assert not against(says(CHECK, ordered(draft(MR_HEAD, *reasons, *FORM), chart(searched=SEARCHED))))


def test_where_a_sign_of_danger_of_a_primary_headache_is_not_known_the_signs_are_listed() -> None:
    advice = advises(CHECK, order(form=()))
    assert advice.recommendations == ()
    assert len(advice.missing) == len(SIGNS) + 1  # and how fast it came
    woman = chart(30, Sex.FEMALE, searched=SEARCHED, pregnancy=Unknown("nobody was asked"))
    assert any("pregnancy" in one for one in advises(CHECK, order(data=woman)).missing)


def test_of_a_headache_that_is_neither_thunderclap_migraine_nor_tension_type_nothing_is_said() -> None:
    assert silent(CHECK, order(reason=HEADACHE))


def test_an_age_of_50_years_or_more_counts_as_a_sign_of_danger_of_a_headache() -> None:
    assert withdraws(says(CHECK, order(data=chart(49, searched=SEARCHED))))
    assert silent(CHECK, order(data=chart(50, searched=SEARCHED)))
    assert not withdraws(says(CHECK, order(data=chart(None, searched=SEARCHED))))


def test_with_a_reason_that_the_check_does_not_read_nothing_is_said_against_the_exam() -> None:
    whole = chart(searched=SEARCHED)
    fine = draft(MR_HEAD, MIGRAINE, HEADACHE, *FORM)
    assert withdraws(says(CHECK, ordered(replace(fine, reason_text="Migraine; headache"), whole)))
    for more in (*more_said(fine), replace(fine, reasons=(*fine.reasons, Coding("urn:oid:1.2.3", "X")))):
        assert untold(CHECK, ordered(more, whole)).missing
    for code in ("I60.9", "G03.9", "I67.6", "M31.6", "G40.9", "R29.1", "D68.9"):
        assert untold(CHECK, ordered(draft(MR_HEAD, MIGRAINE, *FORM, Coding(ICD, code)), whole)).missing


def test_ct_of_a_thunderclap_stands_beside_an_exam_whose_order_says_more_than_the_check_reads() -> None:
    thrombosis = draft(MR_HEAD_WITH, THUNDERCLAP, Coding(ICD, "I67.6"))
    assert not step(CHECK, ordered(thrombosis, chart())).instead
    assert step(CHECK, ordered(draft(MR_HEAD_WITH, THUNDERCLAP, HEADACHE), chart())).instead


@given(odd=st.lists(ODD_REASONS, min_size=1, max_size=3), exam=st.sampled_from([MR_HEAD, CT_HEAD, CT_HEAD_WITH]))
def test_no_exam_of_the_head_is_withdrawn_with_any_other_coding(odd: list[Coding], exam: Exam) -> None:
    outcome = says(CHECK, ordered(draft(exam, MIGRAINE, *FORM, *odd), chart(searched=SEARCHED)))
    own = [HEADACHE.code, "R51.9", "G43.0", "G43.1", "G43.9", "G44.2", "G43"]
    assert all(one.code.startswith(tuple(own)) for one in odd) or not withdraws(outcome)


@pytest.mark.parametrize("one", SEARCHED, ids=lambda one: one.name)
def test_not_found_counts_as_no_where_the_search_reached_back_5_years_of_drugs_12_months(one: ValueSet) -> None:
    whole = chart(searched=SEARCHED)
    reached = date(TODAY.year - (1 if one.kind == "medication" else 5), TODAY.month, TODAY.day)
    assert withdraws(says(CHECK, order(data=searched_since(whole, one, reached))))
    short = searched_since(whole, one, reached + timedelta(days=1))
    assert [said.partition(":")[0] for said in advises(CHECK, order(data=short)).missing] == [one.title]
    assert withdraws(says(CHECK, order(data=short, form=(*FORM, *asked_history(CHECK)))))
    assert not withdraws(says(CHECK, order(data=short, form=(*FORM, *asked_history(CHECK, one)))))


def feverish(days_ago: int | None) -> EhrData:
    """A patient whose chart was searched, with a fever of some day or of none."""
    day = None if days_ago is None else TODAY - timedelta(days=days_ago)
    return chart(searched=SEARCHED, symptoms={condition_codes.FEVER.name: known_item("386661006", "fever", day)})


def test_fever_on_record_counts_for_42_days_and_is_a_question_without_a_date() -> None:
    assert silent(CHECK, order(form=(), data=feverish(42)))
    for days_ago in (43, None):
        assert any(one.startswith("fever") for one in advises(CHECK, order(form=(), data=feverish(days_ago))).missing)
    assert withdraws(says(CHECK, order(data=feverish(43))))


def test_a_sign_that_the_record_has_and_the_order_s_form_denies_is_a_question() -> None:
    for days_ago in (3, None):
        advice = advises(CHECK, order(data=feverish(days_ago)))
        assert advice.recommendations == ()
        assert [one.partition(":")[0] for one in advice.missing] == ["fever"]


@given(
    signs=st.sets(st.sampled_from(sorted(ALL_SIGNS))),
    forgotten=st.sets(st.sampled_from(sorted(one.name for one in SEARCHED)), min_size=1),
)
def test_no_imaging_of_a_headache_is_never_said_with_a_sign_or_with_something_unknown(
    signs: set[str], forgotten: set[str]
) -> None:
    whole = chart(searched=SEARCHED)
    less = replace(
        whole,
        conditions={name: one for name, one in whole.conditions.items() if name not in forgotten},
        medications={name: one for name, one in whole.medications.items() if name not in forgotten},
    )
    assert not withdraws(says(CHECK, order(MR_HEAD, *sorted(signs), data=less)))
    assert withdraws(says(CHECK, order(MR_HEAD, *sorted(signs)))) is (not signs)
    assert not withdraws(says(CHECK, order(MR_HEAD, *sorted(signs), form=())))

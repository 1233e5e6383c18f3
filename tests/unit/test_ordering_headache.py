"""Imaging for headache, rule by rule (ACR Appropriateness Criteria, topic 140, variants 1 and 2)."""

from __future__ import annotations

from dataclasses import replace

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
from tests.unit.ordering_cases import (
    CT_CHEST,
    CT_HEAD,
    CT_HEAD_WITH,
    HEADACHE,
    MIGRAINE,
    MR_HEAD,
    MR_HEAD_ANY,
    MR_HEAD_WITH,
    PNEUMONIA,
    THUNDERCLAP,
    advises,
    asked,
    chart,
    draft,
    has,
    ordered,
    says,
    silent,
    step,
    untold,
    withdraws,
)

CHECK = "headache"
DISEASES = (condition_codes.CANCER, condition_codes.CANCER_HISTORY, condition_codes.IMMUNOSUPPRESSION)
SEARCHED = (*DISEASES, medication_codes.IMMUNOSUPPRESSANT)
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


@pytest.mark.parametrize("one", SEARCHED, ids=lambda one: one.name)
def test_with_a_disease_or_drug_of_the_list_nothing_is_said_against_imaging_of_a_headache(one: ValueSet) -> None:
    there = {"medications": has(one)} if one.kind == "medication" else {"conditions": has(one)}
    assert silent(CHECK, order(data=chart(searched=SEARCHED, **there)))


@pytest.mark.parametrize("exam", [MR_HEAD, MR_HEAD_WITH, MR_HEAD_ANY, CT_HEAD, CT_HEAD_WITH])
def test_migraine_or_tension_type_headache_without_any_sign_of_danger_needs_no_imaging(exam: Exam) -> None:
    tension = Coding("http://hl7.org/fhir/sid/icd-10", "G44.2")
    for reason in (MIGRAINE, tension):
        assert step(CHECK, order(exam, reason=reason)).code == action_codes.NO_IMAGING


def test_where_a_sign_of_danger_of_a_primary_headache_is_not_known_the_signs_are_listed() -> None:
    advice = advises(CHECK, order(form=()))
    assert advice.recommendations == ()
    assert len(advice.missing) == len(SIGNS) + 1
    woman = chart(30, Sex.FEMALE, searched=SEARCHED, pregnancy=Unknown("nobody was asked"))
    assert any("pregnancy" in one for one in advises(CHECK, order(data=woman)).missing)


def test_of_a_headache_that_is_neither_thunderclap_migraine_nor_tension_type_nothing_is_said() -> None:
    assert silent(CHECK, order(reason=HEADACHE))


def test_an_age_of_50_years_or_more_counts_as_a_sign_of_danger_of_a_headache() -> None:
    assert withdraws(says(CHECK, order(data=chart(49, searched=SEARCHED))))
    assert silent(CHECK, order(data=chart(50, searched=SEARCHED)))
    assert not withdraws(says(CHECK, order(data=chart(None, searched=SEARCHED))))


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

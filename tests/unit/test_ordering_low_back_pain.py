"""Imaging for low back pain, rule by rule (ACR Appropriateness Criteria, topic 141, variants 1 to 7)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import action_codes, codes, condition_codes, medication_codes
from cds.domain.coding import Coding
from cds.domain.ehr import EhrData
from cds.domain.imaging_order import Contrast, Exam
from cds.domain.order import Priority
from cds.domain.recommendation import Case
from cds.ordering._spine import DISEASES, DRUGS, SIGNS
from cds.value_sets import ValueSet
from tests.unit.ordering_cases import (
    CT_HEAD,
    CT_SPINE,
    LOW_BACK,
    MR_SPINE,
    PNEUMONIA,
    X_RAY_SPINE,
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


@pytest.mark.parametrize("one", SEARCHED, ids=lambda one: one.name)
def test_with_a_disease_or_drug_of_the_list_nothing_is_said_against_imaging(one: ValueSet) -> None:
    there = {"medications": has(one)} if one.kind == "medication" else {"conditions": has(one)}
    assert not withdraws(says(CHECK, order(data=chart(searched=SEARCHED, **there))))


@pytest.mark.parametrize("exam", [X_RAY_SPINE, CT_SPINE])
def test_suspected_cancer_infection_or_immunosuppression_leads_to_mri_without_and_with_contrast_of_the_low_back(
    exam: Exam,
) -> None:
    for signs, data in (
        (("fever",), chart(searched=SEARCHED)),
        ((), chart(searched=SEARCHED, conditions=has(condition_codes.CANCER))),
        ((), chart(searched=SEARCHED, medications=has(medication_codes.IMMUNOSUPPRESSANT))),
    ):
        suggested = step(CHECK, order(exam, *signs, data=data))
        assert suggested.code.code == "24967-2"
        assert suggested.instead
        assert silent(CHECK, order(MR_SPINE, *signs, data=data))
        assert silent(CHECK, order(MR_SPINE_WITH, *signs, data=data))


def test_what_the_table_does_not_rate_is_left_alone() -> None:
    # Of CT without and with contrast no rating was verified, and "with contrast" may be that.
    assert silent(CHECK, order(Exam("CT", "spine", Contrast.IODINATED, angiography=False), "fever"))
    assert silent(CHECK, order(Exam("NM", "spine", Contrast.NONE, angiography=False), "fever"))


def test_a_suspected_cauda_equina_syndrome_leads_to_mri_of_the_low_back_at_once() -> None:
    suggested = step(CHECK, order(CT_SPINE, "cauda-equina"))
    assert suggested.priority is Priority.URGENT
    assert suggested.code.code == "30679-5"
    assert silent(CHECK, order(MR_SPINE, "cauda-equina"))


def test_an_age_of_50_years_or_more_counts_as_a_sign_of_danger_unless_the_site_sets_it_higher() -> None:
    assert withdraws(says(CHECK, order(data=chart(49, searched=SEARCHED))))
    assert silent(CHECK, order(data=chart(50, searched=SEARCHED)))
    higher = {f"{CHECK}.elderly_years": "65"}
    assert withdraws(says(CHECK, order(data=chart(64, searched=SEARCHED), site=higher)))


def test_a_sign_is_known_from_a_public_code_of_the_reasons_or_a_symptom_of_these_days() -> None:
    fever = Coding("http://hl7.org/fhir/sid/icd-10", "R50.9")
    assert silent(CHECK, ordered(draft(MR_SPINE, LOW_BACK, fever), chart(searched=SEARCHED)))
    recent = chart(searched=SEARCHED, symptoms=has(codes.WEIGHT_LOSS, days_ago=14))
    assert silent(CHECK, order(form=(), data=recent))
    old = chart(searched=SEARCHED, symptoms=has(codes.WEIGHT_LOSS, days_ago=15))
    assert advises(CHECK, order(form=(), data=old)).missing


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

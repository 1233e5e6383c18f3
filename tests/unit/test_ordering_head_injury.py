"""CT after a head injury, rule by rule (Canadian CT Head Rule, doi:10.1016/S0140-6736(00)04561-X)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import action_codes, condition_codes, measurement_codes, medication_codes
from cds.domain.coding import Coding
from cds.domain.ehr import EhrData, Known
from cds.domain.identity import Sex
from cds.domain.imaging_order import Exam
from cds.domain.recommendation import Case
from cds.ordering.head_injury import CRITERIA, EXCLUDING, LOSS, SEIZURE
from tests.unit.clinical import SOURCE, TODAY
from tests.unit.ordering_cases import (
    CT_CHEST,
    CT_HEAD,
    INJURY,
    MIGRAINE,
    MR_HEAD,
    advises,
    asked,
    chart,
    draft,
    has,
    measured,
    ordered,
    says,
    silent,
    step,
    untold,
    withdraws,
)

CHECK = "head_injury"
SEARCHED = (medication_codes.ANTICOAGULANT, condition_codes.SEIZURE)
SIGNS = {sign.code: sign for sign in (*EXCLUDING, LOSS, SEIZURE, *(sign for _, sign, _, _ in CRITERIA))}
POSITIVE = sorted(sign.code for _, sign, _, _ in CRITERIA)
EXCLUDED = sorted([*(sign.code for sign in EXCLUDING), SEIZURE.code])
FORM = asked(CHECK)


def patient(age: int | None = 40, gcs: float | None = 15, **changes: object) -> EhrData:
    """A man whose chart was searched, with a Glasgow Coma Score of today."""
    score = {} if gcs is None else measured(measurement_codes.GLASGOW_COMA_SCORE, gcs)
    return chart(age, searched=SEARCHED, measurements=score, **changes)


def order(
    *signs: str, exam: Exam = CT_HEAD, data: EhrData | None = None, form: tuple[Coding, ...] = FORM, lost: bool = True
) -> Case:
    """CT after a head injury with loss of consciousness; the form asked for all signs."""
    told = tuple(SIGNS[name].coding for name in (*signs, *((LOSS.code,) if lost else ())))
    return ordered(draft(exam, INJURY, *form, *told), data or patient())


def test_for_other_exams_than_ct_of_the_head_or_other_reasons_than_a_head_injury_the_check_is_silent() -> None:
    for exam in (MR_HEAD, CT_CHEST):
        assert silent(CHECK, order(exam=exam))
    assert silent(CHECK, ordered(draft(CT_HEAD, MIGRAINE), patient()))


def test_where_the_reason_of_a_ct_of_the_head_is_not_coded_the_check_of_head_injury_cannot_tell() -> None:
    assert untold(CHECK, ordered(draft(CT_HEAD), patient()))


def test_outside_the_population_of_the_canadian_ct_head_rule_nothing_is_said_against_ct() -> None:
    for name in EXCLUDED:
        assert silent(CHECK, order(name))
    assert silent(CHECK, order(lost=False))
    pregnant = Known(True, TODAY, SOURCE)
    for data in (
        patient(15),
        patient(gcs=12),
        patient(medications=has(medication_codes.ANTICOAGULANT)),
        patient(conditions=has(condition_codes.SEIZURE)),
        chart(30, Sex.FEMALE, SEARCHED, pregnancy=pregnant, measurements=patient().measurements),
    ):
        assert silent(CHECK, order(data=data))


@pytest.mark.parametrize("name", POSITIVE)
def test_with_a_criterion_of_the_canadian_ct_head_rule_nothing_is_said_against_ct(name: str) -> None:
    assert silent(CHECK, order(name))
    assert silent(CHECK, order(name, form=()))
    assert silent(CHECK, order(data=patient(65)))


def test_a_head_injury_with_every_criterion_of_the_canadian_ct_head_rule_denied_needs_no_ct() -> None:
    for data in (patient(16), patient(64)):
        suggested = step(CHECK, order(data=data))
        assert suggested.code == action_codes.NO_IMAGING
        assert suggested.instead


def test_where_a_criterion_of_the_canadian_ct_head_rule_is_not_known_the_criteria_are_listed() -> None:
    advice = advises(CHECK, order(form=()))
    assert advice.recommendations == ()
    assert len(advice.missing) == len(SIGNS) - 1
    woman = chart(30, Sex.FEMALE, SEARCHED, measurements=patient().measurements)
    for data in (patient(None), patient(gcs=None), chart(measurements=patient().measurements), woman):
        assert advises(CHECK, order(data=data)).missing
        assert not withdraws(says(CHECK, order(data=data)))


def test_a_coma_score_of_another_day_is_not_one_of_today() -> None:
    score = measured(measurement_codes.GLASGOW_COMA_SCORE, 15, days_ago=2)
    assert not withdraws(says(CHECK, order(data=chart(searched=SEARCHED, measurements=score))))


@given(signs=st.sets(st.sampled_from([*POSITIVE, *EXCLUDED])), age=st.integers(0, 100), gcs=st.integers(3, 15))
def test_ct_is_withdrawn_only_where_all_is_known_and_denied(signs: set[str], age: int, gcs: int) -> None:
    data = patient(age, gcs)
    denied = not signs and 16 <= age < 65 and gcs >= 13
    assert withdraws(says(CHECK, order(*sorted(signs), data=data))) is denied
    assert not withdraws(says(CHECK, order(*sorted(signs), data=data, form=())))
    for less in (replace(data, medications={}), replace(data, conditions={}), replace(data, measurements={})):
        assert not withdraws(says(CHECK, order(*sorted(signs), data=less)))

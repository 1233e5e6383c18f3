"""CT after a head injury, rule by rule (Canadian CT Head Rule, doi:10.1016/S0140-6736(00)04561-X)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import action_codes, condition_codes, measurement_codes, medication_codes
from cds.domain.coding import Coding
from cds.domain.ehr import EhrData, Known
from cds.domain.identity import Sex
from cds.domain.imaging_order import Exam
from cds.domain.recommendation import Case
from cds.ordering.head_injury import BLEEDING, CRITERIA, EXCLUDING, LOSS, SEIZURE
from cds.value_sets import ValueSet
from tests.unit.clinical import SOURCE, TODAY
from tests.unit.ordering_cases import (
    CT_CHEST,
    CT_HEAD,
    ICD,
    INJURY,
    MIGRAINE,
    MR_HEAD,
    ODD_REASONS,
    advises,
    asked,
    asked_history,
    chart,
    draft,
    has,
    measured,
    more_said,
    ordered,
    says,
    searched_since,
    silent,
    step,
    untold,
    withdraws,
)

CHECK = "head_injury"
SEARCHED = (
    medication_codes.ANTICOAGULANT,
    medication_codes.ANTIPLATELET,
    condition_codes.SEIZURE,
    condition_codes.INTRACRANIAL_HAEMORRHAGE,
)
SIGNS = {sign.code: sign for sign in (*EXCLUDING, BLEEDING, LOSS, SEIZURE, *(sign for _, sign, _, _ in CRITERIA))}
POSITIVE = sorted(sign.code for _, sign, _, _ in CRITERIA)
EXCLUDED = sorted([*(sign.code for sign in EXCLUDING), BLEEDING.code, SEIZURE.code])
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


def injured(code: str, system: str = ICD) -> Case:
    """CT after a head injury of whose reasons one more is coded; the form asked for all signs."""
    return ordered(draft(CT_HEAD, INJURY, *FORM, LOSS.coding, Coding(system, code)), patient())


def test_a_known_intracranial_haemorrhage_is_outside_the_canadian_ct_head_rule() -> None:
    assert silent(CHECK, order(data=patient(conditions=has(condition_codes.INTRACRANIAL_HAEMORRHAGE, days_ago=3000))))
    for code in ("S06.4", "S06.5", "I61.9", "I60.9"):
        assert silent(CHECK, injured(code))


def test_with_an_antiplatelet_drug_or_a_bleeding_disorder_nothing_is_said_against_ct_of_a_head_injury() -> None:
    assert silent(CHECK, order(data=patient(medications=has(medication_codes.ANTIPLATELET))))
    assert silent(CHECK, order(BLEEDING.code))
    for code in ("D65", "D66", "D69.6", "Z79.02"):
        assert silent(CHECK, injured(code))
    unasked = replace(
        patient(), medications={medication_codes.ANTICOAGULANT.name: patient().medications["anticoagulant"]}
    )
    assert [one.partition(":")[0] for one in advises(CHECK, order(data=unasked)).missing] == ["antiplatelet drug"]
    assert any("bleeding disorder" in one for one in advises(CHECK, order(form=())).missing)


def test_of_the_glasgow_coma_score_that_of_today_alone_counts() -> None:
    for days_ago in (1, -1):
        score = measured(measurement_codes.GLASGOW_COMA_SCORE, 15, days_ago=days_ago)
        advice = advises(CHECK, order(data=chart(searched=SEARCHED, measurements=score)))
        assert [one.partition(":")[0] for one in advice.missing] == ["Glasgow Coma Score"]
        assert ("lies in the future" in advice.missing[0]) is (days_ago < 0)
    assert withdraws(says(CHECK, order()))


@pytest.mark.parametrize("code", ["S02.0", "S02.1", "R11", "V03.1", "W13"])
def test_what_the_order_of_a_head_injury_itself_names_is_a_criterion(code: str) -> None:
    assert "criterion" in silent(CHECK, injured(code))


@pytest.mark.parametrize("code", ["Z92.1", "D68.3", "G81.9", "R40.2", "Z33", "G40.9", "R56.8"])
def test_what_the_order_of_a_head_injury_itself_names_may_be_outside_the_rule(code: str) -> None:
    assert "not for this patient" in silent(CHECK, injured(code))


@pytest.mark.parametrize("code", ["S06.0", "S06.00", "S06.0X1A", "S09.9", "S00.0"])
def test_only_a_minor_injury_is_spoken_against(code: str) -> None:
    minor = Coding(ICD, code)
    assert withdraws(says(CHECK, ordered(draft(CT_HEAD, minor, *FORM, LOSS.coding), patient())))
    for other in ("S06.01", "S06.0X6A", "S06.1", "S06.9", "S07.1", "S09.8", "S02.1", "S06.5"):
        for reasons in ((Coding(ICD, other),), (minor, Coding(ICD, other))):
            assert not withdraws(says(CHECK, ordered(draft(CT_HEAD, *reasons, *FORM, LOSS.coding), patient())))


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


def test_with_a_reason_that_the_check_does_not_read_nothing_is_said_against_the_exam() -> None:
    fine = draft(CT_HEAD, INJURY, *FORM, LOSS.coding)
    assert withdraws(says(CHECK, ordered(replace(fine, reason_text=INJURY.display), patient())))
    for more in (*more_said(fine), replace(fine, reasons=(*fine.reasons, Coding("urn:oid:1.2.3", "X")))):
        assert untold(CHECK, ordered(more, patient())).missing
    for code in ("F10.0", "T74.1", "S06.9", "R55"):
        assert untold(CHECK, injured(code)).missing


@given(odd=st.lists(ODD_REASONS, min_size=1, max_size=3))
def test_no_ct_of_the_head_is_withdrawn_with_any_other_coding(odd: list[Coding]) -> None:
    outcome = says(CHECK, ordered(draft(CT_HEAD, INJURY, *FORM, LOSS.coding, *odd), patient()))
    assert all(one.code.startswith(("S00", "S06.0", "S09.9")) for one in odd) or not withdraws(outcome)


@pytest.mark.parametrize("one", SEARCHED, ids=lambda one: one.name)
def test_not_found_counts_as_no_where_the_search_reached_back_5_years_of_drugs_12_months(one: ValueSet) -> None:
    reached = date(TODAY.year - (1 if one.kind == "medication" else 5), TODAY.month, TODAY.day)
    assert withdraws(says(CHECK, order(data=searched_since(patient(), one, reached))))
    short = searched_since(patient(), one, reached + timedelta(days=1))
    assert [said.partition(":")[0] for said in advises(CHECK, order(data=short)).missing] == [one.title]
    assert withdraws(says(CHECK, order(data=short, form=(*FORM, *asked_history(CHECK)))))
    assert not withdraws(says(CHECK, order(data=short, form=(*FORM, *asked_history(CHECK, one)))))


@given(signs=st.sets(st.sampled_from([*POSITIVE, *EXCLUDED])), age=st.integers(0, 100), gcs=st.integers(3, 15))
def test_ct_is_withdrawn_only_where_all_is_known_and_denied(signs: set[str], age: int, gcs: int) -> None:
    data = patient(age, gcs)
    denied = not signs and 16 <= age < 65 and gcs >= 13
    assert withdraws(says(CHECK, order(*sorted(signs), data=data))) is denied
    assert not withdraws(says(CHECK, order(*sorted(signs), data=data, form=())))
    for less in (replace(data, medications={}), replace(data, conditions={}), replace(data, measurements={})):
        assert not withdraws(says(CHECK, order(*sorted(signs), data=less)))

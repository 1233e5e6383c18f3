"""CT pulmonary angiography, rule by rule (Wells 2000, YEARS 2017, PERC 2004)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import action_codes, codes, condition_codes, measurement_codes, medication_codes, ordering
from cds.domain.coding import Coding
from cds.domain.ehr import EhrData, Known
from cds.domain.identity import Sex
from cds.domain.imaging_order import Exam
from cds.domain.recommendation import Case
from cds.ordering._embolism import (
    DVT,
    HAEMOPTYSIS,
    IMMOBILE,
    IMPROBABLE,
    LATELY,
    LEG,
    MOST_LIKELY,
    OXYGEN,
    TRAUMA,
)
from cds.procedure_codes import SURGERY
from cds.value_sets import ValueSet
from tests.unit.clinical import SOURCE, TODAY, known_item
from tests.unit.ordering_cases import (
    CT_CHEST,
    CTPA,
    DYSPNOEA,
    ICD,
    ODD_REASONS,
    PNEUMONIA,
    advises,
    against,
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

CHECK = "pulmonary_embolism"
SEARCHED = (
    condition_codes.VENOUS_THROMBOEMBOLISM,
    condition_codes.CANCER,
    medication_codes.ANTICOAGULANT,
    medication_codes.OESTROGEN,
)
SIGNS = {one.code: one for one in (DVT, MOST_LIKELY, IMMOBILE, HAEMOPTYSIS, LEG, TRAUMA, OXYGEN, LATELY, IMPROBABLE)}
FORM = asked(CHECK)
ARTERIES = Coding("http://loinc.org", "36147-7", "CTA Pulmonary arteries W contrast IV")


def patient(
    d_dimer: float | None = None,
    age: int | None = 40,
    heart_rate: float | None = 80,
    saturation: float | None = 98,
    **changes: object,
) -> EhrData:
    """A stable man whose chart was searched; values of today."""
    values = measured(measurement_codes.SYSTOLIC, 120)
    values |= {} if saturation is None else measured(measurement_codes.OXYGEN_SATURATION, saturation)
    values |= {} if heart_rate is None else measured(measurement_codes.HEART_RATE, heart_rate)
    values |= {} if d_dimer is None else measured(measurement_codes.D_DIMER, d_dimer)
    return chart(age, searched=SEARCHED, **({"measurements": values} | changes))


def order(*signs: str, data: EhrData | None = None, form: tuple[Coding, ...] = FORM, reason: Coding = DYSPNOEA) -> Case:
    """A CT pulmonary angiography for dyspnoea; the form asked for all signs."""
    told = tuple(SIGNS[name].coding for name in signs)
    return ordered(draft(CTPA, reason, *form, *told), data or patient())


def test_for_other_exams_than_ct_angiography_for_a_suspected_embolism_the_check_is_silent() -> None:
    assert silent(CHECK, ordered(draft(CT_CHEST, DYSPNOEA), patient()))
    assert silent(CHECK, ordered(draft(Exam("CT", "chest"), DYSPNOEA), patient()))
    assert silent(CHECK, ordered(draft(CTPA, PNEUMONIA), patient()))


def test_where_the_reason_of_a_ct_angiography_of_the_chest_is_not_coded_the_check_cannot_tell() -> None:
    assert untold(CHECK, ordered(draft(CTPA), patient()))
    assert advises(CHECK, ordered(draft(CTPA, codes=(ARTERIES,)), patient()))


def test_below_18_years_in_pregnancy_with_an_anticoagulant_or_below_90_mmhg_nothing_is_said_against_it() -> None:
    shock = patient(300).measurements | measured(measurement_codes.SYSTOLIC, 89)
    for data in (
        patient(300, 17),
        patient(300, medications=has(medication_codes.ANTICOAGULANT)),
        patient(measurements=shock),
        chart(30, Sex.FEMALE, SEARCHED, pregnancy=Known(True, TODAY, SOURCE), measurements=patient(300).measurements),
    ):
        assert silent(CHECK, order(data=data))
    assert withdraws(says(CHECK, order(data=patient(300, 18))))
    low = patient(300).measurements | measured(measurement_codes.SYSTOLIC, 90)
    assert withdraws(says(CHECK, order(data=patient(measurements=low))))


def test_with_an_oxygen_saturation_below_90_or_not_known_nothing_is_said_against_ct_pulmonary_angiography() -> None:
    for d_dimer in (300, None):
        assert silent(CHECK, order("pe-improbable", data=patient(d_dimer, saturation=89)))
        advice = advises(CHECK, order("pe-improbable", data=patient(d_dimer, saturation=None)))
        assert advice.recommendations == ()
        assert [one.partition(":")[0] for one in advice.missing] == ["oxygen saturation"]
    assert withdraws(says(CHECK, order(data=patient(300, saturation=90))))


def test_with_a_venous_thromboembolism_within_3_months_nothing_is_said_against_ct_angiography() -> None:
    embolism = condition_codes.VENOUS_THROMBOEMBOLISM
    limit = date(TODAY.year, TODAY.month - 3, TODAY.day)
    for day, told in ((TODAY, True), (limit, True), (limit - timedelta(days=1), False), (None, False)):
        data = patient(300, conditions={embolism.name: known_item("I26.9", "embolism", day)})
        assert withdraws(says(CHECK, order(data=data))) is not told
    assert silent(CHECK, order("embolism-3-months", data=patient(300)))
    undated = patient(300, conditions={embolism.name: known_item("I26.9", "embolism", None)})
    assert any("within 3 months" in one for one in advises(CHECK, order(form=(), data=undated)).missing)


def test_an_embolism_that_the_order_calls_both_improbable_and_most_likely_is_a_question() -> None:
    for d_dimer in (300, None):
        advice = advises(CHECK, order("pe-improbable", "pe-most-likely", data=patient(d_dimer)))
        assert advice.recommendations == ()
        assert [one.partition(":")[0] for one in advice.missing] == [MOST_LIKELY.title]


def test_a_d_dimer_below_20_ng_ml_is_not_believed_but_asked_for() -> None:
    for value in (0.4, 19.9):
        advice = advises(CHECK, order(data=patient(value)))
        assert advice.recommendations == ()
        assert [one.partition(":")[0] for one in advice.missing] == ["D-dimer"]
    assert withdraws(says(CHECK, order(data=patient(20))))


def test_a_d_dimer_counts_for_a_day_at_most() -> None:
    days = next(one for one in ordering.load()[CHECK].options if one.name == "d_dimer_days")
    assert (days.low, days.high) == (0, 1)
    for days_ago, excluded in ((1, True), (2, False), (-1, False)):
        values = patient().measurements | measured(measurement_codes.D_DIMER, 300, days_ago=days_ago)
        assert withdraws(says(CHECK, order(data=patient(measurements=values)))) is excluded


def test_a_wells_score_above_4_leads_to_ct_pulmonary_angiography() -> None:
    # 3 points for each of these two; 1.5 for a heart rate above 100: 6 and 4.5 points.
    assert silent(CHECK, order("dvt-signs", "pe-most-likely", data=patient(100)))
    assert silent(CHECK, order("dvt-signs", data=patient(100, heart_rate=101)))
    assert withdraws(says(CHECK, order("dvt-signs", data=patient(100, heart_rate=100))))


@pytest.mark.parametrize(("signs", "value"), [((), 999.0), (("haemoptysis",), 499.0), (("pe-most-likely",), 499.0)])
def test_with_a_wells_score_of_4_or_less_a_d_dimer_below_the_threshold_of_years_excludes_embolism_without_ct(
    signs: tuple[str, ...], value: float
) -> None:
    suggested = step(CHECK, order(*signs, data=patient(value)))
    assert suggested.code == action_codes.NO_IMAGING
    assert suggested.instead


def test_a_d_dimer_at_or_above_the_threshold_of_years_leads_to_ct_pulmonary_angiography() -> None:
    assert silent(CHECK, order(data=patient(1000)))
    assert silent(CHECK, order("haemoptysis", data=patient(500)))


def test_where_the_clinician_finds_embolism_improbable_and_no_perc_criterion_is_there_no_test_is_needed() -> None:
    assert step(CHECK, order("pe-improbable", data=patient(age=49))).key == "no-angiography"
    assert "by PERC" in advises(CHECK, order("pe-improbable", data=patient(age=49))).summary
    assert "excluded" not in advises(CHECK, order("pe-improbable", data=patient(age=49))).summary
    for signs, data in (
        ((), patient(age=49)),
        (("pe-improbable",), patient(age=50)),
        (("pe-improbable", "one-leg-swollen"), patient()),
        (("pe-improbable", "on-oxygen"), patient()),
        (("pe-improbable",), patient(heart_rate=100)),
        (("pe-improbable",), patient(medications=has(medication_codes.OESTROGEN))),
    ):
        assert step(CHECK, order(*signs, data=data)).key == "d-dimer"


def test_with_a_wells_score_of_4_or_less_and_no_d_dimer_that_is_measured_first() -> None:
    suggested = step(CHECK, order())
    assert suggested.code == action_codes.D_DIMER
    assert suggested.instead
    old = patient().measurements | measured(measurement_codes.D_DIMER, 300, days_ago=2)
    assert step(CHECK, order(data=patient(measurements=old))).key == "d-dimer"
    request = {action_codes.request_of(action_codes.D_DIMER): known_item(on=TODAY)}
    assert advises(CHECK, order(data=patient(requests=request))).recommendations == ()
    forgotten = {action_codes.request_of(action_codes.D_DIMER): known_item(on=TODAY - timedelta(days=2))}
    assert step(CHECK, order(data=patient(requests=forgotten))).key == "d-dimer"


def test_where_a_criterion_of_the_wells_score_is_not_known_the_criteria_are_listed() -> None:
    advice = advises(CHECK, order(form=(), data=patient(300)))
    assert advice.recommendations == ()
    assert any("deep vein thrombosis" in one for one in advice.missing)
    for data in (patient(300, heart_rate=None), patient(300, None), chart(measurements=patient(300).measurements)):
        assert not withdraws(says(CHECK, order(data=data)))


def test_an_operation_of_these_four_weeks_counts_without_being_asked() -> None:
    recent = patient(300, procedures=has(SURGERY, days_ago=28))
    assert silent(CHECK, order("dvt-signs", data=recent))
    assert withdraws(says(CHECK, order("dvt-signs", data=patient(300, procedures=has(SURGERY, days_ago=29)))))


def test_with_a_reason_that_the_check_does_not_read_nothing_is_said_against_the_exam() -> None:
    for d_dimer, signs in ((300, ()), (None, ()), (None, (IMPROBABLE,))):
        fine = draft(CTPA, DYSPNOEA, *asked(CHECK, *signs))
        assert against(says(CHECK, ordered(replace(fine, reason_text=DYSPNOEA.display), patient(d_dimer))))
        for more in more_said(fine):
            assert untold(CHECK, ordered(more, patient(d_dimer))).missing
        for code in ("C34.1", "R57.0", "I71.0", "I26.0", "Z86.71"):
            unread = draft(CTPA, DYSPNOEA, *asked(CHECK, *signs), Coding(ICD, code))
            assert untold(CHECK, ordered(unread, patient(d_dimer))).missing


@given(odd=st.lists(ODD_REASONS, min_size=1, max_size=3), d_dimer=st.sampled_from([None, 300]), low=st.booleans())
def test_no_angiography_is_spoken_against_with_any_other_coding(
    odd: list[Coding], d_dimer: float | None, low: bool
) -> None:
    signs = (IMPROBABLE,) if low else ()
    outcome = says(CHECK, ordered(draft(CTPA, DYSPNOEA, *asked(CHECK, *signs), *odd), patient(d_dimer)))
    complaint = ("R06.0", "R07", "R22.4", "R60.0", "R04.2", "I26")
    assert all(one.code.startswith(complaint) for one in odd) or not against(outcome)


def test_a_thrombosis_among_the_reasons_is_a_sign_of_one() -> None:
    # 3 points, and 1.5 for a heart rate above 100.
    for code in ("I80.1", "I80.2"):
        thrombosis = draft(CTPA, DYSPNOEA, *FORM, Coding(ICD, code))
        assert "likely" in silent(CHECK, ordered(thrombosis, patient(100, heart_rate=101)))


def test_a_swollen_leg_among_the_reasons_makes_denied_signs_of_thrombosis_a_question() -> None:
    advice = advises(CHECK, order(data=patient(300), reason=Coding(ICD, "R60.0")))
    assert advice.recommendations == ()
    assert [one.partition(":")[0] for one in advice.missing] == [DVT.title]


def test_a_sign_that_the_record_has_and_the_order_s_form_denies_is_a_question() -> None:
    for days_ago in (3, None):
        day = None if days_ago is None else TODAY - timedelta(days=days_ago)
        bled = {codes.HAEMOPTYSIS.name: known_item("66857006", "haemoptysis", day)}
        advice = advises(CHECK, order(data=patient(300, symptoms=bled)))
        assert advice.recommendations == ()
        assert [one.partition(":")[0] for one in advice.missing] == [HAEMOPTYSIS.title]


@pytest.mark.parametrize("one", SEARCHED, ids=lambda one: one.name)
def test_not_found_counts_as_no_where_the_search_reached_back_5_years_of_drugs_12_months(one: ValueSet) -> None:
    improbable = ("pe-improbable",)  # of oestrogen PERC alone asks
    reached = date(TODAY.year - (1 if one.kind == "medication" else 5), TODAY.month, TODAY.day)
    assert withdraws(says(CHECK, order(*improbable, data=searched_since(patient(), one, reached))))
    short = searched_since(patient(), one, reached + timedelta(days=1))
    assert not withdraws(says(CHECK, order(*improbable, data=short)))
    assert any(said.startswith(one.title) for said in advises(CHECK, order(*improbable, data=short)).missing)
    denied, stated = (*FORM, *asked_history(CHECK)), (*FORM, *asked_history(CHECK, one))
    assert withdraws(says(CHECK, order(*improbable, data=short, form=denied)))
    # Cancer is 1 point of Wells and no criterion of PERC.
    assert withdraws(says(CHECK, order(*improbable, data=short, form=stated))) is (one is condition_codes.CANCER)


CRITERIA = sorted({*SIGNS} - {"pe-improbable"})


@given(
    signs=st.sets(st.sampled_from(CRITERIA)),
    more=st.sampled_from(CRITERIA),
    d_dimer=st.none() | st.floats(1, 3000),
    improbable=st.booleans(),
)
def test_another_criterion_never_withdraws_the_exam_and_nothing_unknown_does(
    signs: set[str], more: str, d_dimer: float | None, improbable: bool
) -> None:
    gestalt = ("pe-improbable",) if improbable else ()
    data = patient(d_dimer)
    fewer = says(CHECK, order(*gestalt, *sorted(signs), data=data))
    with_more = says(CHECK, order(*gestalt, *sorted({*signs, more}), data=data))
    assert withdraws(fewer) or not withdraws(with_more)
    for less in (replace(data, conditions={}), replace(data, medications={}), replace(data, measurements={})):
        assert not withdraws(says(CHECK, order(*gestalt, *sorted(signs), data=less)))
    assert not withdraws(says(CHECK, order(*gestalt, *sorted(signs), data=data, form=())))

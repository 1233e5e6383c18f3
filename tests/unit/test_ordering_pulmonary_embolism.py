"""CT pulmonary angiography, rule by rule (Wells 2000, YEARS 2017, PERC 2004)."""

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
from cds.ordering.pulmonary_embolism import (
    DVT,
    HAEMOPTYSIS,
    IMMOBILE,
    IMPROBABLE,
    LEG,
    MOST_LIKELY,
    OXYGEN,
    TRAUMA,
)
from cds.procedure_codes import SURGERY
from tests.unit.clinical import SOURCE, TODAY, known_item
from tests.unit.ordering_cases import (
    CT_CHEST,
    CTPA,
    DYSPNOEA,
    PNEUMONIA,
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

CHECK = "pulmonary_embolism"
SEARCHED = (
    condition_codes.VENOUS_THROMBOEMBOLISM,
    condition_codes.CANCER,
    medication_codes.ANTICOAGULANT,
    medication_codes.OESTROGEN,
)
SIGNS = {one.code: one for one in (DVT, MOST_LIKELY, IMMOBILE, HAEMOPTYSIS, LEG, TRAUMA, OXYGEN, IMPROBABLE)}
FORM = asked(CHECK)
ARTERIES = Coding("http://loinc.org", "36147-7", "CTA Pulmonary arteries W contrast IV")


def patient(
    d_dimer: float | None = None, age: int | None = 40, heart_rate: float | None = 80, **changes: object
) -> EhrData:
    """A stable man whose chart was searched; values of today."""
    values = measured(measurement_codes.SYSTOLIC, 120) | measured(measurement_codes.OXYGEN_SATURATION, 98)
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

"""Iodinated contrast and the kidneys, rule by rule (ACR-NKF 2020, doi:10.1148/radiol.2019192094)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import action_codes, condition_codes, measurement_codes, medication_codes
from cds.domain.ehr import EhrData
from cds.domain.identity import Sex
from cds.domain.recommendation import Indicator, PathwayOutcome
from cds.ordering._kidney import ASKS, RISK_ASKS
from cds.value_sets import ValueSet
from tests.unit.clinical import NOT_FOUND
from tests.unit.ordering_cases import (
    CT_CHEST,
    CT_CHEST_ANY,
    CT_CHEST_WITHOUT,
    MR_HEAD_WITH,
    advises,
    chart,
    draft,
    has,
    measured,
    ordered,
    says,
    silent,
    step,
    untold,
    urgency,
)

CHECK = "iodinated_contrast"
SEARCHED = (*ASKS, *RISK_ASKS)
AKI, DIALYSIS = condition_codes.ACUTE_KIDNEY_INJURY, condition_codes.DIALYSIS


def patient(egfr: float | None = None, *there: ValueSet, days_ago: int = 3, age: int = 40) -> EhrData:
    """Everything was searched for; an eGFR, and diseases that are on record."""
    values = {} if egfr is None else measured(measurement_codes.EGFR_2021, egfr, days_ago)
    return chart(age, searched=SEARCHED, measurements=values, conditions=has(*there))


def said(data: EhrData) -> PathwayOutcome:
    return says(CHECK, ordered(draft(CT_CHEST), data))


def test_without_iodinated_contrast_medium_the_check_is_silent() -> None:
    for exam in (CT_CHEST_WITHOUT, MR_HEAD_WITH):
        assert "no iodinated" in silent(CHECK, ordered(draft(exam), patient(10)))


def test_where_the_order_does_not_say_whether_iodinated_contrast_is_given_the_check_cannot_tell() -> None:
    outcome = untold(CHECK, ordered(draft(CT_CHEST_ANY), patient(10)))
    assert "contrast medium" in outcome.missing[0]


def test_on_maintenance_dialysis_no_saline_is_given_before_iodinated_contrast() -> None:
    assert "dialysis" in silent(CHECK, ordered(draft(CT_CHEST), patient(8, DIALYSIS)))
    assert step(CHECK, ordered(draft(CT_CHEST), patient(8))).key == "saline"


@pytest.mark.parametrize("data", [patient(29.9), patient(90, AKI), patient(None, AKI)])
def test_with_acute_kidney_injury_or_an_egfr_below_30_and_no_dialysis_saline_is_given_before_iodinated_contrast(
    data: EhrData,
) -> None:
    case = ordered(draft(CT_CHEST), data)
    assert advises(CHECK, case).indicator is Indicator.WARNING
    assert step(CHECK, case).key == "saline"
    assert not step(CHECK, case).instead
    assert step(CHECK, case).because


def test_with_an_egfr_from_30_to_44_the_clinician_considers_saline_where_the_risk_is_high() -> None:
    for rate in (30, 44.9):
        advice = advises(CHECK, ordered(draft(CT_CHEST), patient(rate)))
        assert advice.indicator is Indicator.INFO
        assert advice.recommendations == ()
        assert "may be considered" in advice.meaning[0]


def test_with_an_egfr_of_45_or_more_and_no_acute_kidney_injury_nothing_is_suggested() -> None:
    assert silent(CHECK, ordered(draft(CT_CHEST), patient(45)))


@pytest.mark.parametrize(
    "data",
    [
        patient(None, condition_codes.CHRONIC_KIDNEY_DISEASE),
        patient(None, condition_codes.DIABETES),
        patient(None, condition_codes.HYPERTENSION),
        patient(None, age=61),
        chart(searched=SEARCHED, medications=has(medication_codes.METFORMIN)),
        chart(searched=SEARCHED, conditions=has(AKI, days_ago=400)),
    ],
)
def test_without_a_recent_egfr_creatinine_is_measured_first_where_a_risk_of_kidney_disease_is_on_record(
    data: EhrData,
) -> None:
    assert step(CHECK, ordered(draft(CT_CHEST), data)).code == action_codes.CREATININE_TEST


def test_without_a_recent_egfr_and_without_a_risk_nothing_is_suggested() -> None:
    assert silent(CHECK, ordered(draft(CT_CHEST), patient(age=60)))


def test_without_a_recent_egfr_and_where_a_risk_is_not_known_the_reader_is_told_what_to_ask() -> None:
    advice = advises(CHECK, ordered(draft(CT_CHEST), chart(searched=ASKS)))
    assert advice.recommendations == ()
    assert any("diabetes" in one for one in advice.missing)
    assert any("eGFR" in one for one in advice.missing)


def test_an_egfr_counts_for_30_days_unless_the_site_says_otherwise() -> None:
    old = patient(20, condition_codes.DIABETES, days_ago=31)
    assert step(CHECK, ordered(draft(CT_CHEST), old)).key == "creatinine"
    assert step(CHECK, ordered(draft(CT_CHEST), patient(20, days_ago=30))).key == "saline"
    assert step(CHECK, ordered(draft(CT_CHEST), old, {f"{CHECK}.egfr_days": "31"})).key == "saline"


def test_egfr_is_computed_from_creatinine_and_the_newer_of_the_two_counts() -> None:
    # Inker 2021: 1.0 mg/dL in a man of 40 is far above 60 mL/min, 4.0 mg/dL below 30.
    low = measured(measurement_codes.CREATININE, 4.0, 1) | measured(measurement_codes.EGFR_2021, 80, 5)
    assert step(CHECK, ordered(draft(CT_CHEST), chart(searched=SEARCHED, measurements=low))).key == "saline"
    normal = measured(measurement_codes.CREATININE, 1.0, 1)
    assert silent(CHECK, ordered(draft(CT_CHEST), chart(searched=SEARCHED, measurements=normal)))


def test_without_a_known_sex_creatinine_gives_no_egfr() -> None:
    data = chart(sex=None, searched=SEARCHED, measurements=measured(measurement_codes.CREATININE, 4.0))
    advice = says(CHECK, ordered(draft(CT_CHEST), replace(data, conditions=data.conditions | has(AKI))))
    assert urgency(advice) == 2
    assert urgency(says(CHECK, ordered(draft(CT_CHEST), data))) == 0


def test_creatinine_that_is_ordered_is_not_asked_for_again() -> None:
    request = {action_codes.request_of(action_codes.CREATININE_TEST): has(condition_codes.DIABETES)["diabetes"]}
    data = chart(searched=SEARCHED, conditions=has(condition_codes.DIABETES), requests=request)
    advice = advises(CHECK, ordered(draft(CT_CHEST), data))
    assert advice.recommendations == ()
    assert "open request" in advice.notes[0]


def test_acute_kidney_injury_without_a_date_is_asked_for_and_an_unknown_dialysis_does_not_quiet_a_low_egfr() -> None:
    undated = {AKI.name: replace(has(AKI)[AKI.name], effective=None)}
    data = chart(searched=SEARCHED, conditions=undated, measurements=measured(measurement_codes.EGFR_2021, 60))
    assert any("acute kidney injury" in one for one in advises(CHECK, ordered(draft(CT_CHEST), data)).missing)
    known = tuple(one for one in SEARCHED if one is not DIALYSIS)
    low = chart(searched=known, measurements=measured(measurement_codes.EGFR_2021, 20))
    assert advises(CHECK, ordered(draft(CT_CHEST), low)).indicator is Indicator.WARNING


def test_without_an_order_or_with_a_code_that_nobody_knows_nothing_is_said() -> None:
    assert silent(CHECK, ordered(None, patient(10))) == "no imaging order"
    assert "code of the order" in untold(CHECK, ordered(draft(None), patient(10))).missing[0]


RATES = st.none() | st.floats(5, 120)


@given(first=RATES, second=st.floats(5, 120), injured=st.booleans())
def test_a_lower_egfr_or_an_acute_injury_never_makes_the_advice_milder(
    first: float | None, second: float, injured: bool
) -> None:
    low = second if first is None else min(first, second)
    worse = patient(low, *((AKI,) if injured else ()))
    better = patient(max(first or second, second))
    assert urgency(said(worse)) >= urgency(said(better))


@given(rate=st.floats(5, 120), forgotten=st.sets(st.sampled_from([AKI.name, DIALYSIS.name])))
def test_what_is_not_known_never_reads_as_no(rate: float, forgotten: set[str]) -> None:
    whole = patient(rate)
    less = replace(whole, conditions={name: one for name, one in whole.conditions.items() if name not in forgotten})
    assert urgency(said(less)) >= urgency(said(whole))


def test_a_girl_of_whom_nothing_is_known_is_not_taken_for_healthy() -> None:
    unknown = chart(None, None, measurements={}, conditions={AKI.name: NOT_FOUND})
    assert urgency(said(unknown)) > 0
    assert urgency(said(chart(30, Sex.FEMALE))) > 0

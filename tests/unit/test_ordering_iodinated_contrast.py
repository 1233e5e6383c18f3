"""Iodinated contrast and the kidneys, rule by rule (ACR-NKF 2020, doi:10.1148/radiol.2019192094)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import action_codes, condition_codes, measurement_codes, medication_codes, ordering
from cds.domain.coding import Coding
from cds.domain.ehr import EhrData, Fact, Measurement
from cds.domain.identity import Sex
from cds.domain.recommendation import Indicator, PathwayOutcome
from cds.ordering._kidney import ASKS, RISK_ASKS
from cds.value_sets import ValueSet
from tests.unit.clinical import NOT_FOUND, TODAY
from tests.unit.ordering_cases import (
    CT_CHEST,
    CT_CHEST_ANY,
    CT_CHEST_WITHOUT,
    ICD,
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
CKD, EGFR = condition_codes.CHRONIC_KIDNEY_DISEASE, measurement_codes.EGFR_2021


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


def test_a_kidney_value_without_a_date_or_of_a_day_to_come_is_not_recent_and_its_day_is_asked_for() -> None:
    for day, why in ((TODAY + timedelta(days=30), "its date lies in the future"), (None, "it has no date")):
        fact = replace(measured(EGFR, 80)[EGFR.name], effective=day)
        advice = advises(CHECK, ordered(draft(CT_CHEST), chart(searched=SEARCHED, measurements={EGFR.name: fact})))
        assert advice.recommendations == ()
        assert any(why in one for one in advice.missing)


def test_a_lower_kidney_value_without_a_date_or_of_a_day_to_come_leaves_the_egfr_unknown() -> None:
    fresh, low = measured(EGFR, 80), measured(measurement_codes.CREATININE, 6.0)[measurement_codes.CREATININE.name]
    for day in (None, TODAY + timedelta(days=3)):
        values = {**fresh, measurement_codes.CREATININE.name: replace(low, effective=day)}
        case = ordered(draft(CT_CHEST), chart(searched=SEARCHED, measurements=values))
        assert advises(CHECK, case).indicator is Indicator.WARNING
        assert step(CHECK, case).key == "creatinine"
        values = {**values, **measured(EGFR, 20)}
        assert step(CHECK, ordered(draft(CT_CHEST), chart(searched=SEARCHED, measurements=values))).key == "saline"


def test_of_two_kidney_values_of_one_day_the_lower_counts_and_two_on_both_sides_of_30_45_or_60_are_told() -> None:
    # Inker 2021: 6.0 mg/dL in a man of 40 is an eGFR of 11.
    both = measured(measurement_codes.CREATININE, 6.0) | measured(EGFR, 80)
    case = ordered(draft(CT_CHEST), chart(searched=SEARCHED, measurements=both))
    assert step(CHECK, case).key == "saline"
    assert any("11 / 80" in one for one in advises(CHECK, case).notes)
    alike = measured(measurement_codes.CREATININE, 6.0) | measured(EGFR, 12)
    assert advises(CHECK, ordered(draft(CT_CHEST), chart(searched=SEARCHED, measurements=alike))).notes == ()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (measured(EGFR, 15, 40), "was 15."),
        (measured(EGFR, 59.9, 3000), "was 59.9."),
        (measured(measurement_codes.EGFR_OLDER, 25, 90), "was 25."),
        (measured(measurement_codes.CREATININE, 6.0, 31), "was 11."),
    ],
)
def test_without_a_recent_egfr_any_earlier_value_that_is_or_gives_an_egfr_below_60_is_told_as_a_risk(
    values: dict[str, Fact[Measurement]], said: str
) -> None:
    advice = advises(CHECK, ordered(draft(CT_CHEST), chart(searched=SEARCHED, measurements=values)))
    assert advice.indicator is Indicator.WARNING
    assert advice.recommendations[0].code == action_codes.CREATININE_TEST
    assert said in advice.meaning[0]
    assert advice.recommendations[0].reason == advice.meaning[0]
    well = chart(searched=SEARCHED, measurements=measured(EGFR, 60, 40))
    assert silent(CHECK, ordered(draft(CT_CHEST), well))


def test_an_earlier_low_value_without_a_date_is_a_risk_too() -> None:
    fact = replace(measured(EGFR, 15)[EGFR.name], effective=None)
    advice = advises(CHECK, ordered(draft(CT_CHEST), chart(searched=SEARCHED, measurements={EGFR.name: fact})))
    assert advice.meaning == ("The last eGFR, without a date, was 15.",)


def test_a_low_egfr_by_an_older_equation_counts_and_a_high_one_does_not_say_that_all_is_well() -> None:
    older = measurement_codes.EGFR_OLDER
    low = chart(searched=SEARCHED, measurements=measured(older, 20) | measured(EGFR, 80, 5))
    assert step(CHECK, ordered(draft(CT_CHEST), low)).key == "saline"
    high = chart(70, searched=SEARCHED, measurements=measured(older, 90))
    assert step(CHECK, ordered(draft(CT_CHEST), high)).key == "creatinine"


@pytest.mark.parametrize(("sex", "age", "lacks"), [(None, 40, "sex"), (Sex.OTHER, 40, "sex"), (Sex.MALE, None, "age")])
def test_a_recent_creatinine_that_gives_no_egfr_leaves_it_unknown_and_what_it_needs_is_asked_for(
    sex: Sex | None, age: int | None, lacks: str
) -> None:
    values = measured(measurement_codes.CREATININE, 0.9)
    advice = advises(CHECK, ordered(draft(CT_CHEST), chart(age, sex, searched=SEARCHED, measurements=values)))
    assert advice.recommendations == ()
    assert any("paediatric eGFR" in one for one in advice.missing)
    assert any(one.startswith(lacks) for one in advice.missing)
    high = measured(measurement_codes.CREATININE, 4.0)
    loud = says(CHECK, ordered(draft(CT_CHEST), chart(40, None, searched=SEARCHED, measurements=high)))
    assert urgency(loud) == 2


def test_below_18_years_paediatric_radiology_is_asked_of_an_ill_kidney_on_record_and_else_the_check_cannot_tell() -> (
    None
):
    for values in ({}, measured(measurement_codes.CREATININE, 3.0), measured(EGFR, 90)):
        outcome = untold(CHECK, ordered(draft(CT_CHEST), chart(17, searched=SEARCHED, measurements=values)))
        assert any("paediatric eGFR" in one for one in outcome.missing)
    ill = (patient(None, AKI, age=5), patient(29, age=5), patient(50, age=5), patient(None, CKD, age=5))
    for data in ill:
        assert advises(CHECK, ordered(draft(CT_CHEST), data)).indicator is Indicator.WARNING
        assert step(CHECK, ordered(draft(CT_CHEST), data)).code == action_codes.ASK_PAEDIATRIC_RADIOLOGY
    assert silent(CHECK, ordered(draft(CT_CHEST), patient(90, age=18)))


def test_kidney_disease_among_the_reasons_of_the_order_counts_as_much_as_on_record() -> None:
    assert step(CHECK, ordered(draft(CT_CHEST, Coding(ICD, "N17.9")), patient(80))).key == "saline"
    old = chart(searched=SEARCHED, conditions=has(AKI, days_ago=400), measurements=measured(EGFR, 80))
    assert step(CHECK, ordered(draft(CT_CHEST, Coding(ICD, "N17.9")), old)).key == "saline"
    assert step(CHECK, ordered(draft(CT_CHEST, Coding(ICD, "N18.5")), patient())).key == "creatinine"
    assert "dialysis" in silent(CHECK, ordered(draft(CT_CHEST, Coding(ICD, "Z99.2")), patient(8)))


@pytest.mark.parametrize(("days_ago", "asked_for"), [(0, True), (7, True), (8, False), (300, False), (-1, False)])
def test_a_request_for_creatinine_counts_as_asked_for_7_days(days_ago: int, asked_for: bool) -> None:
    request = {action_codes.request_of(action_codes.CREATININE_TEST): has(AKI, days_ago=days_ago)[AKI.name]}
    data = chart(searched=SEARCHED, conditions=has(condition_codes.DIABETES), requests=request)
    advice = advises(CHECK, ordered(draft(CT_CHEST), data))
    assert advice.indicator is Indicator.WARNING
    assert (advice.recommendations == ()) is asked_for
    assert "request" in advice.notes[0]


def test_a_rate_near_a_limit_is_shown_with_a_decimal_and_never_rounded_up_to_it() -> None:
    assert step(CHECK, ordered(draft(CT_CHEST), patient(29.98))).reason == "The eGFR is 29.9."
    assert step(CHECK, ordered(draft(CT_CHEST), patient(29))).reason == "The eGFR is 29."
    assert step(CHECK, ordered(draft(CT_CHEST), patient(12.4))).reason == "The eGFR is 12."


def test_no_value_of_the_last_day_is_said_in_plain_words() -> None:
    site = {f"{CHECK}.egfr_days": "1"}
    advice = advises(CHECK, ordered(draft(CT_CHEST), patient(80, age=70, days_ago=2), site))
    assert any("no value of the last day." in one for one in advice.missing)


def test_days_and_years_out_of_bounds_are_refused() -> None:
    for name, most in (("egfr_days", 90), ("risk_years", 70)):
        assert ordering.mistakes({f"{CHECK}.{name}": f"{most + 1}"})
        assert not ordering.mistakes({f"{CHECK}.{name}": f"{most}"})


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


@given(rate=st.floats(5, 120), days_ago=st.none() | st.integers(-30, 4000), other=st.none() | st.floats(0.3, 12))
def test_an_earlier_value_of_any_day_never_makes_the_advice_milder_than_none(
    rate: float, days_ago: int | None, other: float | None
) -> None:
    day = None if days_ago is None else TODAY - timedelta(days=days_ago)
    if day is not None and within_30(day):
        return
    values = {EGFR.name: replace(measured(EGFR, rate)[EGFR.name], effective=day)}
    more = {} if other is None else measured(measurement_codes.CREATININE, other, 100)
    after = said(chart(searched=SEARCHED, measurements=values | more))
    assert urgency(after) >= urgency(said(chart(searched=SEARCHED)))
    assert rate >= 60 or urgency(after) == 2


def within_30(day: date) -> bool:
    """Whether a value of a day is a recent one."""
    return timedelta(0) <= TODAY - day <= timedelta(days=30)


def test_a_girl_of_whom_nothing_is_known_is_not_taken_for_healthy() -> None:
    unknown = chart(None, None, measurements={}, conditions={AKI.name: NOT_FOUND})
    assert urgency(said(unknown)) > 0
    assert urgency(said(chart(30, Sex.FEMALE))) > 0

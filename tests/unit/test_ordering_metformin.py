"""Metformin and contrast medium, rule by rule (ACR manual; FDA label of 2016, doi:10.1681/ASN.2016121372, table 3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import action_codes, condition_codes, measurement_codes, medication_codes
from cds.domain.coding import Coding
from cds.domain.ehr import EhrData
from cds.domain.imaging_order import Contrast, Exam
from cds.ordering._kidney import ASKS
from cds.value_sets import ValueSet
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

CHECK = "metformin"
AKI, DIALYSIS = condition_codes.ACUTE_KIDNEY_INJURY, condition_codes.DIALYSIS
HISTORY = (
    condition_codes.CHRONIC_LIVER_DISEASE,
    condition_codes.ALCOHOL_USE_DISORDER,
    condition_codes.HEART_FAILURE,
)
SEARCHED = (*ASKS, *HISTORY, medication_codes.METFORMIN)
ACR, FDA = {f"{CHECK}.policy": "acr_manual"}, {f"{CHECK}.policy": "fda_2016_label"}


def patient(egfr: float | None, *there: ValueSet) -> EhrData:
    """Metformin is taken; everything else was searched for."""
    values = {} if egfr is None else measured(measurement_codes.EGFR_2021, egfr)
    drugs = has(medication_codes.METFORMIN)
    return chart(searched=SEARCHED, measurements=values, conditions=has(*there), medications=drugs)


def test_without_contrast_medium_the_check_of_metformin_is_silent() -> None:
    assert silent(CHECK, ordered(draft(CT_CHEST_WITHOUT), patient(10), ACR))


def test_where_the_order_does_not_say_whether_contrast_is_given_the_check_of_metformin_cannot_tell() -> None:
    assert untold(CHECK, ordered(draft(CT_CHEST_ANY), patient(10), ACR)).missing


def test_where_metformin_is_not_taken_the_check_is_silent() -> None:
    assert "not taken" in silent(CHECK, ordered(draft(CT_CHEST), chart(searched=SEARCHED), ACR))


def test_where_nobody_knows_whether_metformin_is_taken_the_check_cannot_tell() -> None:
    outcome = untold(CHECK, ordered(draft(CT_CHEST), chart(searched=ASKS), ACR))
    assert "medication list" in outcome.how_to_get[0]


def test_by_the_acr_manual_metformin_is_held_for_48_hours_with_acute_kidney_injury_or_an_egfr_below_30() -> None:
    for data in (patient(29.9), patient(80, AKI)):
        assert "48 hours" in step(CHECK, ordered(draft(CT_CHEST), data, ACR)).action
    for data in (patient(30), patient(45, *HISTORY)):
        assert silent(CHECK, ordered(draft(CT_CHEST), data, ACR)) == "metformin goes on"


def test_by_the_fda_label_an_egfr_of_30_to_60_liver_disease_alcoholism_or_heart_failure_holds_metformin_too() -> None:
    for data in (patient(30), patient(60), *(patient(80, one) for one in HISTORY)):
        assert step(CHECK, ordered(draft(CT_CHEST), data, FDA)).key == "hold"
    assert silent(CHECK, ordered(draft(CT_CHEST), patient(60.1), FDA))


def test_by_the_fda_label_metformin_is_held_around_contrast_medium_that_is_given_into_an_artery() -> None:
    catheter = Exam("XA", "heart", Contrast.IODINATED, angiography=True)
    advice = advises(CHECK, ordered(draft(catheter), patient(80), FDA))
    assert any("into an artery" in one for one in advice.missing)
    assert silent(CHECK, ordered(draft(CT_CHEST), patient(80), FDA))


def test_by_the_fda_label_metformin_is_contraindicated_with_an_egfr_below_30() -> None:
    advice = advises(CHECK, ordered(draft(CT_CHEST), patient(29.9), FDA))
    assert "contraindicates" in advice.meaning[0]
    assert advises(CHECK, ordered(draft(CT_CHEST), patient(30), FDA)).meaning == ()


@pytest.mark.parametrize("site", [ACR, FDA, {}])
@pytest.mark.parametrize("rate", [None, 8, 50, 90])
def test_dialysis_counts_as_an_egfr_below_30_for_metformin_and_where_it_is_not_known_it_is_asked_for(
    rate: float | None, site: dict[str, str]
) -> None:
    case = ordered(draft(CT_CHEST), patient(rate, DIALYSIS), site)
    assert step(CHECK, case).key == "hold"
    assert "tell who prescribes it" in advises(CHECK, case).meaning[0]
    high = patient(90)
    unknown = replace(high, conditions={name: one for name, one in high.conditions.items() if name != DIALYSIS.name})
    advice = advises(CHECK, ordered(draft(CT_CHEST), unknown, site))
    assert advice.recommendations == ()
    assert any("dialysis" in one for one in advice.missing)


@pytest.mark.parametrize("site", [ACR, FDA, {}])
def test_known_acute_kidney_injury_alone_holds_metformin_around_iodinated_contrast_whatever_the_egfr_is(
    site: dict[str, str],
) -> None:
    for rate in (None, 90):
        assert step(CHECK, ordered(draft(CT_CHEST), patient(rate, AKI), site)).key == "hold"
    by_order = ordered(draft(CT_CHEST, Coding(ICD, "N17.9")), patient(None), site)
    assert step(CHECK, by_order).key == "hold"


def test_the_last_low_value_is_told_and_of_a_child_a_paediatric_egfr_is_asked_for() -> None:
    old = replace(patient(None), measurements=measured(measurement_codes.EGFR_2021, 20, 60))
    advice = advises(CHECK, ordered(draft(CT_CHEST), old, ACR))
    assert advice.recommendations[0].code == action_codes.CREATININE_TEST
    assert "was 20" in advice.meaning[0]
    child = chart(12, searched=SEARCHED, medications=has(medication_codes.METFORMIN))
    asked = advises(CHECK, ordered(draft(CT_CHEST), child, ACR))
    assert asked.recommendations == ()
    assert any("paediatric eGFR" in one for one in asked.missing)


def test_by_the_acr_manual_metformin_goes_on_with_gadolinium() -> None:
    assert silent(CHECK, ordered(draft(MR_HEAD_WITH), patient(10, AKI), ACR)) == "metformin goes on"


def test_where_the_two_policies_differ_and_the_site_has_not_chosen_one_the_check_cannot_tell() -> None:
    outcome = untold(CHECK, ordered(draft(CT_CHEST), patient(45)))
    assert "metformin.policy" in outcome.how_to_get[-1]
    assert step(CHECK, ordered(draft(CT_CHEST), patient(25))).key == "hold"
    assert silent(CHECK, ordered(draft(CT_CHEST), patient(75)))


@pytest.mark.parametrize("site", [ACR, FDA, {}])
def test_where_the_egfr_decides_and_is_not_known_creatinine_is_measured_first(site: dict[str, str]) -> None:
    assert step(CHECK, ordered(draft(CT_CHEST), patient(None), site)).code == action_codes.CREATININE_TEST


@given(
    rate=st.floats(5, 120),
    there=st.sets(st.sampled_from([one.name for one in (AKI, DIALYSIS, *HISTORY)])),
    more=st.sampled_from((AKI, DIALYSIS, *HISTORY)),
    site=st.sampled_from([ACR, FDA]),
    forgotten=st.booleans(),
)
def test_another_disease_or_less_knowledge_never_makes_the_advice_milder(
    rate: float, there: set[str], more: ValueSet, site: dict[str, str], forgotten: bool
) -> None:
    first = patient(rate, *(one for one in (AKI, DIALYSIS, *HISTORY) if one.name in there))
    rest = {name: one for name, one in first.conditions.items() if name != more.name}
    second = replace(first, conditions=rest if forgotten else rest | has(more))
    before, after = (says(CHECK, ordered(draft(CT_CHEST), data, site)) for data in (first, second))
    assert urgency(after) >= urgency(before)

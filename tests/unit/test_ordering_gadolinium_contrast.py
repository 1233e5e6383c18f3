"""Gadolinium and the kidneys, rule by rule (ACR Manual on Contrast Media)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import action_codes, condition_codes, measurement_codes
from cds.domain.ehr import EhrData
from cds.domain.recommendation import Advice, Indicator
from cds.ordering._kidney import ASKS
from cds.value_sets import ValueSet
from tests.unit.ordering_cases import (
    CT_CHEST,
    MR_HEAD,
    MR_HEAD_ANY,
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

CHECK = "gadolinium_contrast"
AKI, DIALYSIS = condition_codes.ACUTE_KIDNEY_INJURY, condition_codes.DIALYSIS
GROUP_I, GROUP_II, GROUP_III = ({f"{CHECK}.group": f"group_{name}"} for name in ("I", "II", "III"))


def patient(egfr: float | None, *there: ValueSet) -> EhrData:
    """Everything was searched for; an eGFR of these days, and diseases on record."""
    values = {} if egfr is None else measured(measurement_codes.EGFR_2021, egfr)
    return chart(searched=ASKS, measurements=values, conditions=has(*there))


ILL = [patient(29.9), patient(80, AKI), patient(80, DIALYSIS)]


def test_without_gadolinium_the_check_is_silent() -> None:
    for exam in (MR_HEAD, CT_CHEST):
        assert silent(CHECK, ordered(draft(exam), patient(10), GROUP_I))


def test_where_the_order_does_not_say_whether_gadolinium_is_given_the_check_cannot_tell() -> None:
    assert "contrast medium" in untold(CHECK, ordered(draft(MR_HEAD_ANY), patient(10), GROUP_I)).missing[0]


def test_until_the_site_has_said_which_group_of_agent_it_gives_the_check_cannot_tell() -> None:
    outcome = untold(CHECK, ordered(draft(MR_HEAD_WITH), patient(10)))
    assert "gadolinium_contrast.group" in outcome.how_to_get[0]


def test_with_an_agent_of_group_ii_the_kidneys_are_not_asked_for() -> None:
    assert silent(CHECK, ordered(draft(MR_HEAD_WITH), patient(5, AKI, DIALYSIS), GROUP_II))


@pytest.mark.parametrize("data", ILL)
def test_with_acute_kidney_injury_an_egfr_below_30_or_dialysis_an_agent_of_group_i_is_replaced_by_one_of_group_ii(
    data: EhrData,
) -> None:
    assert step(CHECK, ordered(draft(MR_HEAD_WITH), data, GROUP_I)).key == "group-ii"


def test_with_an_egfr_of_30_or_more_and_no_acute_kidney_injury_or_dialysis_an_agent_of_group_i_needs_no_step() -> None:
    assert silent(CHECK, ordered(draft(MR_HEAD_WITH), patient(30), GROUP_I))


@pytest.mark.parametrize("data", ILL)
def test_with_acute_kidney_injury_an_egfr_below_30_or_dialysis_an_agent_of_group_iii_is_a_decision_for_the_radiologist(
    data: EhrData,
) -> None:
    assert step(CHECK, ordered(draft(MR_HEAD_WITH), data, GROUP_III)).key == "decision"


def test_with_an_egfr_of_30_or_more_the_check_cannot_tell_of_an_agent_of_group_iii() -> None:
    assert "not verified" in untold(CHECK, ordered(draft(MR_HEAD_WITH), patient(30), GROUP_III)).reason


@pytest.mark.parametrize("site", [GROUP_I, GROUP_III])
def test_before_an_agent_of_group_i_or_iii_creatinine_is_measured_where_no_recent_egfr_is_known(
    site: dict[str, str],
) -> None:
    assert step(CHECK, ordered(draft(MR_HEAD_WITH), patient(None), site)).code == action_codes.CREATININE_TEST


def test_the_last_low_value_is_told_and_a_child_is_asked_for_a_paediatric_egfr() -> None:
    old = chart(searched=ASKS, measurements=measured(measurement_codes.EGFR_2021, 15, 40))
    advice = advises(CHECK, ordered(draft(MR_HEAD_WITH), old, GROUP_I))
    assert advice.recommendations[0].code == action_codes.CREATININE_TEST
    assert "was 15" in advice.meaning[0]
    child = chart(5, searched=ASKS, measurements=measured(measurement_codes.CREATININE, 3.0))
    asked = advises(CHECK, ordered(draft(MR_HEAD_WITH), child, GROUP_I))
    assert asked.indicator is Indicator.WARNING
    assert asked.recommendations == ()
    assert any("paediatric eGFR" in one for one in asked.missing)


def test_what_is_not_known_of_the_kidneys_is_asked() -> None:
    without = chart(searched=(), measurements=measured(measurement_codes.EGFR_2021, 60))
    advice = advises(CHECK, ordered(draft(MR_HEAD_WITH), without, GROUP_I))
    assert advice.recommendations == ()
    assert any("dialysis" in one for one in advice.missing)
    low = chart(searched=(), measurements=measured(measurement_codes.EGFR_2021, 20))
    decided = advises(CHECK, ordered(draft(MR_HEAD_WITH), low, GROUP_I))
    assert decided.recommendations[0].key == "group-ii"
    assert decided.missing == ()


@given(
    rate=st.floats(5, 120),
    there=st.sets(st.sampled_from([AKI.name, DIALYSIS.name])),
    more=st.sampled_from([AKI, DIALYSIS]),
    site=st.sampled_from([GROUP_I, GROUP_II]),
)
def test_another_contraindication_never_makes_the_advice_milder(
    rate: float, there: set[str], more: ValueSet, site: dict[str, str]
) -> None:
    first = patient(rate, *(one for one in (AKI, DIALYSIS) if one.name in there))
    second = replace(first, conditions=first.conditions | has(more))
    before, after = (says(CHECK, ordered(draft(MR_HEAD_WITH), data, site)) for data in (first, second))
    assert urgency(after) >= urgency(before)
    assert not isinstance(before, Advice) or isinstance(after, Advice)

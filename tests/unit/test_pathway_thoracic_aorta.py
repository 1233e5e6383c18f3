"""The pathway of the thoracic aorta. Numbers: ACC/AHA 2022, doi:10.1161/CIR.0000000000001106."""

from __future__ import annotations

from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from cds import action_codes as actions
from cds import condition_codes, finding_codes, procedure_codes
from cds.domain.ehr import Known, Unknown
from cds.domain.finding import Change, Finding, Presence
from cds.domain.order import Priority
from cds.domain.recommendation import Indicator, PathwayOutcome
from cds.pathways.thoracic_aorta import thoracic_aorta
from tests.unit.clinical import NOT_FOUND
from tests.unit.pathway_records import (
    MODEL_LIMIT,
    advice,
    answer,
    changed,
    held,
    is_as_good,
    item,
    keys,
    measured,
    missing,
    nothing,
    record,
    records,
    study,
    untold,
    urgency,
    with_fact,
    without,
)

CT_ORDERED = procedure_codes.ORDERED[actions.CHEST_CT_FOLLOW_UP.code]
REFERRAL_ORDERED = procedure_codes.ORDERED[actions.THORACIC_AORTA_REFERRAL.code]
INHERITED = {condition_codes.AORTOPATHY: item()}


def asked(
    ascending: float | None = None,
    descending: float | None = None,
    facts: dict[object, object] | None = None,
    *,
    change: Change | None = None,
    **changes: object,
) -> PathwayOutcome:
    """What the pathway says of these diameters in centimetres."""
    outcomes = []
    if ascending is not None:
        outcomes.append(
            measured(finding_codes.ASCENDING_AORTA, ascending * 10, "mm", key="ascending_aorta_diameter", change=change)
        )
    if descending is not None:
        outcomes.append(
            measured(finding_codes.DESCENDING_AORTA, descending * 10, "mm", key="descending_aorta_diameter")
        )
    return thoracic_aorta(study(record(thoracic_aorta.asks, facts, **changes), *outcomes))


def test_a_thoracic_aorta_below_4_0_cm_is_not_told() -> None:
    assert "dilated" in nothing(asked(3.99, 3.99)).reason
    assert keys(asked(4.0, 3.99)) == ("surveillance",)


def test_an_ascending_aorta_of_4_0_to_4_9_cm_is_imaged_again_after_6_to_12_months() -> None:
    for diameter in (4.0, 4.99):
        outcome = advice(asked(diameter))
        (step,) = outcome.recommendations
        assert (step.not_before, step.by) == (date(2027, 5, 2), date(2027, 11, 2))
        assert outcome.indicator is Indicator.INFO
    assert keys(asked(5.0)) == ("aortic-team",)


def test_an_ascending_aorta_of_5_0_to_5_4_cm_is_referred_to_an_aortic_team() -> None:
    for diameter in (5.0, 5.49):
        (step,) = advice(asked(diameter)).recommendations
        assert (step.key, step.priority, step.strength) == ("aortic-team", Priority.ROUTINE, "class 2a")


def test_an_ascending_aorta_of_5_5_cm_or_more_is_referred_for_surgery() -> None:
    outcome = advice(asked(5.5))
    (step,) = outcome.recommendations
    assert (step.key, step.priority, step.strength) == ("aortic-team", Priority.URGENT, "class 1")
    assert outcome.indicator is Indicator.WARNING
    assert held(outcome, "surgery")


def test_with_hereditary_aortic_disease_or_a_bicuspid_aortic_valve_an_ascending_aorta_is_referred_from_4_5_cm_on() -> (
    None
):
    assert keys(asked(4.5, facts=INHERITED)) == ("aortic-team",)
    assert keys(asked(4.49, facts=INHERITED)) == ("surveillance",)
    assert keys(asked(4.5)) == ("surveillance",)
    nobody_knows = asked(4.5, facts={condition_codes.AORTOPATHY: Unknown("no feed")})
    assert held(nobody_knows, "inherited") is None
    assert condition_codes.AORTOPATHY.title in missing(nobody_knows)


def test_an_ascending_aorta_that_grew_by_0_5_cm_or_more_in_a_year_is_referred() -> None:
    assert keys(asked(4.2, change=changed(5.0, "mm", 365))) == ("aortic-team",)
    assert keys(asked(4.2, change=changed(4.9, "mm", 365))) == ("surveillance",)
    assert keys(asked(4.2, change=changed(9.0, "mm", 730))) == ("surveillance",)
    assert keys(asked(4.2, change=changed(4.0, "mm", 100))) == ("surveillance",)


def test_growth_that_may_be_error_alone_refers_nobody() -> None:
    for beyond in (None, False):
        outcome = asked(4.2, change=changed(8.0, "mm", 365, beyond))
        assert held(outcome, "growth") is beyond
        assert keys(outcome) == ("surveillance",)


def test_with_hereditary_aortic_disease_or_a_bicuspid_aortic_valve_growth_of_0_3_cm_or_more_in_a_year_is_referred() -> (
    None
):
    assert keys(asked(4.2, facts=INHERITED, change=changed(3.0, "mm", 365))) == ("aortic-team",)
    assert keys(asked(4.2, facts=INHERITED, change=changed(2.9, "mm", 365))) == ("surveillance",)
    assert keys(asked(4.2, change=changed(3.0, "mm", 365))) == ("surveillance",)


def test_a_descending_thoracic_aorta_of_5_5_cm_or_more_is_referred_for_repair() -> None:
    (step,) = advice(asked(3.5, 5.5)).recommendations
    assert (step.key, step.priority, step.strength) == ("aortic-team", Priority.URGENT, "")
    assert keys(asked(3.5, 5.49)) == ()


def test_a_descending_thoracic_aorta_of_4_0_to_5_4_cm_is_told_without_an_interval_for_the_next_imaging() -> None:
    for diameter in (4.0, 5.49):
        outcome = advice(asked(3.5, diameter))
        assert outcome.recommendations == ()
        assert any("whoever treats the patient" in line for line in outcome.meaning)
    nothing(asked(3.5, 3.99))


def test_below_18_years_the_pathway_is_silent() -> None:
    child = {"birth_date": Known(date(2008, 11, 3), None, "patient demographics")}
    grown = {"birth_date": Known(date(2008, 11, 2), None, "patient demographics")}
    assert nothing(asked(5.6, **child)).reason == "the patient is a child"
    assert keys(asked(5.6, **grown)) == ("aortic-team",)


def test_after_repair_of_the_aorta_the_diameter_is_told_with_a_remark_that_other_limits_may_hold() -> None:
    repaired = advice(asked(5.6, facts={procedure_codes.AORTIC_REPAIR: item(None)}))
    assert keys(repaired) == ("aortic-team",)
    assert any("other limits hold" in line for line in repaired.meaning)
    assert not any("other limits hold" in line for line in advice(asked(5.6)).meaning)


def test_where_ct_of_the_chest_is_ordered_it_is_not_asked_for_again() -> None:
    assert "open request" in nothing(asked(4.2, facts={CT_ORDERED: item(date(2026, 11, 3))})).reason
    assert keys(asked(4.2, facts={CT_ORDERED: item(date(2025, 11, 3))})) == ("surveillance",)


def test_where_the_aorta_was_imaged_again_since_imaging_is_not_asked_for_again() -> None:
    nothing(asked(4.2, facts={procedure_codes.AORTIC_IMAGING: item(date(2026, 11, 3))}))
    assert keys(asked(4.2, facts={procedure_codes.AORTIC_IMAGING: item(date(2026, 11, 2))})) == ("surveillance",)


def test_where_a_referral_for_the_aorta_is_open_it_is_not_asked_for_again() -> None:
    assert "open request" in nothing(asked(5.6, facts={REFERRAL_ORDERED: item(date(2026, 11, 3))})).reason


def test_what_was_not_measured_is_told() -> None:
    refused = Finding("key", finding_codes.ASCENDING_AORTA, Presence.NOT_EVALUATED, reason="the division is cut off")
    data = record(thoracic_aorta.asks)
    assert "the division is cut off" in missing(untold(thoracic_aorta(study(data, answer(refused)))))
    nothing(thoracic_aorta(study(data)))
    outcome = advice(asked(None, 5.6))
    assert any("ascending aorta was not measured" in line for line in outcome.seen)
    assert outcome.limits[0] == MODEL_LIMIT


def test_the_wider_of_both_descending_diameters_counts() -> None:
    data = record(thoracic_aorta.asks)
    wide = measured(finding_codes.DESCENDING_AORTA, 56.0, "mm", key="a")
    carina = measured(finding_codes.DESCENDING_AORTA_CARINA, 31.0, "mm", key="b")
    one, other = (thoracic_aorta(study(data, *both)) for both in ((wide, carina), (carina, wide)))
    assert one == other
    assert advice(one).finding_keys == ("a",)


DIAMETERS = st.floats(30.0, 65.0).map(lambda mm: round(mm, 1))
RANDOM = records(thoracic_aorta, {})


@settings(max_examples=50, deadline=None)
@given(DIAMETERS, DIAMETERS, RANDOM)
def test_open_requests_never_raise_nor_add_and_unknowns_never_read_as_normal(
    ascending: float, descending: float, data: object
) -> None:
    seen = (
        measured(finding_codes.ASCENDING_AORTA, ascending, "mm", key="a"),
        measured(finding_codes.DESCENDING_AORTA, descending, "mm", key="b"),
    )
    for one in (CT_ORDERED, REFERRAL_ORDERED, procedure_codes.AORTIC_IMAGING):
        base = thoracic_aorta(study(with_fact(data, one, NOT_FOUND), *seen))
        after = thoracic_aorta(study(with_fact(data, one, item(date(2026, 11, 5))), *seen))
        assert urgency(after) <= urgency(base)
        assert set(keys(after)) <= set(keys(base))
    before = thoracic_aorta(study(data, *seen))
    for one in thoracic_aorta.asks:
        assert is_as_good(before, thoracic_aorta(study(without(data, one), *seen)), one.title)
    assert before == thoracic_aorta(study(data, *reversed(seen)))

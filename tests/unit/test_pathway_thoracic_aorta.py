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
from cds.pathways._guards import PALLIATIVE
from cds.pathways.thoracic_aorta import thoracic_aorta
from tests.unit.clinical import NOT_FOUND, STUDY_DATE, TODAY
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

CT_ORDERED = procedure_codes.ORDERED[actions.THORACIC_AORTA_IMAGING.code]
REFERRAL_ORDERED = procedure_codes.ORDERED[actions.THORACIC_AORTA_REFERRAL.code]
INHERITED = {condition_codes.AORTOPATHY: item()}


def asked(
    ascending: float | None = None,
    descending: float | None = None,
    facts: dict[object, object] | None = None,
    *,
    change: Change | None = None,
    today: date = TODAY,
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
    return thoracic_aorta(study(record(thoracic_aorta.asks, facts, **changes), *outcomes, today=today))


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


def test_growth_within_the_error_refers_nobody() -> None:
    outcome = asked(4.2, change=changed(8.0, "mm", 365, False))
    assert held(outcome, "growth") is False
    assert keys(outcome) == ("surveillance",)


def test_such_growth_of_unknown_error_is_compared_by_a_radiologist_urgently_if_twice_the_limit_in_all_or_per_year() -> (
    None
):
    for absolute, priority in ((5.0, Priority.ROUTINE), (9.9, Priority.ROUTINE), (10.0, Priority.URGENT)):
        outcome = advice(asked(4.2, change=changed(absolute, "mm", 365, None)))
        assert keys(outcome) == ("compare", "surveillance")
        assert outcome.recommendations[0].priority is priority
        assert held(outcome, "growth") is None
    for absolute, days, priority in ((6.0, 200, Priority.URGENT), (6.0, 220, Priority.ROUTINE)):
        outcome = advice(asked(4.2, change=changed(absolute, "mm", days, None)))  # 10.95 and 9.95 mm a year
        assert outcome.recommendations[0].priority is priority
    assert keys(asked(4.2, change=changed(4.9, "mm", 365, None))) == ("surveillance",)
    for disease in (item(), Unknown("no feed")):
        facts = {condition_codes.AORTOPATHY: disease}
        assert keys(asked(4.2, facts=facts, change=changed(3.0, "mm", 365, None))) == ("compare", "surveillance")


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    absolute=st.floats(0.5, 30.0),
    days=st.lists(st.integers(1, 1500), min_size=2, max_size=2, unique=True).map(sorted),
    beyond=st.sampled_from([True, None]),
)
def test_the_same_growth_in_fewer_days_is_never_milder(absolute: float, days: list[int], beyond: bool | None) -> None:
    sooner, later = (asked(4.2, change=changed(absolute, "mm", took, beyond)) for took in days)
    assert urgency(sooner) >= urgency(later)


def test_with_recent_chest_or_back_pain_an_aorta_that_would_be_referred_is_told_to_a_surgeon_at_once() -> None:
    for pain in (condition_codes.CHEST_PAIN, condition_codes.BACK_PAIN):
        facts = {pain: item(date(2026, 11, 8), "Pain")}
        for ascending, descending in ((5.0, 3.0), (6.5, None), (3.0, 5.5)):
            outcome = advice(asked(ascending, descending, facts))
            (step,) = outcome.recommendations
            assert (step.key, step.priority, step.acr_category) == ("aortic-team-now", Priority.STAT, 1)
            assert (step.by, outcome.indicator) == (TODAY, Indicator.CRITICAL)
        assert keys(asked(4.5, facts=facts | INHERITED)) == ("aortic-team-now",)
        assert keys(asked(4.2, facts=facts, change=changed(5.0, "mm", 365))) == ("aortic-team-now",)
        assert keys(asked(5.6, facts={pain: item(date(2026, 11, 7))})) == ("aortic-team",)
    nobody_knows = asked(5.6, facts={condition_codes.CHEST_PAIN: Unknown("no feed")})
    assert "chest pain" in missing(nobody_knows)
    assert held(nobody_knows, "pain") is None


def test_with_recent_chest_or_back_pain_any_other_thoracic_aorta_from_4_0_cm_on_is_examined_the_same_day() -> None:
    pain = {condition_codes.CHEST_PAIN: item(TODAY)}
    outcome = advice(asked(4.0, facts=pain))
    step = outcome.recommendations[0]
    assert (step.key, step.priority, step.acr_category) == ("examine-today", Priority.ASAP, 2)
    assert keys(outcome) == ("examine-today", "surveillance")
    assert outcome.indicator is Indicator.WARNING
    assert keys(asked(3.0, 4.0, pain)) == ("examine-today",)
    nothing(asked(3.99, facts=pain))


def test_in_palliative_care_a_painful_wide_aorta_is_told_and_nothing_else() -> None:
    palliative = {PALLIATIVE: item()}
    outcome = advice(asked(5.6, facts=palliative | {condition_codes.CHEST_PAIN: item(TODAY)}))
    assert keys(outcome) == ("aortic-team-now",)
    assert any("speak to who leads it" in line for line in outcome.meaning)
    assert "palliative" in nothing(asked(5.6, facts=palliative)).reason
    unasked = palliative | {condition_codes.CHEST_PAIN: Unknown("no feed")}
    assert "chest pain" in missing(untold(asked(5.6, facts=unasked)))


def test_where_a_part_could_not_be_measured_and_the_other_one_is_not_wide_the_pathway_cannot_tell() -> None:
    data = record(thoracic_aorta.asks)
    for code, other in (
        (finding_codes.ASCENDING_AORTA, finding_codes.DESCENDING_AORTA),
        (finding_codes.DESCENDING_AORTA, finding_codes.ASCENDING_AORTA),
    ):
        refused = answer(Finding("key", code, Presence.NOT_EVALUATED, reason="motion"))
        narrow, wide = (measured(other, mm, "mm", key="other") for mm in (39.9, 56.0))
        assert "motion" in missing(untold(thoracic_aorta(study(data, refused, narrow))))
        outcome = thoracic_aorta(study(data, refused, wide))
        assert keys(outcome) == ("aortic-team",)
        assert "motion" in missing(outcome)


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


def test_where_imaging_of_the_thoracic_aorta_or_chest_ct_was_ordered_since_these_images_it_is_not_asked_for_again() -> (
    None
):
    assert "open request" in nothing(asked(4.2, facts={CT_ORDERED: item(date(2026, 11, 3))})).reason
    assert keys(asked(4.2, facts={CT_ORDERED: item(STUDY_DATE)})) == ("surveillance",)
    assert procedure_codes.CHEST_CT.entries[0] in CT_ORDERED.entries


def test_imaging_of_the_thoracic_aorta_from_6_months_after_the_images_on_is_the_next_one() -> None:
    done = {day: {procedure_codes.THORACIC_AORTA_IMAGING: item(day)} for day in (date(2027, 5, 1), date(2027, 5, 2))}
    early, later = (asked(4.2, facts=facts, today=date(2027, 6, 1)) for facts in done.values())
    assert "imaged again since" in nothing(later).reason
    assert keys(early) == ("surveillance",)
    assert any("came too early" in note for note in advice(early).notes)


def test_imaging_that_is_overdue_is_said_to_be_so() -> None:
    late, timely = (advice(asked(4.2, today=date(2027, 11, day))) for day in (3, 2))
    assert "overdue since 2027-11-02" in late.recommendations[0].reason
    assert late.recommendations[0].by == date(2027, 11, 3)
    assert "overdue" not in timely.recommendations[0].reason


def test_an_open_referral_for_the_aorta_stops_another_an_older_one_than_the_images_stops_no_urgent_one() -> None:
    before, since = ({REFERRAL_ORDERED: item(day)} for day in (date(2026, 11, 1), STUDY_DATE))
    assert "open request" in nothing(asked(5.6, facts=since)).reason
    outcome = advice(asked(5.6, facts=before))
    assert keys(outcome) == ("aortic-team",)
    assert any("older than these images" in note for note in outcome.notes)
    assert "open request" in nothing(asked(5.2, facts=before)).reason


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
    for one in (CT_ORDERED, REFERRAL_ORDERED, procedure_codes.THORACIC_AORTA_IMAGING, PALLIATIVE):
        base = thoracic_aorta(study(with_fact(data, one, NOT_FOUND), *seen))
        after = thoracic_aorta(study(with_fact(data, one, item(date(2026, 11, 5))), *seen))
        assert urgency(after) <= urgency(base)
        assert set(keys(after)) <= set(keys(base))
    before = thoracic_aorta(study(data, *seen))
    for one in thoracic_aorta.asks:
        assert is_as_good(before, thoracic_aorta(study(without(data, one), *seen)), one.title)
    assert before == thoracic_aorta(study(data, *reversed(seen)))

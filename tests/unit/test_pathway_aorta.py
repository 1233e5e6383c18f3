"""The pathway of the abdominal aorta. Numbers: SVS 2018, doi:10.1016/j.jvs.2017.10.044, recommendations on surveillance
and on the decision to treat; rapid growth: ACC/AHA 2022, doi:10.1161/CIR.0000000000001106."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import action_codes as actions
from cds import condition_codes, finding_codes, procedure_codes
from cds.domain.ehr import Known, Unknown
from cds.domain.finding import Change, Finding, Presence
from cds.domain.identity import Sex
from cds.domain.order import Priority
from cds.domain.recommendation import Indicator, PathwayOutcome
from cds.errors import InvalidInput
from cds.pathways.aorta import PAIN_DAYS, aorta
from tests.unit.clinical import NOT_FOUND, STUDY_DATE
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

MALE = {"sex": Known(Sex.MALE, None, "patient demographics")}
IMAGING_ORDERED = procedure_codes.ORDERED[actions.AORTIC_SURVEILLANCE.code]
REFERRAL_ORDERED = procedure_codes.ORDERED[actions.VASCULAR_SURGERY_REFERRAL.code]
ON_RECORD = {condition_codes.AORTIC_ANEURYSM: item()}
TODAY_PAIN = item(STUDY_DATE, "Abdominal pain")


def asked(
    centimetres: float,
    facts: dict[object, object] | None = None,
    *,
    change: Change | None = None,
    site: dict[str, str] | None = None,
    **changes: object,
) -> PathwayOutcome:
    """What the pathway says of a man with this diameter."""
    data = record(aorta.asks, facts, **(MALE | changes))
    seen = measured(finding_codes.ABDOMINAL_AORTA, centimetres * 10, "mm", change=change)
    return aorta(study(data, seen, site=site))


def due(outcome: PathwayOutcome) -> date | None:
    """By when the aorta is imaged again."""
    return next(one.by for one in advice(outcome).recommendations if one.key == "surveillance")


def test_an_abdominal_aorta_of_2_5_cm_or_less_needs_no_follow_up() -> None:
    outcome = nothing(asked(2.5))
    assert held(outcome, "normal")
    assert outcome.reason == "the abdominal aorta is not dilated"
    assert keys(asked(2.51)) == ("surveillance",)


def test_an_abdominal_aorta_above_2_5_cm_and_below_3_0_cm_is_imaged_again_after_10_years() -> None:
    assert due(asked(2.6)) == due(asked(2.99)) == date(2036, 11, 2)
    assert keys(asked(2.99)) == ("surveillance",)
    assert held(asked(2.99), "rescreen")


def test_an_abdominal_aortic_aneurysm_of_3_0_to_3_9_cm_is_imaged_again_after_3_years() -> None:
    assert due(asked(3.0)) == due(asked(3.99)) == date(2029, 11, 2)
    assert held(asked(3.0), "three-years")


def test_an_abdominal_aortic_aneurysm_of_4_0_to_4_9_cm_is_imaged_again_after_12_months() -> None:
    assert due(asked(4.0)) == due(asked(4.99)) == date(2027, 11, 2)
    assert held(asked(4.0), "one-year")


def test_an_abdominal_aortic_aneurysm_of_5_0_to_5_4_cm_in_men_is_imaged_again_after_6_months() -> None:
    assert due(asked(5.0)) == due(asked(5.49)) == date(2027, 5, 2)
    assert held(asked(5.0), "six-months")


def test_an_abdominal_aortic_aneurysm_of_5_5_cm_or_more_is_referred_to_vascular_surgery() -> None:
    outcome = advice(asked(5.5, ON_RECORD))
    (step,) = outcome.recommendations
    assert (step.key, step.priority, step.acr_category) == ("vascular-surgery", Priority.URGENT, None)
    assert step.strength == "strong recommendation, high-quality evidence"
    assert outcome.indicator is Indicator.WARNING
    assert keys(asked(5.49, ON_RECORD)) == ("surveillance",)


def test_in_women_an_abdominal_aortic_aneurysm_of_5_0_to_5_4_cm_is_referred_to_consider_repair() -> None:
    female = {"sex": Known(Sex.FEMALE, None, "patient demographics")}
    for diameter in (5.0, 5.49):
        outcome = advice(asked(diameter, ON_RECORD, **female))
        assert keys(outcome) == ("vascular-surgery",)
        assert outcome.recommendations[0].strength == "weak recommendation, moderate-quality evidence"
    assert keys(asked(4.99, ON_RECORD, **female)) == ("surveillance",)


@pytest.mark.parametrize("sex", [Unknown("not stated"), Known(Sex.OTHER, None, "patient demographics")])
def test_at_5_0_to_5_4_cm_without_a_known_sex_the_pathway_cannot_tell_which_rule_holds(sex: object) -> None:
    for diameter in (5.0, 5.49):
        assert "sex" in missing(untold(asked(diameter, sex=sex)))
    assert keys(asked(4.99, ON_RECORD, sex=sex)) == ("surveillance",)
    assert keys(asked(5.5, ON_RECORD, sex=sex)) == ("vascular-surgery",)


def test_an_abdominal_aortic_aneurysm_of_3_0_cm_or_more_that_is_not_on_record_is_referred_once() -> None:
    assert keys(asked(3.0)) == ("surveillance", "first-referral")
    assert keys(asked(3.0, ON_RECORD)) == ("surveillance",)
    assert keys(asked(2.99)) == ("surveillance",)
    nobody_knows = asked(3.0, {condition_codes.AORTIC_ANEURYSM: Unknown("no feed")})
    assert "first-referral" in keys(nobody_knows)
    assert "aortic aneurysm" in missing(nobody_knows)


def test_an_aneurysm_of_3_0_cm_or_more_with_recent_abdominal_or_back_pain_is_told_to_a_surgeon_at_once() -> None:
    for pain in (condition_codes.ABDOMINAL_PAIN, condition_codes.BACK_PAIN):
        outcome = advice(asked(3.0, {pain: TODAY_PAIN}))
        (step,) = outcome.recommendations
        assert (step.key, step.priority, step.acr_category) == ("vascular-surgery-now", Priority.STAT, 1)
        assert outcome.indicator is Indicator.CRITICAL
        assert any("Abdominal pain (1) (2026-11-02" in reason for reason in step.because)
    assert keys(asked(2.99, {condition_codes.BACK_PAIN: TODAY_PAIN})) == ("surveillance",)


def test_pain_counts_from_14_days_before_the_images_on_and_a_site_may_change_it() -> None:
    fortnight = {condition_codes.ABDOMINAL_PAIN: item(date(2026, 10, 19))}
    earlier = {condition_codes.ABDOMINAL_PAIN: item(date(2026, 10, 18))}
    assert keys(asked(4.0, fortnight)) == ("vascular-surgery-now",)
    assert "vascular-surgery-now" not in keys(asked(4.0, earlier))
    assert keys(asked(4.0, earlier, site={"aorta.pain_days": "15"})) == ("vascular-surgery-now",)
    assert PAIN_DAYS.mistake("0")
    assert PAIN_DAYS.mistake("91")
    with pytest.raises(InvalidInput):
        asked(4.0, site={"aorta.pain_days": "0"})


def test_pain_without_a_date_or_that_nobody_asked_for_is_missing_and_no_call() -> None:
    for fact in (item(None), Unknown("no feed")):
        outcome = asked(4.0, {condition_codes.ABDOMINAL_PAIN: fact})
        assert held(outcome, "pain") is None
        assert "abdominal pain" in missing(outcome)
        assert "vascular-surgery-now" not in keys(outcome)


def test_an_open_referral_does_not_stop_the_call_of_a_painful_aneurysm() -> None:
    outcome = asked(4.0, {condition_codes.BACK_PAIN: TODAY_PAIN, REFERRAL_ORDERED: item(date(2026, 10, 1))})
    assert keys(outcome) == ("vascular-surgery-now",)


def test_an_aneurysm_that_grew_by_1_0_cm_in_a_year_or_by_0_5_cm_in_6_months_is_referred_to_vascular_surgery() -> None:
    for absolute, days in ((10.0, 365), (5.0, 183), (21.0, 730)):
        outcome = asked(4.2, ON_RECORD, change=changed(absolute, "mm", days))
        assert keys(outcome) == ("vascular-surgery",), (absolute, days)
        assert advice(outcome).recommendations[0].source.label.startswith("ACC/AHA 2022")
    for absolute, days in ((9.9, 365), (4.9, 183), (5.0, 184), (19.0, 730), (-12.0, 365)):
        assert keys(asked(4.2, ON_RECORD, change=changed(absolute, "mm", days))) == ("surveillance",), (absolute, days)


def test_growth_that_may_be_error_alone_is_told_and_raises_nothing() -> None:
    for beyond, words in ((None, "is not known"), (False, "within the error")):
        outcome = advice(asked(4.2, ON_RECORD, change=changed(12.0, "mm", 300, beyond)))
        assert held(outcome, "growth") is beyond
        assert keys(outcome) == ("surveillance",)
        assert any(words in line for line in outcome.seen)
    assert held(asked(4.2), "growth") is None
    assert "growth is not known" in advice(asked(4.2)).seen[1]


def test_below_18_years_the_pathway_is_silent() -> None:
    on_birthday = {"birth_date": Known(date(2008, 11, 2), None, "patient demographics")}
    the_day_after = {"birth_date": Known(date(2008, 11, 3), None, "patient demographics")}
    assert keys(asked(6.0, **on_birthday)) == ("vascular-surgery",)
    assert nothing(asked(6.0, **the_day_after)).reason == "the patient is a child"
    assert "age" in missing(asked(6.0, birth_date=Unknown("not stated")))


def test_after_repair_of_the_aorta_the_pathway_is_silent() -> None:
    for on in (date(2019, 1, 1), None):
        outcome = asked(6.0, {procedure_codes.AORTIC_REPAIR: item(on)})
        assert nothing(outcome).reason == "repair of the aorta is on record"
    nobody_knows = asked(6.0, {procedure_codes.AORTIC_REPAIR: Unknown("no feed")})
    assert keys(nobody_knows) == ("vascular-surgery",)
    assert "repair of the aorta" in missing(nobody_knows)


def test_where_imaging_of_the_aorta_is_ordered_it_is_not_asked_for_again() -> None:
    ordered = ON_RECORD | {IMAGING_ORDERED: item(date(2026, 11, 10))}
    assert "an open request" in nothing(asked(4.0, ordered)).reason
    forgotten = ON_RECORD | {IMAGING_ORDERED: item(date(2025, 11, 10))}
    assert keys(asked(4.0, forgotten)) == ("surveillance",)


def test_where_the_aorta_was_imaged_again_since_imaging_is_not_asked_for_again() -> None:
    later = ON_RECORD | {procedure_codes.AORTIC_IMAGING: item(date(2026, 11, 3))}
    same_day = ON_RECORD | {procedure_codes.AORTIC_IMAGING: item(STUDY_DATE)}
    assert "imaged again since" in nothing(asked(4.0, later)).reason
    assert keys(asked(4.0, same_day)) == ("surveillance",)


def test_where_a_referral_to_vascular_surgery_is_open_it_is_not_asked_for_again() -> None:
    referred = {REFERRAL_ORDERED: item(date(2026, 10, 1))}
    assert "an open request" in nothing(asked(6.0, referred)).reason
    assert keys(asked(3.5, referred)) == ("surveillance",)


def test_the_largest_of_several_diameters_counts_and_their_order_does_not_matter() -> None:
    data = record(aorta.asks, ON_RECORD, **MALE)
    small = measured(finding_codes.ABDOMINAL_AORTA, 31.0, "mm", key="small")
    large = measured(finding_codes.ABDOMINAL_AORTA, 5.6, "cm", key="large")
    both = advice(aorta(study(data, small, large)))
    assert both == aorta(study(data, large, small))
    assert both.finding_keys == ("large",)
    assert both.summary == "Abdominal aorta 5.6 cm on 2026-11-02 (AI)."


def test_what_the_model_could_not_measure_is_told_with_its_reason() -> None:
    refused = Finding("key", finding_codes.ABDOMINAL_AORTA, Presence.NOT_EVALUATED, reason="the aorta is cut off")
    outcome = untold(aorta(study(record(aorta.asks, **MALE), answer(refused))))
    assert "the aorta is cut off" in missing(outcome)
    assert nothing(aorta(study(record(aorta.asks, **MALE)))).reason.startswith("no diameter")


def test_a_diameter_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput):
        asked(25.0, {condition_codes.BACK_PAIN: TODAY_PAIN})
    with pytest.raises(InvalidInput):
        aorta(study(record(aorta.asks, **MALE), measured(finding_codes.ABDOMINAL_AORTA, 40.0, "HU")))


def test_a_card_tells_the_limits_of_the_model_and_of_the_pathway_and_a_short_summary() -> None:
    outcome = advice(asked(5.6))
    assert outcome.limits[0] == MODEL_LIMIT
    assert set(aorta.limits) <= set(outcome.limits)
    assert len(outcome.summary) < 140


def test_an_interval_that_is_over_asks_for_imaging_today() -> None:
    seen = measured(finding_codes.ABDOMINAL_AORTA, 45.0, "mm")
    late = aorta(study(record(aorta.asks, ON_RECORD, **MALE), seen, today=date(2028, 3, 1)))
    assert due(late) == date(2028, 3, 1)


DIAMETERS = st.floats(20.0, 70.0).map(lambda mm: round(mm, 1))
GROWN = st.sampled_from((None, changed(12.0, "mm", 300), changed(2.0, "mm", 300), changed(12.0, "mm", 300, None)))
RANDOM = records(aorta, {}, **MALE)


@settings(max_examples=60, deadline=None)
@given(DIAMETERS, GROWN, RANDOM)
def test_repair_on_record_and_open_requests_never_raise_nor_add(mm: float, change: Change | None, data: object) -> None:
    case = measured(finding_codes.ABDOMINAL_AORTA, mm, "mm", change=change)
    for one in (procedure_codes.AORTIC_REPAIR, condition_codes.AORTIC_ANEURYSM, IMAGING_ORDERED, REFERRAL_ORDERED):
        base = aorta(study(with_fact(data, one, NOT_FOUND), case))
        after = aorta(study(with_fact(data, one, item(date(2026, 11, 1))), case))
        assert urgency(after) <= urgency(base)
        assert set(keys(after)) <= set(keys(base))


@settings(max_examples=60, deadline=None)
@given(DIAMETERS, RANDOM)
def test_what_nobody_could_be_asked_never_reads_as_normal(mm: float, data: object) -> None:
    seen = measured(finding_codes.ABDOMINAL_AORTA, mm, "mm")
    before = aorta(study(data, seen))
    for one in aorta.asks:
        assert is_as_good(before, aorta(study(without(data, one), seen)), one.title)


@settings(max_examples=40, deadline=None)
@given(st.lists(DIAMETERS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_the_findings_does_not_matter(sizes: list[float], random: object) -> None:
    seen = [measured(finding_codes.ABDOMINAL_AORTA, mm, "mm", key="key") for mm in sizes]
    shuffled = random.sample(seen, len(seen))
    data = record(aorta.asks, **MALE)
    assert aorta(study(data, *seen)) == aorta(study(data, *shuffled))

"""The pathway of the abdominal aorta. Numbers: SVS 2018, doi:10.1016/j.jvs.2017.10.044, recommendations on surveillance
and on the decision to treat; rapid growth: ACC/AHA 2022, doi:10.1161/CIR.0000000000001106."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import action_codes as actions
from cds import condition_codes, finding_codes, procedure_codes
from cds.domain.coding import Coding
from cds.domain.ehr import ClinicalItem, Known, Unknown
from cds.domain.finding import Change, Finding, Presence
from cds.domain.identity import Sex
from cds.domain.order import Priority
from cds.domain.recommendation import Indicator, PathwayOutcome
from cds.errors import InvalidInput
from cds.pathways._guards import PALLIATIVE
from cds.pathways.aorta import PAIN_DAYS, aorta
from cds.pathways.card import detail
from cds.value_sets import ICD10
from tests.unit.clinical import NOT_FOUND, SOURCE, STUDY_DATE, TODAY
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
COMPARISON_ORDERED = procedure_codes.ORDERED[actions.COMPARE_STUDIES.code]
ON_RECORD = {condition_codes.ABDOMINAL_AORTIC_ANEURYSM: item()}
TODAY_PAIN = item(TODAY, "Abdominal pain")
REPAIRED = {procedure_codes.AORTIC_REPAIR: item(date(2019, 1, 1))}


def asked(
    centimetres: float,
    facts: dict[object, object] | None = None,
    *,
    change: Change | None = None,
    site: dict[str, str] | None = None,
    today: date = TODAY,
    **changes: object,
) -> PathwayOutcome:
    """What the pathway says of a man with this diameter."""
    data = record(aorta.asks, facts, **(MALE | changes))
    seen = measured(finding_codes.ABDOMINAL_AORTA, centimetres * 10, "mm", change=change)
    return aorta(study(data, seen, site=site, today=today))


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
def test_at_5_0_to_5_4_cm_without_a_known_sex_it_is_imaged_again_within_6_months_with_the_remark_on_repair_in_women(
    sex: object,
) -> None:
    for diameter in (5.0, 5.49):
        outcome = advice(asked(diameter, sex=sex))
        assert keys(outcome) == ("surveillance", "first-referral")
        assert due(outcome) == date(2027, 5, 2)
        assert "sex" in missing(outcome)
        assert any("In a woman repair is considered" in line for line in outcome.meaning)
        assert outcome.indicator is Indicator.WARNING
    assert keys(asked(4.99, ON_RECORD, sex=sex)) == ("surveillance",)
    assert keys(asked(5.5, ON_RECORD, sex=sex)) == ("vascular-surgery",)


def test_an_abdominal_aortic_aneurysm_of_3_0_cm_or_more_that_is_not_on_record_is_referred_once() -> None:
    assert keys(asked(3.0)) == ("surveillance", "first-referral")
    assert keys(asked(3.0, ON_RECORD)) == ("surveillance",)
    assert keys(asked(2.99)) == ("surveillance",)
    nobody_knows = asked(3.0, {condition_codes.ABDOMINAL_AORTIC_ANEURYSM: Unknown("no feed")})
    assert "first-referral" in keys(nobody_knows)
    assert "abdominal aortic aneurysm" in missing(nobody_knows)


def on_record(code: str, text: str) -> dict[object, object]:
    """An aortic aneurysm of the problem list as ICD-10 codes it."""
    return {condition_codes.AORTIC_ANEURYSM: Known(ClinicalItem(Coding(ICD10, code), text), date(2025, 5, 6), SOURCE)}


def test_an_aneurysm_of_another_part_of_the_aorta_is_told_and_is_not_this_one() -> None:
    outcome = advice(asked(3.0, on_record("I71.2", "Thoracic aortic aneurysm")))
    assert keys(outcome) == ("surveillance", "first-referral")
    assert any("Thoracic aortic aneurysm" in one.value for one in outcome.inputs)
    assert outcome.recommendations[1].action.endswith("first diagnosis")
    assert held(outcome, "placeless") is False
    assert "place of the aortic aneurysm" not in missing(outcome)


@pytest.mark.parametrize("listed", [NOT_FOUND, Unknown("no feed")])
def test_an_aortic_aneurysm_on_record_without_its_place_is_told_to_be_found_out_which_and_is_not_denied(
    listed: object,
) -> None:
    abdominal = {condition_codes.ABDOMINAL_AORTIC_ANEURYSM: listed}
    outcome = advice(asked(3.0, on_record("I71.9", "Aortic aneurysm") | abdominal))
    assert keys(outcome) == ("surveillance", "first-referral")
    assert held(outcome, "placeless") is True
    assert "place of the aortic aneurysm: an aneurysm without its place is on record" in missing(outcome)
    assert "An aneurysm without its place is on record: find out which." in outcome.meaning
    told = detail(outcome)
    assert "first diagnosis" not in told
    assert "No aneurysm of the abdominal aorta is known" not in told
    assert held(asked(3.0, on_record("I71.9", "Aortic aneurysm") | ON_RECORD), "first-diagnosis") is False


def test_with_recent_abdominal_or_back_pain_an_aneurysm_from_5_0_cm_on_or_that_grows_is_told_to_a_surgeon_at_once() -> (
    None
):
    for pain in (condition_codes.ABDOMINAL_PAIN, condition_codes.BACK_PAIN):
        outcome = advice(asked(5.0, {pain: TODAY_PAIN}))
        (step,) = outcome.recommendations
        assert (step.key, step.priority, step.acr_category) == ("vascular-surgery-now", Priority.STAT, 1)
        assert outcome.indicator is Indicator.CRITICAL
        assert any("Abdominal pain (1) (2026-11-22" in reason for reason in step.because)
    for beyond in (True, None):
        growing = changed(10.0, "mm", 365, beyond)
        assert keys(asked(3.0, {condition_codes.BACK_PAIN: TODAY_PAIN}, change=growing)) == ("vascular-surgery-now",)


def test_with_recent_abdominal_or_back_pain_an_aneurysm_of_3_0_to_4_9_cm_is_examined_the_same_day() -> None:
    for diameter in (3.0, 4.99):
        outcome = advice(asked(diameter, ON_RECORD | {condition_codes.BACK_PAIN: TODAY_PAIN}))
        step = outcome.recommendations[0]
        assert (step.key, step.priority, step.acr_category) == ("examine-today", Priority.ASAP, 2)
        assert step.by == TODAY
        assert keys(outcome) == ("examine-today", "surveillance")
        assert outcome.indicator is Indicator.WARNING
    assert keys(asked(2.99, {condition_codes.BACK_PAIN: TODAY_PAIN})) == ("surveillance",)


def test_pain_counts_for_14_days_back_from_today_and_a_site_may_change_it() -> None:
    fortnight = {condition_codes.ABDOMINAL_PAIN: item(date(2026, 11, 8))}
    earlier = {condition_codes.ABDOMINAL_PAIN: item(date(2026, 11, 7))}
    assert keys(asked(5.2, fortnight)) == ("vascular-surgery-now",)
    assert "vascular-surgery-now" not in keys(asked(5.2, earlier))
    assert keys(asked(5.2, earlier, site={"aorta.pain_days": "15"})) == ("vascular-surgery-now",)
    assert keys(asked(5.2, {condition_codes.BACK_PAIN: item(STUDY_DATE)}, today=STUDY_DATE)) == (
        "vascular-surgery-now",
    )
    assert PAIN_DAYS.mistake("0")
    assert PAIN_DAYS.mistake("31")
    with pytest.raises(InvalidInput):
        asked(4.0, site={"aorta.pain_days": "0"})


def test_pain_without_a_date_or_that_nobody_asked_for_is_missing_and_no_call() -> None:
    for fact in (item(None), Unknown("no feed")):
        outcome = asked(5.2, {condition_codes.ABDOMINAL_PAIN: fact})
        assert held(outcome, "pain") is None
        assert "abdominal pain" in missing(outcome)
        assert "vascular-surgery-now" not in keys(outcome)


def test_an_open_referral_does_not_stop_the_call_of_a_painful_aneurysm() -> None:
    outcome = asked(5.2, {condition_codes.BACK_PAIN: TODAY_PAIN, REFERRAL_ORDERED: item(TODAY)})
    assert keys(outcome) == ("vascular-surgery-now",)


def test_in_palliative_care_a_painful_aneurysm_is_told_and_nothing_else() -> None:
    palliative = {PALLIATIVE: item()}
    outcome = advice(asked(6.0, palliative | {condition_codes.BACK_PAIN: TODAY_PAIN}))
    assert keys(outcome) == ("vascular-surgery-now",)
    assert any("speak to who leads it" in line for line in outcome.meaning)
    assert keys(asked(4.0, palliative | {condition_codes.BACK_PAIN: TODAY_PAIN})) == ("examine-today",)
    assert "palliative" in nothing(asked(6.0, palliative)).reason
    assert "abdominal pain" in missing(untold(asked(6.0, palliative | {condition_codes.ABDOMINAL_PAIN: item(None)})))


def test_an_aneurysm_that_grew_by_1_0_cm_in_a_year_or_by_0_5_cm_in_6_months_is_referred_to_vascular_surgery() -> None:
    for absolute, days in ((10.0, 365), (5.0, 183), (21.0, 730)):
        outcome = asked(4.2, ON_RECORD, change=changed(absolute, "mm", days))
        assert keys(outcome) == ("vascular-surgery",), (absolute, days)
        assert advice(outcome).recommendations[0].source.label.startswith("ACC/AHA 2022")
    for absolute, days in ((9.9, 365), (4.9, 183), (5.0, 184), (19.0, 730), (-12.0, 365)):
        assert keys(asked(4.2, ON_RECORD, change=changed(absolute, "mm", days))) == ("surveillance",), (absolute, days)


def test_such_growth_of_unknown_error_is_compared_by_a_radiologist_urgently_if_twice_the_limit_in_all_or_per_year() -> (
    None
):
    for absolute, days, priority in (
        (10.0, 365, Priority.ROUTINE),
        (19.9, 365, Priority.ROUTINE),
        (20.0, 365, Priority.URGENT),
        (10.0, 183, Priority.URGENT),
        (10.0, 100, Priority.URGENT),
        (12.0, 200, Priority.URGENT),  # 21.9 mm a year
        (12.0, 220, Priority.ROUTINE),  # 19.9 mm a year
        (6.0, 20, Priority.URGENT),
        (20.0, 730, Priority.URGENT),
        (5.0, 183, Priority.ROUTINE),
    ):
        outcome = advice(asked(4.2, ON_RECORD, change=changed(absolute, "mm", days, None)))
        assert keys(outcome) == ("compare", "surveillance")
        assert outcome.recommendations[0].priority is priority
        assert held(outcome, "growth") is None
        assert any("is not known" in line for line in outcome.seen)
    assert keys(asked(4.2, ON_RECORD, change=changed(9.9, "mm", 365, None))) == ("surveillance",)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    absolute=st.floats(0.5, 40.0),
    days=st.lists(st.integers(1, 1500), min_size=2, max_size=2, unique=True).map(sorted),
    beyond=st.sampled_from([True, None]),
)
def test_the_same_growth_in_fewer_days_is_never_milder(absolute: float, days: list[int], beyond: bool | None) -> None:
    sooner, later = (asked(4.2, ON_RECORD, change=changed(absolute, "mm", took, beyond)) for took in days)
    assert urgency(sooner) >= urgency(later)
    assert ("compare" in keys(sooner)) >= ("compare" in keys(later))


def test_an_open_comparison_stops_another_one_an_urgent_one_only_since_the_images() -> None:
    slow, fast = changed(10.0, "mm", 365, None), changed(20.0, "mm", 365, None)
    before = ON_RECORD | {COMPARISON_ORDERED: item(date(2026, 11, 1))}
    assert keys(asked(4.2, before, change=slow)) == ("surveillance",)
    assert keys(asked(4.2, before, change=fast)) == ("compare", "surveillance")
    since = ON_RECORD | {COMPARISON_ORDERED: item(STUDY_DATE)}
    assert keys(asked(4.2, since, change=fast)) == ("surveillance",)


def test_growth_within_the_error_is_told_and_raises_nothing() -> None:
    outcome = advice(asked(4.2, ON_RECORD, change=changed(12.0, "mm", 300, False)))
    assert held(outcome, "growth") is False
    assert keys(outcome) == ("surveillance",)
    assert any("within the error" in line for line in outcome.seen)
    assert held(asked(4.2), "growth") is None
    assert "growth is not known" in advice(asked(4.2)).seen[1]


def test_below_18_years_the_pathway_is_silent() -> None:
    on_birthday = {"birth_date": Known(date(2008, 11, 2), None, "patient demographics")}
    the_day_after = {"birth_date": Known(date(2008, 11, 3), None, "patient demographics")}
    assert keys(asked(6.0, **on_birthday)) == ("vascular-surgery",)
    assert nothing(asked(6.0, **the_day_after)).reason == "the patient is a child"
    assert "age" in missing(asked(6.0, birth_date=Unknown("not stated")))


def test_after_repair_of_the_aorta_the_pathway_is_silent_below_5_5_cm_without_pain_and_growth() -> None:
    for on in (date(2019, 1, 1), None):
        outcome = asked(5.49, {procedure_codes.AORTIC_REPAIR: item(on)})
        assert nothing(outcome).reason == "repair of the aorta is on record"
    grown = advice(asked(5.5, REPAIRED))
    assert keys(grown) == ("vascular-surgery",)
    assert grown.recommendations[0].strength == ""
    assert any("A repair of the aorta is on record" in line for line in grown.meaning)
    assert keys(asked(5.0, REPAIRED | {condition_codes.BACK_PAIN: TODAY_PAIN})) == ("vascular-surgery-now",)
    assert keys(asked(4.0, REPAIRED, change=changed(10.0, "mm", 365))) == ("vascular-surgery",)
    assert keys(asked(4.0, REPAIRED, change=changed(10.0, "mm", 365, None))) == ("compare",)
    assert "pain" in missing(untold(asked(5.0, REPAIRED | {condition_codes.BACK_PAIN: Unknown("no feed")})))
    nobody_knows = asked(6.0, {procedure_codes.AORTIC_REPAIR: Unknown("no feed")})
    assert keys(nobody_knows) == ("vascular-surgery",)
    assert "repair of the aorta" in missing(nobody_knows)


def test_where_imaging_of_the_aorta_was_ordered_after_these_images_it_is_not_asked_for_again() -> None:
    ordered = ON_RECORD | {IMAGING_ORDERED: item(date(2026, 11, 3))}
    assert "an open request" in nothing(asked(4.0, ordered)).reason
    for own in (STUDY_DATE, date(2026, 10, 1)):
        assert keys(asked(4.0, ON_RECORD | {IMAGING_ORDERED: item(own)})) == ("surveillance",)


def test_imaging_of_the_abdominal_aorta_from_the_middle_of_the_interval_on_stands_for_the_next_one() -> None:
    later = ON_RECORD | {procedure_codes.ABDOMINAL_AORTA_IMAGING: item(date(2027, 5, 2))}
    assert "imaged again since" in nothing(asked(4.0, later, today=date(2027, 6, 1))).reason
    early = ON_RECORD | {procedure_codes.ABDOMINAL_AORTA_IMAGING: item(date(2027, 5, 1))}
    outcome = advice(asked(4.0, early, today=date(2027, 6, 1)))
    assert keys(outcome) == ("surveillance",)
    assert any("came too early" in note for note in outcome.notes)
    same_day = advice(asked(4.0, ON_RECORD | {procedure_codes.ABDOMINAL_AORTA_IMAGING: item(STUDY_DATE)}))
    assert keys(same_day) == ("surveillance",)
    assert same_day.notes == ()


def test_an_open_referral_to_vascular_surgery_stops_another_an_older_one_than_the_images_stops_no_urgent_one() -> None:
    before, since = ({REFERRAL_ORDERED: item(day)} for day in (date(2026, 11, 1), STUDY_DATE))
    assert "an open request" in nothing(asked(6.0, since)).reason
    outcome = advice(asked(6.0, before))
    assert keys(outcome) == ("vascular-surgery",)
    assert any("its addressee may not know of them" in note for note in outcome.notes)
    assert keys(asked(3.5, before)) == ("surveillance",)


def test_the_next_imaging_is_planned_for_the_last_tenth_of_its_interval() -> None:
    (step,) = advice(asked(4.2, ON_RECORD)).recommendations
    assert (step.not_before, step.by) == (date(2027, 9, 27), date(2027, 11, 2))
    (late,) = advice(asked(4.2, ON_RECORD, today=date(2027, 9, 27))).recommendations
    assert late.not_before is None


def test_imaging_that_is_overdue_is_said_to_be_so_and_is_urgent_from_4_0_cm_on() -> None:
    for diameter, day, priority in (
        (4.0, date(2027, 11, 3), Priority.URGENT),
        (4.0, date(2027, 11, 2), Priority.ROUTINE),
        (3.99, date(2029, 11, 3), Priority.ROUTINE),
    ):
        outcome = advice(asked(diameter, ON_RECORD, today=day))
        (step,) = outcome.recommendations
        assert (step.by, step.priority) == (day, priority)
        assert ("overdue since" in step.reason) is (day != date(2027, 11, 2))


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


DIAMETERS = st.floats(20.0, 70.0).map(lambda mm: round(mm, 1))
GROWN = st.sampled_from((None, changed(12.0, "mm", 300), changed(2.0, "mm", 300), changed(12.0, "mm", 300, None)))
RANDOM = records(aorta, {}, **MALE)


@settings(max_examples=60, deadline=None)
@given(DIAMETERS, GROWN, RANDOM)
def test_repair_on_record_and_open_requests_never_raise_nor_add(mm: float, change: Change | None, data: object) -> None:
    case = measured(finding_codes.ABDOMINAL_AORTA, mm, "mm", change=change)
    for one in (
        procedure_codes.AORTIC_REPAIR,
        condition_codes.ABDOMINAL_AORTIC_ANEURYSM,
        PALLIATIVE,
        IMAGING_ORDERED,
        REFERRAL_ORDERED,
    ):
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

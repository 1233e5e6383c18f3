"""The pathway of fat in the liver. Steps: AGA 2021, doi:10.1053/j.gastro.2021.07.049; FIB-4 = age x AST / (platelets x
the root of ALT), doi:10.1002/hep.21178. At 50 years with an ALT of 25 U/L, FIB-4 is 10 x AST / platelets."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, procedure_codes
from cds.domain.ehr import Known, Unknown
from cds.domain.finding import Finding, Presence
from cds.domain.order import Priority
from cds.domain.recommendation import Indicator, PathwayOutcome
from cds.pathways.liver import liver
from tests.unit.clinical import NOT_FOUND
from tests.unit.pathway_records import (
    advice,
    answer,
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
    value,
    with_fact,
    without,
)

FIFTY = Known(date(1976, 11, 22), None, "patient demographics")
STIFFNESS, ELASTOGRAPHY = measurement_codes.LIVER_STIFFNESS, procedure_codes.ELASTOGRAPHY
FRESH = date(2026, 10, 1)


def born(years: int) -> Known[date]:
    """The birth date of somebody who is so many years old today."""
    return Known(date(2026 - years, 11, 22), None, "patient demographics")


def labs(fib4: float, on: date | None = FRESH) -> dict[object, object]:
    """Blood tests that give this FIB-4 at 50 years: AST 100 x FIB-4 / 10, ALT 25, platelets 100."""
    return {
        measurement_codes.AST: value(10 * fib4, "U/L", on),
        measurement_codes.ALT: value(25, "U/L", on),
        measurement_codes.PLATELETS: value(100, "10*3/uL", on),
    }


def asked(
    facts: dict[object, object] | None = None, hu: float = 35.0, birth: object = FIFTY, *more: object
) -> PathwayOutcome:
    """What the pathway says of a liver of so many Hounsfield units."""
    seen = measured(finding_codes.LIVER_ATTENUATION, hu, "[hnsf'U]", key="liver")
    return liver(study(record(liver.asks, facts, birth_date=birth), seen, *more))


def spleen(hu: float) -> object:
    """A spleen of so many Hounsfield units."""
    return measured(finding_codes.SPLEEN_ATTENUATION, hu, "[hnsf'U]", key="spleen")


def test_a_liver_of_40_hu_or_less_on_ct_without_contrast_medium_has_moderate_to_severe_fat() -> None:
    outcome = advice(asked(hu=40.0))
    assert held(outcome, "fat-40")
    assert outcome.meaning[0].startswith("Moderate to severe fat")
    assert advice(asked(hu=40.1)).meaning[0].startswith("Fat in the liver")


def test_a_liver_above_40_and_up_to_48_hu_on_ct_without_contrast_medium_has_fat() -> None:
    assert held(asked(hu=40.1), "fat-48")
    assert held(asked(hu=48.0), "fat-48")
    assert "does not exclude" in nothing(asked(hu=48.1)).reason


def test_a_liver_more_than_10_hu_below_the_spleen_on_ct_without_contrast_medium_has_fat() -> None:
    assert held(asked(None, 50.0, FIFTY, spleen(60.1)), "fat-spleen")
    nothing(asked(None, 50.0, FIFTY, spleen(60.0)))


def test_fat_in_the_liver_that_is_reported_counts_as_it_is_reported() -> None:
    data = record(liver.asks, labs(1.0), birth_date=FIFTY)
    told = Finding("steatosis", finding_codes.HEPATIC_STEATOSIS, Presence.PRESENT)
    unseen = Finding("steatosis", finding_codes.HEPATIC_STEATOSIS, Presence.NOT_DETECTED)
    assert keys(liver(study(data, answer(told)))) == ("repeat-fib4",)
    nothing(liver(study(data, answer(unseen))))
    assert keys(asked(labs(1.0), 60.0, FIFTY, answer(told))) == ("repeat-fib4",)


def test_without_a_known_age_the_pathway_cannot_tell() -> None:
    assert "age" in missing(untold(asked(labs(1.0), birth=Unknown("not stated"))))
    nothing(asked(labs(1.0), hu=60.0, birth=Unknown("not stated")))


def test_below_18_years_the_pathway_is_silent() -> None:
    assert nothing(asked(birth=Known(date(2008, 11, 3), None, "x"))).reason == "the patient is a child"
    assert keys(asked(birth=Known(date(2008, 11, 2), None, "x"))) == ("blood-tests",)


def test_where_a_chronic_liver_disease_is_on_record_the_pathway_is_silent() -> None:
    nothing(asked(labs(3.0) | {condition_codes.CHRONIC_LIVER_DISEASE: item()}))
    nobody_knows = asked(labs(3.0) | {condition_codes.CHRONIC_LIVER_DISEASE: Unknown("no feed")})
    assert keys(nobody_knows) == ("hepatology",)
    assert condition_codes.CHRONIC_LIVER_DISEASE.title in missing(nobody_knows)


def test_where_an_alcohol_use_disorder_is_on_record_the_pathway_is_silent() -> None:
    nothing(asked(labs(3.0) | {condition_codes.ALCOHOL_USE_DISORDER: item()}))
    nobody_knows = asked(labs(3.0) | {condition_codes.ALCOHOL_USE_DISORDER: Unknown("no feed")})
    assert "ask about alcohol" in missing(nobody_knows)


def test_fatty_liver_on_record_silences_nothing() -> None:
    assert keys(asked(labs(3.0) | {condition_codes.FATTY_LIVER: item()})) == ("hepatology",)


@pytest.mark.parametrize("test", [measurement_codes.AST, measurement_codes.ALT, measurement_codes.PLATELETS])
def test_where_ast_alt_or_platelets_of_the_last_6_months_are_missing_they_are_asked_for(test: object) -> None:
    half_a_year, older = date(2026, 5, 22), date(2026, 5, 21)
    assert keys(asked(labs(1.0, half_a_year))) == ("repeat-fib4",)
    for fact in (NOT_FOUND, Unknown("no feed"), value(100, test.unit, older), value(100, test.unit, None)):
        outcome = advice(asked(labs(1.0) | {test: fact}))
        assert keys(outcome) == ("blood-tests",)
        assert test.title in missing(outcome)
        assert "FIB-4 is not known" in outcome.summary
        assert outcome.risks[-1].value is None


def test_a_fib_4_below_1_3_or_below_2_0_from_65_years_on_is_repeated_after_2_to_3_years_in_primary_care() -> None:
    (step,) = advice(asked(labs(1.29))).recommendations
    assert (step.key, step.not_before, step.by) == ("repeat-fib4", date(2028, 10, 1), date(2029, 10, 1))
    # 65 years: FIB-4 is 1.3 times that of the same values at 50 years.
    assert keys(asked(labs(1.99 / 1.3), birth=born(65))) == ("repeat-fib4",)
    assert keys(asked(labs(1.99 / 1.28), birth=born(64))) == ("elastography",)


def test_a_fib_4_from_1_3_or_from_2_0_at_65_years_on_up_to_2_67_is_followed_by_elastography() -> None:
    assert keys(asked(labs(1.3))) == keys(asked(labs(2.67))) == ("elastography",)
    assert keys(asked(labs(2.01 / 1.3), birth=born(65))) == ("elastography",)
    assert advice(asked(labs(1.3))).indicator is Indicator.INFO


def test_a_fib_4_above_2_67_is_referred_to_hepatology() -> None:
    outcome = advice(asked(labs(2.68)))
    assert keys(outcome) == ("hepatology",)
    assert outcome.indicator is Indicator.WARNING
    assert outcome.summary == "Fat in the liver on 2026-11-02 (AI), FIB-4 2.68."


def test_at_35_years_or_younger_a_fib_4_is_shown_with_a_warning() -> None:
    warned = [any("35 years" in line for line in advice(asked(labs(1.0), birth=born(y))).meaning) for y in (35, 36)]
    assert warned == [True, False]


def test_after_a_fib_4_that_asks_for_elastography_a_stiffness_below_8_kpa_is_followed_by_fib_4_in_2_to_3_years() -> (
    None
):
    outcome = asked(labs(2.0) | {STIFFNESS: value(7.9, "kPa")})
    assert keys(outcome) == ("repeat-fib4",)
    assert held(outcome, "soft")
    year_ago, older = date(2025, 11, 22), date(2025, 11, 21)
    assert keys(asked(labs(2.0) | {STIFFNESS: value(7.9, "kPa", year_ago)})) == ("repeat-fib4",)
    assert keys(asked(labs(2.0) | {STIFFNESS: value(7.9, "kPa", older)})) == ("elastography",)
    assert keys(asked(labs(3.0) | {STIFFNESS: value(7.9, "kPa")})) == ("hepatology",)


def test_a_liver_stiffness_of_8_to_12_kpa_is_referred_to_hepatology() -> None:
    for kpa in (8.0, 12.0):
        for fib4 in (1.0, 2.0, 3.0):
            (step,) = advice(asked(labs(fib4) | {STIFFNESS: value(kpa, "kPa")})).recommendations
            assert (step.key, step.priority) == ("hepatology", Priority.ROUTINE)
    assert keys(asked({STIFFNESS: value(8.0, "kPa")})) == ("hepatology", "blood-tests")


def test_a_liver_stiffness_above_12_kpa_is_referred_to_hepatology_with_priority() -> None:
    (step,) = advice(asked(labs(2.0) | {STIFFNESS: value(12.1, "kPa")})).recommendations
    assert (step.key, step.priority) == ("hepatology", Priority.URGENT)


def test_where_elastography_was_done_in_the_last_12_months_its_result_is_asked_for_not_another_one() -> None:
    outcome = asked(labs(2.0) | {ELASTOGRAPHY: item(date(2025, 11, 22))})
    assert keys(outcome) == ()
    assert "ask whoever did the elastography" in missing(outcome)
    assert keys(asked(labs(2.0) | {ELASTOGRAPHY: item(date(2025, 11, 21))})) == ("elastography",)


@pytest.mark.parametrize(
    ("facts", "action"),
    [
        ({}, actions.LIVER_BLOOD_TESTS),
        (labs(1.0), actions.REPEAT_FIB4),
        (labs(2.0), actions.ELASTOGRAPHY),
        (labs(3.0), actions.HEPATOLOGY_REFERRAL),
    ],
)
def test_where_the_next_step_is_ordered_it_is_not_asked_for_again(facts: dict[object, object], action: object) -> None:
    ordered = procedure_codes.ORDERED[action.code]
    assert len(keys(asked(facts))) == 1
    assert keys(asked(facts | {ordered: item(date(2026, 11, 1))})) == ()
    assert len(keys(asked(facts | {ordered: item(date(2025, 11, 1))}))) == 1


def test_what_the_model_could_not_measure_is_told_with_its_reason() -> None:
    refused = Finding(
        "liver", finding_codes.LIVER_ATTENUATION, Presence.NOT_EVALUATED, reason="there is contrast medium"
    )
    data = record(liver.asks)
    assert "there is contrast medium" in missing(untold(liver(study(data, answer(refused)))))
    nothing(liver(study(data)))


def test_a_card_tells_why_and_what_would_change_it() -> None:
    (step,) = advice(asked(labs(2.0))).recommendations
    assert "AST: 20 U/L (2026-10-01, HL7 LAB|HOSPITAL)." in step.because
    assert step.would_change
    assert set(liver.limits) <= set(advice(asked(labs(2.0))).limits)


RANGES = {"ast": (10.0, 200.0), "alt": (10.0, 200.0), "platelets": (60.0, 400.0), "liver-stiffness": (2.0, 30.0)}
RANDOM = records(liver, RANGES, birth_date=FIFTY)
ATTENUATION = st.floats(20.0, 60.0)


@settings(max_examples=50, deadline=None)
@given(ATTENUATION, RANDOM)
def test_liver_disease_and_open_requests_never_raise_nor_add(hu: float, data: object) -> None:
    seen = measured(finding_codes.LIVER_ATTENUATION, hu, "[hnsf'U]")
    silencing = (
        condition_codes.CHRONIC_LIVER_DISEASE,
        condition_codes.ALCOHOL_USE_DISORDER,
        ELASTOGRAPHY,
        *(one for one in liver.asks if one.kind == "request"),
    )
    for one in silencing:
        base = liver(study(with_fact(data, one, NOT_FOUND), seen))
        after = liver(study(with_fact(data, one, item(date(2026, 11, 1))), seen))
        assert urgency(after) <= urgency(base)
        assert set(keys(after)) <= set(keys(base))


@settings(max_examples=50, deadline=None)
@given(ATTENUATION, RANDOM)
def test_what_nobody_could_be_asked_never_reads_as_normal(hu: float, data: object) -> None:
    seen = measured(finding_codes.LIVER_ATTENUATION, hu, "[hnsf'U]")
    before = liver(study(data, seen))
    for one in liver.asks:
        after = liver(study(without(data, one), seen))
        assert is_as_good(before, after, one.title), one.name
        milder = "repeat-fib4" in keys(after) and "repeat-fib4" not in keys(before)
        assert not milder or one.title in missing(after) or one.kind == "request", one.name


@settings(max_examples=30, deadline=None)
@given(ATTENUATION, st.floats(20.0, 80.0))
def test_the_order_of_the_findings_does_not_matter(hu: float, of_spleen: float) -> None:
    data = record(liver.asks, labs(2.0), birth_date=FIFTY)
    seen = (measured(finding_codes.LIVER_ATTENUATION, hu, "[hnsf'U]"), spleen(of_spleen))
    assert liver(study(data, *seen)) == liver(study(data, *reversed(seen)))

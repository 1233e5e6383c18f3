"""The pathway of fat in the liver. Steps: AGA 2021, doi:10.1053/j.gastro.2021.07.049; FIB-4 = age x AST / (platelets x
the root of ALT), doi:10.1002/hep.21178. At 50 years with an ALT of 25 U/L, FIB-4 is 10 x AST / platelets."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, procedure_codes
from cds.domain.coding import Quantity
from cds.domain.ehr import Known, Unknown
from cds.domain.finding import Finding, NotEvaluated, Presence
from cds.domain.order import Priority
from cds.domain.recommendation import Indicator, PathwayOutcome
from cds.errors import InvalidInput
from cds.pathways.liver import EASL, liver
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


def organ(key: str, code: object, hu: float) -> Finding:
    """The attenuation of an organ."""
    return Finding(key, code, Presence.MEASURED, Quantity(hu, "[hnsf'U]"))


def with_spleen(hu: float, of_spleen: float, *, apart: bool = False) -> PathwayOutcome:
    """What the pathway says of a liver and a spleen, measured by one model or by two."""
    one = organ("liver", finding_codes.LIVER_ATTENUATION, hu)
    other = organ("spleen", finding_codes.SPLEEN_ATTENUATION, of_spleen)
    seen = (answer(one), answer(other)) if apart else (answer(one, other),)
    return liver(study(record(liver.asks, birth_date=FIFTY), *seen))


STEATOSIS = Finding("steatosis", finding_codes.HEPATIC_STEATOSIS, Presence.PRESENT)
NO_STEATOSIS = replace(STEATOSIS, presence=Presence.NOT_DETECTED)


def test_a_liver_of_40_hu_or_less_on_ct_without_contrast_medium_has_moderate_to_severe_fat() -> None:
    outcome = advice(asked(hu=40.0))
    assert held(outcome, "fat-40")
    assert outcome.meaning[0].startswith("Moderate to severe fat")
    assert advice(asked(hu=40.1)).meaning[0].startswith("Fat in the liver")


def test_a_liver_above_40_and_up_to_48_hu_on_ct_without_contrast_medium_has_fat() -> None:
    assert held(asked(hu=40.1), "fat-48")
    assert held(asked(hu=48.0), "fat-48")
    assert "does not exclude" in nothing(asked(hu=48.1)).reason


def test_a_liver_more_than_10_hu_below_the_spleen_that_was_measured_with_it_on_ct_without_contrast_medium_has_fat() -> (
    None
):
    assert held(with_spleen(50.0, 60.1), "fat-spleen")
    nothing(with_spleen(50.0, 60.0))
    nothing(with_spleen(50.0, 70.0, apart=True))


def test_each_liver_is_judged_with_its_own_spleen() -> None:
    darker = answer(organ("liver", finding_codes.LIVER_ATTENUATION, 50.0))
    fat = answer(
        organ("liver-b", finding_codes.LIVER_ATTENUATION, 52.0), organ("spleen", finding_codes.SPLEEN_ATTENUATION, 70.0)
    )
    for seen in ((darker, fat), (fat, darker)):
        assert advice(liver(study(record(liver.asks, birth_date=FIFTY), *seen))).finding_keys == ("liver-b",)


def test_fat_in_the_liver_that_is_reported_counts_as_it_is_reported() -> None:
    data = record(liver.asks, labs(1.0), birth_date=FIFTY)
    assert keys(liver(study(data, answer(STEATOSIS)))) == ("repeat-fib4",)
    assert "was not detected" in nothing(liver(study(data, answer(NO_STEATOSIS)))).reason
    assert keys(asked(labs(1.0), 60.0, FIFTY, answer(STEATOSIS))) == ("repeat-fib4",)


def test_where_a_report_and_the_attenuation_contradict_each_other_about_fat_both_are_told() -> None:
    said = advice(asked(labs(1.0), 60.0, FIFTY, answer(STEATOSIS)))
    assert any("60 HU" in text and "a radiologist decides" in text for text in said.seen)
    other = advice(asked(labs(1.0), 35.0, FIFTY, answer(NO_STEATOSIS)))
    assert any("did not detect fat" in text for text in other.seen)
    for agreed in (asked(labs(1.0)), asked(labs(1.0), 35.0, FIFTY, answer(STEATOSIS))):
        assert not any("a radiologist decides" in text for text in advice(agreed).seen)


def test_what_nobody_looked_for_is_not_said_to_be_undetected() -> None:
    refused = NotEvaluated("ct_liver_spleen", "1.0.0", ("contrast medium",), gate="contrast")
    for seen in ((), (refused,)):
        assert "was not looked for" in nothing(liver(study(record(liver.asks), *seen))).reason


def test_without_a_known_age_the_pathway_cannot_tell() -> None:
    assert "age" in missing(untold(asked(labs(1.0), birth=Unknown("not stated"))))
    nothing(asked(labs(1.0), hu=60.0, birth=Unknown("not stated")))


def test_below_18_years_the_pathway_is_silent() -> None:
    assert nothing(asked(birth=Known(date(2008, 11, 3), None, "x"))).reason == "the patient is a child"
    assert keys(asked(birth=Known(date(2008, 11, 2), None, "x"))) == ("blood-tests",)


def spoken_despite(disease: object) -> None:
    """What is told of a patient with another liver disease."""
    known = {disease: item()}
    assert "on record" in nothing(asked(labs(2.67) | known)).reason
    assert "on record" in nothing(asked(labs(1.0) | known)).reason
    (step,) = advice(asked(labs(2.68) | known)).recommendations
    assert (step.key, step.source) == ("hepatology", EASL)
    assert keys(asked(labs(1.0) | known | {STIFFNESS: value(8.0, "kPa")})) == ("hepatology",)
    assert keys(asked(labs(1.0) | known | {STIFFNESS: value(8.0, "kPa", None)})) == ("elastography",)
    assert keys(asked(labs(1.0) | known | {measurement_codes.ALT: value(200, "U/L")})) == ("acute-liver-disease",)
    assert "AST" in missing(untold(asked(known)))


def test_with_a_chronic_liver_disease_only_a_fib_4_above_2_67_8_kpa_or_more_and_acute_disease_are_told() -> None:
    spoken_despite(condition_codes.CHRONIC_LIVER_DISEASE)
    nobody_knows = asked(labs(3.0) | {condition_codes.CHRONIC_LIVER_DISEASE: Unknown("no feed")})
    assert keys(nobody_knows) == ("hepatology",)
    assert condition_codes.CHRONIC_LIVER_DISEASE.title in missing(nobody_knows)


def test_with_an_alcohol_use_disorder_only_a_fib_4_above_2_67_8_kpa_or_more_and_acute_disease_are_told() -> None:
    spoken_despite(condition_codes.ALCOHOL_USE_DISORDER)
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


@pytest.mark.parametrize(("years", "young"), [(35, True), (36, False)])
def test_at_35_years_or_younger_a_low_fib_4_is_never_told_as_scars_being_unlikely(years: int, young: bool) -> None:
    said = advice(asked(labs(1.0), birth=born(years)))
    assert any("35 years" in line for line in said.meaning) is young
    (step,) = said.recommendations
    assert ("unlikely" in step.reason) is not young
    assert any("elastography" in text for text in step.would_change) is young


@pytest.mark.parametrize("test", [measurement_codes.AST, measurement_codes.ALT])
def test_with_an_ast_or_alt_of_200_u_l_or_more_fib_4_is_not_used_and_acute_liver_disease_is_looked_for_now(
    test: object,
) -> None:
    said = advice(asked(labs(1.0) | {test: value(200, "U/L", FRESH)}))
    (step,) = said.recommendations
    assert (step.key, step.priority, step.by) == ("acute-liver-disease", Priority.ASAP, date(2026, 11, 22))
    assert said.indicator is Indicator.WARNING
    assert "look for acute liver disease" in said.summary
    assert [one.score for one in said.risks] == ["liver_ct_steatosis"]
    assert any("not used" in note for note in said.notes)
    assert "acute-liver-disease" not in keys(asked(labs(1.0) | {test: value(199, "U/L", FRESH)}))
    for lost in (measurement_codes.AST, measurement_codes.ALT, measurement_codes.PLATELETS):
        if lost is not test:
            assert keys(asked(labs(1.0) | {test: value(200, "U/L", FRESH), lost: NOT_FOUND})) == (step.key,)
    assert keys(asked(labs(1.0) | {test: value(200, "U/L", date(2026, 1, 1))})) == ("blood-tests",)


def test_a_site_may_set_from_which_ast_or_alt_on_the_liver_is_acute() -> None:
    high = record(liver.asks, labs(1.0) | {measurement_codes.ALT: value(150, "U/L", FRESH)}, birth_date=FIFTY)
    seen = measured(finding_codes.LIVER_ATTENUATION, 35.0, "[hnsf'U]")
    assert keys(liver(study(high, seen))) == ("repeat-fib4",)
    assert keys(liver(study(high, seen, site={"liver.acute_u_l": "150"}))) == ("acute-liver-disease",)
    for wrong in ("124", "226"):
        with pytest.raises(InvalidInput):
            liver(study(high, seen, site={"liver.acute_u_l": wrong}))


def test_acute_liver_disease_that_was_looked_for_before_the_images_is_looked_for_again() -> None:
    acute = labs(1.0) | {measurement_codes.ALT: value(900, "U/L", FRESH)}
    ordered = procedure_codes.ORDERED[actions.ACUTE_LIVER_ASSESSMENT.code]
    assert keys(asked(acute | {ordered: item(date(2026, 11, 1))})) == ("acute-liver-disease",)
    assert keys(asked(acute | {ordered: item(date(2026, 11, 2))})) == ()


@pytest.mark.parametrize("number", [0, 9_000_000])
def test_a_blood_test_or_a_stiffness_that_cannot_be_one_is_missing(number: float) -> None:
    for test in (measurement_codes.AST, measurement_codes.ALT, measurement_codes.PLATELETS):
        said = asked(labs(1.0) | {test: value(number, test.unit, FRESH)})
        assert keys(said) == ("blood-tests",)
        assert f"{test.title}: the value on record cannot be one" in missing(said)
    said = asked(labs(2.0) | {STIFFNESS: value(number, "kPa", FRESH)})
    assert keys(said) == ("elastography",)
    assert "liver stiffness: the value on record cannot be one" in missing(said)


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


@pytest.mark.parametrize("on", [date(2025, 11, 21), None])
def test_a_stiffness_from_8_kpa_older_than_12_months_or_undated_leads_to_elastography_not_to_fib_4(
    on: date | None,
) -> None:
    for kpa, first in ((8.0, "elastography"), (7.9, "repeat-fib4")):
        said = asked(labs(1.0) | {STIFFNESS: value(kpa, "kPa", on)})
        assert keys(said) == (first,)
        assert "liver stiffness" in missing(said)
    high = {STIFFNESS: value(15.0, "kPa", on)}
    assert "15 kPa" in {one.value for one in advice(asked(labs(1.0) | high)).inputs}
    assert keys(asked(high)) == ("elastography", "blood-tests")
    assert keys(asked(labs(3.0) | high)) == ("hepatology",)
    assert keys(asked(labs(1.0) | high | {ELASTOGRAPHY: item(date(2026, 10, 1))})) == ()


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
    assert keys(asked(facts | {ordered: item(date(2026, 11, 3))})) == ()
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


RANGES = {"ast": (10.0, 300.0), "alt": (10.0, 300.0), "platelets": (60.0, 400.0), "liver-stiffness": (2.0, 30.0)}
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
    one, other = (
        organ("liver", finding_codes.LIVER_ATTENUATION, hu),
        organ("spleen", finding_codes.SPLEEN_ATTENUATION, of_spleen),
    )
    seen = (answer(one, other), answer(STEATOSIS), answer(organ("other", finding_codes.LIVER_ATTENUATION, 48.0)))
    turned = (*reversed(seen[1:]), answer(other, one))
    assert liver(study(data, *seen)) == liver(study(data, *turned))


def test_scores_are_told_in_words() -> None:
    for facts in (labs(1.0), labs(2.0), labs(3.0), labs(2.0) | {STIFFNESS: value(9, "kPa")}):
        for risk in advice(asked(facts)).risks:
            assert "_" not in (risk.value or "")

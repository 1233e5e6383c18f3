"""Coronary calcium by the guideline of 2026: it was not verified, so it does not load."""

from __future__ import annotations

from datetime import date

from cds import action_codes as actions
from cds import condition_codes, measurement_codes, procedure_codes
from cds.domain.ehr import Known, SmokingStatus, Unknown
from cds.domain.recommendation import PathwayOutcome
from cds.pathways import load
from cds.pathways.calcium_2026 import calcium_2026
from tests.unit.clinical import NOT_FOUND
from tests.unit.pathway_records import advice, held, item, keys, missing, nothing, record, study, untold, value
from tests.unit.test_pathway_calcium import EXAMPLE, EXAMPLE_PERSON, by_class, score

#: The woman of the worked example without diabetes and with 130 mm Hg: below 10 %.
MODERATE_RISK = EXAMPLE | {
    condition_codes.DIABETES: NOT_FOUND,
    measurement_codes.SYSTOLIC: value(130, "mm[Hg]"),
    measurement_codes.LDL_CHOLESTEROL: value(120, "mg/dL"),
}
HIGH_RISK = EXAMPLE | {measurement_codes.TOTAL_CHOLESTEROL: value(300, "mg/dL")}


def asked(seen: object, facts: dict[object, object] | None = None, **changes: object) -> PathwayOutcome:
    """What the pathway says of the woman of the worked example."""
    told = MODERATE_RISK if facts is None else facts
    return calcium_2026(study(record(calcium_2026.asks, told, **(EXAMPLE_PERSON | changes)), seen))


def goal(outcome: PathwayOutcome) -> str:
    """What is said of LDL cholesterol."""
    return next(one.reason for one in advice(outcome).recommendations if one.key == "lipid-visit")


def test_it_does_not_load_outside_tests() -> None:
    assert all(rule.unverified for rule in calcium_2026.rules)
    assert calcium_2026.unverified
    assert "calcium" in load()
    assert "calcium_2026" not in load()
    assert "calcium_2026" in load(unverified=True)


def test_a_score_of_1000_or_more_leads_to_a_visit_on_lipid_treatment_and_to_cardiology() -> None:
    assert keys(asked(score(1000))) == ("lipid-visit", "cardiology")
    assert goal(asked(score(1000))) == "Goal for LDL cholesterol: below 55 mg/dL."
    assert keys(asked(score(999))) == ("lipid-visit",)


def test_a_score_of_300_to_999_is_treated_as_high_risk() -> None:
    for seen in (score(300), score(999), by_class("coronary-calcium-severe")):
        assert held(asked(seen), "severe")
    assert goal(asked(score(300))) == "Goal for LDL cholesterol: below 70 mg/dL."


def test_a_score_of_100_to_299_or_from_the_75th_percentile_on_is_treated_actively() -> None:
    for seen in (score(100), score(299), by_class("coronary-calcium-moderate")):
        assert held(asked(seen), "moderate")


def test_a_score_of_1_to_99_below_the_75th_percentile_leads_to_a_talk_on_a_statin() -> None:
    """The percentile is not computed: the pathway cannot tell, and does not take it for a low one."""
    outcome = untold(asked(score(99)))
    assert "percentile of the calcium score" in missing(outcome)


def test_a_10_year_risk_by_prevent_of_10_or_more_leads_to_a_statin_whatever_the_calcium() -> None:
    for seen in (score(0), score(50)):
        assert held(asked(seen, HIGH_RISK), "high-risk")


def test_a_score_of_0_at_a_risk_below_10_defers_treatment_for_3_to_7_years() -> None:
    nobody = MODERATE_RISK | {condition_codes.FAMILY_PREMATURE_HEART_DISEASE: NOT_FOUND}
    (step,) = advice(asked(score(0), nobody)).recommendations
    assert (step.key, step.not_before, step.by) == ("repeat-calcium", date(2029, 11, 2), date(2033, 11, 2))


def test_a_score_of_0_defers_nothing_with_diabetes_smoking_or_familial_hypercholesterolaemia() -> None:
    smoker = {"smoking_status": Known(SmokingStatus.CURRENT, date(2026, 9, 1), "x")}
    familial = MODERATE_RISK | {condition_codes.FAMILIAL_HYPERCHOLESTEROLAEMIA: item()}
    for outcome in (asked(score(0), EXAMPLE), asked(score(0), **smoker), asked(score(0), familial)):
        assert keys(outcome) == ("lipid-visit",)
        assert held(outcome, "exception")
    nobody_knows = MODERATE_RISK | {condition_codes.FAMILIAL_HYPERCHOLESTEROLAEMIA: Unknown("no feed")}
    untold(asked(score(0), nobody_knows))


def test_without_the_risk_by_prevent_the_pathway_cannot_tell() -> None:
    lacking = MODERATE_RISK | {measurement_codes.HDL_CHOLESTEROL: NOT_FOUND}
    assert "HDL cholesterol" in missing(untold(asked(score(500), lacking)))


def test_where_atherosclerotic_cardiovascular_disease_is_on_record_the_pathway_is_silent() -> None:
    nothing(asked(score(500), MODERATE_RISK | {condition_codes.ASCVD: item()}))


def test_what_is_ordered_is_not_asked_for_again() -> None:
    ordered = {
        procedure_codes.ORDERED[one.code]: item(date(2026, 11, 3))
        for one in (actions.LIPID_VISIT, actions.CARDIOLOGY_REFERRAL, actions.REPEAT_CALCIUM_SCORE)
    }
    for seen in (score(0), score(1200)):
        nothing(asked(seen, MODERATE_RISK | ordered))


def test_what_the_images_do_not_tell_is_nothing() -> None:
    nothing(asked(by_class(None)))
    nothing(asked(score(500), birth_date=Known(date(2010, 1, 1), None, "x")))

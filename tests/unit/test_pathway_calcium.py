"""The pathway of coronary calcium. From 100 on, or 1 to 99 from 55 years on: AHA/ACC 2018,
doi:10.1161/CIR.0000000000000625; classes: CAC-DRS 2018; the risk by PREVENT: doi:10.1161/CIRCULATIONAHA.123.067626."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, medication_codes, procedure_codes
from cds.domain.coding import Coding
from cds.domain.ehr import Known, SmokingStatus, Unknown
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.identity import Sex
from cds.domain.order import Priority
from cds.domain.recommendation import Indicator, PathwayOutcome
from cds.errors import InvalidInput
from cds.finding_codes import SIGHTLINE_OBSERVATION
from cds.pathways import _prevent
from cds.pathways._reasoning import Reasoning
from cds.pathways.calcium import calcium
from tests.unit.clinical import NOT_FOUND
from tests.unit.pathway_records import (
    MODEL_LIMIT,
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

VISIT_ORDERED = procedure_codes.ORDERED[actions.LIPID_VISIT.code]
CARDIOLOGY_ORDERED = procedure_codes.ORDERED[actions.CARDIOLOGY_REFERRAL.code]
PAIN = {condition_codes.CHEST_PAIN: item(date(2026, 11, 1), "Chest pain")}
LOW_LDL = {measurement_codes.LDL_CHOLESTEROL: value(120, "mg/dL")}
ON_STATIN = {medication_codes.STATIN: item(date(2026, 9, 1), "Atorvastatin")}
#: Khan 2024, table S12, worked example: woman of 50, 10-year risk of ASCVD 9.2 %.
EXAMPLE = {
    measurement_codes.TOTAL_CHOLESTEROL: value(200, "mg/dL"),
    measurement_codes.HDL_CHOLESTEROL: value(45, "mg/dL"),
    measurement_codes.SYSTOLIC: value(160, "mm[Hg]"),
    measurement_codes.BODY_MASS_INDEX: value(35, "kg/m2"),
    measurement_codes.EGFR_2021: value(90, "mL/min/{1.73_m2}"),
    condition_codes.DIABETES: item(text="Diabetes"),
    medication_codes.ANTIHYPERTENSIVE: item(text="Ramipril"),
}
EXAMPLE_PERSON = {
    "birth_date": Known(date(1976, 1, 1), None, "patient demographics"),
    "sex": Known(Sex.FEMALE, None, "patient demographics"),
    "smoking_status": Known(SmokingStatus.NEVER, date(2026, 9, 1), "questionnaire"),
}


def score(agatston: float) -> Findings:
    """A calcium scan's score."""
    return measured(finding_codes.CORONARY_CALCIUM_SCORE, agatston, "1", key="coronary_calcium_score")


def by_class(code: str | None, presence: Presence = Presence.PRESENT) -> Findings:
    """A class of a chest CT that was no calcium scan."""
    category = Coding(SIGHTLINE_OBSERVATION, code) if code else None
    return answer(Finding("coronary_calcification", finding_codes.CORONARY_CALCIFICATION, presence, category=category))


def born(years: int) -> dict[str, object]:
    """Somebody who is so many years old today."""
    return {"birth_date": Known(date(2026 - years, 11, 22), None, "patient demographics")}


def asked(seen: Findings, facts: dict[object, object] | None = None, **changes: object) -> PathwayOutcome:
    """What the pathway says of a woman of 63, unless said."""
    return calcium(study(record(calcium.asks, facts, **changes), seen))


def test_without_a_score_or_a_class_of_the_calcium_the_pathway_cannot_tell() -> None:
    for code in (None, "something-else"):
        assert "class of the coronary calcium" in missing(untold(asked(by_class(code))))
    assert keys(asked(by_class("coronary-calcium-moderate"))) == ("lipid-visit",)


def test_a_score_of_100_or_more_or_a_moderate_or_severe_class_leads_to_a_visit_on_lipid_treatment() -> None:
    for seen in (score(100), score(1200), by_class("coronary-calcium-moderate"), by_class("coronary-calcium-severe")):
        outcome = asked(seen, **born(45))
        assert keys(outcome) == ("lipid-visit",)
        assert held(outcome, "much")
        assert "percentile" not in missing(outcome)
    assert held(asked(score(99.9)), "much") is False
    assert held(asked(by_class("coronary-calcium-mild")), "much") is False
    assert advice(asked(score(300))).indicator is Indicator.WARNING
    assert advice(asked(score(299))).indicator is Indicator.INFO


def test_a_score_of_1_to_99_or_a_mild_class_leads_to_a_visit_on_lipid_treatment_from_55_years_on() -> None:
    for seen in (score(1), score(99.9), by_class("coronary-calcium-mild")):
        outcome = asked(seen, **born(55))
        assert keys(outcome) == ("lipid-visit",)
        assert held(outcome, "some")
        assert "percentile" not in missing(outcome)


def test_below_55_years_a_score_of_1_to_99_or_a_mild_class_leads_to_a_visit_that_asks_for_its_percentile() -> None:
    for seen in (score(1), score(99.9), by_class("coronary-calcium-mild")):
        outcome = asked(seen, **born(54))
        assert keys(outcome) == ("lipid-visit",)
        assert "percentile of the calcium for age and sex" in missing(outcome)


def test_with_coronary_calcium_ldl_cholesterol_of_190_mg_dl_or_more_leads_to_a_visit_with_a_statin_too() -> None:
    outcome = advice(asked(score(1), ON_STATIN | {measurement_codes.LDL_CHOLESTEROL: value(190, "mg/dL")}))
    assert keys(outcome) == ("lipid-visit",)
    assert any("190 mg/dL" in line for line in outcome.meaning)
    nothing(asked(score(1), ON_STATIN | {measurement_codes.LDL_CHOLESTEROL: value(189.9, "mg/dL")}))


def test_calcium_with_diabetes_leads_to_a_visit_on_lipid_treatment_where_no_statin_is_taken() -> None:
    diabetes = {condition_codes.DIABETES: item()}
    outcome = advice(asked(score(1), diabetes, **born(42)))
    assert keys(outcome) == ("lipid-visit",)
    assert any("With diabetes the guideline" in line for line in outcome.meaning)
    nothing(asked(score(1), ON_STATIN | LOW_LDL | diabetes))


def test_below_40_and_above_75_years_the_card_says_that_the_guideline_leaves_it_to_a_talk() -> None:
    for years, told in ((39, True), (40, False), (75, False), (76, True)):
        outcome = advice(asked(score(150), **born(years)))
        assert any("speaks of 40 to 75 years" in line for line in outcome.meaning) is told


def test_where_scores_and_classes_disagree_the_highest_counts_and_the_others_are_told() -> None:
    severe, none = by_class("coronary-calcium-severe"), by_class("coronary-calcium-none", Presence.NOT_DETECTED)
    outcome = advice(calcium(study(record(calcium.asks), score(0), severe)))
    assert outcome.summary == "Coronary calcium on 2026-11-02 (AI): class severe, no score."
    assert outcome.indicator is Indicator.WARNING
    assert any("Agatston score 0. The higher one counts" in line for line in outcome.meaning)
    against = advice(calcium(study(record(calcium.asks), score(150), none)))
    assert any("class none, no score" in line for line in against.meaning)
    alike = advice(calcium(study(record(calcium.asks), score(300), severe)))
    assert alike.summary == "Coronary calcium on 2026-11-02 (AI): Agatston score 300."
    assert not any("otherwise" in line for line in alike.meaning)
    assert held(alike, "contradiction") is False
    untold(calcium(study(record(calcium.asks), score(0), by_class(None))))


def test_where_a_statin_is_taken_the_visit_is_about_its_intensity() -> None:
    (step,) = advice(asked(score(250), ON_STATIN)).recommendations
    assert step.action == "Visit to discuss the intensity of the statin"
    (step,) = advice(asked(score(250))).recommendations
    assert step.action == "Visit to discuss lipid treatment"
    nobody_knows = asked(score(250), {medication_codes.STATIN: Unknown("no feed")})
    assert keys(nobody_knows) == ("lipid-visit",)
    assert "look at the medication list" in missing(nobody_knows)


def test_with_a_score_of_1_to_99_or_a_mild_class_a_statin_and_an_ldl_below_190_mg_dl_nothing_is_suggested() -> None:
    assert "a statin is on record" in nothing(asked(score(99), ON_STATIN | LOW_LDL)).reason
    assert keys(asked(score(100), ON_STATIN | LOW_LDL)) == ("lipid-visit",)
    for old in (NOT_FOUND, value(120, "mg/dL", date(2025, 11, 1))):
        nobody_knows = untold(asked(score(99), ON_STATIN | {measurement_codes.LDL_CHOLESTEROL: old}))
        assert "LDL cholesterol" in missing(nobody_knows)


def test_coronary_calcium_with_recent_chest_pain_is_referred_to_cardiology() -> None:
    first, second = advice(asked(score(150), PAIN)).recommendations
    assert (first.key, first.priority, second.key) == ("cardiology", Priority.URGENT, "lipid-visit")
    assert keys(asked(score(1), PAIN | ON_STATIN, **born(45))) == ("cardiology",)
    month, older = item(date(2026, 10, 23)), item(date(2026, 10, 22))
    assert "cardiology" in keys(asked(score(150), {condition_codes.CHEST_PAIN: month}))
    assert "cardiology" not in keys(asked(score(150), {condition_codes.CHEST_PAIN: older}))
    assert "chest pain" in missing(asked(score(150), {condition_codes.CHEST_PAIN: item(None)}))


def test_a_site_may_say_for_how_long_chest_pain_counts() -> None:
    data = record(calcium.asks, {condition_codes.CHEST_PAIN: item(date(2026, 10, 22))})
    assert "cardiology" in keys(calcium(study(data, score(150), site={"calcium.pain_days": "31"})))
    with pytest.raises(InvalidInput):
        calcium(study(data, score(150), site={"calcium.pain_days": "366"}))


def test_where_atherosclerotic_cardiovascular_disease_is_on_record_the_pathway_is_silent() -> None:
    nothing(asked(score(900), PAIN | {condition_codes.ASCVD: item()}))
    nobody_knows = asked(score(900), {condition_codes.ASCVD: Unknown("no feed")})
    assert keys(nobody_knows) == ("lipid-visit",)
    assert condition_codes.ASCVD.title in missing(nobody_knows)


def test_without_a_known_age_the_pathway_cannot_tell() -> None:
    assert "age" in missing(untold(asked(score(150), birth_date=Unknown("not stated"))))


def test_below_18_years_the_pathway_is_silent() -> None:
    assert nothing(asked(score(150), birth_date=Known(date(2008, 11, 3), None, "x"))).reason == "the patient is a child"
    assert keys(asked(score(150), birth_date=Known(date(2008, 11, 2), None, "x"))) == ("lipid-visit",)


def test_where_the_next_step_is_ordered_it_is_not_asked_for_again_cardiology_only_since_these_images() -> None:
    complete = EXAMPLE | {measurement_codes.LDL_CHOLESTEROL: value(120, "mg/dL")}
    ordered = complete | {VISIT_ORDERED: item(date(2026, 11, 1))}
    assert "open request" in nothing(asked(score(150), ordered, **EXAMPLE_PERSON)).reason
    assert keys(asked(score(150), PAIN | {CARDIOLOGY_ORDERED: item(date(2026, 11, 2))})) == ("lipid-visit",)
    older = advice(asked(score(150), PAIN | {CARDIOLOGY_ORDERED: item(date(2026, 11, 1))}))
    assert keys(older) == ("cardiology", "lipid-visit")
    assert any("older than these images" in note for note in older.notes)
    assert keys(asked(score(150), {VISIT_ORDERED: item(date(2025, 11, 1))})) == ("lipid-visit",)


def test_the_risk_by_prevent_is_shown_beside_the_calcium_and_does_not_decide() -> None:
    outcome = advice(asked(score(150), EXAMPLE, **EXAMPLE_PERSON))
    base, band = outcome.risks
    assert (base.value, base.horizon_years, band.value) == ("9.2 %", 10, "intermediate")
    assert base.probability == pytest.approx(0.092, abs=6e-5)
    assert keys(outcome) == keys(asked(score(150)))


def test_what_prevent_lacks_is_listed_and_it_is_not_computed() -> None:
    for one in EXAMPLE:
        if one.kind == "measurement":
            outcome = advice(asked(score(150), EXAMPLE | {one: NOT_FOUND}, **EXAMPLE_PERSON))
            assert outcome.risks[0].value is None
            assert one.title in missing(outcome)
            assert any("PREVENT was not computed" in note for note in outcome.notes)
    unknown = asked(score(150), EXAMPLE | {condition_codes.DIABETES: Unknown("no feed")}, **EXAMPLE_PERSON)
    assert advice(unknown).risks[0].value is None
    unasked = EXAMPLE_PERSON | {"smoking_status": Known(SmokingStatus.UNKNOWN, None, "x")}
    assert "smoking status" in missing(asked(score(150), EXAMPLE, **unasked))
    other = EXAMPLE_PERSON | {"sex": Known(Sex.OTHER, None, "x")}
    assert "neither female nor male" in missing(asked(score(150), EXAMPLE, **other))


def test_what_is_out_of_the_range_of_prevent_is_told() -> None:
    high = EXAMPLE | {measurement_codes.SYSTOLIC: value(181, "mm[Hg]")}
    assert any("SBP above 180" in note for note in advice(asked(score(150), high, **EXAMPLE_PERSON)).notes)


def test_an_installation_without_prevent_says_so() -> None:
    found = Reasoning("calcium", "title", calcium.source, study(record(calcium.asks, EXAMPLE, **EXAMPLE_PERSON)))
    assert _prevent.ascvd10(found, False, None) is None
    assert "not installed" in found.notes[0]
    assert found.risks == []


def test_no_calcium_makes_no_card_and_excludes_nothing() -> None:
    for seen in (score(0), by_class("coronary-calcium-none", Presence.NOT_DETECTED)):
        assert "does not exclude" in nothing(asked(seen)).reason
    assert nothing(calcium(study(record(calcium.asks)))).steps == ()
    refused = replace(by_class(None).findings[0], presence=Presence.NOT_EVALUATED, reason="there is contrast medium")
    assert "there is contrast medium" in missing(untold(asked(answer(refused))))


def test_a_score_that_is_none_is_refused() -> None:
    for seen in (score(-1), measured(finding_codes.CORONARY_CALCIUM_SCORE, 150, "mm3")):
        with pytest.raises(InvalidInput):
            asked(seen)


def test_a_class_is_told_as_a_class() -> None:
    outcome = advice(asked(by_class("coronary-calcium-severe")))
    assert outcome.summary == "Coronary calcium on 2026-11-02 (AI): class severe, no score."
    assert any("no calcium scan" in line for line in outcome.meaning)
    assert outcome.limits[0] == MODEL_LIMIT


RANGES = {one.name: (10.0, 400.0) for one in calcium.asks if one.kind == "measurement"}
RANDOM = records(calcium, RANGES)
SEEN = st.floats(0, 2000).map(score) | st.sampled_from(("mild", "moderate", "severe")).map(
    lambda name: by_class(f"coronary-calcium-{name}")
)


@settings(max_examples=30, deadline=None)
@given(SEEN, RANDOM)
def test_known_disease_a_statin_and_open_requests_never_raise_nor_add(seen: Findings, data: object) -> None:
    for one in (condition_codes.ASCVD, medication_codes.STATIN, VISIT_ORDERED, CARDIOLOGY_ORDERED):
        base = calcium(study(with_fact(data, one, NOT_FOUND), seen))
        after = calcium(study(with_fact(data, one, item(date(2026, 11, 1))), seen))
        assert urgency(after) <= urgency(base)
        assert set(keys(after)) <= set(keys(base))


@settings(max_examples=30, deadline=None)
@given(SEEN, RANDOM)
def test_what_nobody_could_be_asked_never_reads_as_normal(seen: Findings, data: object) -> None:
    before = calcium(study(data, seen))
    for one in (one for one in calcium.asks if one.kind != "answer"):
        assert is_as_good(before, calcium(study(without(data, one), seen)), one.title)


@settings(max_examples=20, deadline=None)
@given(SEEN, SEEN)
def test_the_order_of_the_findings_does_not_matter(one: Findings, other: Findings) -> None:
    data = record(calcium.asks)
    assert calcium(study(data, one, other)) == calcium(study(data, other, one))

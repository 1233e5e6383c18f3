"""Change since the earlier study, rule by rule, at the limits of each published threshold."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import action_codes as actions
from cds import finding_codes
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import EhrData
from cds.domain.finding import Change, Finding, Findings, ModelOutcome, NotEvaluated, Presence
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, Case, Indicator, NothingToSay, PathwayOutcome, Recommendation, Source
from cds.pathways import evaluate
from cds.pathways.card import detail
from cds.pathways.change import change
from cds.pathways.merging import merged
from tests.unit.clinical import STUDY_DATE, STUDY_UID, TODAY, ehr, known_item
from tests.unit.nodule_cases import applied

TRACKED = "1.2.826.0.1.3680043.8.498.77"
ERROR = "a test-retest study"


def grown(
    code: Coding,
    then: float,
    now: float,
    days: int = 365,
    *,
    unit: str = "mm",
    beyond: bool | None = True,
    doubling: float | None = None,
    key: str = "it",
    name: str = "",
) -> Finding:
    """A finding that was another one before."""
    by = now - then
    since = Change(
        prior_study_instance_uid="1.2.3",
        prior_date=STUDY_DATE - timedelta(days=days),
        days=days,
        prior=Quantity(then, unit),
        absolute=by,
        percent=100.0 * by / then,
        per_year=by / days * 365.25,
        beyond_error=beyond,
        error=ERROR if beyond is not None else "",
        doubling_days=doubling,
    )
    return Finding(key, code, Presence.PRESENT, Quantity(now, unit), tracking_id=name, change=since)


def case_of(*findings: Finding, data: EhrData | None = None, model: str = "m") -> Case:
    outcome = Findings(model, "1.0", f"{STUDY_UID}.2", findings, ("A limit.",))
    return Case(STUDY_DATE, STUDY_UID, "CT", (outcome,), data or ehr(), TODAY)


def said(*findings: Finding, data: EhrData | None = None) -> PathwayOutcome:
    return change(case_of(*findings, data=data))


def advice(*findings: Finding, data: EhrData | None = None) -> Advice:
    told = said(*findings, data=data)
    assert isinstance(told, Advice), told
    return told


def steps(told: Advice) -> list[Coding]:
    return [one.code for one in told.recommendations]


def raises(told: PathwayOutcome) -> bool:
    return isinstance(told, Advice) and bool(told.raises)


NODULE, AAA = finding_codes.LUNG_NODULE, finding_codes.ABDOMINAL_AORTA


def test_a_lung_nodule_that_grew_by_more_than_1_5_mm_within_12_months_is_looked_at_earlier() -> None:
    told = advice(grown(NODULE, 6.0, 7.75, key="nodule"))
    assert steps(told) == [actions.EARLIER_FOLLOW_UP]
    assert told.raises == ("m.nodule",)
    assert told.recommendations[0].source.url == "https://doi.org/10.1016/j.chest.2023.10.028"
    assert not raises(said(grown(NODULE, 6.0, 7.5)))
    assert not raises(said(grown(NODULE, 6.0, 7.75, days=730)))
    assert raises(said(grown(NODULE, 6.0, 9.25, days=730)))
    assert raises(said(grown(finding_codes.NODULE_SOLID_PART, 0.6, 0.8, unit="cm")))
    assert isinstance(said(grown(NODULE, 9.0, 6.0)), NothingToSay)


def test_a_lung_nodule_whose_volume_doubles_in_less_than_400_days_is_referred_to_the_nodule_clinic() -> None:
    told = advice(grown(NODULE, 200.0, 400.0, unit="mm3", doubling=399.9))
    assert steps(told) == [actions.NODULE_CLINIC_REFERRAL]
    assert "doubles its volume in 399 days" in detail(told)
    assert not raises(said(grown(NODULE, 200.0, 400.0, unit="mm3", doubling=400.0)))
    assert not raises(said(grown(NODULE, 200.0, 220.0, unit="mm3")))


def test_a_lung_nodule_of_4_mm_or_more_that_the_compared_study_did_not_have_is_looked_at_earlier() -> None:
    other = grown(finding_codes.LAA_950, 10.0, 10.0, unit="%", beyond=False, key="laa_950")

    def new(size: float, name: str = TRACKED) -> Finding:
        return Finding("nodule", NODULE, Presence.PRESENT, Quantity(size, "mm"), tracking_id=name)

    told = advice(new(4.0), other)
    assert (steps(told), told.raises) == ([actions.EARLIER_FOLLOW_UP], ("m.nodule",))
    assert "not there in the compared earlier study" in detail(told)
    assert isinstance(said(new(3.9), other), NothingToSay)
    assert isinstance(said(new(9.0)), NothingToSay)  # nothing of it was compared: it may be as old as it likes
    assert isinstance(said(new(9.0, name="2"), other), NothingToSay)  # a number of one study names no lesion of another


def test_an_abdominal_aneurysm_of_30_mm_that_grew_by_5_mm_in_6_months_or_10_mm_a_year_goes_to_vascular_surgery() -> (
    None
):
    for finding in (grown(AAA, 40.0, 45.0, days=183), grown(AAA, 4.0, 5.0, unit="cm"), grown(AAA, 40, 61, days=730)):
        told = advice(finding)
        assert steps(told) == [actions.VASCULAR_SURGERY_REFERRAL]
        assert (told.indicator, told.recommendations[0].priority) == (Indicator.WARNING, Priority.URGENT)
    for finding in (
        grown(AAA, 40.0, 44.9, days=183),
        grown(AAA, 40.0, 49.9),
        grown(AAA, 40.0, 45.0, days=184),
        grown(AAA, 19.0, 29.9),
    ):
        assert isinstance(said(finding), NothingToSay)


def test_an_ascending_aorta_of_40_mm_that_grew_by_5_mm_in_a_year_is_referred_to_cardiology_or_cardiac_surgery() -> None:
    code = finding_codes.ASCENDING_AORTA
    assert steps(advice(grown(code, 40.0, 45.0))) == [actions.THORACIC_AORTA_REFERRAL]
    assert isinstance(said(grown(code, 40.0, 44.9)), NothingToSay)
    assert isinstance(said(grown(code, 40.0, 45.0, days=730)), NothingToSay)
    assert steps(advice(grown(code, 35.0, 40.0))) == [actions.THORACIC_AORTA_REFERRAL]
    for then, now in ((33.0, 39.9), (20.0, 39.0)):
        assert isinstance(said(grown(code, then, now)), NothingToSay)


def test_an_intracerebral_haemorrhage_that_grew_by_more_than_6_ml_or_by_more_than_33_is_told_at_once() -> None:
    for then, now in ((30.0, 36.5), (6.0, 8.0)):
        told = advice(grown(finding_codes.IPH_VOLUME, then, now, days=1, unit="mL"))
        call = told.recommendations[0]
        assert (call.code, call.priority, call.acr_category) == (actions.STROKE_TEAM_CALL, Priority.STAT, 1)
        assert (told.indicator, call.by) == (Indicator.CRITICAL, TODAY)
    for then, now in ((30.0, 36.0), (100.0, 106.0), (3.0, 3.98)):
        assert isinstance(said(grown(finding_codes.IPH_VOLUME, then, now, days=1, unit="mL")), NothingToSay)


def test_a_change_for_the_worse_beyond_the_error_that_has_no_published_threshold_is_told_and_raises_nothing() -> None:
    worse = (
        grown(finding_codes.LAA_950, 10.0, 14.0, unit="%"),
        grown(finding_codes.HIPPOCAMPAL_VOLUME, 3.5, 3.1, unit="mL"),
    )
    for finding in worse:
        told = advice(finding)
        assert (told.recommendations, told.raises, told.indicator) == ((), (), Indicator.INFO)
        assert applied(told)["told"] is True
    better = (
        grown(finding_codes.LAA_950, 14.0, 10.0, unit="%"),
        grown(finding_codes.HIPPOCAMPAL_VOLUME, 3.1, 3.5, unit="mL"),
    )
    for finding in better:
        assert isinstance(said(finding), NothingToSay)
    assert isinstance(said(replace(worse[0], change=replace(worse[0].change, beyond_error=None))), NothingToSay)


@pytest.mark.parametrize(
    "finding",
    [
        grown(NODULE, 6.0, 9.0, beyond=None),
        grown(AAA, 40.0, 52.0, beyond=None),
        grown(finding_codes.IPH_VOLUME, 30.0, 41.9, unit="mL", beyond=None),
    ],
)
def test_growth_that_reaches_a_threshold_but_is_not_known_to_be_beyond_the_error_is_told_as_such_and_raises_nothing(
    finding: Finding,
) -> None:
    told = advice(finding)
    assert (told.recommendations, told.raises, told.indicator) == ((), (), Indicator.INFO)
    assert "It is not known to be beyond the error of the measurement." in detail(told)
    assert told.missing[0].endswith("How to get it: compare both studies side by side")


@pytest.mark.parametrize(
    ("finding", "priority"),
    [
        (grown(NODULE, 6.0, 9.1, beyond=None), Priority.URGENT),
        (grown(NODULE, 200.0, 900.0, unit="mm3", doubling=199.0, beyond=None), Priority.URGENT),
        (grown(AAA, 40.0, 60.0, beyond=None), Priority.URGENT),
        (grown(AAA, 40.0, 50.0, days=183, beyond=None), Priority.URGENT),
        (grown(AAA, 40.0, 52.0, days=200, beyond=None), Priority.URGENT),  # 21.9 mm a year
        (grown(NODULE, 6.0, 7.6, days=182, beyond=None), Priority.URGENT),  # 3.2 mm a year
        (grown(finding_codes.ASCENDING_AORTA, 40.0, 45.0, days=182, beyond=None), Priority.URGENT),  # 10.03 mm a year
        (grown(finding_codes.ASCENDING_AORTA, 40.0, 50.0, beyond=None), Priority.URGENT),
        (grown(finding_codes.IPH_VOLUME, 30.0, 42.5, unit="mL", beyond=None), Priority.STAT),
    ],
)
def test_growth_of_twice_a_threshold_in_all_or_by_the_year_with_an_unknown_error_is_compared_by_a_radiologist_now(
    finding: Finding, priority: Priority
) -> None:
    told = advice(finding)
    (step,) = told.recommendations
    assert (step.code, step.priority, told.raises) == (actions.COMPARE_STUDIES, priority, ())
    assert told.indicator is (Indicator.CRITICAL if priority is Priority.STAT else Indicator.WARNING)
    assert any("m 1.0" in text for text in step.because)
    assert "the error of the measurement is not known" in step.reason
    for on, again in ((STUDY_DATE - timedelta(days=1), True), (STUDY_DATE, False)):
        asked = ehr(requests={"compare-studies-request": known_item(on=on)})
        assert bool(advice(finding, data=asked).recommendations) is again


@pytest.mark.parametrize(
    "finding",
    [
        grown(NODULE, 6.0, 9.0, beyond=None),
        grown(NODULE, 200.0, 900.0, unit="mm3", doubling=200.0, beyond=None),
        grown(AAA, 40.0, 59.9, beyond=None),
        grown(AAA, 40.0, 52.0, days=220, beyond=None),  # 19.9 mm a year
        grown(finding_codes.ASCENDING_AORTA, 40.0, 49.9, beyond=None),
        grown(finding_codes.ASCENDING_AORTA, 25.0, 39.9, beyond=None),
    ],
)
def test_growth_below_twice_a_threshold_is_compared_by_nobody_at_once(finding: Finding) -> None:
    told = said(finding)
    assert not isinstance(told, Advice) or told.recommendations == ()


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    code=st.sampled_from([AAA, finding_codes.ASCENDING_AORTA, NODULE]),
    by=st.floats(0.5, 40.0),
    days=st.lists(st.integers(1, 1500), min_size=2, max_size=2, unique=True).map(sorted),
    beyond=st.sampled_from([True, None]),
)
def test_the_same_growth_in_fewer_days_is_never_milder(code: Coding, by: float, days: list[int], beyond: bool) -> None:
    def rank(took: int) -> tuple[bool, int, bool]:
        told = said(grown(code, 45.0, 45.0 + by, days=took, beyond=beyond))
        steps_ = told.recommendations if isinstance(told, Advice) else ()
        return raises(told), len(steps_), isinstance(told, Advice)

    sooner, later = days
    assert rank(sooner) >= rank(later)


PALLIATIVE = ehr(conditions={"palliative-care": known_item()})


def test_in_palliative_care_a_growing_haemorrhage_is_told_and_no_other_change() -> None:
    bleed = grown(finding_codes.IPH_VOLUME, 20.0, 30.0, days=1, unit="mL", key="bleed")
    others = (grown(NODULE, 6.0, 9.0), grown(finding_codes.LAA_950, 10.0, 14.0, unit="%"))
    (told,) = evaluate(case_of(bleed, *others, data=PALLIATIVE), {"change"})
    assert isinstance(told, Advice)
    assert (steps(told), told.raises) == ([actions.STROKE_TEAM_CALL], ("m.bleed",))
    assert any("speak to who leads it" in text for text in told.meaning)
    (silent,) = evaluate(case_of(*others, data=PALLIATIVE), {"change"})
    assert silent == NothingToSay("change", "palliative or hospice care is on record", silent.steps)
    assert applied(silent)["palliative"] is True
    assert len(steps(advice(bleed, *others))) == 2


def test_values_are_told_as_people_write_them() -> None:
    told = advice(grown(finding_codes.IPH_VOLUME, 20.0, 30.0, days=1, unit="cm3"))
    assert "30 mL now, 20 mL on 2026-11-01 (+10 mL, 1 day)" in detail(told)
    score = advice(grown(finding_codes.CORONARY_CALCIUM_SCORE, 600.0, 1234.0, unit="1"))
    assert "1234 now, 600 on" in detail(score)
    bone = advice(grown(finding_codes.VERTEBRAL_ATTENUATION, 120.0, 90.0, unit="[hnsf'U]"))
    assert "90 HU now, 120 HU on 2025-11-02 (-30 HU, 365 days)" in detail(bone).replace("\\", "")


def test_an_order_from_before_the_images_does_not_know_of_the_growth() -> None:
    old = ehr(requests={"vascular-surgery-referral-request": known_item(on=STUDY_DATE - timedelta(days=1))})
    told = advice(grown(AAA, 40.0, 52.0), data=old)
    assert steps(told) == [actions.VASCULAR_SURGERY_REFERRAL]
    assert any("older than these images" in text for text in told.notes)


def test_another_acquisition_is_the_reason_why_the_error_is_not_known() -> None:
    finding = grown(NODULE, 6.0, 9.0, beyond=None)
    other = replace(finding, change=replace(finding.change, note="kernel was B and is F"))
    assert "kernel was B and is F" in advice(other).missing[0]


def test_a_change_within_the_error_of_the_measurement_makes_no_card() -> None:
    for finding in (grown(NODULE, 6.0, 9.0, beyond=False), grown(finding_codes.LAA_950, 1, 9, unit="%", beyond=False)):
        told = said(finding)
        assert isinstance(told, NothingToSay)
        assert applied(told)["within-error"] is True


def test_what_was_asked_for_already_is_not_asked_for_again_but_what_rests_on_the_growth_is_still_raised() -> None:
    asked = ehr(requests={"vascular-surgery-referral-request": known_item(on=date(2026, 11, 10))})
    told = advice(grown(AAA, 40.0, 52.0, key="aorta"), data=asked)
    assert (told.recommendations, told.raises) == ((), ("m.aorta",))
    assert "an open request is on record (2026-11-10" in detail(told)


def test_nothing_compared_and_a_refusal_are_nothing_to_say() -> None:
    assert isinstance(said(), NothingToSay)
    assert isinstance(said(Finding("laa_950", finding_codes.LAA_950, Presence.MEASURED)), NothingToSay)
    refused = replace(case_of(), outcomes=(NotEvaluated("m", "1.0", ("no series",)),))
    assert isinstance(change(refused), NothingToSay)


def test_every_step_that_rests_on_the_finding_is_raised_and_no_other() -> None:
    def resting(pathway: str, key: str) -> Advice:
        here = Source("s", "https://example.org")
        step = Recommendation(pathway, "a step", Coding("urn:x", pathway), "why", here)
        return Advice(pathway, pathway, "s", Indicator.INFO, here, (step,), (), (key,))

    growth = advice(grown(NODULE, 6.0, 9.0, key="nodule"))
    both = merged((resting("lung", "nodule"), growth, resting("liver", "liver_attenuation")))
    priorities = {one.pathway: one.recommendations[0].priority for one in both if isinstance(one, Advice)}
    assert priorities["lung"] is Priority.URGENT
    assert priorities["liver"] is Priority.ROUTINE


def of_two_models(nodule: Finding, liver: Finding) -> dict[str, Advice]:
    """What change, the nodule and the liver say of two models that call their findings alike."""
    models = (case_of(nodule, model="nodules").outcomes[0], case_of(liver, model="livers").outcomes[0])
    asked = replace(case_of(), outcomes=models)
    told = merged(evaluate(asked, {"change", "lung_nodule", "calcium"}))
    return {one.pathway: one for one in told if isinstance(one, Advice)}


CALCIUM = Finding("it", finding_codes.CORONARY_CALCIUM_SCORE, Presence.MEASURED, Quantity(150, "1"))


def test_a_finding_of_another_model_with_the_same_key_is_not_raised() -> None:
    kind = finding_codes.NODULE_SOLID
    told = of_two_models(replace(grown(NODULE, 4.0, 7.0), category=kind), CALCIUM)
    assert told["change"].raises == ("nodules.it",)
    assert "nodules.it" in told["change"].rests_on
    assert told["lung_nodule"].rests_on == ("nodules.it",)
    assert told["calcium"].rests_on == ("livers.it",)
    assert any("Raised because of change" in text for text in told["lung_nodule"].recommendations[0].because)
    assert not [one for one in told["calcium"].recommendations if any("Raised" in text for text in one.because)]


def test_of_two_models_that_call_a_finding_alike_the_other_one_raises_nothing_either() -> None:
    still = Finding("it", NODULE, Presence.PRESENT, Quantity(7.0, "mm"), category=finding_codes.NODULE_SOLID)
    told = of_two_models(still, grown(AAA, 40.0, 52.0))
    assert told["change"].raises == ("livers.it",)
    assert not any("Raised" in text for text in told["lung_nodule"].recommendations[0].because)


def test_two_models_that_measure_the_same_both_raise() -> None:
    still = Finding("it", NODULE, Presence.PRESENT, Quantity(6.9, "mm"), category=finding_codes.NODULE_SOLID)
    for grew in (grown(NODULE, 4.0, 7.0), grown(NODULE, 4.0, 7.2)):
        told = of_two_models(still, replace(grew, category=finding_codes.NODULE_SOLID))
        assert told["lung_nodule"].rests_on == ("livers.it", "nodules.it")
        assert any("Raised" in text for text in told["lung_nodule"].recommendations[0].because)


def test_one_model_alone_names_its_findings_by_their_keys() -> None:
    told = evaluate(case_of(CALCIUM), {"calcium"})[0]
    assert isinstance(told, Advice)
    assert told.rests_on == ()


def test_several_lesions_of_one_kind_are_one_step_and_each_is_raised() -> None:
    lesion, whole = finding_codes.IPH_LESION, finding_codes.IPH_VOLUME
    told = advice(
        grown(lesion, 5.0, 9.0, unit="mL", key="iph_lesion-1", name=TRACKED),
        grown(whole, 12.0, 20.0, unit="mL", key="iph_volume"),
    )
    assert steps(told) == [actions.STROKE_TEAM_CALL]
    assert set(told.raises) == {"m.iph_lesion-1", "m.iph_volume"}


FINDINGS = st.lists(
    st.builds(
        grown,
        st.sampled_from([NODULE, AAA, finding_codes.IPH_VOLUME, finding_codes.LAA_950, finding_codes.ASCENDING_AORTA]),
        st.floats(3.0, 60.0),
        st.floats(3.0, 60.0),
        st.integers(1, 900),
        unit=st.sampled_from(["mm", "cm", "mL", "%"]),
        beyond=st.sampled_from([True, False, None]),
        doubling=st.one_of(st.none(), st.floats(10, 900)),
        key=st.sampled_from(["a", "b", "c", "d"]),
    ),
    max_size=4,
    unique_by=lambda finding: finding.key,
)


def without_error(case: Case) -> Case:
    """The same, where the error of no measurement is known."""

    def one(outcome: ModelOutcome) -> ModelOutcome:
        if not isinstance(outcome, Findings):
            return outcome
        found = (replace(f, change=f.change and replace(f.change, beyond_error=None)) for f in outcome.findings)
        return replace(outcome, findings=tuple(found))

    return replace(case, outcomes=tuple(map(one, case.outcomes)))


@settings(derandomize=True, deadline=None, max_examples=100)
@given(findings=FINDINGS)
def test_without_a_known_error_nothing_is_raised_and_growth_is_still_told(findings: list[Finding]) -> None:
    case = case_of(*findings)
    before, after = change(case), change(without_error(case))
    assert not raises(after)
    assert not isinstance(after, Advice) or {one.code for one in after.recommendations} <= {actions.COMPARE_STUDIES}
    if raises(before):
        assert isinstance(after, Advice)
        assert {name.removeprefix("m.") for name in before.raises} <= set(after.finding_keys)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(findings=FINDINGS, turn=st.randoms(use_true_random=False))
def test_the_order_of_findings_does_not_matter(findings: list[Finding], turn: Any) -> None:
    turned = list(findings)
    turn.shuffle(turned)
    one, other = change(case_of(*findings)), change(case_of(*turned))
    assert replace(one, steps=()) == replace(other, steps=())
    assert sorted(map(repr, one.steps)) == sorted(map(repr, other.steps))


@settings(derandomize=True, deadline=None, max_examples=100)
@given(findings=FINDINGS)
def test_a_request_on_record_never_adds_a_step(findings: list[Finding]) -> None:
    codes = (
        "compare-studies",
        "vascular-surgery-referral",
        "thoracic-aorta-referral",
        "earlier-follow-up",
        "stroke-team-call",
    )
    asked = ehr(requests={f"{code}-request": known_item(on=date(2026, 11, 10)) for code in codes})
    before, after = said(*findings), said(*findings, data=asked)
    assert type(before) is type(after)
    if isinstance(before, Advice) and isinstance(after, Advice):
        assert set(steps(after)) <= set(steps(before))
        assert len(after.summary) < 140

"""The follow-up after pneumonia, rule by rule: each test is named as the sentence that it holds."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import action_codes as actions
from cds import condition_codes, procedure_codes
from cds.codes import ValueSet
from cds.domain.ehr import EhrData, Fact, Known, SmokingStatus, Unknown
from cds.domain.finding import Finding, Presence
from cds.domain.recommendation import Advice, CouldNotTell, NothingToSay, PathwayOutcome
from cds.errors import InvalidInput
from cds.pathways import load
from cds.pathways.pneumonia_follow_up import pneumonia_follow_up
from tests.unit import infection_cases as cases
from tests.unit.clinical import NOT_FOUND, SOURCE, STUDY_DATE, case
from tests.unit.infection_cases import consolidation, effusion, film, pneumonia_sign
from tests.unit.pathway_records import advice, item, keys, missing, nothing, urgency, with_fact, without

GUIDELINE = "pneumonia_follow_up.guideline"
BTS = {GUIDELINE: "bts-2009"}
ORDER = procedure_codes.ORDERED[actions.FOLLOW_UP_CHEST_X_RAY.code]


def smoking(status: SmokingStatus) -> Known[SmokingStatus]:
    return Known(status, date(2026, 9, 1), SOURCE)


def patient(facts: dict[ValueSet, Fact[object]] | None = None, *, born: date = cases.BORN, **more: object) -> EhrData:
    """Somebody of 53 years who coughs and never smoked."""
    status = {"smoking_status": smoking(SmokingStatus.NEVER)} | more
    return cases.patient(pneumonia_follow_up.asks, facts, born=born, **status)


def outcome(
    data: EhrData, *findings: Finding, site: dict[str, str] | None = None, today: date = STUDY_DATE
) -> PathwayOutcome:
    """What the pathway says at a site that follows BTS 2009, on the day of the images."""
    return pneumonia_follow_up(film(data, *findings, site=BTS if site is None else site, today=today))


def test_a_site_that_has_not_decided_between_bts_2009_and_ats_idsa_2019_is_told_nothing() -> None:
    assert "has not decided" in nothing(outcome(patient(), site={})).reason
    assert keys(outcome(patient())) == ("follow-up-image",)
    with pytest.raises(InvalidInput):
        outcome(patient(), site={GUIDELINE: "other"})


def test_under_ats_idsa_2019_no_follow_up_image_is_suggested() -> None:
    assert "without routine follow-up" in nothing(outcome(patient(), site={GUIDELINE: "ats-idsa-2019"})).reason


@pytest.mark.parametrize(("days", "told"), [(-8, "nothing"), (-7, "advice"), (7, "advice"), (None, "could-not-tell")])
def test_consolidation_or_pneumonia_counts_with_an_acute_symptom_or_a_diagnosis_within_7_days(
    days: int | None, told: str
) -> None:
    on = None if days is None else STUDY_DATE + timedelta(days=days)
    for sign in (condition_codes.FEVER, condition_codes.PNEUMONIA):
        data = patient({condition_codes.COUGH: NOT_FOUND, sign: item(on)})
        assert outcome(data, consolidation()).kind == told
        assert outcome(data, pneumonia_sign()).kind == told
    assert isinstance(outcome(patient(), effusion()), NothingToSay)
    assert isinstance(outcome(patient(), consolidation(Presence.NOT_DETECTED)), NothingToSay)
    assert nothing(pneumonia_follow_up(case())).steps == ()


def test_the_pathway_is_for_adults_of_18_years_or_more() -> None:
    smokes = smoking(SmokingStatus.CURRENT)
    assert "adults" in nothing(outcome(patient(born=date(2008, 11, 3), smoking_status=smokes))).reason
    assert keys(outcome(patient(born=date(2008, 11, 2), smoking_status=smokes))) == ("follow-up-image",)


def test_images_older_than_12_months_lead_to_no_follow_up_image() -> None:
    assert keys(outcome(patient(), today=date(2027, 11, 2))) == ("follow-up-image",)
    assert "older" in nothing(outcome(patient(), today=date(2027, 11, 3))).reason


# BTS 2009: "especially smokers and those aged >50 years" (doi:10.1136/thx.2009.121434).
@pytest.mark.parametrize(("born", "status", "told"), [
    (date(1975, 11, 2), SmokingStatus.NEVER, "advice"), (date(1975, 11, 3), SmokingStatus.NEVER, "nothing"),
    (date(1990, 1, 1), SmokingStatus.CURRENT, "advice"), (date(1990, 1, 1), SmokingStatus.FORMER, "nothing"),
    (date(1990, 1, 1), SmokingStatus.UNKNOWN, "could-not-tell"), (date(1970, 1, 1), SmokingStatus.UNKNOWN, "advice"),
])  # fmt: skip
def test_under_bts_2009_who_smokes_or_is_older_than_50_years_is_imaged_again_after_6_weeks(
    born: date, status: SmokingStatus, told: str
) -> None:
    said = outcome(patient(born=born, smoking_status=smoking(status)))
    assert said.kind == told
    assert ("smoking" in missing(said)) is (told == "could-not-tell")
    if told == "advice":
        step = advice(said).recommendations[0]
        assert (step.code, step.not_before, step.by) == (actions.FOLLOW_UP_CHEST_X_RAY, date(2026, 12, 14), None)
        assert len(advice(said).summary) < 140


def test_a_follow_up_that_is_due_already_is_for_today() -> None:
    step = advice(outcome(patient(), today=date(2026, 12, 14))).recommendations[0]
    assert (step.not_before, step.by) == (None, date(2026, 12, 14))


@pytest.mark.parametrize("kind", [procedure_codes.CHEST_X_RAY, procedure_codes.CHEST_CT])
@pytest.mark.parametrize(("days", "silent"), [(-30, False), (0, False), (20, False), (21, True), (60, True)])
def test_a_chest_x_ray_or_ct_from_3_weeks_after_the_images_on_stands_for_the_follow_up_image(
    kind: ValueSet, days: int, silent: bool
) -> None:
    said = outcome(patient({kind: item(STUDY_DATE + timedelta(days=days))}), today=date(2027, 1, 10))
    assert isinstance(said, NothingToSay) is silent
    if days == 20:
        assert any("too early" in note for note in advice(said).notes)
    for unknown in (item(None), Unknown("nobody was asked")):
        told = advice(outcome(patient({kind: unknown})))
        assert keys(told) == ("follow-up-image",)
        assert kind.title in missing(told)


def test_where_a_follow_up_image_is_ordered_it_is_not_asked_for_again() -> None:
    assert "ordered" in nothing(outcome(patient({ORDER: item(date(2026, 11, 3))}))).reason
    assert keys(outcome(patient({ORDER: item(date(2025, 11, 1))}))) == ("follow-up-image",)


STATUSES = st.one_of(st.sampled_from(SmokingStatus).map(smoking), st.just(Unknown("nobody could be asked")))
RECORDS = st.builds(
    lambda data, status: replace(data, smoking_status=status),
    cases.acute_records(pneumonia_follow_up.asks),
    STATUSES,
)


@settings(max_examples=60)
@given(data=RECORDS, findings=cases.FINDINGS, lost=st.sampled_from(cases.coded(pneumonia_follow_up.asks)))
def test_an_input_that_is_lost_never_reads_as_normal_and_an_order_adds_no_step(
    data: EhrData, findings: list[Finding], lost: ValueSet
) -> None:
    before, after = outcome(data, *findings), outcome(without(data, lost), *findings)
    assert not isinstance(before, Advice) or isinstance(after, Advice | CouldNotTell)
    ordered = outcome(with_fact(data, ORDER, item(STUDY_DATE + timedelta(days=1))), *findings)
    assert set(keys(ordered)) <= set(keys(before))
    assert urgency(ordered) <= urgency(before)


@settings(max_examples=40)
@given(data=RECORDS, findings=cases.FINDINGS, order=st.randoms(use_true_random=False))
def test_the_order_of_the_findings_does_not_matter(
    data: EhrData, findings: list[Finding], order: random.Random
) -> None:
    shuffled = list(findings)
    order.shuffle(shuffled)
    assert outcome(data, *findings) == outcome(data, *shuffled)


def test_it_loads() -> None:
    assert load()["pneumonia_follow_up"] is pneumonia_follow_up

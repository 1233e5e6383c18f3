"""What the release keeps from referral is in no resource, and the findings stay (SAFETY section 4)."""

from __future__ import annotations

import json

from cds.domain.report import Audience, Release
from tests.unit.fhir_samples import ADVICE, bodies, emitted, report

WAITS = "waits for a radiologist's verification"
CLOSED = Release(frozenset({Audience.RADIOLOGIST}), (f"ehr: {WAITS} too", f"referral: {WAITS}"))


def test_recommendations_scores_and_what_they_rest_on_are_kept_back() -> None:
    said = emitted(report(release=CLOSED))
    assert not [r for r in said if r.type == "RiskAssessment"]
    text = json.dumps([r.body for r in said])
    for kept in ("Spirometry", "no spirometry found", "Screening", "smoking status", "pack-years", "plco-test"):
        assert kept not in text


def test_the_findings_stay() -> None:
    assert bodies(report(release=CLOSED), "Observation") == bodies(report(), "Observation")
    [body] = bodies(report(release=CLOSED), "DiagnosticReport")
    assert "Low attenuation area below -950 HU: 12.5 %" in body["conclusion"]


def test_the_conclusion_says_why_there_is_no_recommendation_whether_or_not_there_would_be_one() -> None:
    for advice in ((ADVICE,), ()):
        [body] = bodies(report(advice=advice, release=CLOSED), "DiagnosticReport")
        assert body["conclusion"].splitlines()[-1] == f"No recommendation is given yet: {WAITS}."


def test_reasons_that_are_not_about_referral_are_not_told() -> None:
    shadow = Release(frozenset({Audience.EHR}), ("secret_model: the model is in shadow mode at this site",))
    for said in (report(), report(release=shadow), report(release=Release(frozenset()))):
        [body] = bodies(said, "DiagnosticReport")
        assert "No recommendation" not in body["conclusion"]
        assert "secret_model" not in body["conclusion"]


def test_what_is_released_to_referral_is_told() -> None:
    open_to_referral = Release(frozenset({Audience.REFERRAL}), (f"ehr: {WAITS}", f"referral: {WAITS}"))
    [body] = bodies(report(advice=(ADVICE,), release=open_to_referral), "DiagnosticReport")
    assert "Recommendation: Spirometry" in body["conclusion"]
    assert "No recommendation" not in body["conclusion"]
    assert len(bodies(report(release=open_to_referral), "RiskAssessment")) == 1

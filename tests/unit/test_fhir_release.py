"""What the release keeps from referral is in no resource, and the findings stay (SAFETY section 4)."""

from __future__ import annotations

import json

from cds.domain.recommendation import NothingToSay
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


def test_the_conclusion_says_that_recommendations_are_withheld_and_why() -> None:
    [body] = bodies(report(release=CLOSED), "DiagnosticReport")
    assert body["conclusion"].splitlines()[-1] == f"Recommendations are withheld: {WAITS}."
    [body] = bodies(report(release=Release(frozenset(), ("held: two patients",))), "DiagnosticReport")
    assert body["conclusion"].splitlines()[-1] == "Recommendations are withheld: held: two patients."


def test_nothing_is_called_withheld_where_there_is_nothing_or_no_reason() -> None:
    quiet = (NothingToSay("emphysema", "no emphysema"),)
    for said in (
        report(),
        report(advice=(), release=CLOSED),
        report(advice=quiet, release=CLOSED),
        report(release=Release(frozenset())),
    ):
        [body] = bodies(said, "DiagnosticReport")
        assert "withheld" not in body["conclusion"]


def test_what_is_released_to_referral_is_told() -> None:
    open_to_referral = Release(frozenset({Audience.REFERRAL}), (f"ehr: {WAITS}",))
    [body] = bodies(report(advice=(ADVICE,), release=open_to_referral), "DiagnosticReport")
    assert "Recommendation: Spirometry" in body["conclusion"]
    assert len(bodies(report(release=open_to_referral), "RiskAssessment")) == 1

"""Who sees what a person did with a recommendation, and which findings are critical (SAFETY section 4)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cds import release
from cds.domain.coding import Coding
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.follow_up import Acceptance, Answer
from cds.domain.matching import Match, MatchState
from cds.domain.recommendation import Advice, Indicator, NothingToSay, PathwayOutcome, Recommendation, Source
from cds.domain.report import Audience, Gate, Mode, Report
from cds.domain.switch import SwitchKind
from cds.domain.verification import FindingRef, Verdict, Verification
from cds.settings import ReleaseMatrix, Settings
from tests.unit.clinical import NOW, STUDY_UID, report
from tests.unit.test_release import Off

NODULE = Finding("nodule", Coding("http://snomed.info/sct", "427359005", "Nodule"), Presence.PRESENT)
BLEED = Finding("bleed", Coding("http://snomed.info/sct", "1386000", "Bleed"), Presence.PRESENT)
SOURCE = Source("s", "https://s.example")
AT_ONCE = ReleaseMatrix(ehr=Gate.IMMEDIATE, referral=Gate.IMMEDIATE)
EHR_AT_ONCE = ReleaseMatrix(ehr=Gate.IMMEDIATE)
DETACHED = Match(MatchState.DETACHED, ("the order was cancelled",), None, "patient-1")


def advice(pathway: str, *rests_on: str) -> Advice:
    """A pathway that refers because of findings."""
    step = Recommendation("refer", "Refer", Coding("urn:x", "refer", "Refer"), "because", SOURCE)
    return Advice(pathway, "P", "s", Indicator.INFO, SOURCE, (step,), (), rests_on)


def accepted(pathway: str) -> Acceptance:
    """Somebody accepted what it recommends."""
    return Acceptance(STUDY_UID, 1, pathway, "refer", Answer.ACCEPTED, "Dr Roe", "physician", NOW)


def verdict(key: str, word: Verdict) -> Verification:
    """A radiologist's word on a finding."""
    return Verification(FindingRef(STUDY_UID, 1, "m", "1", key), word, "R", "radiologist", NOW)


def settings(tmp_path: Path, **changes: Any) -> Settings:
    """A site with two pathways that releases at once."""
    modes = {"model_modes": {"m": Mode.ADVISORY}, "pathway_modes": {"p": "advisory", "q": "advisory"}}
    return Settings(**{"data_dir": tmp_path, "release": AT_ONCE, **modes, **changes})


def answered(*outcomes: PathwayOutcome, **changes: Any) -> Report:
    """A report on a nodule and a bleed, whose recommendations p and q were both accepted."""
    drawn = report(outcomes=(Findings("m", "1", "1.2", (NODULE, BLEED)),))
    decision = replace(drawn.decision, outcomes=outcomes or (advice("p", "nodule"), advice("q", "bleed")))
    said = (accepted("p"), accepted("q"))
    return replace(drawn, decision=decision, acceptances=said, critical=("m.bleed", "m.nodule"), **changes)


def seen(site: Settings, of: Report, audience: Audience = Audience.EHR, off: Off | None = None) -> tuple[str, ...]:
    """The names of the answers that an audience sees."""
    view = release.view(site, off or Off(), of, audience)
    return tuple(one.name for one in view.acceptances) if view else ()


def test_whoever_sees_a_recommendation_sees_what_a_person_did_with_it(tmp_path: Path) -> None:
    for audience in Audience:
        assert seen(settings(tmp_path), answered(), audience) == ("p.refer", "q.refer")


def test_an_answer_waits_as_its_recommendation_does(tmp_path: Path) -> None:
    waits = settings(tmp_path, release=EHR_AT_ONCE)
    assert seen(waits, answered()) == ()
    assert seen(waits, answered(verifications=(verdict("bleed", Verdict.CONFIRMED),))) == ("q.refer",)


def test_an_answer_to_what_rests_on_a_rejected_finding_is_not_seen(tmp_path: Path) -> None:
    rejected = answered(verifications=(verdict("bleed", Verdict.REJECTED),))
    assert seen(settings(tmp_path), rejected) == ("p.refer",)


@pytest.mark.parametrize("left", [(advice("q", "bleed"),), (NothingToSay("p", "it was done"), advice("q", "bleed"))])
def test_an_answer_to_what_no_pathway_recommends_any_more_is_still_seen(
    tmp_path: Path, left: tuple[PathwayOutcome, ...]
) -> None:
    assert seen(settings(tmp_path), answered(*left)) == ("p.refer", "q.refer")


def test_a_pathway_that_may_not_speak_shows_no_answers(tmp_path: Path) -> None:
    shadow = settings(tmp_path, pathway_modes={"p": "advisory", "q": "shadow"})
    off = Off({(SwitchKind.PATHWAY, "q")})
    for outcomes in ((), (advice("p", "nodule"),)):
        assert seen(shadow, answered(*outcomes)) == ("p.refer",)
        assert seen(settings(tmp_path), answered(*outcomes), off=off) == ("p.refer",)


def test_of_critical_findings_an_audience_knows_those_that_it_sees(tmp_path: Path) -> None:
    rows = [{"finding": "m.bleed", "audience": "ehr", "gate": "never"}]
    view = release.view(settings(tmp_path, release_rows=rows), Off(), answered(), Audience.EHR)
    assert view is not None
    assert view.critical == ("m.nodule",)


def test_a_retraction_takes_back_what_may_have_been_told_after_a_cancel(tmp_path: Path) -> None:
    site = settings(tmp_path)
    cancelled = answered(match=DETACHED)
    cancelled = replace(cancelled, decision=replace(cancelled.decision, release=release.decide(site, Off(), cancelled)))
    told = release.as_told(cancelled, Audience.EHR)
    assert [said.pathway for said in told.decision.outcomes] == ["p", "q"]
    assert [one.name for one in told.acceptances] == ["p.refer", "q.refer"]
    assert told.decision.release.allows(Audience.REFERRAL)
    assert told.critical == ("m.bleed", "m.nodule")


def test_a_retraction_takes_back_no_recommendation_that_was_withheld(tmp_path: Path) -> None:
    site = settings(tmp_path, release=EHR_AT_ONCE)
    stored = answered(verifications=(verdict("bleed", Verdict.CONFIRMED),))
    stored = replace(stored, decision=replace(stored.decision, release=release.decide(site, Off(), stored)))
    told = release.as_told(stored, Audience.EHR)
    assert [said.pathway for said in told.decision.outcomes] == ["q"]
    assert [one.name for one in told.acceptances] == ["q.refer"]


def made_after_a_cancel(site: Settings, off: Off) -> Report:
    """A report that was decided after the order was cancelled, with what was off then."""
    of = answered(match=DETACHED)
    return replace(of, decision=replace(of.decision, release=release.decide(site, off, of)))


def test_what_a_delivery_says_after_a_cancel_is_what_was_seen_when_it_was_made(tmp_path: Path) -> None:
    site = settings(tmp_path, release=EHR_AT_ONCE)
    of = made_after_a_cancel(site, Off())
    made = release.as_made(site, of, Audience.EHR)
    assert made == release.view(site, Off(), of, Audience.EHR, has=True)
    assert not made.decision.release.allows(Audience.REFERRAL)


def test_what_is_switched_off_after_a_delivery_was_made_is_seen_to_be_in_it(tmp_path: Path) -> None:
    site = settings(tmp_path)
    of = made_after_a_cancel(site, Off())
    off = Off({(SwitchKind.PATHWAY, "q")})
    now = release.view(site, off, of, Audience.EHR, has=True)
    assert now is not None
    made = release.as_made(site, of, Audience.EHR)
    assert {said.pathway for said in made.decision.outcomes} - {said.pathway for said in now.decision.outcomes} == {"q"}


def test_what_was_switched_off_when_a_delivery_was_made_is_not_in_it(tmp_path: Path) -> None:
    site = settings(tmp_path)
    of = made_after_a_cancel(site, Off({(SwitchKind.MODEL, "m")}))
    assert release.shown(release.as_made(site, of, Audience.EHR)) == frozenset()

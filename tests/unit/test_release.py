"""Who sees a finding when, row by row (SAFETY section 4). The defaults are the safe ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from cds import release
from cds.domain.coding import Coding, Quantity
from cds.domain.finding import NO_SERIES, Finding, Findings, NotEvaluated, Presence
from cds.domain.matching import Match, MatchState
from cds.domain.recommendation import Advice, Indicator, Source
from cds.domain.report import Audience, Gate, Mode, Report
from cds.domain.switch import SwitchKind
from cds.domain.verification import Agreement, Comparison, FinalReport, FindingRef, Verdict, Verification
from cds.settings import ReleaseMatrix, Settings
from tests.unit.clinical import MRN, NOW, STUDY_UID, report, study

NODULE = Finding("nodule", Coding("http://snomed.info/sct", "427359005", "Nodule"), Presence.PRESENT)
VOLUME = Finding("volume", Coding("urn:x", "volume", "Volume"), Presence.MEASURED, Quantity(4.0, "L"))
FINDINGS = Findings("m", "1", "1.2", (NODULE, VOLUME))
REFUSAL = NotEvaluated("m", "1", ("test",))
RADIOLOGIST, EVERYBODY, NOBODY = {Audience.RADIOLOGIST}, set(Audience), set[Audience]()
AT_ONCE = ReleaseMatrix(ehr=Gate.IMMEDIATE, referral=Gate.IMMEDIATE)
CONFIRMED_ONLY = ReleaseMatrix(ehr=Gate.CONFIRMED, referral=Gate.CONFIRMED)
FINAL = FinalReport(MRN, MRN, "final", NOW, "HL7 RIS|H", NOW)


@dataclass
class Off:
    """Switches of a test."""

    names: set[tuple[SwitchKind, str]] = field(default_factory=set)

    def off(self, kind: SwitchKind, name: str) -> bool:
        """The port."""
        return (kind, name) in self.names


def said(verdict: Verdict, key: str = "nodule") -> Verification:
    return Verification(FindingRef(STUDY_UID, 1, "m", "1", key), verdict, "R", "radiologist", NOW)


def compared(agreement: Agreement, key: str = "nodule") -> Comparison:
    return Comparison(f"m.{key}", agreement, "test")


def made(**changes: Any) -> Report:
    comparisons = changes.pop("comparisons", ())
    drawn = report(outcomes=(FINDINGS,))
    return replace(drawn, decision=replace(drawn.decision, comparisons=comparisons), **changes)


def site(tmp_path: Path, **changes: Any) -> Settings:
    return Settings(**{"data_dir": tmp_path, "model_modes": {"m": Mode.ADVISORY}, **changes})


ROWS: Mapping[str, tuple[dict[str, Any], dict[str, Any], set[Audience]]] = {
    "unverified, as delivered": ({}, {}, RADIOLOGIST),
    "confirmed": ({}, {"verifications": (said(Verdict.CONFIRMED),)}, EVERYBODY),
    "corrected": ({}, {"verifications": (said(Verdict.CORRECTED),)}, EVERYBODY),
    "rejected": ({"release": AT_ONCE}, {"verifications": (said(Verdict.REJECTED),)}, RADIOLOGIST),
    "confirmed and then rejected": (
        {}, {"verifications": (said(Verdict.CONFIRMED), said(Verdict.REJECTED))}, RADIOLOGIST,
    ),
    "another finding is confirmed": ({}, {"verifications": (said(Verdict.CONFIRMED, "volume"),)}, RADIOLOGIST),
    "a final report that agrees": (
        {}, {"final_report": FINAL, "comparisons": (compared(Agreement.AGREES),)}, EVERYBODY,
    ),
    "a final report that cannot be compared may deny what is there": (
        {}, {"final_report": FINAL, "comparisons": (compared(Agreement.NOT_COMPARABLE),)}, RADIOLOGIST,
    ),
    "a final report that contradicts": (
        {}, {"final_report": FINAL, "comparisons": (compared(Agreement.DISCORDANT),)}, RADIOLOGIST,
    ),
    "a contradiction counts also where the site releases at once": (
        {"release": AT_ONCE}, {"final_report": FINAL, "comparisons": (compared(Agreement.DISCORDANT),)}, RADIOLOGIST,
    ),
    "a confirmed finding stands against a report that contradicts": (
        {},
        {
            "final_report": FINAL,
            "comparisons": (compared(Agreement.DISCORDANT),),
            "verifications": (said(Verdict.CONFIRMED),),
        },
        EVERYBODY,
    ),
    "a site that wants the confirmation itself": (
        {"release": CONFIRMED_ONLY},
        {"final_report": FINAL, "comparisons": (compared(Agreement.AGREES),)},
        RADIOLOGIST,
    ),
    "a site that releases at once": ({"release": AT_ONCE}, {}, EVERYBODY),
    "a row for this finding": (
        {"release_rows": [{"finding": "m.nodule", "audience": "referral", "gate": "immediate"}]},
        {},
        {Audience.RADIOLOGIST, Audience.REFERRAL},
    ),
    "a row for another finding": (
        {"release_rows": [{"finding": "m.volume", "audience": "referral", "gate": "immediate"}]}, {}, RADIOLOGIST,
    ),
    "the last row that fits wins": (
        {
            "release_rows": [
                {"finding": "*", "audience": "ehr", "gate": "immediate"},
                {"finding": "m.*", "audience": "ehr", "gate": "never"},
            ]
        },
        {},
        RADIOLOGIST,
    ),
    "a row of another site": (
        {
            "sites": {
                "north": {
                    "issuers": ["ELSEWHERE"],
                    "release_rows": [{"finding": "*", "audience": "ehr", "gate": "immediate"}],
                }
            }
        },
        {},
        RADIOLOGIST,
    ),
    "a row of the study's site": (
        {
            "sites": {
                "north": {
                    "issuers": ["RIS"],
                    "release_rows": [{"finding": "*", "audience": "ehr", "gate": "immediate"}],
                }
            }
        },
        {},
        {Audience.RADIOLOGIST, Audience.EHR},
    ),
    "a model in shadow at the study's site alone": (
        {"release": AT_ONCE, "sites": {"north": {"issuers": ["RIS"], "model_modes": {"m": "shadow"}}}}, {}, NOBODY,
    ),
    "a radiologist who wants to see nothing": (
        {"release": ReleaseMatrix(radiologist=Gate.NEVER)}, {}, NOBODY,
    ),
    "a critical finding reaches the radiologist whatever the matrix says": (
        {"release": ReleaseMatrix(radiologist=Gate.NEVER), "critical_findings": {"m.nodule": 1}}, {}, RADIOLOGIST,
    ),
    "images without an order": (
        {"release": AT_ONCE}, {"match": Match(MatchState.UNMATCHED, ("because",))}, RADIOLOGIST,
    ),
    "an order that was cancelled after the images came": (
        {"release": AT_ONCE}, {"match": Match(MatchState.DETACHED, ("because",))}, RADIOLOGIST,
    ),
    "a match in doubt": ({"release": AT_ONCE}, {"match": Match(MatchState.HELD, ("because",))}, NOBODY),
    "a model in shadow": ({"release": AT_ONCE, "model_modes": {"m": "shadow"}}, {}, NOBODY),
    "a model that is off": ({"release": AT_ONCE, "model_modes": {"m": "off"}}, {}, NOBODY),
    "a model that nobody switched": ({"release": AT_ONCE, "model_modes": {}}, {}, NOBODY),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_a_finding_reaches_whom_the_matrix_says(row: str, tmp_path: Path) -> None:
    configured, happened, wanted = ROWS[row]
    decision = release.decide(site(tmp_path, **configured), Off(), made(**happened))
    assert {a for a in Audience if decision.shows("m.nodule", a)} == wanted
    assert bool(decision.withheld) or wanted == EVERYBODY


def test_a_measurement_that_the_final_report_is_silent_about_is_not_contradicted(tmp_path: Path) -> None:
    silent = made(final_report=FINAL, comparisons=(compared(Agreement.NOT_COMPARABLE, "volume"),))
    decision = release.decide(site(tmp_path), Off(), silent)
    assert {a for a in Audience if decision.shows("m.volume", a)} == EVERYBODY


def test_a_view_leaves_out_what_its_audience_may_not_see(tmp_path: Path) -> None:
    rows = [{"finding": "m.volume", "audience": "ehr", "gate": "immediate"}]
    seen = release.view(site(tmp_path, release_rows=rows), Off(), made(), Audience.EHR)
    assert seen is not None
    assert release.shown(seen) == {"m.volume"}


def test_advice_is_seen_only_where_all_that_it_rests_on_is_released_to_referral(tmp_path: Path) -> None:
    advice = Advice(
        "p", "P", "s", Indicator.INFO, Source("x", "https://x.example"), (), (), finding_keys=("nodule", "volume")
    )
    settings = site(tmp_path, pathway_modes={"p": "advisory"})
    one = made(verifications=(said(Verdict.CONFIRMED),))
    both = made(verifications=(said(Verdict.CONFIRMED), said(Verdict.CONFIRMED, "volume")))
    told = []
    for drawn in (one, both):
        stored = replace(drawn, decision=replace(drawn.decision, outcomes=(advice,)))
        seen = release.view(settings, Off(), stored, Audience.REFERRAL)
        assert seen is not None
        told.append(seen.decision.outcomes)
    assert told == [(), (advice,)]
    stored = replace(both, decision=replace(both.decision, outcomes=(advice,)))
    switched = Off({(SwitchKind.PATHWAY, "p")})
    seen = release.view(settings, switched, stored, Audience.REFERRAL)
    assert seen is not None
    assert seen.decision.outcomes == ()


def test_a_model_that_is_switched_off_is_told_to_nobody(tmp_path: Path) -> None:
    switched = Off({(SwitchKind.MODEL, "m")})
    decision = release.decide(site(tmp_path, release=AT_ONCE), switched, made())
    assert decision.audiences == NOBODY
    assert decision.withheld == ("m: the model is switched off",)


def test_a_test_report_is_seen_by_test_sinks_alone(tmp_path: Path) -> None:
    settings = site(tmp_path, release=AT_ONCE)
    test, real = made(test=True), made()
    assert release.view(settings, Off(), test, Audience.EHR) is None
    assert release.view(settings, Off(), test, Audience.EHR, production=False) is not None
    assert release.view(settings, Off(), real, Audience.EHR) is not None
    assert release.view(settings, Off(), real, Audience.EHR, production=False) is None


def test_a_refusal_waits_for_the_radiologist_as_a_finding_does(tmp_path: Path) -> None:
    refused = replace(made(), outcomes=(REFUSAL,))
    assert release.decide(site(tmp_path), Off(), refused).audiences == RADIOLOGIST
    assert release.decide(site(tmp_path), Off(), replace(refused, final_report=FINAL)).audiences == EVERYBODY


def test_a_study_that_a_model_does_not_read_is_told_to_nobody(tmp_path: Path) -> None:
    unread = replace(made(), outcomes=(NotEvaluated("m", "1", ("test",), gate=NO_SERIES),))
    assert release.decide(site(tmp_path, release=AT_ONCE), Off(), unread).audiences == NOBODY


def test_pathways_believe_the_radiologist(tmp_path: Path) -> None:
    corrected = replace(said(Verdict.CORRECTED, "volume"), corrected=Quantity(5.0, "L"))
    [outcome] = release.believed((FINDINGS,), (said(Verdict.REJECTED), corrected))
    assert isinstance(outcome, Findings)
    assert [(f.key, f.value) for f in outcome.findings] == [("volume", Quantity(5.0, "L"))]


def test_the_site_of_a_study_is_told_by_its_issuers(tmp_path: Path) -> None:
    settings = site(tmp_path, sites={"north": {"issuers": ["RIS"]}, "south": {"issuers": ["S"]}})
    assert release.site(settings, study()) == "north"
    assert release.site(settings, replace(study(), accession=None, patient=None)) == ""

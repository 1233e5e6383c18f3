"""What the worklist may show of a study: what the release says, at the study's site, now."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cds.bootstrap.ui_worklist import Judge, rules_of
from cds.codes import SNOMED
from cds.domain.coding import Coding
from cds.domain.critical import Category
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.identity import Identifier
from cds.domain.matching import Match, MatchState
from cds.domain.order import OrderStatus, ServiceRequest
from cds.domain.report import Mode
from cds.domain.revision import Revision, Work
from cds.settings import Settings
from cds.ui.worklist import Status, Urgency
from cds.ui.worklist_rows import Facts
from tests.unit.clinical import MRN, NOW, STUDY_UID, density, patient, study

BLEED = Finding("bleed", Coding(SNOMED, "1386000", "Intracranial hemorrhage"), Presence.PRESENT, confidence=0.9)
HEAD = Findings("head", "1", "", (BLEED,))
MATCHED = Match(MatchState.MATCHED, ("agrees",), "order-1", "patient-1")
WORK = Work("dicom", STUDY_UID, Revision(1, 1, 1))
FACTS = Facts(study(), NOW, False, WORK, "reported", MATCHED, patient=patient(), outcomes=(HEAD, density()))
ADVISORY = {"head": "advisory", "ct_lung_density": "advisory"}


def settings(**values: Any) -> Settings:
    return Settings(**{"model_modes": ADVISORY, "critical_findings": {"head.bleed": 1}, **values})


def test_an_advisory_model_is_shown_and_its_critical_finding_named() -> None:
    judged = Judge(settings()).judged(FACTS)
    assert {one.model for one in judged.seen} == {"head", "ct_lung_density"}
    assert [(one.finding, one.category) for one in judged.critical] == [("head.bleed", Category.MINUTES)]


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.OFF])
def test_a_model_in_shadow_or_off_is_neither_shown_nor_urgent(mode: Mode) -> None:
    judged = Judge(settings(model_modes={**ADVISORY, "head": mode.value})).judged(FACTS)
    assert {one.model for one in judged.seen} == {"ct_lung_density"}
    assert judged.critical == ()


def test_a_site_has_its_own_word() -> None:
    here = settings(sites={"north": {"issuers": ["RIS"], "model_modes": {"head": "shadow"}}})
    judged = Judge(here).judged(FACTS)
    assert judged.site == "north"
    assert {one.model for one in judged.seen} == {"ct_lung_density"}


def test_a_model_that_is_switched_off_says_nothing() -> None:
    judged = Judge(settings()).judged(replace(FACTS, off=frozenset({"head"})))
    assert {one.model for one in judged.seen} == {"ct_lung_density"}
    assert judged.critical == ()


def test_what_the_release_never_lets_go_is_not_shown_unless_it_is_critical() -> None:
    rows = [{"finding": "*", "audience": "radiologist", "gate": "never"}]
    judged = Judge(settings(release_rows=rows)).judged(FACTS)
    assert [one.model for one in judged.seen] == ["head"]


def test_of_a_held_study_only_what_is_critical_is_known() -> None:
    held = replace(FACTS, match=Match(MatchState.HELD, ("two patients",)))
    judged = Judge(settings()).judged(held)
    assert judged.seen == ()
    assert len(judged.critical) == 1
    assert Judge(settings()).enter(held).urgency is Urgency.CRITICAL


def test_a_reading_that_is_hidden_is_in_no_part_of_the_row() -> None:
    calm = settings(critical_findings={})
    hidden = Judge(calm, lambda _: frozenset({"head"})).enter(FACTS)
    assert hidden.is_hidden
    assert hidden.found == ()
    assert not any("hemorrhage" in line.text for line in hidden.lines)
    assert not any("hemorrhage" in why for why in hidden.why)
    assert hidden.status is Status.ANALYSED


def test_a_critical_finding_is_never_hidden() -> None:
    hidden = Judge(settings(), lambda _: frozenset({"head"})).enter(FACTS)
    assert hidden.urgency is Urgency.CRITICAL
    assert hidden.why[0] == "critical: Intracranial hemorrhage detected, 90 %"


def test_training_data_is_judged_as_such() -> None:
    order = ServiceRequest(None, Identifier("F1", "RIS"), Identifier("A1", "RIS"), MRN, OrderStatus.ACTIVE, test=True)
    row = Judge(settings()).enter(replace(FACTS, order=order))
    assert row.status is Status.TEST
    assert row.lines


@pytest.mark.parametrize(
    "change",
    [
        {"model_modes": {}},
        {"critical_findings": {}},
        {"release": {"radiologist": "verified"}},
        {"release_rows": [{"finding": "*", "audience": "radiologist", "gate": "never"}]},
        {"sites": {"north": {"issuers": ["RIS"]}}},
    ],
)
def test_other_settings_are_other_rules(change: dict[str, object]) -> None:
    assert rules_of(settings(**change)) != rules_of(settings())


def test_the_rules_are_the_same_in_every_process(tmp_path: Path) -> None:
    code = (
        "from cds.bootstrap.ui_worklist import rules_of\nfrom cds.settings import Settings\n"
        "reader = {'mode': 'second-reader', 'findings': ['a', 'b', 'c', 'd'], 'modalities': ['MG', 'DX', 'CR']}\n"
        "print(rules_of(Settings(second_readers={'m': reader})))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd(), "PYTHONHASHSEED": seed},
            timeout=60,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1

"""Stories of several events, as a hospital would tell them (SAFETY sections 1 to 5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from cds.domain.hold import Hold, HoldKind
from cds.domain.verification import Verdict
from cds.render.why import as_text
from cds.store.holds import open_holds
from cds.store.why import why
from tests.lifecycle import arrivals
from tests.lifecycle.stage import ANNA, BERTA, Stage, opened

SAFE = {"release": {}}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what a test opens."""
    with ExitStack() as one:
        yield one


def waiting(stage: Stage) -> dict[HoldKind, Hold]:
    return {hold.kind: hold for hold in open_holds(stage.held.database)}


def told(stage: Stage, number: str) -> str:
    return as_text(why(stage.held.database, number), "UTC")


def subjects(stage: Stage, status: str) -> list[str]:
    """Whose reports of a status the FHIR server has."""
    reports = stage.fhir.of_type("DiagnosticReport")
    return sorted(r["subject"]["identifier"]["value"] for r in reports if r["status"] == status)


def summaries(stage: Stage) -> list[str]:
    return [card["summary"] for person in (ANNA, BERTA) for card in stage.cards(person)]


def test_two_patients_who_were_swapped_at_the_scanner_get_their_own_reports(tmp_path: Path, stack: ExitStack) -> None:
    stage = opened(tmp_path, stack)
    for person in (ANNA, BERTA):
        stage.order(person)
    # The bleed is Berta's, but stands under Anna's name, and the other way round.
    stage.store(stage.images(ANNA, blood=True, seed="one"))
    stage.store(stage.images(BERTA, blood=False, seed="two"))
    stage.settle()
    assert [card["summary"] for card in stage.cards(ANNA)] == ["Possible intracranial haemorrhage on CT"]
    assert stage.cards(BERTA) == []
    stage.store(stage.images(BERTA, blood=True, seed="one"))
    stage.store(stage.images(ANNA, blood=False, seed="two"))
    stage.settle()
    assert subjects(stage, "entered-in-error") == subjects(stage, "preliminary") == ["A", "B"]
    assert [card["summary"] for card in stage.cards(BERTA)] == ["Possible intracranial haemorrhage on CT"]
    [taken_back] = stage.cards(ANNA)
    assert taken_back["summary"].startswith("Withdrawn: ")
    assert sum("|W|" in block for block in stage.orus) == 2
    notes = [one for one in stage.pacs.instances.values() if one.Modality == "KO"]
    assert {str(note.PatientID) for note in notes} == {"A", "B"}
    story = told(stage, "ACC-1")
    assert "retract" in story
    assert "Zzyzxwitz" not in story


def test_a_reused_accession_number_is_never_matched_to_the_old_order(tmp_path: Path, stack: ExitStack) -> None:
    stage = opened(tmp_path, stack)
    stage.clock.move(days=-400)
    stage.order(ANNA)
    stage.clock.move(days=400)
    other = replace(BERTA, accession=ANNA.accession)
    stage.scan(other)
    stage.settle()
    assert subjects(stage, "preliminary") == []
    assert summaries(stage) == []
    assert "it was reused" in told(stage, ANNA.accession)
    stage.order(other)
    stage.settle()
    assert subjects(stage, "preliminary") == ["B"]
    assert stage.cards(ANNA) == []


def test_two_open_orders_with_one_accession_number_are_nobodys_until_a_person_decides(
    tmp_path: Path, stack: ExitStack
) -> None:
    stage = opened(tmp_path, stack)
    other = replace(BERTA, accession=ANNA.accession)
    stage.order(ANNA)
    stage.order(other)
    stage.scan(other)
    stage.settle()
    assert subjects(stage, "preliminary") == []
    [hold] = [h for kind, h in waiting(stage).items() if kind is HoldKind.MATCH_IN_DOUBT]
    assert "several patients" in hold.reason
    assert any("Critical AI finding" in page for page in stage.pages), "the radiologist is told all the same"
    assert "PID|" not in stage.pages[0]


def test_a_bleed_on_the_images_of_a_cancelled_duplicate_order_is_told_and_finds_the_order_that_stays(
    tmp_path: Path, stack: ExitStack
) -> None:
    stage = opened(tmp_path, stack, **SAFE)
    kept = replace(ANNA, accession="ACC-9")
    stage.order(ANNA)
    stage.order(kept)
    stage.scan(ANNA)
    stage.clock.move(minutes=1)
    stage.order(ANNA, "CA")
    stage.settle()
    assert any("Critical AI finding" in page for page in stage.pages), "a critical finding is never suppressed"
    assert stage.orus == []
    hold = waiting(stage)[HoldKind.ORDER_CANCELLED]
    stage.clock.move(minutes=1)
    stage.order(ANNA, "NW")
    stage.settle()
    assert HoldKind.ORDER_CANCELLED in waiting(stage), "a late NW does not revive it"
    arrivals.resolve(stage, hold, "attach", to="ACC-9")
    arrivals.verify(stage, ANNA, Verdict.CONFIRMED)
    stage.settle()
    assert waiting(stage) == {}
    [oru] = stage.orus
    assert "PLACC-9" in oru
    assert len([page for page in stage.pages if "|W|" not in page]) == 1, "nobody is alarmed twice"


def test_a_radiologist_who_disagrees_keeps_the_card_from_primary_care(tmp_path: Path, stack: ExitStack) -> None:
    stage = opened(tmp_path, stack, **SAFE)
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()
    assert summaries(stage) == []
    assert stage.orus == []
    assert len(stage.pages) == 1, "the radiologist knows at once"
    stage.final_report(ANNA, "IMPRESSION: No intracranial haemorrhage.")
    stage.settle()
    assert summaries(stage) == []
    assert stage.orus == []
    assert subjects(stage, "preliminary") == []
    assert HoldKind.DISCORDANT in waiting(stage)
    assert "discordant" in told(stage, "ACC-1")
    arrivals.verify(stage, ANNA, Verdict.CONFIRMED)
    stage.settle()
    assert summaries(stage) == ["Possible intracranial haemorrhage on CT"]
    assert subjects(stage, "preliminary") == ["A"]
    assert HoldKind.DISCORDANT not in waiting(stage)


def test_a_final_report_that_agrees_lets_the_card_go(tmp_path: Path, stack: ExitStack) -> None:
    stage = opened(tmp_path, stack, **SAFE)
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()
    stage.final_report(ANNA, "IMPRESSION: Acute intracranial haemorrhage.")
    stage.settle()
    assert summaries(stage) == ["Possible intracranial haemorrhage on CT"]
    [card] = stage.cards(ANNA)
    assert "agrees with the radiologist's final report" in card["detail"]


def test_a_rejected_finding_reaches_nobody_but_the_radiologist(tmp_path: Path, stack: ExitStack) -> None:
    stage = opened(tmp_path, stack)
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()
    arrivals.verify(stage, ANNA, Verdict.REJECTED)
    stage.settle()
    assert summaries(stage) == []
    assert subjects(stage, "entered-in-error") == ["A"]
    assert any("|W|" in page for page in stage.pages), "whoever was paged learns it"


def test_a_merge_moves_everything_and_its_undo_moves_it_back(tmp_path: Path, stack: ExitStack) -> None:
    stage = opened(tmp_path, stack)
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()
    stage.hl7("ADT^A40^ADT_A39", BERTA, "EVN|A40", "MRG|A^^^HOSPITAL^MR")
    stage.settle()
    assert subjects(stage, "preliminary") == ["B"]
    assert [card["summary"] for card in stage.cards(BERTA)] == ["Possible intracranial haemorrhage on CT"]
    arrivals.undo_last_identity_change(stage)
    stage.settle()
    assert subjects(stage, "preliminary") == ["A"]
    assert subjects(stage, "entered-in-error") == ["A", "B"]
    [taken_back] = stage.cards(BERTA)
    assert taken_back["summary"].startswith("Withdrawn: "), "somebody saw it as Berta's"

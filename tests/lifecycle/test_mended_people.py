"""What people decided stays decided: an undo, a rejection note or a late order never undoes their word."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid
from sqlmodel import select

from cds.domain.hold import Hold, HoldKind
from cds.domain.imaging import RejectionNote
from cds.errors import NotFound
from cds.store.decisions import DecisionStore, Said
from cds.store.holds import open_holds
from cds.store.identity_undo import history, undo
from cds.store.tables import InstanceRow
from tests.lifecycle.stage import ANNA, BERTA, Person, Stage, opened

VISIT = f"PV1|1|I{'|' * 17}V1^^^HOSPITAL"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A server with its peers."""
    with ExitStack() as stack:
        yield opened(tmp_path, stack)


def _nothing_to_read(_message_id: int) -> object:
    raise NotFound("no such message")


def people(stage: Stage) -> DecisionStore:
    return DecisionStore(stage.held.database, _nothing_to_read, lambda _path: None)


def said(stage: Stage, action: str, to: str = "") -> Said:
    return Said(action, "Dr. Ada", stage.clock.at, to)


def waiting(stage: Stage) -> dict[HoldKind, Hold]:
    return {hold.kind: hold for hold in open_holds(stage.held.database)}


def decide(stage: Stage, kind: HoldKind, action: str, to: str = "") -> None:
    people(stage).resolve(waiting(stage)[kind].id, said(stage, action, to))
    stage.settle()


def found_wrong(stage: Stage, who: Person) -> None:
    people(stage).wrong_patient(who.accession, said(stage, "wrong-patient"))
    stage.settle()


def ordered_in_a_visit(stage: Stage, who: Person) -> None:
    stage.hl7(
        "ORM^O01^ORM_O01", who, VISIT, f"ORC|NW|PL{who.accession}^EHR|||||||20261121120000",
        f"OBR|1|PL{who.accession}^EHR||24725-4^CT Head^LN|||20261121120000|||||||||||{who.accession}||||||CT",
    )  # fmt: skip


def cancelled(stage: Stage, who: Person, event: str = "A11") -> None:
    stage.hl7(f"ADT^{event}^ADT_A09", who, VISIT)
    stage.settle()


def took_place(stage: Stage, change: int = -1) -> None:
    database = stage.held.database
    with database.writing() as session:
        undo(session, history(database)[change].id, "Dr. Ada", stage.clock.at)
    stage.settle()


def summaries(stage: Stage, who: Person) -> list[str]:
    return [card["summary"] for card in stage.cards(who) if not card["summary"].startswith("Withdrawn")]


@pytest.mark.parametrize("undone", [(0, 1), (1, 0)])
def test_an_undone_cancel_gives_back_what_a_person_had_decided(stage: Stage, undone: tuple[int, ...]) -> None:
    stage.order(ANNA)
    ordered_in_a_visit(stage, BERTA)
    stage.scan(ANNA)  # the images are Berta's
    stage.settle()
    found_wrong(stage, ANNA)
    decide(stage, HoldKind.WRONG_PATIENT, "attach", BERTA.accession)
    before = stage.study(ANNA)
    for event in ("A11", "A38"):
        cancelled(stage, BERTA, event)
    assert summaries(stage, BERTA) == []
    for change in undone:
        assert stage.study(ANNA).contradiction
        took_place(stage, change)
    after = stage.study(ANNA)
    assert (after.decided, after.decided_order_id) == ("attach", before.decided_order_id)
    assert (after.contradiction, waiting(stage)) == ("", {})
    assert summaries(stage, ANNA) == []
    assert summaries(stage, BERTA) == ["Possible intracranial haemorrhage on CT"]


@pytest.mark.parametrize("wrong", [True, False])
def test_what_a_person_took_back_stays_so_when_the_cancel_is_undone(stage: Stage, *, wrong: bool) -> None:
    ordered_in_a_visit(stage, ANNA)
    stage.scan(ANNA)
    stage.settle()
    cancelled(stage, ANNA)
    if wrong:
        found_wrong(stage, ANNA)
    else:
        decide(stage, HoldKind.VISIT_CANCELLED, "retract")
    stopped = stage.study(ANNA).contradiction
    took_place(stage)
    assert stage.study(ANNA).contradiction == stopped != ""
    assert summaries(stage, ANNA) == []
    assert (HoldKind.WRONG_PATIENT if wrong else HoldKind.MATCH_IN_DOUBT) in waiting(stage)


def test_a_cancel_that_is_undone_does_not_end_an_earlier_stop(stage: Stage) -> None:
    ordered_in_a_visit(stage, ANNA)
    stage.scan(ANNA)
    stage.settle()
    found_wrong(stage, ANNA)
    stopped = stage.study(ANNA).contradiction
    cancelled(stage, ANNA)
    took_place(stage)
    assert stage.study(ANNA).contradiction == stopped != ""
    assert list(waiting(stage)) == [HoldKind.WRONG_PATIENT]


def test_new_images_after_a_rejection_note_do_not_end_a_persons_stop(stage: Stage) -> None:
    stage.order(ANNA)
    paths = stage.scan(ANNA)
    stage.settle()
    found_wrong(stage, ANNA)
    study = stage.study(ANNA)
    with stage.held.database.reading() as session:
        images = tuple(session.exec(select(InstanceRow.sop_instance_uid)).all())
    note = RejectionNote("113037", study.study_instance_uid, images)
    stage.held.studies.reject(note, received_at=stage.clock.at)
    stage.settle()
    for path in paths:
        image = pydicom.dcmread(path)
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.save_as(path)
    told = len(stage.orus)
    stage.store(paths)
    stage.settle()
    assert stage.study(ANNA).contradiction == study.contradiction != ""
    assert (len(stage.orus), summaries(stage, ANNA)) == (told, [])
    assert list(waiting(stage)) == [HoldKind.WRONG_PATIENT]


def test_a_late_order_is_proposed_for_images_without_an_accession_number(stage: Stage) -> None:
    stage.hl7("ADT^A04^ADT_A01", ANNA)
    stage.hl7("ADT^A04^ADT_A01", BERTA)
    stage.scan(ANNA, accession_number="")
    stage.settle()
    stage.order(BERTA)
    stage.order(replace(ANNA, accession="ACC-T"), processing="T")
    stage.settle()
    assert waiting(stage) == {}
    stage.order(ANNA)
    stage.settle()
    assert "ACC-1" in waiting(stage)[HoldKind.MATCH_PROPOSED].reason
    decide(stage, HoldKind.MATCH_PROPOSED, "attach", ANNA.accession)
    assert summaries(stage, ANNA) == ["Possible intracranial haemorrhage on CT"]

"""The worklist over the whole lifecycle: no event leaves a row behind what the record says, and what each row says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from cds.bootstrap.ui_worklist import worklist_store
from cds.domain.lifecycle import Event
from cds.domain.switch import SwitchKind
from cds.domain.verification import Verdict
from cds.store.tables import StudyRow
from cds.store.worklist_marks import mark
from cds.store.worklist_tables import WorklistRow
from cds.ui.worklist import Entry, Status, Urgency, Wanted
from tests.lifecycle import arrivals
from tests.lifecycle.stage import ANNA, AUTHORITY, BERTA, Stage, opened
from tests.lifecycle.test_event_table import SCENARIOS

ALL = Wanted()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A fresh site with an engine, a FHIR server and a PACS."""
    with ExitStack() as stack:
        yield opened(tmp_path, stack)


def kept(stage: Stage) -> list[dict[str, Any]]:
    """All rows after the changes of now are made good, which may take several looks."""
    store = worklist_store(stage.settings, stage.held)
    while store.keep():
        pass
    with stage.held.database.reading() as session:
        rows = session.exec(select(WorklistRow).order_by(col(WorklistRow.study_uid))).all()
    return [row.model_dump() for row in rows]


def made_anew(stage: Stage) -> list[dict[str, Any]]:
    """All rows, made of nothing but the record."""
    with stage.held.database.writing() as session:
        session.connection().execute(sa.delete(WorklistRow))
        for uid in session.exec(select(StudyRow.uid)):
            mark(session, uid)
    return kept(stage)


def row(stage: Stage, wanted: Wanted = ALL) -> Entry:
    """The one row that fits."""
    store = worklist_store(stage.settings, stage.held)
    while store.keep():
        pass
    [entry] = store.listed(wanted).entries
    return entry


@pytest.mark.parametrize("event", SCENARIOS, ids=lambda event: event.value)
def test_after_every_event_each_row_is_what_the_record_says(stage: Stage, event: Event) -> None:
    before, act = SCENARIOS[event]
    steps: tuple[Callable[[Stage], object], ...] = (before, Stage.settle, act, Stage.settle)
    for step in steps:
        step(stage)
        rows = kept(stage)
        assert rows == made_anew(stage)


def test_a_bleed_goes_to_the_top_and_leaves_the_list_with_the_final_report(stage: Stage) -> None:
    stage.order(ANNA)
    stage.scan(ANNA)
    coming = row(stage)
    assert (coming.status, coming.urgency) == (Status.RECEIVING, Urgency.ROUTINE)
    assert coming.modalities == ("CT",)
    stage.settle()
    bleeds = row(stage)
    assert (bleeds.status, bleeds.urgency, bleeds.number) == (Status.ANALYSED, Urgency.CRITICAL, "A")
    assert bleeds.why[0] == "critical: Intracranial hemorrhage detected"
    assert bleeds.initials == "AZ"
    assert row(stage, Wanted(finding="intracranial-hemorrhage", modality="CT")).public_id == bleeds.public_id
    stage.final_report(ANNA, "IMPRESSION: Acute intracranial haemorrhage.")
    stage.settle()
    store = worklist_store(stage.settings, stage.held)
    store.keep()
    assert store.listed(ALL).entries == ()
    assert row(stage, Wanted(status=Status.REPORTED)).public_id == bleeds.public_id


def test_a_report_that_contradicts_keeps_the_study_on_the_list(stage: Stage) -> None:
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()
    stage.final_report(ANNA, "IMPRESSION: No intracranial haemorrhage.")
    stage.settle()
    there = row(stage)
    assert there.status is Status.DISCORDANT
    assert there.urgency is Urgency.CRITICAL


def test_a_rejected_finding_is_critical_no_more_and_the_order_keeps_its_place(stage: Stage) -> None:
    stage.hl7(
        "ORM^O01^ORM_O01",
        ANNA,
        "ORC|NW|PL1^EHR|||||||20261121120000",
        "OBR|1|PL1^EHR||24725-4^CT Head^LN|S||20261121120000|||||||||||ACC-1||||||CT|||^^^^^S",
    )
    stage.scan(ANNA)
    stage.settle()
    assert row(stage).urgency is Urgency.CRITICAL
    arrivals.verify(stage, ANNA, Verdict.REJECTED)
    after = row(stage)
    assert after.urgency is Urgency.STAT
    assert after.why == ("STAT by the order",)
    assert after.verification == "1 of 1 verified, 1 rejected"
    assert after.found == ()


def test_a_model_that_is_switched_off_says_nothing_from_the_next_look_on(stage: Stage) -> None:
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()
    assert row(stage).lines
    stage.held.switches.disable(SwitchKind.MODEL, "head_bleed", by="engineer", reason="wrong", now=stage.clock.at)
    off = worklist_store(stage.settings, stage.held)
    off.keep(limit=1)
    [entry] = off.listed(ALL).entries
    assert entry.lines == ()
    assert entry.found == ()


def test_other_settings_hold_at_once_without_any_event(stage: Stage) -> None:
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()
    assert row(stage).lines
    shadow = stage.settings.model_copy(update={"model_modes": {}})
    store = worklist_store(shadow, stage.held)
    [unkept] = store.listed(ALL).entries
    assert unkept.lines == ()
    assert unkept.status is Status.NOT_ANALYSED
    assert store.keep() == 0
    with stage.held.database.reading() as session:
        assert session.exec(select(WorklistRow.status)).one() == Status.NOT_ANALYSED.value


def test_images_in_doubt_say_so_and_show_only_what_is_critical(stage: Stage) -> None:
    stage.order(ANNA)
    stage.scan(ANNA, patient_id="SOMEBODY-ELSE")
    stage.settle()
    held = row(stage)
    assert (held.status, held.is_doubtful, held.urgency) == (Status.HELD, True, Urgency.CRITICAL)
    assert [line.is_critical for line in held.lines] == [True]
    assert held.patient_id is None
    assert held.initials == ""
    assert "held: the images' patient identifier is not the order's" in held.why


def test_a_merge_shows_the_survivors_name_and_a_search_finds_both_numbers(stage: Stage) -> None:
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()
    stage.hl7("ADT^A40^ADT_A39", BERTA, "EVN|A40", f"MRG|A^^^{AUTHORITY}^MR")
    stage.settle()
    merged = row(stage)
    assert merged.initials == "BY"
    store = worklist_store(stage.settings, stage.held)
    for number in ("A", "B", " ACC-1 "):
        assert [one.public_id for one in store.search(number)] == [merged.public_id]
    assert store.search("C") == ()
    assert store.search(" ") == ()


def test_an_earlier_exam_is_counted_also_where_it_comes_later(stage: Stage) -> None:
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()
    assert row(stage).priors == 0
    earlier = ANNA.__class__(ANNA.mrn, ANNA.family, accession="ACC-0")
    stage.scan(earlier, study_date=stage.clock.today().replace(year=2025))
    stage.settle()
    store = worklist_store(stage.settings, stage.held)
    while store.keep():
        pass
    assert {one.accession: one.priors for one in store.listed(ALL).entries} == {"ACC-1": 1, "ACC-0": 0}


def test_training_data_is_on_no_list_of_work(stage: Stage) -> None:
    stage.order(ANNA, processing="T")
    stage.scan(ANNA)
    stage.settle()
    store = worklist_store(stage.settings, stage.held)
    store.keep()
    assert store.listed(ALL).entries == ()
    assert row(stage, Wanted(status=Status.TEST)).accession == "ACC-1"

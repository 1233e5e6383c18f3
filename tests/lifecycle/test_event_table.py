"""Every row of the event table, over the real pipeline: what the outside has before and after (rows/*.txt).

The fixtures were read line by line. After a change that means to change them: WRITE_ROWS=1 pytest tests/lifecycle, then
read the difference.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cds.domain.lifecycle import TABLE, Event, Row
from cds.domain.verification import Verdict
from tests.lifecycle import arrivals
from tests.lifecycle.stage import ANNA, AUTHORITY, BERTA, Stage, opened

ROWS = Path(__file__).parent / "rows"
Act = Callable[[Stage], object]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A fresh site with an engine, a FHIR server and a PACS."""
    with ExitStack() as stack:
        yield opened(tmp_path, stack)


def ordered(stage: Stage) -> None:
    stage.order(ANNA)


def scanned(stage: Stage) -> None:
    stage.scan(ANNA)


def reported(stage: Stage) -> None:
    stage.order(ANNA)
    stage.scan(ANNA)


def nothing(stage: Stage) -> None:
    """Nothing happened yet."""


def late_order(stage: Stage) -> None:
    stage.order(ANNA)


def order_changes(stage: Stage) -> None:
    stage.clock.move(minutes=1)
    stage.order(ANNA, "XO", procedure="24726-2^CT Head with contrast^LN")


def patient_merges(stage: Stage) -> None:
    stage.hl7("ADT^A40^ADT_A39", BERTA, "EVN|A40", f"MRG|A^^^{AUTHORITY}^MR")


def cancel(stage: Stage) -> None:
    stage.clock.move(minutes=1)
    stage.order(ANNA, "CA")


def cancel_then_new(stage: Stage) -> None:
    cancel(stage)
    stage.clock.move(minutes=1)
    stage.order(ANNA, "NW")


def late_slice(stage: Stage) -> None:
    stage.store(stage.images(ANNA, seed="ACC-1")[-1:])


def all_but_the_last(stage: Stage) -> None:
    stage.order(ANNA)
    stage.store(stage.images(ANNA, seed="ACC-1")[:-1])


def again(stage: Stage) -> None:
    stage.store(stage.images(ANNA, seed="ACC-1"))


def corrected_header(stage: Stage) -> None:
    """The scanner had Anna's name for Berta's images; the modality sends them again, corrected."""
    stage.order(BERTA)
    stage.store(stage.images(BERTA, seed="ACC-1"))


def other_pixels(stage: Stage) -> None:
    stage.store(stage.images(ANNA, blood=False, seed="ACC-1")[1:2])


def rejected(stage: Stage) -> None:
    arrivals.reject(stage, stage.images(ANNA, seed="ACC-1"), "113037")


def comes_back(stage: Stage) -> None:
    arrivals.return_own(stage)


def reformats(stage: Stage) -> None:
    arrivals.reformat(stage, stage.images(ANNA, seed="ACC-1"))


def radiologist_contradicts(stage: Stage) -> None:
    stage.final_report(ANNA, "IMPRESSION: No intracranial haemorrhage.")


def radiologist_confirms(stage: Stage) -> None:
    arrivals.verify(stage, ANNA, Verdict.CONFIRMED)


def wrong_patient(stage: Stage) -> None:
    arrivals.wrong_patient(stage, ANNA)


def order_of_a_test(stage: Stage) -> None:
    stage.order(ANNA, processing="T")


def scan_after_all(stage: Stage) -> None:
    stage.scan(ANNA)


def old_images(stage: Stage) -> None:
    stage.clock.move(hours=5)
    stage.order(ANNA)
    stage.scan(ANNA)


SCENARIOS: dict[Event, tuple[Act, Act]] = {
    Event.ORDER_AFTER_IMAGES: (scanned, late_order),
    Event.ORDER_CHANGED: (reported, order_changes),
    Event.PATIENT_CHANGED: (reported, patient_merges),
    Event.CANCEL_BEFORE_IMAGES: (ordered, cancel_then_new),
    Event.CANCEL_AFTER_IMAGES: (reported, cancel),
    Event.LATE_INSTANCE: (all_but_the_last, late_slice),
    Event.SAME_INSTANCE: (reported, again),
    Event.HEADER_CHANGED: (reported, corrected_header),
    Event.PIXELS_CHANGED: (reported, other_pixels),
    Event.REJECTED: (reported, rejected),
    Event.OWN_INSTANCE: (reported, comes_back),
    Event.UNREAD_INSTANCE: (reported, reformats),
    Event.FINAL_REPORT: (reported, radiologist_contradicts),
    Event.VERIFIED: (reported, radiologist_confirms),
    Event.WRONG_PATIENT: (reported, wrong_patient),
    Event.TEST_MESSAGE: (order_of_a_test, scan_after_all),
    Event.OLD_RESULT: (nothing, old_images),
}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.title)
def test_what_the_outside_has_before_and_after(row: Row, stage: Stage) -> None:
    before, happens = SCENARIOS[row.event]
    before(stage)
    stage.settle()
    pictures = [stage.picture()]
    happens(stage)
    stage.settle()
    pictures.append(stage.picture())
    effects = "".join(f"- {effect.value}\n" for effect in row.effects)
    found = f"{row.title}\n{effects}\n=== before\n{pictures[0]}\n\n=== after\n{pictures[1]}\n"
    fixture = ROWS / f"{row.event.value}.txt"
    if os.environ.get("WRITE_ROWS"):
        fixture.write_text(found)
    assert found == fixture.read_text()


def test_every_row_has_a_scenario_and_no_fixture_is_left_over() -> None:
    assert set(SCENARIOS) == {row.event for row in TABLE} == set(Event)
    assert {path.stem for path in ROWS.glob("*.txt")} == {event.value for event in Event}

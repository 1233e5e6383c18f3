"""What must not wait, nor get lost on the way: withdrawals and critical findings, whatever else is slow or broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cds import delivering
from cds.domain.finding import ModelOutcome
from cds.domain.imaging import VolumeRef
from cds.domain.search import ResourceQuery
from cds.domain.verification import Verdict
from cds.workflow import STEPS
from tests.contract.closing import close_quiet
from tests.lifecycle import arrivals
from tests.lifecycle.bleed import ID, HeadBleed
from tests.lifecycle.stage import ANNA, BERTA, Stage, opened


@dataclass(frozen=True)
class Broken(HeadBleed):
    """A model that breaks on whatever it is given."""

    id: str = "broken"

    def run(self, volume: VolumeRef, scratch: Path) -> ModelOutcome:
        raise RuntimeError("this model is broken")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield opened(tmp_path, stack, model_modes={ID: "advisory", "broken": "advisory"})


def reported(stage: Stage) -> None:
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()


def work(stage: Stage) -> list[str]:
    """Run what is to be run, deliver nothing; answers how each study ended."""
    close_quiet(stage.held.database, stage.clock.at)
    steps = {name: stage.worker._step(name, step) for name, step in STEPS.items()}
    return [stage.worker._study(steps, queued.id) for queued in stage.held.works.pending()]


def preliminary(stage: Stage) -> int:
    found = stage.held.resources.search(ResourceQuery("DiagnosticReport")).resources
    return sum(b'"preliminary"' in resource.body for resource in found)


def test_a_critical_finding_is_told_before_another_model_breaks(stage: Stage) -> None:
    stage.line = replace(stage.line, models={**stage.line.models, "broken": Broken()})
    stage.worker.line = stage.line
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.clock.move(seconds=10)
    assert work(stage) == ["failed"]
    stage._deliver()
    stage._collect()
    assert ["Critical AI finding" in page for page in stage.pages] == [True]


def test_what_was_told_is_taken_back_before_a_model_breaks(stage: Stage) -> None:
    reported(stage)
    stage.line = replace(stage.line, models={"broken": Broken()})
    stage.worker.line = stage.line
    arrivals.wrong_patient(stage, ANNA)
    work(stage)
    stage._deliver()
    stage._collect()
    assert "|W|" in stage.orus[-1]


def test_from_the_moment_on_nobody_is_shown_a_wrong_patients_result(stage: Stage) -> None:
    reported(stage)
    assert preliminary(stage) == 1
    arrivals.wrong_patient(stage, ANNA)
    assert preliminary(stage) == 0
    assert [card["summary"] for card in stage.cards(ANNA)] == []


def test_a_report_that_waits_is_not_sent_once_the_patient_is_known_to_be_wrong(stage: Stage) -> None:
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.clock.move(seconds=10)
    work(stage)
    [waiting] = [due for due in stage.held.deliveries.pending() if due.destination == "ehr"]
    arrivals.wrong_patient(stage, ANNA)
    assert delivering.deliver(stage.line, waiting.id) == "retry"
    work(stage)
    assert delivering.deliver(stage.line, waiting.id) == "superseded"
    stage._collect()
    assert stage.orus == []


def test_a_report_that_waits_is_not_sent_once_a_radiologist_rejected_it(stage: Stage) -> None:
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.clock.move(seconds=10)
    work(stage)
    arrivals.verify(stage, ANNA, Verdict.REJECTED)
    stage._deliver()
    stage._collect()
    assert stage.orus == []


def test_after_a_cancelled_order_a_rejected_finding_is_still_taken_back(stage: Stage) -> None:
    reported(stage)
    stage.clock.move(minutes=1)
    stage.order(ANNA, "CA")
    stage.settle()
    arrivals.verify(stage, ANNA, Verdict.REJECTED)
    stage.settle()
    assert "|W|" in stage.orus[-1]
    assert preliminary(stage) == 0


def test_after_a_cancelled_order_a_merge_still_moves_what_was_told(stage: Stage) -> None:
    reported(stage)
    stage.clock.move(minutes=1)
    stage.order(ANNA, "CA")
    stage.settle()
    stage.hl7("ADT^A40^ADT_A39", BERTA, "EVN|A40", "MRG|A^^^HOSPITAL^MR")
    stage.settle()
    statuses: list[Any] = [
        (r["status"], r["subject"]["identifier"]["value"]) for r in stage.fhir.of_type("DiagnosticReport")
    ]
    assert statuses == [("entered-in-error", "A"), ("preliminary", "B")]


def test_a_stat_ct_is_reported_from_its_complete_series_and_again_when_all_is_here(stage: Stage) -> None:
    sent = stage.clock.at.strftime("%Y%m%d%H%M%S+0000")
    stage.hl7(
        "ORM^O01^ORM_O01",
        ANNA,
        f"ORC|NW|PL1^EHR|||||||{sent}",
        f"OBR|1|PL1^EHR||24725-4^CT Head^LN|||{sent}|||||||||||{ANNA.accession}||||||CT|||^^^^^S",
    )
    paths = stage.scan(ANNA)
    coming = arrivals.second_series(stage, paths)
    stage.clock.move(seconds=5)
    stage.store(coming[:2])
    while stage._work() or stage._deliver():
        pass
    stage._collect()
    assert ["Made from incomplete images" in oru for oru in stage.orus] == [True]
    assert "images of series 2 are still coming" in stage.orus[0]
    stage.store(coming[2:])
    stage.settle()
    assert ["Made from incomplete images" in oru for oru in stage.orus] == [True, False]
    assert "Version 2, replaces version 1." in stage.orus[1]

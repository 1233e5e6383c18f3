"""A report does not wait for an EHR that is away: it says so, and the study is decided again when the EHR is back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from adapters.fhir.client import open_client
from adapters.fhir.ehr import EhrSource, EhrSources
from adapters.fhir.keys import SmartKeys
from cds import pathways
from cds.bootstrap.ehr import MergedRecord, decide_again
from cds.domain.ehr import EhrData, Known, NotFoundSince, SmokingStatus, Unknown
from cds.domain.report import Report
from cds.fhir_peers import FhirSource
from cds.render.why import as_text
from cds.store.enriching import EnrichingStore
from cds.store.why import why
from cds.workflow import Worker
from tests.contract.ehr_wire import SMOKES, Ehr, code, person, resource
from tests.contract.fhir_wire import Reply, outcome, serving
from tests.lifecycle.stage import ANNA, SYSTEM, Stage, opened

SPIROMETRY = resource("Procedure", "spiro", code("127783003"), performedDateTime="2024-05-06")
HERS = person(identifier=[{"system": SYSTEM, "value": ANNA.mrn}], birthDate="1960-03-02")
#: The stage's clock stands in 2026.
SMOKED = dict(SMOKES, effectiveDateTime="2026-10-01")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what a test opens."""
    with ExitStack() as one:
        yield one


def staged(folder: Path, stack: ExitStack, ehr: Ehr) -> tuple[Stage, MergedRecord]:
    """A stage whose patients are looked up in an EHR too."""
    stage = opened(folder, stack)
    wire = stack.enter_context(serving(ehr.answer))
    table = FhirSource(url=wire.url, timeout_s=5.0, cache_s=0.0)
    source = EhrSource(
        open_client("ehr", table, SmartKeys(()), sleep=lambda _: None),
        table,
        identifier_systems=stage.settings.identifier_systems,
        asks=pathways.asked(),
        clock=stage.clock,
        rest_s=0.0,
    )
    stack.callback(source.close)
    merged = MergedRecord(stage.held.record, EhrSources([source]))
    stage.line = replace(stage.line, ehr=merged, missed=EnrichingStore(stage.held.database).missed)
    stage.worker = Worker(stage.line, stage.worker.sources, None, 0)
    return stage, merged


def reported(stage: Stage) -> tuple[Report, EhrData]:
    """The newest report, and what was known of the patient."""
    report = stage.held.reports.latest_of_study(stage.study(ANNA).study_instance_uid)
    assert report is not None
    assert report.ehr is not None
    return report, report.ehr


def test_what_the_ehr_knows_is_in_the_report(tmp_path: Path, stack: ExitStack) -> None:
    stage, _ = staged(tmp_path, stack, Ehr(resources=[HERS, SMOKED, SPIROMETRY]))
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()
    _, known = reported(stage)
    assert known.smoking_status == Known(SmokingStatus.CURRENT, date(2026, 10, 1), "FHIR ehr")
    assert isinstance(known.condition("copd"), NotFoundSince)
    assert EnrichingStore(stage.held.database).waiting(stage.clock.at) == []


def test_a_study_that_missed_the_ehr_is_reported_and_decided_again_once_when_it_is_back(
    tmp_path: Path, stack: ExitStack
) -> None:
    ehr = Ehr(resources=[HERS, SMOKED, SPIROMETRY], faults={"Patient": lambda _: Reply(503, outcome("transient"))})
    stage, merged = staged(tmp_path, stack, ehr)
    waiting = EnrichingStore(stage.held.database)
    look = decide_again(waiting, stage.held.record, merged)
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()
    first, known = reported(stage)
    assert len(stage.orus) >= 1, "the report did not wait"
    spirometry = known.procedure("spirometry")
    assert isinstance(spirometry, Unknown)
    assert spirometry.reason.startswith("FHIR ehr could not be asked")
    assert "source FHIR ehr could not be asked" in as_text(why(stage.held.database, ANNA.accession), "UTC")

    stage.clock.move(minutes=5)
    look(stage.clock.at)
    stage.settle()
    assert reported(stage)[0].version == first.version, "it is still away"

    ehr.faults.clear()
    stage.clock.move(minutes=5)
    look(stage.clock.at)
    stage.settle()
    again, known = reported(stage)
    assert isinstance(known.procedure("spirometry"), Known)
    assert (again.work.revision.image, again.work.revision.match, again.work.revision.analysis) == (
        first.work.revision.image,
        first.work.revision.match + 1,
        first.work.revision.analysis,
    )
    assert again.outcomes == first.outcomes, "the same findings: nothing was inferred again"
    story = as_text(why(stage.held.database, ANNA.accession), "UTC")
    assert "FHIR ehr answers again, which was away" in story
    assert "evaluated before on these images" in story

    for _ in range(3):
        stage.clock.move(minutes=5)
        look(stage.clock.at)
        stage.settle()
    assert reported(stage)[0].version == again.version
    assert waiting.waiting(stage.clock.at + timedelta(days=1)) == []


def test_an_ehr_without_this_patient_is_no_reason_to_wait(tmp_path: Path, stack: ExitStack) -> None:
    stage, _ = staged(tmp_path, stack, Ehr(resources=[]))
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()
    assert EnrichingStore(stage.held.database).waiting(stage.clock.at) == []
    assert "source FHIR ehr does not know this patient" in as_text(why(stage.held.database, ANNA.accession), "UTC")

"""Which images a model is given, how soon, and what stops it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
import pytest
from pydicom.uid import DigitalXRayImageStorageForPresentation, DigitalXRayImageStorageForProcessing

from cds import reading
from cds.domain.coding import Coding
from cds.domain.finding import UNUSABLE, Finding, Findings, ModelOutcome, NotEvaluated, Presence
from cds.domain.imaging import InstanceHeader, ModelInput, Projections, SeriesSummary
from cds.domain.inference import Progress, RunWish, StudyFacts
from cds.domain.order import QUEUE_PRIORITY, Priority
from cds.domain.switch import SwitchKind
from cds.errors import Cancelled
from cds.workflow import STEPS
from tests.contract.closing import close_quiet
from tests.lifecycle.bleed import CODE, ID, HeadBleed
from tests.lifecycle.stage import ANNA, Person, Stage, opened


@dataclass(frozen=True)
class Asking(HeadBleed):
    """The stand-in, which keeps what it was asked for, and tells how far it is."""

    wishes: list[RunWish] = field(default_factory=list)
    facts: list[StudyFacts] = field(default_factory=list)

    def choose(self, series: Sequence[SeriesSummary], about: StudyFacts) -> Sequence[SeriesSummary]:
        self.facts.append(about)
        return super().choose(series, about)

    def run(self, given: ModelInput, scratch: Path, wish: RunWish) -> ModelOutcome:
        self.wishes.append(wish)
        wish.progress(Progress("count", 1, 2))
        if wish.cancelled():
            raise Cancelled("switched off")
        return super().run(given, scratch, wish)


@dataclass(frozen=True)
class Flat(HeadBleed):
    """A model that looks at projections, and says how many it was given."""

    reads: Literal["volume", "projection"] = "projection"

    def consumes(self, header: InstanceHeader) -> bool:
        return header.modality == "DX"

    def refusal(self, series: SeriesSummary, about: StudyFacts) -> tuple[str, str] | None:
        return None if series.modality == "DX" else ("modality", "it is no radiograph")

    def run(self, given: ModelInput, scratch: Path, wish: RunWish) -> ModelOutcome:
        assert isinstance(given, Projections)
        shapes = sorted({(image.view, *np.load(image.path).shape) for image in given.images})
        found = Finding("images", CODE, Presence.PRESENT, reason=f"{len(given.images)} {shapes}")
        return Findings(self.id, self.version, given.series_instance_uid, (found,))


@dataclass(frozen=True)
class Adults(HeadBleed):
    """A model that is not made for children."""

    def refusal(self, series: SeriesSummary, about: StudyFacts) -> tuple[str, str] | None:
        if about.age_years is not None and about.age_years < 18:
            return "age", "the patient's age is under 18 years"
        return super().refusal(series, about)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield opened(tmp_path, stack)


@pytest.fixture
def flat(tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield opened(tmp_path, stack, model=Flat())


def use(stage: Stage, model: HeadBleed) -> None:
    stage.line = replace(stage.line, models={ID: model})
    stage.worker.line = stage.line


def asked(stage: Stage, who: Person, reason: str, priority: str = "R") -> None:
    """An order that says why."""
    stage.hl7(
        "ORM^O01^ORM_O01",
        who,
        f"ORC|NW|PL{who.accession}^EHR|||||^^^^^{priority}|||20261121120000+0000",
        f"OBR|1|PL{who.accession}^EHR||24725-4^CT Head^LN|||20261121120000+0000||||||{reason}|||||{who.accession}"
        "||||||CT",
    )


def run(stage: Stage) -> str:
    """The one study that waits, by its steps."""
    close_quiet(stage.held.database, stage.clock.at)
    [queued] = stage.held.works.pending()
    steps = {name: stage.worker._step(name, step) for name, step in STEPS.items()}
    assert stage.worker._study(steps, queued.id) == "done"
    return queued.id


def outcome(stage: Stage, work_id: str) -> ModelOutcome:
    [found] = stage.held.works.outcomes(stage.held.works.work(work_id))
    return found


def place(stage: Stage) -> int:
    stage.clock.move(seconds=10)
    close_quiet(stage.held.database, stage.clock.at)
    [queued] = stage.held.works.pending()
    return reading.queue_place(stage.line, queued.id, queued.priority)


def test_the_reason_of_a_routine_order_brings_its_study_forward(stage: Stage) -> None:
    model = Asking()
    use(stage, model)
    asked(stage, ANNA, "query bleeding after a fall")
    stage.scan(ANNA)
    assert place(stage) == QUEUE_PRIORITY[Priority.ASAP]
    run(stage)
    assert [wish.urgency for wish in model.wishes] == [QUEUE_PRIORITY[Priority.ASAP]]
    assert "query bleeding" in model.facts[0].reason
    assert model.facts[0].procedures == (Coding("http://loinc.org", "24725-4", "CT Head"),)


def test_a_reason_never_puts_a_stat_study_back(stage: Stage) -> None:
    asked(stage, ANNA, "query bleeding", priority="S")
    stage.scan(ANNA)
    assert place(stage) == QUEUE_PRIORITY[Priority.STAT]


def test_another_reason_leaves_a_study_in_its_place(stage: Stage) -> None:
    asked(stage, ANNA, "headache for years")
    stage.scan(ANNA)
    assert place(stage) == QUEUE_PRIORITY[Priority.ROUTINE]


def test_a_model_is_told_the_age_at_the_study_and_not_the_age_today(stage: Stage) -> None:
    model = Asking()
    use(stage, model)
    stage.scan(ANNA, study_date=date(2026, 3, 1))  # the day before her birthday
    stage.clock.move(seconds=10)
    run(stage)
    assert [about.age_years for about in model.facts[:1]] == [65]


def test_a_model_that_is_switched_off_in_the_middle_says_nothing(stage: Stage) -> None:
    @dataclass(frozen=True)
    class Slow(Asking):
        def run(self, given: ModelInput, scratch: Path, wish: RunWish) -> ModelOutcome:
            stage.held.switches.disable(SwitchKind.MODEL, ID, by="p", reason="r", now=stage.clock.at)
            return super().run(given, scratch, wish)

    use(stage, Slow())
    stage.scan(ANNA)
    stage.clock.move(seconds=10)
    work_id = run(stage)
    assert stage.held.works.outcomes(stage.held.works.work(work_id)) == ()


def radiograph(path: Path, view: str) -> Path:
    """A slice of the phantom as a chest radiograph of that view, in a series of its own."""
    dataset = pydicom.dcmread(path)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", view
    dataset.SeriesInstanceUID = f"{dataset.SeriesInstanceUID}.{len(view)}{ord(view[0])}"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "SliceThickness", "FrameOfReferenceUID"):
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.save_as(path)
    return path


def test_all_projections_of_a_study_are_given_together_to_a_model_that_looks_at_projections(flat: Stage) -> None:
    paths = flat.images(ANNA)[:2]
    flat.store([radiograph(path, view) for path, view in zip(paths, ("PA", "LL"), strict=True)])
    flat.clock.move(seconds=10)
    found = outcome(flat, run(flat))
    assert isinstance(found, Findings), found
    assert found.findings[0].reason == "2 [('LL', 1, 16, 16), ('PA', 1, 16, 16)]"


def test_a_radiograph_that_cannot_be_read_is_not_evaluated_with_its_reason(flat: Stage) -> None:
    path = radiograph(flat.images(ANNA)[0], "PA")
    dataset = pydicom.dcmread(path)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForProcessing
    dataset.save_as(path)
    flat.store([path])
    flat.clock.move(seconds=10)
    found = outcome(flat, run(flat))
    assert isinstance(found, NotEvaluated)
    assert found.reasons


def test_a_child_is_not_evaluated_by_a_model_for_adults_and_the_reader_is_told(stage: Stage) -> None:
    use(stage, Adults())
    child = replace(ANNA, born="20200302")
    stage.scan(child)
    stage.clock.move(seconds=10)
    found = outcome(stage, run(stage))
    assert isinstance(found, NotEvaluated)
    assert (found.gate, found.reasons) == ("age", ("the patient's age is under 18 years",))


@dataclass(frozen=True)
class Picky(HeadBleed):
    """A model that refuses whole series after it has looked at them, but for the one with blood."""

    def run(self, given: ModelInput, scratch: Path, wish: RunWish) -> ModelOutcome:
        outcome = super().run(given, scratch, wish)
        if isinstance(outcome, Findings) and outcome.findings[0].presence is not Presence.PRESENT:
            return NotEvaluated(self.id, self.version, ("too much noise",), "noise", outcome.series_instance_uid)
        return outcome


def test_the_next_best_series_is_tried_where_the_model_refuses_the_first(stage: Stage) -> None:
    use(stage, Picky())
    without, with_blood = stage.images(ANNA, blood=False), stage.images(ANNA, blood=True)
    for path in with_blood:
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID += ".9"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{dataset.SOPInstanceUID}.9"
        dataset.save_as(path)
    stage.store([*without, *with_blood])
    stage.clock.move(seconds=10)
    found = outcome(stage, run(stage))
    assert isinstance(found, Findings), found
    assert found.series_instance_uid.endswith(".9")


def test_a_study_of_which_the_model_refuses_every_series_has_all_their_reasons(stage: Stage) -> None:
    use(stage, Picky())
    stage.store(stage.images(ANNA, blood=False))
    stage.clock.move(seconds=10)
    found = outcome(stage, run(stage))
    assert isinstance(found, NotEvaluated)
    assert (found.gate, found.reasons) == ("noise", ("too much noise",))


def test_a_reader_is_told_what_was_not_known_of_the_patient(stage: Stage) -> None:
    paths = stage.images(ANNA)
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.PatientBirthDate = ""
        dataset.save_as(path)
    stage.store(paths)
    stage.clock.move(seconds=10)
    found = outcome(stage, run(stage))
    assert isinstance(found, Findings)
    assert found.limits[0] == "The age is not known."


@dataclass(frozen=True)
class Damaged(HeadBleed):
    """A model whose files are not those of its manifest."""

    def run(self, given: ModelInput, scratch: Path, wish: RunWish) -> ModelOutcome:
        return NotEvaluated(self.id, self.version, ("it cannot be used",), UNUSABLE)


def test_people_are_told_of_a_model_that_cannot_be_used(stage: Stage) -> None:
    told: list[tuple[str, str]] = []
    use(stage, Damaged())
    stage.worker.line = replace(stage.line, alarm=lambda key, text: told.append((key, text)))
    stage.scan(ANNA)
    stage.clock.move(seconds=10)
    assert isinstance(outcome(stage, run(stage)), NotEvaluated)
    assert told == [(f"model-unusable:{ID}:1.0.0", "it cannot be used")]

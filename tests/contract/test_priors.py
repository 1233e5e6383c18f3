"""A model that compares, installed from a folder, gets its earlier study from an archive, which itself runs nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from sqlmodel import col, select

import models
from adapters.dicom.phantom import write_ct_series
from cds.bootstrap import Stores, stores, upgrade
from cds.bootstrap.dicom import ModelReader, completeness, retrieving
from cds.domain.retrieval import Purpose, RetrievalState
from cds.retrieving import steps
from cds.retrieving.following import follow
from cds.retrieving.priors import priors
from cds.settings import Settings
from cds.store.priors import PriorStore
from cds.store.retrieval_tables import PriorRow
from cds.store.retrievals import RetrievalStore
from cds.store.tables import StudyRow, WorkRow
from models.registry import load
from tests.contract.dicomweb_archive import Held
from tests.contract.dicomweb_peer import serving
from tests.unit.retrieval_parts import Clock


@dataclass
class Place:
    """A site whose one model compares, its archive, and a clock that sleeping moves."""

    settings: Settings
    held: Stores
    archive: Held
    folder: Path
    clock: Clock

    def study(self, name: str, **header: Any) -> str:
        """A chest CT that the archive has; answers its Study Instance UID."""
        hu = np.zeros((4, 8, 8), np.int16)
        said: dict[str, Any] = {
            "patient_id": "P1", "issuer": "HOSP", "patient_name": "Test^Anna", "sex": "F",
            "birth_date": date(1960, 3, 2), "accession_number": name.upper(), "accession_issuer": "RIS",
            "body_part": "CHEST", "seed": name,
        }  # fmt: skip
        paths = write_ct_series(hu, (5.0, 2.0, 2.0), self.folder / name, **{**said, **header})
        self.archive.paths += paths
        return str(pydicom.dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID)

    def run(self) -> list[str]:
        """Everything that is wanted is retrieved, as a worker does it; answers what each came to."""
        line = retrieving(self.settings, self.held, self.clock, "worker-0")
        assert line is not None
        comparing = load(comparing_models(self.folder))
        line = replace(line, readers=[ModelReader(manifest) for manifest in comparing.values()])

        def step(run: Any) -> Any:
            return lambda *arguments: {"value": run(line, *arguments)}

        ended = []
        while wanted := line.retrievals.pending():
            one = wanted[0].id
            fetch = step(steps.fetch)
            named = {
                "look": step(steps.look),
                "fetch": lambda source, uid, _priority, one=one, fetch=fetch: fetch(one, source, uid),
                "verify": step(steps.verify),
                "priors": step(priors),
                "end": step(steps.end),
            }
            ended.append(follow(named, one, line.count_interval_s, self.clock.sleep))
        return ended


def comparing_models(folder: Path) -> Path:
    """A folder of models with the one that is installed, made to compare with one earlier study."""
    target = folder / "models"
    if not target.exists():
        target.mkdir()
        installed = Path(models.__file__).parent
        shutil.copy(installed / "ct_lung_density.toml", target)
        shutil.copy(installed / "ct_lung_density.py", target)
    return target


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    archive = Held()
    with serving(archive.answer) as peer:
        settings = Settings(
            data_dir=tmp_path / "data", minimum_free_bytes=0, assigning_authority="HOSP", accession_issuer="RIS",
            pacs_sources={"archive": {"retrieve": "wado-rs", "dicomweb": {"url": peer.url}, "timeout_s": 5}},
        )  # fmt: skip
        upgrade(settings)
        held = stores(settings)
        yield Place(settings, held, archive, tmp_path, Clock(datetime.now(UTC)))
        held.database.dispose()


def retrieved(place: Place) -> tuple[str, str]:
    """A study of today with everything that an archive may have of before; answers it and the one prior."""
    now = place.study("now", study_date=date(2026, 11, 20))
    before = place.study("before", study_date=date(2025, 3, 1))
    place.study("long before", study_date=date(2019, 3, 1))
    place.study("head", study_date=date(2026, 1, 1), body_part="HEAD")
    place.study("another's", study_date=date(2026, 2, 1), patient_id="P2")
    place.study("later", study_date=date(2026, 11, 21))
    RetrievalStore(place.held.database).want(now, purpose=Purpose.STUDY, announced="the test", now=place.clock.now())
    assert place.run() == ["done", "done"]
    return now, before


def test_the_newest_earlier_study_of_the_same_body_part_comes_and_runs_nothing(place: Place) -> None:
    now, before = retrieved(place)
    place.clock.sleep(120)
    works = completeness(place.settings, place.held.database).close_complete(place.clock.now())
    assert [work.study_instance_uid for work in works] == [now]
    with place.held.database.reading() as session:
        row = session.get_one(StudyRow, before)
        assert (row.purpose, row.instances, row.revision_open) == ("prior", 4, False)
    of_prior = RetrievalStore(place.held.database).of_study(before)
    assert of_prior is not None
    assert of_prior.state is RetrievalState.DONE


def test_a_model_is_offered_the_series_of_its_prior(place: Place) -> None:
    now, before = retrieved(place)
    store = PriorStore(place.held.database, place.held.studies)
    [offered] = store.of_study(now)
    assert (offered.study.study_instance_uid, offered.coming) == (before, True)
    [series] = offered.series
    assert [(place.settings.data_dir / path).is_file() for path in series.paths] == [True] * 4
    place.clock.sleep(120)
    completeness(place.settings, place.held.database).close_complete(place.clock.now())
    assert [one.coming for one in store.of_study(now)] == [False]
    assert store.of_study(before) == []


def test_a_prior_that_turns_out_to_be_another_patients_is_offered_no_more(place: Place) -> None:
    now, before = retrieved(place)
    with place.held.database.writing() as session:
        row = session.get_one(StudyRow, before)
        row.patient_value = "P3"
        session.add(row)
    assert PriorStore(place.held.database, place.held.studies).of_study(now) == []


def works_of(place: Place, uid: str) -> list[tuple[int, str]]:
    with place.held.database.reading() as session:
        rows = session.exec(select(WorkRow).where(WorkRow.study_uid == uid).order_by(col(WorkRow.match_revision))).all()
        return [(row.match_revision, row.state) for row in rows]


def arrived_later(place: Place, uid: str) -> None:
    """The prior was still coming when the others were complete, and is complete now."""
    with place.held.database.writing() as session:
        row = session.get_one(StudyRow, uid)
        row.revision_open = True
        session.add(row)
    place.clock.sleep(120)
    completeness(place.settings, place.held.database).close_complete(place.clock.now())


def test_a_study_that_was_read_before_its_prior_came_is_compared_again(place: Place) -> None:
    now, before = retrieved(place)
    place.clock.sleep(120)
    [work] = completeness(place.settings, place.held.database).close_complete(place.clock.now())
    place.held.works.mark(work.id, "done", place.clock.now())
    arrived_later(place, before)
    assert works_of(place, now) == [(1, "done"), (2, "pending")]


def test_a_study_that_nobody_has_read_yet_finds_its_prior_by_itself(place: Place) -> None:
    now, before = retrieved(place)
    place.clock.sleep(120)
    completeness(place.settings, place.held.database).close_complete(place.clock.now())
    arrived_later(place, before)
    assert works_of(place, now) == [(1, "pending")]


def test_an_earlier_study_that_was_pushed_and_never_fetched_is_a_prior_too(place: Place) -> None:
    now, before = retrieved(place)
    with place.held.database.writing() as session:
        for link in session.exec(select(PriorRow)).all():
            session.delete(link)
    store = PriorStore(place.held.database, place.held.studies)
    assert [one.study.study_instance_uid for one in store.of_study(now)] == [before]


def test_a_prior_that_nobody_may_see_is_not_offered(place: Place) -> None:
    now, before = retrieved(place)
    with place.held.database.writing() as session:
        row = session.get_one(StudyRow, before)
        row.stopped = "the visit was cancelled"
        session.add(row)
    assert PriorStore(place.held.database, place.held.studies).of_study(now) == []

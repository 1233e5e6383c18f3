"""An announcement leads to a complete study and its report: Orthanc as the PACS, once for each way to fetch."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.e2e import dying_server
from tests.e2e.site import Person, Site, free_port, message, order, series, site, stop, until, wait_until_ready
from tests.peers.conftest import Orthanc, OrthancFactory

pytestmark = pytest.mark.peers

WAYS = ("wado-rs", "c-get", "c-move")


@dataclass
class Place:
    """A site that only fetches, nobody sends it anything, and an Orthanc for each way; its worker dies on demand."""

    site: Site
    pacs: dict[str, Orthanc]

    def keep(self, way: str, paths: list[Path]) -> None:
        """The scanner sent these to that PACS."""
        for path in paths:
            self.pacs[way].post("/instances", path.read_bytes())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """All of it, running."""
    if shutil.which("Orthanc") is None:
        pytest.skip("Orthanc is not installed: make test-peers installs it")
    dicom_port = free_port()
    with ExitStack() as stack:
        pacs = {}
        for way in WAYS:
            factory = OrthancFactory(tmp_path_factory.mktemp(way))
            pacs[way], process = factory.start(dicom_port, dicomweb=way == "wado-rs")
            stack.callback(stop, process)
        one = site(
            tmp_path_factory.mktemp("site"),
            CDS_DICOM_PORT=str(dicom_port),
            CDS_PACS_SOURCES=json.dumps({way: source(way, pacs[way]) for way in WAYS}),
            CDS_COUNT_INTERVAL_S="1",
            PYTHONPATH=str(Path(__file__).parents[2]),
        )
        one.server = one.start(sys.executable, dying_server.__file__)
        stack.callback(stop, one.server)
        wait_until_ready(one)
        yield Place(one, pacs)


def source(way: str, orthanc: Orthanc) -> dict[str, Any]:
    """A PACS as the settings name it."""
    if way == "wado-rs":
        return {"retrieve": way, "timeout_s": 20, "dicomweb": {"url": orthanc.dicomweb}}
    node = {"host": "127.0.0.1", "port": orthanc.dicom_port, "ae_title": "ORTHANC"}
    return {"retrieve": way, "timeout_s": 20, "node": node}


def announced(control_id: str, person: Person, study_uid: str) -> bytes:
    """An ORU^R01 by which a PACS says that the images are there (IHE RAD-TF, DCM 110180)."""
    return message(
        "ORU^R01^ORU_R01",
        control_id,
        person,
        f"OBR|1||{control_id}^PACS",
        f"OBX|1|ST|110180^Study Instance UID^DCM||{study_uid}||||||F",
    )


def completed(control_id: str, person: Person) -> bytes:
    """An ORM^O01 by which a RIS says that the exam is done; it names no study."""
    now = datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
    number = person.accession_number
    return message(
        "ORM^O01^ORM_O01",
        control_id,
        person,
        f"ORC|SC|PL{number}^EHR|||CM||||{now}",
        f"OBR|1|PL{number}^EHR||24627-2^Chest CT^LN|||{now}|||||||||||{number}||||||CT",
    )


def study_of(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID)


@pytest.mark.parametrize("way", WAYS)
def test_an_announced_study_is_fetched_whole_and_reported(way: str, place: Place, tmp_path: Path) -> None:
    person = Person(mrn=f"MRN-{way}", accession_number=f"ACC-{way}")
    paths = series(tmp_path, person)
    place.keep(way, paths)
    place.site.hl7(order(f"{way}-1", person))
    assert place.site.hl7(announced(f"{way}-2", person, study_of(paths[0]))).code == "AA"
    story = place.site.wait_for_report(person.accession_number)
    [study] = story["studies"]
    assert study["instances"] == len(paths)
    assert study["report"]["version"] == 1
    assert "the PACS stated twice that there are 120 images" in json.dumps(story)
    assert f"120 instances of series 1 (CT) came from {way}" in json.dumps(story)


def test_a_completed_exam_is_found_by_its_accession_number(place: Place, tmp_path: Path) -> None:
    person, other = Person(mrn="MRN-1", accession_number="ACC-N"), Person(mrn="MRN-2", accession_number="ACC-M")
    paths = series(tmp_path / "ct", person)
    place.keep("c-get", [*paths, *series(tmp_path / "other", other)])
    place.site.hl7(order("N1", person))
    place.site.hl7(completed("N2", person))
    story = place.site.wait_for_report("ACC-N")
    assert story["studies"][0]["instances"] == len(paths)
    assert place.site.why("ACC-M")["studies"] == []


@pytest.mark.parametrize(("way", "step"), [("wado-rs", "fetch"), ("c-get", "verify")])
def test_a_worker_that_is_killed_in_the_middle_goes_on(way: str, step: str, place: Place, tmp_path: Path) -> None:
    person = Person(mrn=f"MRN-{way}-{step}", accession_number=f"ACC-K-{way}-{step}")
    paths = series(tmp_path, person)
    place.keep(way, paths)
    wish = place.site.data_dir / f"kill-{step}"
    wish.touch()
    place.site.hl7(order(f"{way}-{step}-1", person))
    place.site.hl7(announced(f"{way}-{step}-2", person, study_of(paths[0])))
    until(lambda: not wish.exists(), 60, f"the worker to die after {step}")
    story = place.site.wait_for_report(person.accession_number)
    assert story["studies"][0]["instances"] == len(paths)
    assert story["studies"][0]["report"]["version"] == 1


def test_an_announcement_that_comes_before_the_images_waits_for_them(place: Place, tmp_path: Path) -> None:
    person = Person(mrn="MRN-E", accession_number="ACC-E")
    paths = series(tmp_path, person)
    place.site.hl7(order("E1", person))
    place.site.hl7(announced("E2", person, study_of(paths[0])))
    half = len(paths) // 2
    late = threading.Timer(1.5, place.keep, ["wado-rs", paths[half:]])
    place.keep("wado-rs", paths[:half])
    late.start()
    story = place.site.wait_for_report("ACC-E")
    late.join()
    assert story["studies"][0]["instances"] == len(paths)


def test_every_pacs_answers_the_check(place: Place) -> None:
    said = place.site.cds("check").stdout
    for way, asked in (("wado-rs", "QIDO-RS"), ("c-get", "C-FIND"), ("c-move", "C-FIND")):
        assert f"ok    PACS {way}: answers {asked}, images come by {way.upper()}" in said

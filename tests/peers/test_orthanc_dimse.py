"""Orthanc as the PACS: C-FIND, C-GET, C-MOVE, C-STORE and storage commitment over its own DIMSE implementation."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

from adapters.dicom.commitment import ask
from adapters.dicom.find import FindAsker
from adapters.dicom.get import GetFetcher
from adapters.dicom.move import MoveFetcher
from adapters.dicom.sender import echo, send
from cds.domain.retrieval import RemoteSeries, StudyQuery
from cds.errors import PeerRefused, Unavailable
from cds.imaging_peers import DicomNode
from cds.limits import DicomLimits
from tests.e2e.site import stop
from tests.peers.conftest import Orthanc, OrthancFactory
from tests.peers.dicom_peers import (
    AE_TITLE,
    MemoryIndex,
    arrivals_into,
    build,
    edited,
    files_below,
    noise,
    receiving,
    write_series,
)

pytestmark = pytest.mark.peers


class Answers:
    """Where answers to storage commitment go, over whichever association they come."""

    def __init__(self) -> None:
        self.came = threading.Event()
        self.committed: tuple[str, ...] = ()
        self.failed: tuple[tuple[str, str], ...] = ()

    def asked(self, *_: Any) -> None:
        """Not kept."""

    def answered(self, transaction_uid: str, committed: Sequence[str], failed: Sequence[Any], *_: Any) -> bool:
        self.committed, self.failed = tuple(committed), tuple(failed)
        self.came.set()
        return transaction_uid == "2.25.1"


class House:
    """A running Orthanc with one series, and a receiver of ours that it knows as SIGHTLINE."""

    def __init__(self, orthanc: Orthanc, folder: Path, index: MemoryIndex, answers: Answers) -> None:
        self.orthanc = orthanc
        self.folder = folder
        self.index = index
        self.answers = answers
        self.node = DicomNode(host="127.0.0.1", port=orthanc.dicom_port, ae_title="ORTHANC", calling_ae_title=AE_TITLE)
        self.asker = FindAsker(self.node, 10)

    def series(self, paths: Sequence[Path]) -> RemoteSeries:
        """The series, as Orthanc states it."""
        [series] = self.asker.series(str(pydicom.dcmread(paths[0]).StudyInstanceUID))
        return series

    def getter(self, index: MemoryIndex, port: int = 0) -> GetFetcher:
        node = self.node.model_copy(update={"port": port or self.node.port})
        limits = DicomLimits()
        arrivals = arrivals_into(self.folder / "fetched", index, limits, owner="fetch")
        return GetFetcher(node, arrivals, source="pacs:orthanc", timeout_s=10, limits=limits, asker=self.asker)

    def volume(self, index: MemoryIndex, data: str) -> Any:
        stored = [self.folder / data / instance.path for instance in index.instances]
        return np.load(build(stored, self.folder).path)


@pytest.fixture
def house(tmp_path: Path, orthanc_factory: OrthancFactory) -> Iterator[House]:
    index, answers = MemoryIndex(), Answers()
    with receiving(tmp_path / "data", index, commitments=answers) as receiver:
        orthanc, process = orthanc_factory.start(receiver.port)
        try:
            yield House(orthanc, tmp_path, index, answers)
        finally:
            stop(process)


@pytest.fixture
def paths(tmp_path: Path, house: House) -> list[Path]:
    """A series that Orthanc got by our own C-STORE."""
    paths = write_series(tmp_path / "series", noise(24, 64, 64))
    echo(house.node, timeout_s=10)
    assert all(result.status == 0 for result in send(paths, house.node, timeout_s=10))
    return paths


def test_orthanc_tells_what_it_has(house: House, paths: list[Path]) -> None:
    image = pydicom.dcmread(paths[0])
    [study] = house.asker.studies(StudyQuery(accession_number="ACC-7", patient_id="P-1", modality="CT"))
    assert study.study_instance_uid == image.StudyInstanceUID
    assert (study.patient_id, study.modalities, study.series, study.instances) == ("P-1", ("CT",), 1, 24)
    [series] = house.asker.series(study.study_instance_uid)
    assert (series.series_instance_uid, series.modality, series.instances) == (image.SeriesInstanceUID, "CT", 24)
    instances = house.asker.instances(study.study_instance_uid, series.series_instance_uid)
    assert {one.sop_instance_uid for one in instances} == {str(pydicom.dcmread(p).SOPInstanceUID) for p in paths}
    assert {one.sop_class_uid for one in instances} == {str(image.SOPClassUID)}
    assert house.asker.studies(StudyQuery(accession_number="ACC-8")) == []


def test_a_series_is_got_and_is_the_same_volume(house: House, paths: list[Path]) -> None:
    index = MemoryIndex()
    fetched = house.getter(index).fetch(house.series(paths))
    assert (fetched.arrived, fetched.failed, fetched.reasons) == (24, 0, ())
    assert np.array_equal(house.volume(index, "fetched"), noise(24, 64, 64))


@contextmanager
def cut_after(port: int, size: int) -> Iterator[int]:
    """A port of its own that leads to the given one, and is cut once so many bytes came from there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def relay() -> None:
            near, _ = listener.accept()
            with near, socket.create_connection(("127.0.0.1", port)) as far:
                left = size
                while left > 0:
                    for one in select.select([near, far], [], [], 10)[0]:
                        data = one.recv(4096)
                        (far if one is near else near).sendall(data)
                        left -= len(data) if one is far else 0

        thread = threading.Thread(target=relay)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


def test_a_cut_retrieval_is_resumed_with_what_is_missing(house: House, paths: list[Path]) -> None:
    series = house.series(paths)
    instances = house.asker.instances(series.study_instance_uid, series.series_instance_uid)
    index = MemoryIndex()
    with cut_after(house.node.port, 120_000) as port, pytest.raises(Unavailable):
        house.getter(index, port).fetch(series, instances)
    here = index.known(series.study_instance_uid)
    missing = [one for one in instances if one.sop_instance_uid not in here]
    assert 0 < len(missing) < len(instances)
    assert house.getter(index).fetch(series, missing).arrived >= len(missing)
    assert index.known(series.study_instance_uid) == {one.sop_instance_uid for one in instances}
    assert index.outcomes.count("new") == len(files_below(house.folder / "fetched")) == len(instances)


def test_a_series_is_moved_to_our_receiver(house: House, paths: list[Path]) -> None:
    mover = MoveFetcher(house.node, AE_TITLE, house.index, timeout_s=10, asker=house.asker)
    series = house.series(paths)
    instances = house.asker.instances(series.study_instance_uid, series.series_instance_uid)
    assert mover.fetch(series, instances[:3]).arrived == 3
    assert len(house.index.instances) == 3
    fetched = mover.fetch(series)
    assert (fetched.arrived, fetched.failed) == (24, 0)
    assert np.array_equal(house.volume(house.index, "data"), noise(24, 64, 64))


def test_a_destination_that_orthanc_does_not_know_is_refused_or_has_failed(house: House, paths: list[Path]) -> None:
    with pytest.raises((PeerRefused, Unavailable)):
        MoveFetcher(house.node, "NOBODY", house.index, timeout_s=10).fetch(house.series(paths))


def test_compressed_and_plain_instances_of_one_series_are_got(house: House, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "mixed", noise(4, 64, 64))
    for path in paths[:2]:
        with edited(path) as dataset:
            dataset.compress(RLELossless, generate_instance_uid=False)
    assert all(result.status == 0 for result in send(paths, house.node, timeout_s=10))
    index = MemoryIndex()
    fetched = house.getter(index).fetch(house.series(paths))
    assert (fetched.arrived, fetched.failed) == (4, 0)
    assert np.array_equal(house.volume(index, "fetched"), noise(4, 64, 64))


def test_orthanc_commits_what_it_was_sent_and_not_what_it_was_not(house: House, paths: list[Path]) -> None:
    images = [pydicom.dcmread(path) for path in paths[:2]]
    instances = [(str(one.SOPClassUID), str(one.SOPInstanceUID)) for one in images]
    ask(house.node, [*instances, (instances[0][0], "1.2.3.4")], "2.25.1", timeout_s=10, answered=house.answers.answered)
    assert house.answers.came.wait(10)
    assert sorted(house.answers.committed) == sorted(uid for _, uid in instances)
    assert [uid for uid, _ in house.answers.failed] == ["1.2.3.4"]

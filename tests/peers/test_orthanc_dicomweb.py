"""Orthanc's DICOMweb plugin as the PACS: QIDO-RS, WADO-RS with a break in the middle, STOW-RS."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pydicom
import pytest

from adapters.dicom.arrival import Arrivals
from adapters.dicom.files import InstanceFiles
from adapters.dicom.qido import QidoAsker
from adapters.dicom.stow import StowClient
from adapters.dicom.wado import WadoFetcher
from cds.domain.retrieval import Fetched, StudyQuery
from cds.errors import Unavailable
from cds.imaging_peers import DicomwebServer
from cds.limits import DicomLimits
from tests.e2e.site import free_port, stop
from tests.peers.conftest import OrthancFactory
from tests.peers.dicom_peers import FixedClock, MemoryIndex, consumes_ct, files_below, noise, write_series

pytestmark = pytest.mark.peers

SLICES = 60


@dataclass(frozen=True)
class Pacs:
    """A running Orthanc with DICOMweb that holds one CT series."""

    port: int
    paths: list[Path]

    @property
    def server(self) -> DicomwebServer:
        return DicomwebServer(url=f"http://127.0.0.1:{self.port}/dicom-web")


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pacs]:
    if shutil.which("Orthanc") is None:
        pytest.skip("Orthanc is not installed: make test-peers installs it")
    folder = tmp_path_factory.mktemp("pacs")
    paths = write_series(folder / "ct", noise(SLICES, 64, 64))
    orthanc, process = OrthancFactory(folder).start(free_port(), dicomweb=True)
    try:
        one = Pacs(orthanc.http_port, paths)
        StowClient(one.server, 20).store([path.read_bytes() for path in paths])
        yield one
    finally:
        stop(process)


def fetcher(server: DicomwebServer, data_dir: Path, index: MemoryIndex, parallel: int = 2) -> WadoFetcher:
    limits = DicomLimits()
    arrivals = Arrivals(
        files=InstanceFiles(data_dir, 0), index=index, clock=FixedClock(), consumes=consumes_ct, limits=limits
    )
    return WadoFetcher(server, arrivals, source="pacs:orthanc", timeout_s=20, parallel=parallel, limits=limits)


@contextmanager
def breaking_off(port: int, after: int) -> Iterator[int]:
    """A connection to `port` that ends after so many bytes of its answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_forward, args=(listener, port, after))
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join()


def _forward(listener: socket.socket, port: int, left: int) -> None:
    client, _ = listener.accept()
    with client, socket.create_connection(("127.0.0.1", port)) as server:
        server.sendall(client.recv(65536))
        while left > 0 and (data := server.recv(min(left, 65536))):
            client.sendall(data)
            left -= len(data)


def test_a_study_is_found_with_its_series_and_instances(pacs: Pacs) -> None:
    header = pydicom.dcmread(pacs.paths[0])
    asker = QidoAsker(pacs.server, 10)
    [study] = asker.studies(StudyQuery(accession_number="ACC-7"))
    assert (study.study_instance_uid, study.patient_id, study.issuer_of_patient_id) == (
        header.StudyInstanceUID,
        "P-1",
        "HOSPITAL",
    )
    assert (study.study_date, study.modalities, study.instances) == (date(2026, 3, 2), ("CT",), SLICES)
    [series] = asker.series(study.study_instance_uid)
    assert (series.modality, series.body_part, series.instances) == ("CT", "CHEST", SLICES)
    instances = asker.instances(study.study_instance_uid, series.series_instance_uid)
    assert {one.sop_instance_uid for one in instances} == {
        str(pydicom.dcmread(path).SOPInstanceUID) for path in pacs.paths
    }


@pytest.mark.parametrize(
    "query",
    [
        StudyQuery(accession_number="ACC-*"),
        StudyQuery(patient_id="P-1", before=date(2026, 3, 2)),
        StudyQuery(patient_id="P-1", issuer_of_patient_id="CLINIC"),
        StudyQuery(patient_id="P-1", modality="MR"),
        StudyQuery(study_instance_uid="1.2.3"),
    ],
)
def test_what_does_not_match_is_not_found(pacs: Pacs, query: StudyQuery) -> None:
    assert QidoAsker(pacs.server, 10).studies(query) == []


def test_a_study_that_is_not_there_has_no_series(pacs: Pacs) -> None:
    assert QidoAsker(pacs.server, 10).series("1.2.3") == []
    assert QidoAsker(pacs.server, 10).instances("1.2.3", "1.2.4") == []


def test_a_retrieval_that_breaks_off_is_taken_up_where_it_ended(pacs: Pacs, tmp_path: Path) -> None:
    asker = QidoAsker(pacs.server, 10)
    [study] = asker.studies(StudyQuery(accession_number="ACC-7"))
    [series] = asker.series(study.study_instance_uid)
    all_of_it = asker.instances(study.study_instance_uid, series.series_instance_uid)
    size = sum(path.stat().st_size for path in pacs.paths)
    index = MemoryIndex()
    with breaking_off(pacs.port, size * 3 // 4) as port, pytest.raises(Unavailable):
        fetcher(DicomwebServer(url=f"http://127.0.0.1:{port}/dicom-web"), tmp_path, index).fetch(series, all_of_it)
    here = {one.header.sop_instance_uid for one in index.instances}
    assert 0 < len(here) < SLICES
    missing = [one for one in all_of_it if one.sop_instance_uid not in here]
    assert fetcher(pacs.server, tmp_path, index).fetch(series, missing) == Fetched(len(missing))
    assert len(files_below(tmp_path)) == len(index.instances) == SLICES
    assert index.outcomes == ["new"] * SLICES


def test_a_series_arrives_as_it_was_sent(pacs: Pacs, tmp_path: Path) -> None:
    [study] = QidoAsker(pacs.server, 10).studies(StudyQuery(accession_number="ACC-7"))
    [series] = QidoAsker(pacs.server, 10).series(study.study_instance_uid)
    index = MemoryIndex()
    assert fetcher(pacs.server, tmp_path, index).fetch(series, ()) == Fetched(SLICES)
    sent = {str(one.SOPInstanceUID): one.pixel_array for one in map(pydicom.dcmread, pacs.paths)}
    for instance in index.instances:
        got = pydicom.dcmread(tmp_path / instance.path).pixel_array
        assert np.array_equal(got, sent[instance.header.sop_instance_uid])


def test_each_stored_instance_has_its_answer_and_one_that_is_refused_too(pacs: Pacs, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "other", noise(3), accession_number="ACC-8")
    contents = [path.read_bytes() for path in paths]
    answers = StowClient(pacs.server, 10).store([*contents, contents[0]])
    assert [one.stored for one in answers] == [True] * 4
    assert len(QidoAsker(pacs.server, 10).studies(StudyQuery(accession_number="ACC-8"))) == 1

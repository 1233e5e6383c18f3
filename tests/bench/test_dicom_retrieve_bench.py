"""How fast a series comes from a PACS to durable files, as a ratio to curl and one file in the same run.

Two times are told: until all files are split and fsynced, and until all are checked, named and in the index. Each is
the best of several, which take turns with curl: what else the machine does comes on top of either.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest

from adapters.dicom.arrival import Arrivals
from adapters.dicom.files import InstanceFiles, Partial
from adapters.dicom.wado import WadoFetcher
from cds.domain.retrieval import Fetched, RemoteSeries
from cds.imaging_peers import DicomwebServer
from cds.limits import DicomLimits
from tests.e2e.site import free_port, stop
from tests.peers.conftest import Orthanc, OrthancFactory
from tests.peers.dicom_peers import FixedClock, MemoryIndex, consumes_ct, noise, write_series

pytestmark = pytest.mark.bench

SLICES = 200
TIMES = 11


@dataclass(frozen=True)
class Pacs:
    """An Orthanc that holds one CT series."""

    orthanc: Orthanc
    series: RemoteSeries

    @property
    def url(self) -> str:
        return (
            f"{self.orthanc.dicomweb}/studies/{self.series.study_instance_uid}/series/{self.series.series_instance_uid}"
        )


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[Pacs]:
    if shutil.which("Orthanc") is None or shutil.which("curl") is None:
        pytest.skip("Orthanc or curl is not installed: make test-peers installs them")
    paths = write_series(tmp_path / "ct", noise(SLICES, 512, 512))
    header = pydicom.dcmread(paths[0], stop_before_pixels=True)
    orthanc, process = OrthancFactory(tmp_path).start(free_port(), dicomweb=True)
    try:
        for path in paths:
            orthanc.post("/instances", path.read_bytes())
        series = RemoteSeries(str(header.StudyInstanceUID), str(header.SeriesInstanceUID), instances=SLICES)
        yield Pacs(orthanc, series)
    finally:
        stop(process)


def by_curl(pacs: Pacs, file: Path) -> float:
    """Seconds for the answer as it is, in one file that nobody made durable."""
    file.unlink(missing_ok=True)
    os.sync()
    accept = 'Accept: multipart/related; type="application/dicom"; transfer-syntax=*'
    started = time.perf_counter()
    subprocess.run(["curl", "-sS", "-f", "-o", str(file), "-H", accept, pacs.url], check=True)
    return time.perf_counter() - started


class WatchedFiles(InstanceFiles):
    """Notes when each file is durable."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir, 0)
        self.durable: list[float] = []

    def save(self, partial: Partial, *rest: bytes, named: bool = False) -> Future[None]:
        saved = super().save(partial, *rest, named=named)
        saved.add_done_callback(lambda _: self.durable.append(time.perf_counter()))
        return saved


def by_us(pacs: Pacs, data_dir: Path) -> tuple[float, float]:
    """Seconds until all is split and fsynced, and until all is checked and in the index, which is in memory."""
    shutil.rmtree(data_dir, ignore_errors=True)
    os.sync()
    index, files, limits = MemoryIndex(), WatchedFiles(data_dir), DicomLimits()
    arrivals = Arrivals(files=files, index=index, clock=FixedClock(), consumes=consumes_ct, limits=limits)
    server = DicomwebServer(url=pacs.orthanc.dicomweb)
    retrieval = WadoFetcher(server, arrivals, source="pacs:orthanc", timeout_s=20, parallel=1, limits=limits)
    started = time.perf_counter()
    assert retrieval.fetch(pacs.series, ()) == Fetched(SLICES)
    seconds = time.perf_counter() - started
    assert index.outcomes == ["new"] * SLICES
    assert len(files.durable) == SLICES
    return max(files.durable) - started, seconds


def test_retrieving_to_split_durable_files_is_near_curl_to_one_file(pacs: Pacs, tmp_path: Path) -> None:
    by_curl(pacs, tmp_path / "one")
    by_us(pacs, tmp_path / "data")
    measured = [(by_curl(pacs, tmp_path / "one"), *by_us(pacs, tmp_path / "data")) for _ in range(TIMES)]
    curl, durable, checked = (min(column) for column in zip(*measured, strict=True))
    print(f"\nratio to curl: {durable / curl:.2f} split and fsynced, {checked / curl:.2f} checked and in the index")
    print(f"curl {curl:.3f} s, ours {durable:.3f} s and {checked:.3f} s; best of {TIMES}")
    assert durable <= 1.7 * curl

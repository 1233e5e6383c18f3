"""How fast a series comes from a PACS to checked, durable files, as a ratio to curl and one file in the same run."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pydicom
import pytest

from cds.domain.retrieval import Fetched, RemoteSeries
from cds.imaging_peers import DicomwebServer
from tests.e2e.site import free_port, stop
from tests.peers.conftest import Orthanc, OrthancFactory
from tests.peers.dicom_peers import MemoryIndex, noise, write_series
from tests.peers.test_orthanc_dicomweb import fetcher

pytestmark = pytest.mark.bench

SLICES = 200
TIMES = 7


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
        pytest.skip("Orthanc or curl is not installed")
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


def by_us(pacs: Pacs, data_dir: Path) -> float:
    """Seconds for split files, checked, digested and fsynced, with the index in memory."""
    shutil.rmtree(data_dir, ignore_errors=True)
    os.sync()
    index = MemoryIndex()
    retrieval = fetcher(DicomwebServer(url=pacs.orthanc.dicomweb), data_dir, index)
    started = time.perf_counter()
    assert retrieval.fetch(pacs.series, ()) == Fetched(SLICES)
    seconds = time.perf_counter() - started
    assert index.outcomes == ["new"] * SLICES
    return seconds


def test_retrieving_to_checked_durable_files_is_near_curl_to_one_file(pacs: Pacs, tmp_path: Path) -> None:
    by_curl(pacs, tmp_path / "one")
    by_us(pacs, tmp_path / "data")
    measured = [(by_curl(pacs, tmp_path / "one"), by_us(pacs, tmp_path / "data")) for _ in range(TIMES)]
    curl, ours = (median(column) for column in zip(*measured, strict=True))
    print(f"ratio to curl: {ours / curl:.2f} (curl {curl:.3f} s, ours {ours:.3f} s)")
    assert ours <= 1.7 * curl

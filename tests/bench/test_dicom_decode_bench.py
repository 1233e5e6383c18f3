"""Decoding in a pool: its memory against the volume, its time against SimpleITK, each in one run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK

from adapters.dicom.ahead_decode import AheadDecoding
from adapters.dicom.arrival import Arrivals
from adapters.dicom.confined import NICE
from adapters.dicom.files import InstanceFiles
from adapters.dicom.pool import DecodePool
from adapters.dicom.volume import LocalImages
from adapters.dicom.wado import WadoFetcher
from cds.domain.retrieval import Fetched, RemoteSeries
from cds.imaging_peers import DicomwebServer
from cds.limits import DicomLimits
from tests.bench.test_dicom_bench import by_simpleitk
from tests.bench.test_dicom_retrieve_bench import Pacs, by_curl
from tests.e2e.site import free_port, stop
from tests.peers.conftest import OrthancFactory
from tests.peers.dicom_peers import FixedClock, MemoryIndex, build, consumes_ct, summary

pytestmark = pytest.mark.bench

SLICES, TIMES = 200, 4
#: Reads a folder with SimpleITK, as nice as our processes are, and prints the seconds that it took.
_READER = """
import os, sys, time, SimpleITK
os.nice(int(sys.argv[3]))
if sys.argv[2] == "one":
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
started = time.perf_counter()
reader = SimpleITK.ImageSeriesReader()
reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(sys.argv[1]))
reader.Execute()
print(time.perf_counter() - started)
"""


@pytest.fixture(scope="module")
def jpeg_2000(reference_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """200 slices of 512 x 512 as a scanner's archive compressed them: the reference series again and again."""
    folder = tmp_path_factory.mktemp("jpeg2000")
    sources = sorted((reference_dir / "images" / "totalseg_ct_dicom" / "example_ct_dicom").iterdir())
    images = [pydicom.dcmread(path) for path in sources]
    x, y, z = images[0].ImagePositionPatient
    paths = [folder / f"{number:04d}.dcm" for number in range(SLICES)]
    for number, path in enumerate(paths):
        image = images[number % len(images)]
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"2.25.{number + 1}"
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID
        image.PatientID, image.StudyInstanceUID, image.SeriesInstanceUID = "BENCH", "2.25.7001", "2.25.7002"
        image.InstanceNumber, image.ImagePositionPatient = number + 1, [x, y, z + 2 * number]
        image.save_as(path)
    return paths


@pytest.fixture
def pacs(jpeg_2000: list[Path], tmp_path: Path) -> Iterator[Pacs]:
    if shutil.which("Orthanc") is None or shutil.which("curl") is None:
        pytest.skip("Orthanc or curl is not installed: make test-peers installs them")
    header = pydicom.dcmread(jpeg_2000[0], stop_before_pixels=True)
    orthanc, process = OrthancFactory(tmp_path).start(free_port(), dicomweb=True)
    try:
        for path in jpeg_2000:
            orthanc.post("/instances", path.read_bytes())
        yield Pacs(orthanc, RemoteSeries(str(header.StudyInstanceUID), str(header.SeriesInstanceUID), instances=SLICES))
    finally:
        stop(process)


def test_memory_stays_near_the_volume_whatever_decodes(jpeg_2000: list[Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bench.decode_memory", str(jpeg_2000[0].parent), str(tmp_path)]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=120).stdout)
    assert said["volume"] == SLICES * 512 * 512 * 2 + 128
    ratio = (said["peak"] - said["idle"]) / said["volume"]
    print(f"peak memory above the idle process: {ratio:.2f} of the volume")
    assert ratio <= 1.3


def by_reader(folder: Path, cores: str) -> float:
    command = [sys.executable, "-c", _READER, str(folder), cores, str(NICE)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout)


def by_us(pacs: Pacs, pool: DecodePool, data_dir: Path) -> float:
    """Seconds from the first request to the volume on disk; files checked, split and durable on the way."""
    shutil.rmtree(data_dir, ignore_errors=True)
    index, limits = MemoryIndex(), DicomLimits()
    ahead = AheadDecoding(data_dir / "ahead", data_dir, pool, limits)
    arrivals = Arrivals(
        files=InstanceFiles(data_dir, 0),
        index=index,
        clock=FixedClock(),
        consumes=consumes_ct,
        limits=limits,
        ahead=ahead.want,
    )
    server = DicomwebServer(url=pacs.orthanc.dicomweb)
    retrieval = WadoFetcher(server, arrivals, source="pacs:orthanc", timeout_s=20, parallel=2, limits=limits)
    started = time.perf_counter()
    assert retrieval.fetch(pacs.series, ()) == Fetched(SLICES)
    files = [data_dir / instance.path for instance in index.instances]
    volume = LocalImages(Path("/"), limits, pool, ahead).volume(summary(files), data_dir / "work")
    seconds = time.perf_counter() - started
    ahead.close()
    assert volume.shape == (SLICES, 512, 512)
    return seconds


def test_two_processes_retrieve_and_decode_jpeg_2000_faster_than_download_and_one_reader(
    pacs: Pacs, jpeg_2000: list[Path], tmp_path: Path
) -> None:
    """The reader has one core, as each of our processes: the codec inside SimpleITK takes all that there are.

    In turns, and the least of each: what else the machine does lengthens all of them, and now one and now another.
    """
    folder = jpeg_2000[0].parent
    with DecodePool(DicomLimits(), processes=2) as pool:
        pool.start()
        by_us(pacs, pool, tmp_path / "data")
        turns = [
            (
                by_us(pacs, pool, tmp_path / "data"),
                by_curl(pacs, tmp_path / "one"),
                by_reader(folder, "one"),
                by_reader(folder, "all"),
            )
            for _ in range(TIMES)
        ]
    ours, download, one_core, all_cores = (min(column) for column in zip(*turns, strict=True))
    one = (download + one_core) / ours
    print(f"one reader on one core takes {one:.2f} as long, on all cores {(download + all_cores) / ours:.2f}")
    print(f"ours {ours:.2f} s, download {download:.2f} s, reader on one core {one_core:.2f} s")
    assert one >= 1.7


def test_the_pool_makes_of_jpeg_2000_what_simpleitk_makes(jpeg_2000: list[Path], tmp_path: Path) -> None:
    some = jpeg_2000[:20]
    folder = tmp_path / "some"
    folder.mkdir()
    for path in some:
        shutil.copy(path, folder)
    with DecodePool(DicomLimits(), processes=2) as pool:
        volume = LocalImages(Path("/"), DicomLimits(), pool).volume(summary(some), tmp_path / "pool")
    assert Path(volume.path).read_bytes() == Path(build(some, tmp_path / "here").path).read_bytes()
    assert np.array_equal(np.load(volume.path), SimpleITK.GetArrayFromImage(by_simpleitk(folder)))

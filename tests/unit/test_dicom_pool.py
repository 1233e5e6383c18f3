"""The decoding pool: what a hostile image costs is one verdict, and what is right comes out as it would here."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, RLELossless

from adapters.dicom.pixels import SamePixels
from adapters.dicom.pool import DecodePool
from adapters.dicom.volume import LocalImages
from cds.domain.imaging import VolumeRef
from cds.errors import InvalidInstance, NotEvaluable, OutOfResources, SightlineError, Unavailable
from cds.limits import DicomLimits
from tests.peers.dicom_peers import build, edited, noise, summary, write_series
from tests.unit import decoding

MEMORY = 256 * 1024 * 1024
LIMITS = DicomLimits(decode_processes=2, decode_memory_bytes=MEMORY, decode_timeout_s=10)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(LIMITS) as pool:
        yield pool


def compressed(folder: Path, hu: np.ndarray[tuple[int, ...], np.dtype[np.int16]] | None = None) -> list[Path]:
    paths = write_series(folder, noise() if hu is None else hu)
    for path in paths:
        with edited(path) as dataset:
            dataset.compress(RLELossless, generate_instance_uid=False)
    return paths


def volume(pool: DecodePool, paths: list[Path], scratch: Path, limits: DicomLimits = LIMITS) -> VolumeRef:
    return LocalImages(Path("/"), limits, pool).volume(summary(paths), scratch)


def test_a_function_runs_in_another_process(pool: DecodePool) -> None:
    assert pool.call(decoding.double, 21) == 42
    assert pool.call(decoding.process_id) != os.getpid()


def test_values_come_with_the_number_of_their_task(pool: DecodePool) -> None:
    assert dict(pool.each(decoding.double, [(n,) for n in range(40)])) == {n: 2 * n for n in range(40)}


@pytest.mark.skipif(sys.platform != "linux", reason="how a process stands to others is told by Linux")
def test_a_process_may_use_what_the_limits_say_and_is_the_first_to_go(pool: DecodePool) -> None:
    found = pool.call(decoding.bounds)
    assert found["CORE"] == 0
    assert found["NOFILE"] == 64
    assert found["FSIZE"] == LIMITS.max_series_bytes + 65536
    assert MEMORY < found["AS"] < MEMORY + 1024 * 1024 * 1024
    assert (found["nice"] >= 5, found["oom"]) == (True, 1000)


@pytest.mark.parametrize("how", ["abort", "segfault"])
def test_a_crash_is_a_verdict_on_one_image_and_the_pool_goes_on(pool: DecodePool, how: str) -> None:
    with pytest.raises(NotEvaluable) as refused:
        pool.call(decoding.crash, how)
    assert (refused.value.gate, "the decoder crashed on it" in str(refused.value)) == ("decode", True)
    assert pool.call(decoding.double, 4) == 8


def test_a_process_that_somebody_ends_is_no_verdict_on_the_image(pool: DecodePool) -> None:
    with pytest.raises(Unavailable, match="ended from outside"):
        pool.call(decoding.crash, "killed")
    assert pool.call(decoding.double, 4) == 8


def test_a_crash_costs_the_tasks_beside_it_nothing(pool: DecodePool) -> None:
    answers: list[int] = []
    beside = Thread(target=lambda: answers.extend(v for _, v in pool.each(decoding.double, [(n,) for n in range(60)])))
    beside.start()
    with pytest.raises(NotEvaluable):
        pool.call(decoding.crash, "abort")
    beside.join(20)
    assert sorted(answers) == [2 * n for n in range(60)]


def test_the_first_error_ends_several_and_nothing_runs_afterwards(pool: DecodePool) -> None:
    with pytest.raises(NotEvaluable):
        for _ in pool.each(decoding.sometimes, [(n,) for n in range(1000)]):
            pass
    assert pool.call(decoding.double, 4) == 8


def test_what_takes_too_long_is_refused_and_the_next_is_not(pool: DecodePool) -> None:
    started = time.monotonic()
    with pytest.raises(NotEvaluable, match=r"longer than 0\.3 s"):
        pool.call(decoding.sleep, 30.0, timeout_s=0.3)
    assert pool.call(decoding.double, 4) == 8
    assert time.monotonic() - started < 10


def test_more_memory_than_the_limit_is_refused(pool: DecodePool) -> None:
    with pytest.raises(NotEvaluable, match="more memory"):
        pool.call(decoding.allocate, 4 * MEMORY)
    assert pool.call(decoding.allocate, MEMORY // 4) == MEMORY // 4


def test_a_file_larger_than_any_volume_cannot_be_written(pool: DecodePool, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File too large"):
        pool.call(decoding.grow, str(tmp_path / "big"), LIMITS.max_series_bytes + 1024 * 1024)


@pytest.mark.parametrize(
    ("kind", "error"), [("invalid", InvalidInstance), ("unavailable", Unavailable), ("resources", OutOfResources)]
)
def test_errors_arrive_as_they_were(pool: DecodePool, kind: str, error: type[SightlineError]) -> None:
    with pytest.raises(error, match="as it was") as raised:
        pool.call(decoding.refuse, kind)
    assert type(raised.value) is error
    with pytest.raises(NotEvaluable, match="too dark") as refused:
        pool.call(decoding.refuse, "not-evaluable")
    assert refused.value.gate == "light"


def test_a_mistake_of_ours_is_no_verdict_on_an_image(pool: DecodePool) -> None:
    with pytest.raises(ZeroDivisionError):
        pool.call(decoding.mistaken)


def test_an_error_that_cannot_be_told_is_a_verdict_too(pool: DecodePool) -> None:
    with pytest.raises(NotEvaluable, match="failed on it"):
        pool.call(decoding.unspeakable)
    assert pool.call(decoding.double, 4) == 8


def test_processes_that_were_all_ended_while_idle_are_started_again() -> None:
    with DecodePool(LIMITS, processes=1) as pool:
        os.kill(pool.call(decoding.process_id), signal.SIGKILL)
        time.sleep(0.5)
        assert pool.call(decoding.double, 4) == 8


def test_a_pool_that_is_closed_says_so_and_its_processes_are_gone() -> None:
    with DecodePool(LIMITS, processes=1) as pool:
        process = pool.call(decoding.process_id)
    assert not Path(f"/proc/{process}").exists()
    with pytest.raises(Unavailable, match="shut down"):
        pool.call(decoding.double, 1)


def test_whoever_waits_for_a_pool_that_is_closed_is_told_at_once() -> None:
    pool = DecodePool(LIMITS, processes=1)
    pool.start()
    said: list[Exception] = []

    def wait() -> None:
        try:
            for _ in pool.each(decoding.sleep, [(5.0,)] * 4):
                pass
        except Unavailable as error:
            said.append(error)

    waiting = Thread(target=wait)
    waiting.start()
    time.sleep(0.2)
    pool.close()
    waiting.join(4)
    assert (waiting.is_alive(), len(said)) == (False, 1)


def test_processes_end_with_their_parent_however_it_ends(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from adapters.dicom.pool import DecodePool
from cds.limits import DicomLimits
from tests.unit import decoding
if __name__ == "__main__":
    pool = DecodePool(DicomLimits(), processes=1)
    Path({str(tmp_path / "pid")!r}).write_text(str(pool.call(decoding.process_id)))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    program = tmp_path / "program.py"
    program.write_text(script)
    subprocess.run(
        [sys.executable, str(program)], check=False, timeout=60, env=os.environ | {"PYTHONPATH": os.getcwd()}
    )
    process = Path("/proc") / (tmp_path / "pid").read_text()
    deadline = time.monotonic() + 10
    while process.exists() and process.joinpath("stat").read_text().split()[2] != "Z" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process.exists() or process.joinpath("stat").read_text().split()[2] == "Z"


def test_the_pool_builds_the_volume_that_is_built_here(pool: DecodePool, tmp_path: Path) -> None:
    paths = compressed(tmp_path / "series", noise(30, 64, 48))
    ours, theirs = build(paths, tmp_path / "here"), volume(pool, paths, tmp_path / "there")
    assert np.array_equal(np.load(theirs.path), noise(30, 64, 48))
    assert Path(theirs.path).read_bytes() == Path(ours.path).read_bytes()
    assert (theirs.dtype, theirs.affine, theirs.sop_instance_uids) == ("int16", ours.affine, ours.sop_instance_uids)


def test_one_slice_of_halves_makes_all_of_them_float_in_the_pool_too(pool: DecodePool, tmp_path: Path) -> None:
    paths = compressed(tmp_path / "series", noise(12))
    with edited(paths[7]) as dataset:
        dataset.RescaleSlope = "0.75"
    ours, theirs = build(paths, tmp_path / "here"), volume(pool, paths, tmp_path / "there")
    assert theirs.dtype == "float32"
    assert Path(theirs.path).read_bytes() == Path(ours.path).read_bytes()


def test_one_broken_slice_leaves_no_volume_and_no_file(pool: DecodePool, tmp_path: Path) -> None:
    paths = compressed(tmp_path / "series", noise(12))
    with edited(paths[7]) as dataset:
        dataset.PixelData = dataset.PixelData[:-40] + bytes(40)
    with pytest.raises(NotEvaluable) as refused:
        volume(pool, paths, tmp_path / "scratch")
    assert refused.value.gate == "decode"
    assert list((tmp_path / "scratch").iterdir()) == []


def test_duplicates_of_a_place_are_compared_in_the_pool_too(pool: DecodePool, tmp_path: Path) -> None:
    paths = compressed(tmp_path / "series")
    twin = tmp_path / "series" / "twin.dcm"
    twin.write_bytes(paths[2].read_bytes())
    assert np.array_equal(np.load(volume(pool, [*paths, twin], tmp_path).path), noise())
    with edited(twin) as dataset:
        dataset.decompress()
        dataset.PixelData = bytes(len(dataset.PixelData))
    with pytest.raises(NotEvaluable, match="claim the same position"):
        volume(pool, [*paths, twin], tmp_path)


def claiming(path: Path, syntax: str, frame: bytes, *, rows: int, columns: int) -> Path:
    """A file whose header claims a size and whose one frame is what is given."""
    with edited(path) as dataset:
        dataset.Rows, dataset.Columns = rows, columns
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].is_undefined_length = True
    return path


def j2k_header(rows: int, columns: int) -> bytes:
    """A JPEG 2000 codestream of one tile that declares a size and ends there (ISO/IEC 15444-1 annex A)."""
    size = struct.pack(">HIIIIIIIIH", 0, columns, rows, 0, 0, columns, rows, 0, 0, 1) + bytes([15, 1, 1])
    coding = bytes([0, 0, 0, 1, 0, 5, 4, 4, 0, 1])
    quantization = bytes([0x40, *([0x80] * 16)])
    marked = [(0xFF51, size), (0xFF52, coding), (0xFF5C, quantization)]
    head = b"".join(struct.pack(">HH", marker, len(value) + 2) + value for marker, value in marked)
    tile = struct.pack(">HHHIBB", 0xFF90, 10, 0, 14 + 64, 0, 1) + b"\xff\x93" + bytes(64)
    return b"\xff\x4f" + head + tile + b"\xff\xd9"


def rle_bomb(size: int) -> bytes:
    """Two segments of repeated bytes (PS3.5 annex G): 2 bytes become 128."""
    segment = b"\x81\x00" * (size // 128)
    return struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13) + segment * 2


@pytest.mark.parametrize("rows", [60_000, 512])
def test_a_jpeg_2000_header_that_claims_gigapixels_is_refused(pool: DecodePool, rows: int, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s", noise(3))
    for path in paths:
        claiming(path, JPEG2000Lossless, j2k_header(60_000, 60_000), rows=rows, columns=rows)
    with pytest.raises(NotEvaluable) as refused:
        volume(pool, paths, tmp_path / "scratch")
    assert refused.value.gate in ("size", "decode")


def test_a_jpeg_2000_bomb_below_every_limit_of_size_meets_that_of_memory(pool: DecodePool, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s", noise(2))
    for path in paths:
        claiming(path, JPEG2000Lossless, j2k_header(12_000, 12_000), rows=12_000, columns=12_000)
    with pytest.raises(NotEvaluable) as refused:
        volume(pool, paths, tmp_path / "scratch")
    assert refused.value.gate == "decode"
    assert pool.call(decoding.double, 4) == 8


def test_a_run_length_bomb_is_refused(pool: DecodePool, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s", noise(2))
    for path in paths:
        claiming(path, RLELossless, rle_bomb(1 << 29), rows=8, columns=10)
    with pytest.raises(NotEvaluable) as refused:
        volume(pool, paths, tmp_path / "scratch")
    assert refused.value.gate == "decode"
    assert pool.call(decoding.double, 4) == 8


def test_a_header_that_claims_terabytes_is_refused_before_anything_is_decoded(pool: DecodePool, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s", noise(2))
    for path in paths:
        with edited(path) as dataset:
            dataset.Rows = dataset.Columns = 65535
            dataset.NumberOfFrames = 100
    with pytest.raises(NotEvaluable):
        volume(pool, paths, tmp_path / "scratch")
    assert not (tmp_path / "scratch").exists() or not list((tmp_path / "scratch").iterdir())


def test_a_copy_is_compared_in_another_process_and_what_crashes_is_not_the_same(tmp_path: Path) -> None:
    one = write_series(tmp_path / "series")[0]
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(one.read_bytes())
    with edited(copy) as dataset:
        dataset.compress(RLELossless, generate_instance_uid=False)
    same = SamePixels(tmp_path, LIMITS)
    try:
        assert same("series/0000.dcm", "copy.dcm")
        assert not same("series/0001.dcm", "copy.dcm")
        claiming(copy, JPEG2000Lossless, j2k_header(8, 10), rows=8, columns=10)
        assert not same("series/0000.dcm", "copy.dcm")
        with pytest.raises(Unavailable):
            same("series/0000.dcm", "gone.dcm")
    finally:
        same.close()

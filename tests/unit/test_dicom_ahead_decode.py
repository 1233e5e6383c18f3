"""Decoding ahead: the volume is the same with it and without it, and nobody waits for it or fails with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, RLELossless

from adapters.dicom.ahead_decode import AheadDecoding, Keep
from adapters.dicom.arrival import Arrivals
from adapters.dicom.files import InstanceFiles
from adapters.dicom.pool import DecodePool
from adapters.dicom.volume import LocalImages
from cds.domain.imaging import InstanceHeader, StoredInstance, VolumeRef
from cds.errors import NotEvaluable
from cds.limits import DicomLimits
from tests.peers.dicom_peers import FixedClock, MemoryIndex, build, consumes_ct, edited, noise, summary, write_series
from tests.unit import decoding

LIMITS = DicomLimits(decode_processes=2, decode_timeout_s=10)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(LIMITS) as pool:
        yield pool


@pytest.fixture
def ahead(pool: DecodePool, tmp_path: Path) -> Iterator[AheadDecoding]:
    ahead = AheadDecoding(tmp_path / "ahead", Path("/"), pool, LIMITS)
    yield ahead
    ahead.close()


def compressed(folder: Path, count: int = 30, syntax: str = RLELossless) -> list[Path]:
    paths = write_series(folder, noise(count, 40, 36))
    for path in paths:
        with edited(path) as dataset:
            dataset.compress(syntax, generate_instance_uid=False)
    return paths


def stored(paths: Sequence[Path], syntax: str = RLELossless, frames: int = 1) -> list[StoredInstance]:
    header = InstanceHeader("1", "2", "3", "4", syntax, "CT", frames=frames)
    return [StoredInstance(header, str(path), "", 0) for path in paths]


def wait_for(ahead: AheadDecoding, paths: Sequence[Path], count: int) -> None:
    deadline = time.monotonic() + 10
    while len(ahead.known(paths)) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(ahead.known(paths)) == count


def volume(pool: DecodePool, ahead: AheadDecoding, paths: Sequence[Path], scratch: Path) -> VolumeRef:
    return LocalImages(Path("/"), LIMITS, pool, ahead).volume(summary(paths), scratch)


def values_below(folder: Path) -> int:
    return len(list(folder.glob("*"))) if folder.exists() else 0


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("count", [0, 11, 30])
def test_the_volume_is_the_same_however_much_was_decoded_ahead(
    pool: DecodePool, ahead: AheadDecoding, count: int, syntax: str, tmp_path: Path
) -> None:
    paths = compressed(tmp_path / "series", syntax=syntax)
    ahead.want(stored(paths[:count], syntax))
    wait_for(ahead, paths, count)
    alone = LocalImages(Path("/"), LIMITS).volume(summary(paths), tmp_path / "alone")
    ours = volume(pool, ahead, paths, tmp_path / "scratch")
    assert Path(ours.path).read_bytes() == Path(alone.path).read_bytes()
    assert (ours.dtype, ours.affine, ours.sop_instance_uids) == (alone.dtype, alone.affine, alone.sop_instance_uids)
    assert np.array_equal(np.load(ours.path), noise(30, 40, 36))
    assert (values_below(tmp_path / "ahead"), ahead.known(paths)) == (0, {})


def test_a_volume_that_is_wanted_at_once_takes_what_waits_away(
    pool: DecodePool, ahead: AheadDecoding, tmp_path: Path
) -> None:
    paths = compressed(tmp_path / "series", 60)
    ahead.want(stored(paths))
    ours = volume(pool, ahead, paths, tmp_path / "scratch")
    assert np.array_equal(np.load(ours.path), noise(60, 40, 36))
    assert values_below(tmp_path / "ahead") == 0


@pytest.mark.parametrize("halves", [0, 7, 29])
def test_one_slice_of_halves_makes_all_of_them_float(
    pool: DecodePool, ahead: AheadDecoding, halves: int, tmp_path: Path
) -> None:
    paths = compressed(tmp_path / "series")
    with edited(paths[halves]) as dataset:
        dataset.RescaleSlope = "0.75"
    ahead.want(stored(paths[:20]))
    wait_for(ahead, paths, 20)
    ours = volume(pool, ahead, paths, tmp_path / "scratch")
    assert ours.dtype == "float32"
    assert Path(ours.path).read_bytes() == Path(build(paths, tmp_path / "alone").path).read_bytes()


def test_copies_of_a_place_that_were_decoded_ahead_are_compared_too(
    pool: DecodePool, ahead: AheadDecoding, tmp_path: Path
) -> None:
    paths = compressed(tmp_path / "series")
    twin = tmp_path / "series" / "twin.dcm"
    twin.write_bytes(paths[2].read_bytes())
    with edited(twin) as dataset:
        dataset.decompress()
        dataset.PixelData = bytes(len(dataset.PixelData))
        dataset.compress(RLELossless, generate_instance_uid=False)
    ahead.want(stored([*paths, twin]))
    wait_for(ahead, [*paths, twin], 31)
    with pytest.raises(NotEvaluable, match="claim the same position"):
        volume(pool, ahead, [*paths, twin], tmp_path / "scratch")


def test_a_broken_slice_is_left_to_the_volume_which_says_why(
    pool: DecodePool, ahead: AheadDecoding, tmp_path: Path
) -> None:
    paths = compressed(tmp_path / "series")
    with edited(paths[7]) as dataset:
        dataset.PixelData = dataset.PixelData[:-40] + bytes(40)
    ahead.want(stored(paths))
    wait_for(ahead, paths, 29)
    with pytest.raises(NotEvaluable) as refused:
        volume(pool, ahead, paths, tmp_path / "scratch")
    assert refused.value.gate == "decode"


def test_what_is_plain_or_has_several_frames_or_is_no_slice_is_not_decoded_ahead(
    ahead: AheadDecoding, tmp_path: Path
) -> None:
    plain, slices = write_series(tmp_path / "plain", noise(2)), compressed(tmp_path / "series", 3)
    with edited(slices[0]) as dataset:
        del dataset.ImagePositionPatient
    ahead.want(stored(plain, "1.2.840.10008.1.2.1"))
    ahead.want(stored(plain))  # its syntax is not what was said
    ahead.want(stored([slices[0], tmp_path / "gone"]))
    ahead.want(stored([slices[1]], frames=2))
    ahead.want(stored([slices[2]]))
    wait_for(ahead, [*plain, *slices], 1)
    assert set(ahead.claim([*plain, *slices])) == {slices[2]}


def test_a_file_that_is_another_one_now_is_decoded_anew(pool: DecodePool, ahead: AheadDecoding, tmp_path: Path) -> None:
    paths = compressed(tmp_path / "series")
    ahead.want(stored(paths))
    wait_for(ahead, paths, 30)
    with edited(paths[3]) as dataset:
        dataset.RescaleIntercept = "-1000"
    ours = volume(pool, ahead, paths, tmp_path / "scratch")
    assert Path(ours.path).read_bytes() == Path(build(paths, tmp_path / "alone").path).read_bytes()


def test_values_that_somebody_removed_are_decoded_anew(pool: DecodePool, ahead: AheadDecoding, tmp_path: Path) -> None:
    paths = compressed(tmp_path / "series")
    ahead.want(stored(paths))
    wait_for(ahead, paths, 30)
    for number, file in enumerate(sorted((tmp_path / "ahead").iterdir())):
        if number % 3 == 0:
            file.unlink()
        elif number % 3 == 1:
            file.write_bytes(b"short")
    ours = volume(pool, ahead, paths, tmp_path / "scratch")
    assert np.array_equal(np.load(ours.path), noise(30, 40, 36))


def test_no_more_is_kept_than_the_bounds_say(pool: DecodePool, tmp_path: Path) -> None:
    paths = compressed(tmp_path / "series")
    most = 6 * 40 * 36 * 4
    ahead = AheadDecoding(tmp_path / "ahead", Path("/"), pool, LIMITS, Keep(bytes=most))
    ahead.want(stored(paths))
    wait_until_idle(ahead)
    at_once = pool.processes + 1
    assert 6 <= len(ahead.known(paths)) == values_below(tmp_path / "ahead") < 6 + at_once
    assert np.array_equal(np.load(volume(pool, ahead, paths, tmp_path / "scratch").path), noise(30, 40, 36))
    ahead.close()
    full = AheadDecoding(tmp_path / "full", Path("/"), pool, LIMITS, Keep(free_bytes=1 << 60))
    full.want(stored(paths))
    wait_until_idle(full)
    assert full.claim(paths) == {}
    full.close()


def wait_until_idle(ahead: AheadDecoding) -> None:
    deadline = time.monotonic() + 10
    while not ahead.is_idle() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ahead.is_idle()


def test_what_nobody_wanted_is_gone_after_a_time(pool: DecodePool, tmp_path: Path) -> None:
    paths = compressed(tmp_path / "series", 4)
    ahead = AheadDecoding(tmp_path / "ahead", Path("/"), pool, LIMITS, Keep(seconds=0.4))
    ahead.want(stored(paths))
    deadline = time.monotonic() + 10
    while values_below(tmp_path / "ahead") < 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    while values_below(tmp_path / "ahead") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (values_below(tmp_path / "ahead"), ahead.known(paths)) == (0, {})
    ahead.close()


def test_nobody_waits_for_processes_that_are_busy_and_what_was_left_by_a_crash_is_removed(tmp_path: Path) -> None:
    paths = compressed(tmp_path / "series", 4)
    left = tmp_path / "ahead" / "left.raw"
    left.parent.mkdir()
    left.touch()
    with DecodePool(LIMITS, processes=1) as pool:
        pool.start()
        busy = threading.Thread(target=pool.call, args=(decoding.sleep, 1.5))
        busy.start()
        ahead = AheadDecoding(tmp_path / "ahead", Path("/"), pool, LIMITS)
        assert not left.exists()
        started = time.monotonic()
        ahead.want(stored(paths))
        assert time.monotonic() - started < 0.5
        busy.join()
        wait_for(ahead, paths, 4)
        ahead.close()


def test_processes_that_are_gone_cost_nothing_but_the_time_saved(tmp_path: Path) -> None:
    paths = compressed(tmp_path / "series", 4)
    gone = DecodePool(LIMITS, processes=1)
    gone.close()
    ahead = AheadDecoding(tmp_path / "ahead", Path("/"), gone, LIMITS)
    ahead.want(stored(paths))
    wait_until_idle(ahead)
    assert ahead.claim(paths) == {}
    ahead.close()
    ahead.want(stored(paths))
    assert ahead.claim(paths) == {}


def test_what_arrives_and_is_consumed_is_decoded_ahead(pool: DecodePool, tmp_path: Path) -> None:
    paths = compressed(tmp_path / "series", 6)
    data_dir, index = tmp_path / "data", MemoryIndex()
    ahead = AheadDecoding(tmp_path / "ahead", data_dir, pool, LIMITS)
    arrivals = Arrivals(
        files=InstanceFiles(data_dir, 0),
        index=index,
        clock=FixedClock(),
        consumes=lambda header: consumes_ct(header) and header.instance_number != 2,
        limits=LIMITS,
        ahead=ahead.want,
    )
    for path in paths:
        arriving = arrivals.begin()
        arriving.write(path.read_bytes())
        arrivals.commit([arrivals.prepare_file(arriving)], source="pacs:test")
    files = [data_dir / one.path for one in index.instances]
    wait_for(ahead, files, 5)
    ahead.close()
    assert not (tmp_path / "ahead").exists()

"""How fast a series becomes a volume, as a ratio to SimpleITK on the same files in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import pytest
import SimpleITK

from tests.peers.dicom_peers import build, noise, write_series

pytestmark = pytest.mark.bench


def seconds(work: Callable[[], object], times: int = 3) -> float:
    work()
    measured = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        measured.append(time.perf_counter() - started)
    return median(measured)


def by_simpleitk(folder: Path) -> SimpleITK.Image:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def compare(paths: Sequence[Path], scratch: Path) -> float:
    """Our seconds over SimpleITK's; ours also checks geometry and writes the volume to disk."""
    ours = seconds(lambda: build(paths, scratch))
    return ours / seconds(lambda: by_simpleitk(paths[0].parent))


def test_assembling_a_volume_takes_at_most_three_times_simpleitk(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series", noise(120, 512, 512))
    ratio = compare(paths, tmp_path)
    print(f"ratio to SimpleITK: {ratio:.2f}")
    assert np.array_equal(np.load(build(paths, tmp_path).path), noise(120, 512, 512))
    assert ratio < 3


def test_decoding_jpeg_2000_takes_at_most_three_times_simpleitk(reference_dir: Path, tmp_path: Path) -> None:
    paths = sorted((reference_dir / "images" / "totalseg_ct_dicom" / "example_ct_dicom").iterdir())
    ratio = compare(paths, tmp_path)
    print(f"ratio to SimpleITK: {ratio:.2f}")
    assert ratio < 3

"""Masks and heat maps cut up for the pictures that they lie on: on the right one, or refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest

from adapters.dicom.gallery import Gallery
from adapters.dicom.projection import InPlace
from adapters.dicom.rendering_masks import heat_map, mask_pictures
from cds.errors import NotEvaluable
from cds.limits import DicomLimits
from cds.ui.images import Drawn
from tests.peers.dicom_peers import noise, write_series
from tests.unit.test_dicom_volume import enhanced

MOST = 64 * 1024 * 1024
SHAPE = (6, 8, 10)


@pytest.fixture
def series(tmp_path: Path) -> list[Path]:
    return write_series(tmp_path / "series", noise(*SHAPE))


def saved(path: Path, values: npt.NDArray[np.generic]) -> Path:
    np.save(path, values)
    return path


def marked(number: int, label: int = 1) -> npt.NDArray[np.uint8]:
    """A mask of the whole volume with one voxel of slice `number`."""
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[number, 2, 3] = label
    return voxels


def values(drawn: Drawn) -> npt.NDArray[np.uint8]:
    return np.frombuffer(gzip.decompress(drawn.body), np.uint8).reshape(drawn.rows, drawn.columns)


def test_a_slice_of_a_mask_lies_on_its_image_in_whatever_order_files_come(tmp_path: Path, series: list[Path]) -> None:
    """Slice 0 of a volume is the lowest along the normal; the phantom writes its files in that order."""
    mask = saved(tmp_path / "m.mask.npy", marked(4, label=7))
    for paths in (series, series[::-1]):
        found = mask_pictures(mask, tuple(paths), "", MOST)
        uid = str(pydicom.dcmread(series[4], stop_before_pixels=True).SOPInstanceUID)
        assert list(found) == [(uid, 0)]
        assert values(found[uid, 0])[2, 3] == 7
        assert found[uid, 0].marked == 1


def test_a_mask_that_was_compressed_after_its_report_is_read_too(tmp_path: Path, series: list[Path]) -> None:
    mask = saved(tmp_path / "m.mask.npy", marked(1))
    (tmp_path / "m.mask.npy.gz").write_bytes(gzip.compress(mask.read_bytes()))
    mask.unlink()
    assert len(mask_pictures(mask, tuple(series), "", MOST)) == 1


def test_a_mask_on_frames_of_one_image_names_the_frame(tmp_path: Path) -> None:
    path = enhanced(tmp_path)
    header = pydicom.dcmread(path)
    count, rows, columns = int(header.NumberOfFrames), int(header.Rows), int(header.Columns)
    voxels = np.zeros((count, rows, columns), np.uint8)
    voxels[0] = 1
    ((uid, frame),) = mask_pictures(saved(tmp_path / "m.npy", voxels), (path,), "", MOST)
    heights = [
        float(group.PlanePositionSequence[0].ImagePositionPatient[2])
        for group in header.PerFrameFunctionalGroupsSequence
    ]
    assert uid == str(header.SOPInstanceUID)
    assert heights[frame] == min(heights)


@pytest.mark.parametrize("shape", [(5, 8, 10), (6, 8, 9)])
def test_a_mask_of_other_images_is_not_drawn(tmp_path: Path, series: list[Path], shape: tuple[int, ...]) -> None:
    mask = saved(tmp_path / "m.npy", np.ones(shape, np.uint8))
    with pytest.raises(NotEvaluable, match="does not fit"):
        mask_pictures(mask, tuple(series), "", MOST)


def test_a_mask_of_fewer_images_than_there_are_now_is_not_drawn(tmp_path: Path, series: list[Path]) -> None:
    mask = saved(tmp_path / "m.npy", marked(1))
    with pytest.raises(NotEvaluable):
        mask_pictures(mask, tuple(series[:-1]), "", MOST)


def test_a_mask_that_is_gone_says_so(tmp_path: Path, series: list[Path]) -> None:
    with pytest.raises(NotEvaluable, match="not kept any more"):
        mask_pictures(tmp_path / "gone.npy", tuple(series), "", MOST)
    (tmp_path / "broken.npy").write_bytes(b"no array")
    with pytest.raises(NotEvaluable, match="not kept any more"):
        mask_pictures(tmp_path / "broken.npy", tuple(series), "", MOST)


def test_a_heat_map_comes_in_255_steps_and_never_beyond(tmp_path: Path) -> None:
    file = saved(tmp_path / "h.heatmap.npy", np.array([[0.0, 0.5, 1.0], [-1.0, 2.0, np.nan]], np.float32))
    assert values(heat_map(file)).tolist() == [[0, 128, 255], [0, 255, 0]]
    with pytest.raises(NotEvaluable):
        heat_map(saved(tmp_path / "line.npy", np.zeros(4, np.float32)))


def test_a_mask_is_cut_up_once_for_the_same_files(tmp_path: Path, series: list[Path]) -> None:
    mask = saved(tmp_path / "m.npy", marked(1))
    gallery = Gallery(tmp_path, DicomLimits(), InPlace(), cache_bytes=1_000_000)
    files = [(str(path.relative_to(tmp_path)), path.name) for path in series]
    first = gallery.mask(str(mask), files, "")
    assert gallery.mask(str(mask), files, "") is first
    with pytest.raises(NotEvaluable):
        gallery.mask(str(mask), files[:-1], "")
    heat = gallery.heat_map(str(saved(tmp_path / "h.npy", np.ones((2, 2), np.float32))))
    assert heat.marked == 4

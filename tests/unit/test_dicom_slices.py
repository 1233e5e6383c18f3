"""One place of a volume: what was said of its file when the header was read is enough to decode it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, RLELossless

from adapters.dicom.array_file import ArrayFile
from adapters.dicom.frames import Frame
from adapters.dicom.slices import Coded, Place, decode_ahead, read_ahead, read_headers, write_places
from cds.errors import NotEvaluable
from tests.peers.dicom_peers import edited, noise, write_series

LIMIT = 1 << 26


def written(frame: Frame, coded: Coded | None, folder: Path) -> bytes | str:
    """The bytes of the frame's place, or the reason why there are none."""
    file = ArrayFile(folder, (1, frame.rows, frame.columns), "float32")
    try:
        assert write_places((Place((frame,), (coded,), file.target(0)),), LIMIT) == (True,)
        return file.path.read_bytes()
    except NotEvaluable as error:
        return str(error)
    finally:
        file.discard()


def compressed(folder: Path, syntax: str = RLELossless) -> Path:
    [path] = write_series(folder, noise(1, 40, 36))
    with edited(path) as dataset:
        dataset.compress(syntax, generate_instance_uid=False)
    return path


def test_what_the_header_said_is_as_good_as_reading_it_again_for_every_reference_file(
    reference_dir: Path, tmp_path: Path
) -> None:
    compared = 0
    for path in sorted((reference_dir / "reference" / "dicom").rglob("*.dcm")):
        try:
            [read] = read_headers((path,), LIMIT)
        except NotEvaluable:
            continue
        if read.coded is None or isinstance(read.frames, str):
            continue
        [frame] = read.frames
        said = written(frame, read.coded, tmp_path)
        assert said == written(frame, None, tmp_path)
        ahead = decode_ahead(path, str(tmp_path / f"{compared}.raw"), LIMIT, LIMIT)
        assert (ahead is None) == isinstance(said, str)
        if ahead is not None and isinstance(said, bytes):
            values = read_ahead(ahead)
            assert values is not None
            assert values.astype(np.float32).tobytes() == said[128:]
        compared += 1
    assert compared >= 15


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_padding_and_a_sign_that_contradicts_it_are_remembered(syntax: str, tmp_path: Path) -> None:
    path = compressed(tmp_path / "series", syntax)
    with edited(path) as dataset:
        dataset.PixelRepresentation = 1
        dataset.add_new("PixelPaddingValue", "US", int(noise(1, 40, 36).min()) & 0xFFFF)
        dataset.add_new("PixelPaddingRangeLimit", "US", int(noise(1, 40, 36).max()) & 0xFFFF)
    [read] = read_headers((path,), LIMIT)
    assert read.coded is not None
    assert not isinstance(read.frames, str)
    assert written(read.frames[0], read.coded, tmp_path) == written(read.frames[0], None, tmp_path)


def test_a_file_that_changed_since_its_header_was_read_is_read_again(tmp_path: Path) -> None:
    path, other = compressed(tmp_path / "a"), compressed(tmp_path / "b", JPEG2000Lossless)
    [read] = read_headers((path,), LIMIT)
    assert read.coded is not None
    assert not isinstance(read.frames, str)
    expected = written(read.frames[0], read.coded, tmp_path)
    path.write_bytes(other.read_bytes())
    assert written(read.frames[0], read.coded, tmp_path) == expected


def test_a_plain_file_needs_no_more_than_its_header(tmp_path: Path) -> None:
    [path] = write_series(tmp_path / "series", noise(1))
    [read] = read_headers((path,), LIMIT)
    assert (read.plain, read.coded) == (True, None)

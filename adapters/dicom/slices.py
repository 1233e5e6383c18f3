"""The unit of decoding: one place of a volume, from its file to its bytes in the volume's file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adapters.dicom.codecs import Pixels
from adapters.dicom.decode import hounsfield, is_plain, stored_values
from adapters.dicom.frames import FRAME_TAGS, Frame, frames_of, require_size
from adapters.dicom.instance import Instance, read_instance
from cds.errors import InvalidInstance, NotEvaluable, OutOfResources, Unavailable

#: What decoding looks at: how pixels are coded, where their frames begin, which values are padding.
PIXEL_TAGS = frozenset(
    {
        0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102,
        0x00280103, 0x00280120, 0x00280121, 0x7FE00001, 0x7FE00002,
    }
)  # fmt: skip


class Target(NamedTuple):
    """Where the values of one place go: an offset in bytes of a file that is there already, as "int16" or "float32"."""

    path: str
    offset: int
    dtype: str


class Read(NamedTuple):
    """What the header of a file says: its frames, or why there are none; `plain` where no codec is needed."""

    frames: tuple[Frame, ...] | str
    plain: bool = True


def read_headers(paths: tuple[Path, ...], max_bytes: int) -> tuple[Read, ...]:
    """The headers of some files, in their order.

    Raise NotEvaluable where one cannot be read or claims more than `max_bytes`, Unavailable where it is not there.
    """
    return tuple(_header(path, max_bytes) for path in paths)


def write_place(frames: tuple[Frame, ...], target: Target, max_bytes: int) -> bool:
    """Decode the frames of one place and write their HU; False, with nothing written, where int16 would not be exact.

    Raise NotEvaluable where they cannot be decoded or differ, OutOfResources or Unavailable as `disk_errors` does.
    """
    values = place_values(frames, max_bytes)
    if values.dtype != target.dtype and values.dtype == np.float32:
        return False
    put(values, target)
    return True


def put(values: Pixels, target: Target) -> None:
    """Write values where they go, in the type that stands there; raises as `disk_errors` does."""
    data = np.ascontiguousarray(values, dtype=target.dtype).data.cast("B")
    with disk_errors():
        file = os.open(target.path, os.O_WRONLY)
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(file, data[written:], target.offset + written)
        finally:
            os.close(file)


def place_values(frames: tuple[Frame, ...], max_bytes: int) -> Pixels:
    """HU of one place. Several images that claim the same place must say the same."""
    first, *others = frames
    values = _values(first, max_bytes)
    for frame in others:
        if not np.array_equal(values, _values(frame, max_bytes)):
            raise NotEvaluable("two different images claim the same position", gate="geometry")
    return values


@contextmanager
def disk_errors() -> Iterator[None]:
    """OutOfResources where the scratch disk has no room, Unavailable where it cannot be used."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise OutOfResources("want more free space for volumes") from error
        raise Unavailable("want a scratch folder that can be written") from error


def forget() -> None:
    """Let go of the file that was read last; for a process that goes on with something else."""
    _instance.cache_clear()


def _header(path: Path, max_bytes: int) -> Read:
    try:
        instance = read_instance(path, FRAME_TAGS, max_bytes=max_bytes)
    except InvalidInstance as error:
        raise NotEvaluable(f"an image of the series cannot be read: {error}", gate="decode") from error
    found = frames_of(instance)
    if isinstance(found, str):
        return Read(found)
    require_size(instance.dataset, max_bytes)
    return Read(found, is_plain(instance))


def _values(frame: Frame, max_bytes: int) -> Pixels:
    instance = _instance(frame.path, _state(frame.path), max_bytes)
    return hounsfield(stored_values(instance, frame.index), frame, instance.dataset)


def _state(path: Path) -> tuple[int, int, int]:
    try:
        state = path.stat()
    except OSError as error:
        raise Unavailable("want the images on a disk that can be read") from error
    return state.st_ino, state.st_mtime_ns, state.st_size


@lru_cache(maxsize=1)
def _instance(path: Path, _state: tuple[int, int, int], max_bytes: int) -> Instance:
    """The last one is kept: the frames of a multi-frame image come one after the other."""
    try:
        return read_instance(path, PIXEL_TAGS, max_bytes=max_bytes)
    except InvalidInstance as error:
        raise NotEvaluable(f"an image of the series cannot be read: {error}", gate="decode") from error

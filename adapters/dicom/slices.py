"""The unit of decoding: one place of a volume, from its file to its bytes in the volume's file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from adapters.dicom.codecs import Pixels
from adapters.dicom.decode import hounsfield, is_plain, stored_values
from adapters.dicom.frames import FRAME_TAGS, Frame, frames_of, require_size
from adapters.dicom.header import UNREADABLE
from adapters.dicom.instance import Instance, read_instance
from cds.errors import InvalidInstance, NotEvaluable, OutOfResources, SightlineError, Unavailable

#: What decoding looks at: how pixels are coded, where their frames begin, which values are padding.
PIXEL_TAGS = frozenset(
    {
        0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102,
        0x00280103, 0x00280120, 0x00280121, 0x7FE00001, 0x7FE00002,
    }
)  # fmt: skip

#: What is stored in 16 bits may be float32 as HU.
_LARGEST_GROWTH = 2


class State(NamedTuple):
    """What a file is, so that another one under its name is told from it."""

    inode: int
    modified_ns: int
    size: int


class Target(NamedTuple):
    """Where the values of one place go: an offset in bytes of a file that is there already, as "int16" or "float32"."""

    path: str
    offset: int
    dtype: str


class Coded(NamedTuple):
    """Where the compressed pixels of a file lie and what its header says of them: it need not be read again."""

    state: State
    syntax: str
    pixel_vr: str
    at: int
    size: int
    header: dict[str, Any]


class Read(NamedTuple):
    """What the header of a file says: its frames, or why there are none; `plain` where no codec is needed."""

    frames: tuple[Frame, ...] | str
    plain: bool = True
    coded: Coded | None = None


class Decoded(NamedTuple):
    """The one frame of a file and where its HU are, with nothing around them."""

    frame: Frame
    state: State
    values: str
    dtype: str


def read_headers(paths: tuple[Path, ...], max_bytes: int) -> tuple[Read, ...]:
    """The headers of some files, in their order.

    Raise NotEvaluable where one cannot be read or claims more than `max_bytes`, Unavailable where it is not there.
    """
    return tuple(_header(path, max_bytes) for path in paths)


class Place(NamedTuple):
    """One place of a volume: its frames, what is known of the pixels of each, and where its values go."""

    frames: tuple[Frame, ...]
    coded: tuple[Coded | None, ...]
    target: Target


def write_places(places: tuple[Place, ...], max_bytes: int) -> tuple[bool, ...]:
    """Decode the frames of some places and write their HU; False, with nothing written, where int16 would not be exact.

    Raise NotEvaluable where they cannot be decoded or differ, OutOfResources or Unavailable as `disk_errors` does.
    """
    return tuple(
        write_values(
            [_values(frame, coded, max_bytes) for frame, coded in zip(one.frames, one.coded, strict=True)], one.target
        )
        for one in places
    )


def write_values(images: Iterable[Pixels], target: Target) -> bool:
    """Write the HU of one place; False as `write_places`. Several images that claim a place must say the same."""
    values, *others = images
    if not all(np.array_equal(values, other) for other in others):
        raise NotEvaluable("two different images claim the same position", gate="geometry")
    if values.dtype != target.dtype and values.dtype == np.float32:
        return False
    with disk_errors():
        file = os.open(target.path, os.O_WRONLY)
        try:
            _put(file, np.ascontiguousarray(values, dtype=target.dtype), target.offset)
        finally:
            os.close(file)
    return True


def decode_ahead(path: Path, values: str, max_bytes: int, max_values_bytes: int) -> Decoded | None:
    """Decode a file of one frame and write its HU to a new file. None for what is not that simple:

    no slice, several frames, no codec needed, more than `max_values_bytes`, broken, no disk. Whoever wants it then
    decodes it as ever, and is told why it cannot be.
    """
    try:
        return _decoded_ahead(path, values, max_bytes, max_values_bytes)
    except (SightlineError, MemoryError):
        return None


def is_current(decoded: Decoded) -> bool:
    """Whether its file is still the one that was decoded."""
    try:
        return _state(decoded.frame.path) == decoded.state
    except Unavailable:
        return False


def read_ahead(decoded: Decoded) -> Pixels | None:
    """HU of a frame that was decoded ahead; None where they are gone."""
    try:
        return np.fromfile(decoded.values, dtype=decoded.dtype).reshape(decoded.frame.rows, decoded.frame.columns)
    except (OSError, ValueError):
        return None


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
    state = _state(path)
    try:
        instance = read_instance(path, FRAME_TAGS, max_bytes=max_bytes)
    except InvalidInstance as error:
        raise NotEvaluable(f"an image of the series cannot be read: {error}", gate="decode") from error
    found = frames_of(instance)
    if isinstance(found, str):
        return Read(found)
    require_size(instance.dataset, max_bytes)
    if is_plain(instance):
        return Read(found)
    return Read(found, plain=False, coded=_coded(instance, state) if len(found) == 1 else None)


def _decoded_ahead(path: Path, values: str, max_bytes: int, max_values_bytes: int) -> Decoded | None:
    state = _state(path)
    instance = read_instance(path, FRAME_TAGS | PIXEL_TAGS, max_bytes=max_bytes)
    frames = frames_of(instance)
    if is_plain(instance) or isinstance(frames, str) or len(frames) != 1:
        return None
    if require_size(instance.dataset, max_bytes) * _LARGEST_GROWTH > max_values_bytes:
        return None
    decoded = hounsfield(stored_values(instance, frames[0].index), frames[0], instance.dataset)
    with disk_errors():
        file = os.open(values, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _put(file, np.ascontiguousarray(decoded), 0)
        finally:
            os.close(file)
    return Decoded(frames[0], state, values, decoded.dtype.name)


def _put(file: int, values: Pixels, offset: int) -> None:
    data = values.data.cast("B")
    written = 0
    while written < len(data):
        written += os.pwrite(file, data[written:], offset + written)


def _values(frame: Frame, coded: Coded | None, max_bytes: int) -> Pixels:
    state = _state(frame.path)
    instance = _placed(frame.path, coded) if coded is not None and coded.state == state else None
    if instance is None:
        instance = _instance(frame.path, state, max_bytes)
    return hounsfield(stored_values(instance, frame.index), frame, instance.dataset)


def _state(path: Path) -> State:
    try:
        state = path.stat()
    except OSError as error:
        raise Unavailable("want the images on a disk that can be read") from error
    return State(state.st_ino, state.st_mtime_ns, state.st_size)


def _coded(instance: Instance, state: State) -> Coded | None:
    """None where the header says something of the pixels that cannot be read: whoever decodes them says so."""
    if instance.pixels is None:
        return None
    try:
        header = {one.keyword: one.value for one in instance.dataset if one.tag in PIXEL_TAGS}
    except UNREADABLE:
        return None
    return Coded(state, instance.syntax, instance.pixel_vr, instance.pixels_at, len(instance.pixels), header)


def _placed(path: Path, coded: Coded) -> Instance | None:
    """The same as reading the file, for what decoding looks at; None where it is not that simple."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    try:
        dataset.file_meta.TransferSyntaxUID = UID(coded.syntax)
        for keyword, value in coded.header.items():
            setattr(dataset, keyword, value)
        with path.open("rb") as file:
            pixels = os.pread(file.fileno(), coded.size, coded.at)
    except (OSError, *UNREADABLE):
        return None
    return Instance(path, coded.syntax, dataset, memoryview(pixels), pixel_vr=coded.pixel_vr, pixels_at=coded.at)


@lru_cache(maxsize=1)
def _instance(path: Path, _state: State, max_bytes: int) -> Instance:
    """The last one is kept: the frames of a multi-frame image come one after the other."""
    try:
        return read_instance(path, PIXEL_TAGS, max_bytes=max_bytes)
    except InvalidInstance as error:
        raise NotEvaluable(f"an image of the series cannot be read: {error}", gate="decode") from error

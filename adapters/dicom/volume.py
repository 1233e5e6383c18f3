"""One series as one volume of Hounsfield units on disk, or the reason why it is none."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from adapters.dicom import geometry, projection, stacks
from adapters.dicom.ahead_decode import AheadDecoding
from adapters.dicom.array_file import ArrayFile
from adapters.dicom.codecs import Pixels
from adapters.dicom.frames import Frame
from adapters.dicom.geometry import Stack
from adapters.dicom.pool import DecodePool
from adapters.dicom.slices import (
    Coded,
    Decoded,
    Place,
    Read,
    Target,
    forget,
    read_ahead,
    read_headers,
    write_places,
    write_values,
)
from cds.domain.imaging import ImageRef, SeriesSummary, StackSummary, VolumeRef
from cds.errors import NotEvaluable
from cds.limits import DicomLimits

_Decoded = Mapping[Path, Decoded]

_WORST_BYTES_PER_VOXEL = 4
_FILES_PER_TASK = 10
#: Places of one task, where they have so few pixels that a task's time is enough for all of them.
_PLACES_PER_TASK, _SMALL_PLACE = 4, 1024 * 1024
#: Rescale Type (PS3.3 C.11.1.1.2) that still means HU: absent and "US" (unspecified) do for original CT images.
_HOUNSFIELD = frozenset({"", "HU", "US"})


class _Read(NamedTuple):
    """What the headers of a series say: its frames, why others are none, and of what a codec needs."""

    frames: tuple[Frame, ...]
    left_out: tuple[str, ...]
    plain: bool
    coded: Mapping[Path, Coded]
    decoded: _Decoded


class LocalImages:
    """The port ImageSource over the files that the receiver stored below `data_dir`.

    Compressed pixels are decoded by `pool`, in this process where there is none; those that `ahead` has are used.
    """

    def __init__(
        self,
        data_dir: Path,
        limits: DicomLimits,
        pool: DecodePool | None = None,
        ahead: AheadDecoding | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._limits = limits
        self._pool = pool
        self._ahead = ahead

    def stacks(self, series: SeriesSummary) -> Sequence[StackSummary]:
        """See `cds.ports.ImageSource`."""
        paths = self._paths(series)
        return stacks.summaries(self._read(paths, {} if self._ahead is None else self._ahead.known(paths)).frames)

    def volume(self, series: SeriesSummary, scratch: Path, stack: str = "") -> VolumeRef:
        """Decode, order and check a stack; write `<hash of the series UID and stack>.npy` (slices, rows, columns).

        Raise NotEvaluable with the gate and the reason where the series is no volume, Unavailable where a file cannot
        be read, OutOfResources where scratch is full.
        """
        paths = self._paths(series)
        decoded = {} if self._ahead is None else self._ahead.claim(paths)
        read = self._read(paths, decoded)
        chosen = stacks.choose(read.frames, stack)
        attributes, mixed = _attributes(chosen.frames)
        _check_values(chosen.frames, attributes, mixed, series.modality)
        grid = geometry.stack(chosen.frames)
        self._check_size(grid)
        path = scratch / _name(series.series_instance_uid, chosen.key)
        dtype = self._write(path, grid, read)
        if self._ahead is not None:
            self._ahead.discard({frame.path for frame in chosen.frames})
        return VolumeRef(
            path=str(path),
            dtype=dtype,
            shape=_shape(grid),
            spacing_mm=grid.spacing_mm,
            affine=grid.affine,
            series_instance_uid=series.series_instance_uid,
            modality=series.modality,
            orientation=grid.orientation,
            attributes=attributes,
            warnings=(
                *read.left_out, *chosen.warnings, *grid.warnings, *(f"{name} differs between slices" for name in mixed)
            ),
            sop_instance_uids=tuple(place[0].sop_instance_uid for place in grid.places),
            stack=chosen.key,
        )  # fmt: skip

    def images(self, series: SeriesSummary, scratch: Path) -> Sequence[ImageRef]:
        """See `cds.ports.ImageSource`."""
        return projection.images(series, self._data_dir, scratch, self._limits, self._pool)

    def _paths(self, series: SeriesSummary) -> list[Path]:
        return [self._data_dir / path for path in series.paths]

    def _read(self, paths: Sequence[Path], decoded: _Decoded) -> _Read:
        frames: list[Frame] = []
        skipped: Counter[str] = Counter()
        coded: dict[Path, Coded] = {}
        plain = True
        for header in self._headers(paths, decoded):
            if isinstance(header.frames, str):
                skipped[header.frames] += 1
                continue
            plain = plain and header.plain
            frames += header.frames
            if header.coded is not None:
                coded[header.frames[0].path] = header.coded
        reasons = tuple(f"{count} images left out: {reason}" for reason, count in sorted(skipped.items()))
        if not frames:
            raise NotEvaluable("; ".join(("the series has no image that could be a slice", *reasons)), gate="no-images")
        return _Read(tuple(frames), reasons, plain, coded, decoded)

    def _headers(self, paths: Sequence[Path], decoded: _Decoded) -> Iterator[Read]:
        """In the order of the files: it decides which of two copies of an image counts."""
        limit = self._limits.max_instance_bytes
        if self._pool is None:
            return (header for path in paths for header in read_headers((path,), limit))
        unread = [path for path in paths if path not in decoded]
        some = [tuple(unread[at : at + _FILES_PER_TASK]) for at in range(0, len(unread), _FILES_PER_TASK)]
        read = dict(self._pool.each(read_headers, [(part, limit) for part in some]))
        others = (header for number in range(len(some)) for header in read[number])
        return (Read((decoded[path].frame,), plain=False) if path in decoded else next(others) for path in paths)

    def _check_size(self, grid: Stack) -> None:
        if math.prod(_shape(grid)) * _WORST_BYTES_PER_VOXEL > self._limits.max_series_bytes:
            raise NotEvaluable("the series is larger than the limit of this installation", gate="size")

    def _write(self, path: Path, grid: Stack, read: _Read) -> str:
        """Decode all places; int16 until one needs float32, and then those that are left and that one as float32."""
        file = ArrayFile(path.parent, _shape(grid), "int16")
        try:
            done = self._filled(file, grid, range(len(grid.places)), read)
            if len(done) < len(grid.places):
                file = file.widened(done)
                self._filled(file, grid, sorted(set(range(len(grid.places))) - done), read)
            file.commit(path)
        finally:
            file.discard()
            forget()
        return file.dtype.name

    def _filled(self, file: ArrayFile, grid: Stack, places: Sequence[int], read: _Read) -> set[int]:
        """The places that were written: all, or those until one did not fit the type of the file."""
        done: set[int] = set()
        unfit: set[int] = set()
        left: list[int] = []
        for place in places:
            images = _values(grid.places[place], read.decoded)
            if images is None:
                left.append(place)
                continue
            (done if write_values(images, file.target(place)) else unfit).add(place)
            if unfit:
                return done
        groups = self._groups(left, grid, plain=read.plain)
        still = takewhile(lambda _group: not unfit, groups)
        tasks = (tuple(_place(grid.places[place], read, file.target(place)) for place in group) for group in still)
        for number, fits in self._each(tasks, plain=read.plain):
            for place, does_fit in zip(groups[number], fits, strict=True):
                (done if does_fit else unfit).add(place)
        return done

    def _groups(self, places: Sequence[int], grid: Stack, *, plain: bool) -> list[Sequence[int]]:
        """What is one task each; towards the end a place alone, so that no process is left with the last of them."""
        each, pool = _PLACES_PER_TASK, self._pool
        in_groups = 0
        if pool is not None and not plain and math.prod(_shape(grid)[1:]) <= _SMALL_PLACE:
            in_groups = max(0, len(places) - 2 * each * pool.processes) // each * each
        groups = [places[at : at + each] for at in range(0, in_groups, each)]
        return [*groups, *([place] for place in places[in_groups:])]

    def _each(self, tasks: Iterator[tuple[Place, ...]], *, plain: bool) -> Iterator[tuple[int, tuple[bool, ...]]]:
        limit = self._limits.max_instance_bytes
        if plain or self._pool is None:
            return ((number, write_places(task, limit)) for number, task in enumerate(tasks))
        return self._pool.each(write_places, ((task, limit) for task in tasks))


def _place(frames: tuple[Frame, ...], read: _Read, target: Target) -> Place:
    return Place(frames, tuple(read.coded.get(frame.path) for frame in frames), target)


def _values(frames: Sequence[Frame], decoded: _Decoded) -> list[Pixels] | None:
    """What was decoded ahead of all images of a place; None where one was not."""
    images = [read_ahead(decoded[frame.path]) if frame.path in decoded else None for frame in frames]
    known = [image for image in images if image is not None]
    return known if len(known) == len(frames) else None


def _name(series_instance_uid: str, stack: str) -> str:
    said = f"{series_instance_uid}/{stack}" if stack else series_instance_uid
    return f"{hashlib.sha256(said.encode()).hexdigest()[:32]}.npy"


def _shape(grid: Stack) -> tuple[int, int, int]:
    first = grid.places[0][0]
    return len(grid.places), first.rows, first.columns


def _attributes(frames: Sequence[Frame]) -> tuple[dict[str, str], tuple[str, ...]]:
    """What all slices agree on, "" where they do not, and the names of those."""
    attributes: dict[str, str] = {}
    mixed = []
    for name in frames[0].attributes:
        values = {frame.attributes[name] for frame in frames}
        attributes[name] = values.pop() if len(values) == 1 else ""
        if values:
            mixed.append(name)
    return attributes, tuple(mixed)


def _check_values(frames: Sequence[Frame], attributes: dict[str, str], mixed: tuple[str, ...], modality: str) -> None:
    if "kernel" in mixed:
        raise NotEvaluable("the slices were reconstructed with different kernels", gate="kernel")
    if modality != "CT":
        return
    if any(not frame.slope or frame.intercept is None for frame in frames):
        raise NotEvaluable("without rescale slope and intercept the values are no Hounsfield units", gate="rescale")
    if "rescale_type" in mixed or attributes["rescale_type"].upper() not in _HOUNSFIELD:
        raise NotEvaluable("the values are said to be something else than Hounsfield units", gate="rescale")

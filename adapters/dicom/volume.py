"""One series as one volume of Hounsfield units on disk, or the reason why it is none."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from adapters.dicom import geometry, projection, stacks
from adapters.dicom.array_file import ArrayFile
from adapters.dicom.frames import Frame
from adapters.dicom.geometry import Stack
from adapters.dicom.pool import DecodePool
from adapters.dicom.slices import Read, Target, forget, read_headers, write_place
from cds.domain.imaging import ImageRef, SeriesSummary, StackSummary, VolumeRef
from cds.errors import NotEvaluable
from cds.limits import DicomLimits

_Task = tuple[tuple[Frame, ...], Target, int]

_WORST_BYTES_PER_VOXEL = 4
_FILES_PER_TASK = 10
#: Rescale Type (PS3.3 C.11.1.1.2) that still means HU: absent and "US" (unspecified) do for original CT images.
_HOUNSFIELD = frozenset({"", "HU", "US"})


class _Read(NamedTuple):
    """What the headers of a series say: its frames, why others are none, and whether a codec is needed."""

    frames: tuple[Frame, ...]
    left_out: tuple[str, ...]
    plain: bool


class LocalImages:
    """The port ImageSource over the files that the receiver stored below `data_dir`.

    Compressed pixels are decoded by `pool`, in this process where there is none.
    """

    def __init__(self, data_dir: Path, limits: DicomLimits, pool: DecodePool | None = None) -> None:
        self._data_dir = data_dir
        self._limits = limits
        self._pool = pool

    def stacks(self, series: SeriesSummary) -> Sequence[StackSummary]:
        """See `cds.ports.ImageSource`."""
        return stacks.summaries(self._read(series).frames)

    def volume(self, series: SeriesSummary, scratch: Path, stack: str = "") -> VolumeRef:
        """Decode, order and check a stack; write `<hash of the series UID and stack>.npy` (slices, rows, columns).

        Raise NotEvaluable with the gate and the reason where the series is no volume, Unavailable where a file cannot
        be read, OutOfResources where scratch is full.
        """
        read = self._read(series)
        chosen = stacks.choose(read.frames, stack)
        attributes, mixed = _attributes(chosen.frames)
        _check_values(chosen.frames, attributes, mixed, series.modality)
        grid = geometry.stack(chosen.frames)
        self._check_size(grid)
        path = scratch / _name(series.series_instance_uid, chosen.key)
        return VolumeRef(
            path=str(path),
            dtype=self._write(path, grid, plain=read.plain),
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

    def _read(self, series: SeriesSummary) -> _Read:
        frames: list[Frame] = []
        skipped: Counter[str] = Counter()
        plain = True
        for header in self._headers([self._data_dir / path for path in series.paths]):
            if isinstance(header.frames, str):
                skipped[header.frames] += 1
                continue
            plain = plain and header.plain
            frames += header.frames
        reasons = tuple(f"{count} images left out: {reason}" for reason, count in sorted(skipped.items()))
        if not frames:
            raise NotEvaluable("; ".join(("the series has no image that could be a slice", *reasons)), gate="no-images")
        return _Read(tuple(frames), reasons, plain)

    def _headers(self, paths: Sequence[Path]) -> Iterator[Read]:
        """In the order of the files: it decides which of two copies of an image counts."""
        limit = self._limits.max_instance_bytes
        if self._pool is None:
            return (header for path in paths for header in read_headers((path,), limit))
        some = [tuple(paths[at : at + _FILES_PER_TASK]) for at in range(0, len(paths), _FILES_PER_TASK)]
        read = dict(self._pool.each(read_headers, [(part, limit) for part in some]))
        return (header for number in range(len(some)) for header in read[number])

    def _check_size(self, grid: Stack) -> None:
        if math.prod(_shape(grid)) * _WORST_BYTES_PER_VOXEL > self._limits.max_series_bytes:
            raise NotEvaluable("the series is larger than the limit of this installation", gate="size")

    def _write(self, path: Path, grid: Stack, *, plain: bool) -> str:
        """Decode all places; int16 until one needs float32, and then those that are left and that one as float32."""
        file = ArrayFile(path.parent, _shape(grid), "int16")
        try:
            done = self._filled(file, grid, range(len(grid.places)), plain=plain)
            if len(done) < len(grid.places):
                file = file.widened(done)
                self._filled(file, grid, sorted(set(range(len(grid.places))) - done), plain=plain)
            file.commit(path)
        finally:
            file.discard()
            forget()
        return file.dtype.name

    def _filled(self, file: ArrayFile, grid: Stack, places: Sequence[int], *, plain: bool) -> set[int]:
        """The places that were written: all, or those until one did not fit the type of the file."""
        limit = self._limits.max_instance_bytes
        done: set[int] = set()
        unfit: set[int] = set()
        still = takewhile(lambda _place: not unfit, places)
        tasks = ((grid.places[place], file.target(place), limit) for place in still)
        for number, fits in self._each(tasks, plain=plain):
            (done if fits else unfit).add(places[number])
        return done

    def _each(self, tasks: Iterator[_Task], *, plain: bool) -> Iterator[tuple[int, bool]]:
        if plain or self._pool is None:
            return ((number, write_place(*task)) for number, task in enumerate(tasks))
        return self._pool.each(write_place, tasks)


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

"""One series as one volume of Hounsfield units on disk, or the reason why it is none."""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from adapters.dicom.decode import Pixels, hounsfield, stored_values
from adapters.dicom.frames import FRAME_TAGS, Frame, frames_of, require_size
from adapters.dicom.geometry import Stack, dominant, stack
from adapters.dicom.instance import Instance, read_instance
from cds.domain.imaging import SeriesSummary, VolumeRef
from cds.errors import InvalidInstance, NotEvaluable, OutOfResources, Unavailable
from cds.settings import DicomLimits

_WORST_BYTES_PER_VOXEL = 4
#: Rescale Type (PS3.3 C.11.1.1.2) that still means HU: absent and "US" (unspecified) do for original CT images.
_HOUNSFIELD = frozenset({"", "HU", "US"})
_CHUNK = 1 << 22


class LocalImages:
    """The port ImageSource over the files that the receiver stored below `data_dir`."""

    def __init__(self, data_dir: Path, limits: DicomLimits) -> None:
        self._data_dir = data_dir
        self._limits = limits

    def volume(self, series: SeriesSummary, scratch: Path) -> VolumeRef:
        """Decode, order and check the series; write `<hash of the series UID>.npy` (slices, rows, columns) to scratch.

        Raise NotEvaluable with the gate and the reason where the series is no volume, Unavailable where a file cannot
        be read, OutOfResources where scratch is full.
        """
        frames, skipped = self._frames(series)
        chosen, left_out = dominant(frames)
        attributes, mixed = _attributes(chosen)
        _check_values(chosen, attributes, mixed, series.modality)
        grid = stack(chosen)
        self._check_size(grid)
        name = hashlib.sha256(series.series_instance_uid.encode()).hexdigest()[:32]
        path = scratch / f"{name}.npy"
        with _disk_errors():
            dtype = self._write(path, grid)
        return VolumeRef(
            path=str(path),
            dtype=dtype,
            shape=(len(grid.places), grid.places[0][0].rows, grid.places[0][0].columns),
            spacing_mm=grid.spacing_mm,
            affine=grid.affine,
            series_instance_uid=series.series_instance_uid,
            modality=series.modality,
            orientation=grid.orientation,
            attributes=attributes,
            warnings=(*skipped, *left_out, *grid.warnings, *(f"{name} differs between slices" for name in mixed)),
            sop_instance_uids=tuple(place[0].sop_instance_uid for place in grid.places),
        )

    def _frames(self, series: SeriesSummary) -> tuple[list[Frame], tuple[str, ...]]:
        frames: list[Frame] = []
        skipped: Counter[str] = Counter()
        for path in series.paths:
            instance = self._instance(self._data_dir / path)
            found = frames_of(instance)
            if isinstance(found, str):
                skipped[found] += 1
                continue
            require_size(instance.dataset, self._limits.max_instance_bytes)
            frames += found
        reasons = tuple(f"{count} images left out: {reason}" for reason, count in sorted(skipped.items()))
        if not frames:
            raise NotEvaluable("; ".join(("the series has no image that could be a slice", *reasons)), gate="no-images")
        return frames, reasons

    def _instance(self, path: Path) -> Instance:
        try:
            return read_instance(path, FRAME_TAGS, max_bytes=self._limits.max_instance_bytes)
        except InvalidInstance as error:
            raise NotEvaluable(f"an image of the series cannot be read: {error}", gate="decode") from error

    def _check_size(self, grid: Stack) -> None:
        first = grid.places[0][0]
        if first.rows * first.columns * len(grid.places) * _WORST_BYTES_PER_VOXEL > self._limits.max_series_bytes:
            raise NotEvaluable("the series is larger than the limit of this installation", gate="size")

    def _write(self, path: Path, grid: Stack) -> str:
        first = grid.places[0][0]
        writer = _Writer(path.parent, (len(grid.places), first.rows, first.columns))
        try:
            for pixels in self._slices(grid):
                writer.append(pixels)
            writer.commit(path)
        finally:
            writer.discard()
        return writer.dtype.name

    def _slices(self, grid: Stack) -> Iterator[Pixels]:
        """HU of each place. Two images that claim the same place must say the same."""
        current: Instance | None = None
        for place in grid.places:
            values: Pixels | None = None
            for frame in place:
                if current is None or current.path != frame.path:
                    current = self._instance(frame.path)
                decoded = hounsfield(stored_values(current, frame.index), frame, current.dataset)
                if values is not None and not np.array_equal(values, decoded):
                    raise NotEvaluable("two different images claim the same position", gate="geometry")
                values = decoded
            if values is not None:
                yield values


@dataclass(slots=True)
class _Writer:
    """A .npy that grows slice by slice, int16 until a slice needs float32; plain writes, so a full disk is an error."""

    folder: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[np.int16] | np.dtype[np.float32] = field(default_factory=lambda: np.dtype(np.int16))
    _file: BinaryIO | None = None
    _partial: Path | None = None

    def append(self, pixels: Pixels) -> None:
        if pixels.dtype == np.float32 and self.dtype != np.float32:
            self._widen()
        file = self._file or self._open()
        file.write(np.ascontiguousarray(pixels, dtype=self.dtype).data)

    def commit(self, path: Path) -> None:
        """A power loss must not leave a short file under the final name."""
        if self._file is None or self._partial is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.rename(path)
        self._file = self._partial = None

    def discard(self) -> None:
        if self._file is not None and self._partial is not None:
            self._file.close()
            self._partial.unlink(missing_ok=True)
            self._file = self._partial = None

    def _open(self) -> BinaryIO:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._partial = self.folder / f"{uuid.uuid4().hex}.part"
        self._file = file = self._partial.open("xb")
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(file, header)
        return file

    def _widen(self) -> None:
        old, partial = self._file, self._partial
        self.dtype = np.dtype(np.float32)
        new = self._open()
        if old is None or partial is None:
            return
        old.close()
        with partial.open("rb") as written:
            np.lib.format.read_magic(written)
            np.lib.format.read_array_header_1_0(written)
            while chunk := written.read(_CHUNK):
                new.write(np.frombuffer(chunk, dtype=np.int16).astype(np.float32).tobytes())
        partial.unlink()


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


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise OutOfResources("want more free space for volumes") from error
        raise Unavailable("want a scratch folder that can be written") from error

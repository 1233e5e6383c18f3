"""A .npy file of known size that is filled from several places at once and appears whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection
from pathlib import Path

import numpy as np

from adapters.dicom.slices import Target, disk_errors

#: numpy pads the header of version 1.0 to a multiple of 64 bytes; for all shapes of an image it is this long.
_HEADER_BYTES = 128


class ArrayFile:
    """Room for `shape` values below `folder`, under a name of its own until it is committed.

    Every method raises OutOfResources where the disk is full, Unavailable where it cannot be written.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.path = folder / f"{uuid.uuid4().hex}.part"
        with disk_errors():
            folder.mkdir(parents=True, exist_ok=True)
            try:
                self._make()
            except OSError:
                self.discard()
                raise

    def target(self, place: int) -> Target:
        """Where the values of the first axis's `place` go."""
        return Target(str(self.path), _HEADER_BYTES + place * self._place_bytes, self.dtype.name)

    def widened(self, places: Collection[int]) -> ArrayFile:
        """The same as float32, with the values of these places; this one is gone."""
        wide = ArrayFile(self.path.parent, self.shape, "float32")
        try:
            with disk_errors(), self.path.open("rb") as old, wide.path.open("r+b") as new:
                for place in sorted(places):
                    old.seek(self.target(place).offset)
                    values = np.frombuffer(old.read(self._place_bytes), dtype=self.dtype)
                    new.seek(wide.target(place).offset)
                    new.write(values.astype(np.float32).tobytes())
        except BaseException:
            wide.discard()
            raise
        self.discard()
        return wide

    def commit(self, path: Path) -> None:
        """Give it its name; a power loss must not leave a short file under it."""
        with disk_errors():
            file = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(file)
            finally:
                os.close(file)
            self.path.rename(path)

    def discard(self) -> None:
        """Remove it; nothing happens once it is committed."""
        self.path.unlink(missing_ok=True)

    @property
    def _place_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def _make(self) -> None:
        """All blocks at once: a disk that is too small says so before anything is decoded."""
        with self.path.open("xb") as file:
            header = {"descr": self.dtype.str, "fortran_order": False, "shape": self.shape}
            np.lib.format.write_array_header_1_0(file, header)
            if file.tell() != _HEADER_BYTES:
                raise ValueError("want a shape that a header of one length describes")
            file.flush()
            os.posix_fallocate(file.fileno(), 0, _HEADER_BYTES + self.shape[0] * self._place_bytes)

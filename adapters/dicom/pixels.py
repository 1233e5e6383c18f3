"""Are two copies of an instance the same image, whatever they are compressed with? And: a stored file, read again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from adapters.dicom.decode import stored_values
from adapters.dicom.frames import require_size
from adapters.dicom.header import HEADER_TAGS, UNREADABLE, read_header
from adapters.dicom.instance import Instance, read_instance
from adapters.dicom.pool import DecodePool
from adapters.dicom.scan import MEASURED_TAGS
from cds.domain.imaging import StoredInstance
from cds.errors import InvalidInstance, NotEvaluable
from cds.limits import DicomLimits

_CODING = frozenset({0x00080005, 0x7FE00001, 0x7FE00002})


def same_pixels(one: Path, other: Path, *, max_bytes: int) -> bool:
    """Same decoded values in every frame, and the same said of what is measured with them (`MEASURED_TAGS`).

    For copies whose `pixels_sha256` differ: one was compressed, or its numbers were written in another way (1, 1.0).
    False where that cannot be told: a copy that cannot be decoded, colour, no integer pixels. Raise Unavailable where
    a file cannot be read.
    """
    try:
        first, second = (read_instance(path, MEASURED_TAGS | _CODING, max_bytes=max_bytes) for path in (one, other))
        if not _described_alike(first.dataset, second.dataset):
            return False
        require_size(first.dataset, max_bytes)
        return all(
            np.array_equal(stored_values(first, index), stored_values(second, index))
            for index in range(_frame_count(first))
        )
    except (InvalidInstance, NotEvaluable, *UNREADABLE):
        return False


class SamePixels:
    """`same_pixels` of two files below the data folder, decoded in a process of its own that starts when first asked.

    What crashes a decoder is not the same as anything. Close it at the end.
    """

    def __init__(self, data_dir: Path, limits: DicomLimits) -> None:
        self._data_dir = data_dir
        self._max_bytes = limits.max_instance_bytes
        self._pool = DecodePool(limits, processes=1)

    def __call__(self, one: str, other: str) -> bool:
        """Raise Unavailable where a file cannot be read or no process can be had."""
        compared = partial(same_pixels, max_bytes=self._max_bytes)
        try:
            return self._pool.call(compared, self._data_dir / one, self._data_dir / other)
        except NotEvaluable:
            return False

    def close(self) -> None:
        """End the process, if there is one."""
        self._pool.close()


def read_stored(data_dir: Path, path: str, *, max_bytes: int) -> StoredInstance:
    """A file below the data folder as the receiver had stored it.

    Raise InvalidInstance where it is no whole DICOM file, Unavailable where it cannot be read.
    """
    file = data_dir / path
    instance = read_instance(file, HEADER_TAGS, max_bytes=max_bytes, digest=True)
    header = read_header(instance.dataset)
    return StoredInstance(header, path, instance.sha256, file.stat().st_size, instance.pixels_sha256)


def _described_alike(one: Dataset, other: Dataset) -> bool:
    return all(_said(one, tag) == _said(other, tag) for tag in sorted(MEASURED_TAGS))


def _said(dataset: Dataset, tag: int) -> Any:
    """A value as pydicom compares it: numbers as numbers, items by their elements; empty is as absent, and 0 is not."""
    return None if tag not in dataset or dataset[tag].is_empty else dataset[tag].value


def _frame_count(instance: Instance) -> int:
    return int(instance.dataset.get("NumberOfFrames") or 1)

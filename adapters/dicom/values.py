"""Values of a data set that may say anything: what is absent or makes no sense is empty, never an exception."""

from __future__ import annotations

import math
from typing import Any

from pydicom.dataset import Dataset

from adapters.dicom.header import UNREADABLE


def value(dataset: Dataset, keyword: str) -> Any:
    """The value as pydicom reads it, None where it is absent or unreadable."""
    try:
        return dataset.get(keyword)
    except UNREADABLE:
        return None


def text(dataset: Dataset, keyword: str) -> str:
    """Text as sent, several values joined with a backslash."""
    found = value(dataset, keyword)
    if found is None or isinstance(found, bytes):
        return ""
    several = [found] if isinstance(found, str) or not hasattr(found, "__iter__") else list(found)
    return "\\".join(str(item).strip() for item in several)


def words(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """The values of a multi-valued text in upper case."""
    return tuple(text(dataset, keyword).upper().split("\\"))


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence."""
    found = value(dataset, keyword)
    try:
        return [item for item in found or () if isinstance(item, Dataset)]
    except UNREADABLE:
        return []


def first_item(dataset: Dataset, keyword: str) -> Dataset:
    """The first item of a sequence, an empty one where there is none."""
    found = items(dataset, keyword)
    return found[0] if found else Dataset()


def floats(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Exactly `count` finite numbers."""
    found = value(dataset, keyword)
    try:
        numbers = tuple(float(item) for item in ([found] if count == 1 else found))
    except UNREADABLE:
        return None
    return numbers if len(numbers) == count and all(math.isfinite(number) for number in numbers) else None


def one(dataset: Dataset, keyword: str) -> float | None:
    """One finite number."""
    found = floats(dataset, keyword, 1)
    return found[0] if found else None


def integer(dataset: Dataset, keyword: str, default: int) -> int:
    """One number without its fraction."""
    found = one(dataset, keyword)
    return default if found is None else int(found)

"""DICOM files looked at as the DICOM edge looks at them, with or without an installation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cds.domain.instance_inspection import InspectedInstance
from cds.limits import DicomLimits
from cds.settings import Settings


class Inspected(NamedTuple):
    """One entry for each file, and whether every file could be opened."""

    files: tuple[InspectedInstance, ...]
    all_opened: bool


def inspect_files(paths: Sequence[Path], settings: Settings | None = None) -> Inspected:
    """The verdict on each file, and on each file below a folder; without settings, by their plain limits.

    Raise Unavailable where the processes that decode cannot be had.
    """
    from adapters.dicom.inspect import inspect, unopened
    from adapters.dicom.pool import DecodePool

    limits = settings.dicom_limits if settings else DicomLimits()
    found: list[InspectedInstance] = []
    all_opened = True
    with DecodePool(limits, processes=1) as pool:
        for path in _files(paths):
            why = _obstacle(path)
            all_opened = all_opened and not why
            found.append(unopened(str(path), why) if why else inspect(path, str(path), limits, pool))
    return Inspected(tuple(found), all_opened)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.is_file())
        else:
            yield path


def _obstacle(path: Path) -> str:
    """Why a file cannot be opened, "" where it can; a pipe or a device is none that can be looked at twice."""
    try:
        if path.exists() and not path.is_file():
            return "no regular file"
        path.open("rb").close()
    except OSError as error:
        return error.strerror or "no file"
    return ""

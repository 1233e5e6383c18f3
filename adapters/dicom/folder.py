"""The DICOM files of a folder, for people who bring their own."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from adapters.dicom.header import read_header
from adapters.dicom.quiet import quiet
from cds.domain.imaging import InstanceHeader
from cds.errors import InvalidInstance


def read_headers(folder: Path) -> list[tuple[Path, InstanceHeader]]:
    """Every DICOM instance (PS3.10) at or below a folder with its header; other files are passed over."""
    quiet()
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            found.append((path, read_header(pydicom.dcmread(path, stop_before_pixels=True))))
        except (InvalidDicomError, InvalidInstance, OSError):
            continue
    return found

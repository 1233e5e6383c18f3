"""The DICOM files of a folder, for people who bring their own."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from adapters.dicom.header import read_header
from adapters.dicom.quiet import quiet
from cds.domain.imaging import InstanceHeader
from cds.errors import InvalidInstance


def read_headers(folder: Path) -> list[tuple[Path, InstanceHeader | None]]:
    """Every DICOM file (PS3.10) at or below a folder with its header, None where a UID is missing or no UID.

    Other files, and what names no SOP class (a DICOMDIR's neighbours), are passed over.
    """
    quiet()
    found: list[tuple[Path, InstanceHeader | None]] = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name.upper() != "DICOMDIR"):
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, OSError):
            continue
        try:
            found.append((path, read_header(dataset)))
        except InvalidInstance:
            found.append((path, None))
    return found

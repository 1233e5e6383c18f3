"""The DICOM files of a folder, for people who bring their own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError

from adapters.dicom.header import read_header
from adapters.dicom.quiet import quiet
from cds.domain.imaging import InstanceHeader
from cds.errors import InvalidInstance


def read_headers(folder: Path, *, name_unnamed: bool = False) -> list[tuple[Path, InstanceHeader | None]]:
    """Every DICOM file (PS3.10) at or below a folder with its header, None where a UID is missing or no UID.

    Other files, and what names no SOP class (a DICOMDIR's neighbours), are passed over. With `name_unnamed` a UID that
    somebody blanked is derived: files of one folder are then one study and one series.
    """
    quiet()
    found: list[tuple[Path, InstanceHeader | None]] = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name.upper() != "DICOMDIR"):
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, OSError):
            continue
        if name_unnamed:
            _name(dataset, path)
        try:
            found.append((path, read_header(dataset)))
        except InvalidInstance:
            found.append((path, None))
    return found


def _name(dataset: FileDataset, path: Path) -> None:
    """UIDs derived from the name of the file, or of its folder (PS3.5 annex B.2), where there is none."""
    meta = dataset.file_meta
    dataset.SOPClassUID = dataset.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID")
    told = str(meta.get("MediaStorageSOPInstanceUID") or "")
    dataset.SOPInstanceUID = dataset.get("SOPInstanceUID") or told or _uid(f"instance {path}")
    dataset.SeriesInstanceUID = dataset.get("SeriesInstanceUID") or _uid(f"series {path.parent}")
    dataset.StudyInstanceUID = dataset.get("StudyInstanceUID") or _uid(f"study {path.parent}")


def _uid(name: str) -> str:
    return f"2.25.{int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], 'big')}"

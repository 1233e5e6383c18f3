"""Copies of images under another identity: a user's own study in the demo's story, a series whose UIDs were blanked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, generate_uid

from adapters.dicom.header import UNREADABLE
from adapters.dicom.phantom import Identity, stamp
from adapters.dicom.quiet import quiet
from cds.errors import InvalidInstance

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def restamp(paths: Sequence[Path], folder: Path, identity: Identity, *, seed: str | None = None) -> list[Path]:
    """Write copies with the identity's patient, accession number and date, and with new UIDs; pixels stay as they are.

    Files that shared a study or series UID (an empty one too) share the new one; UIDs are fresh, or derived from
    `seed`. Raise InvalidInstance for a file that is no DICOM file.
    """
    quiet()
    secret = seed if seed is not None else str(generate_uid(prefix=None))
    folder.mkdir(parents=True, exist_ok=True)
    return [_copy(path, folder / f"{number:05d}.dcm", identity, secret) for number, path in enumerate(paths)]


def _copy(path: Path, target: Path, identity: Identity, secret: str) -> Path:
    try:
        with path.open("rb") as file:
            dataset = pydicom.dcmread(file)
        _renew(dataset, secret, target.stem)
        stamp(dataset, identity)
        dataset.save_as(target, enforce_file_format=True)
    except (*UNREADABLE, pydicom.errors.InvalidDicomError) as error:
        raise InvalidInstance("want DICOM files with meta information (PS3.10)") from error
    return target


def _renew(dataset: Dataset, secret: str, number: str) -> None:
    meta = dataset.file_meta
    if meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        raise InvalidInstance("want a data set that is not deflated")
    if not dataset.get("SOPClassUID"):
        dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    for keyword in _UIDS:
        old = str(dataset.get(keyword) or "")
        if keyword == "SOPInstanceUID":
            old = old or str(meta.get("MediaStorageSOPInstanceUID") or number)
        digest = hashlib.sha256(f"{secret}/{keyword}/{old}".encode()).digest()
        setattr(dataset, keyword, f"2.25.{int.from_bytes(digest[:16], 'big')}")
    meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)

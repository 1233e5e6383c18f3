"""What is sent to a PACS, as bytes: a ZIP of DICOM files with fixed time stamps that names its delivery."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from io import BytesIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from adapters.dicom.own import part_10
from adapters.dicom.quiet import quiet

_KINDS = {
    SegmentationStorage: "seg",
    KeyObjectSelectionDocumentStorage: "ko",
    ComprehensiveSRStorage: "sr",
    SecondaryCaptureImageStorage: "sc",
    GrayscaleSoftcopyPresentationStateStorage: "pr",
}
_EPOCH = (1980, 1, 1, 0, 0, 0)


def kind_of(dataset: Dataset) -> str:
    """The kind of an instance that Sightline made, see OwnInstance."""
    return _KINDS[dataset.SOPClassUID]


def packed(instances: Sequence[Dataset], delivery_id: str) -> bytes:
    """The instances in their order; the same are the same bytes for a delivery."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = delivery_id.encode()
        for number, dataset in enumerate(instances, 1):
            entry = zipfile.ZipInfo(f"{number}-{kind_of(dataset)}.dcm", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, part_10(dataset))
    return buffer.getvalue()


def files(payload: bytes) -> list[bytes]:
    """The files (PS3.10) of what `packed` made; nothing else is ever read here."""
    with zipfile.ZipFile(BytesIO(payload)) as archive:
        return [archive.read(name) for name in archive.namelist()]


def instances(payload: bytes) -> Iterator[Dataset]:
    """The instances of what `packed` made."""
    quiet()
    for content in files(payload):
        yield pydicom.dcmread(BytesIO(content))


def delivery_of(payload: bytes) -> str:
    """The delivery that it was packed for; empty where an earlier release packed it."""
    with zipfile.ZipFile(BytesIO(payload)) as archive:
        return archive.comment.decode()

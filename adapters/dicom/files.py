"""Instances on disk: whole or not at all, under names that nobody outside chose."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from adapters.dicom.quiet import quiet
from cds.errors import OutOfResources, Unavailable

#: Implementation Class UID and Version Name (PS3.7 annex D.3.3.2): a UUID-derived root (PS3.5 annex B.2), ours alone.
IMPLEMENTATION_CLASS_UID = "2.25.123365955578091437021435364702920691796"
IMPLEMENTATION_VERSION_NAME = "SIGHTLINE"

_NO_ROOM = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT})
_PARTIAL = ".part"


class StoredFile(NamedTuple):
    """A committed file: its path below the data folder, the digest of its bytes, its size in bytes."""

    path: str
    sha256: str
    size: int


class InstanceFiles:
    """The folder `instances/` below the data folder. `minimum_free_bytes` stay free for what is already accepted."""

    def __init__(self, data_dir: Path, minimum_free_bytes: int) -> None:
        self._data_dir = data_dir
        self._minimum_free_bytes = minimum_free_bytes

    def write(
        self, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, dataset: bytes
    ) -> StoredFile:
        """Write a DICOM file (PS3.10) of the data set as received and fsync it with its folder.

        The preamble is zeros, whatever the sender had there. Raise OutOfResources where the disk has no room, and
        Unavailable where it cannot be written; neither leaves a file.
        """
        head = bytes(128) + b"DICM" + _file_meta(sop_class_uid, sop_instance_uid, transfer_syntax_uid)
        name = uuid.uuid4().hex
        relative = Path("instances", name[:2], f"{name}.bin")
        with _disk_errors():
            self._require_room(len(head) + len(dataset))
            self._commit(self._data_dir / relative, head, dataset)
        digest = hashlib.sha256(head)
        digest.update(dataset)
        return StoredFile(relative.as_posix(), digest.hexdigest(), len(head) + len(dataset))

    def remove(self, relative_path: str) -> None:
        """Remove a file that the index did not want; nothing happens if it is gone."""
        with _disk_errors():
            (self._data_dir / relative_path).unlink(missing_ok=True)

    def discard_partial(self) -> int:
        """Remove what a crash left half written, and count it; only for the one process that writes here."""
        partial = list((self._data_dir / "instances").glob(f"*/*{_PARTIAL}"))
        with _disk_errors():
            for path in partial:
                path.unlink(missing_ok=True)
        return len(partial)

    def _require_room(self, size: int) -> None:
        if shutil.disk_usage(self._existing()).free < size + self._minimum_free_bytes:
            raise OutOfResources("want more free space on the disk that holds the images")

    def _existing(self) -> Path:
        self._data_dir.mkdir(parents=True, exist_ok=True)
        return self._data_dir

    def _commit(self, path: Path, head: bytes, dataset: bytes) -> None:
        _make_folder(path.parent)
        partial = path.with_suffix(_PARTIAL)
        try:
            _write(partial, head, dataset)
            partial.rename(path)
            _sync(path.parent)
        except OSError:
            partial.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            raise


def _file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    quiet()
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_file_meta_info(buffer, meta)
    return bytes(buffer.getvalue())


def _write(path: Path, head: bytes, dataset: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(head)
        file.write(dataset)
        file.flush()
        os.fsync(file.fileno())


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    _sync(folder.parent)
    _sync(folder.parent.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise OutOfResources("want more free space on the disk that holds the images") from error
        raise Unavailable("want a disk for images that can be written") from error

"""What the DICOM tests share: small series, an index in memory, and a receiver on a free port of loopback."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from adapters.dicom.arrival import Arrivals
from adapters.dicom.files import InstanceFiles
from adapters.dicom.phantom import write_ct_series
from adapters.dicom.receiver import Receiver
from adapters.dicom.volume import LocalImages
from cds.domain.imaging import InstanceHeader, RejectionNote, SeriesSummary, StoredInstance, VolumeRef
from cds.imaging_peers import DicomNode
from cds.limits import DicomLimits
from cds.ports import InstanceIndex

AE_TITLE = "SIGHTLINE"
STORY: dict[str, Any] = {
    "patient_id": "P-1",
    "issuer": "HOSPITAL",
    "patient_name": "Musterfrau^Änne",
    "birth_date": date(1958, 3, 4),
    "sex": "F",
    "accession_number": "ACC-7",
    "accession_issuer": "RIS",
    "study_date": date(2026, 3, 2),
}


class FixedClock:
    """A clock that stands still."""

    def now(self) -> datetime:
        return datetime(2026, 3, 2, 12, tzinfo=UTC)

    def today(self) -> date:
        return date(2026, 3, 2)


@dataclass
class MemoryIndex:
    """InstanceIndex as its port says: "new", "duplicate" of one of them, else "header" or "conflict" by the pixels."""

    instances: list[StoredInstance] = field(default_factory=list)
    notes: list[RejectionNote] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    consumed: list[bool] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def add(self, instance: StoredInstance, *, received_at: datetime, consumed: bool, source: str) -> str:
        with self.lock:
            uid = instance.header.sop_instance_uid
            same = [known for known in self.instances if known.header.sop_instance_uid == uid]
            repeated = any(known.sha256 == instance.sha256 for known in same)
            alike = any(known.pixels_sha256 == instance.pixels_sha256 for known in same)
            outcome = "duplicate" if repeated else "header" if alike else "conflict" if same else "new"
            if outcome != "duplicate":
                self.instances.append(instance)
                self.consumed.append(consumed)
            self.outcomes.append(outcome)
            return outcome

    def add_all(
        self, instances: Sequence[tuple[StoredInstance, bool]], *, received_at: datetime, source: str
    ) -> Sequence[str]:
        return [
            self.add(instance, received_at=received_at, consumed=consumed, source=source)
            for instance, consumed in instances
        ]

    def known(self, study_instance_uid: str) -> frozenset[str]:
        with self.lock:
            headers = [instance.header for instance in self.instances]
        return frozenset(one.sop_instance_uid for one in headers if one.study_instance_uid == study_instance_uid)

    def reject(self, note: RejectionNote, *, received_at: datetime) -> int:
        with self.lock:
            self.notes.append(note)
            return len(note.sop_instance_uids)


def consumes_ct(header: InstanceHeader) -> bool:
    return header.modality == "CT"


def node_at(port: int, *, called: str = AE_TITLE, calling: str = "TESTER") -> DicomNode:
    """An application entity on loopback, and what we call ourselves there."""
    return DicomNode(host="127.0.0.1", port=port, ae_title=called, calling_ae_title=calling)


def arrivals_into(
    data_dir: Path,
    index: InstanceIndex,
    limits: DicomLimits | None = None,
    minimum_free_bytes: int = 0,
    owner: str = "dicom",
) -> Arrivals:
    """The way into a data folder and an index."""
    return Arrivals(
        files=InstanceFiles(data_dir, minimum_free_bytes, owner),
        index=index,
        clock=FixedClock(),
        consumes=consumes_ct,
        limits=limits or DicomLimits(network_timeout_s=5),
    )


@contextmanager
def receiving(
    data_dir: Path,
    index: InstanceIndex,
    limits: DicomLimits | None = None,
    minimum_free_bytes: int = 0,
    ssl_context: ssl.SSLContext | None = None,
    **options: Any,
) -> Iterator[Receiver]:
    """A receiver that serves while the block runs; `options` are the further arguments of Receiver."""
    limits = limits or DicomLimits(network_timeout_s=5)
    receiver = Receiver(
        host="127.0.0.1",
        port=0,
        ae_title=AE_TITLE,
        limits=limits,
        arrivals=arrivals_into(data_dir, index, limits, minimum_free_bytes),
        clock=FixedClock(),
        ssl_context=ssl_context,
        **options,
    )
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.drain(5)


def noise(slices: int = 6, rows: int = 8, columns: int = 10, seed: int = 7) -> npt.NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-1024, 3000, (slices, rows, columns)).astype(np.int16)


def write_series(folder: Path, hu: npt.NDArray[np.int16] | None = None, **options: Any) -> list[Path]:
    spacing = options.pop("spacing_mm", (2.5, 0.7, 0.8))
    return write_ct_series(noise() if hu is None else hu, spacing, folder, **(STORY | {"seed": folder.name} | options))


def summary(paths: Sequence[Path], modality: str = "CT") -> SeriesSummary:
    return SeriesSummary("1.2.3.4", "1.2.3", modality, "", "", (), (), tuple(str(path) for path in paths))


def build(paths: Sequence[Path], scratch: Path, limits: DicomLimits | None = None, modality: str = "CT") -> VolumeRef:
    """The volume of these files, wherever they lie."""
    return LocalImages(Path("/"), limits or DicomLimits()).volume(summary(paths, modality), scratch)


@contextmanager
def edited(path: Path) -> Iterator[Dataset]:
    """Change one file in place."""
    dataset = pydicom.dcmread(path)
    yield dataset
    dataset.save_as(path)


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """One element in explicit VR little endian, with a wrong length where asked for."""
    size = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    long = vr in (b"OB", b"OW", b"SQ", b"UN", b"UT")
    return head + (struct.pack("<HI", 0, size) if long else struct.pack("<H", size)) + value


def implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    """One element or item in implicit VR little endian."""
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value

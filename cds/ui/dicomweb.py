"""What is asked of DICOMweb and answered (PS3.18): searches, metadata, whole instances, frames as they are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from cds.domain.imaging import Study
from cds.ui.people import Person
from cds.ui.pictures import Look, Rendered, Window

#: A data set in DICOM JSON (PS3.18 annex F).
DataSet = Mapping[str, object]

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


@dataclass(frozen=True, slots=True)
class StudySearch:
    """QIDO-RS for studies: what is empty is not asked for; `uids` and so on match exactly."""

    uids: tuple[str, ...] = ()
    patient_id: str = ""
    accession_number: str = ""
    since: date | None = None
    until: date | None = None
    modality: str = ""
    limit: int = 100
    offset: int = 0

    @property
    def names_one(self) -> bool:
        """Whether it asks for a patient, an order or studies by name, not for a list of what is here."""
        return bool(self.uids or self.patient_id or self.accession_number)


@dataclass(frozen=True, slots=True)
class Named:
    """What a DICOMweb address names: a study, perhaps a series of it, perhaps an instance of that."""

    study: str
    series: str = ""
    instance: str = ""


@dataclass(frozen=True, slots=True)
class Matching:
    """QIDO-RS for series and instances below a study: values by keyword, and which page."""

    values: Mapping[str, str]
    limit: int = 1000
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored instance that somebody may have: its file, and the transfer syntax that it is stored in."""

    sop_instance_uid: str
    series_instance_uid: str
    file: Path
    transfer_syntax: str
    size: int
    sha256: str
    #: How it is shown where neither the caller nor the image says it.
    default: Window | None = None


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One frame: its bytes, as `content_type` says, in `transfer_syntax`."""

    body: bytes
    content_type: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class DicomwebServices:
    """What the routes below /dicomweb use. What somebody may not see does not exist for them: NotFound."""

    #: (who, what) → studies with the patients that they are of, for the audit log, and the address of each to fill in.
    studies: Callable[[Person, StudySearch], Sequence[tuple[DataSet, Study]]]
    series: Callable[[Person, Named, Matching], Sequence[DataSet]]
    instances: Callable[[Person, Named, Matching], Sequence[DataSet]]
    #: A study that is asked about, for the audit log; raises NotFound.
    study: Callable[[Person, str], Study]
    #: (who, what, address of the service) → data sets without bulk data, with the addresses of it.
    metadata: Callable[[Person, Named, str], Iterator[DataSet]]
    kept: Callable[[Person, Named], Sequence[Kept]]
    #: An instance in explicit VR little endian, uncompressed; raises NotEvaluable where it cannot be decoded.
    plain: Callable[[Kept], bytes]
    #: (instance, frames from 1, whether as stored) → them in order; raises NotFound, NotEvaluable.
    frames: Callable[[Kept, Sequence[int], bool], Iterator[StoredFrame]]
    #: (instance, path of tags and items) → its bytes; raises NotFound.
    bulk: Callable[[Kept, str], bytes]
    #: (instance, frame from 1, look) → the picture; raises NotFound, NotEvaluable.
    rendered: Callable[[Kept, int, Look], Rendered]

"""What is known of images without their pixels: instances, series, studies, and references to volumes on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from cds.domain.identity import HumanName, Identifier, Sex


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """The attributes of one SOP Instance that identify it and say whether a model may want it.

    Lengths in mm, `image_type` as in (0008,0008). Identifiers are raw here: the authority is added by site rules.
    """

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    modality: str
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_name: HumanName = field(default_factory=HumanName)
    patient_birth_date: date | None = None
    patient_sex: Sex = Sex.UNKNOWN
    accession_number: str = ""
    issuer_of_accession_number: str = ""
    study_date: date | None = None
    study_time: str = ""
    study_description: str = ""
    series_description: str = ""
    series_number: int | None = None
    instance_number: int | None = None
    body_part: str = ""
    image_type: tuple[str, ...] = ()
    manufacturer: str = ""
    institution: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance on disk: its header, where the file lies below the data folder, and its digests.

    `sha256` covers the whole content; `pixels_sha256` the pixels alone, as encoded for uncompressed transfer syntaxes
    in little endian, as compressed bytes for others; empty where it has none.
    """

    header: InstanceHeader
    path: str
    sha256: str
    size: int
    pixels_sha256: str = ""


@dataclass(frozen=True, slots=True)
class OwnInstance:
    """An instance that Sightline made: a structured report (sr), a segmentation (seg) or a rejection note (ko)."""

    sop_instance_uid: str
    series_instance_uid: str
    kind: str


@dataclass(frozen=True, slots=True)
class RejectionNote:
    """A Key Object Selection that rejects instances (IHE RAD TF-3 4.66, IOCM; PS3.16 CID 7011).

    `code` is the DCM code of the document title: 113001 quality, 113037 patient safety, 113038 wrong worklist entry,
    113039 data retention expired.
    """

    code: str
    study_instance_uid: str
    sop_instance_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """One series of a study as the index knows it; `paths` are below the data folder, in order of arrival."""

    series_instance_uid: str
    study_instance_uid: str
    modality: str
    body_part: str
    series_description: str
    sop_class_uids: tuple[str, ...]
    image_types: tuple[tuple[str, ...], ...]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """A study as the index knows it; patient and accession are None where the header has none."""

    study_instance_uid: str
    patient: Identifier | None
    accession: Identifier | None
    patient_birth_date: date | None
    patient_sex: Sex
    study_date: date | None
    description: str
    modalities: tuple[str, ...]
    public_id: str
    image_revision: int
    match_revision: int
    started_at: datetime | None = None
    #: Why its own instances contradict each other about whose they are; empty where they agree.
    contradiction: str = ""
    #: What a person decided about its match: "attach" to the order, "leave" unmatched; empty where nobody did.
    decided: str = ""
    decided_order_id: str | None = None


@dataclass(frozen=True, slots=True)
class VolumeRef:
    """A volume on disk that a model may memory-map.

    `path` is a .npy of `dtype` with `shape` (slices, rows, columns); `spacing_mm` in the same order; `affine` maps
    (slice, row, column, 1) to DICOM patient coordinates (LPS, mm), row-major 4 x 4 (PS3.3 C.7.6.2.1.1).
    `attributes` are acquisition facts that gates look at: kernel, kvp, contrast, slice_thickness_mm, manufacturer.
    """

    path: str
    dtype: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    affine: tuple[float, ...]
    series_instance_uid: str
    modality: str
    orientation: str
    attributes: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    sop_instance_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MaskRef:
    """A segmentation on the grid of a volume: .npy of uint8 with the volume's shape, one value per label."""

    path: str
    shape: tuple[int, int, int]
    labels: dict[int, str]
    series_instance_uid: str

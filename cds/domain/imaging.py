"""What is known of images without their pixels: instances, series, studies, and references to volumes on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from cds.domain.identity import HumanName, Identifier, Sex


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """The attributes of one SOP Instance that identify it and say whether a model may want it.

    Lengths in mm, `image_type` as in (0008,0008). Identifiers are raw here: the authority is added by site rules.
    `image_position` (3 numbers, mm) and `image_orientation` (6 cosines) are in patient coordinates (LPS, PS3.3
    C.7.6.2.1.1), of the first frame and empty where there are none; `frames` is Number of Frames.
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
    frames: int = 1
    image_position: tuple[float, ...] = ()
    image_orientation: tuple[float, ...] = ()
    acquisition_number: int | None = None
    #: View Position (0018,5101), else the meaning of View Code Sequence; Image Laterality, else Laterality.
    view_position: str = ""
    laterality: str = ""
    protocol_name: str = ""
    #: Patient's Age (0010,1010) as sent ("034Y").
    patient_age: str = ""
    #: What a series is chosen by: Convolution Kernel, Slice Thickness, contrast medium ("yes", "no", "unknown").
    kernel: str = ""
    slice_thickness_mm: float | None = None
    contrast: str = "unknown"


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
    """An instance that Sightline made: a structured report (sr), segmentation (seg), rejection note (ko), secondary
    capture (sc) or presentation state (pr).
    """

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
    #: View Position (0018,5101) and Protocol Name (0018,1030) of its images, each once; empty where none is stated.
    views: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    #: Convolution kernels, what is said of contrast medium and Image Orientation (Patient), each once.
    kernels: tuple[str, ...] = ()
    contrasts: tuple[str, ...] = ()
    orientations: tuple[tuple[float, ...], ...] = ()
    #: The thickest slice's; None where none is stated.
    slice_thickness_mm: float | None = None


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
    #: Why its images are not known to be all, in words for the reader; empty where they are.
    incomplete: str = ""
    #: What a person decided about its match: "attach" to the order, "leave" unmatched; empty where nobody did.
    decided: str = ""
    decided_order_id: str | None = None


@dataclass(frozen=True, slots=True)
class StackSummary:
    """One regular stack of a series, from headers alone; a series may hold several (b-values, echoes, phases).

    `key` names it within its series and is the same whenever the same files are read; `label` says in words what tells
    it from the others ("b-value 1000, echo 2"), "" where there is one. `refusal` is why it is no volume, and `gate`.
    """

    key: str
    label: str
    slices: int
    shape: tuple[int, int]
    spacing_mm: tuple[float, float, float] | None
    orientation: str
    warnings: tuple[str, ...] = ()
    refusal: str = ""
    gate: str = ""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """A projection or ultrasound image on disk: .npy of `shape` (frames, rows, columns) or, in colour, with 3 last.

    Values are as displayed from dark to bright (MONOCHROME1 inverted), modality LUT or rescale applied, no VOI window;
    colour is RGB. `pixel_spacing_mm` is (rows, columns), None where it is unknown, and `spacing_source` names where it
    comes from: "imager" (at the detector, PS3.3 C.8.4.9) is not the patient's. `view` is "PA", "AP", "LL", "CC",
    "MLO" or what the header says, "" where unknown; `laterality` L, R, B, U or "".
    """

    path: str
    dtype: str
    shape: tuple[int, ...]
    photometric: str
    pixel_spacing_mm: tuple[float, float] | None
    spacing_source: str
    sop_instance_uid: str
    series_instance_uid: str
    modality: str
    view: str = ""
    laterality: str = ""
    frame_time_ms: float | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


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
    #: The stack of the series that it is, see StackSummary; "" where the series holds one.
    stack: str = ""


@dataclass(frozen=True, slots=True)
class Projections:
    """The projections of one study that a model looks at together, in the order in which it asked for them."""

    images: tuple[ImageRef, ...]

    @property
    def series_instance_uid(self) -> str:
        """The series of the first image."""
        return self.images[0].series_instance_uid


#: What a model is given to look at.
ModelInput = VolumeRef | Projections


@dataclass(frozen=True, slots=True)
class HeatMapRef:
    """Where on a projection a finding was seen: .npy of float32, 0 to 1, (rows, columns), over the whole image."""

    path: str
    shape: tuple[int, int]
    key: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class MaskRef:
    """A segmentation on the grid of a volume: .npy of uint8 with the volume's shape, one value per label."""

    path: str
    shape: tuple[int, int, int]
    labels: dict[int, str]
    series_instance_uid: str
    #: The stack of the series that the volume was, see StackSummary; "" where the series holds one.
    stack: str = ""

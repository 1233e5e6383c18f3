"""What all instances that Sightline makes have in common: their UIDs, whose they are, who made them and when.

A PACS files by the header of the images, so the header of what Sightline adds to a study is theirs, not the record's.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from adapters.dicom.files import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from adapters.dicom.header import UNREADABLE
from adapters.dicom.instance import read_instance
from cds import __version__
from cds.domain.identity import Identifier, Sex
from cds.domain.ids import resource_id
from cds.domain.report import Audience, Report
from cds.errors import InvalidInstance

MANUFACTURER = "Sightline"
CHARACTER_SET = "ISO_IR 192"
#: VR LO, and with it Code Meaning, holds 64 characters (PS3.5 table 6.2-1).
LONGEST_LO = 64

#: Type 2 of Patient (PS3.3 C.7.1.1) and General Study (C.7.2.1): in every instance, empty where nothing is known.
_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
#: What a PACS files by and shows beside.
_SUBJECT = (
    *_TYPE_2, "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "IssuerOfAccessionNumberSequence",
    "StudyDescription", "PatientAge", "PatientSize", "PatientWeight", "TimezoneOffsetFromUTC",
)  # fmt: skip
_NAMES = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "Modality")
_TAGS = frozenset(tag_for_keyword(k) or 0 for k in (*_SUBJECT, *_NAMES, "SpecificCharacterSet"))
_SEX = {Sex.FEMALE: "F", Sex.MALE: "M", Sex.OTHER: "O", Sex.UNKNOWN: ""}


@dataclass(frozen=True, slots=True)
class Edition:
    """One version of a report as one kind of destination gets it; its UIDs are the same on every attempt.

    Destinations of one kind get the same instances. `zone` is where content times without an offset are read.
    `key_images` is how they are sent, see PacsDestination.
    """

    report: Report
    zone: ZoneInfo
    audience: Audience = Audience.RADIOLOGIST
    segmentations: bool = True
    key_images: str = "none"

    def uid(self, kind: str, key: str = "") -> str:
        """A 2.25 UID (PS3.5 annex B.2) for something of this report's study and episode."""
        plain = self.audience is Audience.RADIOLOGIST and self.segmentations
        name = kind if plain else f"{kind} {self.audience.value} {self.segmentations}"
        if self.key_images != "none":
            name = f"{name} {self.key_images}"
        return f"2.25.{uuid.UUID(resource_id(self.report.study, name, key, self.report.episode)).int}"

    def report_uid(self, version: int) -> str:
        """The SOP Instance UID of the structured report of a version."""
        return self.uid("SR", f"version {version}")

    @property
    def report_series(self) -> str:
        """The series of the structured reports of all versions of an episode."""
        return self.uid("SR", "series")

    def mask_series(self, version: int) -> str:
        """The series of the segmentations of a version: a viewer shows one version at a time."""
        return self.uid("SEG", f"series {version}")

    def key_series(self, version: int) -> str:
        """The series of the key images of a version."""
        return self.uid("key image", f"series {version}")


@dataclass(frozen=True, slots=True)
class Source:
    """Some images of a study: `header` says whose they are; `images` name them and say nothing of whose they are."""

    header: Dataset
    images: tuple[Dataset, ...] = ()


def read_source(paths: Sequence[Path], *, max_bytes: int) -> Source | None:
    """The header of the first file that can be read, and references to all that can; None where none can.

    Raise Unavailable where the disk cannot be read.
    """
    header: Dataset | None = None
    images = []
    for path in paths:
        try:
            found = read_instance(path, _TAGS, max_bytes=max_bytes).dataset
            image = reference(*(str(found[keyword].value) for keyword in _NAMES[:4]))
            subject = _subject(found)
        except (InvalidInstance, *UNREADABLE):
            continue
        header = header or subject
        image.Modality = found.get("Modality") or ""
        images.append(image)
    return Source(header, tuple(images)) if header is not None else None


def reference(sop_class_uid: str, sop_instance_uid: str, series_uid: str, study_uid: str) -> Dataset:
    """An instance as evidence wants it named; the patient is left empty, `finish` writes whose the new instance is."""
    dataset = Dataset()
    for keyword, value in zip(_NAMES, (sop_class_uid, sop_instance_uid, series_uid, study_uid), strict=False):
        setattr(dataset, keyword, value)
    return nobody(dataset)


def nobody(dataset: Dataset) -> Dataset:
    """Empty what says whose an instance is, in place: highdicom logs and refuses names and sexes that it dislikes."""
    for keyword in _TYPE_2:
        setattr(dataset, keyword, "")
    return dataset


def as_reported(source: Source | None, report: Report) -> Dataset:
    """The header as it was when the report was sent: the images', unless they were corrected since or are gone."""
    patient, accession = (_sent(i) for i in (report.study.patient, report.study.accession))
    if source is not None:
        now = tuple(str(source.header.get(k) or "").strip() for k in ("PatientID", "AccessionNumber"))
        if now == (patient, accession):
            return source.header
    return _told(report, patient, accession)


def finish(dataset: Dataset, header: Dataset, at: datetime, edition: Edition) -> Dataset:
    """Write into a new instance, in place, whose it is, that Sightline made it, and when."""
    dataset.SpecificCharacterSet = CHARACTER_SET
    for keyword in _SUBJECT:
        if keyword in header:
            dataset[keyword] = header[keyword]
        elif keyword in _TYPE_2:
            setattr(dataset, keyword, "")
        elif keyword in dataset:
            delattr(dataset, keyword)
    dataset.Manufacturer, dataset.ManufacturerModelName = MANUFACTURER, MANUFACTURER
    dataset.SoftwareVersions = __version__
    local = at.astimezone(_zone(header, edition.zone))
    for keyword in ("InstanceCreation", "Content"):
        setattr(dataset, f"{keyword}Date", f"{local:%Y%m%d}")
        setattr(dataset, f"{keyword}Time", f"{local:%H%M%S}")
    for item in dataset.get("ContributingEquipmentSequence", ()):
        item.pop("ContributionDateTime", None)  # the moment of encoding, which is another one on every attempt
    dataset.file_meta = _file_meta(dataset)
    return dataset


def part_10(dataset: Dataset) -> bytes:
    """The instance as a DICOM file (PS3.10)."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def lo(text: str) -> str:
    """A text cut to what VR LO holds; a backslash would make two values of it."""
    clean = text.replace("\\", "/")
    return clean if len(clean) <= LONGEST_LO else clean[: LONGEST_LO - 1] + "…"


def _subject(found: Dataset) -> Dataset:
    """Decoded from the images' character set, so that it can be written in ours."""
    subject = Dataset()
    for keyword in _SUBJECT:
        if keyword not in found:
            continue
        value = found[keyword].value
        if isinstance(value, DicomSequence):
            subject[keyword] = found[keyword]
            for item in value:
                item.decode()
        else:
            setattr(subject, keyword, "" if value is None else str(value))
    return subject


def _told(report: Report, patient: str, accession: str) -> Dataset:
    """The header as far as the report knows it."""
    study = report.study
    subject = Dataset()
    subject.PatientID, subject.AccessionNumber = patient, accession
    if study.patient is not None:
        subject.IssuerOfPatientID = lo(study.patient.as_sent().assigner)
    if report.patient is not None and study.patient in report.patient.known_as:
        subject.PatientName = f"{report.patient.name.family}^{report.patient.name.given}".rstrip("^")
    subject.PatientSex = _SEX[study.patient_sex]
    subject.PatientBirthDate = f"{study.patient_birth_date:%Y%m%d}" if study.patient_birth_date else ""
    subject.StudyDate = f"{study.study_date:%Y%m%d}" if study.study_date else ""
    return subject


def _sent(identifier: Identifier | None) -> str:
    return identifier.as_sent().value if identifier else ""


def _zone(header: Dataset, zone: ZoneInfo) -> tzinfo:
    """Times are the images' own: where these name their offset from UTC (PS3.3 C.12.1.1.8), it holds for all."""
    try:
        found = datetime.strptime(str(header.get("TimezoneOffsetFromUTC") or ""), "%z").tzinfo
    except ValueError:
        found = None
    return found or zone


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta

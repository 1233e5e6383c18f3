"""Generated CT series (PS3.3 A.3, CT Image IOD): the demo's patient and the tests' ground truth."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from adapters.dicom.files import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from adapters.dicom.quiet import quiet

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_INTERCEPT = -1024
_SIGNIFICANT = 10


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose images they are, and which order they belong to; texts as DICOM has them, `patient_name` with carets."""

    patient_id: str
    issuer: str
    patient_name: str
    birth_date: date
    sex: str
    accession_number: str
    accession_issuer: str
    study_date: date
    study_time: str = "120000"


def write_ct_series(
    hu: npt.NDArray[np.int16],
    spacing_mm: tuple[float, float, float],
    folder: Path,
    *,
    patient_id: str,
    issuer: str,
    patient_name: str,
    birth_date: date,
    sex: str,
    accession_number: str,
    accession_issuer: str,
    study_date: date,
    study_time: str = "120000",
    kernel: str = "B30f",
    kvp: float = 120,
    slice_thickness_mm: float | None = None,
    contrast: str | None = None,
    body_part: str = "CHEST",
    series_description: str = "Generated chest phantom",
    modality: str = "CT",
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL"),
    orientation: tuple[float, ...] = AXIAL,
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    skip: Collection[int] = (),
    seed: str | None = None,
) -> list[Path]:
    """Write one CT Image Storage file per slice of `hu` (slices, rows, columns) and return them in slice order.

    Slice 0 lies at `origin_mm` (LPS), the next along the normal of `orientation`; `spacing_mm` is (slices, rows,
    columns). `skip` leaves slices out. UIDs are fresh, or derived from `seed`. `contrast` None omits the agent.
    """
    who = Identity(patient_id, issuer, patient_name, birth_date, sex, accession_number, accession_issuer, study_date,
                   study_time)  # fmt: skip
    how = {"Modality": modality, "BodyPartExamined": body_part, "SeriesDescription": series_description,
           "ImageType": list(image_type), "ConvolutionKernel": kernel, "KVP": kvp, "ContrastBolusAgent": contrast,
           "SliceThickness": slice_thickness_mm or spacing_mm[0]}  # fmt: skip
    chosen = [index for index in range(len(hu)) if index not in skip]
    plane = _Plane(spacing_mm, orientation, origin_mm)
    return _write_slices(_described(who, how), hu, plane, folder, chosen, seed=seed)


class _Plane(NamedTuple):
    spacing_mm: tuple[float, float, float]
    orientation: tuple[float, ...]
    origin_mm: tuple[float, float, float]

    def position(self, index: int) -> list[str]:
        normal = np.cross(self.orientation[:3], self.orientation[3:])
        return [_ds(float(x)) for x in np.array(self.origin_mm) + index * self.spacing_mm[0] * normal]


def _described(identity: Identity, acquisition: Mapping[str, object]) -> Dataset:
    quiet()
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    stamp(dataset, identity)
    for keyword, value in acquisition.items():
        if value is not None:
            setattr(dataset, keyword, _ds(value) if isinstance(value, int | float) else value)
    return dataset


def _write_slices(
    common: Dataset, hu: npt.NDArray[np.int16], plane: _Plane, folder: Path, indices: Sequence[int], *, seed: str | None
) -> list[Path]:
    uid = _uids(seed)
    _describe_study(common, uid)
    _describe_plane(common, hu, plane)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in indices:
        common.SOPInstanceUID, common.InstanceNumber = uid(f"instance {index}"), index + 1
        common.ImagePositionPatient = plane.position(index)
        paths.append(_write_slice(common, hu[index], folder / f"{index:04d}.dcm"))
    return paths


def _uids(seed: str | None) -> Callable[[str], str]:
    """2.25 UIDs (PS3.5 annex B.2): the same name gives the same UID, within one series or for one seed."""
    secret = seed if seed is not None else str(generate_uid(prefix=None))

    def uid(name: str) -> str:
        return f"2.25.{int.from_bytes(hashlib.sha256(f'{secret}/{name}'.encode()).digest()[:16], 'big')}"

    return uid


def stamp(dataset: Dataset, identity: Identity) -> None:
    """Write patient, accession number and study date into a data set, in place."""
    dataset.PatientName, dataset.PatientID = identity.patient_name, identity.patient_id
    dataset.IssuerOfPatientID = identity.issuer
    dataset.PatientBirthDate, dataset.PatientSex = f"{identity.birth_date:%Y%m%d}", identity.sex
    dataset.AccessionNumber = identity.accession_number
    issuer = Dataset()
    issuer.LocalNamespaceEntityID = identity.accession_issuer
    dataset.IssuerOfAccessionNumberSequence = DicomSequence([issuer])
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = f"{identity.study_date:%Y%m%d}"
    dataset.ContentDate = dataset.StudyDate
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = identity.study_time


def _describe_study(dataset: Dataset, uid: Callable[[str], str]) -> None:
    dataset.SOPClassUID = CTImageStorage
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid("study"), uid("series")
    dataset.FrameOfReferenceUID = uid("frame of reference")
    dataset.StudyID, dataset.SeriesNumber, dataset.AcquisitionNumber = "1", 1, 1
    dataset.StudyDescription, dataset.ReferringPhysicianName = "CT Chest", ""
    dataset.Manufacturer, dataset.ManufacturerModelName = "Sightline", "Phantom"
    dataset.PositionReferenceIndicator, dataset.PatientPosition = "", "HFS"
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = _ds(_INTERCEPT), "1", "HU"


def _describe_plane(dataset: Dataset, hu: npt.NDArray[np.int16], plane: _Plane) -> None:
    spacing_mm = plane.spacing_mm
    dataset.ImageOrientationPatient = [_ds(x) for x in plane.orientation]
    dataset.PixelSpacing = [_ds(spacing_mm[1]), _ds(spacing_mm[2])]
    dataset.ReconstructionDiameter = _ds(spacing_mm[2] * hu.shape[2])
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = hu.shape[1:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1


def _write_slice(common: Dataset, hu: npt.NDArray[np.int16], path: Path) -> Path:
    dataset = FileDataset(str(path), common, preamble=bytes(128), file_meta=_meta(common.SOPInstanceUID))
    stored = hu.astype(np.int32) - _INTERCEPT
    dataset.PixelData = np.clip(stored, -(2**15), 2**15 - 1).astype("<i2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path, enforce_file_format=True)
    return path


def _meta(sop_instance_uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, UID(sop_instance_uid)
    meta.TransferSyntaxUID, meta.ImplementationClassUID = ExplicitVRLittleEndian, UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta


def _ds(value: float) -> str:
    """VR DS holds 16 characters: ten significant digits fit with sign, point and exponent."""
    return f"{value:.{_SIGNIFICANT}g}"

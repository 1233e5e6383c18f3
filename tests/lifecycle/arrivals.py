"""What else arrives, or is decided by a person, in the scenarios."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage

from cds.domain.coding import Quantity
from cds.domain.verification import FindingRef, Verdict, Verification
from cds.store.decisions import DecisionStore, Said
from cds.store.identity_undo import history, undo
from tests.lifecycle.bleed import ID, KEY, VERSION

if TYPE_CHECKING:
    from cds.domain.hold import Hold
    from tests.lifecycle.stage import Person, Stage

_MEANINGS = {
    "113001": "Rejected for Quality Reasons",
    "113037": "Rejected for Patient Safety Reasons",
    "113038": "Incorrect Modality Worklist Entry",
    "113039": "Data Retention Policy Expired",
}


def reject(stage: Stage, paths: list[Path], code: str) -> None:
    """A Key Object Selection that rejects these instances (IHE RAD TF-3 section 4.66.4.1)."""
    first = pydicom.dcmread(paths[0], stop_before_pixels=True)
    note = Dataset()
    for keyword in (
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "StudyInstanceUID",
        "AccessionNumber",
    ):
        setattr(note, keyword, first.get(keyword))
    note.SOPClassUID, note.SOPInstanceUID = KeyObjectSelectionDocumentStorage, _uid()
    note.SeriesInstanceUID, note.Modality, note.InstanceNumber, note.SeriesNumber = _uid(), "KO", 1, 99
    note.ConceptNameCodeSequence = [_code(code, _MEANINGS[code])]
    series = Dataset()
    series.SeriesInstanceUID = first.SeriesInstanceUID
    series.ReferencedSOPSequence = [_reference(pydicom.dcmread(path, stop_before_pixels=True)) for path in paths]
    study = Dataset()
    study.StudyInstanceUID, study.ReferencedSeriesSequence = first.StudyInstanceUID, [series]
    note.CurrentRequestedProcedureEvidenceSequence = [study]
    stage.store([_written(note, stage.folder / f"{note.SOPInstanceUID}.dcm")])


def reformat(stage: Stage, paths: list[Path]) -> None:
    """Coronal reformats in a series of their own, as a technologist makes them."""
    series = _uid()
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = series, _uid()
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.ImageType = ["DERIVED", "SECONDARY", "REFORMATTED"]
        dataset.save_as(path, enforce_file_format=True)
    stage.store(paths)


def second_series(stage: Stage, paths: list[Path]) -> list[Path]:
    """The same slices as another series of the study, on disk alone."""
    series, made = _uid(), []
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID, dataset.SeriesNumber, dataset.SOPInstanceUID = series, 2, _uid()
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        made.append(stage.folder / f"{dataset.SOPInstanceUID}.dcm")
        dataset.save_as(made[-1], enforce_file_format=True)
    return made


def return_own(stage: Stage) -> None:
    """The PACS sends back all that it was given."""
    paths = []
    for uid, dataset in stage.pacs.instances.items():
        path = stage.folder / f"back-{uid}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    stage.store(paths)


def verify(stage: Stage, who: Person, verdict: Verdict, corrected: Quantity | None = None) -> None:
    """A radiologist says of the finding on this person's newest images what is right."""
    study = stage.study(who)
    ref = FindingRef(study.study_instance_uid, study.image_revision, ID, VERSION, KEY)
    said = Verification(ref, verdict, "Dr Grey", "radiologist", stage.clock.at, "looked again", corrected)
    stage.held.opinions.verify(said, stage.clock.at)


def decisions(stage: Stage) -> DecisionStore:
    """What a person can decide."""

    def reread(message_id: int) -> object:
        raise AssertionError(f"message {message_id} is not asked for here")

    return DecisionStore(stage.held.database, reread, lambda path: (stage.settings.data_dir / path).unlink())


def wrong_patient(stage: Stage, who: Person) -> None:
    """A person finds that the images are of somebody else."""
    said = Said("wrong-patient", "Dr Grey", stage.clock.at, reason="two patients were swapped at the scanner")
    decisions(stage).wrong_patient(who.accession, said)


def resolve(stage: Stage, hold: Hold, action: str, *, to: str = "") -> None:
    """A person decides about a held item."""
    decisions(stage).resolve(hold.id, Said(action, "Dr Grey", stage.clock.at, to, "looked at it"))


def undo_last_identity_change(stage: Stage) -> None:
    """A person finds that a merge was wrong."""
    change = max(history(stage.held.database), key=lambda one: one.id)
    with stage.held.database.writing() as session:
        undo(session, change.id, "Dr Grey", stage.clock.at)


def _uid() -> str:
    return f"2.25.{uuid.uuid4().int}"


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def _reference(instance: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = instance.SOPClassUID, instance.SOPInstanceUID
    return reference


def _written(dataset: Dataset, path: Path) -> Path:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    FileDataset(str(path), dataset, file_meta=meta, preamble=b"\0" * 128).save_as(path, enforce_file_format=True)
    return path

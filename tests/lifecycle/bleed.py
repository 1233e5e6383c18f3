"""A stand-in model for tests: blood is what is denser than 60 HU. It reads small head CTs, in no time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np

from adapters.dicom.phantom import write_ct_series
from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, ModelOutcome, Presence
from cds.domain.imaging import InstanceHeader, MaskRef, ModelInput, SeriesSummary, VolumeRef
from cds.domain.inference import RunWish, StudyFacts
from cds.domain.longitudinal import Repeatability

ID, VERSION, KEY = "head_bleed", "1.0.0", "haemorrhage"
NAME = f"{ID}.{KEY}"
#: SNOMED CT, as reference/terminology names the finding.
CODE = Coding("http://snomed.info/sct", "1386000", "Intracranial hemorrhage")
_DENSE_HU, _LEAST_ML = 60, 0.5
SHAPE, SPACING_MM = (4, 16, 16), (5.0, 2.0, 2.0)


@dataclass(frozen=True)
class HeadBleed:
    """Port FindingModel: volume of dense voxels in ml, present from 0.5 ml on."""

    id: str = ID
    version: str = VERSION

    def consumes(self, header: InstanceHeader) -> bool:
        """Axial head CT."""
        return header.modality == "CT" and header.body_part == "HEAD" and "REFORMATTED" not in header.image_type

    reads: Literal["volume", "projection"] = "volume"
    priors: int = 0

    def choose(self, series: Sequence[SeriesSummary], about: StudyFacts) -> Sequence[SeriesSummary]:
        """The head series, none else."""
        return [s for s in series if self.refusal(s, about) is None]

    def refusal(self, series: SeriesSummary, about: StudyFacts) -> tuple[str, str] | None:
        """Not a head CT."""
        fits = series.modality == "CT" and series.body_part == "HEAD"
        return None if fits else ("body-part", "it is no CT of the head")

    def cautions(self, about: StudyFacts) -> tuple[str, ...]:
        """None but for an unknown age."""
        return () if about.age_years is not None else ("The age is not known.",)

    def is_urgent(self, about: StudyFacts) -> bool:
        """Where somebody asks for bleeding."""
        return "bleeding" in about.reason

    def repeatability(self, key: str) -> Repeatability | None:
        """Not known."""
        return None

    def run(self, given: ModelInput, scratch: Path, wish: RunWish) -> ModelOutcome:
        """Count."""
        volume = given
        assert isinstance(volume, VolumeRef)
        voxels = np.load(volume.path, mmap_mode="r")
        dense = voxels > _DENSE_HU
        millilitres = float(dense.sum()) * float(np.prod(volume.spacing_mm)) / 1000
        present = Presence.PRESENT if millilitres >= _LEAST_ML else Presence.NOT_DETECTED
        path = scratch / f"{ID}.mask.npy"
        np.save(path, dense.astype(np.uint8))
        return Findings(
            model=self.id,
            version=self.version,
            series_instance_uid=volume.series_instance_uid,
            findings=(
                Finding(
                    KEY,
                    CODE,
                    present,
                    value=Quantity(round(millilitres, 2), "mL"),
                    threshold=Quantity(_LEAST_ML, "mL"),
                    series_instance_uid=volume.series_instance_uid,
                ),
            ),
            limits=("A stand-in for tests.",),
            masks=(MaskRef(str(path), volume.shape, {1: "blood"}, volume.series_instance_uid, volume.stack),),
        )


def head_ct(folder: Path, *, blood: bool, seed: str, **identity: object) -> list[Path]:
    """Four slices of brain on disk, with or without 1.6 ml of blood."""
    hu = np.full(SHAPE, 35, np.int16)
    if blood:
        hu[1:3, 4:10, 4:10] = 75
    named: dict[str, object] = {
        "patient_id": "A", "issuer": "HOSPITAL", "patient_name": "Zzyzxwitz^Anna", "birth_date": date(1960, 3, 2),
        "sex": "F", "accession_number": "ACC-1", "accession_issuer": "HOSPITAL", "study_date": date(2026, 11, 21),
        "study_time": "115500",
    }  # fmt: skip
    return write_ct_series(
        hu,
        SPACING_MM,
        folder,
        body_part="HEAD",
        series_description="Head",
        seed=seed,
        **{**named, **identity},
    )

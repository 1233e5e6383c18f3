"""The demo's images: a generated phantom of a chest with emphysema, or the user's own DICOM files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from pathlib import Path

from adapters.dicom.folder import read_headers
from adapters.dicom.phantom import write_ct_series
from cds.demo.story import AUTHORITY, Cast
from cds.domain.identity import Sex
from cds.errors import NotFound
from models.phantom import chest_phantom

_SEX = {Sex.FEMALE: "F", Sex.MALE: "M", Sex.OTHER: "O"}


@dataclass(frozen=True, slots=True)
class Images:
    """What the scanner sends. `number` finds the study later; `ordered` is False where no order can belong to it."""

    title: str
    paths: tuple[Path, ...]
    cast: Cast
    number: str
    ordered: bool
    is_phantom: bool


def phantom_study(cast: Cast, folder: Path) -> Images:
    """A chest CT of a phantom whose lungs are partly destroyed; made anew, nobody's."""
    phantom = chest_phantom()
    paths = write_ct_series(
        phantom.hu,
        phantom.spacing_mm,
        folder / "scanner",
        patient_id=cast.mrn,
        issuer=AUTHORITY,
        patient_name=f"{cast.family}^{cast.given}",
        birth_date=cast.birth_date,
        sex=cast.sex,
        accession_number=cast.accession_number,
        accession_issuer=AUTHORITY,
        study_date=cast.now.date(),
        study_time=cast.now.strftime("%H%M%S"),
    )
    truth = phantom.imaged
    title = (
        f"a generated chest phantom with emphysema: {len(paths)} slices, lungs {truth.lung_volume_ml:.0f} mL, "
        f"LAA-950 {truth.laa_950_percent:.1f} % by construction"
    )
    return Images(title, tuple(paths), cast, cast.accession_number, ordered=True, is_phantom=True)


def users_study(folder: Path, cast: Cast) -> Images:
    """The DICOM files of a folder, as they are; the story's order takes their patient and accession number.

    Raise NotFound where the folder has no DICOM instance.
    """
    found = read_headers(folder)
    if not found:
        raise NotFound(f"{folder} holds no DICOM instance")
    header = found[0][1]
    mine = replace(
        cast,
        mrn=header.patient_id or cast.mrn,
        family=header.patient_name.family or cast.family,
        given=header.patient_name.given,
        birth_date=header.patient_birth_date or cast.birth_date,
        sex=_SEX.get(header.patient_sex, "U"),
        accession_number=header.accession_number or cast.accession_number,
        ordered_at=datetime.combine(header.study_date, time(8), UTC) if header.study_date else cast.now,
        authority=header.issuer_of_patient_id or AUTHORITY,
        accession_issuer=header.issuer_of_accession_number or AUTHORITY,
    )
    ordered = bool(header.patient_id and header.accession_number)
    why_not = "" if ordered else "; without patient ID and accession number no order can belong to them"
    title = f"{len(found)} instances of {folder}{why_not}"
    number = mine.accession_number if ordered else header.study_instance_uid
    return Images(title, tuple(path for path, _ in found), mine, number, ordered=ordered, is_phantom=False)

"""The demo's images: a generated phantom of a chest with emphysema, or the user's own DICOM files."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, time
from pathlib import Path

from adapters.dicom.folder import read_headers
from adapters.dicom.phantom import Identity, write_ct_series
from adapters.dicom.restamp import restamp
from cds.demo.story import AUTHORITY, Cast
from cds.domain.identity import Sex
from cds.domain.imaging import InstanceHeader
from cds.errors import NotFound
from models.phantom import chest_phantom

_SEX = {Sex.FEMALE: "F", Sex.MALE: "M", Sex.OTHER: "O"}


@dataclass(frozen=True, slots=True)
class Images:
    """What the scanner sends, and whose images they are."""

    title: str
    paths: tuple[Path, ...]
    cast: Cast
    is_phantom: bool


def phantom_study(cast: Cast, folder: Path) -> Images:
    """A chest CT of a phantom whose lungs are partly destroyed; made anew, nobody's."""
    phantom = chest_phantom()
    paths = write_ct_series(phantom.hu, phantom.spacing_mm, folder / "scanner", **asdict(_identity(cast)))
    truth = phantom.imaged
    title = (
        f"a generated chest phantom with emphysema: {len(paths)} slices, lungs {truth.lung_volume_ml:.0f} mL, "
        f"LAA-950 {truth.laa_950_percent:.1f} % by construction"
    )
    return Images(title, tuple(paths), cast, is_phantom=True)


def users_study(source: Path, cast: Cast, folder: Path) -> Images:
    """The DICOM files of a folder; the story's order takes their patient and accession number.

    Files without UIDs, patient or accession number (they were anonymised) are sent as copies in `folder` that belong
    to the demo's patient; the user's own are never changed. Raise NotFound where there is no DICOM file.
    """
    if not source.is_dir():
        raise NotFound(f"{source} is no folder")
    found = read_headers(source)
    if not found:
        raise NotFound(f"{source} holds no DICOM file")
    headers = [header for _, header in found if header is not None]
    if len(headers) == len(found) and all(h.patient_id and h.accession_number for h in headers):
        cast = _as_in(headers[0], cast)
        paths = tuple(path for path, _ in found)
        return Images(f"{len(paths)} instances of {source}, as they are", paths, cast, is_phantom=False)
    copies = restamp([path for path, _ in found], folder / "scanner", _identity(cast))
    title = (
        f"{len(copies)} instances of {source}: they lack UIDs, patient or accession number, so copies are sent that "
        "carry the demo's patient and numbers"
    )
    return Images(title, tuple(copies), cast, is_phantom=False)


def _as_in(header: InstanceHeader, cast: Cast) -> Cast:
    return replace(
        cast,
        mrn=header.patient_id,
        family=header.patient_name.family or cast.family,
        given=header.patient_name.given,
        birth_date=header.patient_birth_date or cast.birth_date,
        sex=_SEX.get(header.patient_sex, "U"),
        accession_number=header.accession_number,
        ordered_at=datetime.combine(header.study_date, time(8), UTC) if header.study_date else cast.now,
        authority=header.issuer_of_patient_id or AUTHORITY,
        accession_issuer=header.issuer_of_accession_number or AUTHORITY,
    )


def _identity(cast: Cast) -> Identity:
    return Identity(
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

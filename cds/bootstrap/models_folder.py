"""The studies of a folder of DICOM files, as the index would know them; nothing is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.dicom.folder import read_headers
from cds.domain.imaging import InstanceHeader, SeriesSummary
from cds.domain.inference import StudyFacts
from cds.domain.series import age_years, summary
from cds.errors import NotFound


@dataclass(frozen=True, slots=True)
class FolderStudy:
    """One study: its series, with paths below the folder, and what is known of it beside its images."""

    study_instance_uid: str
    series: tuple[SeriesSummary, ...]
    facts: StudyFacts


def studies(folder: Path, order: StudyFacts) -> tuple[FolderStudy, ...]:
    """Every study at or below a folder; `order` is what its order would say. Raise NotFound where there is none.

    UIDs that were blanked are derived from the folder's name, so that an anonymised series can be looked at.
    """
    if not folder.is_dir():
        raise NotFound("want a folder of DICOM files")
    found = [(path, header) for path, header in read_headers(folder, name_unnamed=True) if header is not None]
    if not found:
        raise NotFound("the folder holds no DICOM file that can be read")
    by_study: dict[str, list[tuple[Path, InstanceHeader]]] = {}
    for path, header in found:
        by_study.setdefault(header.study_instance_uid, []).append((path, header))
    return tuple(_study(uid, folder, members, order) for uid, members in sorted(by_study.items()))


def _study(
    uid: str, folder: Path, members: Sequence[tuple[Path, InstanceHeader]], order: StudyFacts
) -> FolderStudy:  # fmt: skip
    by_series: dict[str, list[tuple[Path, InstanceHeader]]] = {}
    for path, header in members:
        by_series.setdefault(header.series_instance_uid, []).append((path, header))
    series = tuple(
        summary([header for _, header in of], [str(path.relative_to(folder)) for path, _ in of])
        for _, of in sorted(by_series.items())
    )
    first = members[0][1]
    age = order.age_years
    if age is None:
        age = age_years(first.patient_birth_date, first.study_date, first.patient_age)
    return FolderStudy(uid, series, replace(order, age_years=age, study_description=first.study_description))

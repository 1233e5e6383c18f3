"""Studies and their stored images for whoever looks at them: by public id, by UID, and by what QIDO-RS asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.identity import Identifier
from cds.domain.imaging import InstanceHeader, Study
from cds.errors import NotFound
from cds.store.engine import Database
from cds.store.quick import Query
from cds.store.studies import StudyStore
from cds.store.tables import InstanceRow, StudyRow
from cds.store.values import parse
from cds.ui.dicomweb import StudySearch

#: What is said where there is nothing, and where there is nothing that this person may see.
NOTHING = "Sightline has no images that may be shown here. That is not a negative result."

_UID = Query(sa.select(col(StudyRow.uid)).where(col(StudyRow.public_id) == sa.bindparam("public")), "public")
_FILES = Query(
    sa.select(
        col(InstanceRow.sop_instance_uid),
        col(InstanceRow.series_uid),
        col(InstanceRow.path),
        col(InstanceRow.sha256),
        col(InstanceRow.pixels_sha256),
        col(InstanceRow.size),
    )
    .where(
        col(InstanceRow.study_uid) == sa.bindparam("study"),
        col(InstanceRow.rejected) == "",
        col(InstanceRow.left_revision).is_(None),
    )
    .order_by(col(InstanceRow.series_uid), col(InstanceRow.sop_instance_uid)),
    "study",
)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An instance of a study as it is now, without its header."""

    sop_instance_uid: str
    series_instance_uid: str
    path: str
    sha256: str
    pixels_sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study that a search found, with one header of each of its series and the number of its instances."""

    study: Study
    series: tuple[InstanceHeader, ...]
    instances: int


class Pictures:
    """What is stored now: instances that were rejected are not there."""

    def __init__(self, database: Database, studies: StudyStore) -> None:
        self._database = database
        self._studies = studies

    def study(self, public_id: str) -> Study:
        """A study by its random public id; raise NotFound."""
        rows = _UID.rows(self._database, public_id)
        if not rows:
            raise NotFound(NOTHING)
        return self.by_uid(str(rows[0][0]))

    def by_uid(self, uid: str) -> Study:
        """A study by its Study Instance UID; raise NotFound."""
        try:
            return self._studies.study(uid)
        except NotFound:
            raise NotFound(NOTHING) from None

    def files(self, study_uid: str) -> Sequence[StoredFile]:
        """The instances of a study, by series."""
        return [StoredFile(*row) for row in _FILES.rows(self._database, study_uid)]

    def headers(self, study_uid: str) -> dict[str, InstanceHeader]:
        """The headers of the same instances, by SOP Instance UID."""
        with self._database.reading() as session:
            asked = select(InstanceRow.sop_instance_uid, InstanceRow.header).where(*_here(study_uid))
            return {uid: parse(InstanceHeader, header) for uid, header in session.exec(asked)}

    def search(self, query: StudySearch, whose: Sequence[Identifier] | None = None) -> Sequence[FoundStudy]:
        """Studies with images, the newest first; of the patients of some identifiers alone where `whose` names them."""
        if whose is not None and not whose:
            return []
        asked = select(StudyRow.uid).where(*_wanted(query, whose))
        newest = asked.order_by(col(StudyRow.study_date).desc(), col(StudyRow.uid))
        with self._database.reading() as session:
            uids = session.exec(newest.offset(query.offset).limit(query.limit)).all()
            found = [(uid, *_described(session, uid)) for uid in uids]
        return [FoundStudy(self._studies.study(uid), series, count) for uid, series, count in found]


def _here(study_uid: str) -> tuple[Any, ...]:
    return (
        col(InstanceRow.study_uid) == study_uid,
        col(InstanceRow.rejected) == "",
        col(InstanceRow.left_revision).is_(None),
    )


def _wanted(query: StudySearch, whose: Sequence[Identifier] | None) -> list[Any]:
    wanted: list[Any] = [col(StudyRow.instances) > 0]
    if query.uids:
        wanted.append(col(StudyRow.uid).in_(query.uids))
    if query.patient_id:
        wanted.append(col(StudyRow.patient_value) == query.patient_id)
    if query.accession_number:
        wanted.append(col(StudyRow.accession_number) == query.accession_number)
    if query.since is not None:
        wanted.append(col(StudyRow.study_date) >= query.since)
    if query.until is not None:
        wanted.append(col(StudyRow.study_date) <= query.until)
    if query.modality:
        wanted.append(_has_modality(query.modality))
    if whose is not None:
        named = [sa.and_(col(StudyRow.patient_value) == i.value, col(StudyRow.patient_assigner) == i.assigner)
                 for i in whose]  # fmt: skip
        wanted.append(sa.or_(*named))
    return wanted


def _has_modality(modality: str) -> Any:
    """The header of an instance is JSON as `dump` writes it."""
    said = col(InstanceRow.header).contains(f'"modality":"{modality}"', autoescape=True)
    return sa.exists().where(col(InstanceRow.study_uid) == col(StudyRow.uid), col(InstanceRow.rejected) == "", said)


def _described(session: Session, uid: str) -> tuple[tuple[InstanceHeader, ...], int]:
    """The header of the first instance of each series, and how many instances there are."""
    firsts = (
        select(sa.func.min(col(InstanceRow.sop_instance_uid)), sa.func.count())
        .where(*_here(uid))
        .group_by(col(InstanceRow.series_uid))
    )
    rows = session.exec(firsts).all()
    chosen = [row[0] for row in rows]
    headers = session.exec(select(InstanceRow.header).where(col(InstanceRow.sop_instance_uid).in_(chosen)))
    return tuple(parse(InstanceHeader, header) for header in headers), sum(row[1] for row in rows)

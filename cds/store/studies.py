"""Instances and studies: what arrived, and the numbers of SAFETY section 2. Implements `cds.ports.InstanceIndex`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col, select

from cds.domain.identity import Sex
from cds.domain.imaging import InstanceHeader, RejectionNote, SeriesSummary, StoredInstance, Study
from cds.domain.series import summary
from cds.errors import NotFound
from cds.store import rejections
from cds.store.attribution import Site, identifier
from cds.store.engine import Database
from cds.store.instance_batch import arrive_all
from cds.store.instance_plain import arrive_plainly
from cds.store.instances import Added, Arrival, arrive, resolve_conflict
from cds.store.revisions import decide_match, locked, rematch, stop
from cds.store.tables import InstanceRow, StudyRow
from cds.store.values import parse

__all__ = ["StudyStore", "decide_match", "locked", "rematch", "resolve_conflict", "stop"]


def _never(_one: str, _other: str) -> bool:
    return False


def _keep(_path: str) -> None:
    return None


class StudyStore:
    """Instances as they come in, and the study they make up. Identifiers without authority get the site's.

    `same_pixels` compares two files below the data folder whose digests differ, and `discard` removes one that no row
    names any more. Without them what was compressed anew is a conflict, and superseded files stay.
    """

    def __init__(
        self,
        database: Database,
        *,
        assigning_authority: str,
        accession_issuer: str,
        time_zone: str = "UTC",
        same_pixels: Callable[[str, str], bool] = _never,
        discard: Callable[[str], None] = _keep,
    ) -> None:
        self._database = database
        self._site = Site(assigning_authority, accession_issuer, time_zone)
        self._same_pixels = same_pixels
        self._discard = discard

    def add(self, instance: StoredInstance, *, received_at: datetime, consumed: bool, source: str) -> str:
        """See the port. A consumed instance joins the open image revision, or opens the next one.

        Files are compared and removed outside the transaction: decoding takes seconds, and a crash before the removal
        leaves a file without a row, never a row without its file.
        """
        arrival = Arrival(instance, received_at, consumed, source)
        same: dict[str, bool] = {}
        while (added := self._arrive(arrival, same)).asked:
            same[added.asked] = self._same_pixels(added.superseded, instance.path)
        if added.superseded:
            self._discard(added.superseded)
        return added.outcome

    def add_all(
        self, instances: Sequence[tuple[StoredInstance, bool]], *, received_at: datetime, source: str
    ) -> list[str]:
        """See the port. An instance whose pixels have to be compared is added after the commit of the others."""
        arrivals = [Arrival(instance, received_at, consumed, source) for instance, consumed in instances]
        with self._database.writing() as session:
            added = arrive_all(session, self._site, arrivals)
        for one in added:
            if one.superseded and not one.asked:
                self._discard(one.superseded)
        return [
            self.add(instance, received_at=received_at, consumed=consumed, source=source) if one.asked else one.outcome
            for one, (instance, consumed) in zip(added, instances, strict=True)
        ]

    def known(self, study_instance_uid: str) -> frozenset[str]:
        """See the port."""
        with self._database.reading() as session:
            here = select(InstanceRow.sop_instance_uid).where(InstanceRow.study_uid == study_instance_uid)
            return frozenset(session.exec(here))

    def reject(self, note: RejectionNote, *, received_at: datetime) -> int:
        """See the port."""
        with self._database.writing() as session:
            return rejections.reject(session, self._site, note, received_at)

    def study(self, uid: str) -> Study:
        """One study; raise NotFound."""
        with self._database.reading() as session:
            row = session.get(StudyRow, uid)
            if row is None:
                raise NotFound("no such study")
            return _study(row)

    def series(self, uid: str, image_revision: int) -> Sequence[SeriesSummary]:
        """The series of a study as they stood in an image revision."""
        with self._database.reading() as session:
            rows = session.exec(
                select(InstanceRow)
                .where(
                    InstanceRow.study_uid == uid,
                    InstanceRow.image_revision <= image_revision,
                    sa.or_(col(InstanceRow.left_revision).is_(None), col(InstanceRow.left_revision) > image_revision),
                )
                .order_by(col(InstanceRow.received_at), col(InstanceRow.sop_instance_uid))
            ).all()
        grouped: dict[str, list[InstanceRow]] = {}
        for row in rows:
            grouped.setdefault(row.series_uid, []).append(row)
        return [_series(members) for members in grouped.values()]

    def files(self, uid: str, series_uid: str = "") -> Sequence[str]:
        """The files of a study, or of one of its series, as it is now; below the data folder, in order of arrival."""
        revision = self.study(uid).image_revision
        found = [one for one in self.series(uid, revision) if series_uid in ("", one.series_instance_uid)]
        return [path for one in found for path in one.paths]

    def _arrive(self, arrival: Arrival, same: dict[str, bool]) -> Added:
        with self._database.writing() as session:
            return arrive_plainly(session, self._site, arrival) or arrive(session, self._site, arrival, same)


def _study(row: StudyRow) -> Study:
    """What stopped it stands above a person's earlier word, and that above instances that contradict each other."""
    return Study(
        study_instance_uid=row.uid,
        patient=identifier(row.patient_value, row.patient_assigner),
        accession=identifier(row.accession_number, row.accession_issuer),
        patient_birth_date=row.birth_date,
        patient_sex=Sex(row.sex),
        study_date=row.study_date,
        description=row.description,
        modalities=(),
        public_id=row.public_id,
        image_revision=row.image_revision,
        match_revision=row.match_revision,
        contradiction=row.stopped or ("" if row.decided else row.contradiction),
        started_at=row.started_at,
        incomplete=row.incomplete,
        decided=row.decided,
        decided_order_id=row.decided_order_id,
    )


def _series(rows: Sequence[InstanceRow]) -> SeriesSummary:
    return summary([parse(InstanceHeader, row.header) for row in rows], [row.path for row in rows])

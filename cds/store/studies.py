"""Instances and studies: what arrived, and the numbers of SAFETY section 2. Implements `cds.ports.InstanceIndex`."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlmodel import Session, col, select

from cds.domain.identity import Identifier, Sex
from cds.domain.imaging import InstanceHeader, SeriesSummary, StoredInstance, Study
from cds.domain.order import ServiceRequest, queue_priority
from cds.domain.revision import Revision, Work
from cds.errors import NotFound
from cds.store import timeline
from cds.store.engine import Database, lock
from cds.store.tables import HoldRow, InstanceRow, OrderRow, StudyRow, WorkRow
from cds.store.values import dump, parse


class StudyStore:
    """Instances as they come in, and the study they make up. Identifiers without authority get the site's."""

    def __init__(
        self, database: Database, *, assigning_authority: str, accession_issuer: str, time_zone: str = "UTC"
    ) -> None:
        self._database = database
        self._zone = ZoneInfo(time_zone)
        self._authority = assigning_authority
        self._issuer = accession_issuer

    def add(self, instance: StoredInstance, *, received_at: datetime, consumed: bool, source: str) -> str:
        """See the port. A consumed instance joins the open image revision, or opens the next one."""
        header = instance.header
        with self._database.writing() as session:
            lock(session, "study", header.study_instance_uid)
            known = session.get(InstanceRow, header.sop_instance_uid)
            if known is not None:
                return self._again(session, known, instance, received_at)
            study = session.get(StudyRow, header.study_instance_uid) or self._new(session, header, received_at, source)
            if consumed and not study.revision_open:
                study.image_revision += 1
                study.revision_open = True
                timeline.write(
                    session, received_at, "receive", "late instance", study_uid=study.uid,
                    detail=(f"image revision {study.image_revision} opened",),
                )  # fmt: skip
            self._compare(session, study, header, received_at)
            study.instances += 1
            study.consumed_instances += consumed
            study.last_instance_at = received_at
            session.add(study)
            session.add(_row(instance, study.image_revision, received_at, consumed))
            return "new"

    def study(self, uid: str) -> Study:
        """One study; raise NotFound."""
        with self._database.reading() as session:
            return _study(_get(session, uid))

    def series(self, uid: str, image_revision: int) -> Sequence[SeriesSummary]:
        """The series of a study as they stood in an image revision."""
        with self._database.reading() as session:
            rows = session.exec(
                select(InstanceRow)
                .where(InstanceRow.study_uid == uid, InstanceRow.image_revision <= image_revision)
                .order_by(col(InstanceRow.received_at), col(InstanceRow.sop_instance_uid))
            ).all()
        grouped: dict[str, list[InstanceRow]] = {}
        for row in rows:
            grouped.setdefault(row.series_uid, []).append(row)
        return [_series(members) for members in grouped.values()]

    def close_quiet(self, now: datetime, quiet_period: timedelta) -> Sequence[Work]:
        """Close the open revisions that heard nothing for the quiet period; each becomes pending work."""
        with self._database.reading() as session:
            due = session.exec(
                select(StudyRow.uid).where(
                    col(StudyRow.revision_open).is_(True), StudyRow.last_instance_at <= now - quiet_period
                )
            ).all()
        return [work for uid in sorted(due) if (work := self._close(uid, now, quiet_period)) is not None]

    def _close(self, uid: str, now: datetime, quiet_period: timedelta) -> Work | None:
        """Looked at again under the study's lock: an instance may have come in between."""
        with self._database.writing() as session:
            row = locked(session, uid)
            if not row.revision_open or row.last_instance_at > now - quiet_period:
                return None
            row.revision_open = False
            session.add(row)
            reason = f"quiet for {quiet_period.total_seconds():g} s with {row.instances} instances"
            return open_work(session, row, now, reason)

    def _new(self, session: Session, header: InstanceHeader, at: datetime, source: str) -> StudyRow:
        patient, accession = self._named(header)
        row = StudyRow(
            uid=header.study_instance_uid,
            public_id=str(uuid.uuid4()),
            source=source,
            patient_value=patient.value if patient else "",
            patient_assigner=patient.assigner if patient else "",
            accession_number=accession.value if accession else "",
            accession_issuer=accession.assigner if accession else "",
            birth_date=header.patient_birth_date,
            sex=header.patient_sex.value,
            study_date=header.study_date,
            started_at=_started_at(header, self._zone),
            description=header.study_description,
            image_revision=1,
            match_revision=1,
            analysis_run=1,
            revision_open=True,
            first_instance_at=at,
            last_instance_at=at,
        )
        timeline.write(session, at, "receive", "first instance", study_uid=row.uid, detail=(f"by {source}",))
        return row

    def _compare(self, session: Session, study: StudyRow, header: InstanceHeader, at: datetime) -> None:
        """Instances of one study that name two patients or orders: nobody's report until a person decided.

        What an instance does not state contradicts nothing; what the first ones did not state is taken from a later.
        """
        patient, accession = self._named(header)
        contradiction = _contradiction(study, patient, accession, header)
        if contradiction and not study.contradiction:
            study.contradiction = contradiction
            session.add(
                HoldRow(
                    key=f"study-identity:{study.uid}", kind="study-identity", reason=contradiction,
                    study_uid=study.uid, created_at=at,
                )
            )  # fmt: skip
            timeline.write(session, at, "receive", "contradiction", study_uid=study.uid, detail=(contradiction,))
        filled = _fill(study, patient, accession, header)
        session.add(study)
        if (filled or contradiction) and not study.revision_open:
            session.flush()
            rematch(session, study.uid, contradiction or "a later instance says whose the images are", at)

    def _named(self, header: InstanceHeader) -> tuple[Identifier | None, Identifier | None]:
        """The patient and the accession number of a header, with the site's authorities where it has none."""
        return (
            _identifier(header.patient_id, header.issuer_of_patient_id or self._authority),
            _identifier(header.accession_number, header.issuer_of_accession_number or self._issuer),
        )

    def _again(self, session: Session, known: InstanceRow, instance: StoredInstance, at: datetime) -> str:
        if known.sha256 == instance.sha256:
            return "duplicate"
        key = f"instance-conflict:{known.sop_instance_uid}:{instance.sha256}"
        if session.get(HoldRow, key) is not None:
            return "duplicate"
        reason = "an instance came again under its UID with other content; the first one is used"
        session.add(
            HoldRow(
                key=key, kind="instance-conflict", reason=reason, path=instance.path, study_uid=known.study_uid,
                created_at=at,
            )
        )  # fmt: skip
        timeline.write(session, at, "receive", "conflict", study_uid=known.study_uid, detail=(reason,))
        return "conflict"


def locked(session: Session, uid: str) -> StudyRow:
    """The study's row as it is now, with nobody else writing it until the transaction ends; raise NotFound."""
    lock(session, "study", uid)
    row = session.get(StudyRow, uid, populate_existing=True)
    if row is None:
        raise NotFound("no such study")
    return row


def rematch(session: Session, uid: str, reason: str, now: datetime) -> None:
    """Match revision +1 (SAFETY section 2); a study whose images are complete becomes pending work."""
    row = locked(session, uid)
    row.match_revision += 1
    session.add(row)
    outcome = f"match revision {row.match_revision}"
    timeline.write(session, now, "match", outcome, study_uid=uid, detail=(reason,))
    if not row.revision_open:
        open_work(session, row, now, reason)


def open_work(session: Session, row: StudyRow, now: datetime, reason: str) -> Work:
    """Put the study's current revision into the outbox, as urgent as its order; the same revision twice is one work."""
    revision = Revision(row.image_revision, row.match_revision, row.analysis_run)
    work = Work(row.source, row.uid, revision)
    if session.get(WorkRow, work.id) is None:
        session.add(
            WorkRow(
                id=work.id,
                source=row.source,
                study_uid=row.uid,
                image_revision=revision.image,
                match_revision=revision.match,
                analysis_run=revision.analysis,
                priority=_priority(session, row),
                state="pending",
                reason=reason,
                created_at=now,
                updated_at=now,
            )
        )
        timeline.write(session, now, "event", "study complete", study_uid=row.uid, work_id=work.id, detail=(reason,))
    return work


def _priority(session: Session, row: StudyRow) -> int:
    """Of the orders with the study's accession number, whoever's: a doubtful match must not slow an urgent study."""
    if not row.accession_number:
        return queue_priority(())
    bodies = session.exec(select(OrderRow.body).where(OrderRow.accession_number == row.accession_number)).all()
    return queue_priority(parse(ServiceRequest, body) for body in bodies)


def _get(session: Session, uid: str) -> StudyRow:
    row = session.get(StudyRow, uid)
    if row is None:
        raise NotFound("no such study")
    return row


def _study(row: StudyRow) -> Study:
    return Study(
        study_instance_uid=row.uid,
        patient=_identifier(row.patient_value, row.patient_assigner),
        accession=_identifier(row.accession_number, row.accession_issuer),
        patient_birth_date=row.birth_date,
        patient_sex=Sex(row.sex),
        study_date=row.study_date,
        description=row.description,
        modalities=(),
        public_id=row.public_id,
        image_revision=row.image_revision,
        match_revision=row.match_revision,
        contradiction=row.contradiction,
        started_at=row.started_at,
    )


def _contradiction(
    study: StudyRow, patient: Identifier | None, accession: Identifier | None, header: InstanceHeader
) -> str:
    """Why an instance cannot belong to the patient and order of its study; empty where it can."""
    known_patient = _identifier(study.patient_value, study.patient_assigner)
    known_accession = _identifier(study.accession_number, study.accession_issuer)
    if patient and known_patient and patient != known_patient:
        return "instances of this study name different patients"
    if accession and known_accession and accession != known_accession:
        return "instances of this study carry different accession numbers"
    if header.patient_birth_date and study.birth_date and header.patient_birth_date != study.birth_date:
        return "instances of this study state different birth dates"
    if {header.patient_sex.value, study.sex} == {Sex.FEMALE.value, Sex.MALE.value}:
        return "instances of this study state different sexes"
    return ""


def _fill(study: StudyRow, patient: Identifier | None, accession: Identifier | None, header: InstanceHeader) -> bool:
    """Take what the study does not know yet; True where that says whose it is."""
    filled = False
    if patient and not study.patient_value:
        study.patient_value, study.patient_assigner, filled = patient.value, patient.assigner, True
    if accession and not study.accession_number:
        study.accession_number, study.accession_issuer, filled = accession.value, accession.assigner, True
    study.birth_date = study.birth_date or header.patient_birth_date
    study.study_date = study.study_date or header.study_date
    return filled


def _started_at(header: InstanceHeader, zone: ZoneInfo) -> datetime | None:
    """Study Date and Study Time in the site's zone (PS3.5 section 6.2, VR TM: at least HH); None where one lacks."""
    digits = header.study_time.split(".")[0].replace(":", "")
    if header.study_date is None or len(digits) not in (2, 4, 6):
        return None
    try:
        at = datetime.strptime(digits, "%H%M%S"[: len(digits)])
    except ValueError:
        return None
    return datetime.combine(header.study_date, at.time(), zone)


def _identifier(value: str, assigner: str) -> Identifier | None:
    return Identifier(value, assigner) if value and assigner else None


def _row(instance: StoredInstance, image_revision: int, at: datetime, consumed: bool) -> InstanceRow:
    header = instance.header
    return InstanceRow(
        sop_instance_uid=header.sop_instance_uid,
        study_uid=header.study_instance_uid,
        series_uid=header.series_instance_uid,
        sha256=instance.sha256,
        path=instance.path,
        size=instance.size,
        consumed=consumed,
        image_revision=image_revision,
        header=dump(InstanceHeader, header),
        received_at=at,
    )


def _series(rows: Sequence[InstanceRow]) -> SeriesSummary:
    headers = [parse(InstanceHeader, row.header) for row in rows]
    first = headers[0]
    return SeriesSummary(
        series_instance_uid=first.series_instance_uid,
        study_instance_uid=first.study_instance_uid,
        modality=first.modality,
        body_part=first.body_part,
        series_description=first.series_description,
        sop_class_uids=tuple(dict.fromkeys(h.sop_class_uid for h in headers)),
        image_types=tuple(dict.fromkeys(h.image_type for h in headers)),
        paths=tuple(row.path for row in rows),
    )

"""Reports: committed once per work together with their resources, deliveries and the end of the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import orjson
import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.identity import Identifier
from cds.domain.report import DeliveryState, Report
from cds.domain.resource import WITHDRAWABLE, Encode, NewResource
from cds.domain.revision import Revision
from cds.errors import NotFound, SightlineError
from cds.store import timeline
from cds.store.engine import Database, lock
from cds.store.tables import (
    DeliveryRow,
    HoldRow,
    PatientIdentifierRow,
    ReportRow,
    ResourceIdentifierRow,
    ResourceRow,
    StudyRow,
    WorkRow,
)
from cds.store.values import dump, parse


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit left: the version, and the deliveries that wait. `superseded` where a later one was there first."""

    version: int
    deliveries: tuple[str, ...] = ()
    superseded: bool = False


#: What belongs to no one study.
_SHARED = ("Patient", "Device")


class SqlReportStore:
    """Implements `cds.ports.ReportStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def commit(
        self,
        report: Report,
        encode: Encode,
        now: datetime,
    ) -> Committed:
        """Commit a report as the study's next version, all or nothing; a work commits once.

        Resources of earlier versions that this one does not renew are withdrawn (entered-in-error).
        """
        with self._database.writing() as session:
            lock(session, "study", report.work.study_instance_uid)
            done = session.get(ReportRow, report.work.id)
            if done is not None:
                return Committed(done.version, _delivery_ids(session, report.work.id))
            last = _last(session, report.work.study_instance_uid)
            if _current(session, report.work.study_instance_uid) > report.work.revision:
                _finish(session, report.work.id, "superseded", now)
                return Committed(last.version if last else 0, superseded=True)
            version = last.version + 1 if last else 1
            final = replace(report, version=version, replaces=last.version if last else None)
            session.add(_row(final))
            _emit(session, final, encode, now)
            _overtake(session, final, now)
            ids = [
                _deliver(session, report.work.id, delivery, now) for delivery in _payloads(session, final, encode, now)
            ]
            _finish(session, report.work.id, "reported", now)
            detail = (f"version {version}", *final.decision.release.withheld)
            timeline.write(
                session, now, "report", "committed", study_uid=report.work.study_instance_uid, work_id=report.work.id,
                detail=detail,
            )  # fmt: skip
            return Committed(version, tuple(ids))

    def latest_of_patient(self, patient: Identifier) -> Sequence[Report]:
        """See the port."""
        with self._database.reading() as session:
            owner = session.get(PatientIdentifierRow, (patient.value, patient.assigner))
            if owner is None:
                return []
            newest = (
                select(ReportRow.study_uid, sa.func.max(ReportRow.version).label("version"))
                .group_by(col(ReportRow.study_uid))
                .subquery()
            )
            rows = session.exec(
                select(ReportRow)
                .join(
                    newest,
                    sa.and_(newest.c.study_uid == ReportRow.study_uid, newest.c.version == ReportRow.version),
                )
                .where(ReportRow.patient_id == owner.patient_id)
            ).all()
        reports: list[Report] = [parse(Report, row.body) for row in rows]
        return sorted(reports, key=lambda r: (r.study.study_date or date.min, r.issued), reverse=True)

    def knows_patient(self, patient: Identifier) -> bool:
        """See the port."""
        with self._database.reading() as session:
            return session.get(PatientIdentifierRow, (patient.value, patient.assigner)) is not None

    def owners(self, patients: Sequence[Identifier]) -> frozenset[str]:
        """See the port."""
        with self._database.reading() as session:
            rows = [session.get(PatientIdentifierRow, (i.value, i.assigner)) for i in patients]
            return frozenset(row.patient_id for row in rows if row is not None)

    def of_work(self, work_id: str) -> Report:
        """The report that a work committed; raise NotFound."""
        with self._database.reading() as session:
            row = session.get(ReportRow, work_id)
            if row is None:
                raise NotFound("this work committed no report")
            report: Report = parse(Report, row.body)
            return report

    def latest_of_study(self, study_uid: str) -> Report | None:
        """The newest report of a study."""
        with self._database.reading() as session:
            row = _last(session, study_uid)
            return parse(Report, row.body) if row else None

    def shown(self, study_uid: str, now: datetime, outcome: str, detail: tuple[str, ...]) -> None:
        """Tell the timeline that a card of this study was shown or suppressed."""
        with self._database.writing() as session:
            timeline.write(session, now, "card", outcome, study_uid=study_uid, detail=detail)


def _last(session: Session, study_uid: str) -> ReportRow | None:
    return session.exec(
        select(ReportRow).where(ReportRow.study_uid == study_uid).order_by(col(ReportRow.version).desc()).limit(1)
    ).first()


def _current(session: Session, study_uid: str) -> Revision:
    """The study's own numbers: a work below them was overtaken, and another one follows or was there."""
    row = session.get_one(StudyRow, study_uid, populate_existing=True)
    return Revision(row.image_revision, row.match_revision, row.analysis_run)


def _overtake(session: Session, report: Report, now: datetime) -> None:
    """What an earlier version still has to send is not sent any more."""
    waiting = session.exec(
        select(DeliveryRow).where(
            DeliveryRow.state == DeliveryState.PENDING.value,
            col(DeliveryRow.work_id).in_(select(WorkRow.id).where(WorkRow.study_uid == report.work.study_instance_uid)),
        )
    ).all()
    for row in waiting:
        row.state = DeliveryState.SUPERSEDED.value
        row.acknowledgment = f"version {report.version} of the report came first"
        row.updated_at = now
        session.add(row)


def _payloads(session: Session, report: Report, encode: Encode, now: datetime) -> Sequence[tuple[str, str, bytes]]:
    """What to send; a report that cannot be encoded is committed all the same, and its deliveries are held."""
    try:
        return encode.deliveries(report)
    except SightlineError as error:
        session.add(
            HoldRow(
                key=f"encode:{report.work.id}", kind="delivery-not-encoded", reason=str(error),
                study_uid=report.work.study_instance_uid, work_id=report.work.id, created_at=now,
            )
        )  # fmt: skip
        return ()


def _row(report: Report) -> ReportRow:
    return ReportRow(
        work_id=report.work.id,
        study_uid=report.work.study_instance_uid,
        version=report.version,
        patient_id=report.patient.id if report.patient else None,
        body=dump(Report, report),
        issued=report.issued,
    )


def _emit(session: Session, report: Report, encode: Encode, now: datetime) -> None:
    study_uid = report.work.study_instance_uid
    resources = encode.resources(report)
    renewed = {(resource.type, resource.id) for resource in resources}
    stale = session.exec(
        select(ResourceRow).where(
            ResourceRow.study_uid == study_uid,
            col(ResourceRow.is_current).is_(True),
            col(ResourceRow.type).in_(WITHDRAWABLE),
        )
    ).all()
    for row in stale:
        if (row.type, row.id) not in renewed:
            put(session, encode.withdraw(orjson.loads(row.body), row.patient_id), study_uid, now)
    for resource in resources:
        shared = resource.type in _SHARED
        put(session, resource, None if shared else study_uid, now)


def put(session: Session, resource: NewResource, study_uid: str | None, now: datetime) -> None:
    """Add the next version of a resource; one whose content did not change gets none."""
    lock(session, "resource", resource.type, resource.id)
    current = session.exec(
        select(ResourceRow).where(
            ResourceRow.type == resource.type, ResourceRow.id == resource.id, col(ResourceRow.is_current).is_(True)
        )
    ).first()
    version = current.version + 1 if current else 1
    if current is not None:
        if _content(orjson.loads(current.body)) == _content(resource.body):
            return
        current.is_current = False
        session.add(current)
        session.flush()
    session.add(
        ResourceRow(
            type=resource.type,
            id=resource.id,
            version=version,
            last_updated=now,
            patient_id=resource.patient_id,
            study_uid=study_uid,
            is_current=True,
            body=orjson.dumps(_stamped(resource, version, now)),
        )
    )
    session.execute(
        sa.delete(ResourceIdentifierRow).where(
            col(ResourceIdentifierRow.type) == resource.type, col(ResourceIdentifierRow.id) == resource.id
        )
    )
    for system, value in dict.fromkeys(resource.identifiers):
        session.add(ResourceIdentifierRow(type=resource.type, id=resource.id, system=system, value=value))
    session.flush()


def _stamped(resource: NewResource, version: int, now: datetime) -> dict[str, object]:
    content = _content(resource.body)
    meta = content.pop("meta")
    stamps = {"versionId": str(version), "lastUpdated": instant(now)}
    return {
        "resourceType": resource.type,
        "id": resource.id,
        "meta": {**(meta if isinstance(meta, dict) else {}), **stamps},
        **content,
    }


def _content(body: Mapping[str, object]) -> dict[str, object]:
    """A resource without what the store stamps on it."""
    content = {k: v for k, v in body.items() if k not in ("resourceType", "id")}
    meta = content.get("meta")
    kept: dict[str, object] = dict(meta) if isinstance(meta, dict) else {}
    for stamp in ("versionId", "lastUpdated"):
        kept.pop(stamp, None)
    content["meta"] = kept
    return content


def instant(at: datetime) -> str:
    """FHIR instant with milliseconds (R4 datatypes, instant)."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _deliver(session: Session, work_id: str, delivery: tuple[str, str, bytes], now: datetime) -> str:
    delivery_id, destination, payload = delivery
    lock(session, "destination", destination)
    newest = session.exec(select(sa.func.max(DeliveryRow.sequence)).where(DeliveryRow.destination == destination)).one()
    session.add(
        DeliveryRow(
            id=delivery_id,
            destination=destination,
            sequence=(newest or 0) + 1,
            work_id=work_id,
            payload=payload,
            state="pending",
            created_at=now,
            updated_at=now,
        )
    )
    session.flush()
    return delivery_id


def _delivery_ids(session: Session, work_id: str) -> tuple[str, ...]:
    rows = session.exec(
        select(DeliveryRow.id).where(DeliveryRow.work_id == work_id).order_by(col(DeliveryRow.destination))
    ).all()
    return tuple(rows)


def _finish(session: Session, work_id: str, state: str, now: datetime) -> None:
    row = session.get_one(WorkRow, work_id)
    row.state = state
    row.updated_at = now
    session.add(row)
    study = session.get_one(StudyRow, row.study_uid)
    if state == "superseded":
        timeline.write(session, now, "report", state, study_uid=study.uid, work_id=work_id)

"""Reports: committed once per work together with their resources, deliveries and the end of the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.audit import SEEN, AuditEvent
from cds.domain.identity import Identifier
from cds.domain.matching import MatchState
from cds.domain.report import Report
from cds.domain.resource import Encode
from cds.domain.story import Withdrawn
from cds.errors import NotFound
from cds.remembered import Remembered
from cds.store import audit, card_calls, criticals, follow_ups, opinions, publishing, timeline
from cds.store.at_once import foresee
from cds.store.engine import Database, lock
from cds.store.newest import NEWEST
from cds.store.quick import Query
from cds.store.revisions import current
from cds.store.safety_tables import AuditRow
from cds.store.tables import DeliveryRow, ReportRow, StudyRow, WorkRow
from cds.store.values import dump, parse
from cds.store.whose import named, tree


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit left: the version, and the deliveries that wait. `superseded` where a later one was there first."""

    version: int
    deliveries: tuple[str, ...] = ()
    superseded: bool = False
    #: How many destinations are told that what they have does not hold.
    retracted: int = 0
    #: True where the study was taken back from its patient, or is another's now.
    changed_hands: bool = False


#: Reports that are kept as they were read.
_KNOWN = 256
_BODY = Query(sa.select(col(ReportRow.body)).where(col(ReportRow.work_id) == sa.bindparam("work")), "work")


class SqlReportStore:
    """Implements `cds.ports.ReportStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: Remembered[str, Report] = Remembered(_KNOWN)

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
                return _again(session, done)
            last = _last(session, report.work.study_instance_uid)
            row = session.get_one(StudyRow, report.work.study_instance_uid, populate_existing=True)
            if current(row) > report.work.revision:
                _finish(session, report.work.id, "superseded", now)
                return Committed(last.version if last else 0, superseded=True)
            numbered = _numbered(session, report, last)
            changed = last is not None and numbered.episode != last.episode
            return _commit(session, numbered, encode, now, changed_hands=changed)

    def latest_of_patient(self, patient: Identifier) -> Sequence[Report]:
        """See the port."""
        with self._database.looking():
            foresee(self._database, patient)
            hers = named(self._database, patient)
            newest = {row for one in hers for row in NEWEST.rows(self._database, one)}
        reports = [self._parsed(work_id) for work_id, _, owner, _ in newest if owner in hers]
        return sorted(reports, key=lambda r: (r.study.study_date or date.min, r.issued), reverse=True)

    def withdrawn_of_patient(self, patient: Identifier, since: datetime) -> Sequence[Withdrawn]:
        """See the port."""
        hers = named(self._database, patient)
        newest = {row for one in hers for row in NEWEST.rows(self._database, one)}
        lost = sorted(uid for _, uid, owner, issued in newest if owner not in hers and issued >= since)
        if not lost:
            return []
        with self._database.reading() as session:
            found = [_withdrawn(session, uid, hers, since) for uid in lost if _was_shown(session, uid, hers)]
        return [one for one in found if one is not None]

    def knows_patient(self, patient: Identifier) -> bool:
        """See the port."""
        return bool(named(self._database, patient))

    def owners(self, patients: Sequence[Identifier]) -> frozenset[str]:
        """See the port."""
        return frozenset(hers[0] for one in patients if (hers := named(self._database, one)))

    def survivor(self, patient_id: str) -> str:
        """See the port."""
        return tree(self._database, patient_id)[0]

    def of_work(self, work_id: str) -> Report:
        """The report that a work committed; raise NotFound."""
        rows = _BODY.rows(self._database, work_id)
        if not rows:
            raise NotFound("this work committed no report")
        report: Report = parse(Report, rows[0][0])
        return report

    def _parsed(self, work_id: str) -> Report:
        """Reports are never changed: each is read once while it is asked for again and again."""
        return self._known.get(work_id, lambda: self.of_work(work_id))

    def latest_of_study(self, study_uid: str) -> Report | None:
        """The newest report of a study."""
        with self._database.reading() as session:
            row = _last(session, study_uid)
            return parse(Report, row.body) if row else None


def _commit(session: Session, report: Report, encode: Encode, now: datetime, *, changed_hands: bool) -> Committed:
    study_uid, work_id = report.work.study_instance_uid, report.work.id
    session.add(_row(report))
    publishing.emit(session, report, encode, now)
    deliveries = publishing.send(session, report, encode, now)
    follow_ups.follow_up(session, report, now)
    opinions.hold_discordance(session, report, now)
    if changed_hands:
        reason = "the study was taken back, or belongs to another patient"
        criticals.close(session, study_uid, reason, now, keep=work_id)
    _finish(session, work_id, "reported", now)
    detail = (f"version {report.version}", *report.decision.release.withheld)
    timeline.write(session, now, "report", "committed", study_uid=study_uid, work_id=work_id, detail=detail)
    retracted = tuple(one for one in deliveries if publishing.is_retraction(session, one))
    if retracted:
        audit.append(
            session, AuditEvent(now, "Sightline", "report retracted", study_uid, _patient_before(session, report))
        )
    return Committed(report.version, tuple(deliveries), retracted=len(retracted), changed_hands=changed_hands)


def _again(session: Session, done: ReportRow) -> Committed:
    """What the commit of a work had left, told again to a step that is repeated."""
    ids = _delivery_ids(session, done.work_id)
    before = session.exec(
        select(ReportRow.episode).where(ReportRow.study_uid == done.study_uid, ReportRow.version == done.version - 1)
    ).first()
    retracted = sum(publishing.is_retraction(session, one) for one in ids)
    changed = before is not None and before != done.episode
    return Committed(done.version, ids, retracted=retracted, changed_hands=changed)


def _numbered(session: Session, report: Report, last: ReportRow | None) -> Report:
    """The report with its version, and the episode: another one where it is taken back, or for another patient."""
    if last is None:
        return replace(report, version=1, replaces=None)
    before: Report = parse(Report, last.body)
    episode = last.episode
    held, was_held = (one.match.state is MatchState.HELD for one in (report, before))
    owner = _owner_before(session, report.work.study_instance_uid)
    theirs = report.patient.id if report.patient else None
    if (held and not was_held) or (not was_held and owner and theirs and owner != theirs):
        episode += 1
    return replace(report, version=last.version + 1, replaces=last.version, episode=episode)


def _owner_before(session: Session, study_uid: str) -> str | None:
    """The patient of the newest version that had one, by the id that it had then."""
    return session.exec(
        select(ReportRow.patient_id)
        .where(ReportRow.study_uid == study_uid, col(ReportRow.patient_id).is_not(None))
        .order_by(col(ReportRow.version).desc())
        .limit(1)
    ).first()


def _last(session: Session, study_uid: str) -> ReportRow | None:
    return session.exec(
        select(ReportRow).where(ReportRow.study_uid == study_uid).order_by(col(ReportRow.version).desc()).limit(1)
    ).first()


def _withdrawn(session: Session, study_uid: str, patients: Sequence[str], since: datetime) -> Withdrawn | None:
    """The study as it was told of one of these patients, where its newest version is nobody's or somebody else's."""
    last = _last(session, study_uid)
    if last is None or last.issued < since or last.patient_id in patients:
        return None
    report: Report = parse(Report, last.body)
    if report.match.state is MatchState.DETACHED:
        return None
    return Withdrawn(study_uid, report.study.study_date, last.issued)


def _was_shown(session: Session, study_uid: str, patients: Sequence[str]) -> bool:
    shown = select(AuditRow.id).where(
        AuditRow.study_uid == study_uid, col(AuditRow.action).in_(SEEN), col(AuditRow.patient_id).in_(patients)
    )
    looked = session.exec(shown.limit(1)).first() is not None
    return looked or card_calls.was_shown(session, study_uid, patients)


def _patient_before(session: Session, report: Report) -> str | None:
    return _owner_before(session, report.work.study_instance_uid) if report.patient is None else report.patient.id


def _row(report: Report) -> ReportRow:
    return ReportRow(
        work_id=report.work.id,
        study_uid=report.work.study_instance_uid,
        version=report.version,
        patient_id=report.patient.id if report.patient else None,
        episode=report.episode,
        body=dump(Report, report),
        issued=report.issued,
    )


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

"""Studies that were decided while an EHR was away: each is decided again, once, when the EHR answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from cds.domain.matching import Match
from cds.domain.revision import Work
from cds.store import timeline
from cds.store.engine import Database, lock
from cds.store.fhir_tables import EnrichAgainRow
from cds.store.revisions import current, locked, match_again
from cds.store.tables import StudyRow, WorkRow, WorkStepRow
from cds.store.values import parse

#: A source that is away for longer is not waited for: what it knows is asked with the next event of the study.
WAITED = timedelta(days=3)
_STEP = "enrich"


@dataclass(frozen=True, slots=True)
class Missed:
    """A study that was decided without a source, for a patient by her random id."""

    study_uid: str
    source: str
    work_id: str
    patient_id: str
    since: datetime


class EnrichingStore:
    """What was missed. Every method may be called again with the same arguments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def missed(self, work: Work, sources: Sequence[str], now: datetime) -> None:
        """Keep that these sources were away when a work's patient was looked up; no others are waited for any more."""
        uid = work.study_instance_uid
        with self._database.reading() as session:
            if not sources and session.exec(_of_study(uid)).first() is None:
                return
        with self._database.writing() as session:
            lock(session, "enrich again", uid)
            known = {row.source: row for row in session.exec(_of_study(uid))}
            for source in sources:
                row = known.pop(source, None) or EnrichAgainRow(study_uid=uid, source=source, work_id="", since=now)
                row.work_id = work.id
                session.add(row)
            for row in known.values():
                session.delete(row)

    def waiting(self, now: datetime) -> Sequence[Missed]:
        """What waits for a source, the longest waiting first; what waited too long, or was overtaken, is dropped."""
        with self._database.reading() as session:
            rows = session.exec(select(EnrichAgainRow).order_by(col(EnrichAgainRow.since), col(EnrichAgainRow.source)))
            found = [(row.study_uid, row.source, _still(session, row, now)) for row in rows.all()]
        if any(missed is None for _, _, missed in found):
            with self._database.writing() as session:
                for uid, source, missed in found:
                    if missed is None:
                        _drop(session, uid, source, now)
        return [missed for _, _, missed in found if missed is not None]

    def again(self, missed: Missed, now: datetime) -> bool:
        """Match revision +1: the study is decided again with the same findings. False where it was overtaken."""
        with self._database.writing() as session:
            study = locked(session, missed.study_uid)
            lock(session, "enrich again", missed.study_uid)
            row = session.get(EnrichAgainRow, (missed.study_uid, missed.source), populate_existing=True)
            if row is None or row.work_id != missed.work_id:
                return False
            for one in session.exec(_of_study(missed.study_uid)):
                session.delete(one)
            if not _is_current(session, study, missed.work_id):
                return False
            match_again(session, study, f"{missed.source} answers again, which was away", now)
            return True


def _of_study(uid: str) -> SelectOfScalar[EnrichAgainRow]:
    return select(EnrichAgainRow).where(EnrichAgainRow.study_uid == uid)


def _still(session: Session, row: EnrichAgainRow, now: datetime) -> Missed | None:
    study, patient_id = session.get(StudyRow, row.study_uid), _patient_of(session, row.work_id)
    if study is None or patient_id is None or now - row.since > WAITED:
        return None
    if not _is_current(session, study, row.work_id):
        return None
    return Missed(row.study_uid, row.source, row.work_id, patient_id, row.since)


def _drop(session: Session, uid: str, source: str, now: datetime) -> None:
    """Wait no longer, unless a work that missed the source again came meanwhile."""
    lock(session, "enrich again", uid)
    row = session.get(EnrichAgainRow, (uid, source), populate_existing=True)
    if row is None or _still(session, row, now) is not None:
        return
    if now - row.since > WAITED:
        reason = f"{source} was away for {WAITED.days} days: it is not waited for any longer"
        timeline.write(session, now, _STEP, "given up", study_uid=uid, work_id=row.work_id, detail=(reason,))
    session.delete(row)


def _patient_of(session: Session, work_id: str) -> str | None:
    step = session.get(WorkStepRow, (work_id, "match"))
    return parse(Match, step.body).patient_id if step else None


def _is_current(session: Session, study: StudyRow, work_id: str) -> bool:
    """True while no later revision of the study is being worked on, or was."""
    work = session.get(WorkRow, work_id)
    if work is None:
        return False
    now = current(study)
    return (now.image, now.match, now.analysis) <= (work.image_revision, work.match_revision, work.analysis_run)

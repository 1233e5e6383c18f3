"""Works: the outbox of the durable engine, and what each step found. Every write may be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from cds.domain.finding import ModelOutcome
from cds.domain.hold import HoldKind
from cds.domain.revision import Revision, Work
from cds.errors import NotFound
from cds.store import holds, timeline
from cds.store.engine import Database, lock
from cds.store.revisions import current, rematch
from cds.store.tables import ModelOutcomeRow, StudyRow, WorkRow, WorkStepRow
from cds.store.values import dump, parse

#: States in which a work still wants to run.
_LIVE = ("pending", "enqueued", "running")


@dataclass(frozen=True, slots=True)
class QueuedWork:
    """A work of the outbox with the priority that it is enqueued with."""

    id: str
    priority: int


class WorkStore:
    """The works of all studies."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pending(self, limit: int = 100) -> Sequence[QueuedWork]:
        """Works that the engine does not have yet, most urgent and oldest first."""
        with self._database.reading() as session:
            rows = session.exec(
                select(WorkRow)
                .where(WorkRow.state == "pending")
                .order_by(col(WorkRow.priority), col(WorkRow.created_at))
                .limit(limit)
            ).all()
            return [QueuedWork(row.id, row.priority) for row in rows]

    def mark(self, work_id: str, state: str, now: datetime, *, only_from: Sequence[str] = _LIVE) -> None:
        """Move a work to another state, unless it has already left the given ones."""
        with self._database.writing() as session:
            lock(session, "work", work_id)
            row = _get(session, work_id)
            if row.state in only_from:
                row.state = state
                row.updated_at = now
                session.add(row)

    def fail(self, work_id: str, reason: str, now: datetime) -> None:
        """A work that cannot be finished waits for a person, with the reason."""
        with self._database.writing() as session:
            row = _get(session, work_id)
            if row.state not in _LIVE:
                return
            row.state = "failed"
            row.updated_at = now
            session.add(row)
            uid = row.study_uid
            holds.put(session, f"work:{work_id}", HoldKind.WORK_FAILED, reason, now, study_uid=uid, work_id=work_id)
            timeline.write(session, now, "work", "failed", study_uid=row.study_uid, work_id=work_id, detail=(reason,))

    def work(self, work_id: str) -> Work:
        """The work of an id; raise NotFound."""
        with self._database.reading() as session:
            row = _get(session, work_id)
            return Work(row.source, row.study_uid, Revision(row.image_revision, row.match_revision, row.analysis_run))

    def unfinished(self) -> Sequence[str]:
        """The ids of works that the engine has and that did not end."""
        with self._database.reading() as session:
            return session.exec(select(WorkRow.id).where(col(WorkRow.state).in_(("enqueued", "running")))).all()

    def save_step(
        self,
        work: Work,
        step: str,
        kind: Any,
        value: object,
        now: datetime,
        *,
        outcome: str,
        detail: tuple[str, ...] = (),
    ) -> None:
        """Keep what a step found, and tell the timeline, once: a repeated step overwrites and stays silent."""
        with self._database.writing() as session:
            row = session.get(WorkStepRow, (work.id, step))
            if row is None:
                row = WorkStepRow(work_id=work.id, step=step, body="", at=now)
                timeline.write(
                    session, now, step, outcome, study_uid=work.study_instance_uid, work_id=work.id, detail=detail
                )
            row.body = dump(kind, value)
            session.add(row)

    def step(self, work_id: str, step: str, kind: Any) -> Any:
        """What a step found, None where it did not run."""
        with self._database.reading() as session:
            row = session.get(WorkStepRow, (work_id, step))
            return parse(kind, row.body) if row else None

    def save_outcome(self, work: Work, outcome: ModelOutcome, now: datetime) -> None:
        """Keep a model's answer on an image revision; the first answer stands."""
        with self._database.writing() as session:
            key = (*_key(work), outcome.model, outcome.version)
            if session.get(ModelOutcomeRow, key) is None:
                study_uid, image_revision, analysis_run = _key(work)
                session.add(
                    ModelOutcomeRow(
                        study_uid=study_uid,
                        image_revision=image_revision,
                        analysis_run=analysis_run,
                        model=outcome.model,
                        version=outcome.version,
                        body=dump(ModelOutcome, outcome),
                        at=now,
                    )
                )

    def outcomes(self, work: Work) -> tuple[ModelOutcome, ...]:
        """All models' answers on the work's image revision and analysis run."""
        study_uid, image_revision, analysis_run = _key(work)
        with self._database.reading() as session:
            rows = session.exec(
                select(ModelOutcomeRow)
                .where(
                    ModelOutcomeRow.study_uid == study_uid,
                    ModelOutcomeRow.image_revision == image_revision,
                    ModelOutcomeRow.analysis_run == analysis_run,
                )
                .order_by(col(ModelOutcomeRow.model), col(ModelOutcomeRow.version))
            ).all()
            return tuple(parse(ModelOutcome, row.body) for row in rows)

    def resolve(self, work: Work, kind: HoldKind, now: datetime) -> None:
        """A doubt about the work's study that is gone by itself waits for nobody."""
        with self._database.writing() as session:
            holds.end(session, kind, work.study_instance_uid, now, "it is gone by itself")

    def is_current(self, work: Work) -> bool:
        """False where the study has later revisions than the work (`revisions.current`): it may not hold any more."""
        with self._database.reading() as session:
            return current(session.get_one(StudyRow, work.study_instance_uid)) <= work.revision

    def again(self, work: Work, reason: str, now: datetime) -> None:
        """Match revision +1: the work's study is decided again, with the same findings."""
        with self._database.writing() as session:
            rematch(session, work.study_instance_uid, reason, now)

    def hold(self, work: Work, kind: HoldKind, reason: str, now: datetime) -> None:
        """Hold a work for a person, once; not where a person is asked already whose images these are."""
        with self._database.writing() as session:
            uid = work.study_instance_uid
            if kind is HoldKind.MATCH_IN_DOUBT and holds.is_asked(session, uid):
                return
            if holds.renewed(session, kind, uid, reason, work.id):
                return
            holds.put(session, f"{kind.value}:{work.id}", kind, reason, now, study_uid=uid, work_id=work.id)


def _key(work: Work) -> tuple[str, int, int]:
    return work.study_instance_uid, work.revision.image, work.revision.analysis


def _get(session: Session, work_id: str) -> WorkRow:
    row = session.get(WorkRow, work_id)
    if row is None:
        raise NotFound("no such work")
    return row

"""Closes image revisions that are complete, or that wait no longer, and wants a PACS asked where that may help."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.completeness import Action, Rules, Verdict, judge
from cds.domain.retrieval import Purpose
from cds.domain.revision import Work
from cds.store import progress, timeline, wanted
from cds.store.engine import Database
from cds.store.progress import Known, Open, state_of
from cds.store.retrieval_tables import PriorRow
from cds.store.retrievals import Queryable
from cds.store.revisions import locked, match_again, open_work
from cds.store.tables import InstanceRow, StudyRow, WorkRow
from cds.store.wanted import Wish

_NOT_BEGUN = ("pending", "enqueued")


class Completeness:
    """Several workers may look at the same time: what one does is looked at again under the study's lock.

    `queryable` says of which issuers' studies some PACS may have images.
    """

    def __init__(self, database: Database, rules: Rules, queryable: Queryable) -> None:
        self._database = database
        self._rules = rules
        self._queryable = queryable
        self._known = Known()

    def close_complete(self, now: datetime) -> Sequence[Work]:
        """Do what is to be done about every open revision; answers the works that it made."""
        with self._database.reading() as session:
            judged = [(one, self._judge(session, one, now)) for one in progress.read(session, self._known)]
        works = []
        for one, verdict in judged:
            if verdict.action is Action.ASK and not one.prior:  # what fetches a prior asks for it
                self._ask(one, now)
            if verdict.action is Action.CLOSE and (work := self._close(one, verdict, now)) is not None:
                works.append(work)
        return works

    def _judge(self, session: Session, one: Open, now: datetime) -> Verdict:
        """Without the headers first: only what would close is worth reading them."""
        known = one.with_queryable(self._queryable(one.issuers))
        verdict = judge(known, self._rules, now)
        if verdict.action is not Action.CLOSE:
            return verdict
        return judge(progress.with_gaps(session, self._known, known), self._rules, now)

    def _ask(self, one: Open, now: datetime) -> None:
        with self._database.writing() as session:
            row = locked(session, one.uid)
            retrieval = wanted.of_study(session, one.uid)
            if not _is_as_judged(row, one) or (retrieval.run if retrieval else 0) != one.run:
                return
            wanted.want(session, Wish(Purpose.STUDY, one.uid), now)

    def _close(self, one: Open, verdict: Verdict, now: datetime) -> Work | None:
        with self._database.writing() as session:
            row = locked(session, one.uid)
            if not _is_as_judged(row, one):
                return None
            row.revision_open, row.incomplete = False, verdict.incomplete
            session.add(row)
            if row.purpose == Purpose.PRIOR.value:
                timeline.write(session, now, "event", "prior complete", study_uid=row.uid, detail=verdict.reasons)
                _compare_again(session, row.uid, now)
                return None
            outcome = "study incomplete" if verdict.incomplete else "study complete"
            moved = _leave_for_later(session, row, verdict.later)
            work = open_work(session, row, now, *verdict.reasons, outcome=outcome)
            if moved:
                row.image_revision += 1
                row.revision_open, row.revision_opened_at = True, now
            return work


def _compare_again(session: Session, prior_uid: str, now: datetime) -> None:
    """Studies that did not wait for this prior and were read meanwhile are compared with it now.

    One whose work has not begun finds the prior by itself.
    """
    asked = (
        select(PriorRow.study_uid)
        .join(StudyRow, col(StudyRow.uid) == col(PriorRow.study_uid))
        .where(PriorRow.prior_uid == prior_uid)
        .order_by(PriorRow.study_uid)
    )
    for uid in session.exec(asked).all():
        row = locked(session, uid)
        waiting = session.exec(
            select(WorkRow.id).where(WorkRow.study_uid == uid, col(WorkRow.state).in_(_NOT_BEGUN))
        ).first()
        if not row.revision_open and not row.purpose and waiting is None:
            match_again(session, row, "an earlier study to compare with is here", now)


def _is_as_judged(row: StudyRow, one: Open) -> bool:
    """False where an instance came in between, somebody else closed it, or it is wanted for itself now."""
    return row.revision_open and state_of(row) == one.state and bool(row.purpose) == one.prior


def _leave_for_later(session: Session, row: StudyRow, series: Sequence[str]) -> bool:
    """The images of these series belong to the next revision; answers whether there is one.

    Models see a revision as a whole: half a series must not be in it.
    """
    if not series:
        return False
    session.execute(
        sa.update(InstanceRow)
        .where(
            col(InstanceRow.study_uid) == row.uid,
            col(InstanceRow.series_uid).in_(series),
            col(InstanceRow.image_revision) == row.image_revision,
            col(InstanceRow.left_revision).is_(None),
        )
        .values(image_revision=row.image_revision + 1)
    )
    return True

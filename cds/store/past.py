"""Past studies by when they were analysed or reported, for a replay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from cds.domain.replay import Past
from cds.domain.revision import Revision, Work
from cds.store.engine import Database
from cds.store.tables import ModelOutcomeRow, ReportRow, WorkRow, WorkStepRow


def studies_between(database: Database, since: datetime, until: datetime) -> Sequence[Past]:
    """The newest analysed work of every study that was reported, or that a model looked at, from `since` until `until`.

    In the order in which they came up.
    """
    with database.reading() as session:
        reported = select(ReportRow.study_uid).where(ReportRow.issued >= since, ReportRow.issued < until)
        seen = select(ModelOutcomeRow.study_uid).where(ModelOutcomeRow.at >= since, ModelOutcomeRow.at < until)
        uids = {*session.exec(reported), *session.exec(seen)}
        found = [past for uid in uids if (past := _newest(session, uid)) is not None]
    return sorted(found, key=lambda past: (past.at, past.work.id))


def _newest(session: Session, study_uid: str) -> Past | None:
    """The newest work that was matched: a later one has not begun."""
    row = session.exec(
        select(WorkRow)
        .join(WorkStepRow, col(WorkStepRow.work_id) == WorkRow.id)
        .where(WorkRow.study_uid == study_uid, WorkStepRow.step == "match")
        .order_by(
            col(WorkRow.image_revision).desc(), col(WorkRow.match_revision).desc(), col(WorkRow.analysis_run).desc()
        )
        .limit(1)
    ).first()
    if row is None:
        return None
    revision = Revision(row.image_revision, row.match_revision, row.analysis_run)
    return Past(Work(row.source, row.study_uid, revision), row.created_at)

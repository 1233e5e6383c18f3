"""A follow-up's row as a value, and what people set of it, once for all who read it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from sqlmodel import Session

from cds.domain.follow_up import FollowUp, FollowUpState
from cds.store.batch import rows_with
from cds.store.follow_up_tables import FollowUpCareRow
from cds.store.safety_tables import FollowUpRow


def follow_up_of(row: FollowUpRow, by: str = "", due: date | None = None) -> FollowUp:
    """The follow-up of a row; `by` is whose answer counts, `due` the day that somebody moved it to."""
    return FollowUp(
        id=row.id,
        study_instance_uid=row.study_uid,
        pathway=row.pathway,
        recommendation=row.recommendation,
        action=row.action,
        due=due or row.due,
        state=FollowUpState(row.state),
        reason=row.reason,
        created_at=row.created_at,
        updated_at=row.updated_at,
        by=by,
    )


def set_of(session: Session, follow_ups: Collection[str]) -> dict[str, FollowUpCareRow]:
    """What people set of these follow-ups, by their ids."""
    rows = rows_with(session, FollowUpCareRow, FollowUpCareRow.follow_up_id, follow_ups)
    return {row.follow_up_id: row for row in rows}


def moved_days(session: Session, follow_ups: Collection[str]) -> dict[str, date]:
    """The days that follow-ups were moved to, by their ids."""
    return {one: row.due for one, row in set_of(session, follow_ups).items() if row.due is not None}

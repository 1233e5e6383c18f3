"""What waits for a person."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import col, select

from cds.domain.story import HoldTold
from cds.store.engine import Database
from cds.store.tables import HoldRow


def open_holds(database: Database) -> Sequence[HoldTold]:
    """Everything that nobody has resolved yet, oldest first."""
    with database.reading() as session:
        rows = session.exec(
            select(HoldRow).where(col(HoldRow.resolved_at).is_(None)).order_by(col(HoldRow.created_at))
        ).all()
    return [told(row) for row in rows]


def told(row: HoldRow) -> HoldTold:
    """A hold for the reader; it names the study, the message or the file to look at."""
    about = row.study_uid or (f"message {row.message_id} of the inbox" if row.message_id else row.work_id or "")
    return HoldTold(row.kind, row.reason, row.created_at, about, row.path)

"""Keep who cares for follow-ups: owners and days, results that may close them, reminders, and their log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cds.store.tables import UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "follow_up_care",
        _text("follow_up_id"),
        _text("owner"),
        sa.Column("due", sa.Date(), nullable=True),
        sa.Column("done_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("follow_up_id"),
    )
    op.create_table(
        "follow_up_event",
        sa.Column("id", sa.Integer(), nullable=False),
        _text("follow_up_id"),
        _time("at"),
        *map(_text, ("by", "what", "detail", "reason")),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_follow_up_event_follow_up_id", "follow_up_event", ["follow_up_id"])
    _matches_and_reminders()


def downgrade() -> None:
    for name in ("follow_up_reminder", "follow_up_match", "follow_up_event", "follow_up_care"):
        op.drop_table(name)


def _matches_and_reminders() -> None:
    op.create_table(
        "follow_up_match",
        sa.Column("id", sa.Integer(), nullable=False),
        *map(_text, ("follow_up_id", "evidence", "certainty", "said")),
        sa.Column("performed", sa.Date(), nullable=True),
        _text("state"),
        _time("at"),
        _text("decided_by"),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("follow_up_id", "evidence", name="uq_follow_up_match"),
    )
    op.create_index("ix_follow_up_match_state", "follow_up_match", ["state"])
    op.create_table(
        "follow_up_reminder",
        *map(_text, ("follow_up_id", "step")),
        sa.Column("due", sa.Date(), nullable=False),
        *map(_text, ("recipient", "delivery_id")),
        _time("at"),
        sa.PrimaryKeyConstraint("follow_up_id", "step", "due"),
    )


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, UtcDateTime(), nullable=False)

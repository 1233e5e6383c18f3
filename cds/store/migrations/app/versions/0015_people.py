"""Keep local users of the pages, and the sessions of everybody who is signed in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cds.store.tables import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ui_user",
        *_texts("name", "password", "roles"),
        _time("created_at"),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "ui_session",
        *_texts("id", "user_id", "name", "way", "granted"),
        sa.Column("patient_id", sa.String(), nullable=True),
        _time("begun_at"),
        _time("seen_at"),
        _time("until"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_ui_session_user_id", "ui_session", ["user_id"])
    op.create_index("ix_ui_session_until", "ui_session", ["until"])


def downgrade() -> None:
    op.drop_table("ui_session")
    op.drop_table("ui_user")


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, UtcDateTime(), nullable=False)

"""Keep what people and models said of screening exams: readings, comparisons, arbitrations and results."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cds.store.tables import UtcDateTime

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "second_reading",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("image_revision", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("model", "kind", "state", "actor", "role")),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_second_reading_about", "second_reading", ["study_uid", "image_revision", "model", "kind"])
    op.create_index("ix_second_reading_kind", "second_reading", ["kind", "state", "at"])


def downgrade() -> None:
    op.drop_table("second_reading")

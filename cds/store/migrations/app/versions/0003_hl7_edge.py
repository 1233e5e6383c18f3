"""Create the tables of what HL7 v2 says of exams, and keep what had to be guessed of a message."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cds.store.tables import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("message_outcome", sa.Column("notes", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "study_event",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=True),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("patient_id", sa.String(), nullable=True),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    for name in ("study_uid", "order_id", "patient_id"):
        op.create_index(f"ix_study_event_{name}", "study_event", [name])
    op.create_index("ix_study_decided_order_id", "study", ["decided_order_id"])


def downgrade() -> None:
    op.drop_index("ix_study_decided_order_id", "study")
    op.drop_table("study_event")
    with op.batch_alter_table("message_outcome") as table:
        table.drop_column("notes")

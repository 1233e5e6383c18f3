"""Keep what a PACS says of a study, what is fetched from it, and what it promised to keep."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cds.store.tables import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("study", sa.Column("revision_opened_at", UtcDateTime(), nullable=True))
    op.add_column("study", sa.Column("incomplete", sa.String(), nullable=False, server_default=""))
    op.add_column("study", sa.Column("purpose", sa.String(), nullable=False, server_default=""))
    op.execute("UPDATE study SET revision_opened_at = last_instance_at WHERE revision_open")
    op.create_table(
        "stated_series",
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("series_uid", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=True),
        sa.Column("agreed", sa.Boolean(), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("study_uid", "series_uid"),
    )
    op.create_table(
        "retrieval",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("accession_number", sa.String(), nullable=False),
        sa.Column("accession_issuer", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("announced", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("again", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("ix_retrieval_state", "retrieval", ["state"])
    op.create_index("ix_retrieval_study_uid", "retrieval", ["study_uid"])
    op.create_table(
        "announcement",
        sa.Column("event_key", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("event_key"),
    )
    op.create_table(
        "prior",
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("prior_uid", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("study_uid", "prior_uid"),
    )
    op.create_index("ix_prior_prior_uid", "prior", ["prior_uid"])
    op.create_table(
        "commitment",
        sa.Column("transaction_uid", sa.String(), nullable=False),
        sa.Column("delivery_id", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("answered_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("transaction_uid"),
    )
    op.create_index("ix_commitment_delivery_id", "commitment", ["delivery_id"])
    op.create_index("ix_commitment_state", "commitment", ["state"])


def downgrade() -> None:
    for name in ("commitment", "prior", "announcement", "retrieval", "stated_series"):
        op.drop_table(name)
    with op.batch_alter_table("study") as table:
        for column in ("purpose", "incomplete", "revision_opened_at"):
            table.drop_column(column)

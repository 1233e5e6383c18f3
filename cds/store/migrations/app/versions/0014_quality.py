"""Keep what models were given to look at, and what each run of the quality page computed."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

from cds.store.tables import UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_KEY = ("study_uid", "image_revision", "analysis_run", "model", "version")


def upgrade() -> None:
    op.create_table(
        "quality_input",
        *_texts("study_uid"),
        sa.Column("image_revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("analysis_run", sa.Integer(), autoincrement=False, nullable=False),
        *_texts("model", "version", "scanner", "numbers"),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint(*_KEY),
    )
    op.create_table(
        "quality_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        *_texts("method"),
        sa.Column("computed_at", UtcDateTime(), nullable=False),
        *_texts("crossed", "body"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_quality_run_day", "quality_run", ["day"])
    op.create_index("ix_model_outcome_read", "model_outcome", ["model", "version", "at"])


def downgrade() -> None:
    op.drop_index("ix_model_outcome_read", "model_outcome")
    op.drop_table("quality_run")
    op.drop_table("quality_input")


def _texts(*names: str) -> Iterable[sa.Column[str]]:
    return (sa.Column(name, sa.String(), nullable=False) for name in names)

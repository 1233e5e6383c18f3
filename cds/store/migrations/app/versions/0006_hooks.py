"""Keep the cards that CDS Hooks calls showed or held back, what people did with them, and tokens that were used."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

from cds.store.tables import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hook_card",
        *_texts("uuid", "service", "hook", "instance"),
        _time("at"),
        *_texts("client", "user_id", "roles", "whose"),
        sa.Column("study_uid", sa.String(), nullable=True),
        sa.Column("episode", sa.Integer(), nullable=False),
        *_texts("pathway", "key", "digest", "indicator", "site", "models", "suggestions"),
        sa.PrimaryKeyConstraint("uuid"),
    )
    op.create_index("ix_hook_card_at", "hook_card", ["at"])
    op.create_table(
        "hook_seen",
        *_texts("client", "user_id", "whose", "key", "digest"),
        _time("at"),
        sa.Column("is_critical", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("client", "user_id", "whose", "key", "digest"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_hook_seen_today", "hook_seen", ["client", "user_id", "at"])
    op.create_table(
        "hook_suppressed",
        sa.Column("id", sa.Integer(), nullable=False),
        _time("at"),
        *_texts("service", "pathway", "key", "why", "client", "user_id", "whose"),
        sa.Column("study_uid", sa.String(), nullable=True),
        *_texts("site", "models"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_hook_suppressed_at", "hook_suppressed", ["at"])
    _answers_and_tokens()


def downgrade() -> None:
    for name in ("hook_token", "hook_answer", "hook_suppressed", "hook_seen", "hook_card"):
        op.drop_table(name)


def _answers_and_tokens() -> None:
    op.create_table(
        "hook_answer",
        sa.Column("id", sa.Integer(), nullable=False),
        *_texts("card", "outcome"),
        _time("at"),
        _time("taken_at"),
        *_texts("accepted", "reason_system", "reason_code", "reason_display", "comment", "whose", "key", "digest"),
        *_texts("client", "user_id", "roles", "service", "pathway", "site", "models"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("card", "outcome", "at", name="uq_hook_answer"),
    )
    op.create_index("ix_hook_answer_whose", "hook_answer", ["whose", "at"])
    op.create_table(
        "hook_token",
        *_texts("issuer", "jti"),
        _time("until"),
        sa.PrimaryKeyConstraint("issuer", "jti"),
    )
    op.create_index("ix_hook_token_until", "hook_token", ["until"])


def _texts(*names: str) -> Iterable[sa.Column[str]]:
    return (sa.Column(name, sa.String(), nullable=False) for name in names)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, UtcDateTime(), nullable=False)

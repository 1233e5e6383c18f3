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
        "hook_call",
        *_texts("id"),
        _time("at"),
        *_texts("service", "hook", "instance", "client", "user_id", "roles", "whose", "names", "content"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_hook_call_at", "hook_call", ["at"])
    op.create_index("ix_hook_call_content", "hook_call", ["content"])
    op.create_table("hook_content", *_texts("id", "body"), sa.PrimaryKeyConstraint("id"))
    op.create_table(
        "hook_about",
        *_texts("about", "content"),
        sa.PrimaryKeyConstraint("about", "content"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "hook_seen",
        *_texts("client", "user_id", "whose", "shown"),
        _time("at"),
        *_texts("advices"),
        sa.PrimaryKeyConstraint("client", "user_id", "whose", "shown"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_hook_seen_today", "hook_seen", ["client", "user_id", "at"])
    _answers_and_tokens()


def downgrade() -> None:
    for name in ("hook_token", "hook_answer", "hook_seen", "hook_about", "hook_content", "hook_call"):
        op.drop_table(name)


def _answers_and_tokens() -> None:
    op.create_table(
        "hook_answer",
        sa.Column("id", sa.Integer(), nullable=False),
        *_texts("card", "outcome"),
        _time("at"),
        _time("taken_at"),
        _time("shown_at"),
        *_texts("accepted", "reason_system", "reason_code", "reason_display", "comment", "whose", "key", "digest"),
        *_texts("client", "user_id", "roles", "service", "pathway", "site", "models"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("card", "outcome", "at", name="uq_hook_answer"),
    )
    op.create_index("ix_hook_answer_whose", "hook_answer", ["whose", "at"])
    op.create_index("ix_hook_answer_shown_at", "hook_answer", ["shown_at"])
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

"""Keep what was answered, refused messages too, and tell repeats by their key within a time window."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: Messages of before were all accepted in original mode: only those were kept.
_TEXTS = {"answered": "AA", "refusal": "", "wants_result": "", "doubt": ""}
_INDEXES = {
    "ix_message_key": ["control_id", "sending_application", "sending_facility", "sha256"],
    "ix_message_log": ["received_at", "id", "sending_application", "sending_facility", "message_type"],
}
_KEY = ("sending_application", "sending_facility", "control_id", "sha256")


def upgrade() -> None:
    # SQLite reads what is behind a value through all of it, and makes the table anew anyway
    behind = "raw" if op.get_bind().dialect.name == "sqlite" else None
    with op.batch_alter_table("message", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.drop_constraint("uq_message_key", type_="unique")
        for name, before in _TEXTS.items():
            table.add_column(sa.Column(name, sa.String(), nullable=False, server_default=before), insert_before=behind)
    for index, columns in _INDEXES.items():
        op.create_index(index, "message", columns)


def downgrade() -> None:
    _remove_what_was_not_kept()
    for index in _INDEXES:
        op.drop_index(index, "message")
    with op.batch_alter_table("message", table_kwargs={"sqlite_autoincrement": True}) as table:
        for name in _TEXTS:
            table.drop_column(name)
        table.create_unique_constraint("uq_message_key", [*_KEY])


def _remove_what_was_not_kept() -> None:
    """Refused messages, which would be applied otherwise, and all but the first of the same bytes under one key."""
    message = sa.table("message", sa.column("id"), sa.column("refusal"), *map(sa.column, _KEY))
    first = sa.select(sa.func.min(message.c.id)).where(message.c.refusal == "").group_by(*(message.c[k] for k in _KEY))
    op.execute(sa.delete(message).where(message.c.id.not_in(first)))

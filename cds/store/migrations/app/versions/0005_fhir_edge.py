"""Keep what resources are searched by, what FHIR servers told, and which recommendations people accepted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cds.store.tables import CodePointText, UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_COLUMNS = "type, id, version, last_updated, patient_id, study_uid, made_by, is_current, body"


def upgrade() -> None:
    _number_resources()
    op.drop_table("resource_identifier")
    op.create_table(
        "resource_index",
        sa.Column("resource", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("entry", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("param", CodePointText(), nullable=False),
        sa.Column("value", CodePointText(), nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("narrow", sa.Integer(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("resource", "entry"),
        sqlite_with_rowid=False,
    )
    for name, columns, where in (
        ("value", ["param", "value", "updated", "resource", "system", "low"], sa.text("low IS NULL")),
        ("low", ["param", "narrow", "low", "resource"], sa.text("low IS NOT NULL")),
    ):
        op.create_index(
            f"ix_resource_index_{name}", "resource_index", columns, sqlite_where=where, postgresql_where=where
        )
    op.create_table(
        "own_key",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "subscription",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("resource_type", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("remote_id", sa.String(), nullable=False),
        sa.Column("secret_sha256", sa.String(), nullable=False),
        sa.Column("former_sha256", sa.String(), nullable=False),
        sa.Column("last_event", sa.Integer(), nullable=False),
        sa.Column("heard_at", UtcDateTime(), nullable=True),
        sa.Column("ends_at", UtcDateTime(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("renewing", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("server", "resource_type"),
    )
    op.create_table(
        "fhir_notice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("resource_type", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("subscription", sa.String(), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("not_before", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_fhir_notice_due", "fhir_notice", ["server", "not_before"])
    op.create_table(
        "fhir_seen",
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("server", "type", "id", "version"),
    )
    op.create_index("ix_fhir_seen_at", "fhir_seen", ["at"])
    op.create_table(
        "fhir_feed",
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("read_up_to", UtcDateTime(), nullable=True),
        sa.Column("looked_at", UtcDateTime(), nullable=True),
        sa.Column("answered_at", UtcDateTime(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("busy_until", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("server", "type"),
    )
    op.create_table(
        "acceptance",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("pathway", sa.String(), nullable=False),
        sa.Column("recommendation", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_acceptance_study_uid", "acceptance", ["study_uid"])
    op.create_table(
        "enrich_again",
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("work_id", sa.String(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("study_uid", "source"),
    )


def downgrade() -> None:
    for name in (
        "enrich_again", "acceptance", "fhir_feed", "fhir_seen", "fhir_notice", "subscription", "own_key",
    ):  # fmt: skip
        op.drop_table(name)
    op.create_table(
        "resource_identifier",
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("type", "id", "system", "value"),
    )
    op.create_index("ix_resource_identifier_value", "resource_identifier", ["value", "system"])
    op.execute(
        "INSERT INTO resource_identifier (type, id, system, value) SELECT DISTINCT r.type, r.id, i.system, i.value "
        "FROM resource_index AS i JOIN resource AS r ON r.number = i.resource WHERE i.param = r.type || '.identifier'"
    )
    op.drop_table("resource_index")
    _number_resources_no_more()


def _number_resources() -> None:
    """Resources get a number, which is what the index knows them by; they are indexed once the worker runs."""
    op.execute("CREATE TABLE resource_before AS SELECT * FROM resource")
    op.drop_table("resource")
    op.create_table(
        "resource",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("type", CodePointText(), nullable=False),
        sa.Column("id", CodePointText(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("last_updated", UtcDateTime(), nullable=False),
        sa.Column("patient_id", sa.String(), nullable=True),
        sa.Column("study_uid", sa.String(), nullable=True),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("indexed", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("type", "id", "version", name="uq_resource_version"),
    )
    op.execute(
        f"INSERT INTO resource ({_COLUMNS}, indexed) SELECT {_COLUMNS}, 0 FROM resource_before "  # noqa: S608 - constants
        "ORDER BY last_updated, type, id, version"
    )
    op.drop_table("resource_before")
    if op.get_bind().dialect.name == "sqlite":  # as finely as meta.lastUpdated tells it
        op.execute("UPDATE resource SET last_updated = substr(last_updated, 1, 23) || '000'")
    else:
        op.execute("UPDATE resource SET last_updated = date_trunc('milliseconds', last_updated)")
    for name, columns in (
        ("order", ["type", "last_updated", "number"]),
        ("patient", ["patient_id", "last_updated", "number"]),
        ("indexed", ["type", "indexed", "last_updated"]),
    ):
        op.create_index(
            f"ix_resource_{name}", "resource", columns,
            sqlite_where=sa.text("is_current = 1"), postgresql_where=sa.text("is_current"),
        )  # fmt: skip
    op.create_index("ix_resource_study_uid", "resource", ["study_uid"])


def _number_resources_no_more() -> None:
    op.execute("CREATE TABLE resource_after AS SELECT * FROM resource")
    op.drop_table("resource")
    op.create_table(
        "resource",
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_updated", UtcDateTime(), nullable=False),
        sa.Column("patient_id", sa.String(), nullable=True),
        sa.Column("study_uid", sa.String(), nullable=True),
        sa.Column("made_by", sa.String(), nullable=False, server_default=""),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("type", "id", "version"),
    )
    op.execute(f"INSERT INTO resource ({_COLUMNS}) SELECT {_COLUMNS} FROM resource_after")  # noqa: S608 - constants
    op.drop_table("resource_after")
    op.create_index("ix_resource_order", "resource", ["type", "is_current", "last_updated", "id"])
    op.create_index("ix_resource_patient_id", "resource", ["patient_id"])
    op.create_index("ix_resource_study_uid", "resource", ["study_uid"])

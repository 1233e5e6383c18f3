"""Create the app tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cds.store.tables import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("work_id", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("acknowledgment", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_delivery_destination"), ["destination"], unique=False)
        batch_op.create_index(batch_op.f("ix_delivery_state"), ["state"], unique=False)
        batch_op.create_index(batch_op.f("ix_delivery_work_id"), ["work_id"], unique=False)

    op.create_table(
        "feed",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("message_type", sa.String(), nullable=False),
        sa.Column("first_at", UtcDateTime(), nullable=False),
        sa.Column("last_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("source", "message_type"),
    )
    op.create_table(
        "heartbeat",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "hold",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=True),
        sa.Column("work_id", sa.String(), nullable=True),
        sa.Column("message_id", sa.Integer(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("resolved_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "instance",
        sa.Column("sop_instance_uid", sa.String(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("series_uid", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("consumed", sa.Boolean(), nullable=False),
        sa.Column("image_revision", sa.Integer(), nullable=False),
        sa.Column("header", sa.String(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sop_instance_uid"),
    )
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_instance_series_uid"), ["series_uid"], unique=False)
        batch_op.create_index(batch_op.f("ix_instance_study_uid"), ["study_uid"], unique=False)

    op.create_table(
        "message_outcome",
        sa.Column("message_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("applied_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_table(
        "model_outcome",
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("image_revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("analysis_run", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("study_uid", "image_revision", "analysis_run", "model", "version"),
    )
    op.create_table(
        "patient",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("given", sa.String(), nullable=False),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("sex", sa.String(), nullable=False),
        sa.Column("deceased", sa.Boolean(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "patient_identifier",
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("assigner", sa.String(), nullable=False),
        sa.Column("patient_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("value", "assigner"),
    )
    with op.batch_alter_table("patient_identifier", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_patient_identifier_patient_id"), ["patient_id"], unique=False)

    op.create_table(
        "report",
        sa.Column("work_id", sa.String(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.String(), nullable=True),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("issued", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("work_id"),
        sa.UniqueConstraint("study_uid", "version", name="uq_report_version"),
    )
    with op.batch_alter_table("report", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_report_patient_id"), ["patient_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_report_study_uid"), ["study_uid"], unique=False)

    op.create_table(
        "resource",
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_updated", UtcDateTime(), nullable=False),
        sa.Column("patient_id", sa.String(), nullable=True),
        sa.Column("study_uid", sa.String(), nullable=True),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("type", "id", "version"),
    )
    with op.batch_alter_table("resource", schema=None) as batch_op:
        batch_op.create_index("ix_resource_order", ["type", "is_current", "last_updated", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_resource_patient_id"), ["patient_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_resource_study_uid"), ["study_uid"], unique=False)

    op.create_table(
        "resource_identifier",
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("type", "id", "system", "value"),
    )
    with op.batch_alter_table("resource_identifier", schema=None) as batch_op:
        batch_op.create_index("ix_resource_identifier_value", ["value", "system"], unique=False)

    op.create_table(
        "service_request",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("patient_id", sa.String(), nullable=False),
        sa.Column("placer_order_number", sa.String(), nullable=True),
        sa.Column("filler_order_number", sa.String(), nullable=True),
        sa.Column("accession_number", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("service_request", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_service_request_accession_number"), ["accession_number"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_service_request_filler_order_number"), ["filler_order_number"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_service_request_patient_id"), ["patient_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_service_request_placer_order_number"), ["placer_order_number"], unique=False
        )

    op.create_table(
        "statement",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("patient_id", "source", "key", name="uq_statement_key"),
    )
    with op.batch_alter_table("statement", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_statement_patient_id"), ["patient_id"], unique=False)

    op.create_table(
        "study",
        sa.Column("uid", sa.String(), nullable=False),
        sa.Column("public_id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("patient_value", sa.String(), nullable=False),
        sa.Column("patient_assigner", sa.String(), nullable=False),
        sa.Column("accession_number", sa.String(), nullable=False),
        sa.Column("accession_issuer", sa.String(), nullable=False),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("sex", sa.String(), nullable=False),
        sa.Column("study_date", sa.Date(), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("image_revision", sa.Integer(), nullable=False),
        sa.Column("match_revision", sa.Integer(), nullable=False),
        sa.Column("analysis_run", sa.Integer(), nullable=False),
        sa.Column("contradiction", sa.String(), nullable=False),
        sa.Column("revision_open", sa.Boolean(), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("consumed_instances", sa.Integer(), nullable=False),
        sa.Column("first_instance_at", UtcDateTime(), nullable=False),
        sa.Column("last_instance_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("uid"),
        sa.UniqueConstraint("public_id"),
    )
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_study_accession_number"), ["accession_number"], unique=False)
        batch_op.create_index(batch_op.f("ix_study_revision_open"), ["revision_open"], unique=False)

    op.create_table(
        "timeline",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=True),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("work_id", sa.String(), nullable=True),
        sa.Column("detail", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("timeline", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_timeline_order_id"), ["order_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_timeline_study_uid"), ["study_uid"], unique=False)
        batch_op.create_index(batch_op.f("ix_timeline_work_id"), ["work_id"], unique=False)

    op.create_table(
        "work",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("image_revision", sa.Integer(), nullable=False),
        sa.Column("match_revision", sa.Integer(), nullable=False),
        sa.Column("analysis_run", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("work", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_work_state"), ["state"], unique=False)
        batch_op.create_index(batch_op.f("ix_work_study_uid"), ["study_uid"], unique=False)

    op.create_table(
        "work_step",
        sa.Column("work_id", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("work_id", "step"),
    )


def downgrade() -> None:
    op.drop_table("work_step")
    with op.batch_alter_table("work", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_work_study_uid"))
        batch_op.drop_index(batch_op.f("ix_work_state"))

    op.drop_table("work")
    with op.batch_alter_table("timeline", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_timeline_work_id"))
        batch_op.drop_index(batch_op.f("ix_timeline_study_uid"))
        batch_op.drop_index(batch_op.f("ix_timeline_order_id"))

    op.drop_table("timeline")
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_study_revision_open"))
        batch_op.drop_index(batch_op.f("ix_study_accession_number"))

    op.drop_table("study")
    with op.batch_alter_table("statement", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_statement_patient_id"))

    op.drop_table("statement")
    with op.batch_alter_table("service_request", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_service_request_placer_order_number"))
        batch_op.drop_index(batch_op.f("ix_service_request_patient_id"))
        batch_op.drop_index(batch_op.f("ix_service_request_filler_order_number"))
        batch_op.drop_index(batch_op.f("ix_service_request_accession_number"))

    op.drop_table("service_request")
    with op.batch_alter_table("resource_identifier", schema=None) as batch_op:
        batch_op.drop_index("ix_resource_identifier_value")

    op.drop_table("resource_identifier")
    with op.batch_alter_table("resource", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_resource_study_uid"))
        batch_op.drop_index(batch_op.f("ix_resource_patient_id"))
        batch_op.drop_index("ix_resource_order")

    op.drop_table("resource")
    with op.batch_alter_table("report", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_report_study_uid"))
        batch_op.drop_index(batch_op.f("ix_report_patient_id"))

    op.drop_table("report")
    with op.batch_alter_table("patient_identifier", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_patient_identifier_patient_id"))

    op.drop_table("patient_identifier")
    op.drop_table("patient")
    op.drop_table("model_outcome")
    op.drop_table("message_outcome")
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_instance_study_uid"))
        batch_op.drop_index(batch_op.f("ix_instance_series_uid"))

    op.drop_table("instance")
    op.drop_table("hold")
    op.drop_table("heartbeat")
    op.drop_table("feed")
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_delivery_work_id"))
        batch_op.drop_index(batch_op.f("ix_delivery_state"))
        batch_op.drop_index(batch_op.f("ix_delivery_destination"))

    op.drop_table("delivery")
